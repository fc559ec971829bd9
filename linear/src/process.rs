//! The witness as a process: started, stopped, killed, and with a disk that is slow or fails.
//!
//! A slow or failing disk is the real program's system call, delayed or refused by `strace` on its way back; the
//! program has no switch for it.

use crate::site::{Failed, Site};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use tokio::process::{Child, Command};

/// What the disk does to the witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// What this machine's does.
    Plain,
    /// Each sync takes so many microseconds longer.
    Slow {
        /// How many.
        micros: u64,
    },
    /// The sync with this number, and every later one, fails.
    Failing {
        /// Which, from 1.
        from: u64,
    },
}

/// The program, and where its log goes.
#[derive(Clone, Debug)]
pub struct Program {
    /// The witness.
    pub witness: PathBuf,
    /// `strace`, if the machine has it.
    pub strace: Option<PathBuf>,
}

/// One run of the witness.
#[derive(Debug)]
pub struct Running {
    child: Child,
    pid: Pid,
}

impl Program {
    /// Starts the witness of the site; its log is added to `witness.log`.
    ///
    /// # Errors
    /// It cannot be started at all. Whether it serves is seen by its clients.
    pub fn start(&self, site: &Site, disk: Disk) -> Result<Running, Failed> {
        let log = File::options().create(true).append(true).open(site.file("witness.log"))?;
        let mut command = match (self.strace.as_deref(), disk) {
            (Some(strace), Disk::Slow { micros }) => {
                self.traced(strace, &format!("inject=fdatasync:delay_exit={micros}"))
            }
            (Some(strace), Disk::Failing { from }) => {
                self.traced(strace, &format!("inject=fdatasync:error=EIO:when={from}+"))
            }
            (_, Disk::Plain) | (None, _) => Command::new(&self.witness),
        };
        command.arg("--config").arg(site.witness_config());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        let child = command.spawn()?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Running { pid: pid.ok_or_else(|| Failed("the witness has no process id".to_owned()))?, child })
    }

    /// With `-D` the tracer is a grandchild, and our child is the witness itself.
    fn traced(&self, strace: &Path, inject: &str) -> Command {
        let mut command = Command::new(strace);
        command.args([
            "-D",
            "-f",
            "-qqq",
            "--seccomp-bpf",
            "-o",
            "/dev/null",
            "-e",
            "trace=fdatasync",
            "-e",
            inject,
        ]);
        command.arg(&self.witness);
        command
    }
}

impl Running {
    /// Stops all of its threads where they are, in the middle of a sync perhaps.
    ///
    /// # Errors
    /// It is gone.
    pub fn stop(&self) -> Result<(), Failed> {
        Ok(kill_process(self.pid, Signal::STOP)?)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It is gone.
    pub fn go_on(&self) -> Result<(), Failed> {
        Ok(kill_process(self.pid, Signal::CONT)?)
    }

    /// Kills it, and returns when it is gone; how it ended, if it had ended by itself before.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub async fn kill(mut self) -> Result<Option<ExitStatus>, Failed> {
        let ended = self.child.try_wait()?;
        if ended.is_none() {
            self.child.kill().await?;
        }
        Ok(ended)
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, Failed> {
        Ok(self.child.try_wait()?)
    }
}
