mod crashes;
mod damage;
mod formats;
mod machine;

use super::{Error, Record, Store};
use picket_host::files::{FaultyFiles, Files};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const DIRECTORY: &str = "/store";

/// Small enough that workloads change generation often.
const SMALL_SEGMENT_BYTES: u64 = 1024;

fn directory() -> &'static Path {
    Path::new(DIRECTORY)
}

fn open(files: &FaultyFiles) -> Result<Store, Error> {
    Store::open_with_segments(Arc::new(files.clone()), directory(), SMALL_SEGMENT_BYTES)
}

fn commit(store: &mut Store, records: &[(&str, &[u8])]) {
    for (key, record) in records {
        store.append(key, record).unwrap();
    }
    store.commit().unwrap();
}

type Model = BTreeMap<String, Vec<u8>>;

fn content(store: &Store) -> Model {
    store.records().map(|(key, record)| (key.to_owned(), record.bytes.clone())).collect()
}

/// A small seeded generator (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

#[test]
fn what_is_committed_can_be_read_and_survives() {
    let files = FaultyFiles::new();
    let mut store = open(&files).unwrap();
    assert!(store.was_created());
    assert_eq!(store.commit_index(), 0);
    assert_eq!(store.append("c1", b"one").unwrap(), 1);
    assert_eq!(store.append("c2", b"two").unwrap(), 2);
    assert_eq!(store.append("c1", b"three").unwrap(), 3);
    assert_eq!(store.get("c1"), None, "nothing is there before the commit");
    assert_eq!(store.commit().unwrap(), 3);
    assert_eq!(store.get("c1"), Some(&Record { sequence: 3, bytes: b"three".to_vec() }));
    let id = store.store_id();
    drop(store);
    let mut store = open(&files).unwrap();
    assert!(!store.was_created());
    assert_eq!((store.store_id(), store.commit_index(), store.torn()), (id, 3, None));
    assert_eq!(store.get("c2"), Some(&Record { sequence: 2, bytes: b"two".to_vec() }));
    commit(&mut store, &[("c2", b"four")]);
    assert_eq!(store.commit_index(), 4);
}

#[test]
fn stores_have_different_identities() {
    let (one, other) = (open(&FaultyFiles::new()).unwrap(), open(&FaultyFiles::new()).unwrap());
    assert_ne!(one.store_id(), other.store_id());
}

#[test]
fn one_write_and_one_sync_serve_many_records() {
    let files = FaultyFiles::new();
    let mut store = open(&files).unwrap();
    let before = files.operations();
    for number in 0..10 {
        store.append(&format!("c{number}"), b"record").unwrap();
    }
    assert_eq!(files.operations(), before, "appending touches no disk");
    store.commit().unwrap();
    assert_eq!(files.operations() - before, 2);
    store.commit().unwrap();
    assert_eq!(files.operations() - before, 2, "an empty commit has nothing to sync");
}

#[test]
fn limits_are_told_and_change_nothing() {
    let mut store = open(&FaultyFiles::new()).unwrap();
    let large = vec![1; super::RECORD_BYTES_MAX + 1];
    let wrong: [(&str, &[u8]); 4] = [("", b"x"), (&"k".repeat(256), b"x"), ("k", b""), ("k", &large)];
    for (key, record) in wrong {
        let error = store.append(key, record).unwrap_err();
        assert!(matches!(error, Error::Limit { .. }), "{error}");
    }
    let full = vec![1; super::RECORD_BYTES_MAX];
    let fitting = (0..100).take_while(|_| store.append("k", &full).is_ok()).count();
    assert_eq!(fitting, 15, "a batch has an end");
    assert_eq!(store.commit().unwrap(), 15);
}

#[test]
fn a_batch_larger_than_a_segment_is_kept() {
    let files = FaultyFiles::new();
    let mut store = open(&files).unwrap();
    let large = vec![7; 5000];
    commit(&mut store, &[("a", b"small"), ("b", &large), ("c", &large)]);
    commit(&mut store, &[("a", b"after")]);
    drop(store);
    let store = open(&files).unwrap();
    assert_eq!(store.get("c").unwrap().bytes, large);
    assert_eq!(store.get("a").unwrap().bytes, b"after");
}

#[test]
fn old_generations_are_removed() {
    let files = FaultyFiles::new();
    let mut store = open(&files).unwrap();
    for number in 0..100_u32 {
        commit(&mut store, &[("c1", &number.to_le_bytes()), ("c2", b"fixed")]);
    }
    let names = files.list(directory()).unwrap();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_ne!(names, ["segment-0000000000000001", "snapshot-0000000000000001"]);
}

#[test]
fn a_random_workload_matches_the_model() {
    for seed in 0..20 {
        let mut random = Random(seed);
        let files = FaultyFiles::new();
        let (mut store, mut model, mut appended) = (open(&files).unwrap(), Model::new(), 0);
        for _ in 0..200 {
            match random.below(10) {
                0 => {
                    drop(store);
                    store = open(&files).unwrap();
                }
                1 => assert_eq!(store.commit().unwrap(), appended),
                _ => {
                    for _ in 0..=random.below(3) {
                        let key = format!("c{}", random.below(6));
                        let record =
                            vec![u8::try_from(random.below(256)).unwrap(); 1 + random.below(200) as usize];
                        appended = store.append(&key, &record).unwrap();
                        model.insert(key, record);
                    }
                    assert_eq!(store.commit().unwrap(), appended);
                }
            }
            assert_eq!(content(&store), model);
        }
        assert_eq!(store.commit_index(), appended);
    }
}
