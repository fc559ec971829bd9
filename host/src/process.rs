//! Running a program with a deadline, and knowing that all of it is gone.
//!
//! Idea: a fence agent or a volume command may hang, ignore signals, fork twice into its own
//! session, fill its pipes or leave them open. None of that may hold us up or stay behind unseen.
//! Each program runs in its own session below a small supervisor of its own (a child subreaper),
//! so its descendants cannot leave the tree in which they are killed.
//!
//! Contract of [`run`]:
//! - it returns soon after `deadline` (a boot-time instant) at the latest, within [`KILL_WAIT_MAX`];
//! - at the deadline everything below the program is killed (`SIGKILL`), and the outcome says
//!   whether all of it was *seen* to end. A timeout says nothing about what the program achieved;
//! - dropping the future, or the death of our own process, kills everything too, a little later: who begins the
//!   opposite waits for the end ([`Remains`]);
//! - output is read to its end and kept up to a cap; a full pipe never blocks the program, and a
//!   pipe that stays open never blocks us;
//! - the environment holds only what was given.
//!
//! Limits: what sleeps uninterruptibly in the kernel, or belongs to another user while we are not
//! root, cannot be killed: the outcome then says so. What the program asks of other services
//! (systemd, cron, a container engine) is not its descendant.

use crate::clock::{Alarm, boottime};
use crate::sys::supervisor::supervise;
use crate::sys::watch;
use core::fmt;
use core::pin::Pin;
use core::time::Duration;
use rustix::net::SendFlags;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use tokio::io::Interest;
use zeroize::Zeroizing;

mod control;
mod pipes;
mod remains;
#[cfg(test)]
mod tests;

pub use crate::sys::supervisor::Leftovers;
use control::{Control, Message, control_socket, receive};
pub use pipes::Captured;
use pipes::{Capture, Feed};
pub use remains::{Changes, Remains};

/// Where programs of the system find other programs: the daemon's own environment is not passed on to them.
pub const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long after the kill we wait to see everything end. Processes die within milliseconds; what
/// is still there after this is stuck in the kernel, and waiting longer would not be an answer.
pub const KILL_WAIT_MAX: Duration = Duration::from_secs(2);

/// Output kept from each stream unless the caller names another cap. Agents print lines, not files.
pub const OUTPUT_CAP_BYTES: usize = 64 * 1024;

/// A program to run: what, with which input, and how much output to keep.
#[derive(Clone)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    stdin: Zeroizing<Vec<u8>>,
    output_cap_bytes: usize,
    leftovers: Leftovers,
    remains: Option<Remains>,
}

impl Program {
    /// The program at `path` (looked up in `PATH` only if it has no slash and `PATH` was given).
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            stdin: Zeroizing::new(Vec::new()),
            output_cap_bytes: OUTPUT_CAP_BYTES,
            leftovers: Leftovers::Kill,
            remains: None,
        }
    }

    /// Adds an argument. Arguments are seen by every user of the machine: never a secret.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments; see [`Program::arg`].
    #[must_use]
    pub fn args<T: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable; nothing else is in the environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// What the program reads from its standard input. Wiped from our memory afterwards.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Zeroizing::new(bytes.into());
        self
    }

    /// How many bytes of each output stream are kept; what comes after is read and dropped.
    #[must_use]
    pub const fn output_cap_bytes(mut self, cap: usize) -> Self {
        self.output_cap_bytes = cap;
        self
    }

    /// What happens to descendants that outlive the program; they are killed unless this says else.
    #[must_use]
    pub const fn leftovers(mut self, leftovers: Leftovers) -> Self {
        self.leftovers = leftovers;
        self
    }

    /// Where the end of a run that is given up is followed: one that is dropped, or has not ended with its deadline.
    #[must_use]
    pub fn remains(mut self, remains: &Remains) -> Self {
        self.remains = Some(remains.clone());
        self
    }
}

