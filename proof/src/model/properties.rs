//! What must never be. One function each.

use super::host::{Host, VolumeAction2};
use super::replica::Replica;
use super::world::World;
use crate::asks_for_a_volume;
use picket_core::ids::{Epoch, NodeId, NodeSet, VolumeId};
use picket_core::message::Request;
use picket_core::node::{self, CommandId, Phase, ResetReason, Role};
use picket_core::witness::{Input, Record};

/// More things than this in one instant are no work that comes to an end: all nodes starting at once need some hundred.
const AT_ONCE_MAX: u16 = 3_000;

/// Checks everything that is a matter of one moment.
pub fn check(world: &mut World) {
    let found = two_active(world).or_else(|| two_writers(world)).or_else(|| two_holders_of_an_epoch(world));
    let found = found.or_else(|| refused_and_active(world)).or_else(|| node_epochs_grow(world));
    let found =
        found.or_else(|| never_rests(world)).or_else(|| super::authority::active_without_authority(world));
    world.violations.extend(found);
}

/// What is asked and answered comes to an end before time passes. Nothing takes time here, so that whoever asks again at
/// once after each refusal asks without end.
fn never_rests(world: &World) -> Option<String> {
    (world.at_once > AT_ONCE_MAX).then(|| "messages go to and fro without end".to_owned())
}

fn replicas(world: &World, volume: VolumeId) -> impl Iterator<Item = (&Host, &Replica)> {
    world.hosts.values().filter_map(move |host| Some((host, host.volumes.get(&volume)?)))
}

/// The machine runs, and a client that talks to it can read the volume and have writes accepted.
fn is_open(host: &Host, replica: &Replica) -> bool {
    host.runs() && host.paused_until.is_none() && replica.takes_writes()
}

/// The replica on this machine would acknowledge a write now, if its required peers took it.
#[must_use]
pub fn is_writable(host: &Host, volume: VolumeId) -> bool {
    host.volumes.get(&volume).is_some_and(|replica| is_open(host, replica))
}

/// Exclusivity by itself, whatever the barrier holds back: a volume is not in service on two nodes at once.
fn two_active(world: &World) -> Option<String> {
    world.acknowledged.keys().find_map(|volume| {
        let active: Vec<NodeId> =
            replicas(world, *volume).filter(|(host, r)| is_open(host, r)).map(|(host, _)| host.id).collect();
        (active.len() > 1).then(|| format!("volume {volume} is active on {} at once", names(&active)))
    })
}

fn names(nodes: &[NodeId]) -> String {
    nodes.iter().map(|node| format!("node {node}")).collect::<Vec<_>>().join(" and ")
}

/// The barrier by itself: no two nodes could each acknowledge a write. A primary whose barrier holds writes back,
/// because the other has cut it off, is not writable.
fn two_writers(world: &World) -> Option<String> {
    for volume in world.acknowledged.keys() {
        let can = |host: &Host, replica: &Replica| {
            is_open(host, replica)
                && replica.lost.is_empty()
                && replica.required.iter().all(|peer| world.takes(*volume, host.id, peer))
        };
        let writers: Vec<NodeId> =
            replicas(world, *volume).filter(|(host, r)| can(host, r)).map(|(host, _)| host.id).collect();
        if writers.len() > 1 {
            return Some(format!(
                "writes to volume {volume} are acknowledged on {} at once",
                names(&writers)
            ));
        }
    }
    None
}

/// What is active has every acknowledged write: looked at before each acknowledgement.
pub fn check_acknowledged(world: &mut World, volume: VolumeId, id: NodeId) {
    if world.watch.overridden {
        return;
    }
    let Some(replica) = world.replica(id, volume) else { return };
    let Some(acknowledged) = world.acknowledged.get(&volume) else { return };
    if let Some(write) = missing(replica, acknowledged) {
        world
            .violations
            .push(format!("node {id} is active on volume {volume} without the acknowledged write {write}"));
    }
}

/// The first of these writes that the replica does not have.
pub(super) fn missing(replica: &Replica, acknowledged: &[u16]) -> Option<u16> {
    // Both are in growing order of the writes' numbers.
    let mut log = replica.log.iter();
    acknowledged.iter().find(|write| !log.any(|has| has == *write)).copied()
}

/// What is promoted has every acknowledged write, and its epoch was never another node's.
pub fn check_promoted(world: &mut World, volume: VolumeId, id: NodeId, epoch: Epoch) {
    let promoted = |replica: &Replica| replica.role == Role::Primary && replica.epoch == epoch;
    if !world.replica(id, volume).is_some_and(promoted) {
        return;
    }
    check_acknowledged(world, volume, id);
    let before = world.watch.promoted.insert((volume, epoch), id).filter(|before| *before != id);
    if let Some(before) = before {
        world
            .violations
            .push(format!("epoch {epoch} of volume {volume} was node {before}'s and is now node {id}'s too"));
    }
}

