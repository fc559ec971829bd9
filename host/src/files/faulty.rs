//! A disk in memory that fails when told.
//!
//! Every operation that changes or syncs something has a number, counted from 1. A test lets a
//! workload run once to learn how many there are, then runs it once per operation with a fault
//! there, and looks at what is left after [`FaultyFiles::power_on`].

use super::faulty_disk::{Change, Disk};
use super::{DirectoryLock, Error, File, Files, Operation};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What happens at one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The power goes during the operation; everything fails until [`FaultyFiles::power_on`].
    Crash(Unsynced),
    /// No space is left: a write gets half of its bytes down, anything else nothing.
    Full,
    /// The device fails: a write gets half of its bytes down; a sync loses what it should have
    /// synced for good, although reading still shows it and the next sync succeeds.
    Broken,
    /// A write is accepted, gets lost on its way to the disk, and the file's next sync fails.
    /// At any operation but a write, the same as [`Fault::Broken`].
    LateBroken,
}

/// What a crash leaves of data that was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsynced {
    /// Nothing.
    Lost,
    /// Everything.
    Kept,
    /// Of each file the first so many unsynced bytes, in the order of writing; all names.
    Torn {
        /// How many.
        bytes: usize,
    },
    /// Any sectors, any lengths, and any changes of names, as the seed has it.
    Random {
        /// The same seed leaves the same.
        seed: u64,
    },
}

#[derive(Debug, Default)]
struct State {
    disk: Disk,
    locked: BTreeSet<PathBuf>,
    plan: BTreeMap<u64, Fault>,
    operations: u64,
    is_off: bool,
    /// Counts power-ons, so that what was opened before the last one stays dead.
    life: u64,
}

/// A file system in memory with a plan of faults. Clones share the disk.
#[derive(Debug, Clone, Default)]
pub struct FaultyFiles {
    state: Arc<Mutex<State>>,
}

impl FaultyFiles {
    /// An empty disk without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Has `fault` happen at the operation with this number (see [`FaultyFiles::operations`]).
    pub fn fail_at(&self, operation: u64, fault: Fault) {
        self.state().plan.insert(operation, fault);
    }

    /// How many changing operations were done so far; the next one has this number plus 1.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Cuts the power now.
    pub fn crash(&self, unsynced: Unsynced) {
        let mut state = self.state();
        state.disk.crash(unsynced);
        state.is_off = true;
    }

    /// True after a crash, until the power is back.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.state().is_off
    }

    /// The machine comes back: the plan is empty, locks are gone, what was open stays dead.
    pub fn power_on(&self) {
        let mut state = self.state();
        state.is_off = false;
        state.life += 1;
        state.plan.clear();
        state.locked.clear();
    }

    /// Replaces a file's content behind its owner's back, durably: damage.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let Some(inode) = state.disk.lookup(path) else { return };
        let mut content = state.disk.content(inode).to_vec();
        change(&mut content);
        state.disk.change(inode, Change::SetLength(0));
        state.disk.change(inode, Change::Write { offset: 0, bytes: content });
        state.disk.sync(inode);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, path: &Path, inode: u64, life: u64) -> Box<dyn File> {
        Box::new(FaultyFile { files: self.clone(), path: path.to_owned(), inode, life })
    }
}

/// What becomes of a write.
enum Verdict {
    Do,
    Half,
    Lose,
}

impl State {
    fn check_power(&self, operation: Operation, path: &Path) -> Result<(), Error> {
        if self.is_off {
            Err(failed(operation, path, io::Error::other("the machine is off")))
        } else {
            Ok(())
        }
    }

    /// Counts a changing operation and says what happens to it.
    fn next_fault(&mut self, operation: Operation, path: &Path) -> Result<Option<Fault>, Error> {
        self.check_power(operation, path)?;
        self.operations += 1;
        Ok(self.plan.remove(&self.operations))
    }

    /// For operations that are done whole or not at all.
    fn atomic(
        &mut self,
        operation: Operation,
        path: &Path,
        act: impl FnOnce(&mut Disk),
    ) -> Result<(), Error> {
        match self.next_fault(operation, path)? {
            None => {
                act(&mut self.disk);
                Ok(())
            }
            Some(Fault::Crash(unsynced)) => {
                act(&mut self.disk);
                self.disk.crash(unsynced);
                self.is_off = true;
                self.check_power(operation, path)
            }
            Some(Fault::Full) => Err(failed(operation, path, io::ErrorKind::StorageFull.into())),
            Some(Fault::Broken | Fault::LateBroken) => Err(failed(operation, path, broken())),
        }
    }

