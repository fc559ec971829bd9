//! Damage is refused and named, never repaired.

use super::{commit, content, directory, open};
use crate::store::format::{HEADER_BYTES, Kind};
use crate::store::recover::path_of;
use crate::store::{Error, dump, verify};
use picket_host::files::{FaultyFiles, Files};
use std::path::PathBuf;

/// A store with records in its snapshot and several commits in its segment.
fn filled() -> (FaultyFiles, PathBuf, PathBuf) {
    let files = FaultyFiles::new();
    let mut store = open(&files).unwrap();
    commit(&mut store, &[("a", b"one"), ("b", b"two")]);
    drop(store);
    let mut store = open(&files).unwrap();
    commit(&mut store, &[("a", b"three"), ("c", b"four")]);
    commit(&mut store, &[("b", b"five")]);
    commit(&mut store, &[("c", b"six")]);
    drop(store);
    let generation = verify(&files, directory()).unwrap().generation;
    let paths = [Kind::Snapshot, Kind::Segment].map(|kind| path_of(directory(), kind, generation));
    let [snapshot, segment] = paths;
    (files, snapshot, segment)
}

fn length(files: &FaultyFiles, path: &std::path::Path) -> usize {
    files.read(path).unwrap().unwrap().len()
}

#[test]
fn a_changed_byte_in_a_snapshot_is_refused() {
    let (files, snapshot, _) = filled();
    for at in 0..length(&files, &snapshot) {
        files.damage(&snapshot, |bytes| bytes[at] ^= 4);
        let error = open(&files).unwrap_err();
        assert!(
            error.to_string().starts_with(&format!("{}: damaged at offset ", snapshot.display())),
            "{at}: {error}"
        );
        files.damage(&snapshot, |bytes| bytes[at] ^= 4);
    }
    open(&files).unwrap();
}

#[test]
fn a_cut_or_longer_snapshot_is_refused() {
    let (files, snapshot, _) = filled();
    let whole = length(&files, &snapshot);
    for keep in 0..whole {
        let mut rest = Vec::new();
        files.damage(&snapshot, |bytes| rest = bytes.split_off(keep));
        assert!(matches!(open(&files), Err(Error::Damaged { .. })), "cut to {keep}");
        files.damage(&snapshot, |bytes| bytes.append(&mut rest));
    }
    for more in 1..40 {
        files.damage(&snapshot, |bytes| bytes.resize(whole + more, 0));
        assert!(matches!(open(&files), Err(Error::Damaged { .. })), "{more} longer");
    }
}

#[test]
fn a_changed_byte_in_a_segment_is_refused_if_a_later_commit_knows_better() {
    let (files, _, segment) = filled();
    // Frames of 40 bytes each: 3 and 4 (one batch), 5, 6. What commit 6 says covers 3 to 5.
    let last_frame = HEADER_BYTES + 3 * 40;
    for at in 0..last_frame {
        for mask in [1_u8, 0x80, 0xff] {
            files.damage(&segment, |bytes| bytes[at] ^= mask);
            let error = open(&files).unwrap_err();
            let Error::Damaged { path, offset, sequence, .. } = &error else { panic!("{at}: {error}") };
            assert_eq!(*path, segment);
            if at >= HEADER_BYTES {
                let frame = (at - HEADER_BYTES) / 40;
                assert_eq!(
                    (*offset, *sequence),
                    (HEADER_BYTES + frame * 40, Some(frame as u64 + 3)),
                    "{error}"
                );
            }
            files.damage(&segment, |bytes| bytes[at] ^= mask);
        }
    }
    assert_eq!(open(&files).unwrap().commit_index(), 6);
}

