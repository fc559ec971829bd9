//! What is remembered of the data's past over restarts, with a disk that fails where it can.

use super::driven::Driven;
use crate::volume::drbd::lineage::Lineage;
use picket_core::evidence::Generation;
use picket_core::ids::{GenerationId, VolumeId};
use picket_core::node::Role;
use picket_host::files::{Fault, FaultyFiles, Files, Unsynced};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/state";

fn disk() -> FaultyFiles {
    let files = FaultyFiles::new();
    files.make_directory(Path::new(DIR)).unwrap();
    files.sync_path(Path::new(DIR)).unwrap();
    files
}

/// The daemon's start.
fn open(files: &FaultyFiles) -> Lineage {
    Lineage::open(Arc::new(files.clone()), Path::new(DIR), VolumeId(1))
}

fn read(current: u128, history: &[u128]) -> Generation {
    Generation {
        current: GenerationId(current),
        history: history.iter().copied().map(GenerationId).collect(),
    }
}

fn past(generation: &Generation) -> BTreeSet<u128> {
    core::iter::once(&generation.current).chain(&generation.history).map(|id| id.0).collect()
}

#[test]
fn what_the_kernel_forgets_is_remembered_over_restarts() {
    let files = disk();
    assert_eq!(open(&files).take(read(2, &[1])), read(2, &[1]), "nothing is known of another past");
    // Two resyncs later each time, with a crash of the machine between.
    open(&files).take(read(4, &[3, 2]));
    files.crash(Unsynced::Lost);
    files.power_on();
    let third = open(&files).take(read(6, &[5, 4]));
    assert_eq!(past(&third), (1..=6).collect());
    // A disk with other data, or with what the data was before, has nothing of this past.
    for other in [read(9, &[8]), read(2, &[1]), read(4, &[3, 2])] {
        assert_eq!(open(&files).take(other.clone()), other);
        open(&files).take(read(6, &[5, 4]));
    }
}

#[test]
fn a_record_of_the_data_before_counts_only_where_the_kernel_names_it() {
    let files = disk();
    open(&files).take(read(2, &[1]));
    // The record is of long ago: what lies between is not known.
    assert_eq!(open(&files).take(read(6, &[5, 4])), read(6, &[5, 4]));
}

#[test]
fn a_lost_or_damaged_record_brings_nothing() {
    let files = disk();
    open(&files).take(read(4, &[3, 2]));
    let name = files.list(Path::new(DIR)).unwrap().remove(0);
    let path = Path::new(DIR).join(&name);
    let whole = files.read(&path).unwrap().unwrap();
    let now = read(6, &[5, 4]);
    assert!(past(&open(&files).take(now.clone())).contains(&2), "it counts while it is whole");
    for at in 0..whole.len() {
        for damaged in [whole[..at].to_vec(), {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            bytes
        }] {
            files.damage(&path, |bytes| *bytes = damaged);
            assert_eq!(open(&files).take(now.clone()), now, "damaged at byte {at}");
            assert_eq!(open(&files).take(now.clone()), now, "and it begins anew");
        }
    }
    files.remove(&path).unwrap();
    assert_eq!(open(&files).take(now.clone()), now);
}

#[test]
fn whatever_fails_no_ancestor_is_told_that_is_none() {
    let steps = [read(2, &[1]), read(4, &[3, 2]), read(6, &[5, 4])];
    let operations = {
        let files = disk();
        let before = files.operations();
        steps.iter().for_each(|step| drop(open(&files).take(step.clone())));
        files.operations() - before
    };
    assert!(operations > 6, "each step is written");
    let mut forgot = 0;
    for at in 1..=operations {
        for fault in
            [Fault::Full, Fault::Broken, Fault::LateBroken, Fault::Crash(Unsynced::Torn { bytes: 20 })]
        {
            let files = disk();
            files.fail_at(files.operations() + at, fault);
            for (number, step) in steps.iter().enumerate() {
                let told = open(&files).take(step.clone());
                let true_past: BTreeSet<u128> = (1..=2 * (number as u128 + 1)).collect();
                assert!(past(&told).is_superset(&past(step)), "the kernel's own words: {fault:?} at {at}");
                assert!(past(&told).is_subset(&true_past), "{told:?}: {fault:?} at {at}");
                forgot += usize::from(past(&told) != true_past);
                if files.is_off() {
                    files.power_on();
                }
            }
        }
    }
    assert!(forgot > 0, "some faults were in the way");
}

#[test]
fn what_could_not_be_written_is_written_with_the_next_look() {
    let files = disk();
    let lineage = open(&files);
    lineage.take(read(2, &[1]));
    files.fail_at(files.operations() + 1, Fault::Full);
    lineage.take(read(4, &[3, 2]));
    lineage.take(read(4, &[3, 2]));
    assert_eq!(past(&open(&files).take(read(6, &[5, 4]))), (1..=6).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_daemon_tells_what_the_kernel_has_forgotten() {
    let first = GenerationId(0xF2D2_F1A0_C6DC_7F30);
    let mut driven = Driven::primary().await;
    for line in [
        "2222222222222221:0000000000000000:1111111111111110:F2D2F1A0C6DC7F31:1:1:1:1:0:0:0",
        "4444444444444441:0000000000000000:3333333333333330:2222222222222221:1:1:1:1:0:0:0",
    ] {
        fs::write(driven.dir.path().join("uuids"), line).unwrap();
        driven = driven.restarted();
        let current = u128::from_str_radix(&line[..16], 16).unwrap() & !1;
        let report = driven
            .sees("the data", |report| report.role == Role::Primary && report.generation.current.0 == current)
            .await;
        assert!(report.generation.descends_from(first), "{:?}", report.generation);
    }
}
