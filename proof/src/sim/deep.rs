//! What many runs of the program add up to: a state file that each run reads and writes again.
//!
//! Seeds are counted for all runs together and for the present build alone, since a seed that passed says nothing
//! about code that was changed after it. A build is told apart by its binary's content.

use super::coverage::{AIMED, Coverage, KINDS, aimed_pairs, pairs};
use super::many::Found;
use crate::world::rules::RULES;
use std::fmt::Write;
use std::io;
use std::path::Path;

/// The number of seeds that deep runs go on to.
pub const GOAL: u64 = 1_000_000;

/// What is known of all runs so far.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The next seed.
    pub next: u64,
    /// What the present build is.
    pub build: u64,
    /// How many seeds the present build passed or failed.
    pub of_build: u64,
    /// Processor time so far, in milliseconds.
    pub cpu_ms: u64,
    /// What was met.
    pub coverage: Coverage,
    /// What was violated: seed, build, invariant.
    pub violations: Vec<(u64, u64, String)>,
}

impl State {
    /// Reads the file; one that is not there is a beginning. Another build's seeds are not counted as this one's.
    ///
    /// # Errors
    /// The file cannot be read, or is none of ours.
    pub fn read(path: &Path, build: u64) -> io::Result<Self> {
        let fresh = Self { next: 1, build, ..Self::default() };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(fresh),
            Err(error) => return Err(error),
        };
        let mut state = fresh;
        let mut of = 0;
        for (number, line) in (1..).zip(text.lines()) {
            let odd = || {
                let text = format!(
                    "{}: line {number} is not understood; remove the file to begin anew",
                    path.display()
                );
                io::Error::new(io::ErrorKind::InvalidData, text)
            };
            state.take_line(line, &mut of).ok_or_else(odd)?;
        }
        if of != build {
            state.of_build = 0;
        }
        Ok(state)
    }

    fn take_line(&mut self, line: &str, build: &mut u64) -> Option<()> {
        let (word, rest) = line.split_once(' ')?;
        let number = |text: &str| text.parse::<u64>().ok();
        let coverage = &mut self.coverage;
        match word {
            "next" => self.next = number(rest)?,
            "build" => *build = u64::from_str_radix(rest, 16).ok()?,
            "of-build" => self.of_build = number(rest)?,
            "cpu-ms" => self.cpu_ms = number(rest)?,
            "runs" => coverage.runs = number(rest)?,
            "nanos" => coverage.world_nanos = rest.parse().ok()?,
            "steps" => coverage.steps = number(rest)?,
            "promotions" => coverage.promotions = number(rest)?,
            "fences" => coverage.fences = number(rest)?,
            "permits" => coverage.permits = number(rest)?,
            "slowest" => coverage.slowest = number(rest)?,
            "violation" => {
                let (seed, rest) = rest.split_once(' ')?;
                let (build, what) = rest.split_once(' ')?;
                self.violations.push((number(seed)?, u64::from_str_radix(build, 16).ok()?, what.to_owned()));
            }
            // Kinds and rules that are no more are not counted on.
            "kind" | "pair" | "rule" => {
                let (count, name) = rest.split_once(' ')?;
                let count = number(count)?;
                self.take_count(word, name, count);
            }
            _ => return None,
        }
        Some(())
    }

    fn take_count(&mut self, word: &str, name: &str, count: u64) {
        match word {
            "kind" => {
                let kind = KINDS.iter().chain(AIMED).find(|kind| **kind == name);
                kind.map(|kind| self.coverage.kinds.insert(kind, count));
            }
            "pair" => {
                let pair = pairs().chain(aimed_pairs()).find(|(a, b)| name.split_once('+') == Some((a, b)));
                pair.map(|pair| self.coverage.pairs.insert(pair, count));
            }
            _ => {
                if let Some(rule) = RULES.iter().find(|rule| **rule == name) {
                    self.coverage.rules.add(rule, count);
                }
            }
        }
    }

    /// Adds what a part of a run found.
    pub fn add(&mut self, seeds: u64, found: &Found, cpu_ms: u64) {
        self.next += seeds;
        self.of_build += seeds;
        self.cpu_ms += cpu_ms;
        self.coverage.merge(&found.coverage);
        let build = self.build;
        let new = found.violations.iter().map(|(seed, it)| (*seed, build, it.invariant.to_owned()));
        self.violations.extend(new);
    }

    /// Writes the file, in one piece or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let beside = path.with_extension("new");
        std::fs::write(&beside, self.text())?;
        std::fs::rename(beside, path)
    }

    fn text(&self) -> String {
        let Self { next, build, of_build, cpu_ms, coverage, violations } = self;
        let mut text = format!("next {next}\nbuild {build:016x}\nof-build {of_build}\ncpu-ms {cpu_ms}\n");
        let Coverage { runs, world_nanos, steps, promotions, fences, permits, slowest, .. } = coverage;
        // Writing to a string does not fail.
        let _ = write!(text, "runs {runs}\nnanos {world_nanos}\nsteps {steps}\npromotions {promotions}\n");
        let _ = write!(text, "fences {fences}\npermits {permits}\nslowest {slowest}\n");
        for (kind, count) in &coverage.kinds {
            let _ = writeln!(text, "kind {count} {kind}");
        }
        for ((a, b), count) in &coverage.pairs {
            let _ = writeln!(text, "pair {count} {a}+{b}");
        }
        for (rule, count) in coverage.rules.counts() {
            let _ = writeln!(text, "rule {count} {rule}");
        }
        for (seed, build, what) in violations {
            let _ = writeln!(text, "violation {seed} {build:016x} {what}");
        }
        text
    }
}

/// Cluster-hours for each hour of processor time.
#[must_use]
pub fn hours_per_core_hour(hours: f64, cpu_ms: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let core_hours = cpu_ms.max(1) as f64 / 3_600_000.0;
    hours / core_hours
}

/// The processor time of this process so far, in milliseconds; zero where the kernel does not tell.
#[must_use]
pub fn cpu_ms() -> u64 {
    // Fields 14 and 15, after the name in parentheses, in ticks of 10 ms on every Linux that this runs on.
    let Ok(text) = std::fs::read_to_string("/proc/self/stat") else { return 0 };
    let Some((_, rest)) = text.rsplit_once(')') else { return 0 };
    let fields: Vec<u64> =
        rest.split_whitespace().skip(11).take(2).filter_map(|word| word.parse().ok()).collect();
    fields.iter().sum::<u64>() * 10
}

/// What tells this build apart: a digest of the program itself.
#[must_use]
pub fn build() -> u64 {
    let program = std::env::current_exe().and_then(std::fs::read).unwrap_or_default();
    program.iter().fold(0xcbf2_9ce4_8422_2325, |digest, byte| {
        (digest ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
