//! The actions: set, poll, verify.
//!
//! ```text
//!   off:     state ─Off on all plugs─▶ "Already OFF"
//!              └─ else ─▶ set off ─▶ look ─Off on all plugs─▶ "Powered OFF"
//!                             ▲        │ On, Unknown
//!                             └ pause ◀┘ until power_timeout, then "Failed"
//!   reboot:  off as above, all plugs seen off ─▶ set on, look; a failed on is only logged
//! ```
//!
//! Invariant: the words "Powered OFF", "Already OFF" and "Rebooted" are written only after
//! [`State::Off`] was read for every plug after the last `set`. A device's own "done" proves nothing.

use crate::caller::Caller;
use crate::device::{DeviceError, Power, State};
use crate::exit::{self, Exit};
use crate::report::{Reporter, Severity};
use crate::runner::Runner;
use crate::timing::{POLL_PAUSE_FIRST, Timing};
use picket_host::clock;
use std::io::{self, Write};

#[cfg(test)]
mod tests;

/// What an agent can be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Power on.
    On,
    /// Power off and see it off.
    Off,
    /// Off, seen off, then on.
    Reboot,
    /// Say the power state.
    Status,
    /// Name the machines that the device knows.
    List,
    /// The same with their power state.
    ListStatus,
    /// Test the device without harm.
    Monitor,
    /// Describe the agent in XML.
    Metadata,
    /// Describe the agent as a manual page.
    Manpage,
    /// Check the options.
    ValidateAll,
    /// Send a diagnostic interrupt. No fence.
    Diag,
}

impl Action {
    /// All of them, in the order of the metadata.
    pub const ALL: [Self; 11] = [
        Self::On,
        Self::Off,
        Self::Reboot,
        Self::Status,
        Self::List,
        Self::ListStatus,
        Self::Monitor,
        Self::Metadata,
        Self::Manpage,
        Self::ValidateAll,
        Self::Diag,
    ];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Reboot => "reboot",
            Self::Status => "status",
            Self::List => "list",
            Self::ListStatus => "list-status",
            Self::Monitor => "monitor",
            Self::Metadata => "metadata",
            Self::Manpage => "manpage",
            Self::ValidateAll => "validate-all",
            Self::Diag => "diag",
        }
    }

    /// The action of this name, in any case, with `_` for `-`; `meta-data` is `metadata`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase().replace('_', "-");
        if name == "meta-data" {
            return Some(Self::Metadata);
        }
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    /// Whether it is about machines, so that it needs a plug.
    #[must_use]
    pub const fn needs_plug(self) -> bool {
        match self {
            Self::On | Self::Off | Self::Reboot | Self::Status | Self::ValidateAll | Self::Diag => true,
            Self::List | Self::ListStatus | Self::Monitor | Self::Metadata | Self::Manpage => false,
        }
    }
}

/// Why a wanted power state was not reached.
enum Shortfall {
    /// It cannot be reached.
    Refused(DeviceError),
    /// It was not seen in time; what was seen last.
    TimedOut(String),
}

/// One run of one action on some machines.
pub struct Run<'a> {
    /// The device.
    pub runner: &'a mut Runner,
    /// Whether the device can power on.
    pub powers_on: bool,
    /// The machines.
    pub plugs: &'a [String],
    /// Waits and limits.
    pub timing: Timing,
    /// Where messages go.
    pub report: &'a Reporter,
}

