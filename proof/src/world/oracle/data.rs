//! Acknowledged writes: in the data of whoever is active, and at every member of the recorded set.

use super::super::World;
use picket_core::ids::{BootId, Epoch, NodeId, VolumeId};

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
    }

    /// A disk was swapped: nobody may be left who has the data.
    pub(in super::super) fn disk_swapped(&mut self, volume: VolumeId) {
        self.oracle.disks_lost.insert(volume);
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
