//! Which faults were met, which met each other, and which rules were seen at work.

use super::schedule::Planned;
use crate::world::World;
use crate::world::clock::SECOND;
use crate::world::rules::{RULES, Rules};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Faults that begin within this after another one's end meet it still.
const MEETS_WITHIN: u64 = 3 * SECOND;

/// What many runs together did.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// How many runs.
    pub runs: u64,
    pub(super) world_nanos: u128,
    pub(super) steps: u64,
    pub(super) promotions: u64,
    pub(super) fences: u64,
    pub(super) permits: u64,
    /// The longest time that a cluster needed after its last fault until all was well, in nanoseconds.
    pub(super) slowest: u64,
    pub(super) kinds: BTreeMap<&'static str, u64>,
    pub(super) pairs: BTreeMap<(&'static str, &'static str), u64>,
    pub(super) rules: Rules,
    pub(super) refusals: BTreeSet<&'static str>,
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
        self.slowest = self.slowest.max(world.healed_after.unwrap_or(0));
        self.rules.merge(&world.rules);
        self.refusals.extend(world.refusals.iter());
        // A run that violates something ends before its plan does.
        let began: Vec<&Planned> = faults.iter().filter(|planned| planned.at <= world.now).collect();
        for (index, first) in began.iter().enumerate() {
            *self.kinds.entry(first.fault.kind()).or_default() += 1;
            for second in began.iter().skip(index + 1) {
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
        self.slowest = self.slowest.max(other.slowest);
        for (kind, count) in &other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        for (pair, count) in &other.pairs {
            *self.pairs.entry(*pair).or_default() += count;
        }
        self.rules.merge(&other.rules);
        self.refusals.extend(other.refusals.iter());
    }

    /// How much world time was simulated, in hours.
    #[must_use]
    pub fn hours(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let seconds = (self.world_nanos / 1_000_000_000) as f64;
        seconds / 3600.0
    }

    /// The rules that were never seen at work.
    #[must_use]
    pub fn rules_missed(&self) -> Vec<&'static str> {
        RULES.iter().filter(|rule| !self.rules.counts().contains_key(**rule)).copied().collect()
    }

    /// The rules that were never seen at work, for people.
    #[must_use]
    pub fn rules_text(&self) -> String {
        let missed = self.rules_missed();
        let never: String = missed.iter().map(|rule| format!("  never: {rule}\n")).collect();
        format!("rules seen at work: {} of {}\n{never}", RULES.len() - missed.len(), RULES.len())
    }

    /// What was met of the kinds that no random schedule holds, for people.
    fn aimed_text(&self) -> String {
        let count = |kind: &&str| self.kinds.get(kind).copied().unwrap_or_default();
        let kinds: Vec<String> = AIMED.iter().map(|kind| format!("{kind} {} times", count(kind))).collect();
        let met = aimed_pairs().filter(|pair| self.pairs.contains_key(pair)).count();
        let all = aimed_pairs().count();
        format!("kinds of aims and scenarios only: {}; pairs with them met: {met} of {all}", kinds.join(", "))
    }

    /// The pairs of fault kinds that never met.
    #[must_use]
    pub fn pairs_missed(&self) -> Vec<(&'static str, &'static str)> {
        pairs().filter(|pair| !self.pairs.contains_key(pair)).collect()
    }
}

/// Every pair of kinds of random schedules, a kind with itself too.
pub(super) fn pairs() -> impl Iterator<Item = (&'static str, &'static str)> {
    pairs_of(KINDS, 0..KINDS.len())
}

/// Every pair of which one at least is a kind of aims and scenarios only.
pub(super) fn aimed_pairs() -> impl Iterator<Item = (&'static str, &'static str)> {
    let with = |a: &'static str| KINDS.iter().map(move |b| (a.min(b), a.max(b)));
    AIMED.iter().flat_map(move |a| with(a)).chain(pairs_of(AIMED, 0..AIMED.len()))
}

fn pairs_of(
    kinds: &'static [&'static str],
    from: std::ops::Range<usize>,
) -> impl Iterator<Item = (&'static str, &'static str)> {
    let with = move |a: usize| kinds.iter().skip(a).map(move |b| (kinds[a].min(b), kinds[a].max(b)));
    from.flat_map(with)
}

/// The kinds that only aims and scenarios have: each is outside the promises, or says less than a random kind does.
pub(super) const AIMED: &[&str] =
    &["adopt", "cut", "override", "retimed", "witness-backed-up", "witness-retimed", "witness-rolled-back"];

/// Every kind that a random schedule can hold.
pub(super) const KINDS: &[&str] = &[
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
    "standby",
    "node-disk",
    "node-disk-full",
    "node-disk-slow",
    "node-write-torn",
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
    "witness-disk-full",
    "witness-disk-slow",
    "witness-write-torn",
    "witness-replaced",
    "move",
    "fence-by-hand",
    "confirm-wrongly",
    "ghosts",
    "repeated",
    "reset-hangs",
    "evict",
    "force-stale",
    "keep-running",
    "driver-blind",
    "driver-slow",
    "driver-ends-frozen",
    "driver-thaws-late",
    "driver-thaws-unheard",
    "dies-between",
    "driver-unseeing",
    "device-slow",
    "device-tells-late",
];

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} runs, {:.1} cluster-hours, {} core steps", self.runs, self.hours(), self.steps)?;
        writeln!(
            f,
            "{} promotions, {} permits, {} fences hit; at most {} s from the last fault to all well",
            self.promotions,
            self.permits,
            self.fences,
            self.slowest / SECOND
        )?;
        write!(f, "{}", self.rules_text())?;
        let never: Vec<_> = KINDS.iter().filter(|kind| !self.kinds.contains_key(**kind)).copied().collect();
        let none = || "none".to_owned();
        writeln!(f, "fault kinds never met: {}", if never.is_empty() { none() } else { never.join(", ") })?;
        let missing: Vec<String> = self.pairs_missed().iter().map(|(a, b)| format!("{a}+{b}")).collect();
        let all = pairs().count();
        writeln!(f, "fault pairs met: {} of {all}", all - missing.len())?;
        for line in missing.chunks(6) {
            writeln!(f, "  never: {}", line.join(", "))?;
        }
        writeln!(f, "{}", self.aimed_text())
    }
}
