//! The record log: append-only but for the resync of a replica, which may take back its end.
//!
//! Contract: `append` only buffers; a record counts after `write_out` (survives the process) and, if so
//! configured, `sync` (survives the machine). The index in memory knows place, checksum and chain of
//! every record; payloads are read back from the file.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{HEADER, StoreError, check_header, io_error, open_appendable};
use crate::disk::{self, ScanEnd};
use crate::ids::ClientId;
use crate::record::{Point, Record};

/// The file's name.
pub(crate) const FILE: &str = "records.log";
const MAGIC: &[u8; HEADER] = b"PkLrec01";

struct Entry {
    at: u64,
    point: Point,
    acknowledged_here: bool,
}

pub(crate) struct RecordLog {
    path: PathBuf,
    file: File,
    bytes_max: u64,
    entries: Vec<Entry>,
    by_client: HashMap<(ClientId, u64), u64>,
    pending: Vec<u8>,
    /// End of what is in the file; `pending` goes there.
    written: u64,
    unsynced: bool,
    torn_bytes: u64,
}

/// A record as it stands in the file.
pub(crate) struct Found {
    pub(crate) record: Record,
    pub(crate) crc: u32,
    frame_len: u64,
}

/// A record, or what is wrong with a valid frame that holds none.
pub(crate) type Scanned = Result<Found, String>;

/// Reads a log without changing it.
pub(crate) fn load(path: &Path, visit: impl FnMut(Scanned)) -> Result<ScanEnd, StoreError> {
    let content = std::fs::read(path).map_err(io_error("cannot read", path))?;
    check_header(path, &content, MAGIC)?;
    Ok(scan_records(&content, HEADER, visit))
}

fn scan_records(content: &[u8], start: usize, mut visit: impl FnMut(Scanned)) -> ScanEnd {
    disk::scan(content, start, |frame| {
        visit(match postcard::from_bytes::<Record>(frame.body) {
            Ok(record) => Ok(Found { record, crc: frame.crc, frame_len: (frame.next - frame.at) as u64 }),
            Err(e) => Err(format!("valid frame at byte {} without a record: {e}", frame.at)),
        });
    })
}

fn as_index(seq: u64) -> Option<usize> {
    usize::try_from(seq.checked_sub(1)?).ok()
}

impl RecordLog {
    /// Opens the log, cuts a torn tail, refuses a damaged middle by name.
    pub(crate) fn open(path: &Path, bytes_max: u64) -> Result<RecordLog, StoreError> {
        let (file, content) = open_appendable(path, MAGIC)?;
        let mut log = RecordLog {
            path: path.to_path_buf(),
            file,
            bytes_max,
            entries: Vec::new(),
            by_client: HashMap::new(),
            pending: Vec::new(),
            written: HEADER as u64,
            unsynced: true,
            torn_bytes: 0,
        };
        let mut wrong = None;
        let end = scan_records(&content, HEADER, |scanned| {
            if wrong.is_none() {
                wrong = match scanned {
                    Ok(found) if found.record.seq == log.last().seq + 1 => {
                        log.index(&found);
                        None
                    }
                    Ok(found) => Some(format!("record {}", found.record.seq)),
                    Err(why) => Some(why),
                };
            }
        });
        if let Some(bad) = end.damaged.first() {
            return Err(StoreError::Damaged {
                path: path.to_path_buf(),
                from: bad.start as u64,
                to: bad.end as u64,
                after_seq: log.seq_before(bad.start as u64),
            });
        }
        if let Some(found) = wrong {
            let expected = format!("record {}", log.last().seq + 1);
            return Err(StoreError::Foreign { path: path.to_path_buf(), expected, found });
        }
        if end.torn > 0 {
            log.file.set_len(end.good_end as u64).map_err(io_error("cannot cut", path))?;
            log.torn_bytes = end.torn as u64;
        }
        log.written = end.good_end as u64;
        Ok(log)
    }

    fn seq_before(&self, at: u64) -> u64 {
        self.entries.partition_point(|e| e.at < at) as u64
    }

    fn index(&mut self, found: &Found) {
        self.note(&found.record, found.crc);
        self.written += found.frame_len;
    }

    /// Enters the record that starts at the end.
    fn note(&mut self, record: &Record, crc: u32) {
        let (at, point) = (self.end(), self.last().then(record.epoch, crc));
        self.entries.push(Entry { at, point, acknowledged_here: false });
        self.by_client.entry((record.client, record.client_seq)).or_insert(record.seq);
    }

