//! Acknowledged writes: in the data of whoever is active, and at every member of the recorded set.

use super::super::World;
use super::super::clock::SECOND;
use picket_core::ids::{BootId, Epoch, NodeId, NodeSet, VolumeId};

/// So long after a swap no request is under way any more that took the old disk for the new one: a stalled process, which
/// finds it in its queue, stands for twenty seconds at most.
const SWAP_KNOWN: u64 = 30 * SECOND;

impl World {
    /// Every acknowledged write is in the data of whoever acknowledges the next one.
    pub(in super::super) fn check_acknowledged(&mut self, node: NodeId, volume: VolumeId, len: usize) {
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
        self.check_barrier(node, volume);
        self.check_in_sync(volume);
    }

    /// A disk was swapped: whoever had it in sync does not know that yet.
    pub(in super::super) fn disk_swapped(&mut self, node: NodeId, volume: VolumeId) {
        self.oracle.swapped.insert((node, volume), self.now);
        self.oracle.disks_lost.insert(volume);
    }

    /// Every member of the recorded in-sync set has every acknowledged write. What a witness that recovers has recorded
    /// says nothing, nor what one has that was rolled back and does not know it yet.
    pub(super) fn check_in_sync(&mut self, volume: VolumeId) {
        let known = !self.oracle.rolled_back && !self.oracle.overridden;
        let record = self.witness.disk.read().filter(|record| known && !record.recovery);
        let Some(isr) = record.and_then(|record| record.volumes.get(&volume)).map(|register| register.isr)
        else {
            return;
        };
        let lacking: NodeSet =
            self.setup.members().iter().filter(|node| self.lacks_writes(*node, volume)).collect();
        let now = self.now;
        self.oracle.swapped.retain(|(node, of), at| {
            *of != volume || lacking.contains(*node) && (isr.contains(*node) || now.since(*at) < SWAP_KNOWN)
        });
        let excused = |node: &NodeId| self.oracle.swapped.contains_key(&(*node, volume));
        let found: NodeSet = isr.iter().filter(|node| lacking.contains(*node) && !excused(node)).collect();
        if !found.is_empty() {
            let text =
                format!("nodes {found} count as in sync on volume {volume} and lack acknowledged writes");
            self.violated("in-sync", text);
        }
    }

    fn lacks_writes(&self, node: NodeId, volume: VolumeId) -> bool {
        let committed = self.oracle.committed.get(&volume).map_or(&[][..], Vec::as_slice);
        let Some(newest) = committed.last() else { return false };
        let replica = self.machine(node).replicas.get(&volume);
        replica.is_none_or(|replica| replica.log.get(committed.len() - 1) != Some(newest))
    }

    /// A write that is acknowledged waited for every member of the recorded in-sync set. What a witness that
    /// recovers has recorded says nothing, nor what one has that was rolled back and does not know it yet.
    fn check_barrier(&mut self, node: NodeId, volume: VolumeId) {
        let Some(replica) = self.machine(node).replicas.get(&volume) else { return };
        let known = !self.oracle.rolled_back;
        let Some(record) = self.witness.disk.read().filter(|record| known && !record.recovery) else {
            return;
        };
        let Some(register) = record.volumes.get(&volume) else { return };
        let holds = register.holder.is_some_and(|holder| holder.node == node);
        if !holds || replica.primary() != Some(register.epoch) || self.oracle.overridden {
            return;
        }
        let skipped = register.isr.without(node).minus(replica.required());
        if !skipped.is_empty() {
            let text = format!(
                "node {node} acknowledges a write to volume {volume} that did not wait for nodes {skipped}"
            );
            self.violated("barrier", text);
        }
    }

    /// Every acknowledged write is in the data of whoever becomes active; an epoch has one holder.
    pub(in super::super) fn check_promotion(&mut self, node: NodeId, volume: VolumeId, epoch: Epoch) {
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
    pub(super) fn one_holder(&mut self, volume: VolumeId, epoch: Epoch, node: NodeId, boot: BootId) {
        let first = *self.oracle.holders.entry((volume, epoch)).or_insert((node, boot));
        if first != (node, boot) {
            let which =
                if first.0 == node { "an earlier boot of it".into() } else { format!("node {}", first.0) };
            let text = format!("epoch {epoch} of volume {volume} belongs to node {node} and to {which}");
            self.violated("one-holder", text);
        }
    }
}