/// Shows neither the input nor the values of variables: both may hold secrets.
impl fmt::Debug for Program {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Program")
            .field("path", &self.path)
            .field("arguments", &self.arguments)
            .field("variables", &self.environment.keys().collect::<Vec<_>>())
            .field("stdin_bytes", &self.stdin.len())
            .field("output_cap_bytes", &self.output_cap_bytes)
            .field("leftovers", &self.leftovers)
            .finish()
    }
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It exited by itself.
    Exited {
        /// Its exit status, 0 to 255.
        code: i32,
    },
    /// A signal that was not ours ended it.
    Signaled {
        /// The signal's number.
        signal: i32,
    },
    /// The deadline passed. What it achieved is unknown.
    TimedOut {
        /// True: the program and all its descendants were seen to end. False: something may still run.
        all_gone: bool,
    },
    /// It never ran.
    NotStarted {
        /// Why.
        reason: String,
    },
    /// Its supervisor was killed by somebody, so nobody saw the end. What it achieved is unknown,
    /// and something may still run.
    Lost {
        /// What was seen.
        reason: String,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { code } => write!(formatter, "exited with {code}"),
            Self::Signaled { signal } => write!(formatter, "ended by signal {signal}"),
            Self::TimedOut { all_gone: true } => write!(formatter, "timed out; all of it was killed"),
            Self::TimedOut { all_gone: false } => {
                write!(formatter, "timed out; killed, but some of it is still there")
            }
            Self::NotStarted { reason } => write!(formatter, "not started: {reason}"),
            Self::Lost { reason } => write!(formatter, "lost: {reason}"),
        }
    }
}

/// What became of the program's descendants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descendants {
    /// None is left: each was seen to end.
    Gone,
    /// Some may be left although they were to be killed.
    MayRemain,
    /// They were allowed to stay ([`Leftovers::Leave`]).
    LeftAlone,
}

/// The whole result of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// How the program ended.
    pub outcome: Outcome,
    /// What became of what it started.
    pub descendants: Descendants,
    /// What it wrote to standard output.
    pub stdout: Captured,
    /// What it wrote to standard error.
    pub stderr: Captured,
    /// From start to end, on the boot clock.
    pub took: Duration,
}

/// Runs `program` until it ends or the boot-time instant `deadline` has passed.
///
/// Needs a tokio runtime with I/O. Cancel-safe in the sense that dropping the future kills
/// everything that was started.
pub async fn run(program: Program, deadline: Duration) -> Finished {
    run_unless(program, deadline, core::future::pending()).await
}

/// The same, with a deadline that comes early when `given_up` is ready: whoever must know that all
/// of it is gone before going on waits for that here instead of dropping the future.
pub async fn run_unless(
    program: Program,
    deadline: Duration,
    given_up: impl Future<Output = ()>,
) -> Finished {
    let started = boottime();
    let mut given_up = core::pin::pin!(given_up);
    let mut out = Capture::closed(program.output_cap_bytes);
    let mut err = Capture::closed(program.output_cap_bytes);
    let ending = match Running::start(&program, deadline).await {
        Ok(mut running) => running.follow(program, given_up.as_mut(), &mut out, &mut err).await,
        Err(ending) => ending,
    };
    Finished {
        outcome: ending.outcome,
        descendants: ending.descendants,
        stdout: out.into_captured(),
        stderr: err.into_captured(),
        took: boottime().saturating_sub(started),
    }
}

struct Ending {
    outcome: Outcome,
    descendants: Descendants,
}

/// A started program: our ends of its pipes and of its supervisor's socket.
struct Running {
    control: Control,
    alarm: Alarm,
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    /// The supervisor. The runtime reaps it after our socket closed.
    _supervisor: tokio::process::Child,
}

impl Running {
    async fn start(program: &Program, deadline: Duration) -> Result<Self, Ending> {
        let not_started = |what: &str, error: io::Error| {
            let reason = format!("{}: {what}: {error}", program.path.display());
            Ending { outcome: Outcome::NotStarted { reason }, descendants: Descendants::Gone }
        };
        let mut alarm = Alarm::new().map_err(|error| not_started("no timer", error))?;
        alarm.set(deadline).map_err(|error| not_started("no timer", error))?;
        let (ours, theirs) = control_socket().map_err(|error| not_started("no socket", error))?;
        let control = watch(ours, Interest::READABLE).map_err(|error| not_started("no socket", error))?;
        let (mut command, pipes) = prepare(program).map_err(|error| not_started("no pipes", error))?;
        supervise(&mut command, theirs.as_fd(), program.leftovers);
        // The start waits for exec, which can hang on a dead file system: not on a runtime thread.
        let mut control = Control::new(control, program.remains.clone(), program.leftovers);
        let starting = tokio::task::spawn_blocking(move || {
            let spawned = tokio::process::Command::from(command).spawn();
            drop(theirs);
            spawned
        });
        let spawned = tokio::select! {
            biased;
            spawned = starting => spawned.map_err(io::Error::other).flatten(),
            // It may still start; our closed socket then has it killed at once.
            _ = alarm.fired() => return Err(Ending {
                outcome: Outcome::TimedOut { all_gone: false },
                descendants: Descendants::MayRemain,
            }),
        };
        let supervisor = spawned.map_err(|error| {
            control.ended();
            not_started("cannot be executed", error)
        })?;
        let [stdin, stdout, stderr] = pipes.map(Some);
        Ok(Self { control, alarm, stdin, stdout, stderr, _supervisor: supervisor })
    }

