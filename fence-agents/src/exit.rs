//! Exit statuses and the words that callers look for.

use crate::device::Power;
use std::process::ExitCode;

/// How an agent ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done, or already so; for `status`: the machine is on.
    Success,
    /// 1: failed, refused or not known.
    Failed,
    /// 2: only for `status`: the machine is off.
    StatusOff,
    /// 2, given only to Picket's daemon by a gate: the fence should not happen.
    GateAbort,
}

impl Exit {
    /// The number that the caller sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::StatusOff | Self::GateAbort => 2,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// `Success: Powered OFF`.
#[must_use]
pub fn powered(power: Power) -> String {
    format!("Success: Powered {power}")
}

/// `Success: Already OFF`.
#[must_use]
pub fn already(power: Power) -> String {
    format!("Success: Already {power}")
}

/// `Status: ON`.
#[must_use]
pub fn status(power: Power) -> String {
    format!("Status: {power}")
}

/// `Failed: Timed out waiting to power OFF`.
#[must_use]
pub fn timed_out(power: Power) -> String {
    format!("Failed: Timed out waiting to power {power}")
}

/// What `reboot` says once off was verified.
pub const REBOOTED: &str = "Success: Rebooted";

/// What `status` says when it cannot tell.
pub const STATUS_UNKNOWN: &str = "Failed: Unable to obtain correct plug status or plug is not available";

/// What `diag` says once the device took it.
pub const DIAG_SENT: &str = "Success: Diagnostic interrupt sent; the power state was not touched";

/// What `diag` says to a caller that would take 0 for a fence.
pub const DIAG_IS_NO_FENCE: &str = "Failed: the diagnostic interrupt was sent, but nothing was seen off: diag is no fence, use off or reboot";
