//! What the daemon keeps: one small record on the disk, one for this boot below `/run`.
//!
//! Contract: a record that cannot be read is an error that ends the start, never an empty record. A write that
//! fails is final: nobody knows any more what is kept, so the daemon ends with the reason and a restart reads
//! again. The disk's record is synced before [`picket_core::ready::commit`] gives up an effect; the record of this
//! boot is replaced at once and not synced, since a boot empties it.

use picket_core::ids::BootId;
use picket_core::node::{Disk, NodeRecord, Run, SCHEMA};
use picket_core::ready::Store;
use picket_host::files::{self, DirectoryLock, Files};
use picket_host::small_state::{self, SmallState};
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod run_file;
#[cfg(test)]
mod tests;

use run_file::RunFile;

/// The file with what survives a crash of the machine.
const DISK_FILE: &str = "node.state";

/// The file with what survives a restart of the daemon.
const RUN_FILE: &str = "node.run";

/// Tells our record from other files of the same form.
const KIND: [u8; 4] = *b"PKNS";

/// Why the records cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk's record, or its directory.
    #[error(transparent)]
    Disk(#[from] small_state::Error),
    /// A directory or the lock.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// The record is whole, and still not what this program writes.
    #[error("{}: not a record of this program: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// The record was written by another version of the program.
    #[error("{}: schema {found}, but this program reads schema {expected}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// The schema in the record.
        found: u16,
        /// The schema of this program.
        expected: u16,
    },
}

/// The two records, and the directory's lock.
#[derive(Debug)]
pub struct NodeStore {
    disk: SmallState,
    disk_path: PathBuf,
    run: RunFile,
    _lock: Box<dyn DirectoryLock>,
}

/// What a start finds.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What survived a crash of the machine; none: this node is new.
    pub disk: Option<Disk>,
    /// What an earlier run of the daemon left in this boot.
    pub run: Option<Run>,
}

impl NodeStore {
    /// Opens both records and keeps other daemons out.
    ///
    /// # Errors
    /// Another daemon works on the directory, or a record is damaged or of another schema.
    pub fn open(
        files: Arc<dyn Files>,
        state_dir: &Path,
        run_dir: &Path,
        boot: BootId,
    ) -> Result<(Self, Found), StoreError> {
        files.make_directory(state_dir)?;
        let lock = files.lock(state_dir)?;
        files.make_directory(run_dir)?;
        let disk_path = state_dir.join(DISK_FILE);
        let mut disk = SmallState::new(files.clone(), &disk_path, KIND, SCHEMA);
        let run = RunFile::new(files.clone(), run_dir.join(RUN_FILE));
        let found = Found { disk: read_disk(&disk, &disk_path)?, run: run.load(boot)? };
        files.sync_path(state_dir)?;
        // A daemon whose last sync failed may have left a record that only the page cache holds. It is believed from
        // here on, so it is written anew.
        if let Some(record) = &found.disk {
            disk.replace(&encode(record, &disk_path)?)?;
        }
        Ok((Self { disk, disk_path, run, _lock: lock }, found))
    }
}

fn read_disk(state: &SmallState, path: &Path) -> Result<Option<Disk>, StoreError> {
    let Some(bytes) = state.load()? else { return Ok(None) };
    let disk: Disk = serde_json::from_slice(&bytes)
        .map_err(|error| StoreError::Unreadable { path: path.to_owned(), why: one_line(&error) })?;
    if disk.schema == SCHEMA {
        Ok(Some(disk))
    } else {
        Err(StoreError::Schema { path: path.to_owned(), found: disk.schema, expected: SCHEMA })
    }
}

fn encode(disk: &Disk, path: &Path) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(disk)
        .map_err(|error| StoreError::Unreadable { path: path.to_owned(), why: one_line(&error) })
}

/// What a parser says of a damaged file can repeat a part of it: control characters do not reach a log or a terminal.
fn one_line(error: &serde_json::Error) -> String {
    error.to_string().replace(char::is_control, "\u{fffd}")
}

impl Store<(), NodeRecord> for NodeStore {
    type Error = StoreError;

    fn persist(&mut self, (): &(), record: &NodeRecord) -> Result<(), StoreError> {
        if let Some(disk) = &record.disk {
            self.disk.replace(&encode(disk, &self.disk_path)?)?;
        }
        if let Some(run) = &record.run {
            self.run.replace(run)?;
        }
        Ok(())
    }

    /// Each record was synced when it was replaced.
    fn sync(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}
