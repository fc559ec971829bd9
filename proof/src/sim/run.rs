//! One seed: a cluster, its faults, what came of it.

use super::schedule::{self, CALM_UNTIL, Planned};
use crate::world::clock::{SECOND, Time};
use crate::world::oracle::Violation;
use crate::world::rng::Rng;
use crate::world::{Setup, World};

/// After the last fault is over, and whatever was ordered meanwhile, every volume is served again within this.
pub const HEALED_WITHIN: u64 = 120 * SECOND;

/// A run that can be repeated.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// The cluster.
    pub setup: Setup,
    /// Its faults.
    pub faults: Vec<Planned>,
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
    /// The plan of a seed; `nodes` fixes the size of its cluster.
    #[must_use]
    pub fn of_seed(seed: u64, nodes: Option<u8>) -> Self {
        let mut rng = Rng::new(seed);
        let setup = schedule::cluster(&mut rng, nodes);
        let faults = schedule::faults(&mut rng, &setup);
        Self { seed, setup, faults }
    }

    /// Runs it.
    #[must_use]
    pub fn run(&self, logging: bool, verbose: bool) -> Outcome {
        let mut world = World::new(self.setup.clone(), self.seed ^ 0xfeed, logging);
        world.verbose = verbose;
        world.run_until(CALM_UNTIL);
        if let Some(record) = world.witness.durable() {
            world.backup = Some(record.clone());
        }
        world.expect_served("the beginning");
        if self.seed.is_multiple_of(2) {
            world.hire_person();
        }
        let mut last = CALM_UNTIL;
        for planned in &self.faults {
            world.plan(planned.at, planned.until, planned.fault.clone());
            last = last.max(planned.until);
        }
        world.run_until(last);
        world.hire_person();
        let end = last + HEALED_WITHIN;
        heal(&mut world, end);
        world.expect_served("everything was healed");
        Outcome { violation: world.oracle.violation.clone(), world }
    }
}

/// Waits until everything is served, and a while longer.
fn heal(world: &mut World, end: Time) {
    const STEADY: u64 = 5 * SECOND;
    let mut served_since = None;
    while world.now < end && world.oracle.violation.is_none() {
        let next = world.now + SECOND;
        world.run_until(next);
        if world.unserved().is_empty() {
            let since = *served_since.get_or_insert(world.now);
            if world.now.since(since) >= STEADY {
                return;
            }
        } else {
            served_since = None;
        }
    }
}
