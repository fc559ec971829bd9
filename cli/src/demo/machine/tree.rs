//! The processes below this one, and how to end them all.
//!
//! A process that starts children and exits leaves them to its nearest reaper, which is this
//! process. So every descendant has a living chain of parents up to here, and when the kernel says
//! that there is no child, there is no descendant either.

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, pidfd_open, pidfd_send_signal, set_child_subreaper, wait,
};
use std::collections::BTreeMap;
use std::fs;
use std::io;

/// `__WALL`: also children whose end is not announced by SIGCHLD. A machine is not off while such
/// a one lives.
const WAIT_ALL_KINDS: WaitOptions = WaitOptions::from_bits_retain(0x4000_0000);

/// What became of the children.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reaped {
    /// This one has ended.
    One(Pid),
    /// None has ended, but there are some.
    NoneEnded,
    /// There is no child, and so no descendant.
    NoneLeft,
}

/// Makes this process the reaper of all orphans below it.
pub(super) fn become_reaper() -> io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Takes note of one ended child without waiting.
pub(super) fn reap() -> io::Result<Reaped> {
    // Interrupted only if a signal comes in between, which cannot go on for ever.
    loop {
        match wait(WaitOptions::NOHANG | WAIT_ALL_KINDS) {
            Ok(Some((pid, _))) => return Ok(Reaped::One(pid)),
            Ok(None) => return Ok(Reaped::NoneEnded),
            Err(Errno::CHILD) => return Ok(Reaped::NoneLeft),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Sends `signal` to every descendant except those in `spared`. Processes that start meanwhile may
/// be missed; who needs all of them calls again.
pub(super) fn signal_all(signal: Signal, spared: &[Pid]) -> io::Result<()> {
    let parents = parents()?;
    let me = getpid().as_raw_pid();
    for (pid, parent) in &parents {
        let Some(process) = Pid::from_raw(*pid) else { continue };
        if spared.contains(&process) || !is_below(*pid, me, &parents) {
            continue;
        }
        // A number may be given to a stranger at any time; the descriptor holds on to one process,
        // and that it still has the parent that was seen shows that it is the one that was meant.
        let Ok(process) = pidfd_open(process, PidfdFlags::empty()) else { continue };
        let parent_now = parent_of(*pid);
        if parent_now == Some(*parent) || parent_now == Some(me) {
            match pidfd_send_signal(&process, signal) {
                // Gone by itself, or not ours to signal any more: the next look will tell.
                Ok(()) | Err(_) => {}
            }
        }
    }
    Ok(())
}

fn is_below(pid: i32, top: i32, parents: &BTreeMap<i32, i32>) -> bool {
    let mut at = pid;
    // A chain cannot be longer than there are processes.
    for _ in 0..=parents.len() {
        match parents.get(&at) {
            Some(parent) if *parent == top => return true,
            Some(parent) => at = *parent,
            None => return false,
        }
    }
    false
}

fn parents() -> io::Result<BTreeMap<i32, i32>> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        if let Some(pid) = name.to_str().and_then(|name| name.parse().ok())
            && let Some(parent) = parent_of(pid)
        {
            parents.insert(pid, parent);
        }
    }
    Ok(parents)
}

/// From `/proc/<pid>/stat`: `pid (name) state ppid …`. The name may hold anything, also `)`.
fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let rest = std::str::from_utf8(stat.get(after_name..)?).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}
