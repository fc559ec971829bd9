//! What a device is: something that can be asked, and whose power state can be read.
//!
//! Contract for every device:
//! - `set` asks. It never says that the power *is* as wanted; only `state` can, and only from what
//!   the device itself reports about the very machine that was named.
//! - `state` has three values. A connection error, an unknown name, an empty or half answer and a
//!   state in between are [`State::Unknown`] with the reason; none of them is `Off`.
//! - Both end at the deadline that they are given. A device that does not is abandoned by the
//!   [`runner`](crate::runner) and counts as one that gave no answer.

use crate::deadline::Deadline;
use crate::parting::Farewell;
use core::time::Duration;
use picket_host::clock;
use std::fmt;

/// What can be asked of a machine's power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// Powered.
    On,
    /// Not powered: nothing of it runs.
    Off,
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On => "ON",
            Self::Off => "OFF",
        })
    }
}

/// What is known about a machine's power.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The device says that it is powered.
    On,
    /// The device says that it is off.
    Off,
    /// Not known, and why. Never to be read as `Off`.
    Unknown(String),
}

impl State {
    /// Whether this is known to be `power`.
    #[must_use]
    pub fn is(&self, power: Power) -> bool {
        match self {
            Self::On => power == Power::On,
            Self::Off => power == Power::Off,
            Self::Unknown(_) => false,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On => f.write_str("ON"),
            Self::Off => f.write_str("OFF"),
            Self::Unknown(reason) => write!(f, "UNKNOWN ({reason})"),
        }
    }
}

/// Why a device did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// A definite no: asking again will not help (login refused, wrong machine, operator said no).
    #[error("refused: {0}")]
    Refused(String),
    /// Nobody knows whether it was done. Worth asking again.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// This kind of device cannot do that at all.
    #[error("this device cannot {0}")]
    Unsupported(&'static str),
}

/// The time that one call to a device may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until when it must be connected and logged in.
    pub login: Deadline,
    /// Until when the whole call must be over.
    pub call: Deadline,
}

/// A machine that a device knows, for `list` and `list-status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlet {
    /// Its name at the device, what `plug` must be.
    pub plug: String,
    /// A second name, or empty.
    pub alias: String,
    /// Its power state.
    pub state: State,
}

/// One power device. See the contract at the top of this module.
pub trait Device: Send {
    /// Asks that `plug` be powered or not.
    ///
    /// # Errors
    /// What the device refused, or that it did not answer; then the effect is unknown.
    fn set(&mut self, plug: &str, wanted: Power, limits: Limits) -> Result<(), DeviceError>;

    /// Reads the power state of `plug`.
    fn state(&mut self, plug: &str, limits: Limits) -> State;

    /// The machines that this device knows.
    ///
    /// # Errors
    /// The device cannot list, refused, or did not answer.
    fn list(&mut self, limits: Limits) -> Result<Vec<Outlet>, DeviceError>;

    /// Sends a diagnostic interrupt to `plug`.
    ///
    /// # Errors
    /// The device cannot do that, refused, or did not answer.
    fn diagnose(&mut self, plug: &str, limits: Limits) -> Result<(), DeviceError> {
        let _ = (plug, limits);
        Err(DeviceError::Unsupported("send a diagnostic interrupt"))
    }

    /// Tests without harm that the device could be used now.
    ///
    /// # Errors
    /// What stands in the way.
    fn monitor(&mut self, limits: Limits) -> Result<(), DeviceError> {
        self.list(limits).map(|_| ())
    }

    /// Waits between two looks at the state, by default `pause`. A device that is told of changes
    /// waits for the news instead, but not beyond `until`.
    ///
    /// # Errors
    /// It became certain that the wanted state will not be reached.
    fn wait(&mut self, pause: Duration, until: Deadline) -> Result<(), DeviceError> {
        clock::pause(until.at_most(pause), "power devices send no news, they must be asked again");
        Ok(())
    }

    /// What the operator should know about the options that it was opened with, a line each.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// What to do if a signal ends the process; see [`parting`](crate::parting).
    fn farewell(&self) -> Option<Farewell> {
        None
    }

    /// The action is over; what it left at the device can be tidied up.
    fn close(&mut self) {}
}
