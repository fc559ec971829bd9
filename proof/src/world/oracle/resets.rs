//! Machines that end themselves: only for what is active on them, and never a solo volume for another one.

use super::super::World;
use super::super::clock::{SECOND, nanos};
use super::super::event::Act;
use super::super::volume::Driver;
use picket_core::ids::{NodeId, VolumeId};
use picket_core::node::{self, ResetReason, Role};

impl World {
    /// A node that is solo or verified inactive on everything is never reset by its own watchdog.
    pub(in super::super) fn check_watchdog_kill(&mut self, node: NodeId) {
        let params = self.setup.params();
        let window = params.watchdog.map_or(0, |w| nanos(w.effective)) + self.progress_bound() + SECOND / 2;
        let machine = self.machine(node);
        let hindered = self.now.since(machine.daemon_hindered_at) < window || !machine.daemon_runs();
        let Some(core) = machine.node().filter(|_| !hindered && !machine.reset_due) else { return };
        let local = machine.now(self.now);
        let free = |volume: &node::VolumeStatus| volume.solo || self.is_inactive(node, volume);
        if core.status(local).volumes.iter().all(free) {
            let until = core.pet_until(local);
            let text = format!("node {node}: its watchdog kills it, petting allowed until {until:?}");
            self.violated("innocent-reset", text);
        }
    }

    /// A lease begins when a daemon first sees what was left running, and no machine resets itself for that volume before
    /// it has ended.
    fn check_taken_up(&mut self, node: NodeId, reason: &ResetReason) {
        let ResetReason::NotVerifiedInactive { volume } = reason else { return };
        let machine = self.machine(node);
        let local = machine.now(self.now);
        let begun = machine.taken_up.get(volume);
        if begun.is_some_and(|begun| local < *begun + self.setup.params().lease) {
            let text =
                format!("node {node} resets itself for volume {volume} within the lease that began here");
            self.violated("lease-begun", text);
        }
    }

    /// The same for resets that the daemon orders, and a volume that is solo is not killed for another.
    pub(in super::super) fn check_reset(&mut self, node: NodeId, reason: &ResetReason) {
        self.check_taken_up(node, reason);
        let machine = self.machine(node);
        let Some(core) = machine.node() else { return };
        let status = core.status(machine.now(self.now));
        let inactive = |volume: &node::VolumeStatus| self.is_inactive(node, volume);
        if status.volumes.iter().all(inactive) && !matches!(reason, ResetReason::StopFailed { .. }) {
            self.violated("innocent-reset", format!("node {node} resets itself: {reason:?}"));
        } else if matches!(reason, ResetReason::AuthorityLost { .. })
            && status.volumes.iter().any(|volume| volume.solo)
        {
            self.violated("solo-killed", format!("node {node} resets itself: {reason:?}"));
        }
    }

    /// A node that was alone with a volume by the record needs no lease for it, and is not reset because one has ended.
    pub(in super::super) fn check_alone(&mut self, node: NodeId, alone: &[VolumeId], acts: &[Act]) {
        let reason = acts.iter().find_map(|act| match act {
            Act::Reset(_, reason) => Some(reason),
            _ => None,
        });
        let reason = reason.and_then(ResetReason::without_authority);
        if let Some(volume) = reason.filter(|volume| alone.contains(volume)) {
            let text = format!("node {node} resets itself for volume {volume}, with which it was alone");
            self.violated("alone-reset", text);
        }
    }

    /// A daemon that ends and leaves running what it holds has no stop of it under way: without a daemon nothing takes
    /// the volume out of service.
    pub(in super::super) fn check_left_running(&mut self, node: NodeId) {
        let machine = self.machine(node);
        let active = |volume| machine.replicas.get(volume).is_some_and(|it| it.primary().is_some());
        let mut stopping = machine.drivers.iter().filter(|(_, driver)| driver.is_stopping());
        if let Some((volume, _)) = stopping.find(|(volume, _)| active(*volume)) {
            let text = format!("node {node} leaves volume {volume} running, of which a stop is under way");
            self.violated("left-running", text);
        }
    }

    /// Seen secondary, and no promotion is under way that could change that.
    fn is_inactive(&self, node: NodeId, volume: &node::VolumeStatus) -> bool {
        let seen = volume.report.as_ref().is_some_and(|report| report.role == Role::Secondary);
        let driver = self.machine(node).drivers.get(&volume.volume);
        seen && !driver.is_some_and(Driver::is_promoting)
    }
}
