//! Tries faults at every place, as deep as a family goes.

use super::families::Family;
use super::faults::Fault;
use super::properties;
use super::world::World;
use picket_core::time::{Duration, Instant};

/// What a search found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// States that were visited and checked.
    pub states: u64,
    /// Runs that were brought to their end.
    pub runs: u64,
    /// The bound on states was reached before everything was tried.
    pub cut_off: bool,
    /// The first violation, and the faults that led to it.
    pub violation: Option<Violation>,
}

/// A violation.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What must not be.
    pub text: String,
    /// The faults, each with the number of the step before which it came.
    pub schedule: Vec<(u64, Fault)>,
}

/// How long a cluster takes to come up and settle.
const SETTLES: Duration = Duration::from_millis(400);

/// Faults come in within so long after that.
const WINDOW: Duration = Duration::from_millis(60);

/// A later fault comes in within so long after the one before it.
const LATER: Duration = Duration::from_millis(160);

/// After the last fault; then everything is healed.
const GOES_ON: Duration = Duration::from_millis(250);

/// After the healing; then everything must be well.
const RECOVERS: Duration = Duration::from_millis(1200);

/// A search over one family.
pub struct Search<'a> {
    family: &'a Family,
    bound: u64,
    found: Found,
    /// Every place is shifted by this much, so that several searches try different places.
    shift: u32,
}

impl<'a> Search<'a> {
    /// A search that visits at most so many states.
    #[must_use]
    pub fn new(family: &'a Family, bound: u64, shift: u32) -> Self {
        Self { family, bound, found: Found::default(), shift }
    }

    /// Tries everything.
    #[must_use]
    pub fn run(mut self) -> Found {
        let world = settled(self.family);
        if let Some(text) = world.violations.first() {
            self.found.violation = Some(Violation { text: text.clone(), schedule: Vec::new() });
            return self.found;
        }
        let until = world.now + WINDOW;
        self.descend(world, until, &mut Vec::new(), 0);
        self.found
    }

    fn over(&self) -> bool {
        self.found.violation.is_some() || self.found.cut_off
    }

    /// Runs on, and at each place tries each fault.
    fn descend(&mut self, mut world: World, until: Instant, schedule: &mut Vec<(u64, Fault)>, mut step: u64) {
        let left = self.family.depth - u32::try_from(schedule.len()).unwrap_or(u32::MAX);
        while world.now < until && left > 0 && !self.over() {
            if (step + u64::from(self.shift)).is_multiple_of(u64::from(self.family.stride)) {
                for fault in self.family.faults.clone() {
                    let mut next = world.clone();
                    fault.inject(&mut next);
                    schedule.push((step, fault));
                    let later = next.now + LATER;
                    self.descend(next, later, schedule, step);
                    schedule.pop();
                    if self.over() {
                        return;
                    }
                }
            }
            world.step();
            step += 1;
            self.visited(&world, schedule);
        }
        if !self.over() {
            self.finish(world, schedule);
        }
    }

    fn visited(&mut self, world: &World, schedule: &[(u64, Fault)]) {
        self.found.states += 1;
        if self.found.states >= self.bound {
            self.found.cut_off = true;
        }
        if let Some(text) = world.violations.first() {
            self.found.violation = Some(Violation { text: text.clone(), schedule: schedule.to_vec() });
        }
    }

    fn finish(&mut self, mut world: World, schedule: &[(u64, Fault)]) {
        self.found.runs += 1;
        let until = world.now + GOES_ON;
        while world.now < until && !self.over() {
            world.step();
            self.visited(&world, schedule);
        }
        heal(&mut world);
        let until = world.now + RECOVERS;
        while world.now < until && !self.over() && properties::inactive(&world).is_some() {
            world.step();
            self.visited(&world, schedule);
        }
        if !self.over() {
            properties::check_end(&mut world);
            self.visited(&world, schedule);
        }
    }
}

/// The cluster after its start, with every volume active.
fn settled(family: &Family) -> World {
    let mut world = World::new(family.setup.clone());
    let until = world.now + SETTLES;
    world.run_until(until);
    properties::check_end(&mut world);
    world
}

fn heal(world: &mut World) {
    Fault::Heal.inject(world);
    world.agent_faults.clear();
    let ids: Vec<_> = world.hosts.keys().copied().collect();
    for id in ids {
        world.power_on(id);
    }
}

/// Runs a schedule again and tells what happens.
#[must_use]
pub fn replay(family: &Family, schedule: &[(u64, Fault)]) -> Vec<String> {
    let mut world = settled(family);
    world.told = Some(Vec::new());
    let mut step = 0;
    for (at, fault) in schedule {
        while step < *at && world.violations.is_empty() {
            world.step();
            step += 1;
        }
        fault.inject(&mut world);
    }
    let until = world.now + LATER + GOES_ON;
    world.run_until(until);
    if world.violations.is_empty() {
        heal(&mut world);
        let until = world.now + RECOVERS;
        world.run_until(until);
        properties::check_end(&mut world);
    }
    let mut told = world.told.take().unwrap_or_default();
    told.extend(world.violations.iter().map(|text| format!("VIOLATION {text}")));
    told
}
