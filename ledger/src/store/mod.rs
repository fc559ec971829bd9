//! What a server keeps on disk: the records, the acceptance log, and a few durable facts.
//!
//! One directory, one server: a lock file held for the life of the process keeps a second one out.
//! Every write error is final: the server that meets one stops, because it no longer knows what its
//! disk holds.

pub(crate) mod accept;
pub(crate) mod meta;
pub(crate) mod records;

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::ids::NodeId;
use accept::{AcceptEntry, AcceptLog};
use meta::{Meta, MetaFile};
use records::RecordLog;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused a file operation.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// The operation.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// A second server on the same directory.
    #[error("{} is in use by another server", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The file is not one of ours, or of another version.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Records before the end are damaged: this replica has lost data and must not be used.
    #[error(
        "{}: damaged between bytes {from} and {to}, after record {after_seq}; valid records follow, so \
         this is no torn tail",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// First bad byte.
        from: u64,
        /// First good byte after it.
        to: u64,
        /// The last record before the damage.
        after_seq: u64,
    },
    /// The log may not grow further.
    #[error("{} holds {held} bytes, the limit is {limit}", path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// Bytes in it.
        held: u64,
        /// The configured limit.
        limit: u64,
    },
    /// A frame from a peer does not continue the log.
    #[error("record {found} cannot follow record {last}")]
    Gap {
        /// The last record here.
        last: u64,
        /// The record that was offered.
        found: u64,
    },
    /// A frame from a peer is no valid record.
    #[error("bytes that are no valid record: {why}")]
    NotARecord {
        /// What is wrong.
        why: String,
    },
    /// The kernel gave no random bytes for a new generation.
    #[error("no random bytes for a new generation: {0}")]
    Random(io::Error),
}

/// Makes an [`io::Error`] say what was tried on which file.
pub(crate) fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |source| StoreError::Io { what, path, source }
}

/// The first bytes of each append-only file.
pub(crate) const HEADER: usize = 8;

/// Opens an append-only file and gives its content; a new or empty file gets its header.
pub(crate) fn open_appendable(path: &Path, header: &[u8; HEADER]) -> Result<(File, Vec<u8>), StoreError> {
    use std::io::{Read, Write};
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(path)
        .map_err(io_error("cannot open", path))?;
    let mut content = Vec::new();
    file.read_to_end(&mut content).map_err(io_error("cannot read", path))?;
    // A header cut short is a first start that a crash ended: nothing can follow it.
    if content.len() < HEADER && header.starts_with(&content) {
        file.set_len(0).map_err(io_error("cannot cut", path))?;
        file.write_all(header).map_err(io_error("cannot write", path))?;
        content = header.to_vec();
    }
    check_header(path, &content, header)?;
    Ok((file, content))
}

/// Refuses a file that does not start with `header`.
pub(crate) fn check_header(path: &Path, content: &[u8], header: &[u8; HEADER]) -> Result<(), StoreError> {
    let found = content.get(..HEADER).unwrap_or(content);
    if found == header {
        return Ok(());
    }
    Err(StoreError::Foreign {
        path: path.to_path_buf(),
        expected: String::from_utf8_lossy(header).into_owned(),
        found: String::from_utf8_lossy(found).into_owned(),
    })
}

/// Everything that a server keeps.
pub(crate) struct Store {
    pub(crate) records: RecordLog,
    pub(crate) accepted: AcceptLog,
    meta: MetaFile,
    _lock: File,
}

impl Store {
    /// Opens or creates the directory of `node`.
    pub(crate) fn open(dir: &Path, node: NodeId, bytes_max: u64) -> Result<Store, StoreError> {
        std::fs::create_dir_all(dir).map_err(io_error("cannot create", dir))?;
        let lock_path = dir.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(io_error("cannot open", &lock_path))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| StoreError::InUse { path: dir.to_path_buf() })?;
        let meta = MetaFile::open(dir, node)?;
        let mut records = RecordLog::open(&dir.join(records::FILE), bytes_max)?;
        let (accepted, entries) = AcceptLog::open(&dir.join(accept::FILE))?;
        for entry in &entries {
            if let AcceptEntry::Accepted { seq, record_crc, .. } = entry {
                records.mark_acknowledged(*seq, *record_crc);
            }
        }
        Ok(Store { records, accepted, meta, _lock: lock })
    }

    /// The durable facts.
    pub(crate) fn meta(&self) -> &Meta {
        self.meta.get()
    }

    /// Changes the durable facts; synced when this returns.
    pub(crate) fn change_meta(&mut self, change: impl FnOnce(&mut Meta)) -> Result<(), StoreError> {
        self.meta.change(change)
    }
}
