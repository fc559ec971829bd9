//! What a careful person does: switches machines on again, confirms those off that are off, clears those held off, boots
//! those that the witness took for off and that speak, puts online those that nobody wants on standby.

use super::World;
use super::clock::SECOND;
use super::event::Ev;
use super::machine::Power;
use picket_core::ids::NodeId;
use picket_core::message::OperatorRequest;

/// How often a person looks.
const LOOKS_EVERY: u64 = 3 * SECOND;

impl World {
    /// From now on a person looks after the cluster.
    pub fn hire_person(&mut self) {
        if !self.person {
            self.person = true;
            self.put(self.now + LOOKS_EVERY, Ev::Person);
        }
    }

    pub(super) fn person_looks(&mut self) {
        self.put(self.now + LOOKS_EVERY, Ev::Person);
        let now = self.now;
        let view = self.witness.machine().map(|machine| machine.view(self.witness.clock.read(now)));
        let Some(view) = view else { return };
        for index in 1..=self.machines.len() {
            let Ok(id) = u8::try_from(index) else { return };
            let node = NodeId(id);
            let pending = view.pending.iter().any(|pending| pending.target == node);
            let off = self.machine(node).power == Power::Off;
            if view.held_off.contains(node) {
                self.ask_witness(OperatorRequest::Clear { node });
            } else if pending && off {
                self.confirm(node);
            } else if pending {
                self.ask_witness(OperatorRequest::DenyMeatware { node });
            } else if off {
                self.power_on(node);
            } else if self.speak_though_off.contains(node) {
                self.reboot(node, "it was confirmed off and speaks");
            }
            self.speak_though_off = self.speak_though_off.without(node);
        }
        for node in self.forgotten_on_standby().iter() {
            self.put_on_standby(node, false);
        }
    }
}
