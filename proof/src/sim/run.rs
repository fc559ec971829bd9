//! One seed: a cluster, its faults, what came of it.

use super::aims::{self, Aim, Draft};
use super::schedule::{self, CALM_UNTIL, Planned};
use crate::world::clock::{SECOND, Time};
use crate::world::oracle::Violation;
use crate::world::rng::Rng;
use crate::world::{Setup, World};
use picket_core::ids::{NodeId, VolumeId};
use picket_core::node::NodeRequest;

/// After the last fault is over, and whatever was ordered meanwhile, every volume is served again within this: a
/// permit that nobody reports lives for half a minute, a maintenance for a minute.
pub const HEALED_WITHIN: u64 = 120 * SECOND;

/// When volumes are moved to where a plan wants them.
const MOVES_AT: Time = Time(12 * SECOND);

/// How often a run is looked at for what no event tells.
const SAMPLED_EVERY: u64 = SECOND / 4;

/// All is well when it was well for so long without a break.
const STEADY: u64 = 5 * SECOND;

/// A run that can be repeated.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// The cluster.
    pub setup: Setup,
    /// Who holds what when the calm ends, where that matters.
    pub holds: Vec<(VolumeId, NodeId)>,
    /// A person looks after the cluster during the faults too.
    pub person: bool,
    /// Its faults.
    pub faults: Vec<Planned>,
    /// What must hold in it besides what must hold in all.
    pub besides: Besides,
}

/// What must hold in a plan besides what must hold in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Besides {
    /// Nothing.
    Nothing,
    /// By then somebody serves every volume, whatever lasts.
    ServedBy(Time),
    /// No volume is granted to anybody anew: its faults give no reason to.
    Kept,
    /// No machine boots again: its faults give no reason to.
    Standing,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// What was violated.
    pub violation: Option<Violation>,
    /// The world at its end.
    pub world: World,
}

impl Plan {
    /// The plan of a seed; `nodes` fixes the size of its cluster. Every fourth one is an aim among random faults.
    #[must_use]
    pub fn of_seed(seed: u64, nodes: Option<u8>) -> Self {
        let mut rng = Rng::new(seed);
        if seed.is_multiple_of(4) && nodes.is_none() {
            return Self::among_others(&mut rng, seed);
        }
        let setup = schedule::hastened(seed, schedule::cluster(&mut rng, nodes));
        let mut faults = schedule::faults(&mut rng, &setup);
        add(&mut faults, schedule::standbys(seed, &setup));
        Self {
            seed,
            setup,
            holds: Vec::new(),
            person: seed.is_multiple_of(2),
            faults,
            besides: Besides::Nothing,
        }
    }

    /// An aim, and some random faults with it.
    fn among_others(rng: &mut Rng, seed: u64) -> Self {
        let aims = aims::within_promises();
        let at = usize::try_from(rng.range(0, u64::try_from(aims.len()).unwrap_or(1) - 1)).unwrap_or(0);
        let draft = aims[at].draft(rng);
        let (setup, holds, mut faults) = (draft.setup, draft.holds, draft.faults);
        let person = draft.person || rng.permille(500);
        let noise = usize::try_from(rng.range(1, 4)).unwrap_or(1);
        let random = schedule::faults(rng, &setup).into_iter();
        faults.extend(random.take(noise));
        add(&mut faults, schedule::standbys(seed, &setup));
        Self { seed, setup, holds, person, faults, besides: Besides::Nothing }
    }

    /// The plan of an aim's seed.
    #[must_use]
    pub fn of_aim(aim: &Aim, seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x0a11);
        let Draft { setup, holds, person, faults, besides, .. } = aim.draft(&mut rng);
        Self { seed, setup, holds, person, faults, besides }
    }

    /// Runs it.
    #[must_use]
    pub fn run(&self, logging: bool, verbose: bool) -> Outcome {
        let mut world = World::new(self.setup.clone(), self.seed ^ 0xfeed, logging);
        world.verbose = verbose;
        world.run_until(MOVES_AT);
        for (volume, node) in &self.holds {
            if !world.can_acknowledge(*node, *volume) {
                world.ask(*node, NodeRequest::Move { volume: *volume, to: *node });
            }
        }
        world.run_until(CALM_UNTIL);
        if let Some(record) = world.witness.durable() {
            world.backup = Some(record.clone());
        }
        world.expect_served("the beginning");
        if self.person {
            world.hire_person();
        }
        let mut last = CALM_UNTIL;
        for planned in &self.faults {
            world.plan(planned.at, planned.until, planned.fault.clone());
            last = last.max(planned.over_at());
        }
        let (granted, boots) = (world.epochs(), world.boots());
        if let Besides::ServedBy(at) = self.besides {
            go_on(&mut world, at);
            world.expect_served_meanwhile();
        }
        go_on(&mut world, last);
        world.hire_person();
        let end = last + HEALED_WITHIN;
        heal(&mut world, end);
        world.expect_served("everything was healed");
        world.expect_redundant("everything was healed");
        world.expect_steady();
        if self.besides == Besides::Kept {
            world.expect_kept(&granted);
        }
        if self.besides == Besides::Standing {
            world.expect_standing(&boots);
        }
        Outcome { violation: world.oracle.violation.clone(), world }
    }
}

fn add(faults: &mut Vec<Planned>, more: Vec<Planned>) {
    faults.extend(more);
    faults.sort_by_key(|planned| planned.at);
}

/// Goes on until then, or until something is violated.
pub(super) fn go_on(world: &mut World, until: Time) {
    while world.now < until && world.oracle.violation.is_none() {
        let next = (world.now + SAMPLED_EVERY).min(until);
        world.run_until(next);
        world.sample_rules();
        world.check_time();
    }
}

/// Waits until everything is served by all replicas and every daemon is registered, and a while longer.
pub(super) fn heal(world: &mut World, end: Time) {
    let from = world.now;
    let mut since = None;
    while world.now < end && world.oracle.violation.is_none() {
        let next = world.now + SAMPLED_EVERY;
        go_on(world, next);
        if !world.is_well() {
            since = None;
            continue;
        }
        let steady = *since.get_or_insert(world.now);
        if world.now.since(steady) >= STEADY {
            world.healed_after = Some(steady.since(from));
            return;
        }
    }
}
