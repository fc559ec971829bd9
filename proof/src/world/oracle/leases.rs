//! Until when a holder is in service: a lease after anybody let it, and no longer.

use super::super::World;
use super::super::clock::{SECOND, Time};
use super::super::machine::Machine;
use super::super::watchdog::Watchdog;
use picket_core::ids::{NodeId, VolumeId};
use picket_core::message::{PeerBody, Reply};
use picket_core::time::Duration;

/// At the end of a lease a machine may be in a sync, and its reset takes a moment.
pub(super) const ENDS_WITHIN: Duration = Duration::from_millis(10);

/// A daemon that has just started, or that did not run, is as late as it was away.
const CATCHES_UP: u64 = SECOND;

impl World {
    /// The witness lets a node go on. The node counts from its request, which was before this.
    pub(in super::super) fn note_reply(&mut self, node: NodeId, reply: &Reply) {
        match reply {
            Reply::Granted(granted) => self.note_told(node, granted.register.volume),
            Reply::Renewed { volumes, .. } => {
                volumes.iter().for_each(|(volume, _)| self.note_told(node, *volume));
            }
            _ => {}
        }
    }

    /// A peer lets a node go on.
    pub(in super::super) fn note_promise(&mut self, to: NodeId, body: &PeerBody) {
        if let PeerBody::FailsafeAnswer { volume, promise: Ok(()), .. } = body {
            self.note_told(to, *volume);
        }
    }

    /// By the node's own clock: a lease is counted by it, however it drifts and while it is paused unseen.
    fn note_told(&mut self, node: NodeId, volume: VolumeId) {
        let machine = self.machine(node);
        let told = (machine.boot, machine.now(self.now));
        self.oracle.told.insert((node, volume), told);
    }

    /// A lease after it was told last that it may go on, a holder that is not alone is in service no more: frozen,
    /// stopped or dead. What was left running under a maintenance begins a lease with the daemon that finds it.
    pub(super) fn check_lease_over(&mut self, volume: VolumeId) {
        let found = self.machines.iter().find(|machine| self.is_over(machine, volume)).map(|it| it.id);
        if let Some(node) = found.filter(|_| !self.oracle.overridden) {
            let text = format!("node {node} has volume {volume} in service a lease after anybody let it");
            self.violated("lease-over", text);
        }
    }

    fn is_over(&self, machine: &Machine, volume: VolumeId) -> bool {
        if !machine.runs() || !machine.is_open(volume) || machine.is_left_running(volume) {
            return false;
        }
        let told = self.oracle.told.get(&(machine.id, volume)).filter(|told| told.0 == machine.boot);
        let begun = told.map(|told| told.1).max(machine.taken_up.get(&volume).copied());
        let later = self.setup.later.map_or(Duration::ZERO, |later| later.lease);
        let lease = self.setup.params().lease.max(later);
        let over = begun.is_none_or(|begun| machine.now(self.now) >= begun + lease + ENDS_WITHIN);
        over && machine.is_guarded(self.now) && !self.is_alone(machine.id, volume)
    }
}

impl Machine {
    /// Whether something ends a service here whose lease is over: a watchdog, or else a daemon that runs and can reset
    /// its machine.
    pub(super) fn is_guarded(&self, now: Time) -> bool {
        let watched = self.watchdog.as_ref().is_some_and(|watchdog| Watchdog::kills_at(watchdog).is_some());
        let runs = self.daemon_runs() && now.since(self.daemon_hindered_at) >= CATCHES_UP;
        watched || runs && self.resets_hang == 0
    }

    /// Whether a maintenance answers for the volume: no daemon has counted yet that it runs.
    fn is_left_running(&self, volume: VolumeId) -> bool {
        let unread = self.takes_up.is_some() && !self.taken_up.contains_key(&volume);
        self.left_running || self.uncounted || unread && self.takes_up == self.run()
    }

    fn run(&self) -> Option<super::super::event::RunNo> {
        self.daemon.as_ref().map(|daemon| daemon.run)
    }
}
