//! The witness's store: what stands on its disk after somebody else has written there.

use super::damage::{self, Damage};
use crate::must;
use crate::target::{Answer, Broken, Target};
use picket_core::witness::Record as CoreRecord;
use picket_host::files::{FaultyFiles, Files};
use picket_witness::store::format::{Frame, HEADER_BYTES, Kind, decode_frame, decode_header};
use picket_witness::store::{self, Store, verify};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The store as a whole. An input is the number of commits, then one length for each of their records, then damage:
/// see [`damage`].
pub const TARGET: Target = Target {
    name: "witness-log",
    about: "a damaged store: refused with file and place, or cut at a torn tail; nothing that a later batch proves is lost",
    seeds,
    words: &["PKTWLOG\n", "PKTWSNP\n"],
    check,
};

/// A cluster's record, as it stands in the store.
pub const RECORD: Target = Target {
    name: "witness-record",
    about: "a cluster's record: refused, or the same record again when it is written again",
    seeds: record_seeds,
    words: &[
        "\"epoch\":",
        "\"isr\":",
        "null",
        "{",
        "}",
        "[",
        "]",
        "-1",
        "1e9",
        "18446744073709551616",
        "\\u0000",
        "true",
    ],
    check: check_record,
};

const DIRECTORY: &str = "/store";
const SEGMENT_BYTES: u64 = 2048;
const COMMITS_MAX: usize = 8;

type Content = BTreeMap<String, Vec<u8>>;

fn seeds() -> Vec<Vec<u8>> {
    let none = damage::none();
    let work = |lengths: &[u8]| [&[lengths.len().to_le_bytes()[0]], lengths, none.as_slice()].concat();
    let mut seeds =
        vec![work(&[]), work(&[1]), work(&[8, 200, 8, 17]), work(&[255, 255, 255, 255, 255, 255, 255, 255])];
    for file in 0..2 {
        for offset in [0_u16, 40, 62, 64, 70, 96, 104, 150] {
            let hit = damage::put(file, Damage::Xor { offset, mask: 1 });
            seeds.push([&[4, 8, 9, 40, 17][..], &hit].concat());
        }
    }
    seeds.push([&[4, 8, 9, 40, 17][..], &damage::put(1, Damage::Zero { offset: 64, length: 64 })].concat());
    seeds
}

/// A store that was worked on, and what it held after each record.
struct Worked {
    files: FaultyFiles,
    snapshot: PathBuf,
    segment: PathBuf,
    /// What the store held with this many records.
    after: BTreeMap<u64, Content>,
}

fn open(files: &FaultyFiles) -> Result<Store, store::Error> {
    Store::open_with_segments(Arc::new(files.clone()), Path::new(DIRECTORY), SEGMENT_BYTES)
}

fn content(store: &Store) -> Content {
    store.records().map(|(key, record)| (key.to_owned(), record.bytes.clone())).collect()
}

fn work(lengths: &[u8]) -> Result<Worked, store::Error> {
    let files = FaultyFiles::new();
    let mut store = open(&files)?;
    let (mut now, mut after) = (Content::new(), BTreeMap::new());
    for (number, length) in lengths.iter().enumerate() {
        // Every third commit has two records, and keys come again.
        for part in 0..=usize::from(number % 3 == 2) {
            let key = format!("c{}", (number + part) % 3);
            let record = vec![number.to_le_bytes()[0] + 1; usize::from(*length) + 1];
            let sequence = store.append(&key, &record)?;
            now.insert(key, record);
            after.insert(sequence, now.clone());
        }
        store.commit()?;
    }
    after.insert(0, Content::new());
    let generation = verify(&files, Path::new(DIRECTORY))?.generation;
    let path = |kind: Kind| Path::new(DIRECTORY).join(format!("{}-{generation:016x}", kind.word()));
    Ok(Worked { snapshot: path(Kind::Snapshot), segment: path(Kind::Segment), files, after })
}