#[test]
fn a_lost_sector_in_the_middle_is_refused() {
    let (files, _, segment) = filled();
    files.damage(&segment, |bytes| bytes[HEADER_BYTES..HEADER_BYTES + 80].fill(0));
    let error = open(&files).unwrap_err();
    let expected = "/store/segment-0000000000000002: damaged at offset 64 (sequence 3): \
        a frame of 0 bytes with a key of 0 and a record of 0; \
        but the frame at offset 144 (sequence 5) says that everything through 4 was synced";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn the_last_batch_alone_looks_torn_until_the_store_was_opened_once() {
    let (files, _, segment) = filled();
    files.damage(&segment, |bytes| bytes[HEADER_BYTES + 3 * 40 + 10] ^= 1);
    let verified = verify(&files, directory()).unwrap();
    assert_eq!(verified.torn.map(|torn| (torn.offset, torn.sequence)), Some((HEADER_BYTES + 120, 6)));
    let store = open(&files).unwrap();
    assert_eq!(store.commit_index(), 5);
    assert_eq!(store.torn().unwrap().1.sequence, 6);
}

#[test]
fn a_segment_of_another_length_is_refused() {
    let (files, _, segment) = filled();
    let whole = length(&files, &segment);
    for other in [0, 63, 64, 200, whole - 1, whole + 1] {
        let (files, _, segment) = filled();
        files.damage(&segment, |bytes| bytes.resize(other, 0));
        assert!(matches!(open(&files), Err(Error::Damaged { .. })), "{other}");
    }
}

#[test]
fn missing_files_are_refused_and_never_replaced_by_older_ones() {
    let (files, snapshot, segment) = filled();
    let (snapshot_bytes, segment_bytes) = (files.read(&snapshot).unwrap(), files.read(&segment).unwrap());
    files.remove(&segment).unwrap();
    let error = open(&files).unwrap_err();
    assert!(error.to_string().ends_with("the file is missing"), "{error}");
    files.create(&segment).unwrap();
    files.damage(&segment, |bytes| *bytes = segment_bytes.unwrap());
    files.remove(&snapshot).unwrap();
    let error = open(&files).unwrap_err();
    assert!(error.to_string().ends_with("it holds records, but its snapshot is missing"), "{error}");
    files.create(&snapshot).unwrap();
    files.damage(&snapshot, |bytes| *bytes = snapshot_bytes.unwrap());
    open(&files).unwrap();
}

#[test]
fn files_of_another_store_are_refused() {
    let ((files, _, segment), (other, _, other_segment)) = (filled(), filled());
    let foreign = other.read(&other_segment).unwrap().unwrap();
    files.damage(&segment, |bytes| *bytes = foreign);
    let error = open(&files).unwrap_err();
    assert!(error.to_string().contains("store_id"), "{error}");
}

#[test]
fn a_refused_store_is_left_as_it_is() {
    let (files, snapshot, _) = filled();
    files.damage(&snapshot, |bytes| bytes[70] ^= 1);
    let before = files.operations();
    open(&files).unwrap_err();
    assert_eq!(files.operations(), before, "nothing is written");
}

#[test]
fn names_that_are_not_ours_are_left_alone() {
    let (files, ..) = filled();
    for name in [
        "segment-1",
        "snapshot-zzzzzzzzzzzzzzzz",
        "snapshot-00000000000000FF",
        "notes",
        "segment-0000000000000009.new",
    ] {
        files.create(&directory().join(name)).unwrap();
    }
    let before = content(&open(&files).unwrap());
    assert_eq!(before, content(&open(&files).unwrap()));
    assert!(files.list(directory()).unwrap().contains(&"notes".to_owned()));
}

#[test]
fn a_dump_shows_every_record() {
    let (files, ..) = filled();
    let text = dump(&files, directory()).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    assert!(first.starts_with("store "), "{first}");
    assert!(first.ends_with(" generation 2 commit index 6 keys 3 frames since the snapshot 4"), "{first}");
    assert_eq!(
        rest,
        "\"a\" sequence 3 bytes 5: three\n\"b\" sequence 5 bytes 4: five\n\"c\" sequence 6 bytes 3: six\n"
    );
    let error = dump(&FaultyFiles::new(), directory()).unwrap_err();
    assert_eq!(error.to_string(), "/store holds no store");
}
