//! Simulated stores: what is durable, and what is only on its way.
//!
//! They do what the real ones do (`host/src/small_state.rs`, `witness/src/store`): a record is replaced as a whole; a
//! write or a sync that fails is final and ends the process; a write that a crash cut off in the middle is known by its
//! checksum, and a start goes back to the record before it, which was synced; a start writes anew what it found, so that
//! it fails as long as nothing can be written. What was synced stays: a disk that loses it is outside the promises.

use super::clock::{MS, SECOND};
use super::rng::Rng;
use picket_core::node::{Disk, NodeRecord, Run};
use picket_core::ready::Store;
use picket_core::witness::Record;

/// What is wrong with a disk. Several things may be at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskMode {
    /// A sync fails.
    SyncFails,
    /// It is full: after a few writes that still fit there is room for none.
    Full,
    /// A sync takes up to two seconds.
    Slow,
    /// The machine ends in the middle of the next write.
    Tears,
}

/// Why nothing could be kept. What is on the disk now, nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// A sync failed.
    SyncFailed,
    /// There is no room.
    Full,
    /// The process died when it had synced what it keeps on the disk, and before it wrote what it keeps for this boot.
    DiedBetween,
}

impl DiskError {
    /// What became of it, for the log.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::SyncFailed => "its disk does not sync",
            Self::Full => "its disk is full",
            Self::DiedBetween => "killed between its two records",
        }
    }
}

/// What is wrong with a file's disk now.
#[derive(Clone, Copy, Debug, Default)]
struct Ails {
    sync_fails: bool,
    /// The disk is full, and so many writes fit still.
    room: Option<u64>,
    slow: bool,
    tears: bool,
}

/// A file that is replaced as a whole.
#[derive(Clone, Debug)]
pub struct File<T> {
    durable: Option<T>,
    coming: Option<T>,
    ails: Ails,
    /// Behind the durable record lies the damaged part of one that a crash cut off.
    torn: bool,
}

impl<T> Default for File<T> {
    fn default() -> Self {
        Self { durable: None, coming: None, ails: Ails::default(), torn: false }
    }
}

impl<T: Clone> File<T> {
    /// What a start finds.
    #[must_use]
    pub const fn read(&self) -> Option<&T> {
        self.durable.as_ref()
    }

    /// A process starts with it. Whether it found a damaged record, and left it out.
    ///
    /// # Errors
    /// What was found cannot be written anew.
    pub const fn open(&mut self) -> Result<bool, DiskError> {
        if self.durable.is_none() {
            return Ok(std::mem::replace(&mut self.torn, false));
        }
        if self.ails.room.is_some() {
            return Err(DiskError::Full);
        }
        if self.ails.sync_fails {
            return Err(DiskError::SyncFailed);
        }
        Ok(std::mem::replace(&mut self.torn, false))
    }

    /// What was written is on the disk for good.
    pub fn settle(&mut self) {
        if let Some(coming) = self.coming.take() {
            self.durable = Some(coming);
        }
    }

    /// The machine ends while something may be on its way; that is there, or a part of it, or nothing of it.
    pub fn crash(&mut self, rng: &mut Rng) {
        let Some(coming) = self.coming.take() else { return };
        if std::mem::replace(&mut self.ails.tears, false) {
            self.torn = true;
            return;
        }
        match rng.range(0, 3) {
            0 | 1 => self.durable = Some(coming),
            2 => self.torn = true,
            _ => {}
        }
    }

    /// From now on the disk does this, or does not. A full one has room for `room` writes.
    pub fn set(&mut self, mode: DiskMode, on: bool, room: u64) {
        match mode {
            DiskMode::SyncFails => self.ails.sync_fails = on,
            DiskMode::Full => self.ails.room = on.then_some(room),
            DiskMode::Slow => self.ails.slow = on,
            DiskMode::Tears => self.ails.tears = on,
        }
    }

    /// How long the sync takes that is under way, in nanoseconds.
    #[must_use]
    pub fn sync_takes(&self, rng: &mut Rng) -> u64 {
        let usual = rng.range(MS / 5, 3 * MS);
        if self.ails.slow && self.is_busy() { rng.range(50 * MS, 2 * SECOND) } else { usual }
    }

    /// Whether syncs take long.
    #[must_use]
    pub const fn is_slow(&self) -> bool {
        self.ails.slow
    }

    /// Whether the machine ends before what is on its way is written.
    #[must_use]
    pub const fn tears(&self) -> bool {
        self.ails.tears && self.is_busy()
    }

    /// Puts something else in its place, as a restored backup does.
    pub fn replace(&mut self, content: Option<T>) {
        self.durable = content;
        self.coming = None;
        self.torn = false;
    }

    fn write(&mut self, content: &T) -> Result<(), DiskError> {
        if let Some(room) = self.ails.room.as_mut() {
            *room = room.checked_sub(1).ok_or(DiskError::Full)?;
        }
        self.coming = Some(content.clone());
        Ok(())
    }

    const fn synced(&self) -> Result<(), DiskError> {
        if self.ails.sync_fails && self.is_busy() { Err(DiskError::SyncFailed) } else { Ok(()) }
    }

    /// Whether something is on its way.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.coming.is_some()
    }
}

/// A node's two stores.
#[derive(Clone, Debug, Default)]
pub struct NodeStore {
    /// Synced.
    pub disk: File<Disk>,
    /// Below `/run`, in memory: there until the machine ends, and never full.
    pub run: Option<Run>,
    /// The process dies between the two, the next time that it writes both.
    pub dies_between: bool,
}

impl NodeStore {
    /// Whether it is kept that the daemon leaves, or left, its volumes running.
    pub(super) fn keeps_running(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.keeps_running)
    }
}

impl Store<(), NodeRecord> for NodeStore {
    type Error = DiskError;

    fn persist(&mut self, (): &(), record: &NodeRecord) -> Result<(), DiskError> {
        if let Some(disk) = &record.disk {
            self.disk.write(disk)?;
        }
        if let Some(run) = &record.run {
            if record.disk.is_some() && self.dies_between {
                self.disk.synced()?;
                self.disk.settle();
                self.dies_between = false;
                return Err(DiskError::DiedBetween);
            }
            self.run = Some(run.clone());
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        self.disk.synced()
    }
}

impl Store<(), Record> for File<Record> {
    type Error = DiskError;

    fn persist(&mut self, (): &(), record: &Record) -> Result<(), DiskError> {
        self.write(record)
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        self.synced()
    }
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
