//! A server's processes: all of them, found by where they work, and what can be done to them as a whole.
//!
//! Idea: a server is what runs `postgres` with the data directory as its working directory, which each of them has.
//! That finds also the backends of a postmaster that was killed: they serve on for a moment. Nothing else says for
//! certain that a server has ended.
//!
//! The *freeze* stops every process by `SIGSTOP`: nothing runs, so no commit is acknowledged, however weak, and no
//! read is answered; and a server that does not run cannot start itself again. It does not depend on the server's
//! being well. What a process had handed to the kernel before is on its way already, as with any freeze.
//! Behind it the barrier stays as it was: were the processes made to run by somebody else, each commit that waits for its
//! replicas would still need those that it needed before. A frozen server is not asked to stop: for that it would
//! have to run. It is killed.

use core::time::Duration;
use picket_core::time::Instant;
use picket_host::clock::pause;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::timeline::decimal;
use crate::time::now;

/// How long to wait between two looks at processes that are stopping: the kernel tells nobody of that.
const STOP_LOOK: Duration = Duration::from_millis(1);

/// One process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    parent: i32,
    pub(super) stopped: bool,
}

/// All processes of one server.
#[derive(Clone, Debug, Default)]
pub(super) struct Processes {
    all: Vec<Process>,
}

/// Who finds them.
#[derive(Clone, Debug)]
pub(super) struct Finder {
    data: PathBuf,
}

impl Processes {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The process whose parent is none of them: the postmaster, or what its death left behind.
    pub(super) fn roots(&self) -> impl Iterator<Item = Process> {
        let root = |process: &&Process| !self.all.iter().any(|other| other.pid == process.parent);
        self.all.iter().filter(root).copied()
    }

    pub(super) fn are_stopped(&self) -> bool {
        !self.all.is_empty() && self.all.iter().all(|process| process.stopped)
    }
}

impl Finder {
    pub(super) fn new(data: &Path) -> Self {
        Self { data: data.to_owned() }
    }

    /// All of them. None is found twice before it is believed: one may be born while the table is read.
    ///
    /// # Errors
    /// The table of processes cannot be read, or not all of it.
    pub(super) fn find(&self) -> io::Result<Processes> {
        let first = self.scan()?;
        if first.is_empty() { self.scan() } else { Ok(first) }
    }

    fn scan(&self) -> io::Result<Processes> {
        let data = fs::metadata(&self.data)?;
        let here = (data.dev(), data.ino());
        let mut all = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if works_here(pid, here, data.uid())? {
                all.extend(read(pid)?);
            }
        }
        Ok(Processes { all })
    }

    /// Sends a signal, unless the process has ended meanwhile and its number is another's.
    pub(super) fn signal(&self, process: Process, signal: Signal) -> io::Result<()> {
        let Some(handle) = open(process.pid) else { return Ok(()) };
        let data = fs::metadata(&self.data)?;
        if works_here(process.pid, (data.dev(), data.ino()), data.uid())? {
            let _ended = pidfd_send_signal(&handle, signal);
        }
        Ok(())
    }

    /// Stops all; returns false if there is nothing to be stopped.
    ///
    /// # Errors
    /// Not all of them are seen to have stopped by the deadline.
    pub(super) fn freeze(&self, deadline: Instant) -> io::Result<bool> {
        loop {
            let found = self.find()?;
            if found.is_empty() || found.are_stopped() {
                return Ok(!found.is_empty());
            }
            // The postmaster first: once it has stopped no new process is born.
            let running = |process: &Process| !process.stopped;
            let roots: Vec<_> = found.roots().filter(running).collect();
            let others = found.all.iter().copied().filter(running);
            let next = if roots.is_empty() { others.collect() } else { roots };
            next.iter().try_for_each(|process| self.signal(*process, Signal::STOP))?;
            if now() >= deadline {
                return Err(io::Error::other(format!("not all stopped in time: {:?}", found.all)));
            }
            pause(STOP_LOOK, "the kernel tells nobody that a process has stopped");
        }
    }

    /// Lets all run again.
    pub(super) fn thaw(&self) -> io::Result<()> {
        self.find()?.all.iter().try_for_each(|process| self.signal(*process, Signal::CONT))
    }

    /// Waits for the end of all; first of those that are there now, then of those that were born meanwhile.
    /// Returns whether all have ended.
    pub(super) fn wait_gone(&self, until: Instant) -> io::Result<bool> {
        loop {
            let found = self.find()?;
            if found.is_empty() {
                return Ok(true);
            }
            if now() >= until {
                return Ok(false);
            }
            for process in found.all {
                let Some(handle) = open(process.pid) else { continue };
                if !ended(&handle, until.since(now()))? {
                    return Ok(false);
                }
            }
        }
    }

    /// Ends all at once, whatever state they are in. Returns whether all have ended.
    pub(super) fn kill(&self, deadline: Instant) -> io::Result<bool> {
        loop {
            let found = self.find()?;
            if found.is_empty() {
                return Ok(true);
            }
            let roots: Vec<_> = found.roots().collect();
            let rest = found.all.iter().filter(|process| !roots.contains(process));
            for process in roots.iter().chain(rest) {
                self.signal(*process, Signal::KILL)?;
            }
            if !self.wait_gone(deadline)? {
                return Ok(false);
            }
        }
    }
}

