//! Tries faults at every place, as deep as a family goes.

use super::ending::{End, waits_for_a_person};
use super::families::Family;
use super::faults::Fault;
use super::world::World;
use picket_core::ids::{NodeId, VolumeId};
use picket_core::node::{Input, NodeRequest};
use picket_core::time::{Duration, Instant};

/// What a search found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// States that were visited and checked, until all was well again.
    pub states: u64,
    /// Runs that were brought to their end.
    pub runs: u64,
    /// The bound on states was reached before everything was tried.
    pub cut_off: bool,
    /// The longest from the healing of a run to what must be, and stay, in the end.
    pub slowest: Duration,
    /// The first violation, and the faults that led to it; or the one that comes soonest, if that is searched for.
    pub violation: Option<Violation>,
}

/// A violation.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What must not be.
    pub text: String,
    /// The faults, each with the number of the step before which it came.
    pub schedule: Schedule,
    /// How long after the settled start.
    pub after: Duration,
}

/// Faults, each with the number of the step before which it comes.
pub type Schedule = Vec<(u64, Fault)>;

/// A part of a search: the first fault, and the number of the step before which it comes.
pub type Part = (u64, Fault);

/// Every part of a family's search: the places of its first stage, and what can happen at each.
#[must_use]
pub fn parts(family: &Family, settled: &World) -> Vec<Part> {
    let mut parts = Vec::new();
    let Some(stage) = family.stages.first() else { return parts };
    let mut world = settled.clone();
    let (from, until) = (world.now + stage.after, world.now + stage.after + stage.within);
    let (mut step, mut place) = (0, 0);
    while world.now < until && world.violations.is_empty() {
        if world.now >= from {
            if place % stage.stride == 0 {
                let possible = stage.faults.iter().filter(|fault| fault.can(&world));
                parts.extend(possible.map(|fault| (step, *fault)));
            }
            place += 1;
        }
        world.step();
        step += 1;
    }
    parts
}

/// How long a cluster takes to come up and settle.
const SETTLES: Duration = Duration::from_millis(500);

/// How long it takes to settle after a fault that a family starts with, or a move.
const SETTLES_AGAIN: Duration = Duration::from_millis(250);

/// After the last fault; then the family's end is brought about.
const GOES_ON: Duration = Duration::from_millis(250);

/// A search over one family.
pub struct Search<'a> {
    family: &'a Family,
    depth: usize,
    bound: u64,
    found: Found,
    /// When the first stage begins.
    from: Instant,
    /// It goes on after a violation, for one that comes sooner.
    shortest: bool,
}

/// A search for a violation that comes sooner than the first ends after so many states more.
const SHORTENS_FOR: u64 = 200_000;

impl<'a> Search<'a> {
    /// A search with so many faults at most, over so many states at most.
    #[must_use]
    pub fn new(family: &'a Family, depth: usize, bound: u64) -> Self {
        let (found, from) = (Found::default(), super::world::start());
        Self { family, depth, bound, found, from, shortest: false }
    }

    /// Goes on after the first violation for the one that comes soonest.
    #[must_use]
    pub const fn shortest(mut self) -> Self {
        self.shortest = true;
        self
    }

    /// Tries everything.
    #[must_use]
    pub fn run(mut self) -> Found {
        let world = settled(self.family);
        if !self.starts_wrong(&world) {
            self.descend(world, &mut Vec::new(), 0);
        }
        self.found
    }

    /// Tries what begins with this fault at this place of the settled world.
    #[must_use]
    pub fn run_part(mut self, settled: &World, part: Part) -> Found {
        if self.starts_wrong(settled) {
            return self.found;
        }
        let (at, fault) = part;
        let mut world = settled.clone();
        for _ in 0..at {
            world.step();
        }
        self.visited(&world, &[]);
        fault.inject(&mut world);
        self.descend(world, &mut vec![part], at);
        self.found
    }

    fn starts_wrong(&mut self, settled: &World) -> bool {
        self.from = settled.now;
        self.violated(settled, &[]);
        self.found.violation.is_some()
    }

    fn violated(&mut self, world: &World, schedule: &[(u64, Fault)]) {
        let Some(text) = world.violations.first() else { return };
        if self.shortest && self.found.violation.is_none() {
            self.bound = self.bound.min(self.found.states + SHORTENS_FOR);
        }
        let after = world.now.since(self.from);
        self.found.violation = Some(Violation { text: text.clone(), schedule: schedule.to_vec(), after });
    }

    fn over(&self) -> bool {
        self.found.cut_off || self.found.violation.is_some() && !self.shortest
    }

    /// Whether a run ends here: what follows a violation is of no interest, nor what comes later than one that is known.
    fn stops(&self, world: &World) -> bool {
        let late = |known: &Violation| world.now.since(self.from) >= known.after;
        self.over() || !world.violations.is_empty() || self.found.violation.as_ref().is_some_and(late)
    }

    /// Runs on, and at each place tries each fault of the stage.
    fn descend(&mut self, mut world: World, schedule: &mut Schedule, mut step: u64) {
        let stage = self.family.stages.get(schedule.len()).filter(|_| schedule.len() < self.depth);
        if let Some(stage) = stage {
            let (from, until) = (world.now + stage.after, world.now + stage.after + stage.within);
            let mut place = 0;
            while world.now < until && !self.stops(&world) {
                if world.now >= from {
                    if place % stage.stride == 0 {
                        self.branch(&world, &stage.faults, schedule, step);
                    }
                    place += 1;
                }
                world.step();
                step += 1;
                self.visited(&world, schedule);
            }
        }
        if !self.stops(&world) {
            self.finish(world, schedule);
        }
    }