    async fn follow(
        &mut self,
        program: Program,
        given_up: Pin<&mut impl Future<Output = ()>>,
        out: &mut Capture,
        err: &mut Capture,
    ) -> Ending {
        let mut input = Feed::new(self.stdin.take(), program.stdin);
        out.open(self.stdout.take());
        err.open(self.stderr.take());
        let ending = {
            let talk = async { tokio::join!(input.all(), out.read_on(), err.read_on()) };
            let end = watch_until_end(&mut self.control, &mut self.alarm, given_up, program.leftovers);
            tokio::select! {
                biased;
                ending = end => ending,
                never = async { talk.await; core::future::pending().await } => never,
            }
        };
        out.drain();
        err.drain();
        ending
    }
}

/// Follows the supervisor's messages to the end, and orders the kill at the deadline or when it is given up.
async fn watch_until_end(
    control: &mut Control,
    alarm: &mut Alarm,
    mut given_up: Pin<&mut impl Future<Output = ()>>,
    leftovers: Leftovers,
) -> Ending {
    let mut outcome: Option<Outcome> = None;
    // It ended well at its deadline, when its kill was already ordered: what it started may stay all the same.
    let mut well = false;
    loop {
        let message = tokio::select! {
            biased;
            message = receive(control) => Some(message),
            () = given_up.as_mut(), if outcome.is_none() => None,
            // A timer that cannot be read is taken as fired: late is worse than early here.
            _ = alarm.fired() => None,
        };
        match message {
            Some(Message::Main(status)) => {
                well = status == 0;
                if outcome.is_none() {
                    outcome = Some(outcome_of(status));
                    if leftovers == Leftovers::Leave && status == 0 {
                        control.ended();
                        return ending(outcome, Descendants::LeftAlone);
                    }
                    let _ = alarm.set(boottime() + KILL_WAIT_MAX);
                }
            }
            Some(Message::Gone) => {
                if let Some(Outcome::TimedOut { all_gone }) = &mut outcome {
                    *all_gone = true;
                }
                control.ended();
                return ending(outcome, Descendants::Gone);
            }
            Some(Message::Closed) if well && leftovers == Leftovers::Leave => {
                control.ended();
                return ending(outcome, Descendants::LeftAlone);
            }
            Some(Message::Closed) => {
                control.lost();
                return ending(outcome, Descendants::MayRemain);
            }
            None if outcome.is_some() => return ending(outcome, Descendants::MayRemain),
            None => {
                outcome = Some(Outcome::TimedOut { all_gone: false });
                // A supervisor that cannot be told is gone; the closed socket says so next.
                let _ = rustix::net::send(control.get_ref(), b"kill", SendFlags::NOSIGNAL);
                let _ = alarm.set(boottime() + KILL_WAIT_MAX);
            }
        }
    }
}

fn ending(outcome: Option<Outcome>, descendants: Descendants) -> Ending {
    let lost = || Outcome::Lost { reason: "its supervisor ended without a word".to_owned() };
    Ending { outcome: outcome.unwrap_or_else(lost), descendants }
}

fn outcome_of(status: i32) -> Outcome {
    let status = ExitStatus::from_raw(status);
    match (status.code(), status.signal()) {
        (Some(code), _) => Outcome::Exited { code },
        (None, Some(signal)) => Outcome::Signaled { signal },
        (None, None) => Outcome::Lost { reason: format!("unknown wait status: {status}") },
    }
}

/// The command with its pipes; ours are standard input, output, error, in this order.
fn prepare(program: &Program) -> io::Result<(std::process::Command, [OwnedFd; 3])> {
    let (stdin, our_stdin) = io::pipe()?;
    let (our_stdout, stdout) = io::pipe()?;
    let (our_stderr, stderr) = io::pipe()?;
    let ours = [OwnedFd::from(our_stdin), our_stdout.into(), our_stderr.into()];
    for pipe in &ours {
        rustix::io::ioctl_fionbio(pipe, true)?;
    }
    let mut command = std::process::Command::new(&program.path);
    command
        .args(&program.arguments)
        .env_clear()
        .envs(&program.environment)
        .current_dir("/")
        .stdin(Stdio::from(stdin))
        .stdout(Stdio::from(stdout))
        .stderr(Stdio::from(stderr));
    Ok((command, ours))
}
