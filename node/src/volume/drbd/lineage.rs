//! What the kernel forgets of its data's past, kept over restarts of the daemon and of the machine.
//!
//! Contract: an ancestor is told only if the kernel names it, or if a record on the disk names it whose own data the kernel
//! names as what the data is or was. So a record that is lost, damaged, older, or of another disk brings no ancestor that is
//! none: it brings fewer, with which a replica may be refused. A record is on the disk before anything rests on it: what
//! could not be written counts for nothing, and is tried again with the next look.

use super::generation::succeed;
use crate::remembered;
use picket_core::evidence::Generation;
use picket_core::ids::VolumeId;
use picket_host::files::Files;
use picket_host::small_state::SmallState;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Tells the file from others.
const KIND: [u8; 4] = *b"PKDL";

/// The form of its record.
const SCHEMA: u16 = 1;

/// One volume's data and what it descends from. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Lineage(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    files: Arc<dyn Files>,
    path: PathBuf,
    /// What stands on the disk.
    record: Option<Generation>,
    /// It was written by this run, or is nothing: what an earlier one left may stand in the page cache only.
    is_synced: bool,
    /// The last write failed, which has been said.
    has_failed: bool,
}

impl Lineage {
    /// What an earlier run left. A file that cannot be read is put aside and said: it counts for nothing.
    pub(super) fn open(files: Arc<dyn Files>, state_dir: &Path, volume: VolumeId) -> Self {
        let path = state_dir.join(format!("drbd-lineage-{volume}"));
        let record = remembered::load(&state(&files, &path)).unwrap_or_else(|error| {
            let aside = path.with_extension("damaged");
            let moved = files.rename(&path, &aside).is_ok();
            tracing::warn!(%error, aside = %aside.display(), moved, "the data's past cannot be read: only what DRBD knows itself counts");
            None
        });
        Self(Arc::new(Mutex::new(Kept { files, path, record, is_synced: false, has_failed: false })))
    }

    /// The data that was read, with its past as far as it is known for sure. Blocks for a sync when it is news.
    pub(super) fn take(&self, read: Generation) -> Generation {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = succeed(kept.record.as_ref(), read);
        kept.keep(&whole);
        whole
    }
}

impl Kept {
    fn keep(&mut self, whole: &Generation) {
        if self.is_synced && self.record.as_ref() == Some(whole) {
            return;
        }
        let written = serde_json::to_vec(whole).map_err(|error| error.to_string()).and_then(|record| {
            // A new one each time: it writes no more after a failure, and which of two true records stands then is one.
            state(&self.files, &self.path).replace(&record).map_err(|error| error.to_string())
        });
        match written {
            Ok(()) => {
                self.record = Some(whole.clone());
                (self.is_synced, self.has_failed) = (true, false);
            }
            Err(error) => {
                if !core::mem::replace(&mut self.has_failed, true) {
                    tracing::warn!(%error, "the data's past is not kept: once DRBD forgets it, this replica may be refused");
                }
            }
        }
    }
}

fn state(files: &Arc<dyn Files>, path: &Path) -> SmallState {
    SmallState::new(files.clone(), path, KIND, SCHEMA)
}
