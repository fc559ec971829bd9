//! One program of a machine: started, ended, frozen, started again.

use super::error::MachineError;
use super::spec::{MachineSpec, ProgramSpec};
use core::time::Duration;
use picket_host::clock;
use rustix::process::{Pid, Signal, getpid, getppid, kill_process, set_parent_process_death_signal};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// The shortest delay before a program is started again: one that ends at once must not keep the
/// processor busy with nothing but itself.
const RESTART_DELAY_LEAST: Duration = Duration::from_millis(10);

/// A program and where it stands.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) spec: ProgramSpec,
    /// The running process. It is our child and not yet reaped, so the number is still its own.
    pub(super) pid: Option<Pid>,
    pub(super) frozen: bool,
    /// How often it was started since the supervisor runs.
    pub(super) starts: u64,
    /// When it will be started again, on the boot clock.
    pub(super) restart_at: Option<Duration>,
    /// Ended by command, not to be started again by itself.
    held: bool,
}

impl Program {
    pub(super) const fn new(spec: ProgramSpec) -> Self {
        Self { spec, pid: None, frozen: false, starts: 0, restart_at: None, held: false }
    }

    /// Starts it. Nothing happens if it runs.
    pub(super) fn start(&mut self, machine: &MachineSpec) -> Result<(), MachineError> {
        self.restart_at = None;
        self.held = false;
        if self.pid.is_some() {
            return Ok(());
        }
        let pid = spawn(&self.spec, machine)?;
        self.pid = Some(pid);
        self.frozen = false;
        self.starts += 1;
        Ok(())
    }

    /// Takes note of an ended process. `true` if it was this program's.
    pub(super) fn ended(&mut self, pid: Pid) -> bool {
        if self.pid != Some(pid) {
            return false;
        }
        self.pid = None;
        self.frozen = false;
        if !self.held {
            let delay =
                self.spec.restart_after_ms.map(|ms| Duration::from_millis(ms).max(RESTART_DELAY_LEAST));
            self.restart_at = delay.map(|delay| clock::boottime() + delay);
        }
        true
    }

    /// The machine is off: nothing runs and nothing will by itself.
    pub(super) fn powered_off(&mut self) {
        self.pid = None;
        self.frozen = false;
        self.restart_at = None;
        self.held = false;
    }

    pub(super) fn freeze(&mut self) -> Result<(), String> {
        self.signal(Signal::STOP)?;
        self.frozen = true;
        Ok(())
    }

    pub(super) fn thaw(&mut self) -> Result<(), String> {
        self.signal(Signal::CONT)?;
        self.frozen = false;
        Ok(())
    }

    /// Kills it as a crash would; its restart policy holds.
    pub(super) fn kill(&self) -> Result<(), String> {
        self.signal(Signal::KILL)
    }

    /// Kills it for good: only a start or the next power-on brings it back.
    pub(super) fn stop(&mut self) -> Result<(), String> {
        self.held = true;
        self.restart_at = None;
        if self.pid.is_some() { self.signal(Signal::KILL) } else { Ok(()) }
    }

    fn signal(&self, signal: Signal) -> Result<(), String> {
        let pid = self.pid.ok_or_else(|| format!("{} does not run", self.spec.name))?;
        kill_process(pid, signal).map_err(|error| format!("{}: {error}", self.spec.name))
    }
}

fn spawn(spec: &ProgramSpec, machine: &MachineSpec) -> Result<Pid, MachineError> {
    let (program, arguments) =
        spec.argv.split_first().ok_or_else(|| MachineError::Spec(format!("{} is empty", spec.name)))?;
    let path = machine.log_file(&spec.name);
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(MachineError::file("open", &path))?;
    let errors = log.try_clone().map_err(MachineError::file("open", &path))?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(machine.state_dir());
    command.envs(spec.env.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(log).stderr(errors);
    die_with_supervisor(&mut command);
    let child = command.spawn().map_err(MachineError::file("start", program))?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| MachineError::Spec(format!("{} got no process number", spec.name)))
}

/// Orders the kernel to kill the program with the supervisor, should that itself be killed.
#[allow(unsafe_code)] // there is no safe way to run something between fork and exec
fn die_with_supervisor(command: &mut Command) {
    let supervisor = getpid();
    let order = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // Already dead before the order was given: then it would never come.
        if getppid() == Some(supervisor) { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    };
    // SAFETY: between fork and exec only two direct system calls are made; nothing is allocated
    // and no lock is taken.
    unsafe { command.pre_exec(order) };
}
