//! What must be in the end.

use super::faults::Fault;
use super::host::Host;
use super::properties::{is_writable, isr};
use super::world::World;
use picket_core::ids::VolumeId;
use picket_core::time::Duration;

/// What is done after the last fault, and what must come of it without any person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything is healed and switched on: each volume is active somewhere, unless every node that could have it is
    /// on standby.
    Active,
    /// The same, also where a node gave up on a device or on a promotion and rests before it tries again.
    Eventually,
    /// The same, every node is put online, and every node is in sync again with every volume.
    Redundant,
    /// Links are healed, but what is off stays off: each volume is active on one of those that are left.
    Survivors,
    /// Nothing is healed and nothing is asked for: the family's faults leave work for a person.
    Open,
}

impl End {
    /// Heals.
    pub fn heal(self, world: &mut World) {
        match self {
            Self::Open => {}
            Self::Survivors => Fault::Heal.inject(world),
            Self::Active | Self::Eventually | Self::Redundant => {
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

    /// Within how long after the healing.
    #[must_use]
    pub const fn within(self) -> Duration {
        match self {
            Self::Open => Duration::ZERO,
            Self::Active | Self::Survivors => Duration::from_millis(1200),
            // A node that gave up on a device or on a promotion leaves both alone for five seconds.
            Self::Eventually | Self::Redundant => Duration::from_millis(12_000),
        }
    }

    /// What is missing; none: it is reached.
    #[must_use]
    pub fn missing(self, world: &World) -> Option<String> {
        if self == Self::Open {
            return None;
        }
        inactive(world)
            .map(|volume| format!("volume {volume} is active nowhere, long after everything was healed"))
            .or_else(|| {
                if self == Self::Redundant { not_in_sync(world).or_else(|| cut_off(world)) } else { None }
            })
    }
}

/// A volume that nobody serves.
#[must_use]
pub fn inactive(world: &World) -> Option<VolumeId> {
    let served = |volume: &VolumeId| world.hosts.values().any(|host| is_writable(host, *volume));
    world.acknowledged.keys().copied().find(|volume| !served(volume) && !stands_by(world, *volume))
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
