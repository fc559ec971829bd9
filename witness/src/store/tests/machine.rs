//! On the machine's own file system, with a real process that is killed.

use super::{commit, content};
use crate::store::{Error, SEGMENT_BYTES, Store, verify};
use picket_host::clock::boottime;
use picket_host::files::{Files, RealFiles};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

fn open(directory: &Path) -> Result<Store, Error> {
    Store::open_with_segments(Arc::new(RealFiles), directory, 16 * 1024)
}

/// Tells the child process below that it is one, and where to work.
const CHILD_DIRECTORY: &str = "PICKET_STORE_TEST_DIRECTORY";

#[test]
fn a_second_instance_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path()).unwrap();
    let error = open(directory.path()).unwrap_err();
    assert!(error.to_string().starts_with(&directory.path().display().to_string()), "{error}");
    assert!(error.to_string().contains("in use by another instance"), "{error}");
    drop(first);
    open(directory.path()).unwrap();
}

#[test]
fn the_space_of_a_segment_is_written_before_it_is_needed() {
    use std::os::unix::fs::MetadataExt;
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(Arc::new(RealFiles), directory.path()).unwrap();
    let segment = directory.path().join("segment-0000000000000001");
    let before = std::fs::metadata(&segment).unwrap();
    assert_eq!(before.len(), SEGMENT_BYTES);
    assert!(before.blocks() * 512 >= SEGMENT_BYTES, "no holes");
    commit(&mut store, &[("c1", &[1; 10_000])]);
    let after = std::fs::metadata(&segment).unwrap();
    assert_eq!(
        (after.len(), after.blocks()),
        (before.len(), before.blocks()),
        "a commit changes no metadata"
    );
}

/// Not a test of its own: the process that [`a_killed_process_loses_nothing_that_it_was_told`] kills.
#[test]
fn child_that_commits_until_it_is_killed() {
    let Some(directory) = std::env::var_os(CHILD_DIRECTORY).map(PathBuf::from) else { return };
    let mut store = open(&directory).unwrap();
    let mut out = std::io::stderr();
    for number in store.commit_index().. {
        store.append("c1", &number.to_le_bytes()).unwrap();
        store.append(&format!("k{}", number % 50), &[9; 300]).unwrap();
        let index = store.commit().unwrap();
        writeln!(out, "committed {index}").unwrap();
    }
}

#[test]
fn a_killed_process_loses_nothing_that_it_was_told() {
    let directory = tempfile::tempdir().unwrap();
    let mut at_least = 0;
    for lines in [1, 17, 60] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--nocapture", "child_that_commits_until_it_is_killed"])
            .env(CHILD_DIRECTORY, directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stderr.take().unwrap());
        let mut told = Vec::new();
        let mut line = String::new();
        while told.len() < lines && output.read_line(&mut line).unwrap() > 0 {
            told.extend(line.trim().strip_prefix("committed ").and_then(|index| index.parse::<u64>().ok()));
            line.clear();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(told.len(), lines, "the child ended early");
        at_least = told.last().copied().unwrap().max(at_least);
        let found = verify(&RealFiles, directory.path()).unwrap();
        assert!(found.commit_index >= at_least, "told {at_least}, found {}", found.commit_index);
        let store = open(directory.path()).unwrap();
        assert_eq!(store.commit_index(), found.commit_index);
        assert!(content(&store).contains_key("c1"));
    }
}

/// Prints what a sync costs with and without preallocated space. Says nothing about right or
/// wrong; run it with `--ignored --nocapture`.
#[test]
#[ignore = "prints timings for people"]
fn timing_of_a_preallocated_and_of_a_growing_file() {
    const ROUNDS: u32 = 500;
    let directory = std::env::var_os("CARGO_TARGET_TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = tempfile::tempdir_in(directory).unwrap();
    for (name, length) in [("growing", 0), ("preallocated", SEGMENT_BYTES)] {
        let file = RealFiles.create(&directory.path().join(name)).unwrap();
        file.preallocate(length).unwrap();
        file.sync_data().unwrap();
        let started = boottime();
        for round in 0..ROUNDS {
            file.write_at(u64::from(round) * 400, &[1; 400]).unwrap();
            file.sync_data().unwrap();
        }
        println!("{name}: {:?} per write and sync", (boottime() - started) / ROUNDS);
    }
    let mut store = Store::open(Arc::new(RealFiles), &directory.path().join("store")).unwrap();
    for together in [1_u32, 10, 100] {
        let started = boottime();
        for _ in 0..100 {
            for number in 0..together {
                store.append(&format!("c{number}"), &[1; 400]).unwrap();
            }
            store.commit().unwrap();
        }
        println!("store, {together} records per commit: {:?} per commit", (boottime() - started) / 100);
    }
}
