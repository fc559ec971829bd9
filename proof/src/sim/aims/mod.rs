//! Aims: clusters and faults that lead to where one rule is the last one that holds.
//!
//! Random schedules meet a rule's last moment rarely. An aim takes away what would hide a broken rule (fence
//! devices, watchdogs, a second path) and puts faults where they matter; what is left to the seed are the times. An
//! aim is known by the known-wrong rules that it must find, and the protocol as it is passes every seed of it.

mod adoptions;
mod boots;
mod bugs;
mod data;
mod failsafe;
mod found;
mod leases;
mod permits;
mod proofs;
mod read;
mod standby;
mod timings;

use super::run::Besides;
use super::schedule::{CALM_UNTIL, FAR, Planned, between, lanes};
use crate::world::clock::MS;
use crate::world::fault::Fault;
use crate::world::net::{Lane, Link, Place, WITNESS};
use crate::world::rng::Rng;
use crate::world::setup::Setup;
use crate::world::volume::DriverMode;
use picket_core::ids::{NodeId, NodeSet, VolumeId};
use picket_core::node::LossAction;
use picket_core::topology::{Device, DeviceKind, FencePlan, Level};
use std::time::Duration;

/// An aim.
#[derive(Clone, Copy, Debug)]
pub struct Aim {
    /// Its name.
    pub name: &'static str,
    /// The known-wrong rules that it finds, by number.
    pub finds: &'static [u8],
    /// With how many seeds: two or three times as many as are needed.
    pub seeds: u64,
    make: fn(&mut Draft<'_>),
    cluster: fn() -> Setup,
}

/// Every aim.
#[must_use]
pub fn all() -> Vec<Aim> {
    let rooms = [
        leases::AIMS,
        failsafe::AIMS,
        proofs::AIMS,
        data::AIMS,
        permits::AIMS,
        boots::AIMS,
        standby::AIMS,
        bugs::AIMS,
        timings::AIMS,
        found::AIMS,
        adoptions::AIMS,
        read::AIMS,
    ];
    rooms.into_iter().flatten().copied().collect()
}

/// The aims whose faults the protocol promises to survive whatever else happens. An override is outside, a store that is
/// rolled back unseen is found only while somebody who knows more is left to say so; and a maintenance that ends while the
/// daemon is down leaves a node without a watchdog. That of a standby is within: but persons put nodes on standby beside
/// any aim ([`super::schedule::standbys`]). Who ends a recovery must be right about the members that have not reported, and
/// other faults make him wrong.
#[must_use]
pub fn within_promises() -> Vec<Aim> {
    const OUTSIDE: &[u8] = &[19, 40, 41, 46, 52, 54, 59, 60, 61, 63, 80, 81, 87, 91];
    all().into_iter().filter(|aim| !aim.finds.iter().any(|number| OUTSIDE.contains(number))).collect()
}

/// A run under construction; its times are nanoseconds after the calm.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) rng: &'a mut Rng,
    pub(super) setup: Setup,
    pub(super) holds: Vec<(VolumeId, NodeId)>,
    pub(super) faults: Vec<Planned>,
    pub(super) person: bool,
    pub(super) besides: Besides,
}

impl Aim {
    /// What a seed makes of it.
    pub(super) fn draft<'a>(&self, rng: &'a mut Rng) -> Draft<'a> {
        let setup = (self.cluster)();
        let holds = setup.volumes().map(|(volume, _)| (volume, N1)).collect();
        let mut draft =
            Draft { rng, setup, holds, faults: Vec::new(), person: false, besides: Besides::Nothing };
        (self.make)(&mut draft);
        draft.faults.sort_by_key(|planned| planned.at);
        draft
    }
}

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);
const N4: NodeId = NodeId(4);
const V1: VolumeId = VolumeId(1);
const V2: VolumeId = VolumeId(2);