    fn write(&mut self, operation: Operation, path: &Path, inode: u64, change: Change) -> Result<(), Error> {
        let (verdict, error) = match self.next_fault(operation, path)? {
            None => (Verdict::Do, None),
            Some(Fault::Crash(unsynced)) => {
                self.disk.change(inode, change);
                self.disk.crash(unsynced);
                self.is_off = true;
                return self.check_power(operation, path);
            }
            Some(Fault::Full) => (Verdict::Half, Some(io::ErrorKind::StorageFull.into())),
            Some(Fault::Broken) => (Verdict::Half, Some(broken())),
            Some(Fault::LateBroken) => (Verdict::Lose, None),
        };
        match (verdict, change) {
            (Verdict::Lose, change) => self.disk.change_and_lose(inode, &change),
            (Verdict::Half, Change::Write { offset, mut bytes }) => {
                bytes.truncate(bytes.len() / 2);
                self.disk.change(inode, Change::Write { offset, bytes });
            }
            (Verdict::Half, Change::SetLength(_)) => {}
            (Verdict::Do, change) => self.disk.change(inode, change),
        }
        error.map_or(Ok(()), |error| Err(failed(operation, path, error)))
    }

    fn sync(&mut self, path: &Path, inode: u64) -> Result<(), Error> {
        let fault = self.next_fault(Operation::Sync, path)?;
        match fault {
            None if self.disk.sync(inode) => Ok(()),
            None => Err(failed(Operation::Sync, path, broken())),
            // The crash comes before the sync is through; how much it managed is the crash's matter.
            Some(Fault::Crash(unsynced)) => {
                self.disk.crash(unsynced);
                self.is_off = true;
                self.check_power(Operation::Sync, path)
            }
            Some(Fault::Full) => {
                self.disk.fail_sync(inode);
                Err(failed(Operation::Sync, path, io::ErrorKind::StorageFull.into()))
            }
            Some(Fault::Broken | Fault::LateBroken) => {
                self.disk.fail_sync(inode);
                Err(failed(Operation::Sync, path, broken()))
            }
        }
    }
}

fn failed(operation: Operation, path: &Path, source: io::Error) -> Error {
    Error::Io { operation, path: path.to_owned(), source }
}

fn broken() -> io::Error {
    io::Error::from_raw_os_error(libc::EIO)
}

impl Files for FaultyFiles {
    fn open(&self, path: &Path) -> Result<Box<dyn File>, Error> {
        let state = self.state();
        state.check_power(Operation::Open, path)?;
        let inode = state.disk.lookup(path);
        let inode = inode.ok_or_else(|| failed(Operation::Open, path, io::ErrorKind::NotFound.into()))?;
        Ok(self.handle(path, inode, state.life))
    }

    fn create(&self, path: &Path) -> Result<Box<dyn File>, Error> {
        let mut state = self.state();
        if state.disk.lookup(path).is_some() {
            return Err(failed(Operation::Create, path, io::ErrorKind::AlreadyExists.into()));
        }
        if state.disk.is_lost(path) {
            return Err(failed(Operation::Create, path, io::ErrorKind::NotFound.into()));
        }
        let mut inode = 0;
        state.atomic(Operation::Create, path, |disk| inode = disk.create(path))?;
        Ok(self.handle(path, inode, state.life))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        let mut state = self.state();
        if state.disk.lookup(from).is_none() {
            return Err(failed(Operation::Rename, from, io::ErrorKind::NotFound.into()));
        }
        state.atomic(Operation::Rename, from, |disk| disk.rename(from, to))
    }

    fn remove(&self, path: &Path) -> Result<(), Error> {
        let mut state = self.state();
        if state.disk.lookup(path).is_none() {
            return Err(failed(Operation::Remove, path, io::ErrorKind::NotFound.into()));
        }
        state.atomic(Operation::Remove, path, |disk| disk.remove(path))
    }

