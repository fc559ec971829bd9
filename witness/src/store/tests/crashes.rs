//! Every operation crashes or fails; every byte boundary tears.

use super::{Model, Random, content, directory, open};
use crate::store::{Error, Store, verify};
use picket_host::files::{Fault, FaultyFiles, Unsynced};

/// What a workload was told, and what it was waiting for when it was cut off.
struct Told {
    acknowledged: Model,
    commit_index: u64,
    in_flight: Vec<(String, Vec<u8>)>,
}

impl Told {
    fn nothing() -> Self {
        Self { acknowledged: Model::new(), commit_index: 0, in_flight: Vec::new() }
    }

    /// The store holds what was acknowledged, and of the batch in flight a prefix.
    fn check(&mut self, store: &Store, about: &str) {
        let mut allowed = self.acknowledged.clone();
        let found = content(store);
        let extra = store.commit_index().checked_sub(self.commit_index);
        let extra = extra.unwrap_or_else(|| {
            panic!("{about}: acknowledged {}, found {}", self.commit_index, store.commit_index())
        });
        assert!(extra <= self.in_flight.len() as u64, "{about}: {extra} records from nowhere");
        allowed.extend(self.in_flight.iter().take(extra as usize).cloned());
        assert_eq!(found, allowed, "{about}");
        self.acknowledged = found;
        self.commit_index = store.commit_index();
        self.in_flight.clear();
    }
}

/// Commits random batches until `commits` are done or the disk fails.
fn work(files: &FaultyFiles, told: &mut Told, seed: u64, commits: usize) -> Result<(), Error> {
    let mut random = Random(seed);
    let mut store = open(files)?;
    told.check(&store, "at the beginning of a life");
    for _ in 0..commits {
        for _ in 0..=random.below(3) {
            let key = format!("c{}", random.below(3));
            let record = vec![u8::try_from(random.below(255)).unwrap() + 1; 1 + random.below(300) as usize];
            store.append(&key, &record)?;
            told.in_flight.push((key, record));
        }
        match store.commit() {
            Ok(index) => {
                told.commit_index = index;
                told.acknowledged.extend(told.in_flight.drain(..));
            }
            Err(error) => {
                let poisoned = store.commit().unwrap_err();
                assert!(matches!(poisoned, Error::Poisoned { .. }), "{poisoned}");
                assert!(matches!(store.append("c1", b"x"), Err(Error::Poisoned { .. })));
                return Err(error);
            }
        }
    }
    Ok(())
}

const COMMITS: usize = 12;

/// How many operations the workload has without faults.
fn operations(seed: u64) -> u64 {
    let files = FaultyFiles::new();
    work(&files, &mut Told::nothing(), seed, COMMITS).unwrap();
    files.operations()
}

/// Crashes at `operation` of a first life, at another of a second, and looks twice.
fn crash_twice(seed: u64, operation: u64, unsynced: Unsynced) {
    let about = format!("seed {seed}, operation {operation}, {unsynced:?}");
    let (files, mut told) = (FaultyFiles::new(), Told::nothing());
    files.fail_at(operation, Fault::Crash(unsynced));
    assert!(work(&files, &mut told, seed, COMMITS).is_err(), "{about}: no crash");
    files.power_on();
    let second = files.operations() + 1 + operation % 23;
    files.fail_at(second, Fault::Crash(unsynced));
    let survived = work(&files, &mut told, seed + 1, COMMITS);
    if survived.is_ok() {
        files.crash(unsynced);
    }
    files.power_on();
    let store = open(&files).unwrap_or_else(|error| panic!("{about}, then {second}: {error}"));
    told.check(&store, &about);
    drop(store);
    assert_eq!(verify(&files, directory()).unwrap().torn, None, "opening leaves nothing torn");
}

#[test]
fn every_operation_may_crash() {
    for seed in 0..3 {
        for operation in 1..=operations(seed) {
            crash_twice(seed, operation, Unsynced::Lost);
            crash_twice(seed, operation, Unsynced::Kept);
            for crash_seed in 0..6 {
                crash_twice(seed, operation, Unsynced::Random { seed: crash_seed });
            }
            for bytes in [1, 7, 8, 31, 33, 100, 511, 513] {
                crash_twice(seed, operation, Unsynced::Torn { bytes });
            }
        }
    }
}

#[test]
fn every_operation_may_fail() {
    for fault in [Fault::Full, Fault::Broken, Fault::LateBroken] {
        for operation in 1..=operations(7) {
            // With the page cache still there (the process was restarted), and after a power cut.
            for power_cut in [false, true] {
                let about = format!("operation {operation}, {fault:?}, power cut {power_cut}");
                let (files, mut told) = (FaultyFiles::new(), Told::nothing());
                files.fail_at(operation, fault);
                assert!(work(&files, &mut told, 7, COMMITS).is_err(), "{about}: no error");
                if power_cut {
                    files.crash(Unsynced::Lost);
                    files.power_on();
                }
                // What the cache showed after a failed sync has to be on the disk once it was believed.
                let store = open(&files).unwrap_or_else(|error| panic!("{about}: {error}"));
                told.check(&store, &about);
                drop(store);
                files.crash(Unsynced::Lost);
                files.power_on();
                told.check(&open(&files).unwrap(), &about);
            }
        }
    }
}

#[test]
fn a_batch_may_tear_at_every_byte() {
    let batch: [(&str, &[u8]); 3] = [("a", b"first"), ("b", b"second, somewhat longer"), ("c", b"third")];
    let mut kept = std::collections::BTreeSet::new();
    for bytes in 0..=200 {
        let files = FaultyFiles::new();
        let mut store = open(&files).unwrap();
        super::commit(&mut store, &[("a", b"old")]);
        for (key, record) in batch {
            store.append(key, record).unwrap();
        }
        files.fail_at(files.operations() + 1, Fault::Crash(Unsynced::Torn { bytes }));
        store.commit().unwrap_err();
        files.power_on();
        let store = open(&files).unwrap();
        let survivors = store.commit_index() - 1;
        let expected = if survivors == 0 { b"old".as_slice() } else { b"first" };
        assert_eq!(store.get("a").unwrap().bytes, expected, "torn at {bytes}");
        // Frames of 40, 56 and 40 bytes, of which the first and last end with two zeros that stand
        // there anyway: a torn tail is seen unless the cut is between two frames.
        let is_between = [0, 38, 39, 40, 96].contains(&bytes) || bytes >= 134;
        assert_eq!(store.torn().is_some(), !is_between, "torn at {bytes}: {:?}", store.torn());
        kept.insert(survivors);
    }
    assert_eq!(kept.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn sectors_of_a_torn_batch_never_come_back_to_life() {
    // A batch of which the first sector is lost and later ones survive; then shorter commits that
    // end exactly where a surviving frame begins.
    for seed in 0..200 {
        let files = FaultyFiles::new();
        let mut store = open(&files).unwrap();
        for number in 0..12_u8 {
            store.append(&format!("k{number}"), &[number + 1; 40]).unwrap();
        }
        files.fail_at(files.operations() + 2, Fault::Crash(Unsynced::Random { seed }));
        store.commit().unwrap_err();
        files.power_on();
        let mut store = open(&files).unwrap();
        let survivors = store.commit_index();
        for number in survivors..12 {
            super::commit(&mut store, &[(&format!("k{number}"), &[200; 40])]);
            let again = open_again(&files, store);
            assert_eq!(again.commit_index(), number + 1, "seed {seed}");
            store = again;
        }
    }
}

fn open_again(files: &FaultyFiles, store: Store) -> Store {
    drop(store);
    open(files).unwrap()
}
