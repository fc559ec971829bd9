use super::{Error, RECORD_BYTES_MAX, SmallState, Wrong, decode, encode};
use crate::files::{Fault, FaultyFiles, Files, RealFiles, Unsynced};
use std::path::Path;
use std::sync::Arc;

const PATH: &str = "/state/node";

fn state_on(files: &FaultyFiles) -> SmallState {
    files.make_directory(Path::new("/state")).unwrap();
    files.sync_path(Path::new("/state")).unwrap();
    SmallState::new(Arc::new(files.clone()), Path::new(PATH), *b"TEST", 3)
}

#[test]
fn a_record_survives_and_absence_is_no_record() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("record");
    let mut state = SmallState::new(Arc::new(RealFiles), &path, *b"TEST", 1);
    assert_eq!(state.load().unwrap(), None);
    for record in [b"one".as_slice(), b"", b"three"] {
        state.replace(record).unwrap();
        let again = SmallState::new(Arc::new(RealFiles), &path, *b"TEST", 1);
        assert_eq!(again.load().unwrap().as_deref(), Some(record));
    }
    assert_eq!(RealFiles.list(directory.path()).unwrap(), ["record"]);
}

#[test]
fn every_crash_at_every_operation_leaves_the_old_or_the_new_record() {
    let survivals = [Unsynced::Lost, Unsynced::Kept].into_iter();
    let survivals = survivals.chain((0..40).map(|bytes| Unsynced::Torn { bytes }));
    let survivals = survivals.chain((0..40).map(|seed| Unsynced::Random { seed }));
    for unsynced in survivals {
        for operation in 1.. {
            let files = FaultyFiles::new();
            let mut state = state_on(&files);
            state.replace(b"the old record").unwrap();
            files.fail_at(files.operations() + operation, Fault::Crash(unsynced));
            let replaced = state.replace(b"the new record");
            if replaced.is_ok() {
                files.crash(unsynced);
            }
            files.power_on();
            let found = state_on(&files).load().unwrap();
            let found = found.as_deref().map(String::from_utf8_lossy);
            match (&replaced, found.as_deref()) {
                (_, Some("the new record")) | (Err(_), Some("the old record")) => {}
                (_, other) => panic!("operation {operation}, {unsynced:?}, {replaced:?}: found {other:?}"),
            }
            // Whatever the crash left behind does not stand in the way of the next one.
            state_on(&files).replace(b"the next record").unwrap();
            if replaced.is_ok() {
                break;
            }
        }
    }
}

#[test]
fn every_fault_is_an_error_and_poisons() {
    for fault in [Fault::Full, Fault::Broken, Fault::LateBroken] {
        for operation in 1.. {
            let files = FaultyFiles::new();
            let mut state = state_on(&files);
            state.replace(b"old").unwrap();
            files.fail_at(files.operations() + operation, fault);
            let Err(error) = state.replace(b"new") else { break };
            assert!(matches!(error, Error::Files(_)), "{error}");
            assert!(matches!(state.replace(b"again"), Err(Error::Poisoned { .. })));
            files.crash(Unsynced::Lost);
            files.power_on();
            let found = state_on(&files).load().unwrap().unwrap();
            assert!(found == b"old" || found == b"new", "{fault:?} at {operation}: {found:?}");
        }
    }
}

#[test]
fn damage_anywhere_is_found_and_named() {
    let files = FaultyFiles::new();
    let mut state = state_on(&files);
    state.replace(b"record").unwrap();
    let length = files.read(Path::new(PATH)).unwrap().unwrap().len();
    for at in 0..length {
        files.damage(Path::new(PATH), |bytes| bytes[at] ^= 0x10);
        let error = state.load().unwrap_err();
        assert!(error.to_string().starts_with("/state/node: damaged: "), "byte {at}: {error}");
        files.damage(Path::new(PATH), |bytes| bytes[at] ^= 0x10);
    }
    for keep in 0..length {
        let mut cut = Vec::new();
        files.damage(Path::new(PATH), |bytes| cut = bytes.split_off(keep));
        assert!(matches!(state.load(), Err(Error::Damaged { .. })), "cut to {keep}");
        files.damage(Path::new(PATH), |bytes| bytes.append(&mut cut));
    }
    assert_eq!(state.load().unwrap().unwrap(), b"record");
}

#[test]
fn another_kind_or_schema_is_told_with_both_sides() {
    let bytes = encode(b"x", *b"NODE", 7);
    assert_eq!(decode(&bytes, *b"NODE", 7), Ok(b"x".as_slice()));
    assert_eq!(decode(&bytes, *b"NODE", 8), Err(Wrong::Schema(7)));
    let wrong = decode(&bytes, *b"WITN", 7);
    assert_eq!(wrong, Err(Wrong::Damaged("starts with \"NODE\"; expected \"WITN\"".to_owned())));
}

#[test]
fn a_record_that_is_too_large_changes_nothing() {
    let files = FaultyFiles::new();
    let mut state = state_on(&files);
    state.replace(b"small").unwrap();
    let error = state.replace(&vec![0; RECORD_BYTES_MAX + 1]).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    state.replace(b"goes on").unwrap();
}
