//! The witness's durable store: the latest record of every key, and nothing else.
//!
//! Idea: a few hundred bytes per cluster change a few times a day, and each change must be on the
//! disk before anybody hears of it. So: an append-only log of checksummed frames in a file whose
//! space was written in advance (one `fdatasync` is then one write to the disk, with no metadata),
//! one sync for as many frames as there are, and a snapshot when the file is full.
//!
//! Contract:
//! - when [`Store::commit`] returns, everything appended before it survives the process, the
//!   machine and the power; a commit that was cut off survives whole, in a prefix, or not at all;
//! - a torn tail is cut, and [`Store::torn`] tells; damage anywhere else is refused with file,
//!   offset and sequence, never repaired ([`scan`] says how the two are told apart);
//! - any failed write or sync is final: the store is poisoned, and the process has to end. A sync
//!   that failed once is never tried again, since its next success would mean nothing. Opening
//!   writes everything anew, so nothing is believed that only the page cache holds;
//! - one process at a time: the directory is locked.
//!
//! Change of generation, each step synced before the next: write `segment-<g+1>` (empty), then
//! `snapshot-<g+1>`, which makes it count, then remove what is older.

use format::{
    Frame, HEADER_BYTES, Header, KEY_BYTES_MAX, Kind, RECORD_BYTES_MAX, encode_frame, encode_header,
    frame_length,
};
use picket_host::files::{self, DirectoryLock, File, Files};
use recover::{generations, path_of, recover};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod dump;
pub mod format;
mod recover;
pub mod scan;
#[cfg(test)]
mod tests;

pub use dump::{Verified, dump, verify};
pub use scan::Torn;

/// The size of a segment unless asked else: some thousand changes, and a few milliseconds to write.
pub const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;

/// The most that may wait for one commit. A driver that appends more than this without a commit
/// has lost its way.
pub const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why the store refuses.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file layer failed, or the directory is in use.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// A file is not what was written.
    #[error("{}: damaged at offset {offset}{}: {what}", path.display(), place(*sequence))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where, in bytes.
        offset: usize,
        /// The sequence that stands or should stand there, if known.
        sequence: Option<u64>,
        /// What is wrong, with both sides.
        what: String,
    },
    /// An earlier write or sync failed.
    #[error("the store in {} failed earlier ({why}); the process has to end", directory.display())]
    Poisoned {
        /// The store's directory.
        directory: PathBuf,
        /// The first failure.
        why: String,
    },
    /// A key or record over the limit; nothing changed.
    #[error("{what} of {found} bytes; expected {expected}")]
    Limit {
        /// What is over the limit.
        what: &'static str,
        /// Its size.
        found: usize,
        /// The limit in words.
        expected: String,
    },
    /// The directory holds no store (when only reading).
    #[error("{} holds no store", directory.display())]
    NoStore {
        /// The directory.
        directory: PathBuf,
    },
    /// The system has no randomness for a new store's identity.
    #[error("the system gave no random bytes for the store's identity")]
    NoRandomness,
}

fn place(sequence: Option<u64>) -> String {
    sequence.map(|sequence| format!(" (sequence {sequence})")).unwrap_or_default()
}

/// The latest record of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place among all appended records of the store, from 1.
    pub sequence: u64,
    /// The record itself.
    pub bytes: Vec<u8>,
}

/// The open store. Not shared: one owner appends and commits.
#[derive(Debug)]
pub struct Store {
    files: Arc<dyn Files>,
    directory: PathBuf,
    _lock: Box<dyn DirectoryLock>,
    segment_bytes: u64,
    store_id: [u8; 16],
    generation: u64,
    log: Log,
    latest: BTreeMap<String, Record>,
    committed: u64,
    pending: Vec<(String, Record)>,
    pending_bytes: usize,
    was_created: bool,
    torn: Option<(PathBuf, Torn)>,
    poison: Option<String>,
}

/// The segment that is being written.
#[derive(Debug)]
struct Log {
    file: Box<dyn File>,
    seed: u32,
    end: u64,
    length: u64,
}