    fn list(&self, directory: &Path) -> Result<Vec<String>, Error> {
        let state = self.state();
        state.check_power(Operation::List, directory)?;
        let inside = state.disk.names().filter(|path| path.parent() == Some(directory));
        let names: Vec<String> =
            inside.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect();
        if names.is_empty() && !state.disk.is_directory(directory) {
            return Err(failed(Operation::List, directory, io::ErrorKind::NotFound.into()));
        }
        Ok(names)
    }

    fn make_directory(&self, directory: &Path) -> Result<(), Error> {
        let mut state = self.state();
        state.check_power(Operation::MakeDirectory, directory)?;
        let all: Vec<&Path> = directory.ancestors().filter(|path| path.file_name().is_some()).collect();
        for path in all.into_iter().rev() {
            if !state.disk.is_directory(path) {
                state.atomic(Operation::MakeDirectory, path, |disk| disk.make_directory(path))?;
            }
        }
        Ok(())
    }

    fn sync_directory(&self, directory: &Path) -> Result<(), Error> {
        let mut state = self.state();
        match state.next_fault(Operation::SyncDirectory, directory)? {
            None => {
                state.disk.sync_names(directory);
                Ok(())
            }
            Some(Fault::Crash(unsynced)) => {
                state.disk.crash(unsynced);
                state.is_off = true;
                state.check_power(Operation::SyncDirectory, directory)
            }
            Some(Fault::Full | Fault::Broken | Fault::LateBroken) => {
                Err(failed(Operation::SyncDirectory, directory, broken()))
            }
        }
    }

    fn lock(&self, directory: &Path) -> Result<Box<dyn DirectoryLock>, Error> {
        let mut state = self.state();
        state.check_power(Operation::Lock, directory)?;
        if !state.locked.insert(directory.to_owned()) {
            return Err(Error::InUse { directory: directory.to_owned() });
        }
        Ok(Box::new(FaultyLock { files: self.clone(), directory: directory.to_owned(), life: state.life }))
    }
}

#[derive(Debug)]
struct FaultyLock {
    files: FaultyFiles,
    directory: PathBuf,
    life: u64,
}

impl DirectoryLock for FaultyLock {}

impl Drop for FaultyLock {
    fn drop(&mut self) {
        let mut state = self.files.state();
        if state.life == self.life {
            state.locked.remove(&self.directory);
        }
    }
}

#[derive(Debug)]
struct FaultyFile {
    files: FaultyFiles,
    path: PathBuf,
    inode: u64,
    life: u64,
}

impl FaultyFile {
    fn alive(&self, operation: Operation) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.files.state();
        state.check_power(operation, &self.path)?;
        if state.life != self.life {
            return Err(failed(operation, &self.path, io::Error::other("opened before the crash")));
        }
        Ok(state)
    }
}

impl File for FaultyFile {
    fn length(&self) -> Result<u64, Error> {
        Ok(self.alive(Operation::Read)?.disk.content(self.inode).len() as u64)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize, Error> {
        let state = self.alive(Operation::Read)?;
        let content = state.disk.content(self.inode);
        let rest = usize::try_from(offset).ok().and_then(|from| content.get(from..)).unwrap_or_default();
        let length = rest.len().min(into.len());
        for (to, from) in into.iter_mut().zip(rest) {
            *to = *from;
        }
        Ok(length)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let change = Change::Write { offset, bytes: bytes.to_vec() };
        self.alive(Operation::Write)?.write(Operation::Write, &self.path, self.inode, change)
    }

    fn set_length(&self, length: u64) -> Result<(), Error> {
        let change = Change::SetLength(usize::try_from(length).unwrap_or(usize::MAX));
        self.alive(Operation::SetLength)?.write(Operation::SetLength, &self.path, self.inode, change)
    }

    fn preallocate(&self, length: u64) -> Result<(), Error> {
        let mut state = self.alive(Operation::Preallocate)?;
        let offset = state.disk.content(self.inode).len();
        let missing = usize::try_from(length).unwrap_or(usize::MAX).saturating_sub(offset);
        let change = Change::Write { offset, bytes: vec![0; missing] };
        state.write(Operation::Preallocate, &self.path, self.inode, change)
    }

    fn sync_data(&self) -> Result<(), Error> {
        self.alive(Operation::Sync)?.sync(&self.path, self.inode)
    }
}
