mod crashes;

use super::{NodeStore, StoreError};
use picket_core::ids::{BootId, Epoch, VolumeId};
use picket_core::node::{Disk, DiskVolume, NodeRecord, Run, RunHeld, SCHEMA};
use picket_core::ready::Store;
use picket_core::time::Instant;
use picket_host::files::RealFiles;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const BOOT: BootId = BootId(7);

fn open(dir: &Path) -> Result<(NodeStore, super::Found), StoreError> {
    NodeStore::open(Arc::new(RealFiles), &dir.join("state"), &dir.join("run"), BOOT)
}

fn record(boot: BootId) -> NodeRecord {
    let volume = DiskVolume { max_epoch: Epoch(9), ..DiskVolume::default() };
    let held = RunHeld { epoch: Epoch(9), lease_until: Instant::NEVER, refused: false, driver: None };
    NodeRecord {
        disk: Some(Disk {
            schema: SCHEMA,
            volumes: BTreeMap::from([(VolumeId(1), volume)]),
            ..Disk::default()
        }),
        run: Some(Run {
            schema: SCHEMA,
            boot,
            held: BTreeMap::from([(VolumeId(1), held)]),
            ..Run::default()
        }),
    }
}

fn written(boot: BootId) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, found) = open(dir.path()).unwrap();
    assert!(found.disk.is_none() && found.run.is_none());
    store.persist(&(), &record(boot)).unwrap();
    store.sync().unwrap();
    dir
}

#[test]
fn what_was_written_is_found_again() {
    let dir = written(BOOT);
    let (_store, found) = open(dir.path()).unwrap();
    let expected = record(BOOT);
    assert_eq!((found.disk, found.run), (expected.disk, expected.run));
}

#[test]
fn the_record_of_another_boot_is_not_used() {
    let dir = written(BootId(8));
    let (_store, found) = open(dir.path()).unwrap();
    assert!(found.disk.is_some());
    assert_eq!(found.run, None);
}

#[test]
fn a_second_daemon_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path()).unwrap();
    let second = open(dir.path()).unwrap_err().to_string();
    let state = dir.path().join("state");
    let expected =
        format!("{} is in use by another instance; only one may work on this directory", state.display());
    assert_eq!(second, expected);
    drop(first);
    assert!(open(dir.path()).is_ok());
}

#[test]
fn a_damaged_record_ends_the_start() {
    for file in ["state/node.state", "run/node.run"] {
        let dir = written(BOOT);
        let path = dir.path().join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            assert!(open(dir.path()).is_err(), "{file}: a changed bit in byte {at} was not seen");
            bytes[at] ^= 1;
        }
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(open(dir.path()).is_err(), "{file}: cut to {length} bytes, and read");
        }
    }
}

#[test]
fn what_a_damaged_record_says_stays_on_one_line() {
    let disk = serde_json::json!({ "schema": SCHEMA, "longest_promise": { "se\ncs\u{1b}[2J": 1 } });
    let error = super::one_line(&serde_json::from_value::<Disk>(disk).unwrap_err());
    assert!(error.contains("unknown field") && !error.contains(char::is_control), "{error:?}");
}

#[test]
fn a_record_of_another_schema_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).unwrap();
    let disk = Disk { schema: SCHEMA + 1, ..Disk::default() };
    store.persist(&(), &NodeRecord { disk: Some(disk), run: None }).unwrap();
    drop(store);
    let error = open(dir.path()).unwrap_err().to_string();
    assert!(error.ends_with("node.state: schema 2, but this program reads schema 1"), "{error}");
}

#[test]
fn a_failed_write_is_told_and_final() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).unwrap();
    std::fs::remove_dir_all(dir.path().join("run")).unwrap();
    let record = record(BOOT);
    assert!(store.persist(&(), &NodeRecord { disk: None, run: record.run }).is_err());
    std::fs::remove_dir_all(dir.path().join("state")).unwrap();
    let disk = NodeRecord { disk: record.disk, run: None };
    assert!(store.persist(&(), &disk).is_err());
    std::fs::create_dir(dir.path().join("state")).unwrap();
    let again = store.persist(&(), &disk).unwrap_err().to_string();
    assert!(again.contains("an earlier write failed"), "{again}");
}