impl Store {
    /// Opens the store in `directory`, or makes one if there is none.
    ///
    /// # Errors
    /// The directory is in use, something in it is damaged, or it cannot be read or written.
    pub fn open(files: Arc<dyn Files>, directory: &Path) -> Result<Self, Error> {
        Self::open_with_segments(files, directory, SEGMENT_BYTES)
    }

    /// The same with another size of segments, in bytes.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with_segments(
        files: Arc<dyn Files>,
        directory: &Path,
        segment_bytes: u64,
    ) -> Result<Self, Error> {
        files.make_directory(directory)?;
        let lock = files.lock(directory)?;
        let found = recover(files.as_ref(), directory)?;
        let was_created = found.is_none();
        let (store_id, generation, committed, latest, torn) = match found {
            Some(found) => {
                let torn = found.torn.map(|torn| (found.segment, torn));
                (found.store_id, found.generation, found.last_sequence, found.latest, torn)
            }
            None => (new_store_id()?, 0, 0, BTreeMap::new(), None),
        };
        let generation = generation + 1;
        files.sync_path(directory)?;
        let log = begin_generation(
            files.as_ref(),
            directory,
            &Header { kind: Kind::Segment, store_id, generation, last_sequence: committed, amount: 0 },
            &latest,
            segment_bytes,
        )?;
        Ok(Self {
            files,
            directory: directory.to_owned(),
            _lock: lock,
            segment_bytes,
            store_id,
            generation,
            log,
            latest,
            committed,
            pending: Vec::new(),
            pending_bytes: 0,
            was_created,
            torn,
            poison: None,
        })
    }

    /// The store's identity: random, made at its creation, kept for ever.
    #[must_use]
    pub const fn store_id(&self) -> [u8; 16] {
        self.store_id
    }

    /// The sequence of the last committed record; 0 if there was none.
    #[must_use]
    pub const fn commit_index(&self) -> u64 {
        self.committed
    }

    /// True if opening found no store and made this one.
    #[must_use]
    pub const fn was_created(&self) -> bool {
        self.was_created
    }

    /// The torn tail that opening cut off, with its file: a batch that was never acknowledged.
    #[must_use]
    pub const fn torn(&self) -> Option<&(PathBuf, Torn)> {
        self.torn.as_ref()
    }

    /// The latest committed record of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Record> {
        self.latest.get(key)
    }

    /// All keys with their latest committed records, by key.
    pub fn records(&self) -> impl Iterator<Item = (&str, &Record)> {
        self.latest.iter().map(|(key, record)| (key.as_str(), record))
    }

    /// Takes a record for the next commit and returns its sequence. Nothing is on the disk yet,
    /// and nothing can be read back yet.
    ///
    /// # Errors
    /// The store is poisoned, or a limit is passed (then nothing changed).
    pub fn append(&mut self, key: &str, record: &[u8]) -> Result<u64, Error> {
        self.check_poison()?;
        let limit = |what, found, max: usize| Error::Limit { what, found, expected: format!("1 to {max}") };
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(limit("a key", key.len(), KEY_BYTES_MAX));
        }
        if record.is_empty() || record.len() > RECORD_BYTES_MAX {
            return Err(limit("a record", record.len(), RECORD_BYTES_MAX));
        }
        let length = frame_length(key.len(), record.len());
        if self.pending_bytes + length > BATCH_BYTES_MAX {
            return Err(limit("a batch", self.pending_bytes + length, BATCH_BYTES_MAX));
        }
        let sequence = self.committed + self.pending.len() as u64 + 1;
        self.pending.push((key.to_owned(), Record { sequence, bytes: record.to_vec() }));
        self.pending_bytes += length;
        Ok(sequence)
    }

    /// Puts everything appended on the disk with one sync and returns the last sequence.
    ///
    /// # Errors
    /// A write or sync failed, or did earlier: the store is poisoned and the process has to end.
    pub fn commit(&mut self) -> Result<u64, Error> {
        self.check_poison()?;
        match self.commit_pending() {
            Ok(()) => Ok(self.committed),
            Err(error) => {
                self.poison = Some(error.to_string());
                Err(error)
            }
        }
    }

    fn commit_pending(&mut self) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        if self.log.end + self.pending_bytes as u64 > self.log.length {
            self.change_generation()?;
        }
        let mut bytes = Vec::with_capacity(self.pending_bytes);
        for (key, record) in &self.pending {
            let frame = Frame {
                sequence: record.sequence,
                durable_through: self.committed,
                key,
                record: &record.bytes,
            };
            encode_frame(&frame, self.log.seed, &mut bytes);
        }
        self.log.file.write_at(self.log.end, &bytes)?;
        self.log.file.sync_data()?;
        self.log.end += bytes.len() as u64;
        self.committed += self.pending.len() as u64;
        self.pending_bytes = 0;
        self.latest.extend(self.pending.drain(..));
        Ok(())
    }

    /// A snapshot of what is committed, and an empty segment that the pending batch fits into.
    fn change_generation(&mut self) -> Result<(), Error> {
        let generation = self.generation + 1;
        let (store_id, last_sequence) = (self.store_id, self.committed);
        let header = Header { kind: Kind::Segment, store_id, generation, last_sequence, amount: 0 };
        let length = self.segment_bytes.max((HEADER_BYTES + self.pending_bytes) as u64);
        self.log = begin_generation(self.files.as_ref(), &self.directory, &header, &self.latest, length)?;
        self.generation = generation;
        Ok(())
    }

    fn check_poison(&self) -> Result<(), Error> {
        match &self.poison {
            Some(why) => Err(Error::Poisoned { directory: self.directory.clone(), why: why.clone() }),
            None => Ok(()),
        }
    }
}

