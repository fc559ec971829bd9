//! Thaws that are not done in their time: their driver gives one up at its last moment and cannot tell, and it is done
//! all the same: some time after, or right before the driver's next command. It ends with its daemon, as programs do.

use super::World;
use super::clock::SECOND;
use super::event::{Ev, RunNo};
use picket_core::ids::{NodeId, VolumeId};
use picket_core::node::{CommandId, CommandOutcome};
use picket_core::time::Instant;

/// A thaw that was begun in its time.
#[derive(Clone, Copy, Debug)]
pub(super) struct LateThaw {
    command: CommandId,
    given_up: bool,
}

/// When a driver gives up a thaw that has no last moment.
const GIVEN_UP_AFTER: u64 = 2 * SECOND;

/// The longest that one goes on after it was given up: every lease is over, and another node has taken over.
const LATEST: u64 = 8 * SECOND;

impl World {
    pub(super) fn begin_late_thaw(
        &mut self,
        (node, run): (NodeId, RunNo),
        volume: VolumeId,
        command: CommandId,
        valid_until: Instant,
    ) {
        let now = self.now;
        let after = self.rng.range(SECOND / 2, LATEST);
        let machine = self.machine_mut(node);
        let last = if valid_until == Instant::NEVER { None } else { machine.clock.when(valid_until) };
        let Some(driver) = machine.drivers.get_mut(&volume) else { return };
        driver.late_thaw = Some(LateThaw { command, given_up: false });
        let at = last.unwrap_or(now + GIVEN_UP_AFTER).max(now);
        self.put(at, Ev::ThawGivenUp { node, run, volume, command });
        self.put(at + after, Ev::ThawDone { node, run, volume, command });
    }

    /// Whether this daemon's driver has that thaw under way.
    fn has_late_thaw(&self, node: NodeId, run: RunNo, volume: VolumeId, command: CommandId) -> bool {
        let machine = self.machine(node);
        let driver = machine
            .drivers
            .get(&volume)
            .filter(|_| machine.daemon.as_ref().is_some_and(|daemon| daemon.run == run));
        driver.and_then(|driver| driver.late_thaw).is_some_and(|thaw| thaw.command == command)
    }

    pub(super) fn thaw_given_up(&mut self, node: NodeId, run: RunNo, volume: VolumeId, command: CommandId) {
        if !self.has_late_thaw(node, run, volume, command) {
            return;
        }
        let machine = self.machine_mut(node);
        if !machine.runs() {
            machine.waiting.push(Ev::ThawGivenUp { node, run, volume, command });
            return;
        }
        if let Some(driver) = machine.drivers.get_mut(&volume) {
            driver.late_thaw = Some(LateThaw { command, given_up: true });
        }
        self.log.line(self.now, node, || format!("volume {volume}: a thaw is given up"));
        let outcome = CommandOutcome::Unknown("the thaw was given up".into());
        self.command_done(node, run, volume, command, outcome);
    }

    pub(super) fn thaw_done(&mut self, node: NodeId, run: RunNo, volume: VolumeId, command: CommandId) {
        if !self.has_late_thaw(node, run, volume, command) {
            return;
        }
        let machine = self.machine_mut(node);
        if machine.runs() {
            self.thaws_after_all(node, volume);
        } else {
            machine.waiting.push(Ev::ThawDone { node, run, volume, command });
        }
    }

    /// One that was given up is done now.
    pub(super) fn thaws_after_all(&mut self, node: NodeId, volume: VolumeId) {
        let machine = self.machine_mut(node);
        let Some(driver) = machine.drivers.get_mut(&volume) else { return };
        if driver.late_thaw.take_if(|thaw| thaw.given_up).is_none() {
            return;
        }
        let Some(replica) = machine.replicas.get_mut(&volume) else { return };
        replica.set_frozen(false);
        self.log.line(self.now, node, || format!("volume {volume}: thawed after all"));
        self.log.tell(self.now, || format!("node {node} has thawed volume {volume} after all"));
        self.changed(node, volume);
    }
}
