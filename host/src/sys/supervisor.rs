//! The small process between us and a program that we start.
//!
//! Idea: a process group can be left (`setsid`), a parent can be left (fork twice); a *child
//! subreaper* cannot: whatever is forked below it stays below it. So each program gets a
//! supervisor of its own, which kills by killing its children until the kernel says that there
//! are none. No process id can be reused under it, since only it reaps them.
//!
//! Contract, over a socket of sequenced packets: the supervisor sends [`KIND_MAIN`] with the wait
//! status when the program itself ended, and [`KIND_GONE`] when no descendant is left. It starts
//! killing when it reads anything, when the socket closes (the daemon died, or lost interest), and
//! at the program's end unless it exited with 0 and leftovers may stay. The limits: a process in uninterruptible sleep
//! or one of another user (set-uid, while we are not root) cannot be killed, so `GONE` does not
//! come; work handed to another service (systemd, cron, a container engine) is not a descendant.
//!
//! The supervisor is forked without exec from a process with threads, so it may only make system
//! calls: no allocation, no locks, no panics.

use libc::{c_int, c_void, pid_t};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The program itself ended; the value is its wait status.
pub(crate) const KIND_MAIN: u32 = 1;
/// No descendant is left; the value is 0.
pub(crate) const KIND_GONE: u32 = 2;
/// The size of a message: kind and value, each four bytes in machine order.
pub(crate) const MESSAGE_BYTES: usize = 8;

/// While it kills, the supervisor looks again after this time even if no child ended: an orphan
/// may have arrived after the last look.
const LOOK_AGAIN_MS: c_int = 10;

/// Signals from here on are real-time ones; the first of those are the C library's own business.
const LAST_STANDARD_SIGNAL: c_int = 31;

/// What happens to descendants that outlive the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftovers {
    /// They are killed. For agents and commands.
    Kill,
    /// They stay if it exits with 0. For programs whose purpose is to start something that stays.
    Leave,
}

/// Has `command` run below a supervisor. `control` is the supervisor's end of the socket; it must
/// stay open until the command was spawned.
pub(crate) fn supervise(command: &mut Command, control: BorrowedFd<'_>, leftovers: Leftovers) {
    let control = control.as_raw_fd();
    // SAFETY: the closure runs between fork and exec. It and all that it calls make only
    // async-signal-safe system calls and touch only their own stack.
    unsafe { command.pre_exec(move || become_supervised(control, leftovers)) };
}