fn check(input: &[u8]) -> Result<Answer, Broken> {
    let Some((count, rest)) = input.split_first() else { return Ok(Answer::new("empty")) };
    let count = usize::from(*count).min(COMMITS_MAX).min(rest.len());
    let (lengths, rest) = rest.split_at(count);
    let failed = |error: store::Error| Broken(format!("a good store: {error}"));
    let worked = work(lengths).map_err(failed)?;
    let read = |path: &Path| worked.files.read(path).ok().flatten().unwrap_or_default();
    let (snapshot, segment) = (read(&worked.snapshot), read(&worked.segment));
    for (file, hit) in damage::all(rest) {
        let path = if file == 0 { &worked.snapshot } else { &worked.segment };
        worked.files.damage(path, |bytes| hit.apply(bytes));
    }
    let (snapshot_now, segment_now) = (read(&worked.snapshot), read(&worked.segment));
    let is_whole = snapshot_now == snapshot && segment_now == segment;
    let floor = proven(&segment, &segment_now);
    let (before, looked) = (worked.files.operations(), verify(&worked.files, Path::new(DIRECTORY)));
    must!(worked.files.operations() == before, "looking at the store changed it");
    let found = match open(&worked.files) {
        Err(error) => {
            must!(looked.is_err(), "opening says {error}, looking at it nothing");
            return refused(&worked, &error, is_whole, before);
        }
        Ok(store) => store,
    };
    let last = worked.after.keys().last().copied().unwrap_or(0);
    must!(snapshot_now == snapshot, "a changed snapshot was accepted");
    must!(found.commit_index() >= floor, "{} records, although {floor} are proven", found.commit_index());
    must!(!is_whole || found.commit_index() == last, "an untouched store lost records");
    let expected = worked.after.get(&found.commit_index());
    must!(expected == Some(&content(&found)), "after {} records it never held this", found.commit_index());
    must!(
        looked.is_ok_and(|looked| looked.commit_index == found.commit_index()),
        "looking tells something else"
    );
    let torn = found.torn().map_or_else(String::new, |(_, torn)| torn.why.to_string());
    must!(!is_whole || torn.is_empty(), "an untouched store is torn: {torn}");
    drop(found);
    let again = open(&worked.files).map_err(failed)?;
    must!(again.torn().is_none(), "what was cut off is there again");
    Ok(Answer::new(format!("opened, {} short: {torn}", last - again.commit_index())))
}

/// An error must name one of the two files, and have left everything as it was.
fn refused(worked: &Worked, error: &store::Error, is_whole: bool, before: u64) -> Result<Answer, Broken> {
    must!(!is_whole, "an untouched store was refused: {error}");
    must!(worked.files.operations() == before, "a refused store was written to");
    let store::Error::Damaged { path, offset, what, .. } = error else {
        return Err(Broken(format!("damage is told as {error}")));
    };
    must!(*path == worked.snapshot || *path == worked.segment, "another file is named: {error}");
    let length = worked.files.read(path).ok().flatten().unwrap_or_default().len();
    must!(*offset <= length, "offset {offset} of {length}");
    Ok(Answer::new(format!("{}: {what}", path == &worked.snapshot)))
}

/// Up to which sequence the frames that are still as they were written say that everything is on the disk.
fn proven(written: &[u8], now: &[u8]) -> u64 {
    let Ok((header, seed)) = decode_header(Kind::Segment, written) else { return 0 };
    let (mut at, mut proven) = (HEADER_BYTES, header.last_sequence);
    while let Some(Ok((Frame { durable_through, .. }, length))) =
        written.get(at..).map(|rest| decode_frame(rest, seed))
    {
        if written.get(at..at + length) == now.get(at..at + length) {
            proven = proven.max(durable_through);
        }
        at += length;
    }
    proven
}

fn record_seeds() -> Vec<Vec<u8>> {
    super::witness_core::records().iter().filter_map(|record| serde_json::to_vec(record).ok()).collect()
}

fn check_record(input: &[u8]) -> Result<Answer, Broken> {
    let record: CoreRecord = match serde_json::from_slice(input) {
        Ok(record) => record,
        Err(error) => return Ok(Answer::new(error)),
    };
    let written = serde_json::to_vec(&record).map_err(|error| Broken(error.to_string()))?;
    let again: CoreRecord = serde_json::from_slice(&written).map_err(|error| Broken(error.to_string()))?;
    must!(again == record, "written again it is another record:\n{record:?}\n{again:?}");
    let shown = |label: &str, is: bool| if is { label.to_owned() } else { String::new() };
    let (recovery, retired) = (shown("recovery ", record.recovery), shown("retired ", record.retired));
    Ok(Answer::new(format!("a record: {recovery}{retired}{} volumes", record.volumes.len().min(3))))
}
