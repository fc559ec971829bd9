//! Every operation crashes or fails, in two lives one after the other.
//!
//! A crash of the machine empties `/run`, and the next boot has another id; a daemon that is killed leaves both
//! records where they were.

use super::super::{Found, NodeStore, StoreError};
use picket_core::ids::{BootId, Epoch, VolumeId};
use picket_core::node::{Disk, DiskVolume, NodeRecord, Run, RunHeld, SCHEMA};
use picket_core::ready::Store;
use picket_core::time::Instant;
use picket_host::files::{Fault, FaultyFiles, Files, Unsynced};
use std::path::Path;
use std::sync::Arc;

const STATE: &str = "/var/lib/picket";
const RUN: &str = "/run/picket";

/// Changes of one life.
const CHANGES: u64 = 5;

fn open(files: &FaultyFiles, boot: BootId) -> Result<(NodeStore, Found), StoreError> {
    NodeStore::open(Arc::new(files.clone()), Path::new(STATE), Path::new(RUN), boot)
}

fn disk(epoch: u64) -> Disk {
    let volume = DiskVolume { max_epoch: Epoch(epoch), ..DiskVolume::default() };
    // Longer with every change, and longer than a sector, so that a torn write shows.
    let volumes = (1..=20 + epoch).map(|id| (VolumeId(u16::try_from(id).unwrap()), volume.clone()));
    Disk { schema: SCHEMA, volumes: volumes.collect(), ..Disk::default() }
}

fn run(boot: BootId, epoch: u64) -> Run {
    let held = RunHeld { epoch: Epoch(epoch), lease_until: Instant::NEVER, refused: false, driver: None };
    Run { schema: SCHEMA, boot, held: [(VolumeId(1), held)].into(), ..Run::default() }
}

/// What the daemon was told to be kept, and what it was having kept when it was cut off.
struct Told {
    boot: BootId,
    disk: u64,
    run: u64,
    asked: u64,
}

impl Told {
    const fn nothing() -> Self {
        Self { boot: BootId(1), disk: 0, run: 0, asked: 0 }
    }

    /// The record is what was kept or what was being kept, whole; nothing else.
    fn check(&mut self, found: &Found, about: &str) {
        let (boot, asked) = (self.boot, self.asked);
        let is_disk = |epoch: u64| found.disk == (epoch > 0).then(|| disk(epoch));
        let is_run = |epoch: u64| found.run == (epoch > 0).then(|| run(boot, epoch));
        let disk = [self.disk, asked].into_iter().find(|epoch| is_disk(*epoch));
        let disk = disk.unwrap_or_else(|| panic!("{about}: kept {}, found {:?}", self.disk, found.disk));
        let run = [self.run, asked].into_iter().find(|epoch| is_run(*epoch));
        let run = run.unwrap_or_else(|| panic!("{about}: kept {}, found {:?}", self.run, found.run));
        // The disk's record is written first: what this boot knows, the disk knows.
        assert!(run <= disk, "{about}: this boot's record has {run}, the disk's {disk}");
        (self.disk, self.run, self.asked) = (disk, run, disk);
    }

    /// The machine went down: nothing of this boot is left.
    fn reboot(&mut self, files: &FaultyFiles) {
        files.power_on();
        for name in ["node.run", "node.new"] {
            let _ = files.remove(&Path::new(RUN).join(name));
        }
        (self.boot, self.run) = (BootId(self.boot.0 + 1), 0);
    }
}

/// Changes both records until all is done or the disk fails.
fn work(files: &FaultyFiles, told: &mut Told) -> Result<(), StoreError> {
    let (mut store, found) = open(files, told.boot)?;
    told.check(&found, "at the beginning of a life");
    for _ in 0..CHANGES {
        told.asked += 1;
        let epoch = told.asked;
        let record = NodeRecord { disk: Some(disk(epoch)), run: Some(run(told.boot, epoch)) };
        store.persist(&(), &record)?;
        store.sync()?;
        (told.disk, told.run) = (epoch, epoch);
    }
    Ok(())
}

/// How many operations a life has without faults.
fn operations() -> u64 {
    let files = FaultyFiles::new();
    work(&files, &mut Told::nothing()).unwrap();
    files.operations()
}

#[test]
fn the_machine_may_crash_at_every_operation() {
    let survivals = [Unsynced::Lost, Unsynced::Kept].into_iter();
    let survivals = survivals.chain([1, 15, 16, 17, 511, 513].map(|bytes| Unsynced::Torn { bytes }));
    let survivals: Vec<_> = survivals.chain((0..8).map(|seed| Unsynced::Random { seed })).collect();
    let all = operations();
    assert!(all > CHANGES * 5, "{all} operations");
    for operation in 1..=all {
        for unsynced in &survivals {
            let about = format!("operation {operation}, {unsynced:?}");
            let (files, mut told) = (FaultyFiles::new(), Told::nothing());
            files.fail_at(operation, Fault::Crash(*unsynced));
            assert!(work(&files, &mut told).is_err(), "{about}: no crash");
            told.reboot(&files);
            files.fail_at(files.operations() + 1 + operation % 17, Fault::Crash(*unsynced));
            if work(&files, &mut told).is_ok() {
                files.crash(*unsynced);
            }
            told.reboot(&files);
            let (_, found) = open(&files, told.boot).unwrap_or_else(|error| panic!("{about}: {error}"));
            told.check(&found, &about);
        }
    }
}

#[test]
fn every_operation_may_fail_and_the_daemon_starts_again() {
    for fault in [Fault::Full, Fault::Broken, Fault::LateBroken] {
        for operation in 1..=operations() {
            let about = format!("operation {operation}, {fault:?}");
            let (files, mut told) = (FaultyFiles::new(), Told::nothing());
            files.fail_at(operation, fault);
            let first = work(&files, &mut told);
            // A write that gets lost later shows at the file's sync; this boot's record has none, and is still there.
            assert!(first.is_err() || fault == Fault::LateBroken, "{about}: no error");
            let (store, found) = open(&files, told.boot).unwrap_or_else(|error| panic!("{about}: {error}"));
            told.check(&found, &about);
            drop(store);
            work(&files, &mut told).unwrap_or_else(|error| panic!("{about}, then: {error}"));
            // What was believed after the restart is on the disk.
            files.crash(Unsynced::Lost);
            told.reboot(&files);
            let (_, found) = open(&files, told.boot).unwrap();
            told.check(&found, &about);
        }
    }
}

#[test]
fn a_crash_right_after_a_restart_takes_nothing_back() {
    for operation in 1..=operations() {
        let (files, mut told) = (FaultyFiles::new(), Told::nothing());
        files.fail_at(operation, Fault::Broken);
        let _ = work(&files, &mut told);
        let (store, found) = open(&files, told.boot).unwrap();
        told.check(&found, "after the restart");
        drop(store);
        files.crash(Unsynced::Lost);
        told.reboot(&files);
        let (_, found) = open(&files, told.boot).unwrap();
        told.check(&found, &format!("operation {operation}: what a start had read is gone"));
    }
}