impl Run<'_> {
    /// Powers on. Exit 0 if on was seen.
    ///
    /// # Errors
    /// The answer cannot be written.
    pub fn on(&mut self, out: &mut dyn Write) -> io::Result<Exit> {
        if !self.powers_on {
            self.report.say(Severity::Error, &DeviceError::Unsupported("power on").to_string());
            return Ok(Exit::Failed);
        }
        self.to(Power::On, 1 + self.timing.retry_on, out)
    }

    /// Powers off. Exit 0 only if off was seen.
    ///
    /// # Errors
    /// The answer cannot be written.
    pub fn off(&mut self, out: &mut dyn Write) -> io::Result<Exit> {
        self.wait_before();
        self.to(Power::Off, 1, out)
    }

    /// Off, seen off, then on. Exit 0 once off was seen.
    ///
    /// # Errors
    /// The answer cannot be written.
    pub fn reboot(&mut self, out: &mut dyn Write) -> io::Result<Exit> {
        self.wait_before();
        if !self.all_are(Power::Off)
            && let Err(shortfall) = self.drive(Power::Off)
        {
            return Ok(self.failed(Power::Off, &shortfall));
        }
        if self.powers_on && !self.tried(Power::On, self.timing.retry_on.max(1)) {
            self.report.say(Severity::Error, "the machine was seen off, but could not be powered on again");
        }
        writeln!(out, "{}", exit::REBOOTED)?;
        Ok(Exit::Success)
    }

    /// Says the power state: on if any machine is on, off only if all are known to be off.
    ///
    /// # Errors
    /// The answer cannot be written.
    pub fn status(&mut self, out: &mut dyn Write) -> io::Result<Exit> {
        let mut unknown = None;
        let mut any_on = false;
        for plug in self.plugs {
            match self.runner.state(plug) {
                State::On => any_on = true,
                State::Off => {}
                State::Unknown(reason) => unknown = Some(format!("{plug}: {reason}")),
            }
        }
        if any_on {
            writeln!(out, "{}", exit::status(Power::On))?;
            return Ok(Exit::Success);
        }
        if let Some(reason) = unknown {
            self.report.say(Severity::Error, &format!("{}: {reason}", exit::STATUS_UNKNOWN));
            return Ok(Exit::Failed);
        }
        writeln!(out, "{}", exit::status(Power::Off))?;
        Ok(Exit::StatusOff)
    }

    /// Sends a diagnostic interrupt to every machine. Whether one of them heeds it cannot be read
    /// anywhere, so a caller that might take 0 for a fence is not given it.
    ///
    /// # Errors
    /// The answer cannot be written.
    pub fn diag(&mut self, caller: Caller, out: &mut dyn Write) -> io::Result<Exit> {
        for plug in self.plugs {
            if let Err(error) = self.runner.diagnose(plug) {
                self.report.say(Severity::Error, &format!("Failed: {plug}: {error}"));
                return Ok(Exit::Failed);
            }
        }
        if caller == Caller::Pacemaker {
            self.report.say(Severity::Error, exit::DIAG_IS_NO_FENCE);
            return Ok(Exit::Failed);
        }
        writeln!(out, "{}", exit::DIAG_SENT)?;
        Ok(Exit::Success)
    }

    fn to(&mut self, wanted: Power, attempts: u32, out: &mut dyn Write) -> io::Result<Exit> {
        if self.all_are(wanted) {
            writeln!(out, "{}", exit::already(wanted))?;
            return Ok(Exit::Success);
        }
        if self.tried(wanted, attempts) {
            writeln!(out, "{}", exit::powered(wanted))?;
            return Ok(Exit::Success);
        }
        Ok(Exit::Failed)
    }

    /// `delay` is there so that two nodes do not shoot at the same instant.
    fn wait_before(&self) {
        if !self.timing.delay.is_zero() {
            self.report.say(Severity::Info, &format!("waiting {:?} as asked by delay", self.timing.delay));
            clock::pause(self.timing.delay, "the delay option asks for it");
        }
    }

    fn all_are(&mut self, wanted: Power) -> bool {
        self.look(wanted).is_none()
    }

    /// What stands against every plug being as wanted, or nothing.
    fn look(&mut self, wanted: Power) -> Option<String> {
        for plug in self.plugs {
            let state = self.runner.state(plug);
            if !state.is(wanted) {
                return Some(format!("{plug} is {state}"));
            }
        }
        None
    }

    /// Up to `attempts` times; says what went wrong.
    fn tried(&mut self, wanted: Power, attempts: u32) -> bool {
        for _ in 0..attempts {
            match self.drive(wanted) {
                Ok(()) => return true,
                Err(shortfall @ Shortfall::Refused(_)) => {
                    self.failed(wanted, &shortfall);
                    return false;
                }
                Err(shortfall @ Shortfall::TimedOut(_)) => {
                    self.failed(wanted, &shortfall);
                }
            }
        }
        false
    }

    fn failed(&self, wanted: Power, shortfall: &Shortfall) -> Exit {
        let text = match shortfall {
            Shortfall::Refused(error) => format!("Failed: {error}"),
            Shortfall::TimedOut(seen) => format!("{}: {seen}", exit::timed_out(wanted)),
        };
        self.report.say(Severity::Error, &text);
        Exit::Failed
    }

    /// Set, then look until every plug is as wanted. A `set` without an answer is sent again on the
    /// next turn: asking twice for the same power state is harmless, not asking is not.
    /// The loop is bounded by `power_timeout`, or, if there is none, by the caller's timeout.
    fn drive(&mut self, wanted: Power) -> Result<(), Shortfall> {
        let mut unasked: Vec<&String> = self.plugs.iter().collect();
        let mut pause = POLL_PAUSE_FIRST.min(self.timing.status_sleep);
        let mut until = None;
        let mut told = String::new();
        loop {
            let mut still_unasked = Vec::new();
            for plug in unasked {
                self.report.say(Severity::Info, &format!("asking for {plug} to be {wanted}"));
                match self.runner.set(plug, wanted) {
                    Ok(()) => {}
                    Err(error @ (DeviceError::Refused(_) | DeviceError::Unsupported(_))) => {
                        return Err(Shortfall::Refused(error));
                    }
                    Err(error @ DeviceError::NoAnswer(_)) => {
                        let warning = format!("{plug}: {error}");
                        // Said once, not at every turn: the line that names the cause must not drown.
                        if warning != told {
                            self.report.say(Severity::Warning, &warning);
                            told = warning;
                        }
                        still_unasked.push(plug);
                    }
                }
                if !self.timing.power_wait.is_zero() {
                    clock::pause(self.timing.power_wait, "the power_wait option asks for it");
                }
            }
            unasked = still_unasked;
            // Counted from the first asking that came to an end, as callers expect.
            let until = *until.get_or_insert_with(|| self.timing.power());
            let Some(seen) = self.look(wanted) else { return Ok(()) };
            if until.is_past() {
                return Err(Shortfall::TimedOut(seen));
            }
            match self.runner.wait(pause, until) {
                Ok(()) | Err(DeviceError::NoAnswer(_)) => {}
                Err(error @ (DeviceError::Refused(_) | DeviceError::Unsupported(_))) => {
                    return Err(Shortfall::Refused(error));
                }
            }
            pause = (pause * 2).min(self.timing.status_sleep);
        }
    }
}