/// Forks. The child returns, to execute the program; the parent becomes the supervisor.
fn become_supervised(control: RawFd, leftovers: Leftovers) -> io::Result<()> {
    // SAFETY: plain system calls on local values; see the module's rule on forked code.
    unsafe {
        if libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1_u64) != 0 {
            return Err(io::Error::last_os_error());
        }
        let supervisor = libc::getpid();
        let mut all: libc::sigset_t = core::mem::zeroed();
        let mut before: libc::sigset_t = core::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let program = libc::fork();
        if program < 0 {
            return Err(io::Error::last_os_error());
        }
        if program > 0 {
            supervise_until_gone(control, program, leftovers, &all);
        }
        // Without its supervisor the program would be nobody's.
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() != supervisor || libc::setsid() < 0 {
            return Err(io::Error::from_raw_os_error(libc::ECHILD));
        }
        // A signal that whoever started us ignores stays ignored across an exec: `nohup` and a shell's background
        // jobs ignore some. Two of the signals cannot be set, and are default anyway.
        for signal in 1..=LAST_STANDARD_SIGNAL {
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::sigprocmask(libc::SIG_SETMASK, &raw const before, core::ptr::null_mut());
        // What we inherited ourselves is not the program's either. Marked, not closed: the
        // standard library still reports a failed exec over a descriptor of its own. A kernel
        // before 5.11 cannot do this; then only our own descriptors are sure to be closed.
        libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
    Ok(())
}

/// The supervisor's life. All signals stay blocked; `SIGCHLD` arrives over a descriptor.
fn supervise_until_gone(control: RawFd, program: pid_t, leftovers: Leftovers, all: &libc::sigset_t) -> ! {
    // SAFETY: plain system calls; `all` outlives them; descriptors are plain numbers here.
    let child_ended = unsafe {
        libc::prctl(libc::PR_SET_NAME, c"picket-superv".as_ptr());
        close_all_but(control);
        libc::signalfd(-1, all, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    let mut program_lives = true;
    let mut killing = child_ended < 0;
    loop {
        match reap(program) {
            Reaped::Program(status) => {
                program_lives = false;
                send(control, KIND_MAIN, status);
                match leftovers {
                    Leftovers::Leave if !killing && status == 0 => leave(),
                    Leftovers::Leave | Leftovers::Kill => killing = true,
                }
                continue;
            }
            Reaped::Other => continue,
            Reaped::NobodyLeft => {
                send(control, KIND_GONE, 0);
                leave();
            }
            Reaped::NobodyYet => {}
        }
        if killing {
            kill_children(program_lives.then_some(program));
        }
        killing |= wait_for_news(control, child_ended, killing);
    }
}

enum Reaped {
    Program(c_int),
    Other,
    NobodyYet,
    NobodyLeft,
}

fn reap(program: pid_t) -> Reaped {
    let mut status: c_int = 0;
    // SAFETY: writes one integer of ours.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::__WALL) };
    match pid {
        0 => Reaped::NobodyYet,
        pid if pid == program => Reaped::Program(status),
        pid if pid > 0 => Reaped::Other,
        _ => Reaped::NobodyLeft,
    }
}

/// Waits for a child's end or a word from the daemon. True: everything below is to be killed.
fn wait_for_news(control: RawFd, child_ended: RawFd, killing: bool) -> bool {
    // Once the kill was ordered the socket says nothing more; a closed one would wake us forever.
    let control = if killing { -1 } else { control };
    let mut watched = [
        libc::pollfd { fd: control, events: libc::POLLIN, revents: 0 },
        libc::pollfd { fd: child_ended, events: libc::POLLIN, revents: 0 },
    ];
    let timeout_ms = if killing { LOOK_AGAIN_MS } else { -1 };
    let mut bytes = [0_u8; 1024];
    // SAFETY: the calls write only into the arrays given, within their sizes.
    unsafe {
        libc::poll(watched.as_mut_ptr(), 2, timeout_ms);
        libc::read(child_ended, bytes.as_mut_ptr().cast::<c_void>(), bytes.len());
    }
    let [asked, _] = watched;
    if asked.revents == 0 {
        return false;
    }
    // The word must be taken: a socket that is closed with unread data resets its peer, and the
    // daemon would lose our last messages.
    // SAFETY: as above.
    unsafe { libc::recv(control, bytes.as_mut_ptr().cast::<c_void>(), bytes.len(), libc::MSG_DONTWAIT) };
    true
}

/// Kills every child, and the program's own process group while its leader is not yet reaped.
fn kill_children(program: Option<pid_t>) {
    // SAFETY: kill takes numbers; getpid cannot fail.
    let own = unsafe { libc::getpid() };
    if let Some(program) = program {
        // SAFETY: as above. The pid is ours until we reap it.
        unsafe {
            libc::kill(-program, libc::SIGKILL);
            libc::kill(program, libc::SIGKILL);
        }
    }
    // SAFETY: a constant path; the descriptor is closed below.
    let proc = unsafe { libc::open(c"/proc".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC) };
    if proc < 0 {
        return;
    }
    let mut entries = Aligned([0; 4096]);
    loop {
        // SAFETY: the kernel writes at most the given length into our array.
        let filled =
            unsafe { libc::syscall(libc::SYS_getdents64, proc, entries.0.as_mut_ptr(), entries.0.len()) };
        let Some(mut rest) = usize::try_from(filled).ok().filter(|n| *n > 0).and_then(|n| entries.0.get(..n))
        else {
            break;
        };
        while let Some((pid, length)) = first_entry(rest) {
            if let Some(pid) = pid.filter(|pid| parent_of(proc, *pid) == Some(own)) {
                // SAFETY: a child of ours that nobody else can reap: the number is still its own.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
            rest = rest.get(length..).unwrap_or_default();
        }
    }
    // SAFETY: opened above, used by nobody else.
    unsafe { libc::close(proc) };
}

#[repr(align(8))]
struct Aligned([u8; 4096]);

/// The process id that the first directory entry names (if it is one), and the entry's length.
/// Layout: inode 8, offset 8, length 2, type 1, name.
pub(super) fn first_entry(entries: &[u8]) -> Option<(Option<pid_t>, usize)> {
    let length = usize::from(u16::from_ne_bytes([*entries.get(16)?, *entries.get(17)?]));
    let name = entries.get(19..length)?;
    let name = name.split(|byte| *byte == 0).next()?;
    Some((number(name), length))
}

/// The decimal number that is all of `digits`.
fn number(digits: &[u8]) -> Option<pid_t> {
    let mut value: pid_t = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(pid_t::from(digit - b'0'))?;
    }
    (!digits.is_empty()).then_some(value)
}

/// The parent of a process, from `/proc/<pid>/stat`.
fn parent_of(proc: RawFd, pid: pid_t) -> Option<pid_t> {
    let mut path = [0_u8; 24];
    let mut at = path.len() - b"/stat\0".len();
    path.get_mut(at..)?.copy_from_slice(b"/stat\0");
    let mut rest = pid;
    while rest > 0 {
        at = at.checked_sub(1)?;
        *path.get_mut(at)? = b'0' + u8::try_from(rest % 10).ok()?;
        rest /= 10;
    }
    let path = CStr::from_bytes_until_nul(path.get(at..)?).ok()?;
    let mut stat = [0_u8; 512];
    // SAFETY: the path ends with a zero; the read stays within the array; we close what we opened.
    let read = unsafe {
        let file = libc::openat(proc, path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if file < 0 {
            return None;
        }
        let read = libc::read(file, stat.as_mut_ptr().cast::<c_void>(), stat.len());
        libc::close(file);
        read
    };
    parent_in_stat(stat.get(..usize::try_from(read).ok()?)?)
}

/// The parent's id in a `stat` line: `pid (name) state parent …`; the name may hold anything.
pub(super) fn parent_in_stat(stat: &[u8]) -> Option<pid_t> {
    let after_name = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields =
        stat.get(after_name + 1..)?.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
    fields.next()?;
    number(fields.next()?)
}

fn close_all_but(keep: RawFd) {
    let Ok(keep) = u32::try_from(keep) else { return };
    // SAFETY: the supervisor uses no other descriptor, and its table is its own since the fork.
    // A kernel without the call (before 5.9) leaves them open; then we close what a daemon can have.
    unsafe {
        if keep > 0 {
            close_range(0, keep - 1);
        }
        close_range(keep + 1, u32::MAX);
    }
}

/// # Safety
/// Nobody may use the descriptors from `first` to `last` any more.
unsafe fn close_range(first: u32, last: u32) {
    /// Enough for our daemons, which keep far fewer open.
    const DESCRIPTORS_MAX: u32 = 4096;
    // SAFETY: given by the caller.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, last, 0) != 0 {
            for descriptor in first..=last.min(DESCRIPTORS_MAX) {
                libc::close(c_int::try_from(descriptor).unwrap_or(-1));
            }
        }
    }
}

fn send(control: RawFd, kind: u32, value: c_int) {
    let mut message = [0_u8; MESSAGE_BYTES];
    let (first, second) = message.split_at_mut(4);
    first.copy_from_slice(&kind.to_ne_bytes());
    second.copy_from_slice(&value.to_ne_bytes());
    // SAFETY: sends our array. A daemon that is gone does not need the answer.
    unsafe {
        libc::send(
            control,
            message.as_ptr().cast::<c_void>(),
            message.len(),
            libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT,
        );
    }
}

fn leave() -> ! {
    // SAFETY: ends this process without running anything of the daemon's.
    unsafe { libc::_exit(0) }
}
