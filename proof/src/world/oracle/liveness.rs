//! What must be served, and by how many, after everything was healed.

use super::super::World;
use super::super::machine::{Machine, Power};
use super::super::replica::Replica;
use picket_core::ids::{Epoch, NodeId, NodeSet, VolumeId};
use std::collections::BTreeMap;

impl World {
    /// All volumes are served by all of their replicas, and every daemon is where it belongs.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.unserved().is_empty()
            && self.not_redundant().is_empty()
            && self.without_session().is_empty()
            && self.forgotten_on_standby().is_empty()
    }

    /// The volumes that nobody serves and somebody must.
    #[must_use]
    pub fn unserved(&self) -> Vec<VolumeId> {
        self.setup
            .volumes()
            .map(|(volume, _)| volume)
            .filter(|volume| !self.machines.iter().any(|m| self.can_acknowledge(m.id, *volume)))
            .filter(|volume| !self.nobody_can(*volume))
            .collect()
    }

    /// Whether nobody can be granted the volume, and that is nobody's fault: whoever could stands by, or a disk was
    /// swapped under the only in-sync replica. That nobody who runs has the data that the record asks for is no reason
    /// without that: then somebody was taken out of the set, or lost his data, who must not.
    fn nobody_can(&self, volume: VolumeId) -> bool {
        let able: NodeSet =
            self.machines.iter().map(|m| m.id).filter(|node| self.is_healthy(*node, volume)).collect();
        let excused = !able.is_empty() || self.oracle.disks_lost.contains(&volume);
        excused && able.iter().all(|node| self.stands_by(node))
    }

    /// Whether a node is in the recorded in-sync set and has the data that it must have for that.
    fn is_healthy(&self, node: NodeId, volume: VolumeId) -> bool {
        let Some(register) = self.witness.disk.read().and_then(|record| record.volumes.get(&volume)) else {
            return true;
        };
        let Some(replica) = self.machine(node).replicas.get(&volume) else { return false };
        let descends = replica.generation.descends_from(register.generation);
        let unknown = register.isr.is_empty();
        unknown || register.isr.contains(node) && replica.complete && descends
    }

    /// The replicas of served volumes that are not in the in-sync set, although their machines run. Data that diverged
    /// waits for a person, if nothing of it was acknowledged: a holder may have begun a generation that reached nobody.
    #[must_use]
    pub fn not_redundant(&self) -> Vec<(VolumeId, NodeSet)> {
        let Some(record) = self.witness.disk.read() else { return Vec::new() };
        let missing = |volume: VolumeId, members: NodeSet| {
            let isr = record.volumes.get(&volume).map(|register| register.isr).unwrap_or_default();
            let able = |node: &NodeId| {
                let machine = self.machine(*node);
                let replica = machine.replicas.get(&volume);
                let waits = |it: &Replica| it.is_diverged() && self.was_acknowledged(it, volume);
                machine.power == Power::On && replica.is_some_and(|it| !waits(it))
            };
            members.minus(isr).iter().filter(able).collect::<NodeSet>()
        };
        let served = |volume: &VolumeId| self.machines.iter().any(|m| self.can_acknowledge(m.id, *volume));
        self.setup
            .volumes()
            .filter(|(volume, _)| served(volume))
            .map(|(volume, setup)| (volume, missing(volume, setup.members)))
            .filter(|(_, missing)| !missing.is_empty())
            .collect()
    }

    /// Whether everything that a replica acknowledged itself is among what counts as acknowledged.
    fn was_acknowledged(&self, replica: &Replica, volume: VolumeId) -> bool {
        let committed = self.oracle.committed.get(&volume).map_or(&[][..], Vec::as_slice);
        replica.acknowledged == 0
            || replica.log.get(replica.acknowledged - 1) == committed.get(replica.acknowledged - 1)
    }

    /// The running daemons that have no session with the witness.
    #[must_use]
    pub fn without_session(&self) -> Vec<NodeId> {
        let registered = |machine: &Machine| {
            machine.node().is_none_or(|node| node.status(machine.now(self.now)).witness.registered)
        };
        self.machines.iter().filter(|machine| !registered(machine)).map(|machine| machine.id).collect()
    }

    /// Every volume is served.
    pub fn expect_served(&mut self, after: &str) {
        if self.oracle.violation.is_some() || self.oracle.overridden {
            return;
        }
        let unserved = self.unserved();
        if !unserved.is_empty() {
            let text = format!("after {after} nobody serves {}{}", names(&unserved), self.why_not(&unserved));
            self.violated("served", text);
        }
    }

    /// Every volume is served while faults last: in a plan that leaves somebody who could.
    pub fn expect_served_meanwhile(&mut self) {
        let served = |volume: VolumeId| self.machines.iter().any(|m| self.can_acknowledge(m.id, volume));
        let unserved: Vec<_> = self.setup.volumes().map(|(id, _)| id).filter(|id| !served(*id)).collect();
        if self.oracle.violation.is_none() && !unserved.is_empty() {
            let why = self.why_not(&unserved);
            self.violated("survived", format!("nobody takes {} over{why}", names(&unserved)));
        }
    }

    /// The epoch of every volume, as recorded.
    #[must_use]
    pub fn epochs(&self) -> BTreeMap<VolumeId, Epoch> {
        let record = self.witness.disk.read();
        record.iter().flat_map(|record| &record.volumes).map(|(id, register)| (*id, register.epoch)).collect()
    }

    /// Every volume has the epoch that it had, in a plan that gives nobody a reason to grant it anew.
    pub fn expect_kept(&mut self, before: &BTreeMap<VolumeId, Epoch>) {
        let now = self.epochs();
        let anew: Vec<_> = before.keys().copied().filter(|id| now.get(id) != before.get(id)).collect();
        if self.oracle.violation.is_none() && !anew.is_empty() {
            let text = format!("{} was given away, though nothing was wrong with its holder", names(&anew));
            self.violated("kept", text);
        }
    }

    /// How often each machine has booted.
    #[must_use]
    pub fn boots(&self) -> Vec<(NodeId, u32)> {
        self.machines.iter().map(|machine| (machine.id, machine.boot_no)).collect()
    }

    /// Every machine runs on, in a plan that gives nobody a reason to reset one.
    pub fn expect_standing(&mut self, before: &[(NodeId, u32)]) {
        let now = self.boots();
        let again = before.iter().find(|boot| !now.contains(boot));
        if let Some((node, _)) = again.filter(|_| self.oracle.violation.is_none()) {
            self.violated("standing", format!("node {node} was reset, though nothing was wrong with it"));
        }
    }

    /// Every replica is in its in-sync set, and every daemon is known to the witness.
    pub fn expect_redundant(&mut self, after: &str) {
        if self.oracle.violation.is_some() || self.oracle.overridden {
            return;
        }
        if let Some((volume, missing)) = self.not_redundant().first().copied() {
            let why = self.why_not(&[volume]);
            let text = format!("after {after} nodes {missing} are not in sync on volume {volume}{why}");
            self.violated("redundant", text);
        }
        let forgotten = self.forgotten_on_standby();
        if !forgotten.is_empty() {
            self.violated("online", format!("after {after} nodes {forgotten} are on standby still"));
        }
        if let Some(id) = self.without_session().first() {
            self.violated("registered", format!("after {after} node {id} has no session with the witness"));
        }
    }

    /// All was well long enough: what is served at one moment and not at the next one is not.
    pub fn expect_steady(&mut self) {
        if self.oracle.violation.is_none() && !self.oracle.overridden && self.healed_after.is_none() {
            self.violated("steady", "after everything was healed it is well for moments only".into());
        }
    }

    /// What every node says about some volumes, for people.
    fn why_not(&self, volumes: &[VolumeId]) -> String {
        let mut text = String::new();
        for machine in &self.machines {
            let Some(core) = machine.node() else { continue };
            let status = core.status(machine.now(self.now));
            for volume in status.volumes.iter().filter(|volume| volumes.contains(&volume.volume)) {
                text.push_str(&format!(
                    "\n    node {} volume {}: {:?}, why not {:?}, waiting {:?}, isr {:?}, lost {:?}",
                    machine.id,
                    volume.volume,
                    volume.phase,
                    volume.why_not,
                    volume.waiting,
                    volume.register.as_ref().map(|register| (register.isr, register.holder)),
                    volume.report.as_ref().map(|report| (report.role, report.complete, report.lost)),
                ));
            }
        }
        text
    }
}

fn names(volumes: &[VolumeId]) -> String {
    let words: Vec<String> = volumes.iter().map(|volume| format!("volume {volume}")).collect();
    words.join(" and ")
}
