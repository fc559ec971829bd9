//! Which faults were met, and which met each other.

use super::schedule::Planned;
use crate::world::World;
use crate::world::clock::SECOND;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Faults that begin within this after another one's end meet it still.
const MEETS_WITHIN: u64 = 3 * SECOND;

/// What many runs together did.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    runs: u64,
    world_nanos: u128,
    steps: u64,
    promotions: u64,
    fences: u64,
    permits: u64,
    kinds: BTreeMap<&'static str, u64>,
    pairs: BTreeMap<(&'static str, &'static str), u64>,
    proofs: BTreeMap<&'static str, u64>,
    refusals: BTreeSet<&'static str>,
}

impl Coverage {
    /// Adds a run.
    pub fn add(&mut self, faults: &[Planned], world: &World) {
        self.runs += 1;
        self.world_nanos += u128::from(world.now.0);
        self.steps += world.steps;
        self.promotions += world.promotions;
        self.fences += world.fence_hits;
        self.permits += world.permits;
        for (word, count) in &world.proofs {
            *self.proofs.entry(word).or_default() += count;
        }
        self.refusals.extend(world.refusals.iter());
        for (index, first) in faults.iter().enumerate() {
            *self.kinds.entry(first.fault.kind()).or_default() += 1;
            for second in faults.iter().skip(index + 1) {
                if second.at <= first.until + MEETS_WITHIN {
                    let (a, b) = (first.fault.kind(), second.fault.kind());
                    *self.pairs.entry((a.min(b), a.max(b))).or_default() += 1;
                }
            }
        }
    }

    /// Adds what another one counted.
    pub fn merge(&mut self, other: &Self) {
        self.runs += other.runs;
        self.world_nanos += other.world_nanos;
        self.steps += other.steps;
        self.promotions += other.promotions;
        self.fences += other.fences;
        self.permits += other.permits;
        for (kind, count) in &other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        for (pair, count) in &other.pairs {
            *self.pairs.entry(*pair).or_default() += count;
        }
        for (word, count) in &other.proofs {
            *self.proofs.entry(word).or_default() += count;
        }
        self.refusals.extend(other.refusals.iter());
    }

    /// How much world time was simulated, in hours.
    #[must_use]
    pub fn hours(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let seconds = (self.world_nanos / 1_000_000_000) as f64;
        seconds / 3600.0
    }
}

/// Every kind that a random schedule can hold.
const KINDS: &[&str] = &[
    "cut-beats",
    "cut-peer",
    "cut-repl",
    "cut-witness",
    "cut-pair",
    "cut-from-peers",
    "isolated",
    "cut-witness-repl",
    "split",
    "slow",
    "crash",
    "power-loss-with-bmc",
    "power-loss",
    "stall-torn",
    "stall",
    "daemon-stall-torn",
    "daemon-stall",
    "pause",
    "daemon-kill",
    "daemon-stop",
    "node-disk",
    "driver-hangs",
    "driver-fails",
    "device-acts-late",
    "device-unheard",
    "device-hangs",
    "device-fails",
    "disk-swapped",
    "drift",
    "witness-kill",
    "witness-stall",
    "witness-disk",
    "witness-replaced",
    "move",
    "fence-by-hand",
    "confirm-wrongly",
];

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} runs, {:.1} cluster hours, {} core steps", self.runs, self.hours(), self.steps)?;
        writeln!(f, "{} promotions, {} permits, {} fences hit", self.promotions, self.permits, self.fences)?;
        let proofs: Vec<_> = self.proofs.iter().map(|(word, count)| format!("{word} {count}")).collect();
        writeln!(f, "proofs: {}", proofs.join(", "))?;
        let refusals: Vec<_> = self.refusals.iter().copied().collect();
        writeln!(f, "refusals: {}", refusals.join(", "))?;
        let never: Vec<_> = KINDS.iter().filter(|kind| !self.kinds.contains_key(**kind)).copied().collect();
        writeln!(
            f,
            "fault kinds never met: {}",
            if never.is_empty() { "none".into() } else { never.join(", ") }
        )?;
        let mut missing = Vec::new();
        for (index, a) in KINDS.iter().enumerate() {
            for b in KINDS.iter().skip(index) {
                if !self.pairs.contains_key(&(*a.min(b), *a.max(b))) {
                    missing.push(format!("{a}+{b}"));
                }
            }
        }
        let all = KINDS.len() * (KINDS.len() + 1) / 2;
        writeln!(f, "fault pairs met: {} of {all}", all - missing.len())?;
        const SHOWN: usize = 40;
        if !missing.is_empty() {
            let more = if missing.len() > SHOWN { ", …" } else { "" };
            missing.truncate(SHOWN);
            writeln!(f, "never met: {}{more}", missing.join(", "))?;
        }
        Ok(())
    }
}