impl Draft<'_> {
    /// A length of so many milliseconds.
    fn ms(&mut self, low: u64, high: u64) -> u64 {
        self.rng.range(low * MS, high * MS)
    }

    /// A fault from then until then.
    fn put(&mut self, at: u64, until: u64, fault: Fault) {
        self.faults.push(Planned { at: CALM_UNTIL + at, until: CALM_UNTIL + until.max(at), fault });
    }

    /// A fault that has no end.
    fn put_for_good(&mut self, at: u64, fault: Fault) {
        self.faults.push(Planned { at: CALM_UNTIL + at, until: FAR, fault });
    }

    fn cut(&mut self, at: u64, until: u64, links: Vec<Link>) {
        self.put(at, until, Fault::Cut("cut", links));
    }

    /// Everything between two nodes.
    fn cut_pair(&mut self, at: u64, until: u64, a: NodeId, b: NodeId) {
        let links = between(&lanes(&self.setup), &[a.0], &[b.0], true);
        self.cut(at, until, links);
    }

    /// Some lanes between two nodes.
    fn cut_lanes(&mut self, at: u64, until: u64, lanes: &[Lane], a: NodeId, b: NodeId) {
        self.cut(at, until, between(lanes, &[a.0], &[b.0], true));
    }

    /// The heartbeats between two nodes.
    fn cut_beats(&mut self, at: u64, until: u64, a: NodeId, b: NodeId) {
        let paths: Vec<Lane> = (0..self.setup.paths).map(Lane::Path).collect();
        self.cut_lanes(at, until, &paths, a, b);
    }

    /// The replication between two nodes.
    fn cut_data(&mut self, at: u64, until: u64, a: NodeId, b: NodeId) {
        self.cut_lanes(at, until, &[Lane::Repl], a, b);
    }

    /// What a node says to the witness.
    fn cut_to_witness(&mut self, at: u64, until: u64, node: NodeId) {
        self.cut(at, until, between(&[Lane::Witness], &[node.0], &[WITNESS], false));
    }

    /// What the witness says to a node.
    fn cut_from_witness(&mut self, at: u64, until: u64, node: NodeId) {
        self.cut(at, until, between(&[Lane::Witness], &[WITNESS], &[node.0], false));
    }

    fn cut_witness(&mut self, at: u64, until: u64, node: NodeId) {
        self.cut(at, until, between(&[Lane::Witness], &[node.0], &[WITNESS], true));
    }

    /// Everything that a node has to witness and peers; devices that fence it are still reached.
    fn isolate(&mut self, at: u64, until: u64, node: NodeId) {
        let others: Vec<Place> = self.setup.members().without(node).iter().map(|n| n.0).collect();
        let lanes: Vec<Lane> = lanes(&self.setup).into_iter().filter(|lane| *lane != Lane::Fence).collect();
        let mut links = between(&lanes, &[node.0], &others, true);
        links.extend(between(&[Lane::Witness], &[node.0], &[WITNESS], true));
        self.cut(at, until, links);
    }

    /// Node 1 is off, node 2 is activated without a witness, all come back, and so long after, in milliseconds, node 2 is cut
    /// off. Says when it was activated and when it is cut off.
    fn overridden(&mut self, low: u64, high: u64) -> (u64, u64) {
        let at = self.ms(0, 500);
        let done = at + self.ms(4_000, 5_000);
        let back = done + self.ms(500, 3_000);
        let cut = back + self.ms(low, high);
        let by_hand = Fault::Override { node: N2, volume: V1, dead: NodeSet::only(N1), seconds: 3600 };
        self.put(at, back, Fault::WitnessKill);
        self.put(at, back - 400 * MS, Fault::PowerLoss { node: N1, devices_too: false });
        self.put(done, done, by_hand);
        self.isolate(cut, cut + 8000 * MS, N2);
        (done, cut)
    }

    fn driver(&mut self, at: u64, until: u64, node: NodeId, volume: VolumeId, mode: DriverMode) {
        self.put(at, until, Fault::Driver { node, volume, mode });
    }
}

/// So many nodes with power switches.
fn fenced(nodes: u8) -> Setup {
    let mut setup = Setup::simple(nodes);
    lose(&mut setup, LossAction::Osu);
    setup
}

/// So many nodes that nothing can fence: the lease is the only proof.
fn alone(nodes: u8) -> Setup {
    let mut setup = fenced(nodes);
    setup.machines.iter_mut().for_each(|machine| machine.fencing = FencePlan::default());
    setup
}

/// Two nodes with power switches.
fn powered() -> Setup {
    fenced(2)
}

/// Two nodes that nothing can fence.
fn lone() -> Setup {
    alone(2)
}

/// The same with three.
fn three() -> Setup {
    alone(3)
}

/// Two nodes that nothing can fence, and that freeze when authority is lost.
fn freezing() -> Setup {
    let mut setup = lone();
    lose(&mut setup, LossAction::Freeze);
    setup
}

fn lose(setup: &mut Setup, action: LossAction) {
    setup.volumes.iter_mut().for_each(|volume| volume.loss_action = action);
}

/// One power switch for each node that may take so long.
fn slow_fences(setup: &mut Setup, seconds: u64, retries: u8) {
    let timeout = Duration::from_secs(seconds);
    let device = Device { kind: DeviceKind::Power, timeout, retries, delay: Duration::ZERO };
    let plan = FencePlan { levels: vec![Level { devices: vec![device] }] };
    setup.machines.iter_mut().for_each(|machine| machine.fencing = plan.clone());
}

/// The volumes with these members, volume 1 first.
fn volumes_on(setup: &mut Setup, members: &[&[NodeId]]) {
    let volume = setup.volumes[0].clone();
    setup.volumes = members
        .iter()
        .map(|nodes| {
            let members: NodeSet = nodes.iter().copied().collect();
            crate::world::setup::VolumeSetup { members, ..volume.clone() }
        })
        .collect();
}