    /// Where the next frame goes; everything indexed is written or pending.
    fn end(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    /// The last record, with everything before it.
    pub(crate) fn last(&self) -> Point {
        self.entries.last().map_or_else(Point::default, |e| e.point)
    }

    /// The record at `seq`, with everything before it; `None` past the end.
    pub(crate) fn point(&self, seq: u64) -> Option<Point> {
        if seq == 0 {
            return Some(Point::default());
        }
        self.entries.get(as_index(seq)?).map(|e| e.point)
    }

    /// Bytes that the last start cut off as torn.
    pub(crate) fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    /// Byte position of a record; the end of the log past the last.
    pub(crate) fn offset(&self, seq: u64) -> u64 {
        as_index(seq).and_then(|i| self.entries.get(i)).map_or_else(|| self.end(), |e| e.at)
    }

    /// Where the append with this name is, if it is here.
    pub(crate) fn find(&self, client: ClientId, client_seq: u64) -> Option<u64> {
        self.by_client.get(&(client, client_seq)).copied()
    }

    /// Notes that this server acknowledged the record, if it is still that record.
    pub(crate) fn mark_acknowledged(&mut self, seq: u64, crc: u32) {
        if let Some(entry) = as_index(seq).and_then(|i| self.entries.get_mut(i)) {
            entry.acknowledged_here |= entry.point.crc == crc;
        }
    }

    /// Whether this server acknowledged any record after `seq`.
    pub(crate) fn acknowledged_after(&self, seq: u64) -> bool {
        let from = usize::try_from(seq).unwrap_or(usize::MAX);
        self.entries.iter().skip(from).any(|e| e.acknowledged_here)
    }

    /// Buffers a record that must be the next one.
    pub(crate) fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        let body = postcard::to_stdvec(record).map_err(|e| StoreError::NotARecord { why: e.to_string() })?;
        self.put(record, &body)
    }

    fn put(&mut self, record: &Record, body: &[u8]) -> Result<(), StoreError> {
        let last = self.last();
        if record.seq != last.seq + 1 {
            return Err(StoreError::Gap { last: last.seq, found: record.seq });
        }
        let at = self.end();
        if at + (disk::HEAD + body.len()) as u64 > self.bytes_max {
            return Err(StoreError::Full { path: self.path.clone(), held: at, limit: self.bytes_max });
        }
        let mut frame = Vec::with_capacity(disk::HEAD + body.len());
        let crc = disk::put(&mut frame, body);
        self.note(record, crc);
        self.pending.extend_from_slice(&frame);
        Ok(())
    }

    /// Whether one more record of the largest size fits.
    pub(crate) fn has_room(&self) -> bool {
        self.end() + (disk::HEAD + disk::BODY_MAX) as u64 <= self.bytes_max
    }

    /// Buffers frames as a primary sent them. All of them are valid and in order, or none is taken.
    pub(crate) fn append_raw(&mut self, raw: &[u8]) -> Result<(), StoreError> {
        let mut records = Vec::new();
        let mut at = 0;
        while at < raw.len() {
            let frame = disk::frame_at(raw, at)
                .ok_or_else(|| StoreError::NotARecord { why: format!("checksum or length at byte {at}") })?;
            let record: Record = postcard::from_bytes(frame.body)
                .map_err(|e| StoreError::NotARecord { why: e.to_string() })?;
            let expected = self.last().seq + 1 + records.len() as u64;
            if record.seq != expected {
                return Err(StoreError::Gap { last: expected - 1, found: record.seq });
            }
            at = frame.next;
            records.push((record, frame.body));
        }
        records.iter().try_for_each(|(record, body)| self.put(record, body))
    }

    /// Hands what is buffered to the system: from here on it survives the process.
    pub(crate) fn write_out(&mut self) -> Result<(), StoreError> {
        if !self.pending.is_empty() {
            self.file.write_all(&self.pending).map_err(io_error("cannot write", &self.path))?;
            self.written += self.pending.len() as u64;
            self.pending.clear();
            self.unsynced = true;
        }
        Ok(())
    }

    /// Makes what was written survive the machine.
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        if self.unsynced {
            self.file.sync_data().map_err(io_error("cannot sync", &self.path))?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Takes back everything after `to` and gives the number of records taken.
    pub(crate) fn truncate(&mut self, to: u64) -> Result<u64, StoreError> {
        self.write_out()?;
        let last = self.last().seq;
        if to >= last {
            return Ok(0);
        }
        for seq in to + 1..=last {
            let record = self.read(seq)?;
            let name = (record.client, record.client_seq);
            if self.by_client.get(&name) == Some(&seq) {
                self.by_client.remove(&name);
            }
        }
        let end = self.offset(to + 1);
        self.entries.truncate(usize::try_from(to).unwrap_or(usize::MAX));
        self.file.set_len(end).map_err(io_error("cannot cut", &self.path))?;
        self.written = end;
        self.unsynced = true;
        Ok(last - to)
    }

    /// Frames from `first` on: all that start within `bytes_max`, at least one if there is one; and the
    /// last record among them. Only what was written out.
    pub(crate) fn read_raw(&self, first: u64, bytes_max: u64) -> Result<(Bytes, u64), StoreError> {
        let from = self.offset(first);
        let index = as_index(first).unwrap_or(usize::MAX);
        let rest = self.entries.get(index..).unwrap_or_default();
        let count = rest.partition_point(|e| e.at - from <= bytes_max).max(1);
        let last = (first + count as u64 - 1).min(self.last().seq);
        let to = self.offset(last + 1).min(self.written);
        let mut raw = vec![0u8; usize::try_from(to.saturating_sub(from)).unwrap_or(0)];
        self.file.read_exact_at(&mut raw, from).map_err(io_error("cannot read", &self.path))?;
        Ok((raw.into(), last))
    }

    /// The record at `seq`, which must be written out.
    pub(crate) fn read(&self, seq: u64) -> Result<Record, StoreError> {
        let (raw, _) = self.read_raw(seq, 0)?;
        let frame = disk::frame_at(&raw, 0)
            .ok_or_else(|| StoreError::NotARecord { why: format!("record {seq} changed on disk") })?;
        postcard::from_bytes(frame.body).map_err(|e| StoreError::NotARecord { why: e.to_string() })
    }
}

#[cfg(test)]
mod tests;
