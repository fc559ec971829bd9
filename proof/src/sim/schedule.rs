//! Random clusters and random faults, by seed.

use crate::world::clock::{MS, SECOND, Time};
use crate::world::disk::DiskMode;
use crate::world::fault::Fault;
use crate::world::fence::DeviceMode;
use crate::world::net::{Lane, Link, Place, WITNESS};
use crate::world::rng::Rng;
use crate::world::setup::{MachineSetup, Setup, VolumeSetup, plan};
use crate::world::volume::DriverMode;
use picket_core::ids::{NodeId, NodeSet, VolumeId};
use picket_core::node::LossAction;
use picket_core::params::Profile;
use picket_core::quorum::QuorumMode;
use picket_core::topology::{DeviceKind, FencePlan};
use std::time::Duration;

/// A fault and its time.
#[derive(Clone, Debug)]
pub struct Planned {
    /// When it begins.
    pub at: Time,
    /// When it ends.
    pub until: Time,
    /// What it is.
    pub fault: Fault,
}

/// When a fault ends that has no end.
pub const FAR: Time = Time(u64::MAX / 2);

impl Planned {
    /// When the trouble of it is over, as far as it ever is: one that has no end lasts beyond the healing.
    #[must_use]
    pub fn over_at(&self) -> Time {
        if self.fault.lasts() && self.until < FAR { self.until } else { self.at }
    }
}

/// Faults begin after this moment: the cluster is up by then.
pub const CALM_UNTIL: Time = Time(20 * SECOND);

/// How much of the world's time holds faults.
const TROUBLE: u64 = 40 * SECOND;

/// A random cluster; `nodes` fixes its size.
#[must_use]
pub fn cluster(rng: &mut Rng, nodes: Option<u8>) -> Setup {
    let nodes = nodes.unwrap_or_else(|| rng.pick(&[2, 2, 2, 3, 3, 4, 5, 7]).unwrap_or(2));
    let profiles = [Profile::Fast, Profile::Fast, Profile::Fast, Profile::Wan, Profile::SlowWatchdog];
    let profile = rng.pick(&profiles).unwrap_or(Profile::Fast);
    let machines = (0..nodes).map(|_| machine(rng)).collect();
    let everybody: NodeSet = (1..=nodes).map(NodeId).collect();
    let volumes = (0..rng.range(1, 3)).map(|_| volume(rng, everybody)).collect();
    Setup {
        profile,
        timing: None,
        later: None,
        drops: false,
        machines,
        volumes,
        paths: u8::try_from(rng.range(1, 2)).unwrap_or(1),
        cold_start: Duration::from_secs(rng.range(3, 8)),
        quorum: if rng.permille(250) { QuorumMode::Majority } else { QuorumMode::None },
        witness_drift_ppm: drift(rng),
        write_every_ms: rng.range(20, 150),
    }
}

fn drift(rng: &mut Rng) -> i64 {
    i64::try_from(rng.range(0, 8000)).unwrap_or(4000) - 4000
}

fn machine(rng: &mut Rng) -> MachineSetup {
    MachineSetup {
        watchdog: rng.permille(800),
        pause_visible: rng.permille(700),
        drift_ppm: drift(rng),
        fencing: fencing(rng),
    }
}

fn fencing(rng: &mut Rng) -> FencePlan {
    use DeviceKind::{Gate, Meatware, Power};
    match rng.range(0, 6) {
        0 => FencePlan::default(),
        6 => plan(&[&[Meatware]]),
        1 => plan(&[&[Power], &[Power]]),
        2 => plan(&[&[Power, Power]]),
        3 => plan(&[&[Power], &[Meatware]]),
        4 => plan(&[&[Gate], &[Power]]),
        _ => plan(&[&[Power]]),
    }
}

fn volume(rng: &mut Rng, everybody: NodeSet) -> VolumeSetup {
    let mut members: NodeSet = everybody.iter().filter(|_| rng.permille(700)).collect();
    if members.len() < 2 {
        members = everybody;
    }
    let actions = [LossAction::Freeze, LossAction::Osu, LossAction::Fastboot, LossAction::Fastkill];
    VolumeSetup {
        members,
        loss_action: rng.pick(&actions).unwrap_or(LossAction::Fastboot),
        barrier_suffices: rng.permille(150),
    }
}

