//! One small record, checksummed, replaced atomically.
//!
//! Idea: what a program must remember across a crash (a few numbers) is one file, written anew
//! each time under a second name and renamed over the first. Contract: [`SmallState::load`] gives
//! the last record whose [`SmallState::replace`] succeeded, or a later one whose replacement was
//! cut off by a crash; a damaged or foreign file is an error that names it, never an empty record.
//! After a failed replacement the object refuses further ones: what the disk holds is then unknown,
//! and the process has to end and load again.
//!
//! ```text
//! kind 4 | schema 2 | zero 2 | length 4 | crc32c 4 (over the 12 bytes before and the record) | record
//! ```

use crate::files::{self, Files, directory_of};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(test)]
mod tests;

const HEADER_BYTES: usize = 16;

/// The largest record. A state that grows beyond this is no small state.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// Why a record could not be read or replaced.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file layer failed.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// The file is not what was written.
    #[error("{}: damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, with both values.
        what: String,
    },
    /// The file was written under another schema.
    #[error("{}: schema {found}, but this program reads schema {expected}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// The schema in the file.
        found: u16,
        /// The schema of this program.
        expected: u16,
    },
    /// The record is too large.
    #[error("{}: a record of {found} bytes; at most {RECORD_BYTES_MAX} can be kept", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The size asked for.
        found: usize,
    },
    /// An earlier replacement failed, so the disk's content is unknown.
    #[error("{}: an earlier write failed; the process has to end and load again", path.display())]
    Poisoned {
        /// The file.
        path: PathBuf,
    },
}

/// The record in one file.
#[derive(Debug)]
pub struct SmallState {
    files: Arc<dyn Files>,
    path: PathBuf,
    kind: [u8; 4],
    schema: u16,
    is_poisoned: bool,
}

impl SmallState {
    /// The record at `path`. `kind` tells files of different purposes apart, `schema` their versions.
    #[must_use]
    pub fn new(files: Arc<dyn Files>, path: &Path, kind: [u8; 4], schema: u16) -> Self {
        Self { files, path: path.to_owned(), kind, schema, is_poisoned: false }
    }

    /// The record, or nothing if there never was one.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or has another kind or schema.
    pub fn load(&self) -> Result<Option<Vec<u8>>, Error> {
        let Some(bytes) = self.files.read(&self.path)? else { return Ok(None) };
        match decode(&bytes, self.kind, self.schema) {
            Ok(record) => Ok(Some(record.to_vec())),
            Err(Wrong::Damaged(what)) => Err(Error::Damaged { path: self.path.clone(), what }),
            Err(Wrong::Schema(found)) => {
                Err(Error::Schema { path: self.path.clone(), found, expected: self.schema })
            }
        }
    }

    /// Replaces the record; when this returns, the new one is on the disk.
    ///
    /// # Errors
    /// The record is too large (nothing changed), or the file layer failed: the old or the new
    /// record is then on the disk, and the object is poisoned.
    pub fn replace(&mut self, record: &[u8]) -> Result<(), Error> {
        if self.is_poisoned {
            return Err(Error::Poisoned { path: self.path.clone() });
        }
        if record.len() > RECORD_BYTES_MAX {
            return Err(Error::TooLarge { path: self.path.clone(), found: record.len() });
        }
        self.is_poisoned = true;
        self.write(&encode(record, self.kind, self.schema))?;
        self.is_poisoned = false;
        Ok(())
    }

    fn write(&self, bytes: &[u8]) -> Result<(), files::Error> {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let new = PathBuf::from(name);
        match self.files.remove(&new) {
            Err(error) if !error.is_not_found() => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let file = self.files.create(&new)?;
        file.write_at(0, bytes)?;
        file.sync_data()?;
        self.files.rename(&new, &self.path)?;
        self.files.sync_directory(directory_of(&self.path))
    }
}

/// What is wrong with a file's bytes.
#[derive(Debug, PartialEq, Eq)]
enum Wrong {
    Damaged(String),
    Schema(u16),
}

fn encode(record: &[u8], kind: [u8; 4], schema: u16) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + record.len());
    bytes.extend(kind);
    bytes.extend(schema.to_le_bytes());
    bytes.extend([0, 0]);
    bytes.extend(u32::try_from(record.len()).unwrap_or(u32::MAX).to_le_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&bytes), record);
    bytes.extend(checksum.to_le_bytes());
    bytes.extend(record);
    bytes
}

fn decode(bytes: &[u8], kind: [u8; 4], schema: u16) -> Result<&[u8], Wrong> {
    let damaged = |what: String| Err(Wrong::Damaged(what));
    let Some((&[k0, k1, k2, k3, s0, s1, _, _, l0, l1, l2, l3, c0, c1, c2, c3], record)) =
        bytes.split_first_chunk::<HEADER_BYTES>()
    else {
        return damaged(format!("{} bytes long; a header alone has {HEADER_BYTES}", bytes.len()));
    };
    if [k0, k1, k2, k3] != kind {
        let found = [k0, k1, k2, k3].escape_ascii().to_string();
        return damaged(format!("starts with \"{found}\"; expected \"{}\"", kind.escape_ascii()));
    }
    let stored = u32::from_le_bytes([c0, c1, c2, c3]);
    let length = u32::from_le_bytes([l0, l1, l2, l3]);
    if usize::try_from(length) != Ok(record.len()) {
        return damaged(format!("the record has {} bytes; the header says {length}", record.len()));
    }
    let header = bytes.get(..HEADER_BYTES - 4).unwrap_or_default();
    let computed = crc32c::crc32c_append(crc32c::crc32c(header), record);
    if computed != stored {
        return damaged(format!("checksum {computed:08x}; the header says {stored:08x}"));
    }
    let found = u16::from_le_bytes([s0, s1]);
    if found != schema {
        return Err(Wrong::Schema(found));
    }
    Ok(record)
}
