//! Simulated stores: what is durable, and what is only on its way.

use super::rng::Rng;
use picket_core::node::{Disk, NodeRecord, Run};
use picket_core::ready::Store;
use picket_core::witness::Record;

/// A sync that failed. What is on the disk now, nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncFailed;

/// A file that is replaced as a whole.
#[derive(Clone, Debug)]
pub struct File<T> {
    durable: Option<T>,
    coming: Option<T>,
    fails: bool,
}

impl<T> Default for File<T> {
    fn default() -> Self {
        Self { durable: None, coming: None, fails: false }
    }
}

impl<T: Clone> File<T> {
    /// What a start finds.
    #[must_use]
    pub const fn read(&self) -> Option<&T> {
        self.durable.as_ref()
    }

    /// What was written is on the disk for good.
    pub fn settle(&mut self) {
        if let Some(coming) = self.coming.take() {
            self.durable = Some(coming);
        }
    }

    /// The machine ends while something may be on its way; that is there, or it is not.
    pub fn crash(&mut self, rng: &mut Rng) {
        if let Some(coming) = self.coming.take()
            && rng.permille(500)
        {
            self.durable = Some(coming);
        }
    }

    /// From now on syncs fail, or do not.
    pub const fn set_failing(&mut self, fails: bool) {
        self.fails = fails;
    }

    /// Puts something else in its place, as a restored backup does.
    pub fn replace(&mut self, content: Option<T>) {
        self.durable = content;
        self.coming = None;
    }

    fn write(&mut self, content: &T) {
        self.coming = Some(content.clone());
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
    /// Below `/run`: there until the machine ends.
    pub run: Option<Run>,
}

impl Store<(), NodeRecord> for NodeStore {
    type Error = SyncFailed;

    fn persist(&mut self, (): &(), record: &NodeRecord) -> Result<(), SyncFailed> {
        if let Some(disk) = &record.disk {
            self.disk.write(disk);
        }
        if let Some(run) = &record.run {
            self.run = Some(run.clone());
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), SyncFailed> {
        if self.disk.fails && self.disk.is_busy() { Err(SyncFailed) } else { Ok(()) }
    }
}

impl Store<(), Record> for File<Record> {
    type Error = SyncFailed;

    fn persist(&mut self, (): &(), record: &Record) -> Result<(), SyncFailed> {
        self.write(record);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), SyncFailed> {
        if self.fails { Err(SyncFailed) } else { Ok(()) }
    }
}
