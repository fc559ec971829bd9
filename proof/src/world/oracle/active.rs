//! Who serves a volume, and who may.

use super::super::World;
use super::super::daemon::Daemon;
use super::super::machine::{Machine, Power};
use super::super::replica::Replica;
use super::ByHand;
use super::leases::ENDS_WITHIN;
use picket_core::ids::{Epoch, NodeId, NodeSet, VolumeId};
use picket_core::message::{FromWitness, Reply};
use picket_core::node::{Phase, Promise};

impl World {
    /// Whether a node could acknowledge a write to the volume now.
    #[must_use]
    pub fn can_acknowledge(&self, node: NodeId, volume: VolumeId) -> bool {
        let machine = self.machine(node);
        let Some(replica) = machine.replicas.get(&volume).filter(|r| machine.runs() && r.is_writable())
        else {
            return false;
        };
        if !self.leans_on_barrier(volume) {
            return true;
        }
        // The configuration leans on the barrier: what counts is whether the required replicas would take it.
        replica.required().iter().all(|peer| {
            let follows =
                self.machine(peer).replicas.get(&volume).and_then(super::super::replica::Replica::follows);
            follows == replica.primary().map(|epoch| (node, epoch))
        })
    }

    /// A lease proof may count although the holder can be paused unseen: it may serve until its first wake-up.
    pub(super) fn leans_on_barrier(&self, volume: VolumeId) -> bool {
        self.setup.volumes[usize::from(volume.0) - 1].barrier_suffices
    }

    /// A person has activated a volume without a witness, and no witness has taken that in yet.
    fn is_outside(&self) -> bool {
        self.oracle.overridden && self.oracle.by_hand != ByHand::TakenIn
    }

    /// An override is over when the witness counts a lease for what it activated. What was lost with it stays lost.
    pub(super) fn note_by_hand(&mut self) {
        let Some(record) = self.witness.disk.read() else { return };
        let recorded = record.volumes.values().any(|register| register.overridden);
        self.oracle.by_hand = match (recorded, self.oracle.by_hand) {
            (true, _) => {
                self.rules.hit(super::super::rules::OVERRIDE_RECORDED);
                ByHand::Recorded
            }
            (false, ByHand::Recorded) if !record.recovery => ByHand::TakenIn,
            (false, before) => before,
        };
    }

    /// Looks at everything that is a matter of who serves the volume.
    pub(in super::super) fn check_exclusive(&mut self, volume: VolumeId) {
        if self.is_outside() {
            return;
        }
        self.check_writers(volume);
        self.check_active(volume);
        self.check_refused();
        self.check_lease_over(volume);
    }

    /// Looks at what comes with time, and with no event.
    pub fn check_time(&mut self) {
        self.check_refused();
        let volumes: Vec<_> = self.setup.volumes().map(|(volume, _)| volume).collect();
        volumes.into_iter().for_each(|volume| self.check_lease_over(volume));
    }

    /// Never two nodes able to acknowledge a write to the same volume.
    fn check_writers(&mut self, volume: VolumeId) {
        let able: NodeSet =
            self.machines.iter().map(|m| m.id).filter(|node| self.can_acknowledge(*node, volume)).collect();
        if able.len() > 1 {
            self.violated("exclusive", format!("nodes {able} can acknowledge writes to volume {volume}"));
        }
    }

    /// Never two nodes that have the same volume in service, even if the barrier would hold their writes back.
    fn check_active(&mut self, volume: VolumeId) {
        if self.leans_on_barrier(volume) {
            return;
        }
        let open = |machine: &&Machine| machine.runs() && machine.is_open(volume);
        let active: NodeSet = self.machines.iter().filter(open).map(|machine| machine.id).collect();
        if active.len() > 1 {
            self.violated("active", format!("volume {volume} is in service on nodes {active}"));
        }
    }

    /// A node was told that the renewal of a grant is refused, or that it is not any more: another store may have taken
    /// the place of the one that refused.
    pub(in super::super) fn note_refusal(&mut self, node: NodeId, message: &FromWitness) {
        let Reply::Renewed { volumes, refused, .. } = &message.body else { return };
        for (volume, _) in volumes {
            self.oracle.refused.remove(&(node, *volume));
        }
        // What a daemon has not read when it ends was not told; it is told again with the next renewal.
        let machine = self.machine(node);
        if !machine.daemon_runs() || machine.daemon.as_ref().is_none_or(Daemon::waits_for_its_disk) {
            return;
        }
        let until = machine.now(self.now) + self.setup.params().lease + ENDS_WITHIN;
        for (volume, _) in refused {
            let Some(epoch) = self.held_epoch(node, *volume) else { continue };
            let known = self.oracle.refused.entry((node, *volume)).or_insert((epoch, until));
            if known.0 != epoch {
                *known = (epoch, until);
            }
        }
    }

