//! Searches that add up over runs.
//!
//! A family's search falls into *parts*: its first fault at one of its places, and everything that can come after it.
//! A deep run takes part after part, always in the family that has had the fewest states, so that a run that is broken
//! off has seen something of every family. Within a family the parts come in an order that jumps, for the same reason.
//! What was done stands in a file, and the next run goes on there. Parts are counted for the present build alone, since
//! a search of other code says nothing about this one; states are added up for all builds as well.
//!
//! Memory: the search is depth first and remembers no state, so that a thread holds one world for each stage. That is
//! some megabytes, whatever the number of states.

use super::explore::{Found, Part, Search, Violation, parts, settled};
use super::families::Family;
use super::world::World;
use picket_core::time::Duration;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

/// States that deep runs go on to, all builds together.
pub const GOAL: u64 = 1_000_000_000;

/// A part is cut off after so many states: some minutes, of which a run that is broken off loses the last.
pub const PART_STATES_MAX: u64 = 50_000_000;

/// How far the search of one family has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Parts that are done.
    pub done: u64,
    /// All of its parts; zero: not known yet.
    pub parts: u64,
    /// Parts that were cut off.
    pub cut_off: u64,
    /// States that were visited and checked.
    pub states: u64,
    /// Runs that were brought to their end.
    pub runs: u64,
}

impl Progress {
    /// Whether nothing is left to do.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.parts > 0 && self.done >= self.parts
    }

    /// Adds a part.
    pub const fn add(&mut self, found: &Found) {
        self.done += 1;
        self.states += found.states;
        self.runs += found.runs;
        if found.cut_off {
            self.cut_off += 1;
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, parts, cut_off, states, runs } = *self;
        write!(f, "{states:>11} states {runs:>9} runs  ")?;
        match (self.is_done(), cut_off) {
            (true, 0) => write!(f, "exhausted"),
            (true, _) => write!(f, "cut off in {cut_off} of {parts} parts"),
            (false, 0) => write!(f, "{done} of {parts} parts exhausted"),
            (false, _) => write!(f, "{done} of {parts} parts, {cut_off} of them cut off"),
        }
    }
}

/// What is known of all runs so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// What the present build is.
    pub build: u64,
    /// States of all builds.
    pub states: u64,
    /// Processor time of all builds, in milliseconds.
    pub cpu_ms: u64,
    /// What the present build has done, by the family's name.
    pub families: BTreeMap<String, Progress>,
    /// What was violated: the build, and the family with the faults.
    pub violations: Vec<(u64, String)>,
}

impl State {
    /// Reads the file; one that is not there is a beginning.
    ///
    /// # Errors
    /// The file cannot be read, or is none of ours.
    pub fn read(path: &Path, build: u64) -> io::Result<Self> {
        let mut state = Self { build, ..Self::default() };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(state),
            Err(error) => return Err(error),
        };
        let mut of = 0;
        for (number, line) in (1..).zip(text.lines()) {
            state.take_line(line, &mut of).ok_or_else(|| {
                let path = path.display();
                let text = format!("{path}: line {number} is not understood; remove the file to begin anew");
                io::Error::new(io::ErrorKind::InvalidData, text)
            })?;
        }
        if of != build {
            state.families.clear();
        }
        Ok(state)
    }

    fn take_line(&mut self, line: &str, build: &mut u64) -> Option<()> {
        let (word, rest) = line.split_once(' ')?;
        match word {
            "build" => *build = u64::from_str_radix(rest, 16).ok()?,
            "states" => self.states = rest.parse().ok()?,
            "cpu-ms" => self.cpu_ms = rest.parse().ok()?,
            "family" => {
                let mut words = rest.splitn(6, ' ');
                let mut number = || words.next()?.parse::<u64>().ok();
                let (done, parts, cut_off, states, runs) =
                    (number()?, number()?, number()?, number()?, number()?);
                let progress = Progress { done, parts, cut_off, states, runs };
                self.families.insert(words.next()?.to_owned(), progress);
            }
            "violation" => {
                let (build, what) = rest.split_once(' ')?;
                self.violations.push((u64::from_str_radix(build, 16).ok()?, what.to_owned()));
            }
            _ => return None,
        }
        Some(())
    }

    /// Writes the file, in one piece or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = format!("build {:016x}\nstates {}\ncpu-ms {}\n", self.build, self.states, self.cpu_ms);
        for (name, Progress { done, parts, cut_off, states, runs }) in &self.families {
            text += &format!("family {done} {parts} {cut_off} {states} {runs} {name}\n");
        }
        for (build, what) in &self.violations {
            text += &format!("violation {build:016x} {what}\n");
        }
        let beside = path.with_extension("new");
        std::fs::write(&beside, text)?;
        std::fs::rename(beside, path)
    }

    /// States of the present build.
    #[must_use]
    pub fn of_build(&self) -> u64 {
        self.families.values().map(|progress| progress.states).sum()
    }

    /// How many violations the present build has.
    #[must_use]
    pub fn violated(&self) -> usize {
        self.violations.iter().filter(|(build, _)| *build == self.build).count()
    }

    /// The family that is to go on: the one with the fewest states of those with something left that nobody is busy
    /// with.
    #[must_use]
    pub fn next<'a>(&self, families: &'a [Family], busy: &[&str]) -> Option<&'a Family> {
        let progress = |family: &Family| self.families.get(&family.name).copied().unwrap_or_default();
        let open = families.iter().filter(|it| !progress(it).is_done() && !busy.contains(&it.name.as_str()));
        open.min_by_key(|family| progress(family).states)
    }
}

/// A family under way: its settled cluster and all its parts.
pub struct Course {
    world: World,
    parts: Vec<Part>,
    jump: usize,
}

impl fmt::Debug for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} parts", self.parts.len())
    }
}

impl Course {
    /// Of a family.
    #[must_use]
    pub fn new(family: &Family) -> Self {
        let world = settled(family);
        let parts = parts(family, &world);
        let jump = jump(parts.len());
        Self { world, parts, jump }
    }

    /// How many parts there are.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.parts.len() as u64
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// A family in which there is nothing to do is wrong itself: its cluster before any fault, or all of its faults.
    #[must_use]
    pub fn why_empty(&self) -> Violation {
        let text = self.world.violations.first().cloned();
        let text = text.unwrap_or_else(|| "none of the faults of its first stage can happen".to_owned());
        Violation { text, schedule: Vec::new(), after: Duration::ZERO }
    }

    /// Does the part with this number; `None` if there is none.
    #[must_use]
    pub fn play(&self, family: &Family, number: u64, bound: u64) -> Option<Found> {
        let number = usize::try_from(number).ok().filter(|number| *number < self.parts.len())?;
        let part = *self.parts.get(number * self.jump % self.parts.len())?;
        Some(Search::new(family, family.stages.len(), bound).run_part(&self.world, part))
    }
}

/// A step through so many parts that meets each once, and far from the one before.
fn jump(parts: usize) -> usize {
    let golden = parts * 618 / 1000;
    (golden.max(1)..).find(|step| divisor(*step, parts.max(1)) == 1).unwrap_or(1)
}

const fn divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { divisor(b, a % b) }
}

/// The most memory that this process has had, in mebibytes; zero where the kernel does not tell.
#[must_use]
pub fn memory_max_mib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1024
}

pub mod run;

#[cfg(test)]
mod tests;
