//! The acceptance log: every acknowledged write with its interval, and every change of what the server
//! may do. The checker decides from it whether two nodes were ever writable at once.
//!
//! Contract: an entry is written (in the page cache, which a killed process cannot take back) before
//! the acknowledgement or the command's answer leaves the server.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{HEADER, StoreError, check_header, io_error, open_appendable};
use crate::disk;
use crate::ids::{ClientId, Epoch};

/// The file's name.
pub(crate) const FILE: &str = "accept.log";
const MAGIC: &[u8; HEADER] = b"PkLacc01";

/// What a server may do towards clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// Secondary: refuses writes and reads.
    Inactive,
    /// Primary, acknowledging.
    Writable,
    /// Primary, told to hold every write and read.
    Frozen,
    /// Primary, waiting for a required replica.
    Suspended,
    /// Primary that has learned of a higher epoch: waits for its demotion.
    Superseded,
}

/// Why the activity changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The process started (as Secondary, always).
    Started,
    /// Told to promote.
    Promoted,
    /// Told to demote.
    Demoted,
    /// Told to freeze.
    Frozen,
    /// Told to thaw.
    Thawed,
    /// A required replica was lost.
    Suspended,
    /// All required replicas are in step (again), or were removed.
    Resumed,
    /// A higher epoch became known.
    Superseded,
    /// The process was told to end.
    Stopped,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AcceptEntry {
    /// A write was acknowledged.
    Accepted {
        /// Place of the record.
        seq: u64,
        /// Checksum of the record's frame.
        record_crc: u32,
        /// Under which this server was Primary.
        epoch: Epoch,
        /// Who wrote it.
        client: ClientId,
        /// The writer's number.
        client_seq: u64,
        /// When this server took the write, CLOCK_BOOTTIME in nanoseconds.
        received_ns: u64,
        /// When it decided to acknowledge it, CLOCK_BOOTTIME in nanoseconds.
        acked_ns: u64,
        /// The record was there already: the client repeated it.
        repeated: bool,
    },
    /// The server's activity changed.
    Transition {
        /// Why.
        cause: Cause,
        /// What holds from now on.
        now: Activity,
        /// Of the promotion; zero for a Secondary that never was Primary in this process.
        epoch: Epoch,
        /// CLOCK_BOOTTIME in nanoseconds.
        at_ns: u64,
    },
}

pub(crate) struct AcceptLog {
    path: PathBuf,
    file: File,
    pending: Vec<u8>,
}

/// Reads a log without changing it: the entries, and what is damaged.
pub(crate) fn load(path: &Path) -> Result<(Vec<AcceptEntry>, disk::ScanEnd), StoreError> {
    let content = std::fs::read(path).map_err(io_error("cannot read", path))?;
    check_header(path, &content, MAGIC)?;
    Ok(parse(&content))
}

fn parse(content: &[u8]) -> (Vec<AcceptEntry>, disk::ScanEnd) {
    let mut entries = Vec::new();
    let mut undecodable = Vec::new();
    let mut end = disk::scan(content, HEADER, |frame| match postcard::from_bytes(frame.body) {
        Ok(entry) => entries.push(entry),
        Err(_) => undecodable.push(frame.at..frame.next),
    });
    end.damaged.extend(undecodable);
    (entries, end)
}

impl AcceptLog {
    pub(crate) fn open(path: &Path) -> Result<(AcceptLog, Vec<AcceptEntry>), StoreError> {
        let (file, content) = open_appendable(path, MAGIC)?;
        let (entries, end) = parse(&content);
        if let Some(bad) = end.damaged.first() {
            return Err(StoreError::Damaged {
                path: path.to_path_buf(),
                from: bad.start as u64,
                to: bad.end as u64,
                after_seq: 0,
            });
        }
        if end.torn > 0 {
            file.set_len(end.good_end as u64).map_err(io_error("cannot cut", path))?;
        }
        Ok((AcceptLog { path: path.to_path_buf(), file, pending: Vec::new() }, entries))
    }

    /// Adds an entry to the next write.
    pub(crate) fn add(&mut self, entry: &AcceptEntry) -> Result<(), StoreError> {
        let body = postcard::to_stdvec(entry)
            .map_err(|e| io_error("cannot encode for", &self.path)(std::io::Error::other(e)))?;
        disk::put(&mut self.pending, &body);
        Ok(())
    }

    /// Writes what was added; one system call.
    pub(crate) fn write_out(&mut self) -> Result<(), StoreError> {
        if !self.pending.is_empty() {
            self.file.write_all(&self.pending).map_err(io_error("cannot write", &self.path))?;
            self.pending.clear();
        }
        Ok(())
    }
}
