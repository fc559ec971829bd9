//! What was asked when, and what was answered when.
//!
//! A moment is a count that grows with every event of the run, taken before a request is handed over and after its
//! answer was read, so that two operations that did not overlap are in the right order.

use crate::register::{Call, Holder, Outcome};
use core::ops::RangeInclusive;
use core::sync::atomic::{AtomicU64, Ordering};
use picket_core::ids::VolumeId;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A moment of a run.
pub type Moment = u64;

/// One request and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Before this it had no effect.
    pub invoked: Moment,
    /// After this it had none any more: its answer had come, or who could have done it was gone.
    pub over: Moment,
    /// What was asked.
    pub call: Call,
    /// What was answered.
    pub outcome: Outcome,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invoked, over, call, outcome } = self;
        match *over {
            Moment::MAX => write!(f, "[{invoked:6} …       ]")?,
            over => write!(f, "[{invoked:6} … {over:6}]")?,
        }
        write!(f, " {call}: {outcome}")
    }
}

/// A request that was recorded and waits for its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending(usize);

#[derive(Clone, Debug)]
struct Entry {
    volume: VolumeId,
    life: u64,
    operation: Operation,
}

#[derive(Debug, Default)]
struct Entries {
    operations: Vec<Entry>,
    /// Boots that began, each with the moment before its first registration and the boot that it ended.
    boots: Vec<(Moment, Holder)>,
    /// When each run of the witness was seen gone.
    ended: Vec<(u64, Moment)>,
}

/// The record of a run, shared by its clients.
#[derive(Debug, Default)]
pub struct History {
    clock: AtomicU64,
    /// Which run of the witness is the present one.
    life: AtomicU64,
    /// How often a client was told that the witness recovers.
    recoveries: AtomicU64,
    entries: Mutex<Entries>,
}

impl History {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Now.
    pub fn now(&self) -> Moment {
        self.clock.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The present run of the witness.
    pub fn life(&self) -> u64 {
        self.life.load(Ordering::SeqCst)
    }

    /// The witness was started.
    pub fn begin_life(&self) {
        self.life.fetch_add(1, Ordering::SeqCst);
    }

    /// The witness is gone: nothing that was asked of it can be done any more.
    pub fn end_life(&self) {
        let (life, now) = (self.life(), self.now());
        self.entries().ended.push((life, now));
    }

    /// A client was told that the witness recovers.
    pub fn saw_recovery(&self) {
        self.recoveries.fetch_add(1, Ordering::SeqCst);
    }

    /// How often clients were told so.
    pub fn recoveries(&self) -> u64 {
        self.recoveries.load(Ordering::SeqCst)
    }

    /// A node is about to register another boot than `old`.
    pub fn new_boot(&self, old: Holder) {
        let now = self.now();
        self.entries().boots.push((now, old));
    }

    /// A request is about to be handed over, to the run `life` of the witness.
    pub fn ask(&self, volume: VolumeId, life: u64, call: Call) -> Pending {
        let operation = Operation { invoked: self.now(), over: Moment::MAX, call, outcome: Outcome::Unknown };
        let mut entries = self.entries();
        entries.operations.push(Entry { volume, life, operation });
        Pending(entries.operations.len() - 1)
    }

    /// Its answer was read.
    pub fn answer(&self, pending: Pending, outcome: Outcome) {
        let now = self.now();
        if let Some(entry) = self.entries().operations.get_mut(pending.0) {
            entry.operation.outcome = outcome;
            entry.operation.over = now;
        }
    }

    /// The operations on a volume that were asked of these runs of the witness. What has no answer is over with the
    /// run that it was asked of. A read without an answer says nothing and is left out.
    #[must_use]
    pub fn of(&self, volume: VolumeId, lives: RangeInclusive<u64>) -> Vec<Operation> {
        let entries = self.entries();
        let finished = |entry: &Entry| {
            let mut operation = entry.operation.clone();
            if operation.over == Moment::MAX {
                let gone = entries.ended.iter().find(|(life, _)| *life == entry.life);
                operation.over = gone.map_or(Moment::MAX, |(_, moment)| *moment);
            }
            if let Call::Acquire { superseded, .. } = &mut operation.call {
                let before = |(moment, _): &&(Moment, Holder)| *moment < operation.over;
                superseded.extend(entries.boots.iter().filter(before).map(|(_, old)| old.boot));
            }
            operation
        };
        let says_something =
            |operation: &Operation| operation.call != Call::Read || operation.outcome != Outcome::Unknown;
        let is_meant = |entry: &&Entry| entry.volume == volume && lives.contains(&entry.life);
        let of_volume = entries.operations.iter().filter(is_meant);
        of_volume.map(finished).filter(says_something).collect()
    }
}
