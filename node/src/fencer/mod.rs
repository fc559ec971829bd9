//! Carrying out device orders: one run of one agent, and its verdict.
//!
//! ```text
//!   order ─► delay ─► clock before start_before? ─no─► TooLate
//!                          │ yes
//!                          ▼
//!          agent in a session of its own, options on its standard input, killed with all it started at the deadline
//!                          ▼
//!                       exit code ─► verdict
//! ```
//! Contract: `off` with exit 0 is ConfirmedOff, exit 1 is Failed, and everything else (another code, a signal, the
//! deadline, no supervisor) is Unknown. The core tries again or goes on to the next level; nothing is guessed.
//! An agent that is not there, or cannot be executed, did nothing: Failed.
//!
//! A *gate* is an agent that may delay or stop a fence and proves nothing: exit 0 lets it go on (GatePassed), exit
//! 2 ends it because the target answers as a healthy holder (GateAbort), everything else counts as a device that
//! failed, so the next level follows.

use crate::config::{Config, FenceDevice};
use crate::time::now;
use core::time::Duration;
use picket_core::topology::{DeviceKind, DeviceOrder, DeviceVerdict, PowerAction};
use picket_fence::caller::{ROLE_GATE, ROLE_VARIABLE};
use picket_fence::secret::CREDENTIALS_VARIABLE;
use picket_host::clock::Alarm;
use picket_host::process::{Finished, Outcome, Program, SYSTEM_PATH, run};
use picket_host::secrets::read_secret;
use std::env;
use std::ffi::OsString;
use zeroize::Zeroizing;

pub mod check;
pub mod history;
mod room;
pub mod rounds;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_devices;

pub use room::Fencer;

/// How a run of a device ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// For the core.
    pub verdict: DeviceVerdict,
    /// For people: how the agent ended and what it said.
    pub text: String,
}

/// What an agent wrote is kept up to so many characters.
const SAID_CHARS_MAX: usize = 400;

/// The device that an order means.
#[must_use]
pub fn device<'c>(config: &'c Config, order: &DeviceOrder) -> Option<&'c FenceDevice> {
    config.fencing.get(&order.target)?.get(usize::from(order.level))?.get(usize::from(order.device))
}

/// Carries one order out. `node` is the target's name.
pub async fn carry_out(device: &FenceDevice, node: &str, order: DeviceOrder) -> Ended {
    if let Err(ended) = wait(order.delay).await {
        return ended;
    }
    let word = match order.action {
        PowerAction::Off => device.actions.off.as_str(),
        PowerAction::On => match device.actions.on.as_deref() {
            Some(word) => word,
            None => {
                let text = "this device is not to power on".to_owned();
                return Ended { verdict: DeviceVerdict::GatePassed, text };
            }
        },
    };
    let program = match program(device, node, word, credentials()) {
        Ok(program) => program,
        Err(text) => return Ended { verdict: DeviceVerdict::Failed, text },
    };
    // Authority is checked again right before acting.
    if now() >= order.start_before {
        let text = "the permit's start has passed".to_owned();
        return Ended { verdict: DeviceVerdict::TooLate, text };
    }
    let deadline = (now() + order.timeout).elapsed();
    judge(device.kind, order.action, &run(program, deadline).await)
}

/// What a finished run of an agent means. Only the way it ended counts; what it wrote is for people.
#[must_use]
pub fn judge(kind: DeviceKind, action: PowerAction, finished: &Finished) -> Ended {
    let verdict = match action {
        PowerAction::Off => verdict(kind, &finished.outcome),
        // The core asks for no proof of an on; what failed is told to people.
        PowerAction::On => match finished.outcome {
            Outcome::Exited { code: 0 } => DeviceVerdict::GatePassed,
            _ => DeviceVerdict::Failed,
        },
    };
    let said = [finished.stderr.text(), finished.stdout.text()].concat();
    let text = format!("{}{}", finished.outcome, shorten(&said));
    Ended { verdict, text }
}

async fn wait(delay: Duration) -> Result<(), Ended> {
    if delay.is_zero() {
        return Ok(());
    }
    let wait = async {
        let mut alarm = Alarm::new()?;
        alarm.set((now() + delay).elapsed())?;
        alarm.fired().await
    };
    let failed = |error: std::io::Error| Ended {
        verdict: DeviceVerdict::Failed,
        text: format!("cannot wait before the start: {error}"),
    };
    wait.await.map_err(failed)
}

/// Runs the agent with one action, for at most `limit`.
async fn run_agent(
    device: &FenceDevice,
    node: &str,
    word: &str,
    limit: Duration,
) -> Result<Finished, String> {
    let program = program(device, node, word, credentials())?;
    Ok(run(program, (now() + limit).elapsed()).await)
}

/// Where systemd put the daemon's credentials: agents look there for a `password_file` without a path. It is a
/// directory's name and no secret.
fn credentials() -> Option<OsString> {
    env::var_os(CREDENTIALS_VARIABLE)
}

fn program(
    device: &FenceDevice,
    node: &str,
    word: &str,
    credentials: Option<OsString>,
) -> Result<Program, String> {
    let agent = device.agent.clone().ok_or("a person is asked, not an agent")?;
    let mut input = Zeroizing::new(String::new());
    input.push_str(&format!("action={word}\nnodename={node}\n"));
    for (name, value) in &device.options {
        input.push_str(&format!("{name}={value}\n"));
    }
    for (name, file) in &device.secrets {
        let secret = read_secret(file).map_err(|error| error.to_string())?;
        let line = secret.expose_line().filter(|line| !line.is_empty() && !line.contains(['\n', '\r']));
        let line = line.ok_or_else(|| format!("{}: not one line of text", file.display()))?;
        input.push_str(name);
        input.push('=');
        input.push_str(line);
        input.push('\n');
    }
    let mut program = Program::new(agent).args(&device.args).env("PATH", SYSTEM_PATH).env("LC_ALL", "C");
    if let Some(dir) = credentials {
        program = program.env(CREDENTIALS_VARIABLE, dir);
    }
    if device.kind == DeviceKind::Gate {
        // Only so asked does our own gate give an exit status that means "go on".
        program = program.env(ROLE_VARIABLE, ROLE_GATE);
    }
    Ok(program.stdin(input.as_bytes().to_vec()))
}

fn verdict(kind: DeviceKind, outcome: &Outcome) -> DeviceVerdict {
    match (kind, outcome) {
        (_, Outcome::NotStarted { .. }) => DeviceVerdict::Failed,
        (DeviceKind::Gate, Outcome::Exited { code: 0 }) => DeviceVerdict::GatePassed,
        (DeviceKind::Gate, Outcome::Exited { code: 2 }) => DeviceVerdict::GateAbort,
        (DeviceKind::Gate, _) => DeviceVerdict::Failed,
        (DeviceKind::Power, Outcome::Exited { code: 0 }) => DeviceVerdict::ConfirmedOff,
        (DeviceKind::Power, Outcome::Exited { code: 1 }) => DeviceVerdict::Failed,
        (
            DeviceKind::Power | DeviceKind::Meatware,
            Outcome::Exited { .. }
            | Outcome::Signaled { .. }
            | Outcome::TimedOut { .. }
            | Outcome::Lost { .. },
        ) => DeviceVerdict::Unknown,
    }
}

/// What an agent said, on one line, not too long, and without what would drive the terminal of its reader.
fn shorten(said: &str) -> String {
    let line: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let plain = |letter: char| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter };
    let short: String = line.chars().take(SAID_CHARS_MAX).map(plain).collect();
    if short.is_empty() { short } else { format!(": {short}") }
}
