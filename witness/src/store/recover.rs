//! Reading a store's directory without changing it.
//!
//! ```text
//! snapshot-<g>   the latest record of every key when generation g began
//! segment-<g>    what was committed since; exists before snapshot-<g> does
//! *.new          something that was never finished; of no meaning
//! ```
//!
//! The snapshot with the highest generation and its segment are the store. A segment of a higher
//! generation is the beginning of a change of generation that a crash cut off; it must be empty.

use super::format::{HEADER_BYTES, Header, Kind, decode_frame, decode_header};
use super::scan::{Torn, scan_segment};
use super::{Error, Record};
use picket_host::files::Files;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the directory holds.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) store_id: [u8; 16],
    pub(super) generation: u64,
    pub(super) last_sequence: u64,
    pub(super) latest: BTreeMap<String, Record>,
    /// How many frames the segment held.
    pub(super) frames: usize,
    pub(super) segment: PathBuf,
    pub(super) torn: Option<Torn>,
}

/// The path of a file of the store.
pub(super) fn path_of(directory: &Path, kind: Kind, generation: u64) -> PathBuf {
    directory.join(format!("{}-{generation:016x}", kind.word()))
}

/// The generations of all files of a kind, ascending.
pub(super) fn generations(names: &[String], kind: Kind) -> Vec<u64> {
    let mut all: Vec<u64> = names
        .iter()
        .filter_map(|name| {
            let digits = name.strip_prefix(kind.word())?.strip_prefix('-')?;
            let is_ours =
                digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            u64::from_str_radix(digits, 16).ok().filter(|_| is_ours)
        })
        .collect();
    all.sort_unstable();
    all
}

/// Reads the store; nothing if the directory holds none.
pub(super) fn recover(files: &dyn Files, directory: &Path) -> Result<Option<Recovered>, Error> {
    let names = match files.list(directory) {
        Err(error) if error.is_not_found() => return Ok(None),
        listed => listed?,
    };
    let snapshot = generations(&names, Kind::Snapshot).last().copied();
    for unfinished in generations(&names, Kind::Segment).into_iter().filter(|g| Some(*g) > snapshot) {
        check_is_empty(files, &path_of(directory, Kind::Segment, unfinished))?;
    }
    let Some(generation) = snapshot else { return Ok(None) };
    let (header, mut latest) = read_snapshot(files, directory, generation)?;
    let path = path_of(directory, Kind::Segment, generation);
    let damaged =
        |offset: usize, what: String| Error::Damaged { path: path.clone(), offset, sequence: None, what };
    let bytes = files.read(&path)?.ok_or_else(|| damaged(0, "the file is missing".to_owned()))?;
    let (segment, seed) = read_header(&path, Kind::Segment, &bytes)?;
    let expected = Header { kind: Kind::Segment, amount: bytes.len() as u64, ..header };
    if segment != expected {
        return Err(damaged(0, format!("its header is {segment:?}; expected {expected:?}")));
    }
    let scanned = scan_segment(&bytes, header.last_sequence, seed).map_err(|damage| Error::Damaged {
        path: path.clone(),
        offset: damage.offset,
        sequence: Some(damage.sequence),
        what: damage.what,
    })?;
    let mut last_sequence = header.last_sequence;
    for frame in &scanned.frames {
        last_sequence = frame.sequence;
        latest
            .insert(frame.key.to_owned(), Record { sequence: frame.sequence, bytes: frame.record.to_vec() });
    }
    let (frames, torn) = (scanned.frames.len(), scanned.torn);
    let store_id = header.store_id;
    Ok(Some(Recovered { store_id, generation, last_sequence, latest, frames, segment: path, torn }))
}

fn read_header(path: &Path, kind: Kind, bytes: &[u8]) -> Result<(Header, u32), Error> {
    decode_header(kind, bytes).map_err(|why| Error::Damaged {
        path: path.to_owned(),
        offset: 0,
        sequence: None,
        what: format!("bad header: {why}"),
    })
}

/// A segment without a snapshot may only be one that was just prepared.
fn check_is_empty(files: &dyn Files, path: &Path) -> Result<(), Error> {
    let bytes = files.read(path)?.unwrap_or_default();
    read_header(path, Kind::Segment, &bytes)?;
    match bytes.iter().skip(HEADER_BYTES).position(|byte| *byte != 0) {
        None => Ok(()),
        Some(at) => Err(Error::Damaged {
            path: path.to_owned(),
            offset: HEADER_BYTES + at,
            sequence: None,
            what: "it holds records, but its snapshot is missing".to_owned(),
        }),
    }
}

fn read_snapshot(
    files: &dyn Files,
    directory: &Path,
    generation: u64,
) -> Result<(Header, BTreeMap<String, Record>), Error> {
    let path = path_of(directory, Kind::Snapshot, generation);
    let bytes = files.read(&path)?.unwrap_or_default();
    let (header, seed) = read_header(&path, Kind::Snapshot, &bytes)?;
    let damaged =
        |offset: usize, sequence, what| Error::Damaged { path: path.clone(), offset, sequence, what };
    if header.generation != generation {
        return Err(damaged(0, None, format!("its header is of generation {}", header.generation)));
    }
    let mut latest = BTreeMap::new();
    let mut offset = HEADER_BYTES;
    while let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) {
        let (frame, length) =
            decode_frame(rest, seed).map_err(|why| damaged(offset, None, why.to_string()))?;
        let record = Record { sequence: frame.sequence, bytes: frame.record.to_vec() };
        let is_known = latest.insert(frame.key.to_owned(), record).is_some();
        if is_known || frame.sequence > header.last_sequence {
            let what = format!("key {:?} again, or later than {}", frame.key, header.last_sequence);
            return Err(damaged(offset, Some(frame.sequence), what));
        }
        offset += length;
    }
    if latest.len() as u64 != header.amount {
        let what = format!("{} records; the header says {}", latest.len(), header.amount);
        return Err(damaged(offset, None, what));
    }
    Ok((header, latest))
}
