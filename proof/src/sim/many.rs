//! Many seeds, on several threads. What comes out does not depend on how many.

use super::coverage::Coverage;
use super::run::{Outcome, Plan};
use crate::world::oracle::Violation;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

/// What many seeds did.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What was met.
    pub coverage: Coverage,
    /// What was violated, by seed, the lowest first.
    pub violations: Vec<(u64, Violation)>,
}

/// Runs every seed. With `first`, no seed above the lowest one that fails has to be run.
pub fn run(seeds: Range<u64>, threads: u64, first: bool, plan: impl Fn(u64) -> Plan + Sync) -> Found {
    let next = AtomicU64::new(seeds.start);
    let lowest = AtomicU64::new(u64::MAX);
    let all = Mutex::new(Found::default());
    let work = || {
        let mut mine = Found::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || first && seed > lowest.load(Ordering::Relaxed) {
                break;
            }
            let plan = plan(seed);
            let Outcome { violation, world } = plan.run(false, false);
            mine.coverage.add(&plan.faults, &world);
            if let Some(violation) = violation {
                lowest.fetch_min(seed, Ordering::Relaxed);
                mine.violations.push((seed, violation));
            }
        }
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        all.coverage.merge(&mine.coverage);
        all.violations.append(&mut mine.violations);
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.max(1) {
            scope.spawn(work);
        }
        work();
    });
    let mut all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.violations.sort_by_key(|(seed, _)| *seed);
    all
}
