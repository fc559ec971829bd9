//! The durable facts of a replica, replaced as a whole and synced before they count.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{StoreError, io_error};
use crate::ids::{Epoch, Generation, NodeId};

/// The file's name.
pub(crate) const FILE: &str = "meta.json";
const SCHEMA: u32 = 1;

/// What must survive a crash besides the records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// Of this file.
    pub(crate) schema: u32,
    /// Whose directory this is.
    pub(crate) node: NodeId,
    /// The highest epoch ever seen, in a promotion here or from a primary.
    pub(crate) max_epoch: Epoch,
    /// False from the start of a resync that fetches acknowledged records until its end.
    pub(crate) complete: bool,
    /// The last primary said that it acknowledges nothing without this replica (or it was one itself).
    pub(crate) required: bool,
    /// Identifies the data.
    pub(crate) generation: Generation,
    /// Records that resyncs took out of this replica, ever.
    pub(crate) discarded_total: u64,
}

pub(crate) struct MetaFile {
    dir: PathBuf,
    meta: Meta,
}

/// Reads the facts of a directory; `None` if it never had any.
pub(crate) fn load(dir: &Path) -> Result<Option<Meta>, StoreError> {
    let path = dir.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_error("cannot read", &path)(e)),
    };
    let foreign = |found: String| StoreError::Foreign {
        path: path.clone(),
        expected: format!("replica facts of schema {SCHEMA}"),
        found,
    };
    let meta: Meta = serde_json::from_str(&text).map_err(|e| foreign(e.to_string()))?;
    if meta.schema == SCHEMA { Ok(Some(meta)) } else { Err(foreign(format!("schema {}", meta.schema))) }
}

impl MetaFile {
    /// Opens the facts of `node`; a directory without any is a replica that was never written.
    pub(crate) fn open(dir: &Path, node: NodeId) -> Result<MetaFile, StoreError> {
        if let Some(meta) = load(dir)? {
            if meta.node == node {
                return Ok(MetaFile { dir: dir.to_path_buf(), meta });
            }
            return Err(StoreError::Foreign {
                path: dir.join(FILE),
                expected: format!("the data of node {node}"),
                found: format!("that of node {}", meta.node),
            });
        }
        let records = dir.join(super::records::FILE);
        if records.exists() {
            // The facts are written before the first record; without them the records prove nothing.
            return Err(StoreError::Foreign {
                path: dir.join(FILE),
                expected: "the facts about the records beside it".to_owned(),
                found: "no such file".to_owned(),
            });
        }
        let meta = Meta {
            schema: SCHEMA,
            node,
            max_epoch: Epoch(0),
            complete: true,
            required: true,
            generation: Generation::initial(),
            discarded_total: 0,
        };
        let mut file = MetaFile { dir: dir.to_path_buf(), meta };
        file.change(|_| {})?;
        Ok(file)
    }

    pub(crate) fn get(&self) -> &Meta {
        &self.meta
    }

    /// Replaces the file: written aside, synced, renamed, directory synced.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Meta)) -> Result<(), StoreError> {
        let mut next = self.meta.clone();
        change(&mut next);
        let aside = self.dir.join("meta.json.new");
        let mut text = serde_json::to_vec(&next)
            .map_err(|e| io_error("cannot encode", &aside)(std::io::Error::other(e)))?;
        text.push(b'\n');
        let mut file = File::create(&aside).map_err(io_error("cannot create", &aside))?;
        file.write_all(&text).map_err(io_error("cannot write", &aside))?;
        file.sync_all().map_err(io_error("cannot sync", &aside))?;
        let path = self.dir.join(FILE);
        std::fs::rename(&aside, &path).map_err(io_error("cannot replace", &path))?;
        let dir = File::open(&self.dir).map_err(io_error("cannot open", &self.dir))?;
        dir.sync_all().map_err(io_error("cannot sync", &self.dir))?;
        self.meta = next;
        Ok(())
    }
}
