//! What must be in the end.

use super::faults::Fault;
use super::host::Host;
use super::net::BREAKS_AFTER;
use super::properties::{is_writable, isr};
use super::setup::{COLD_START, Devices, Setup};
use super::world::World;
use picket_core::ids::{Epoch, NodeId, VolumeId};
use picket_core::time::Duration;

/// How long after a refusal a node asks for a volume again: see `core/src/node/arbitration.rs`.
const ASKS_AGAIN: Duration = Duration::from_secs(1);

/// For how long a node that gave up on a device or on a promotion leaves it alone: see there and
/// `core/src/node/fencing.rs`.
const RESTS: Duration = Duration::from_secs(5);

/// What a machine's count of boots says when the cluster has settled: it boots once before that, and counts from one.
const BOOTS: u8 = 2;

/// What is done after the last fault, and what must come of it without any person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything is healed and switched on: each volume is active somewhere, unless every node that could have it is
    /// on standby.
    Active,
    /// The same, also where a node gave up on a device or on a promotion and rests before it tries again; and where a
    /// person is asked whether a node is off, on which the volume waits, longer than a takeover takes, the answer is
    /// waited for, however long that takes.
    Eventually,
    /// The same, every node is put online, and every node is in sync again with every volume.
    Redundant,
    /// Links are healed, but what is off stays off: each volume is active on one of those that are left.
    Survivors,
    /// The same as the first, and no volume was given to anybody anew: nothing gave a reason to.
    Kept,
    /// The same as the first, and no machine has booted since the beginning: nothing gave a reason to.
    Standing,
    /// Nothing is healed and nothing is asked for: the family's faults leave work for a person.
    Open,
}

impl End {
    /// Heals.
    pub fn heal(self, world: &mut World) {
        match self {
            Self::Open => {}
            Self::Survivors => Fault::Heal.inject(world),
            Self::Active | Self::Eventually | Self::Redundant | Self::Kept | Self::Standing => {
                Fault::Heal.inject(world);
                world.agent_faults.clear();
                let ids: Vec<_> = world.hosts.keys().copied().collect();
                for id in ids {
                    world.power_on(id);
                    if self == Self::Redundant {
                        Fault::Online(id).inject(world);
                    }
                }
            }
        }
    }

    /// Within how long after the healing: a takeover; in some families a request may be refused for good and made again,
    /// and two takeovers may end in a rest first, as after a device that failed and a promotion that did.
    #[must_use]
    pub fn within(self, setup: &Setup) -> Duration {
        let takeover = takeover(setup);
        match self {
            Self::Open => Duration::ZERO,
            Self::Active | Self::Survivors | Self::Kept | Self::Standing => takeover,
            Self::Eventually | Self::Redundant => (takeover + RESTS) * 2 + takeover + ASKS_AGAIN,
        }
    }

    /// For how long nothing may be missing before a run is over: whoever comes back has booted and said what it has,
    /// whoever takes it for gone has missed it, and each lease that was given before has ended.
    #[must_use]
    pub fn steady(self, setup: &Setup) -> Duration {
        match self {
            Self::Open => Duration::ZERO,
            _ => setup.params.lease_and_guard() + setup.params.suspect_after() + setup.boot,
        }
    }

    /// How soon after the healing it may be left to a person's answer: all waits are over that end by themselves, but for
    /// rests. None: never.
    #[must_use]
    pub fn patience(self, setup: &Setup) -> Option<Duration> {
        (self == Self::Eventually).then(|| takeover(setup))
    }

    /// What is missing; none: it is reached.
    #[must_use]
    pub fn missing(self, world: &World) -> Option<String> {
        if self == Self::Open {
            return None;
        }
        if self == Self::Kept
            && let Some(volume) = granted_anew(world)
        {
            return Some(format!("volume {volume} was given away, though nothing was wrong with its holder"));
        }
        if self == Self::Standing
            && let Some(node) = booted_again(world)
        {
            return Some(format!("node {node} was reset, though nothing was wrong with it"));
        }
        inactive(world)
            .map(|volume| format!("volume {volume} is active nowhere, long after everything was healed"))
            .or_else(|| {
                if self == Self::Redundant { not_in_sync(world).or_else(|| cut_off(world)) } else { None }
            })
    }
}

/// The longest that a takeover takes when every wait in it comes after the one before: streams break, machines boot, a
/// cold start is over, a witness that has just started may have missed somebody, a permit lives for as long as it can,
/// and the promotion takes its time.
fn takeover(setup: &Setup) -> Duration {
    let params = &setup.params;
    let boots = BREAKS_AFTER + setup.boot + COLD_START;
    let missed = params.lease_and_guard() + params.suspect_after();
    let devices = if setup.devices == Devices::None { Duration::ZERO } else { setup.agent };
    let permit = params.start_within + devices * (u32::from(setup.retries) + 1) + params.guard;
    boots + missed + permit + setup.driver
}

/// Each volume that nobody serves waits for a person: he is asked whether a node is off that holds it, or that is in its
/// in-sync set. Such a permit ends by no timer.
pub(super) fn waits_for_a_person(world: &World) -> bool {
    let asked = |volume| {
        let register = world.record.as_ref().and_then(|record| record.volumes.get(&volume));
        let holder = register.and_then(|register| register.holder).map(|holder| holder.node);
        let mut nodes = isr(world.record.as_ref(), volume).iter().chain(holder);
        nodes.any(|node| world.challenge(node).is_some())
    };
    unserved(world).all(asked)
}

/// A volume that nobody serves.
#[must_use]
pub fn inactive(world: &World) -> Option<VolumeId> {
    unserved(world).next()
}

fn unserved(world: &World) -> impl Iterator<Item = VolumeId> {
    let served = |volume: &VolumeId| world.hosts.values().any(|host| is_writable(host, *volume));
    world.acknowledged.keys().copied().filter(move |volume| !served(volume) && !stands_by(world, *volume))
}

/// A volume that was granted more than once.
fn granted_anew(world: &World) -> Option<VolumeId> {
    let mut registers = world.record.iter().flat_map(|record| &record.volumes);
    registers.find(|(_, register)| register.epoch > Epoch(1)).map(|(volume, _)| *volume)
}

/// A machine that has died or booted since the beginning.
fn booted_again(world: &World) -> Option<NodeId> {
    let stands = |host: &&Host| host.runs() && host.boots == BOOTS;
    world.hosts.values().find(|host| !stands(host)).map(|host| host.id)
}

/// Of the nodes that run and are in sync with a volume, every one is on standby.
fn stands_by(world: &World, volume: VolumeId) -> bool {
    let members = isr(world.record.as_ref(), volume);
    let mut able = world.hosts.values().filter(|host| host.powered && members.contains(host.id)).peekable();
    able.peek().is_some() && able.all(|host| host.disk.standby)
}

fn not_in_sync(world: &World) -> Option<String> {
    world.acknowledged.keys().find_map(|volume| {
        let out = world.members().minus(isr(world.record.as_ref(), *volume));
        (!out.is_empty()).then(|| {
            format!(
                "nodes {out} never come back into the in-sync set of volume {volume}, though all is healed"
            )
        })
    })
}

/// A daemon that has no session with the witness.
fn cut_off(world: &World) -> Option<String> {
    let registered =
        |host: &&Host| host.daemon.as_ref().is_none_or(|node| node.status(world.now).witness.registered);
    let host = world.hosts.values().find(|host| !registered(host))?;
    Some(format!("{} has no session with the witness, though all is healed", host.id))
}

#[cfg(test)]
mod tests;