/// One random cluster in so many has the profile without a watchdog's proof.
const AGGRESSIVE_IN: u64 = 10;

/// The cluster of a seed with the shortest timings, in some seeds. That is drawn apart from the rest, so that the plan of
/// every other seed is what it was.
#[must_use]
pub fn hastened(seed: u64, setup: Setup) -> Setup {
    let hasty = Rng::new(seed ^ 0x1a9a).range(1, AGGRESSIVE_IN) == 1;
    if !hasty {
        return setup;
    }
    // It has no watchdogs, so that nobody may confirm wrongly.
    let bare = |machine| MachineSetup { watchdog: false, ..machine };
    let machines = setup.machines.into_iter().map(bare).collect();
    Setup { profile: Profile::LanAggressive, machines, ..setup }
}

/// Random faults for a cluster.
#[must_use]
pub fn faults(rng: &mut Rng, setup: &Setup) -> Vec<Planned> {
    let count = rng.range(1, 10);
    let mut planned: Vec<Planned> = (0..count).flat_map(|_| planned(rng, setup)).collect();
    planned.sort_by_key(|planned| planned.at);
    planned
}

/// One plan in so many has persons who put nodes on standby, beside its other faults.
const STANDBY_IN: u64 = 5;

/// Persons who put nodes on standby and online again. They are drawn apart from the other faults, so that the plan of
/// a seed without them is what it was.
#[must_use]
pub fn standbys(seed: u64, setup: &Setup) -> Vec<Planned> {
    let mut rng = Rng::new(seed ^ 0x57a9);
    if rng.range(1, STANDBY_IN) != 1 {
        return Vec::new();
    }
    let one = |rng: &mut Rng| {
        let at =
            CALM_UNTIL + if rng.permille(500) { rng.range(0, TROUBLE) } else { rng.range(8, 13) * SECOND };
        let until = at + rng.range(10 * MS, 25 * SECOND);
        Planned { at, until, fault: Fault::Standby(node(rng, setup)) }
    };
    (0..rng.range(1, 3)).map(|_| one(&mut rng)).collect()
}

fn planned(rng: &mut Rng, setup: &Setup) -> Vec<Planned> {
    // Half of all faults begin in bursts, so that they meet.
    let offset =
        if rng.permille(500) { rng.range(0, TROUBLE) } else { 10 * SECOND + rng.range(0, 2 * SECOND) };
    let at = CALM_UNTIL + offset;
    let length = match rng.range(0, 3) {
        0 => rng.range(10 * MS, 500 * MS),
        1 => rng.range(500 * MS, 3 * SECOND),
        2 => rng.range(SECOND, 8 * SECOND),
        _ => rng.range(5 * SECOND, 20 * SECOND),
    };
    let Some(fault) = fault(rng, setup) else { return Vec::new() };
    let until = at + length;
    let mut all = vec![Planned { at, until, fault: fault.clone() }];
    // A process that is stopped again, right after its late pet and before it sees that it was late.
    if let Fault::DaemonStall { torn: true, .. } | Fault::Stall { torn: true, .. } = fault
        && rng.permille(400)
    {
        let again = rng.range(10 * MS, 3 * SECOND);
        all.push(Planned { at: until, until: until + again, fault });
        return all;
    }
    if rng.permille(500) {
        all.extend(late_write(rng, at, until, &fault));
    }
    all
}

/// A crash while a slow disk has something on its way.
fn late_write(rng: &mut Rng, from: Time, until: Time, fault: &Fault) -> Option<Planned> {
    let crash = match fault {
        Fault::NodeDisk { node, mode: DiskMode::Slow } if rng.permille(500) => Fault::Crash(*node),
        Fault::NodeDisk { node, mode: DiskMode::Slow } => Fault::DaemonKill(*node),
        Fault::WitnessDisk(DiskMode::Slow) => Fault::WitnessKill,
        _ => return None,
    };
    let at = from + rng.range(0, until.since(from));
    Some(Planned { at, until: at + rng.range(10 * MS, 3 * SECOND), fault: crash })
}

