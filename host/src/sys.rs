//! What needs the kernel directly.
//!
//! Idea: the few calls that no safe interface offers stand here, each small enough to be read, so
//! that the rest of the workspace holds no `unsafe` at all. Contract: a privilege that the kernel
//! refuses is reported with its reason ([`Permitted`]), never ignored and never fatal here; the
//! caller decides whether it can go on without.
#![allow(unsafe_code)]

use rustix::mm::MlockAllFlags;
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

mod machine;
pub(crate) mod supervisor;
#[cfg(test)]
mod tests;

pub use machine::{Machine, is_virtual_machine};

/// The kernel's answer to a request for a privilege.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permitted {
    /// Granted; `what` says what is in force, for the log.
    Yes {
        /// What is in force now.
        what: String,
    },
    /// Refused; nothing changed.
    No {
        /// Why, and what would permit it.
        reason: String,
    },
}

/// The kernel's boot id: the identity of this boot of this machine.
///
/// # Errors
/// `/proc` is not there, or the file does not hold a UUID.
pub fn boot_id() -> io::Result<[u8; 16]> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let text = std::fs::read_to_string(path)?;
    parse_uuid(text.trim()).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{}: not a UUID: {:?}", path.display(), text.trim()),
        )
    })
}

/// The 16 bytes of a UUID in its usual form of 8-4-4-4-12 hexadecimal digits.
#[must_use]
pub fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let groups: Vec<&str> = text.split('-').collect();
    if groups.iter().map(|group| group.len()).ne([8, 4, 4, 4, 12]) {
        return None;
    }
    crate::secrets::parse_hex(&groups.concat())?.try_into().ok()
}

/// Locks all present and future memory of the process, so that no page fault waits for a disk.
///
/// Refused when the limit on locked memory is finite and the process is not root: a lock that
/// holds now would make a later allocation fail, and that would end the process.
#[must_use]
pub fn lock_memory() -> Permitted {
    let limit = rustix::process::getrlimit(Resource::Memlock);
    let unlimited = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if !rustix::process::geteuid().is_root() && limit.maximum.is_some() {
        let reason = format!(
            "memory not locked: the limit on locked memory is {} bytes; give LimitMEMLOCK=infinity",
            limit.maximum.unwrap_or_default()
        );
        return Permitted::No { reason };
    }
    let locked = rustix::process::setrlimit(Resource::Memlock, unlimited)
        .and_then(|()| rustix::mm::mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE));
    match locked {
        Ok(()) => Permitted::Yes { what: "memory locked".to_owned() },
        Err(errno) => Permitted::No { reason: format!("memory not locked: {errno}; needs CAP_IPC_LOCK") },
    }
}

/// Gives the calling thread realtime priority (`SCHED_RR`, 1 to 99). Its children do not inherit
/// it: a program that we start must not outrun us.
#[must_use]
pub fn realtime_priority(priority: u8) -> Permitted {
    let parameter = libc::sched_param { sched_priority: priority.into() };
    // SAFETY: the call reads one struct that lives through it; process 0 is the calling thread.
    let result = unsafe {
        libc::sched_setscheduler(0, libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, &raw const parameter)
    };
    if result == 0 {
        return Permitted::Yes { what: format!("realtime priority {priority} (SCHED_RR)") };
    }
    let error = io::Error::last_os_error();
    Permitted::No {
        reason: format!("no realtime priority {priority}: {error}; needs CAP_SYS_NICE or LimitRTPRIO"),
    }
}

/// Forbids core dumps and attaching debuggers, since memory holds keys.
///
/// # Errors
/// The kernel refused one of the two settings.
pub fn forbid_core_dumps() -> io::Result<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}

/// Has a panic, in whatever thread, end this process at once. Released programs are built so that it does anyway; where
/// they are built to unwind, a thread that panicked would leave a daemon that is half alive.
pub fn end_on_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        tell(info);
        std::process::abort();
    }));
}

/// Has the kernel kill this process when the thread that started it ends.
///
/// A parent that ended before the call is not noticed by the kernel; `parent` is the process id
/// that the caller expects, and a different one is an error.
///
/// # Errors
/// The kernel refused, or the parent is already another one.
pub fn die_with_parent(parent: u32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let now = std::os::unix::process::parent_id();
    if now == parent {
        return Ok(());
    }
    Err(io::Error::other(format!("the parent process {parent} is gone (the parent is now {now})")))
}

/// Makes orphaned descendants children of this process instead of children of init, so that their
/// end can be seen. The caller then has to reap them.
///
/// # Errors
/// The kernel refused.
pub fn become_subreaper() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// What the service manager is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceState<'a> {
    /// The service answers.
    Ready,
    /// The service is about to end on purpose.
    Stopping,
    /// The service manager's own watchdog is to be switched off.
    WatchdogOff,
    /// One line for `systemctl status`.
    Status(&'a str),
}

/// Tells the service manager, if there is one; without one it does nothing.
///
/// # Errors
/// The manager's socket is named in the environment but does not take the message.
pub fn notify_service_manager(state: ServiceState<'_>) -> io::Result<()> {
    let state = match state {
        ServiceState::Ready => sd_notify::NotifyState::Ready,
        ServiceState::Stopping => sd_notify::NotifyState::Stopping,
        ServiceState::WatchdogOff => sd_notify::NotifyState::WatchdogUsec(0),
        ServiceState::Status(line) => sd_notify::NotifyState::Status(line),
    };
    sd_notify::notify(&[state])
}

/// Registers a descriptor with the runtime. It must be non-blocking.
///
/// # Errors
/// There is no runtime here, or the descriptor cannot be waited for.
pub fn watch(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    if tokio::runtime::Handle::try_current().is_err() {
        return Err(io::Error::other("no asynchronous runtime here"));
    }
    // SAFETY: an OwnedFd names one open descriptor from its making to its drop, and the AsyncFd
    // owns it; nothing in this crate replaces the descriptor behind a shared reference.
    unsafe { AsyncFd::register_with_interest(descriptor, interest) }.map_err(io::Error::from)
}
