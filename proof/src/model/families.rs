//! Families of runs: a kind of cluster and the faults that it may have, stage by stage.
//!
//! A family is built around rules of the protocol: its cluster lacks what would hide a broken rule, and its faults
//! are those that lead to where the rule is the last one. The explorer finds the places.

mod adoptions;
mod broad;
mod bugs;
mod deep;
mod found;
mod meatware;
mod read;
mod rules;
mod standby;
mod stops;
mod timings;

use super::ending::End;
use super::faults::Fault;
use super::setup::Setup;
use picket_core::time::Duration;

pub use deep::deep;

/// A family.
#[derive(Clone, Debug)]
pub struct Family {
    /// Its name.
    pub name: String,
    /// The known-wrong rules that it was built to find.
    pub finds: &'static [u8],
    /// The cluster.
    pub setup: Setup,
    /// What is done to the settled cluster before the first stage.
    pub start: Vec<Fault>,
    /// The faults, one from each stage.
    pub stages: Vec<Stage>,
    /// What is done, and must be, in the end.
    pub end: End,
}

/// One fault of a run: which, and where.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The faults to choose from.
    pub faults: Vec<Fault>,
    /// It comes so long after the one before it, at the earliest.
    pub after: Duration,
    /// The window of its places.
    pub within: Duration,
    /// Every so many steps there is a place.
    pub stride: u64,
}

/// The first fault meets a cluster at rest: one heartbeat interval has all its places.
const FIRST: Duration = Duration::from_millis(12);

impl Family {
    pub(super) fn new(name: &str, setup: Setup) -> Self {
        Self {
            name: name.to_owned(),
            finds: &[],
            setup,
            start: Vec::new(),
            stages: Vec::new(),
            end: End::Active,
        }
    }

    pub(super) const fn finds(mut self, mutants: &'static [u8]) -> Self {
        self.finds = mutants;
        self
    }

    pub(super) fn start(mut self, faults: &[Fault]) -> Self {
        self.start = faults.to_vec();
        self
    }

    pub(super) const fn end(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    /// A fault at any place of the first heartbeat interval after the one before.
    pub(super) fn then(self, faults: &[Fault]) -> Self {
        self.within(faults, 0, FIRST.as_millis() as u64, 1)
    }

    /// A fault between so many and so many milliseconds after the one before it, at every so many steps.
    pub(super) fn within(mut self, faults: &[Fault], after: u64, until: u64, stride: u64) -> Self {
        let (after, within) = (Duration::from_millis(after), Duration::from_millis(until - after));
        self.stages.push(Stage { faults: faults.to_vec(), after, within, stride });
        self
    }
}

impl Family {
    /// The windows of its stages in milliseconds, each after the fault before, and at every how many steps there is a
    /// place.
    #[must_use]
    pub fn bounds(&self) -> String {
        let of = |stage: &Stage| {
            let until = stage.after + stage.within;
            format!("{}–{}/{}", stage.after.as_millis(), until.as_millis(), stage.stride)
        };
        self.stages.iter().map(of).collect::<Vec<_>>().join(" ")
    }
}

/// Every family of the standard run.
#[must_use]
pub fn standard() -> Vec<Family> {
    let mut all = broad::families();
    all.extend(rules::families());
    all.extend(bugs::families());
    all.extend(found::families());
    all.extend(stops::families());
    all.extend(standby::families());
    all.extend(meatware::families());
    all.extend(timings::families());
    all.extend(adoptions::families());
    all.extend(read::families());
    all
}