/// Begins a generation; returns its empty segment. `header` is the segment's, but for its length.
fn begin_generation(
    files: &dyn Files,
    directory: &Path,
    header: &Header,
    latest: &BTreeMap<String, Record>,
    segment_bytes: u64,
) -> Result<Log, Error> {
    let length = segment_bytes.max(HEADER_BYTES as u64);
    let (bytes, seed) = encode_header(&Header { kind: Kind::Segment, amount: length, ..*header });
    let file = put(files, &path_of(directory, Kind::Segment, header.generation), &bytes, length)?;
    files.sync_directory(directory)?;

    let snapshot = Header { kind: Kind::Snapshot, amount: latest.len() as u64, ..*header };
    let (mut bytes, snapshot_seed) = encode_header(&snapshot);
    for (key, record) in latest {
        let (sequence, durable_through) = (record.sequence, header.last_sequence);
        encode_frame(
            &Frame { sequence, durable_through, key, record: &record.bytes },
            snapshot_seed,
            &mut bytes,
        );
    }
    put(files, &path_of(directory, Kind::Snapshot, header.generation), &bytes, 0)?;
    files.sync_directory(directory)?;

    // From here on the new generation counts. Old files that a crash brings back are removed next
    // time, so their removal needs no sync.
    let names = files.list(directory)?;
    for kind in [Kind::Snapshot, Kind::Segment] {
        for old in generations(&names, kind).into_iter().filter(|old| *old < header.generation) {
            files.remove(&path_of(directory, kind, old))?;
        }
    }
    Ok(Log { file, seed, end: HEADER_BYTES as u64, length })
}

/// Writes a file under a second name, synced, and gives it its name.
fn put(files: &dyn Files, path: &Path, bytes: &[u8], length: u64) -> Result<Box<dyn File>, Error> {
    let mut name = path.to_owned().into_os_string();
    name.push(".new");
    let new = PathBuf::from(name);
    match files.remove(&new) {
        Err(error) if !error.is_not_found() => return Err(error.into()),
        Ok(()) | Err(_) => {}
    }
    let file = files.create(&new)?;
    file.write_at(0, bytes)?;
    file.preallocate(length)?;
    file.sync_data()?;
    files.rename(&new, path)?;
    Ok(file)
}

fn new_store_id() -> Result<[u8; 16], Error> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|_| Error::NoRandomness)?;
    Ok(id)
}
