//! When an operator who has looked may end a recovery.

use super::super::world::World;
use super::is_powered;
use picket_core::ids::{IsrVersion, NodeId, VolumeId};
use picket_core::witness::Witness;

/// The members that did not report are off, and none of them knows of a newer in-sync set than those who did: no later
/// fault makes that word wrong. Or one of them is heard, so that the word must not be taken.
pub(super) fn is_right(world: &World) -> bool {
    let Some(witness) = &world.witness else { return false };
    let Some(missing) = witness.recovering() else { return false };
    let off = missing.iter().all(|node| !is_powered(world, node));
    off && is_newest_reported(world, witness) || missing.iter().any(|node| is_heard(world, witness, node))
}

fn is_heard(world: &World, witness: &Witness, node: NodeId) -> bool {
    let others = world.members().without(node);
    witness.hears().contains(node)
        || others.iter().any(|other| witness.hears_of(other, world.now).contains(node))
}

fn is_newest_reported(world: &World, witness: &Witness) -> bool {
    let missing = witness.recovering().unwrap_or_default();
    let reported = world.members().minus(missing);
    world.acknowledged.keys().all(|volume| {
        let newest = |nodes: picket_core::ids::NodeSet| {
            nodes.iter().map(|node| known(world, node, *volume)).max().unwrap_or_default()
        };
        newest(reported) == newest(world.members())
    })
}

/// The version of the newest in-sync set that the node has on its disk.
fn known(world: &World, node: NodeId, volume: VolumeId) -> IsrVersion {
    let disk = world.hosts.get(&node).and_then(|host| host.disk.volumes.get(&volume));
    disk.map(|disk| disk.isr_version).unwrap_or_default()
}
