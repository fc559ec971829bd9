//! How long what may take, read from the options once.
//!
//! Under Pacemaker, or with `disable_timeout`, the caller's timeout is the only one: the limits
//! become [`Deadline::NEVER`]. The waits that were asked for (delay, `power_wait`) stay.

use crate::caller::Caller;
use crate::deadline::Deadline;
use crate::device::Limits;
use crate::input::{InputError, Options};
use core::time::Duration;

/// The first pause between two looks at the power state. Short, because a hypervisor is done in
/// milliseconds; it doubles up to `stonith_status_sleep`, because a management controller is not.
pub const POLL_PAUSE_FIRST: Duration = Duration::from_millis(20);

/// The shortest value of `stonith_status_sleep`: 0 would ask a device without a break.
pub const POLL_PAUSE_LEAST: Duration = Duration::from_millis(10);

/// The most that `retry_on` may ask for: 100 attempts outlast every timeout of a caller.
pub const RETRY_ON_MAX: u32 = 100;

/// Waits and limits of one run.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Before `off` and `reboot`.
    pub delay: Duration,
    /// After a `set`, before the first look.
    pub power_wait: Duration,
    /// Longest pause between two looks.
    pub status_sleep: Duration,
    /// How often `on` is tried again.
    pub retry_on: u32,
    login: Option<Duration>,
    shell: Option<Duration>,
    power: Option<Duration>,
}

impl Timing {
    /// Reads the options. Under Pacemaker there are no limits.
    ///
    /// # Errors
    /// A value that is no number of seconds, or a `retry_on` above [`RETRY_ON_MAX`].
    pub fn read(options: &Options, caller: Caller) -> Result<Self, InputError> {
        let unlimited = options.truth("disable_timeout")?.unwrap_or_else(|| caller == Caller::Pacemaker);
        let limit = |name| -> Result<Option<Duration>, InputError> {
            let span = options.seconds(name)?;
            // Zero means "no limit" in the agent interface.
            Ok(if unlimited || span.is_zero() { None } else { Some(span) })
        };
        Ok(Self {
            delay: options.seconds("delay")?,
            power_wait: options.seconds("power_wait")?,
            status_sleep: options.seconds("stonith_status_sleep")?.max(POLL_PAUSE_LEAST),
            retry_on: options.integer("retry_on", RETRY_ON_MAX)?,
            login: limit("login_timeout")?,
            shell: limit("shell_timeout")?,
            power: limit("power_timeout")?,
        })
    }

    /// The limits of one call that begins now: connect within the login timeout, and answer within
    /// the shell timeout after that.
    #[must_use]
    pub fn call(&self) -> Limits {
        let whole = self.login.zip(self.shell).map(|(login, shell)| login + shell);
        Limits { login: Deadline::after_or_never(self.login), call: Deadline::after_or_never(whole) }
    }

    /// Until when a power state asked for now must be seen.
    #[must_use]
    pub fn power(&self) -> Deadline {
        Deadline::after_or_never(self.power)
    }
}