    /// What a node holds: what its daemon has recorded, also while the promotion is under way; else what is active.
    fn held_epoch(&self, node: NodeId, volume: VolumeId) -> Option<Epoch> {
        let machine = self.machine(node);
        let held = machine.store.run.as_ref().and_then(|run| run.held.get(&volume)).map(|held| held.epoch);
        held.or_else(|| machine.replicas.get(&volume).and_then(Replica::primary))
    }

    /// A refused renewal is final: a lease later the grant is not in service any more, unless nobody else could
    /// have the volume, by the witness's record or, where an old store was put back, by what the node itself has recorded.
    /// A lease is counted by the node's own clock. Without a watchdog a daemon that waits for its disk ends nothing, and
    /// the end of its lease proves nothing.
    pub(super) fn check_refused(&mut self) {
        let mut found = None;
        for ((node, volume), (epoch, until)) in &self.oracle.refused {
            let machine = self.machine(*node);
            let open = machine.runs() && machine.is_open(*volume) && machine.now(self.now) > *until;
            let same = machine.replicas.get(volume).and_then(Replica::primary) == Some(*epoch);
            let ends = machine.daemon_runs() && machine.is_guarded(self.now);
            if open && same && ends && !self.is_alone(*node, *volume) {
                found = Some((*node, *volume));
            }
        }
        if let Some((node, volume)) = found.filter(|_| !self.oracle.overridden) {
            let text = format!("node {node} serves volume {volume} a lease after its renewal was refused");
            self.violated("refused-final", text);
        }
    }

    /// By the record, or by what the node knows itself: a store that was put back does not take that away.
    pub(super) fn is_alone(&self, node: NodeId, volume: VolumeId) -> bool {
        let only = NodeSet::only(node);
        let record = self.witness.disk.read().and_then(|record| record.volumes.get(&volume));
        let disk = self.machine(node).store.disk.read();
        let known = disk.and_then(|disk| disk.volumes.get(&volume));
        record.is_some_and(|register| register.isr == only)
            || known.is_some_and(|known| known.maximal_isr() == only)
    }

    /// When a volume is granted, nobody else has a lease on it by its own clock, or takes itself for solo.
    ///
    /// A holder without a witness goes on by the others' promises. A witness that was stopped meanwhile has a request
    /// of before the promise in its queue, and what withdraws it stands behind it: whoever promised gives that grant back.
    pub(super) fn check_authority(&mut self, volume: VolumeId, granted_to: NodeId) {
        if self.is_outside() || self.leans_on_barrier(volume) {
            return;
        }
        let others = self.machines.iter().map(|machine| machine.id);
        let others =
            others.filter(|node| *node != granted_to && !self.has_promised(granted_to, volume, *node));
        let found = others.into_iter().find_map(|node| Some((node, self.authority(node, volume)?)));
        if let Some((node, why)) = found {
            let text = format!("volume {volume} is granted to node {granted_to} while node {node} {why}");
            self.violated("authority", text);
        }
    }

    /// Whether the node has promised the other not to take the volume, for now.
    fn has_promised(&self, node: NodeId, volume: VolumeId, to: NodeId) -> bool {
        let machine = self.machine(node);
        let local = machine.now(self.now);
        let live = |promise: &Promise| promise.volume == volume && promise.to == to && local < promise.until;
        machine.store.run.as_ref().is_some_and(|run| run.promises.iter().any(live))
    }

    /// Why a node may serve the volume by its own records, if it may.
    fn authority(&self, node: NodeId, volume: VolumeId) -> Option<String> {
        let machine = self.machine(node);
        if machine.power != Power::On {
            return None;
        }
        let local = machine.now(self.now);
        let status = machine.node().and_then(|core| core.volume_status(local, volume));
        let Some(status) = status.filter(|status| status.phase != Phase::Unread) else {
            // No daemon, or one that has not read it: the volume goes on as the former one left it.
            let held = machine.store.run.as_ref().and_then(|run| run.held.get(&volume))?;
            let left = held.lease_until.since(local);
            let runs = machine.is_open(volume) && !left.is_zero();
            return runs.then(|| format!("has a lease for another {} ms, and no daemon", left.as_millis()));
        };
        if status.solo {
            return Some("takes itself for the only one in sync".into());
        }
        let left = status.lease_left.filter(|left| !left.is_zero())?;
        Some(format!("has a lease for another {} ms", left.as_millis()))
    }
}

impl Machine {
    /// Whether the volume takes reads and writes here, as far as the machine itself is concerned.
    pub(super) fn is_open(&self, volume: VolumeId) -> bool {
        self.replicas.get(&volume).is_some_and(|replica| replica.primary().is_some() && !replica.is_frozen())
    }
}
