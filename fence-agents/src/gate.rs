//! Gates: they can delay a fence or stop it, and prove nothing.
//!
//! A gate stands before the devices that switch power. It looks at the target and says:
//!
//! ```text
//!  ABSENT  nothing of it answers         ─▶ go on at once: that is no proof, the next level must give it
//!  DELAY   it answers, or nobody knows   ─▶ wait, then go on
//!  ABORT   it answers as healthy holder  ─▶ this fence should not happen
//! ```
//! What the caller sees:
//!
//! | | go on | ABORT |
//! |---|---|---|
//! | Picket's daemon, `kind = "gate"` | exit 0 | exit 2 |
//! | Pacemaker, and everybody else | exit 1 after the wait | exit 1 at once: there is no way to say it |
//!
//! Contract: exit 0 is given only to a caller that said that it reads it as a gate's. For everybody
//! else 0 would mean "the machine is off", and nobody has seen that.

use crate::action::Action;
use crate::caller::Caller;
use crate::exit::Exit;
use crate::input::{InputError, Options};
use crate::report::{Reporter, Severity};
use core::time::Duration;
use picket_host::clock;
use std::io::{self, Write};

#[cfg(test)]
mod tests;

/// Checks the options and makes the gate. Asks nothing yet.
pub type OpenGate = fn(&Options, Caller) -> Result<Box<dyn Gate>, InputError>;

/// What a gate found, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Nothing of the target answers.
    Absent(String),
    /// Wait so long, then go on.
    Delay(Duration, String),
    /// The target answers as healthy holder.
    Abort(String),
}

/// Something that looks at a target before it is fenced.
pub trait Gate {
    /// Looks at the target. Does not wait; the wait is part of the finding.
    fn look(&mut self, target: &str, report: &Reporter) -> Finding;

    /// Called when a delay is over, for what is to be asked only then.
    fn after_wait(&mut self, _report: &Reporter) {}

    /// The machines that it stands before.
    fn hosts(&self) -> &[String];

    /// Tests without harm that it could look.
    ///
    /// # Errors
    /// What stands in the way.
    fn monitor(&mut self) -> Result<(), String>;
}

/// Runs one action of a gate.
///
/// # Errors
/// The answer cannot be written.
pub fn perform(
    gate: &mut dyn Gate,
    action: Action,
    targets: &[String],
    caller: Caller,
    report: &Reporter,
    out: &mut dyn Write,
) -> io::Result<Exit> {
    match action {
        Action::Off | Action::Reboot => Ok(pass(gate, targets, caller, report)),
        Action::List | Action::ListStatus => {
            for host in gate.hosts() {
                let status = if action == Action::ListStatus { ",UNKNOWN" } else { "" };
                writeln!(out, "{host},{status}")?;
            }
            Ok(Exit::Success)
        }
        Action::Monitor => Ok(match gate.monitor() {
            Ok(()) => Exit::Success,
            Err(why) => {
                report.say(Severity::Error, &format!("Failed: {why}"));
                Exit::Failed
            }
        }),
        Action::ValidateAll => Ok(Exit::Success),
        Action::On | Action::Status | Action::Diag | Action::Metadata | Action::Manpage => {
            report.say(Severity::Error, "Failed: a gate has no power state");
            Ok(Exit::Failed)
        }
    }
}

fn pass(gate: &mut dyn Gate, targets: &[String], caller: Caller, report: &Reporter) -> Exit {
    for target in targets {
        match gate.look(target, report) {
            Finding::Absent(why) => {
                report.say(Severity::Warning, &format!("ABSENT: {target}: {why}; this proves nothing"));
            }
            Finding::Delay(wait, why) => {
                report.say(Severity::Warning, &format!("DELAY {wait:?}: {target}: {why}"));
                clock::pause(wait, "the gate was configured to give the active node a head start");
                gate.after_wait(report);
            }
            Finding::Abort(why) => {
                report.say(Severity::Warning, &format!("ABORT: {target}: {why}"));
                return if caller == Caller::PicketGate { Exit::GateAbort } else { Exit::Failed };
            }
        }
    }
    match caller {
        Caller::PicketGate => Exit::Success,
        Caller::Pacemaker | Caller::Anyone => {
            report.say(
                Severity::Error,
                "this gate lets the fence go on to the next level, it has fenced nothing",
            );
            Exit::Failed
        }
    }
}
