//! When an operator who has looked may end a recovery.

use super::super::world::World;
use super::is_powered;
use picket_core::ids::{IsrVersion, NodeId, NodeSet, VolumeId};
use picket_core::witness::Witness;

/// The members that did not report are off, and none of them knows of a newer in-sync set than those who did: no later
/// fault makes that word wrong. Or one of them is heard, so that the word must not be taken.
pub(super) fn is_right(world: &World) -> bool {
    let Some(witness) = &world.witness else { return false };
    let Some(missing) = witness.recovering() else { return false };
    let off = missing.iter().all(|node| !is_powered(world, node));
    let reported = world.members().minus(missing);
    off && know_the_newest(world, reported) || missing.iter().any(|node| is_heard(world, witness, node))
}

/// The members that did not report are off or boot, and those that boot will have reported what they know of before the
/// word counts: for families in which nothing keeps them from that.
pub(super) fn is_early(world: &World) -> bool {
    let Some(missing) = world.witness.as_ref().and_then(|witness| witness.recovering()) else { return false };
    let boots = |node: &NodeId| world.hosts.get(node).is_some_and(|host| host.booted_at.is_some());
    let booting: NodeSet = missing.iter().filter(boots).collect();
    let others = missing.minus(booting);
    let off = others.iter().all(|node| !is_powered(world, node));
    off && !booting.is_empty() && know_the_newest(world, world.members().minus(others))
}

fn is_heard(world: &World, witness: &Witness, node: NodeId) -> bool {
    let others = world.members().without(node);
    witness.hears().contains(node)
        || others.iter().any(|other| witness.hears_of(other, world.now).contains(node))
}

/// Nobody knows of a newer in-sync set than these nodes.
fn know_the_newest(world: &World, these: NodeSet) -> bool {
    world.acknowledged.keys().all(|volume| {
        let newest =
            |nodes: NodeSet| nodes.iter().map(|node| known(world, node, *volume)).max().unwrap_or_default();
        newest(these) == newest(world.members())
    })
}

/// The version of the newest in-sync set that the node has on its disk.
fn known(world: &World, node: NodeId, volume: VolumeId) -> IsrVersion {
    let disk = world.hosts.get(&node).and_then(|host| host.disk.volumes.get(&volume));
    disk.map(|disk| disk.isr_version).unwrap_or_default()
}
