//! The record of this boot: a checksum on the first line, the record on the second, replaced by renaming.
//!
//! It is written at every renewal, so it is not synced: a crash of the daemon loses nothing, a crash of the
//! machine ends the boot that it belongs to. What is there and does not fit is an error, because a held volume
//! that is forgotten would be found running without a grant.

use super::StoreError;
use picket_core::ids::BootId;
use picket_core::node::{Run, SCHEMA};
use picket_host::files::{self, Operation};
use std::fs;
use std::io;
use std::path::PathBuf;

#[derive(Debug)]
pub(super) struct RunFile {
    path: PathBuf,
    new: PathBuf,
}

impl RunFile {
    pub(super) fn new(path: PathBuf) -> Self {
        let new = path.with_extension("new");
        Self { path, new }
    }

    /// The record, if it belongs to `boot`.
    pub(super) fn load(&self, boot: BootId) -> Result<Option<Run>, StoreError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.failed(Operation::Read, source)),
        };
        let unreadable = |why: String| StoreError::Unreadable { path: self.path.clone(), why };
        let Some((checksum, record)) = text.split_once('\n') else {
            return Err(unreadable("it has no second line".to_owned()));
        };
        let computed = format!("{:08x}", crc32c::crc32c(record.as_bytes()));
        if checksum != computed {
            return Err(unreadable(format!("checksum {computed}; the first line says {checksum:?}")));
        }
        let run: Run = serde_json::from_str(record).map_err(|error| unreadable(error.to_string()))?;
        if run.schema != SCHEMA {
            return Err(StoreError::Schema { path: self.path.clone(), found: run.schema, expected: SCHEMA });
        }
        Ok(Some(run).filter(|run| run.boot == boot))
    }

    pub(super) fn replace(&self, run: &Run) -> Result<(), StoreError> {
        let record = serde_json::to_string(run)
            .map_err(|error| StoreError::Unreadable { path: self.path.clone(), why: error.to_string() })?;
        let text = format!("{:08x}\n{record}", crc32c::crc32c(record.as_bytes()));
        fs::write(&self.new, text).map_err(|source| self.failed(Operation::Write, source))?;
        fs::rename(&self.new, &self.path).map_err(|source| self.failed(Operation::Rename, source))
    }

    fn failed(&self, operation: Operation, source: io::Error) -> StoreError {
        files::Error::Io { operation, path: self.path.clone(), source }.into()
    }
}
