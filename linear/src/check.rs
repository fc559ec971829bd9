//! Whether a history can be explained: the search of Wing and Gong, with memory.
//!
//! Idea: take any operation that may come first (nothing that must be done was over before it began), let it step,
//! and go on with the rest; go back where nothing fits. What was done and how the register stands is remembered, so
//! that no such place is searched twice. An operation without an answer may be left out; once something is done that
//! began after it was over, it is too late for it.

use crate::history::{Moment, Operation};
use crate::register::{Outcome, Register};
use std::collections::HashSet;

#[cfg(test)]
mod tests;

/// Places that are searched, at most. Histories of a run need some thousand; more than this is no answer.
pub const PLACES_MAX: usize = 2_000_000;

/// What the search came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order.
    Linearizable {
        /// Places that were searched.
        places: usize,
    },
    /// There is none.
    Broken {
        /// As many operations as could be ordered, in that order.
        ordered: Vec<usize>,
        /// The register after them.
        register: Register,
    },
    /// The search was given up. Nothing is known.
    Unknown,
}

/// Which operations are done, or too late.
type Done = Box<[u64]>;

fn is_in(done: &Done, index: usize) -> bool {
    done.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
}

fn put(done: &mut Done, index: usize) {
    if let Some(word) = done.get_mut(index / 64) {
        *word |= 1 << (index % 64);
    }
}

/// A place of the search: what is done, how the register stands, and which operations are still to be tried there.
struct Place {
    done: Done,
    register: Register,
    tries: Vec<usize>,
}

/// Looks for an order of the operations on one register, which stands at `first` before them.
#[must_use]
pub fn check(first: Register, history: &[Operation]) -> Verdict {
    let mut operations: Vec<(usize, &Operation)> = history.iter().enumerate().collect();
    operations.sort_by_key(|(_, operation)| operation.invoked);
    let search = Search { operations };
    let mut seen: HashSet<(Done, Register)> = HashSet::new();
    let nothing: Done = vec![0; search.operations.len().div_ceil(64)].into();
    let mut path: Vec<usize> = Vec::new();
    let mut best = (Vec::new(), first);
    let mut places = vec![search.place(nothing, first)];
    while let Some(place) = places.last_mut() {
        if search.is_over(&place.done) {
            return Verdict::Linearizable { places: seen.len() };
        }
        let Some(index) = place.tries.pop() else {
            places.pop();
            path.pop();
            continue;
        };
        let Some(next) = search.step(place, index) else { continue };
        if !seen.insert(next.clone()) {
            continue;
        }
        if seen.len() > PLACES_MAX {
            return Verdict::Unknown;
        }
        path.push(index);
        if path.len() > best.0.len() {
            best = (path.clone(), next.1);
        }
        places.push(search.place(next.0, next.1));
    }
    let named = best.0.iter().filter_map(|index| search.operations.get(*index).map(|(given, _)| *given));
    Verdict::Broken { ordered: named.collect(), register: best.1 }
}

/// The operations by the moment at which they began, each with its place in the given history.
struct Search<'h> {
    operations: Vec<(usize, &'h Operation)>,
}

impl Search<'_> {
    /// Everything with an answer is done.
    fn is_over(&self, done: &Done) -> bool {
        let left = |(index, (_, operation)): (usize, &(usize, &Operation))| {
            !is_in(done, index) && operation.outcome != Outcome::Unknown
        };
        !self.operations.iter().enumerate().any(left)
    }

    /// A place, with the operations that may come next: those that began before the first end of what must be done.
    fn place(&self, done: Done, register: Register) -> Place {
        let mut first_end = Moment::MAX;
        let mut tries = Vec::new();
        for (index, (_, operation)) in self.operations.iter().enumerate() {
            // They are in the order of their beginnings, so that no later one can come next either.
            if operation.invoked > first_end {
                break;
            }
            if is_in(&done, index) {
                continue;
            }
            tries.push(index);
            if operation.outcome != Outcome::Unknown {
                first_end = first_end.min(operation.over);
            }
        }
        tries.retain(|index| self.operations.get(*index).is_some_and(|(_, o)| o.invoked <= first_end));
        // Tried from the end: what has an answer and was over first comes first, what has none comes last.
        tries.sort_by_key(|index| {
            self.operations
                .get(*index)
                .map(|(_, o)| (o.outcome != Outcome::Unknown, core::cmp::Reverse(o.over)))
        });
        Place { done, register, tries }
    }

    /// The operation is done at this place, if it fits there.
    fn step(&self, place: &Place, index: usize) -> Option<(Done, Register)> {
        let (_, operation) = self.operations.get(index)?;
        let register = place.register.step(&operation.call, &operation.outcome)?;
        let mut done = place.done.clone();
        put(&mut done, index);
        for (other, (_, late)) in self.operations.iter().enumerate() {
            if late.invoked > operation.invoked {
                break;
            }
            if late.outcome == Outcome::Unknown && late.over < operation.invoked {
                put(&mut done, other);
            }
        }
        Some((done, register))
    }
}
