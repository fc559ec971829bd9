//! The invariants, one function each, looked at whenever something that they speak of changes.

use super::World;
use super::clock::{SECOND, Time, nanos};
use super::event::Order;
use picket_core::ids::{BootId, Epoch, NodeId, NodeSet, VolumeId};
use picket_core::message::{FenceReason, Holder};
use picket_core::node::{self, ResetReason, Role};
use picket_core::topology::{OrderId, PowerAction};
use picket_core::witness::{self, Record};
use std::collections::BTreeMap;

/// What must never be seen, and was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When.
    pub at: Time,
    /// Which invariant.
    pub invariant: &'static str,
    /// What exactly.
    pub text: String,
}

/// What the invariants remember.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    /// The first violation.
    pub violation: Option<Violation>,
    /// A person overrode the protocol: exclusivity and acknowledged writes are not guaranteed from then on.
    pub overridden: bool,
    /// Every acknowledged write, by volume, in order.
    committed: BTreeMap<VolumeId, Vec<u64>>,
    holders: BTreeMap<(VolumeId, Epoch), (NodeId, BootId)>,
    durable_epochs: BTreeMap<(NodeId, VolumeId), Epoch>,
    agents: BTreeMap<NodeId, (NodeId, OrderId)>,
    /// Permits that were live in a store which is gone: target, fencer, until when it would have lived. The store that took its place cannot know
    /// them, and nothing promises that it does.
    orphans: BTreeMap<(NodeId, NodeId), Time>,
    granted: BTreeMap<VolumeId, Epoch>,
}

impl World {
    /// Notes a violation; the first one counts.
    pub(super) fn violated(&mut self, invariant: &'static str, text: String) {
        self.log.line(self.now, "!!!!", || format!("VIOLATED {invariant}: {text}"));
        if self.oracle.violation.is_none() {
            self.oracle.violation = Some(Violation { at: self.now, invariant, text });
        }
    }

    /// Whether a node could acknowledge a write to the volume now.
    #[must_use]
    pub fn can_acknowledge(&self, node: NodeId, volume: VolumeId) -> bool {
        let machine = self.machine(node);
        let Some(replica) = machine.replicas.get(&volume).filter(|r| machine.runs() && r.is_writable())
        else {
            return false;
        };
        let index = usize::from(volume.0) - 1;
        if !self.setup.volumes[index].barrier_suffices {
            return true;
        }
        // The configuration leans on the barrier: what counts is whether the required replicas would take it.
        replica.required().iter().all(|peer| {
            let follows = self.machine(peer).replicas.get(&volume).and_then(super::replica::Replica::follows);
            follows == replica.primary().map(|epoch| (node, epoch))
        })
    }

    /// Never two nodes able to acknowledge a write to the same volume.
    pub(super) fn check_exclusive(&mut self, volume: VolumeId) {
        if self.oracle.overridden {
            return;
        }
        let able: NodeSet =
            self.machines.iter().map(|m| m.id).filter(|node| self.can_acknowledge(*node, volume)).collect();
        if able.len() > 1 {
            self.violated("exclusive", format!("nodes {able} can acknowledge writes to volume {volume}"));
        }
    }

    /// Every acknowledged write is in the data of whoever acknowledges the next one.
    pub(super) fn check_acknowledged(&mut self, node: NodeId, volume: VolumeId, len: usize) {
        let Some(replica) = self.machines[usize::from(node.0) - 1].replicas.get(&volume) else { return };
        let committed = self.oracle.committed.entry(volume).or_default();
        let shared = len.min(committed.len());
        let same = shared == 0 || replica.log.get(shared - 1) == committed.get(shared - 1);
        if same && len > committed.len() {
            committed.extend_from_slice(&replica.log[committed.len()..len]);
        } else if !same && !self.oracle.overridden {
            let text =
                format!("node {node} acknowledges write {len} of volume {volume} over another history");
            self.violated("acknowledged", text);
        }
    }

    /// Every acknowledged write is in the data of whoever becomes active; an epoch has one holder.
    pub(super) fn check_promotion(&mut self, node: NodeId, volume: VolumeId, epoch: Epoch) {
        let machine = &self.machines[usize::from(node.0) - 1];
        let boot = machine.boot;
        let Some(replica) = machine.replicas.get(&volume) else { return };
        let committed = self.oracle.committed.entry(volume).or_default();
        let (len, have) = (committed.len(), replica.log.len());
        let lacks = len > 0 && replica.log.get(len - 1) != committed.get(len - 1);
        if lacks && !self.oracle.overridden {
            let text = format!("node {node} is active with {have} writes of volume {volume}, without {len}");
            self.violated("acknowledged", text);
        }
        self.one_holder(volume, epoch, node, boot);
        self.promotions += 1;
    }

    /// An epoch has one holder.
    fn one_holder(&mut self, volume: VolumeId, epoch: Epoch, node: NodeId, boot: BootId) {
        let first = *self.oracle.holders.entry((volume, epoch)).or_insert((node, boot));
        if first != (node, boot) {
            let text =
                format!("epoch {epoch} of volume {volume} belongs to node {} and to node {node}", first.0);
            self.violated("one-holder", text);
        }
    }