/// Waits on a process's handle; returns whether it has ended.
fn ended(handle: &OwnedFd, left: Duration) -> io::Result<bool> {
    let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
    match poll(&mut [PollFd::new(handle, PollFlags::IN)], Some(&timeout)) {
        Ok(0) => Ok(false),
        Ok(_) | Err(Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// A handle that no other process can get; none: it has ended.
pub(super) fn open(pid: i32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(pid)?, PidfdFlags::NONBLOCK).ok()
}

fn works_here(pid: i32, here: (u64, u64), owner: u32) -> io::Result<bool> {
    match fs::metadata(format!("/proc/{pid}/cwd")) {
        Ok(cwd) if (cwd.dev(), cwd.ino()) != here => return Ok(false),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // Another user's process cannot be the server's; one of the server's user must not be overlooked.
            let theirs = fs::metadata(format!("/proc/{pid}")).is_ok_and(|process| process.uid() == owner);
            return if theirs { Err(error) } else { Ok(false) };
        }
        // It has ended.
        Err(_) => return Ok(false),
    }
    let Ok(program) = fs::read_link(format!("/proc/{pid}/exe")) else { return Ok(false) };
    let name = program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // An update of the package takes the file away below the server.
    Ok(name.strip_suffix(" (deleted)").unwrap_or(&name) == "postgres")
}

/// One of the server's processes; none: it has ended. One that is not understood must not be overlooked.
fn read(pid: i32) -> io::Result<Option<Process>> {
    let line = match fs::read(format!("/proc/{pid}/stat")) {
        Ok(line) => line,
        Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::NOENT | Errno::SRCH)) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let unread = || io::Error::other(format!("the kernel's line about process {pid} is not understood"));
    let Stat { state, parent } = Stat::parse(pid, &line).ok_or_else(unread)?;
    // A zombie holds nothing and answers nobody.
    let lives = !matches!(state, b'Z' | b'X');
    Ok(lives.then_some(Process { pid, parent, stopped: matches!(state, b'T' | b't') }))
}

/// What the kernel says about one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The letter of its state.
    pub state: u8,
    /// Its parent's number; 0: none that can be seen from here.
    pub parent: i32,
}

impl Stat {
    /// Reads `/proc/<pid>/stat`, a line: `pid (name) state ppid …`. The name may hold anything, also `)` and an end of
    /// the line. Half a line is none: the parent's number may be cut off.
    #[must_use]
    pub fn parse(pid: i32, line: &[u8]) -> Option<Self> {
        let name_ends = line.iter().rposition(|byte| *byte == b')')?;
        let (front, rest) = line.split_at(name_ends);
        let is_own = front.starts_with(format!("{pid} (").as_bytes());
        let fields = core::str::from_utf8(rest).ok()?.strip_prefix(") ")?.strip_suffix('\n')?;
        let mut fields = fields.split(' ');
        let &[state] = fields.next()?.as_bytes() else { return None };
        let parent = decimal(fields.next()?)?.try_into().ok()?;
        (is_own && state.is_ascii_alphabetic()).then_some(Self { state, parent })
    }
}
