//! A deep run: several threads, each in a family of its own.

use super::{Course, PART_STATES_MAX, State};
use crate::model::explore::Violation;
use crate::model::families::Family;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A thread stays with a family for so many states: about a second, beside which its settling and the writing of the file
/// cost nothing.
const STAY_STATES: u64 = 500_000;

/// So many violations of one family are written down: they have one cause by then.
const VIOLATIONS_EACH_MAX: usize = 5;

/// How a run is bounded.
#[derive(Clone, Copy)]
pub struct Bounds<'a> {
    /// How many threads.
    pub threads: usize,
    /// States of a part, at most.
    pub part_states_max: u64,
    /// Whether the run is over; asked before each part.
    pub is_over: &'a (dyn Fn() -> bool + Sync),
    /// Told of each violation.
    pub tell: &'a (dyn Fn(&Family, &Violation) + Sync),
}

impl std::fmt::Debug for Bounds<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} threads, {} states a part", self.threads, self.part_states_max)
    }
}

impl<'a> Bounds<'a> {
    /// With the usual bound for a part.
    #[must_use]
    pub const fn new(
        threads: usize,
        is_over: &'a (dyn Fn() -> bool + Sync),
        tell: &'a (dyn Fn(&Family, &Violation) + Sync),
    ) -> Self {
        Self { threads, part_states_max: PART_STATES_MAX, is_over, tell }
    }
}

struct Shared<'a> {
    state: State,
    busy: Vec<&'a str>,
    failed: Option<io::Error>,
}

/// Goes on from a state until the run is over or nothing is left, and writes the file again and again.
///
/// # Errors
/// The file cannot be written.
pub fn run(families: &[Family], state: State, path: &Path, bounds: Bounds<'_>) -> io::Result<State> {
    let shared = Mutex::new(Shared { state, busy: Vec::new(), failed: None });
    std::thread::scope(|scope| {
        for _ in 0..bounds.threads.max(1) {
            scope.spawn(|| while visit(families, &shared, path, bounds) {});
        }
    });
    let shared = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    match shared.failed {
        Some(error) => Err(error),
        None => shared.state.write(path).map(|()| shared.state),
    }
}

fn lock<'s, 'a>(shared: &'s Mutex<Shared<'a>>) -> MutexGuard<'s, Shared<'a>> {
    // A thread that panicked ends the process; nobody sees what it left behind.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Some parts of one family; false if there is nothing more to do.
fn visit<'a>(families: &'a [Family], shared: &Mutex<Shared<'a>>, path: &Path, bounds: Bounds<'_>) -> bool {
    if (bounds.is_over)() {
        return false;
    }
    let (family, mut progress) = {
        let mut shared = lock(shared);
        if shared.failed.is_some() {
            return false;
        }
        let Some(family) = shared.state.next(families, &shared.busy) else { return false };
        shared.busy.push(&family.name);
        (family, shared.state.families.get(&family.name).copied().unwrap_or_default())
    };
    let course = Course::new(family);
    progress.parts = course.len();
    let (before, mut violations) = (progress.states, Vec::new());
    if course.is_empty() {
        let violation = course.why_empty();
        (bounds.tell)(family, &violation);
        violations.push(format!("{}: []: {}", family.name, violation.text));
        // There is nothing to come back for.
        (progress.parts, progress.done) = (1, 1);
    }
    while progress.states - before < STAY_STATES && !(bounds.is_over)() {
        let Some(found) = course.play(family, progress.done, bounds.part_states_max) else { break };
        progress.add(&found);
        if let Some(violation) = found.violation {
            (bounds.tell)(family, &violation);
            violations.push(format!("{}: {:?}: {}", family.name, violation.schedule, violation.text));
        }
    }
    let mut shared = lock(shared);
    let Shared { state, busy, failed } = &mut *shared;
    busy.retain(|name| *name != family.name);
    state.states += progress.states - before;
    state.families.insert(family.name.clone(), progress);
    let known = state
        .violations
        .iter()
        .filter(|(b, what)| *b == state.build && what.starts_with(&family.name))
        .count();
    let build = state.build;
    violations.truncate(VIOLATIONS_EACH_MAX.saturating_sub(known));
    state.violations.extend(violations.into_iter().map(|what| (build, what.replace('\n', " "))));
    if let Err(error) = state.write(path) {
        *failed = Some(error);
    }
    true
}