    /// A node's durable epochs only grow.
    pub(super) fn check_durable(&mut self, node: NodeId) {
        let Some(disk) = self.machines[usize::from(node.0) - 1].store.disk.read() else { return };
        let epochs: Vec<_> = disk.volumes.iter().map(|(id, volume)| (*id, volume.max_epoch)).collect();
        for (volume, epoch) in epochs {
            let before = self.oracle.durable_epochs.insert((node, volume), epoch).unwrap_or_default();
            if epoch < before {
                self.violated("epochs-grow", format!("node {node}, volume {volume}: {before}, then {epoch}"));
            }
        }
    }

    /// The witness's epochs only grow, and each belongs to one holder.
    pub(super) fn check_witness_record(&mut self) {
        let Some(record) = self.witness.disk.read() else { return };
        let registers: Vec<_> = record.volumes.iter().map(|(id, r)| (*id, r.epoch, r.holder)).collect();
        for (volume, epoch, holder) in registers {
            if let Some(holder) = holder {
                self.one_holder(volume, epoch, holder.node, holder.boot);
            }
            self.oracle.granted.insert(volume, epoch);
        }
    }

    /// A permit is given only over a node that holds something of which the fencer has an in-sync replica, and
    /// not while the target alone has the data of another volume.
    fn check_permit(&mut self, target: NodeId, boot: BootId, fencer: NodeId, reason: FenceReason) {
        let Some(record) = self.witness.machine().map(|machine| machine.record()) else { return };
        if reason == FenceReason::Operator {
            return;
        }
        // What an earlier boot held is no service that could end.
        let holder = Holder { node: target, boot };
        let held = || record.volumes.values().filter(|register| register.holder == Some(holder));
        let stake = held().any(|register| register.isr.contains(fencer));
        let solo = held().any(|register| register.isr == NodeSet::only(target));
        let failed = record.nodes.get(&target).is_some_and(|known| known.failed.is_some());
        if !stake {
            self.violated("permit-stake", format!("node {fencer} may fence node {target} for nothing"));
        } else if solo && !failed {
            let text = format!("node {fencer} may fence node {target}, which has some data alone");
            self.violated("permit-solo", text);
        }
    }

    /// An agent is started only under a live permit, and no two work on one target.
    pub(super) fn check_agent_start(&mut self, node: NodeId, order: Order) {
        if order.action == PowerAction::On {
            return;
        }
        let target = order.target;
        if let Some((other, id)) = self.oracle.agents.insert(target, (node, order.id))
            && other != node
            && !self.is_orphan(target, other)
        {
            let text = format!("agents of nodes {other} ({id:?}) and {node} work on node {target}");
            self.violated("one-fence", text);
        }
        let now = self.now;
        let machine = self.machine(node);
        let Some(core) = machine.node() else { return };
        let status = core.status(machine.now(now));
        let permit = status.fences.iter().find(|f| f.target == target).and_then(|f| f.permit);
        if !self.has_permit(target, node, permit) && self.is_serving(target) {
            let text = format!("node {node} starts an agent against serving node {target} under {permit:?}");
            self.violated("fence-permit", text);
        }
    }

    pub(super) fn agent_over(&mut self, node: NodeId, order: Order) {
        if self.oracle.agents.get(&order.target) == Some(&(node, order.id)) {
            self.oracle.agents.remove(&order.target);
        }
    }

    fn has_permit(&self, target: NodeId, fencer: NodeId, permit: Option<picket_core::ids::PermitId>) -> bool {
        if self.is_orphan(target, fencer) {
            return true;
        }
        let live = |record: &Record| record.nodes.get(&target).and_then(|known| known.permit);
        let live = self.witness.disk.read().and_then(live);
        live.is_some_and(|live| live.fencer == fencer && permit.is_none_or(|id| id == live.id))
    }

    /// The witness's store is about to be gone, and its live permits with it.
    pub(super) fn orphan_permits(&mut self) {
        let Some(record) = self.witness.disk.read() else { return };
        let ends = |lives| self.now + nanos(lives) + SECOND;
        let live = record.nodes.iter().filter_map(|(target, known)| {
            known.permit.map(|live| ((*target, live.fencer), ends(live.lives)))
        });
        let orphans: Vec<_> = live.collect();
        self.oracle.orphans.extend(orphans);
    }

    fn is_orphan(&self, target: NodeId, fencer: NodeId) -> bool {
        self.oracle.orphans.get(&(target, fencer)).is_some_and(|until| self.now < *until)
    }

    fn is_serving(&self, node: NodeId) -> bool {
        self.machine(node).replicas.keys().any(|volume| self.can_acknowledge(node, *volume))
    }

    /// A power-off under a permit never ends a service that the target was granted after the permit.
    pub(super) fn check_fence_hits(&mut self, fencer: NodeId, target: NodeId) {
        if self.is_serving(target) && !self.has_permit(target, fencer, None) && !self.oracle.overridden {
            let text = format!("node {fencer} hits serving node {target} without a live permit");
            self.violated("fence-permit", text);
        }
    }

