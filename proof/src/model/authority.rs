//! No service without authority: whoever shares a volume is in service only while somebody said so lately.

use super::properties::{is_writable, isr};
use super::setup::WATCHED;
use super::world::World;
use picket_core::ids::{NodeId, NodeSet, VolumeId};
use picket_core::witness::Record;

/// A lease after the witness or the peers said last that a holder may go on, it is not active any more. That holds
/// where a watchdog ends a machine whose daemon cannot; it does not while an operator answers for it: under an
/// override, and after a stop that left the volume running, until a daemon has armed the watchdog and registered again.
pub fn active_without_authority(world: &World) -> Option<String> {
    if world.setup.self_fence != WATCHED || world.watch.overridden {
        return None;
    }
    let lease = picket_core::params::with_drift(world.setup.params.lease);
    world.watch.authority.iter().find_map(|((node, volume), at)| {
        let host = world.hosts.get(node)?;
        let guarded = host.pet_stop.is_some() && !host.left_running;
        let late = guarded && world.now > *at + lease && is_writable(host, *volume);
        (late && !is_alone(world, *node, *volume))
            .then(|| format!("node {node} is active on volume {volume} a lease after anybody let it"))
    })
}

/// By the record, or by what the node knows itself: a store that was put back does not take that away.
pub(super) fn is_alone(world: &World, node: NodeId, volume: VolumeId) -> bool {
    let only = NodeSet::only(node);
    let known = world.hosts.get(&node).and_then(|host| host.disk.volumes.get(&volume));
    isr(world.record.as_ref(), volume) == only || known.is_some_and(|known| known.maximal_isr() == only)
}

/// A daemon that has said that it may be ended is not granted anything: its process is as good as gone.
pub(super) fn granted_to_the_stopped(world: &World, before: &Record, after: &Record) -> Option<String> {
    after.volumes.iter().find_map(|(volume, new)| {
        let holder = new.holder?;
        let same = before.volumes.get(volume).is_some_and(|old| old.epoch == new.epoch);
        let host =
            world.hosts.get(&holder.node).filter(|host| host.said_stopped && host.boot() == holder.boot)?;
        (!same)
            .then(|| format!("node {} is granted volume {volume} after it said that it has stopped", host.id))
    })
}
