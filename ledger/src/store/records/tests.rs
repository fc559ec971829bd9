use super::*;
use crate::ids::{Epoch, NodeId};
use std::io::{Seek, SeekFrom};

const MAX: u64 = 1 << 20;

fn record(seq: u64) -> Record {
    Record {
        seq,
        epoch: Epoch(1),
        node: NodeId(1),
        client: ClientId(7),
        client_seq: seq,
        received_ns: seq,
        payload: Bytes::from(format!("payload {seq}")),
    }
}

fn filled(path: &Path, count: u64) -> RecordLog {
    let mut log = RecordLog::open(path, MAX).unwrap();
    for seq in 1..=count {
        log.append(&record(seq)).unwrap();
    }
    log.write_out().unwrap();
    log
}

#[test]
fn reopened_log_is_the_same_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    let last = filled(&path, 20).last();
    let log = RecordLog::open(&path, MAX).unwrap();
    assert_eq!(log.last(), last);
    assert_eq!(log.read(13).unwrap(), record(13));
    assert_eq!(log.find(ClientId(7), 13), Some(13));
}

#[test]
fn torn_tail_is_cut_at_every_byte() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    let log = filled(&path, 3);
    let (start, end) = (log.offset(3), log.offset(4));
    drop(log);
    for cut in start + 1..end {
        filled_to(&path, 3);
        File::options().write(true).open(&path).unwrap().set_len(cut).unwrap();
        let mut log = RecordLog::open(&path, MAX).unwrap();
        assert_eq!(log.last().seq, 2);
        assert_eq!(log.torn_bytes(), cut - start);
        log.append(&record(3)).unwrap();
        log.write_out().unwrap();
        assert_eq!(RecordLog::open(&path, MAX).unwrap().last().seq, 3);
    }
}

fn filled_to(path: &Path, count: u64) {
    std::fs::remove_file(path).unwrap();
    drop(filled(path, count));
}

#[test]
fn damaged_middle_is_named_and_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    let log = filled(&path, 9);
    let (from, to) = (log.offset(5), log.offset(6));
    drop(log);
    let mut file = File::options().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(from + disk::HEAD as u64 + 2)).unwrap();
    file.write_all(b"?").unwrap();
    match RecordLog::open(&path, MAX) {
        Err(StoreError::Damaged { from: f, to: t, after_seq, .. }) => {
            assert_eq!((f, t, after_seq), (from, to, 4));
        }
        other => panic!("expected damage, got {:?}", other.map(|l| l.last())),
    }
}

#[test]
fn truncate_forgets_the_names_of_what_it_takes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    let mut log = filled(&path, 9);
    assert_eq!(log.truncate(6).unwrap(), 3);
    assert_eq!(log.find(ClientId(7), 7), None);
    assert_eq!(log.find(ClientId(7), 6), Some(6));
    let other = Record { epoch: Epoch(2), client_seq: 70, ..record(7) };
    log.append(&other).unwrap();
    log.write_out().unwrap();
    let again = RecordLog::open(&path, MAX).unwrap();
    assert_eq!(again.last(), log.last());
    assert_eq!(again.read(7).unwrap(), other);
}

#[test]
fn raw_frames_carry_a_log_over_and_a_bad_batch_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let source = filled(&dir.path().join("a"), 50);
    let mut copy = RecordLog::open(&dir.path().join("b"), MAX).unwrap();
    let mut next = 1;
    let mut batches = 0;
    while next <= source.last().seq {
        let (raw, last) = source.read_raw(next, 300).unwrap();
        let mut bad = raw.to_vec();
        *bad.last_mut().unwrap() ^= 1;
        assert!(matches!(copy.append_raw(&bad), Err(StoreError::NotARecord { .. })));
        assert_eq!(copy.last().seq, next - 1);
        copy.append_raw(&raw).unwrap();
        next = last + 1;
        batches += 1;
    }
    assert!(batches > 2);
    assert_eq!(copy.last(), source.last());
    let (raw, _) = source.read_raw(3, 0).unwrap();
    assert!(matches!(copy.append_raw(&raw), Err(StoreError::Gap { last: 50, found: 3 })));
}

#[test]
fn the_size_limit_holds() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = RecordLog::open(&dir.path().join(FILE), 200).unwrap();
    let refused = (1..100).find_map(|seq| log.append(&record(seq)).err());
    assert!(matches!(refused, Some(StoreError::Full { limit: 200, .. })));
    log.write_out().unwrap();
    assert!(std::fs::metadata(dir.path().join(FILE)).unwrap().len() <= 200);
}
