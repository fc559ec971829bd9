//! The record of this boot: a checksum on the first line, the record on the second, replaced by renaming.
//!
//! It is written at every renewal, so it is not synced: a crash of the daemon loses nothing, a crash of the
//! machine ends the boot that it belongs to. What is there and does not fit is an error, because a held volume
//! that is forgotten would be found running without a grant.

use super::StoreError;
use picket_core::ids::BootId;
use picket_core::node::{Run, SCHEMA};
use picket_host::files::{self, Files};
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct RunFile {
    files: Arc<dyn Files>,
    path: PathBuf,
    new: PathBuf,
}

impl RunFile {
    pub(super) fn new(files: Arc<dyn Files>, path: PathBuf) -> Self {
        let new = path.with_extension("new");
        Self { files, path, new }
    }

    /// The record, if it belongs to `boot`.
    pub(super) fn load(&self, boot: BootId) -> Result<Option<Run>, StoreError> {
        let Some(bytes) = self.files.read(&self.path)? else { return Ok(None) };
        let unreadable = |why: String| StoreError::Unreadable { path: self.path.clone(), why };
        let text = core::str::from_utf8(&bytes).map_err(|error| unreadable(error.to_string()))?;
        let Some((checksum, record)) = text.split_once('\n') else {
            return Err(unreadable("it has no second line".to_owned()));
        };
        let computed = format!("{:08x}", crc32c::crc32c(record.as_bytes()));
        if checksum != computed {
            return Err(unreadable(format!("checksum {computed}; the first line says {checksum:?}")));
        }
        let run: Run = serde_json::from_str(record).map_err(|error| unreadable(super::one_line(&error)))?;
        if run.schema != SCHEMA {
            return Err(StoreError::Schema { path: self.path.clone(), found: run.schema, expected: SCHEMA });
        }
        Ok(Some(run).filter(|run| run.boot == boot))
    }

    pub(super) fn replace(&self, run: &Run) -> Result<(), StoreError> {
        let record = serde_json::to_string(run).map_err(|error| StoreError::Unreadable {
            path: self.path.clone(),
            why: super::one_line(&error),
        })?;
        let text = format!("{:08x}\n{record}", crc32c::crc32c(record.as_bytes()));
        Ok(self.write(text.as_bytes())?)
    }

    fn write(&self, bytes: &[u8]) -> Result<(), files::Error> {
        // What a daemon that was killed left half done is written over.
        let file = match self.files.open(&self.new) {
            Err(error) if error.is_not_found() => self.files.create(&self.new)?,
            opened => opened?,
        };
        file.set_length(0)?;
        file.write_at(0, bytes)?;
        self.files.rename(&self.new, &self.path)
    }
}
