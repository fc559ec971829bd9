//! What must never be, and what must be in the end. One function each.

use super::host::Host;
use super::world::World;
use picket_core::ids::{NodeId, NodeSet, VolumeId};
use picket_core::node::Role;

/// Checks everything that is a matter of one moment.
pub fn check(world: &mut World) {
    let mut found = Vec::new();
    found.extend(two_writers(world));
    found.extend(two_holders_of_an_epoch(world));
    world.violations.extend(found);
}

/// The replica on this machine would acknowledge a write now, if its required peers took it.
fn is_writable(host: &Host, volume: VolumeId) -> bool {
    let replica = host.volumes.get(&volume);
    host.runs() && host.paused_until.is_none() && replica.is_some_and(super::replica::Replica::takes_writes)
}

/// Invariant 1: a volume is never writable on two nodes at once. A primary whose barrier holds writes back, because
/// the other has cut it off, is not writable.
fn two_writers(world: &World) -> Option<String> {
    for volume in world.acknowledged.keys() {
        let open = |host: &&Host| {
            let replica = host.volumes.get(volume);
            is_writable(host, *volume) && replica.is_some_and(|replica| replica.lost.is_empty())
        };
        let can = |host: &&Host| {
            let required = host.volumes.get(volume).map_or(NodeSet::EMPTY, |replica| replica.required);
            required.iter().all(|peer| world.takes(*volume, host.id, peer))
        };
        let writers: Vec<NodeId> =
            world.hosts.values().filter(open).filter(can).map(|host| host.id).collect();
        if writers.len() > 1 {
            return Some(format!("volume {volume} is writable on {writers:?} at once"));
        }
    }
    None
}

/// Invariant 2: what is active has every acknowledged write.
pub fn check_acknowledged(world: &mut World, volume: VolumeId, id: NodeId) {
    let Some(replica) = world.hosts.get(&id).and_then(|host| host.volumes.get(&volume)) else { return };
    let Some(acknowledged) = world.acknowledged.get(&volume) else { return };
    let missing = acknowledged.iter().find(|write| !replica.log.contains(write)).copied();
    if let Some(write) = missing {
        world
            .violations
            .push(format!("n{id} is active on volume {volume} without the acknowledged write {write}"));
    }
}

/// Invariant 3: one holder of an epoch.
fn two_holders_of_an_epoch(world: &World) -> Option<String> {
    for volume in world.acknowledged.keys() {
        let mut epochs: Vec<_> = world
            .hosts
            .values()
            .filter_map(|host| host.volumes.get(volume))
            .filter(|replica| replica.role == Role::Primary)
            .map(|replica| replica.epoch)
            .collect();
        let all = epochs.len();
        epochs.sort_unstable();
        epochs.dedup();
        if epochs.len() != all {
            return Some(format!("two primaries of volume {volume} with the same epoch"));
        }
    }
    None
}

/// Invariant 6: a machine all of whose volumes are verified inactive is not reset by its own watchdog.
pub fn check_reset(world: &mut World, id: NodeId) {
    let Some(host) = world.hosts.get(&id) else { return };
    let stopped = host.stalled_until.is_some() || host.daemon.is_none();
    let idle = host.volumes.values().all(|replica| replica.role == Role::Secondary);
    let busy = host.daemon.as_ref().is_some_and(|daemon| daemon.records().1.failed);
    if idle && !stopped && !busy {
        world.violations.push(format!("n{id} is reset although nothing is active on it"));
    }
}

/// In the end: some healthy node is active, for each volume.
pub fn check_end(world: &mut World) {
    if let Some(volume) = inactive(world) {
        world.violations.push(format!("volume {volume} is active nowhere, long after everything was healed"));
    }
}

/// A volume that nobody serves.
#[must_use]
pub fn inactive(world: &World) -> Option<VolumeId> {
    world
        .acknowledged
        .keys()
        .copied()
        .find(|volume| !world.hosts.values().any(|host| is_writable(host, *volume)))
}