fn node(rng: &mut Rng, setup: &Setup) -> NodeId {
    let nodes: Vec<_> = setup.members().iter().collect();
    rng.pick(&nodes).unwrap_or(NodeId(1))
}

fn two(rng: &mut Rng, setup: &Setup) -> (NodeId, NodeId) {
    let first = node(rng, setup);
    let others: Vec<_> = setup.members().without(first).iter().collect();
    (first, rng.pick(&others).unwrap_or(first))
}

fn replica(rng: &mut Rng, setup: &Setup) -> Option<(NodeId, VolumeId)> {
    let volumes: Vec<_> = setup.volumes().map(|(id, volume)| (id, volume.members)).collect();
    let (volume, members) = rng.pick(&volumes)?;
    let members: Vec<_> = members.iter().collect();
    Some((rng.pick(&members)?, volume))
}

const DRIVER_MODES: [DriverMode; 6] = [
    DriverMode::Fails,
    DriverMode::Hangs,
    DriverMode::Blind,
    DriverMode::Slow,
    DriverMode::Unseeing,
    DriverMode::EndsFrozen,
];

fn fault(rng: &mut Rng, setup: &Setup) -> Option<Fault> {
    if rng.permille(450) {
        return Some(cut(rng, setup));
    }
    if rng.permille(250) {
        return Some(witness_fault(rng));
    }
    let (first, second) = two(rng, setup);
    let machine = &setup.machines[usize::from(first.0) - 1];
    let torn = rng.permille(400);
    let some = match rng.range(0, 22) {
        0 => Fault::Slow {
            a: first.0,
            b: rng.pick(&[second.0, WITNESS])?,
            latency_ms: rng.range(5, 150),
            loss_permille: rng.range(0, 400),
        },
        1 | 2 => Fault::Crash(first),
        3 => Fault::PowerLoss { node: first, devices_too: rng.permille(500) },
        4 => Fault::Stall { node: first, torn },
        5 => Fault::DaemonStall { node: first, torn },
        // A machine whose pauses are said to be visible has no pause that is not.
        6 if !machine.pause_visible => Fault::Pause(first),
        6 => Fault::Stall { node: first, torn },
        8 if torn => Fault::DiesBetween(first),
        7 | 8 => Fault::DaemonKill(first),
        9 => Fault::DaemonStop(first),
        10 | 21 => Fault::NodeDisk { node: first, mode: disk_mode(rng) },
        11 => {
            let (node, volume) = replica(rng, setup)?;
            Fault::Driver { node, volume, mode: driver_mode(rng, torn) }
        }
        12 => {
            let modes = [
                DeviceMode::Fails,
                DeviceMode::Hangs,
                DeviceMode::ActsUnheard,
                DeviceMode::ActsLate,
                DeviceMode::Slow,
                DeviceMode::TellsLate,
            ];
            let level = u8::try_from(rng.range(0, 1)).unwrap_or(0);
            Fault::Device { target: first, level, mode: rng.pick(&modes)? }
        }
        13 => {
            let (node, volume) = replica(rng, setup)?;
            Fault::DiskSwapped { node, volume }
        }
        14 => {
            let (to, volume) = replica(rng, setup)?;
            Fault::Move { asked: first, volume, to }
        }
        15 => {
            // Beyond what is promised, and yet within what the guard has to spare.
            let ppm = i64::try_from(rng.range(6000, 12_000)).ok()?;
            Fault::Drift { node: first, ppm: if rng.permille(500) { ppm } else { -ppm } }
        }
        // A wrong confirmation is safe only where the watchdog counts.
        16 if machine.pause_visible && machine.watchdog => Fault::ConfirmWrongly(first),
        17 if torn => Fault::Repeated(first),
        17 => Fault::Ghosts(first),
        18 => Fault::ResetHangs(first),
        19 => {
            let (node, volume) = replica(rng, setup)?;
            if torn { Fault::ForceStale { node, volume } } else { Fault::Evict { node, volume } }
        }
        // The maintenance outlasts every fault: a daemon that comes back later than that is a known weakness.
        20 => Fault::KeepRunning { node: first, seconds: 60 },
        _ => Fault::FenceByHand { asked: first, target: second },
    };
    Some(some)
}