    fn branch(&mut self, world: &World, faults: &[Fault], schedule: &mut Schedule, step: u64) {
        for fault in faults.iter().filter(|fault| fault.can(world)) {
            let mut next = world.clone();
            fault.inject(&mut next);
            schedule.push((step, *fault));
            self.descend(next, schedule, step);
            schedule.pop();
            if self.over() {
                return;
            }
        }
    }

    fn visited(&mut self, world: &World, schedule: &[(u64, Fault)]) {
        self.found.states += 1;
        if self.found.states >= self.bound {
            self.found.cut_off = true;
        }
        self.violated(world, schedule);
    }

    fn finish(&mut self, mut world: World, schedule: &[(u64, Fault)]) {
        self.found.runs += 1;
        let took = bring_to_end(self.family.end, &mut world, &mut |world, well| {
            // While all is well nothing branches, and every run has about the same number of such steps: counted, they
            // would take the places of faults from a search that is bound by its states.
            if well {
                self.violated(world, schedule);
            } else {
                self.visited(world, schedule);
            }
            self.stops(world)
        });
        if let Some(took) = took {
            self.found.slowest = self.found.slowest.max(took);
            self.visited(&world, schedule);
        }
    }
}

/// Looks at a step after the last fault, and at whether it is one of the time in which all must stay well; true: no more.
pub type Seen<'a> = &'a mut dyn FnMut(&World, bool) -> bool;

/// Goes on after the last fault, heals, and waits for what must be in the end, and must stay; `seen` stops it. What is
/// missing in the end is a violation. The answer is how long that took after the healing; none: it was stopped.
pub fn bring_to_end(end: End, world: &mut World, seen: Seen<'_>) -> Option<Duration> {
    let until = world.now + GOES_ON;
    while world.now < until {
        world.step();
        if seen(world, false) {
            return None;
        }
    }
    end.heal(world);
    becomes_well(end, world, seen)
}

/// What is reached too late, or is reached and lost again, is missing. That it holds at one moment says little: at that
/// of the healing nobody has heard yet of who comes back.
fn becomes_well(end: End, world: &mut World, seen: Seen<'_>) -> Option<Duration> {
    let healed = world.now;
    let (within, steady) = (end.within(&world.setup), end.steady(&world.setup));
    let patience = end.patience(&world.setup);
    let mut since = None;
    loop {
        let after = world.now.since(healed);
        match end.missing(world) {
            None => {
                let well = *since.get_or_insert(world.now);
                if world.now.since(well) >= steady {
                    return Some(well.since(healed));
                }
            }
            Some(_) if patience.is_some_and(|it| after >= it) && waits_for_a_person(world) => {
                return Some(after);
            }
            Some(text) if after >= within => {
                world.violations.push(text);
                return Some(after);
            }
            Some(_) => since = None,
        }
        world.step();
        if seen(world, since.is_some()) {
            return None;
        }
    }
}

/// The cluster after its start, with every volume active where it belongs.
#[must_use]
pub fn settled(family: &Family) -> World {
    let mut world = World::new(family.setup);
    settle(&mut world, SETTLES);
    if family.setup.spread {
        for volume in (2..=family.setup.volumes).map(VolumeId) {
            let to = NodeId(((volume.0 - 1) % u16::from(family.setup.nodes)) as u8 + 1);
            let request = NodeRequest::Move { volume, to };
            world.inbox.push_back((to, Input::Operator { ticket: u64::from(volume.0), request }));
        }
        settle(&mut world, SETTLES_AGAIN);
    }
    world.violations.extend(End::Redundant.missing(&world));
    for fault in &family.start {
        fault.inject(&mut world);
        settle(&mut world, SETTLES_AGAIN);
    }
    world
}

fn settle(world: &mut World, length: Duration) {
    let until: Instant = world.now + length;
    world.run_until(until);
}

/// Runs a family with faults at these times after its start, and tells every event.
#[must_use]
pub fn told(family: &Family, faults: &[(Duration, Fault)]) -> Vec<String> {
    let mut world = settled(family);
    world.told = Some(Vec::new());
    let start = world.now;
    for (at, fault) in faults {
        world.run_until(start + *at);
        fault.inject(&mut world);
    }
    tell_the_end(family, world)
}

/// Runs a schedule again and tells what happens: every event, or the faults alone.
#[must_use]
pub fn replay(family: &Family, schedule: &[(u64, Fault)]) -> Vec<String> {
    let mut world = settled(family);
    world.told = Some(Vec::new());
    take_place(&mut world, schedule);
    tell_the_end(family, world)
}

/// Runs a schedule again and says what it violates.
#[must_use]
pub fn violated(family: &Family, schedule: &[(u64, Fault)]) -> Option<String> {
    let mut world = settled(family);
    take_place(&mut world, schedule);
    bring_to_end(family.end, &mut world, &mut |world, _| !world.violations.is_empty());
    world.violations.first().cloned()
}

/// Each fault at its place. One that cannot happen there, because the code is not the one that it was found in, does
/// not.
fn take_place(world: &mut World, schedule: &[(u64, Fault)]) {
    let mut step = 0;
    for (at, fault) in schedule {
        while step < *at && world.violations.is_empty() {
            world.step();
            step += 1;
        }
        if fault.can(world) {
            fault.inject(world);
        }
    }
}

fn tell_the_end(family: &Family, mut world: World) -> Vec<String> {
    let mut at = world.now;
    bring_to_end(family.end, &mut world, &mut |world, _| {
        at = world.now;
        !world.violations.is_empty()
    });
    let mut told = world.told.take().unwrap_or_default();
    let at = at.since(super::world::start()).as_secs_f64() * 1000.0;
    told.extend(world.violations.iter().map(|text| format!("{at:>8.1} ms  VIOLATION: {text}")));
    told
}

#[cfg(test)]
mod tests;
