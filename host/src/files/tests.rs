use super::{Error, Fault, FaultyFiles, Files, RealFiles, Unsynced};
use std::path::Path;

/// The same short life on any file system.
fn exercise(files: &dyn Files, directory: &Path) {
    let (a, b) = (directory.join("a"), directory.join("b"));
    files.make_directory(directory).unwrap();
    files.make_directory(directory).unwrap();
    assert!(files.open(&a).unwrap_err().is_not_found());
    assert_eq!(files.read(&a).unwrap(), None);
    let file = files.create(&a).unwrap();
    assert!(files.create(&a).is_err(), "must not exist");
    file.write_at(0, b"hello").unwrap();
    file.append(b" world").unwrap();
    file.write_at(13, b"!").unwrap();
    file.sync_data().unwrap();
    assert_eq!(files.read(&a).unwrap().unwrap(), b"hello world\0\0!");
    let mut bytes = [9; 4];
    assert_eq!(file.read_at(12, &mut bytes).unwrap(), 2);
    assert_eq!(bytes, [0, b'!', 9, 9]);
    assert_eq!(file.read_at(99, &mut bytes).unwrap(), 0);
    file.preallocate(600_000).unwrap();
    assert_eq!(file.length().unwrap(), 600_000);
    file.preallocate(10).unwrap();
    file.set_length(5).unwrap();
    assert_eq!(files.read(&a).unwrap().unwrap(), b"hello");
    files.create(&b).unwrap();
    assert_eq!(files.list(directory).unwrap(), ["a", "b"]);
    files.rename(&a, &b).unwrap();
    files.sync_directory(directory).unwrap();
    assert_eq!(files.read(&b).unwrap().unwrap(), b"hello");
    assert_eq!(file.length().unwrap(), 5, "an open file keeps its content through a rename");
    files.remove(&b).unwrap();
    assert!(files.remove(&b).unwrap_err().is_not_found());
    assert!(files.rename(&b, &a).unwrap_err().is_not_found());
    assert!(files.list(directory).unwrap().is_empty());
    assert!(files.list(&directory.join("absent")).unwrap_err().is_not_found());
}

fn exercise_lock(files: &dyn Files, directory: &Path) {
    files.make_directory(directory).unwrap();
    let lock = files.lock(directory).unwrap();
    let error = files.lock(directory).unwrap_err();
    assert!(matches!(error, Error::InUse { .. }));
    let expected =
        format!("{} is in use by another instance; only one may work on this directory", directory.display());
    assert_eq!(error.to_string(), expected);
    drop(lock);
    files.lock(directory).unwrap();
}

#[test]
fn both_file_systems_behave_alike() {
    let directory = tempfile::tempdir().unwrap();
    exercise(&RealFiles, &directory.path().join("real"));
    exercise(&FaultyFiles::new(), Path::new("/faulty"));
}

#[test]
fn a_second_instance_on_a_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    exercise_lock(&RealFiles, &directory.path().join("real"));
    exercise_lock(&FaultyFiles::new(), Path::new("/faulty"));
}

#[test]
fn new_files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("inner");
    RealFiles.make_directory(&inner).unwrap();
    RealFiles.create(&inner.join("file")).unwrap();
    for (path, mode) in [(inner.clone(), 0o700), (inner.join("file"), 0o600)] {
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, mode);
    }
}

#[test]
fn errors_name_the_operation_and_the_path() {
    let error = RealFiles.open(Path::new("/nonexistent/file")).unwrap_err();
    assert_eq!(error.to_string(), "cannot open /nonexistent/file: No such file or directory (os error 2)");
}

fn written(files: &FaultyFiles) -> Box<dyn super::File> {
    let directory = Path::new("/d");
    files.make_directory(directory).unwrap();
    files.sync_path(directory).unwrap();
    let file = files.create(Path::new("/d/f")).unwrap();
    file.write_at(0, b"synced").unwrap();
    file.sync_data().unwrap();
    files.sync_directory(directory).unwrap();
    file
}

fn after_crash(unsynced: Unsynced) -> Vec<u8> {
    let files = FaultyFiles::new();
    let file = written(&files);
    file.write_at(6, b"-and").unwrap();
    file.write_at(10, b"-more").unwrap();
    files.crash(unsynced);
    assert!(file.length().is_err());
    files.power_on();
    assert!(file.length().is_err(), "what was open before the crash stays dead");
    files.read(Path::new("/d/f")).unwrap().unwrap()
}

