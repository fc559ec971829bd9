//! What whoever plays fate says to a machine's supervisor: one line, one answer.
//!
//! Answers are `ok`, `ok <status as JSON>` or `error <why>`. Unlike the power switch, the control
//! socket answers whatever happens to the machine: it is not part of the machine.

use core::str::FromStr;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The schema of [`Status`].
pub const STATUS_SCHEMA: u32 = 1;

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Say how things are.
    Status,
    /// Say how things are as soon as [`Status::change`] is above this number.
    Change(u64),
    /// Power on, as if by the button.
    On,
    /// Cut the power; answered when everything is gone.
    Off,
    /// Off, then on.
    Reboot,
    /// Stop a program's process as SIGSTOP does.
    Freeze(String),
    /// Let it go on.
    Thaw(String),
    /// Kill a program's process as a crash would.
    Kill(String),
    /// Kill it and do not start it again.
    Stop(String),
    /// Start it.
    Start(String),
    /// Stop every process of the machine and its watchdog, as a paused VM.
    Pause,
    /// Let them go on.
    Resume,
    /// The power switch no longer answers (its controller has no power), or does again.
    Switch {
        /// Whether it answers.
        answers: bool,
    },
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status => f.write_str("status"),
            Self::Change(after) => write!(f, "change {after}"),
            Self::On => f.write_str("on"),
            Self::Off => f.write_str("off"),
            Self::Reboot => f.write_str("reboot"),
            Self::Freeze(program) => write!(f, "freeze {program}"),
            Self::Thaw(program) => write!(f, "thaw {program}"),
            Self::Kill(program) => write!(f, "kill {program}"),
            Self::Stop(program) => write!(f, "stop {program}"),
            Self::Start(program) => write!(f, "start {program}"),
            Self::Pause => f.write_str("pause"),
            Self::Resume => f.write_str("resume"),
            Self::Switch { answers: true } => f.write_str("switch alive"),
            Self::Switch { answers: false } => f.write_str("switch dead"),
        }
    }
}

impl FromStr for Command {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        Ok(match words.as_slice() {
            ["status"] => Self::Status,
            ["change", after] => Self::Change(after.parse().map_err(|_| format!("not a number: {after:?}"))?),
            ["on"] => Self::On,
            ["off"] => Self::Off,
            ["reboot"] => Self::Reboot,
            ["freeze", program] => Self::Freeze((*program).to_owned()),
            ["thaw" | "cont", program] => Self::Thaw((*program).to_owned()),
            ["kill", program] => Self::Kill((*program).to_owned()),
            ["stop", program] => Self::Stop((*program).to_owned()),
            ["start", program] => Self::Start((*program).to_owned()),
            ["pause"] => Self::Pause,
            ["resume"] => Self::Resume,
            ["switch", "alive"] => Self::Switch { answers: true },
            ["switch", "dead"] => Self::Switch { answers: false },
            _ => return Err(format!("not a control command: {line:?}")),
        })
    }
}

/// Whether a machine is powered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerState {
    /// Powered.
    On,
    /// Being killed; processes may still run.
    GoingOff,
    /// Everything is gone.
    Off,
}

/// Where a program stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgramState {
    /// It runs.
    Running,
    /// It is stopped by `freeze`.
    Frozen,
    /// It has ended and will be started again.
    Restarting,
    /// It does not run.
    Ended,
}

/// One program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramStatus {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: ProgramState,
    /// Its process, if there is one.
    pub pid: Option<i32>,
    /// How often it was started since the supervisor runs.
    pub starts: u64,
}

/// How a machine is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// [`STATUS_SCHEMA`].
    pub schema: u32,
    /// Grows with everything that happens to power and programs.
    pub change: u64,
    /// Its name.
    pub machine: String,
    /// Whether it is powered.
    pub power: PowerState,
    /// The current boot, if it is not off.
    pub boot_id: Option<String>,
    /// How often it was powered on since the supervisor runs.
    pub boots: u64,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether its power switch answers.
    pub switch_answers: bool,
    /// Whether its watchdog will bite if it is not petted.
    pub watchdog_armed: bool,
    /// How often its watchdog has bitten since the supervisor runs.
    pub bites: u64,
    /// Its programs.
    pub programs: Vec<ProgramStatus>,
}

impl Status {
    /// The program of this name.
    #[must_use]
    pub fn program(&self, name: &str) -> Option<&ProgramStatus> {
        self.programs.iter().find(|program| program.name == name)
    }
}