/// One holder of an epoch.
fn two_holders_of_an_epoch(world: &World) -> Option<String> {
    world.acknowledged.keys().find_map(|volume| {
        let primary = |r: &Replica| r.role == Role::Primary;
        let mut epochs: Vec<_> =
            replicas(world, *volume).filter(|(_, r)| primary(r)).map(|(_, r)| r.epoch).collect();
        let all = epochs.len();
        epochs.sort_unstable();
        epochs.dedup();
        (epochs.len() != all).then(|| format!("two primaries of volume {volume} with the same epoch"))
    })
}

/// A refused renewal is final: a lease later, the holder that was told is not active any more, unless nobody else
/// can have the volume.
fn refused_and_active(world: &World) -> Option<String> {
    let lease = picket_core::params::with_drift(world.setup.params.lease);
    world.watch.refused.iter().find_map(|((node, volume), (epoch, at))| {
        let host = world.hosts.get(node)?;
        let replica = host.volumes.get(volume)?;
        let solo = super::authority::is_alone(world, *node, *volume);
        let late = is_open(host, replica) && replica.epoch == *epoch && !solo && world.now > *at + lease;
        late.then(|| {
            format!("node {node} is active on volume {volume} a lease after its renewal was refused")
        })
    })
}

/// The in-sync set of a volume, as recorded.
#[must_use]
pub fn isr(record: Option<&Record>, volume: VolumeId) -> NodeSet {
    record.and_then(|record| record.volumes.get(&volume)).map_or(NodeSet::EMPTY, |register| register.isr)
}

/// A machine all of whose volumes are verified inactive is not reset by itself or by its watchdog. What an earlier
/// daemon saw, the present one has not: until it has looked at every volume, and read what came of them while it was
/// stopped, none counts as verified; nor does what its driver cannot see.
pub fn check_reset(world: &mut World, id: NodeId) {
    let Some(host) = world.hosts.get(&id) else { return };
    let news = |(to, input): &(NodeId, node::Input)| {
        *to == id && matches!(input, node::Input::Volume { .. } | node::Input::VolumeDone { .. })
    };
    let unseen =
        host.blind_until.is_some() || host.volumes.keys().any(|volume| is_unread(world, id, *volume));
    if unseen || world.inbox.iter().any(news) {
        return;
    }
    let stopped = host.stalled_until.is_some() || host.daemon.is_none();
    let secondary = host.volumes.values().all(|replica| replica.role == Role::Secondary);
    let idle = secondary && !host.is_promoting();
    let busy = host.daemon.as_ref().is_some_and(|daemon| daemon.records().1.failed);
    if idle && !stopped && !busy {
        world.violations.push(format!("node {id} is reset although nothing is active on it"));
    }
}

/// A lease begins when a daemon first sees what was left running, and no machine resets itself for that volume before it
/// has ended.
pub fn check_taken_up(world: &mut World, id: NodeId, reason: &ResetReason) {
    let ResetReason::NotVerifiedInactive { volume } = reason else { return };
    let Some(host) = world.hosts.get(&id) else { return };
    let clock = host.clock(world.now);
    let lease = world.setup.params.lease;
    if host.taken_up.get(volume).is_some_and(|begun| clock < *begun + lease) {
        world.violations.push(format!(
            "node {id} resets itself for volume {volume} within the lease that began when its daemon took it up"
        ));
    }
}

/// A node that was alone with a volume by the record needs no lease for it, and is not reset because one has ended.
pub fn check_alone(world: &mut World, id: NodeId, alone: &[VolumeId], effect: &node::Effect) {
    let node::Effect::Reset { reason, .. } = effect else { return };
    if let Some(volume) = reason.without_authority().filter(|volume| alone.contains(volume)) {
        world.violations.push(format!("node {id} is reset for volume {volume}, with which it was alone"));
    }
}

/// A node that says that it has released everything has nothing active, and the witness records it as no volume's
/// holder.
pub fn check_released(world: &mut World, id: NodeId) {
    let Some(host) = world.hosts.get(&id) else { return };
    let primary = host.volumes.values().any(|replica| replica.role == Role::Primary);
    let active = primary || host.is_promoting();
    let holds =
        |record: &Record| record.volumes.values().any(|it| it.holder.is_some_and(|holder| holder.node == id));
    if active || world.record.as_ref().is_some_and(holds) {
        world.violations.push(format!("node {id} says that it has released everything, and has not"));
    }
}

/// A daemon that ends and leaves running what it holds has no stop of it under way: without a daemon a stop that its
/// driver has not carried out never comes to its end, and nothing else takes the volume out of service.
pub fn check_left_running(world: &mut World, id: NodeId) {
    let Some(host) = world.hosts.get(&id) else { return };
    let on_its_way = |(volume, _, action): &&(VolumeId, CommandId, VolumeAction2)| {
        *action == VolumeAction2::Demote && is_writable(host, *volume)
    };
    if let Some((volume, ..)) = host.commands.iter().find(on_its_way) {
        world
            .violations
            .push(format!("node {id} leaves volume {volume} running, of which a stop is under way"));
    }
}

