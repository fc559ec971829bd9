//! What this boot's daemons armed and did not switch off, for a daemon that may not look for itself: a small record in
//! the run directory, written when a device has been opened, and emptied before it is switched off.
//!
//! The kernel's own word would not do: that a device is active says nothing of who pets it.

use super::Watchdog;
use crate::remembered;
use picket_core::ids::BootId;
use picket_host::files::RealFiles;
use picket_host::small_state::SmallState;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Tells the file from others.
const KIND: [u8; 4] = *b"PKWD";

/// The form of its record.
const SCHEMA: u16 = 1;

/// A device that was armed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Armed {
    boot: BootId,
    pub(super) path: PathBuf,
    /// What it was set to, in seconds.
    pub(super) seconds: u32,
    /// The driver's name for it.
    pub(super) name: String,
}

/// Where that is kept.
#[derive(Clone, Debug)]
pub struct Record {
    path: PathBuf,
    boot: BootId,
}

impl Record {
    /// Below this directory, for this boot.
    #[must_use]
    pub fn new(run_dir: &Path, boot: BootId) -> Self {
        Self { path: run_dir.join("watchdog"), boot }
    }

    fn state(&self) -> SmallState {
        SmallState::new(Arc::new(RealFiles), &self.path, KIND, SCHEMA)
    }

    /// What an earlier daemon of this boot left armed. What cannot be read says nothing.
    pub(super) fn left(&self) -> Option<Armed> {
        let found: Option<Option<Armed>> = remembered::load(&self.state()).unwrap_or_else(|error| {
            tracing::warn!(%error, "watchdog: what an earlier run armed is not known");
            None
        });
        found.flatten().filter(|armed| armed.boot == self.boot)
    }

    fn write(&self, armed: Option<&Armed>) {
        let record = serde_json::to_vec(&armed).map_err(|error| error.to_string());
        let written =
            record.and_then(|record| self.state().replace(&record).map_err(|error| error.to_string()));
        if let Err(error) = written {
            tracing::warn!(%error, "watchdog: the next daemon will not know that it is armed");
        }
    }
}

/// A device that is open, with what is kept of it.
pub(super) struct Kept<W> {
    watchdog: W,
    record: Record,
}

impl<W: Watchdog> Kept<W> {
    /// Keeps that `watchdog` was opened, which armed it.
    pub(super) fn new(watchdog: W, path: &Path, seconds: u32, name: &str, record: Record) -> Self {
        let armed = Armed { boot: record.boot, path: path.to_owned(), seconds, name: name.to_owned() };
        record.write(Some(&armed));
        Self { watchdog, record }
    }
}

impl<W: Watchdog> Watchdog for Kept<W> {
    fn pet(&mut self) -> io::Result<()> {
        self.watchdog.pet()
    }

    fn disarm(&mut self) -> io::Result<()> {
        self.record.write(None);
        self.watchdog.disarm()
    }

    fn bite(&mut self) -> io::Result<()> {
        self.watchdog.bite()
    }
}
