//! The file layer, which tests can make fail.
//!
//! Idea: everything that must survive a crash goes through [`Files`]. In production that is
//! [`RealFiles`]; in tests it is [`FaultyFiles`], a disk in memory that crashes, fills up or lies
//! at any chosen operation, so that each of them is shown to be survived.
//!
//! Contract: a successful [`File::sync_data`] means that the file's content and length are on the
//! disk, a successful [`Files::sync_directory`] that its names are. After a failed sync nothing is
//! known about the data, and a later successful sync says nothing either: callers must not retry.
//! All paths in errors are the ones that the caller gave.

use core::fmt;
use std::io;
use std::path::{Path, PathBuf};

mod faulty;
mod faulty_disk;
mod real;
#[cfg(test)]
mod tests;

pub use faulty::{Fault, FaultyFiles, Unsynced};
pub use real::RealFiles;

/// What was being done when a file operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Opening an existing file.
    Open,
    /// Making a new file.
    Create,
    /// Reading content or length.
    Read,
    /// Writing content.
    Write,
    /// Changing the length.
    SetLength,
    /// Filling space with zeros in advance.
    Preallocate,
    /// Syncing a file.
    Sync,
    /// Making a directory.
    MakeDirectory,
    /// Syncing a directory.
    SyncDirectory,
    /// Renaming.
    Rename,
    /// Removing.
    Remove,
    /// Listing a directory.
    List,
    /// Locking a directory.
    Lock,
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Open => "open",
            Self::Create => "create",
            Self::Read => "read",
            Self::Write => "write",
            Self::SetLength => "set the length of",
            Self::Preallocate => "preallocate",
            Self::Sync => "sync",
            Self::MakeDirectory => "make the directory",
            Self::SyncDirectory => "sync the directory",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::List => "list",
            Self::Lock => "lock",
        })
    }
}

/// Why a file operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused or failed.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was being done.
        operation: Operation,
        /// To which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process (or another user of this one) works on the directory.
    #[error("{} is in use by another instance; only one may work on this directory", directory.display())]
    InUse {
        /// The directory.
        directory: PathBuf,
    },
}

impl Error {
    /// True if the path does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// True if the disk (or quota) is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }
}

/// An open file. Methods take `&self`; one writer at a time is the caller's matter.
pub trait File: fmt::Debug + Send + Sync {
    /// The length in bytes.
    ///
    /// # Errors
    /// See [`Error`].
    fn length(&self) -> Result<u64, Error>;

    /// Fills `into` from `offset`; returns how many bytes there were before the end of the file.
    ///
    /// # Errors
    /// See [`Error`].
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize, Error>;

    /// Writes all of `bytes` at `offset`; the file grows if needed. After an error any part may
    /// have been written.
    ///
    /// # Errors
    /// See [`Error`].
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error>;

    /// Writes all of `bytes` at the end.
    ///
    /// # Errors
    /// See [`Error`].
    fn append(&self, bytes: &[u8]) -> Result<(), Error> {
        self.write_at(self.length()?, bytes)
    }

    /// Cuts the file or extends it with a hole.
    ///
    /// # Errors
    /// See [`Error`].
    fn set_length(&self, length: u64) -> Result<(), Error>;

    /// Extends the file to `length` with zeros that are really written, so that a later write
    /// there changes no metadata and its sync is one write to the disk.
    ///
    /// # Errors
    /// See [`Error`]; a full disk shows here instead of later.
    fn preallocate(&self, length: u64) -> Result<(), Error>;

    /// Returns when content and length are on the disk.
    ///
    /// # Errors
    /// See [`Error`]. The data is then lost as far as anyone knows; do not retry.
    fn sync_data(&self) -> Result<(), Error>;
}

/// Keeps a directory to oneself until it is dropped.
pub trait DirectoryLock: fmt::Debug + Send + Sync {}

/// A file system.
pub trait Files: fmt::Debug + Send + Sync {
    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// See [`Error`].
    fn open(&self, path: &Path) -> Result<Box<dyn File>, Error>;

    /// Makes a new file, mode 0600, for reading and writing.
    ///
    /// # Errors
    /// See [`Error`]; the file must not exist.
    fn create(&self, path: &Path) -> Result<Box<dyn File>, Error>;

    /// Gives the file a new name in the same directory, atomically replacing what had that name.
    ///
    /// # Errors
    /// See [`Error`].
    fn rename(&self, from: &Path, to: &Path) -> Result<(), Error>;

    /// Removes the file.
    ///
    /// # Errors
    /// See [`Error`].
    fn remove(&self, path: &Path) -> Result<(), Error>;

    /// The names in a directory, sorted. Names that are not UTF-8 are left out: none of ours is.
    ///
    /// # Errors
    /// See [`Error`].
    fn list(&self, directory: &Path) -> Result<Vec<String>, Error>;

    /// Makes a directory with mode 0700, and its parents; one that exists is left as it is. Neither its name nor
    /// theirs are on the disk before [`Files::sync_path`].
    ///
    /// # Errors
    /// See [`Error`].
    fn make_directory(&self, directory: &Path) -> Result<(), Error>;

    /// Returns when the directory's names are on the disk.
    ///
    /// # Errors
    /// See [`Error`]. The names are then unknown; do not retry.
    fn sync_directory(&self, directory: &Path) -> Result<(), Error>;

    /// Returns when the name of this file or directory is on the disk.
    ///
    /// # Errors
    /// As [`Files::sync_directory`].
    fn sync_name(&self, path: &Path) -> Result<(), Error> {
        self.sync_directory(directory_of(path))
    }

    /// Returns when the names of a directory and of all above it are on the disk. What is synced in a directory whose
    /// own name is lost is lost with it; and one that is found may be of a start that was killed before this.
    ///
    /// # Errors
    /// As [`Files::sync_directory`].
    fn sync_path(&self, directory: &Path) -> Result<(), Error> {
        let named = |path: &&Path| path.file_name().is_some();
        directory.ancestors().filter(named).try_for_each(|path| self.sync_name(path))
    }

    /// Takes the directory for this process.
    ///
    /// # Errors
    /// [`Error::InUse`] if another has it.
    fn lock(&self, directory: &Path) -> Result<Box<dyn DirectoryLock>, Error>;

    /// The whole content of a file, or nothing if there is no such file.
    ///
    /// # Errors
    /// See [`Error`].
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        let file = match self.open(path) {
            Err(error) if error.is_not_found() => return Ok(None),
            opened => opened?,
        };
        let mut bytes = vec![0; usize::try_from(file.length()?).unwrap_or(usize::MAX)];
        let length = file.read_at(0, &mut bytes)?;
        bytes.truncate(length);
        Ok(Some(bytes))
    }
}

/// The directory that holds `path`.
pub(crate) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