/// `thaws`: only thaws go wrong.
fn driver_mode(rng: &mut Rng, thaws: bool) -> DriverMode {
    let of_thaws = [DriverMode::ThawsLate, DriverMode::ThawsUnheard];
    rng.pick(if thaws { &of_thaws[..] } else { &DRIVER_MODES }).unwrap_or(DriverMode::Fails)
}

fn disk_mode(rng: &mut Rng) -> DiskMode {
    let modes = [DiskMode::SyncFails, DiskMode::Full, DiskMode::Slow, DiskMode::Tears];
    rng.pick(&modes).unwrap_or(DiskMode::SyncFails)
}

fn witness_fault(rng: &mut Rng) -> Fault {
    match rng.range(0, 9) {
        0..=4 => Fault::WitnessKill,
        5 | 6 => Fault::WitnessStall,
        7 | 8 => Fault::WitnessDisk(disk_mode(rng)),
        _ => Fault::WitnessReplaced { backup: rng.permille(500) },
    }
}

/// Every lane between two nodes.
#[must_use]
pub fn lanes(setup: &Setup) -> Vec<Lane> {
    let paths = (0..setup.paths).map(Lane::Path);
    [Lane::Peer, Lane::Repl, Lane::Fence].into_iter().chain(paths).collect()
}

/// The links of some lanes, in both directions or one.
#[must_use]
pub fn between(lanes: &[Lane], from: &[Place], to: &[Place], both: bool) -> Vec<Link> {
    let mut links = Vec::new();
    for lane in lanes {
        for (a, b) in from.iter().flat_map(|a| to.iter().map(move |b| (*a, *b))) {
            links.push(Link { lane: *lane, from: a, to: b });
            if both {
                links.push(Link { lane: *lane, from: b, to: a });
            }
        }
    }
    links
}

fn cut(rng: &mut Rng, setup: &Setup) -> Fault {
    let (first, second) = two(rng, setup);
    let others: Vec<Place> = setup.members().without(first).iter().map(|node| node.0).collect();
    let (one, other) = ([first.0], [second.0]);
    let all = lanes(setup);
    let beats: Vec<Lane> = (0..setup.paths).map(Lane::Path).collect();
    let both = rng.permille(700);
    let witness = || between(&[Lane::Witness], &one, &[WITNESS], both);
    let with_witness = |mut links: Vec<Link>| {
        links.extend(witness());
        links
    };
    match rng.range(0, 8) {
        0 => Fault::Cut("cut-beats", between(&beats, &one, &other, both)),
        1 => Fault::Cut("cut-peer", between(&[Lane::Peer], &one, &other, both)),
        2 => Fault::Cut("cut-repl", between(&[Lane::Repl], &one, &other, both)),
        3 => Fault::Cut("cut-witness", witness()),
        4 => Fault::Cut("cut-pair", between(&all, &one, &other, both)),
        5 => Fault::Cut("cut-from-peers", between(&all, &one, &others, both)),
        6 => Fault::Cut("isolated", with_witness(between(&all, &one, &others, both))),
        7 => Fault::Cut("cut-witness-repl", with_witness(between(&[Lane::Repl], &one, &others, both))),
        _ => {
            let side: Vec<Place> =
                setup.members().iter().filter(|_| rng.permille(500)).map(|n| n.0).collect();
            let rest: Vec<Place> =
                setup.members().iter().map(|n| n.0).filter(|place| !side.contains(place)).collect();
            let mut links = between(&all, &side, &rest, both);
            if rng.permille(500) {
                links.extend(between(&[Lane::Witness], &side, &[WITNESS], true));
            }
            Fault::Cut("split", links)
        }
    }
}
