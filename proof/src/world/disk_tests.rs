use super::*;
use picket_core::ids::Epoch;
use picket_core::node::DiskVolume;

fn record(epoch: u64) -> Disk {
    let volume = DiskVolume { max_epoch: Epoch(epoch), ..DiskVolume::default() };
    Disk { volumes: [(picket_core::ids::VolumeId(1), volume)].into(), ..Disk::default() }
}

fn with(epoch: u64) -> File<Disk> {
    let mut file = File::default();
    file.write(&record(epoch)).unwrap();
    file.settle();
    file
}

#[test]
fn what_was_synced_outlives_every_crash_and_what_was_not_is_there_or_not() {
    let mut rng = Rng::new(1);
    let mut left: Vec<(bool, bool)> = Vec::new();
    for _ in 0..100 {
        let mut file = with(1);
        file.write(&record(2)).unwrap();
        file.crash(&mut rng);
        let newer = file.read() == Some(&record(2));
        assert!(newer || file.read() == Some(&record(1)));
        let torn = file.open().unwrap();
        assert!(!file.open().unwrap(), "a start writes anew what it found");
        left.push((newer, torn));
    }
    left.sort_unstable();
    left.dedup();
    assert_eq!(left, [(false, false), (false, true), (true, false)]);
}

#[test]
fn a_write_that_is_cut_off_is_left_out() {
    let mut file = with(1);
    file.set(DiskMode::Tears, true, 0);
    file.write(&record(2)).unwrap();
    assert!(file.tears());
    file.crash(&mut Rng::new(1));
    assert_eq!(file.read(), Some(&record(1)));
    assert_eq!(file.open(), Ok(true));
    file.write(&record(2)).unwrap();
    assert!(!file.tears(), "one machine's end for each");
}

#[test]
fn a_full_disk_takes_what_fits_and_starts_nobody() {
    let mut file = with(1);
    file.set(DiskMode::Full, true, 1);
    assert_eq!(file.open(), Err(DiskError::Full));
    file.write(&record(2)).unwrap();
    file.settle();
    assert_eq!(file.write(&record(3)), Err(DiskError::Full));
    assert_eq!(file.read(), Some(&record(2)));
    file.set(DiskMode::Full, false, 0);
    assert_eq!(file.open(), Ok(false));
}

#[test]
fn a_sync_that_fails_is_told_and_starts_nobody() {
    let mut store = NodeStore::default();
    store.disk.set(DiskMode::SyncFails, true, 0);
    let record = NodeRecord { disk: Some(record(1)), run: None };
    store.persist(&(), &record).unwrap();
    assert_eq!(store.sync(), Err(DiskError::SyncFailed));
    let mut file = with(1);
    file.set(DiskMode::SyncFails, true, 0);
    assert_eq!(file.open(), Err(DiskError::SyncFailed));
}

#[test]
fn a_process_that_dies_between_its_two_records_has_kept_the_first() {
    let (mut store, both) = (NodeStore::default(), |epoch| NodeRecord {
        disk: Some(record(epoch)),
        run: Some(Run { failed: epoch == 1, ..Run::default() }),
    });
    store.persist(&(), &both(1)).unwrap();
    store.disk.settle();
    store.dies_between = true;
    store.persist(&(), &NodeRecord { disk: Some(record(2)), run: None }).unwrap();
    assert_eq!(store.persist(&(), &both(3)), Err(DiskError::DiedBetween));
    assert_eq!(store.disk.read(), Some(&record(3)));
    assert!(store.run.is_some_and(|run| run.failed), "of the record before");
    assert!(!store.dies_between, "once");
}
