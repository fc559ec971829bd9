//! What a lab machine is made of.

use super::error::MachineError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The longest path of a Unix socket: the kernel's field has 108 bytes with the final zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// A program of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramSpec {
    /// How it is called in control commands and in the name of its log. No white space, no `/`.
    pub name: String,
    /// The program and its arguments. Not empty; no secrets, everybody can read them.
    pub argv: Vec<String>,
    /// Variables added to the environment.
    pub env: Vec<(String, String)>,
    /// Milliseconds after which it is started again when it has ended by itself or was killed;
    /// `None`: it stays ended. Like `Restart=always` and `RestartSec=` of systemd, without a limit.
    pub restart_after_ms: Option<u64>,
    /// Whether power-on starts it.
    pub at_boot: bool,
}

impl ProgramSpec {
    /// A program that power-on starts and that stays ended when it ends.
    pub fn new(name: impl Into<String>, argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            name: name.into(),
            argv: argv.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            restart_after_ms: None,
            at_boot: true,
        }
    }

    /// The same, started again this many milliseconds after it ended.
    #[must_use]
    pub fn restarted_after_ms(self, delay_ms: u64) -> Self {
        Self { restart_after_ms: Some(delay_ms), ..self }
    }

    /// The same with one more environment variable.
    #[must_use]
    pub fn with_env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }
}

/// What a machine does after its watchdog has bitten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterBite {
    /// It stays off.
    StayOff,
    /// It is powered on again.
    PowerOn {
        /// Milliseconds between being off and being on.
        delay_ms: u64,
    },
}

/// A machine's watchdog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchdogSpec {
    /// Timeouts are rounded up to a multiple of this, as real devices do; milliseconds, at least 1.
    pub granularity_ms: u64,
    /// Whether an orderly close does not disarm it either.
    pub nowayout: bool,
    /// What follows a bite.
    pub after_bite: AfterBite,
}

impl Default for WatchdogSpec {
    fn default() -> Self {
        Self { granularity_ms: 1, nowayout: false, after_bite: AfterBite::PowerOn { delay_ms: 1000 } }
    }
}

/// A machine. Its directory holds everything: sockets, run and state directory, logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineSpec {
    /// Its name, the plug at its power switch. No white space, no `/`.
    pub name: String,
    /// Its directory, absolute and short: paths of sockets end at 107 bytes.
    pub dir: PathBuf,
    /// Its programs, started in this order.
    pub programs: Vec<ProgramSpec>,
    /// Its watchdog.
    pub watchdog: WatchdogSpec,
    /// Whether it is powered on as soon as its supervisor runs.
    pub powered: bool,
}

impl MachineSpec {
    /// A machine that is powered on at once, without programs.
    pub fn new(name: impl Into<String>, dir: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            dir: dir.into(),
            programs: Vec::new(),
            watchdog: WatchdogSpec::default(),
            powered: true,
        }
    }

    /// The same with one more program.
    #[must_use]
    pub fn with_program(mut self, program: ProgramSpec) -> Self {
        self.programs.push(program);
        self
    }

    /// What plays `/run`: emptied at every power-on.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// The file with the current boot id, in the run directory.
    #[must_use]
    pub fn boot_id_file(&self) -> PathBuf {
        self.run_dir().join("boot_id")
    }

    /// What plays the disk: kept.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// The logs of the programs and of the supervisor: kept.
    #[must_use]
    pub fn log_dir(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// The output of one program.
    #[must_use]
    pub fn log_file(&self, program: &str) -> PathBuf {
        self.log_dir().join(format!("{program}.log"))
    }

    /// The power switch.
    #[must_use]
    pub fn power_socket(&self) -> PathBuf {
        self.dir.join("power.sock")
    }

    /// The watchdog.
    #[must_use]
    pub fn watchdog_socket(&self) -> PathBuf {
        self.dir.join("watchdog.sock")
    }

    /// The control socket, for whoever plays fate.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.dir.join("control.sock")
    }

    /// Refuses what could not run.
    ///
    /// # Errors
    /// [`MachineError::Spec`] with what is wrong.
    pub fn check(&self) -> Result<(), MachineError> {
        let wrong = |text: String| Err(MachineError::Spec(text));
        let is_name = |name: &str| {
            !name.is_empty()
                && !name.starts_with('.')
                && !name.contains(|c: char| c.is_whitespace() || c == '/')
        };
        if !is_name(&self.name) {
            return wrong(format!("{:?} is no name", self.name));
        }
        if !self.dir.is_absolute() {
            return wrong(format!("{} is not absolute", self.dir.display()));
        }
        let longest = self.watchdog_socket().as_os_str().len();
        if longest > SOCKET_PATH_BYTES_MAX {
            return wrong(format!(
                "socket paths in {} have up to {longest} bytes, at most {SOCKET_PATH_BYTES_MAX} are possible",
                self.dir.display()
            ));
        }
        if self.watchdog.granularity_ms == 0 {
            return wrong("watchdog granularity is 0 ms, at least 1 is needed".to_owned());
        }
        let mut names = BTreeSet::new();
        for program in &self.programs {
            if !is_name(&program.name) || !names.insert(&program.name) {
                return wrong(format!("program {:?} is no name, or there twice", program.name));
            }
            if program.argv.is_empty() {
                return wrong(format!("program {} has nothing to run", program.name));
            }
        }
        Ok(())
    }
}
