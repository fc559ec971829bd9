//! The machine's own file system.

use super::{DirectoryLock, Error, File, Files, Operation, directory_of};
use rustix::fs::FlockOperation;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The name of the file in a directory that carries the lock.
const LOCK_NAME: &str = "lock";

/// Zeros are written in pieces of this size: large enough for the disk, small enough for the stack's heap.
const ZEROS_BYTES: usize = 256 * 1024;

/// The machine's own file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFiles;

#[derive(Debug)]
struct RealFile {
    path: PathBuf,
    file: fs::File,
}

#[derive(Debug)]
struct RealLock {
    /// The kernel drops the lock when the process ends.
    file: fs::File,
}

impl DirectoryLock for RealLock {}

impl Drop for RealLock {
    fn drop(&mut self) {
        // A child that is between its fork and its exec has the file open too: to close it here is not enough. An
        // unlock fails on no file that was locked.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

fn at(operation: Operation, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { operation, path: path.to_owned(), source }
}

impl Files for RealFiles {
    fn open(&self, path: &Path) -> Result<Box<dyn File>, Error> {
        let file =
            fs::OpenOptions::new().read(true).write(true).open(path).map_err(at(Operation::Open, path))?;
        Ok(Box::new(RealFile { path: path.to_owned(), file }))
    }

    fn create(&self, path: &Path) -> Result<Box<dyn File>, Error> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.open(path).map_err(at(Operation::Create, path))?;
        Ok(Box::new(RealFile { path: path.to_owned(), file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        fs::rename(from, to).map_err(at(Operation::Rename, from))
    }

    fn remove(&self, path: &Path) -> Result<(), Error> {
        fs::remove_file(path).map_err(at(Operation::Remove, path))
    }

    fn list(&self, directory: &Path) -> Result<Vec<String>, Error> {
        let list = || {
            let mut names = Vec::new();
            for entry in fs::read_dir(directory)? {
                names.extend(entry?.file_name().into_string());
            }
            names.sort();
            Ok(names)
        };
        list().map_err(at(Operation::List, directory))
    }

    fn make_directory(&self, directory: &Path) -> Result<(), Error> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(directory).map_err(at(Operation::MakeDirectory, directory))
    }

    fn sync_directory(&self, directory: &Path) -> Result<(), Error> {
        fs::File::open(directory)
            .and_then(|opened| opened.sync_all())
            .map_err(at(Operation::SyncDirectory, directory))
    }

    /// A directory that only its owner may read cannot be opened for this by others (a service's private state lies
    /// in one); the whole file system is synced then.
    fn sync_name(&self, path: &Path) -> Result<(), Error> {
        let directory = directory_of(path);
        match fs::File::open(directory) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => fs::File::open(path)
                .and_then(|opened| Ok(rustix::fs::syncfs(opened)?))
                .map_err(at(Operation::SyncDirectory, path)),
            _ => self.sync_directory(directory),
        }
    }

    fn lock(&self, directory: &Path) -> Result<Box<dyn DirectoryLock>, Error> {
        let path = directory.join(LOCK_NAME);
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(at(Operation::Lock, &path))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Box::new(RealLock { file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::InUse { directory: directory.to_owned() }),
            Err(errno) => Err(at(Operation::Lock, &path)(errno.into())),
        }
    }
}

impl RealFile {
    fn at(&self, operation: Operation) -> impl FnOnce(io::Error) -> Error {
        at(operation, &self.path)
    }
}

impl File for RealFile {
    fn length(&self) -> Result<u64, Error> {
        Ok(self.file.metadata().map_err(self.at(Operation::Read))?.len())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize, Error> {
        let mut filled = 0;
        while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(length) => filled += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.at(Operation::Read)(error)),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all_at(bytes, offset).map_err(self.at(Operation::Write))
    }

    fn set_length(&self, length: u64) -> Result<(), Error> {
        self.file.set_len(length).map_err(self.at(Operation::SetLength))
    }

    fn preallocate(&self, length: u64) -> Result<(), Error> {
        let zeros = vec![0_u8; ZEROS_BYTES];
        let mut from = self.length()?;
        while from < length {
            let piece = usize::try_from(length - from).unwrap_or(ZEROS_BYTES).min(ZEROS_BYTES);
            let piece = zeros.get(..piece).unwrap_or_default();
            self.file.write_all_at(piece, from).map_err(self.at(Operation::Preallocate))?;
            from += piece.len() as u64;
        }
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(self.at(Operation::Sync))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_although_a_child_has_its_file_open() {
        let directory = tempfile::tempdir().unwrap();
        let file = fs::File::create(directory.path().join(LOCK_NAME)).unwrap();
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
        let _of_a_child = file.try_clone().unwrap();
        assert!(matches!(RealFiles.lock(directory.path()), Err(Error::InUse { .. })));
        drop(RealLock { file });
        assert!(RealFiles.lock(directory.path()).is_ok());
    }
}