#[test]
fn a_crash_loses_keeps_or_tears_what_was_not_synced() {
    assert_eq!(after_crash(Unsynced::Lost), b"synced");
    assert_eq!(after_crash(Unsynced::Kept), b"synced-and-more");
    assert_eq!(after_crash(Unsynced::Torn { bytes: 0 }), b"synced");
    assert_eq!(after_crash(Unsynced::Torn { bytes: 2 }), b"synced-a");
    assert_eq!(after_crash(Unsynced::Torn { bytes: 6 }), b"synced-and-m");
    let kept: std::collections::BTreeSet<Vec<u8>> =
        (0..40).map(|seed| after_crash(Unsynced::Random { seed })).collect();
    assert_eq!(kept.len(), 4, "each of two sectors lost or kept: {kept:?}");
    assert_eq!(after_crash(Unsynced::Random { seed: 5 }), after_crash(Unsynced::Random { seed: 5 }));
}

#[test]
fn names_are_lost_without_a_directory_sync() {
    let files = FaultyFiles::new();
    written(&files);
    let new = files.create(Path::new("/d/g")).unwrap();
    new.sync_data().unwrap();
    files.rename(Path::new("/d/f"), Path::new("/d/h")).unwrap();
    files.crash(Unsynced::Lost);
    files.power_on();
    assert_eq!(files.list(Path::new("/d")).unwrap(), ["f"]);
}

#[test]
fn a_failed_sync_loses_data_that_a_later_sync_does_not_bring_back() {
    let files = FaultyFiles::new();
    let file = written(&files);
    file.write_at(6, b"-lost").unwrap();
    files.fail_at(files.operations() + 1, Fault::Broken);
    let error = file.sync_data().unwrap_err();
    assert_eq!(error.to_string(), "cannot sync /d/f: Input/output error (os error 5)");
    file.sync_data().unwrap();
    assert_eq!(files.read(Path::new("/d/f")).unwrap().unwrap(), b"synced-lost");
    files.crash(Unsynced::Kept);
    files.power_on();
    assert_eq!(files.read(Path::new("/d/f")).unwrap().unwrap(), b"synced");
}

#[test]
fn a_late_error_shows_at_the_next_sync() {
    let files = FaultyFiles::new();
    let file = written(&files);
    files.fail_at(files.operations() + 1, Fault::LateBroken);
    file.write_at(6, b"-lost").unwrap();
    assert!(file.sync_data().is_err());
    assert!(file.sync_data().is_ok(), "the error is told once, as by the kernel");
}

#[test]
fn a_full_disk_takes_half_of_a_write() {
    let files = FaultyFiles::new();
    let file = written(&files);
    files.fail_at(files.operations() + 1, Fault::Full);
    let error = file.write_at(6, b"1234").unwrap_err();
    assert!(error.is_full(), "{error}");
    assert_eq!(files.read(Path::new("/d/f")).unwrap().unwrap(), b"synced12");
}

#[test]
fn a_crash_during_an_operation_may_still_have_done_it() {
    for (unsynced, expected) in [(Unsynced::Lost, "f"), (Unsynced::Kept, "g")] {
        let files = FaultyFiles::new();
        written(&files);
        files.fail_at(files.operations() + 1, Fault::Crash(unsynced));
        assert!(files.rename(Path::new("/d/f"), Path::new("/d/g")).is_err());
        assert!(files.is_off());
        files.power_on();
        assert_eq!(files.list(Path::new("/d")).unwrap(), [expected]);
    }
}

#[test]
fn a_directory_without_a_name_on_the_disk_is_lost_with_all_in_it() {
    let make = |sync: &dyn Fn(&FaultyFiles)| {
        let files = FaultyFiles::new();
        files.make_directory(Path::new("/a/b")).unwrap();
        let file = files.create(Path::new("/a/b/f")).unwrap();
        file.write_at(0, b"synced").unwrap();
        file.sync_data().unwrap();
        files.sync_directory(Path::new("/a/b")).unwrap();
        sync(&files);
        files.crash(Unsynced::Lost);
        files.power_on();
        files.read(Path::new("/a/b/f")).unwrap()
    };
    assert_eq!(make(&|_| {}), None);
    assert_eq!(make(&|files| files.sync_name(Path::new("/a/b")).unwrap()), None, "its parent is lost");
    assert_eq!(make(&|files| files.sync_path(Path::new("/a/b")).unwrap()).as_deref(), Some(&b"synced"[..]));
}

#[test]
fn a_lost_directory_can_be_made_again() {
    let files = FaultyFiles::new();
    files.make_directory(Path::new("/a")).unwrap();
    files.crash(Unsynced::Lost);
    files.power_on();
    assert!(files.list(Path::new("/a")).unwrap_err().is_not_found());
    assert!(files.create(Path::new("/a/f")).unwrap_err().is_not_found());
    files.make_directory(Path::new("/a")).unwrap();
    files.create(Path::new("/a/f")).unwrap();
}

#[test]
fn the_path_of_a_real_directory_can_be_synced() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("a/b");
    RealFiles.make_directory(&inner).unwrap();
    RealFiles.sync_path(&inner).unwrap();
    let error = RealFiles.sync_path(&directory.path().join("none/b")).unwrap_err();
    assert!(error.to_string().starts_with("cannot sync the directory "), "{error}");
}