    /// A node that is solo or verified inactive on everything is never reset by its own watchdog.
    pub(super) fn check_watchdog_kill(&mut self, node: NodeId) {
        let params = self.setup.params();
        let window = params.watchdog.map_or(0, |w| nanos(w.effective)) + self.progress_bound() + SECOND / 2;
        let machine = self.machine(node);
        let hindered = self.now.since(machine.daemon_hindered_at) < window || !machine.daemon_runs();
        let Some(core) = machine.node().filter(|_| !hindered) else { return };
        let local = machine.now(self.now);
        let free = |volume: &node::VolumeStatus| {
            volume.solo || volume.report.as_ref().is_some_and(|report| report.role == Role::Secondary)
        };
        if core.status(local).volumes.iter().all(free) {
            let until = core.pet_until(local);
            let text = format!("node {node}: its watchdog kills it, petting allowed until {until:?}");
            self.violated("innocent-reset", text);
        }
    }

    /// The same for resets that the daemon orders, and a volume that is solo is not killed for another.
    pub(super) fn check_reset(&mut self, node: NodeId, reason: &ResetReason) {
        let machine = self.machine(node);
        let Some(core) = machine.node() else { return };
        let status = core.status(machine.now(self.now));
        let inactive = |volume: &node::VolumeStatus| {
            volume.report.as_ref().is_some_and(|report| report.role == Role::Secondary)
        };
        if status.volumes.iter().all(inactive) && !matches!(reason, ResetReason::StopFailed { .. }) {
            self.violated("innocent-reset", format!("node {node} resets itself: {reason:?}"));
        } else if matches!(reason, ResetReason::AuthorityLost { .. })
            && status.volumes.iter().any(|volume| volume.solo)
        {
            self.violated("solo-killed", format!("node {node} resets itself: {reason:?}"));
        }
    }

    pub(super) fn node_event(&mut self, node: NodeId, event: &node::Event) {
        self.log.line(self.now, node, || format!("{event:?}"));
        match event {
            node::Event::Alarm(text) if !self.oracle.overridden => {
                self.violated("alarm", format!("node {node}: {text}"));
            }
            node::Event::Granted { volume, proof, .. } => {
                *self.proofs.entry(proof.word()).or_default() += 1;
                self.last_proof.insert(*volume, proof.word());
            }
            node::Event::Waiting { refusal, .. } | node::Event::NotGranted { refusal, .. } => {
                self.refusals.insert(refusal.word());
            }
            _ => {}
        }
    }

    pub(super) fn witness_event(&mut self, event: &witness::Event) {
        self.log.line(self.now, "wit", || format!("{event:?}"));
        if let witness::Event::Permitted { target, boot, fencer, reason, .. } = event {
            self.permits += 1;
            self.check_permit(*target, *boot, *fencer, *reason);
        }
        if let witness::Event::OperatorAsked { target, .. } = event
            && self.careless.contains(*target)
        {
            let at = self.now + self.rng.range(SECOND / 10, SECOND);
            self.put(at, super::event::Ev::Confirm(*target));
        }
    }

    pub(super) fn witness_alarm(&mut self, alarm: &witness::Alarm) {
        self.log.line(self.now, "wit", || format!("ALARM {alarm:?}"));
        match alarm {
            witness::Alarm::Broken { invariant, volume } => {
                self.violated("alarm", format!("witness, volume {volume}: {invariant}"));
            }
            witness::Alarm::OffButSpeaks { .. } | witness::Alarm::Contradiction { .. } => {}
        }
    }

    /// The volumes that nobody serves, although a machine runs that has all of the data.
    #[must_use]
    pub fn unserved(&self) -> Vec<VolumeId> {
        self.setup
            .volumes()
            .map(|(volume, _)| volume)
            .filter(|volume| !self.machines.iter().any(|m| self.can_acknowledge(m.id, *volume)))
            .filter(|volume| self.machines.iter().any(|m| self.is_healthy(m.id, *volume)))
            .collect()
    }

    /// Whether a node is in the recorded in-sync set and has the data that it must have for that. A disk that
    /// was swapped under the only in-sync replica leaves nobody.
    fn is_healthy(&self, node: NodeId, volume: VolumeId) -> bool {
        let Some(register) = self.witness.disk.read().and_then(|record| record.volumes.get(&volume)) else {
            return true;
        };
        let Some(replica) = self.machine(node).replicas.get(&volume) else { return false };
        let descends = replica.generation.descends_from(register.generation);
        let unknown = register.isr.is_empty();
        unknown || register.isr.contains(node) && replica.complete && descends
    }
}

impl World {
    /// Every volume is served.
    pub fn expect_served(&mut self, after: &str) {
        if self.oracle.violation.is_some() || self.oracle.overridden {
            return;
        }
        let unserved = self.unserved();
        if !unserved.is_empty() {
            let mut text = format!("after {after} nobody serves volumes {unserved:?}");
            for machine in &self.machines {
                let Some(core) = machine.node() else { continue };
                let status = core.status(machine.now(self.now));
                for volume in status.volumes.iter().filter(|volume| unserved.contains(&volume.volume)) {
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
            self.violated("served", text);
        }
    }
}