/// A volume that lost its authority does not take a machine down on which another one is alone in its in-sync set.
/// A daemon that has not looked at that one yet does not count: none knows after a start that a volume is alone
/// until a witness says so, and without one its lease ends with the other's.
pub fn check_loss(world: &mut World, id: NodeId, reason: &ResetReason) {
    let ResetReason::AuthorityLost { volume: lost } = reason else { return };
    let is_read = |volume: &VolumeId| !is_unread(world, id, *volume);
    let solo = solo_volume(world, id).filter(|volume| volume != lost).filter(is_read);
    if let Some(volume) = solo {
        world.violations.push(format!("node {id} resets itself, although volume {volume} is nowhere else"));
    }
}

/// The node's daemon runs and has not looked at the volume since it started.
fn is_unread(world: &World, id: NodeId, volume: VolumeId) -> bool {
    let Some(host) = world.hosts.get(&id) else { return false };
    let status = host.daemon.as_ref().and_then(|it| it.volume_status(host.clock(world.now), volume));
    status.is_some_and(|status| status.phase == Phase::Unread)
}

/// A volume that is active on the node and that nobody else could take.
pub(super) fn solo_volume(world: &World, id: NodeId) -> Option<VolumeId> {
    let host = world.hosts.get(&id)?;
    world.acknowledged.keys().copied().find(|volume| {
        let register = world.record.as_ref().and_then(|record| record.volumes.get(volume));
        let alone = register.is_some_and(|r| {
            r.isr == NodeSet::only(id) && r.holder.is_some_and(|h| (h.node, h.boot) == (id, host.boot()))
        });
        alone && is_writable(host, *volume)
    })
}

/// Who speaks to the witness, if it speaks for itself.
#[derive(Clone, Copy, Debug)]
pub struct Speaker(Option<NodeId>);

impl Speaker {
    /// Of an input.
    #[must_use]
    pub fn of(input: &Input) -> Self {
        match input {
            Input::Message { node, message } if !matches!(message.body, Request::Operator { .. }) => {
                Self(Some(*node))
            }
            Input::Message { .. }
            | Input::Tick
            | Input::Connected { .. }
            | Input::Disconnected { .. }
            | Input::Operator { .. } => Self(None),
        }
    }
}

/// The epochs that a node keeps only grow.
fn node_epochs_grow(world: &World) -> Option<String> {
    let host = world.hosts.values().find(|host| host.epochs_fell)?;
    Some(format!("the durable epoch of node {} fell", host.id))
}

/// Checks one change of the witness's record.
pub fn check_record(world: &mut World, before: &Record, speaker: Speaker) {
    let Some(after) = &world.record else { return };
    let knows = after.recovery || after.volumes.values().any(|register| register.overridden);
    world.watch.unrecorded &= !knows;
    world.watch.put_back &= !after.recovery;
    let found: Vec<String> = [
        epochs_grow(before, after),
        one_grant_for_an_attempt(before, after),
        a_target_has_no_say(before, after, speaker),
        super::permits::changed(world, before, after),
        super::authority::granted_to_the_stopped(world, before, after),
        super::grants::changed(world, before, after),
    ]
    .into_iter()
    .flatten()
    .collect();
    world.watch.permits = after.permits;
    world.violations.extend(found);
}

/// Durable epochs only grow.
fn epochs_grow(before: &Record, after: &Record) -> Option<String> {
    before.volumes.iter().find_map(|(volume, old)| {
        let Some(new) = after.volumes.get(volume) else {
            return Some(format!("the witness has forgotten volume {volume}"));
        };
        let fell = new.epoch < old.epoch || new.isr_version < old.isr_version;
        fell.then(|| format!("the witness's epoch or version of volume {volume} fell"))
    })
}

/// The same attempt gets the same grant.
fn one_grant_for_an_attempt(before: &Record, after: &Record) -> Option<String> {
    before.volumes.iter().find_map(|(volume, old)| {
        let new = after.volumes.get(volume)?;
        let same = old.attempt.is_some() && (old.attempt, old.holder) == (new.attempt, new.holder);
        let twice = same && old.epoch != new.epoch && !before.recovery;
        twice.then(|| format!("one attempt at volume {volume} got epochs {} and {}", old.epoch, new.epoch))
    })
}

/// From its permit on, a target changes no in-sync set.
fn a_target_has_no_say(before: &Record, after: &Record, speaker: Speaker) -> Option<String> {
    let node = speaker.0?;
    before.nodes.get(&node)?.permit?;
    before.volumes.iter().find_map(|(volume, old)| {
        let new = after.volumes.get(volume)?;
        let changed = old.isr != new.isr && old.epoch == new.epoch && !before.recovery;
        changed.then(|| format!("node {node} is to be fenced and changed who is in sync on volume {volume}"))
    })
}

/// Who has said that it stands by asks for no volume, whatever it went through since.
pub fn check_asks(world: &mut World, id: NodeId, request: &Request) {
    if asks_for_a_volume(request) && world.watch.standby.contains(id) {
        world.violations.push(format!("node {id} has said that it stands by and asks for a volume"));
    }
}

#[cfg(test)]
mod tests;
