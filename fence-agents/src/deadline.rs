//! A point in time after which nobody waits any more.
//!
//! Counted on `CLOCK_BOOTTIME`: a suspended fencer does not get more time than it was given.

use core::time::Duration;
use picket_host::clock;

/// An instant on the boot clock, or "the caller's own timeout is the only one".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Duration>);

impl Deadline {
    /// No end of its own: whoever started us ends us.
    pub const NEVER: Self = Self(None);

    /// `span` from now.
    #[must_use]
    pub fn after(span: Duration) -> Self {
        Self(clock::boottime().checked_add(span))
    }

    /// `span` from now; `None` stands for no limit.
    #[must_use]
    pub fn after_or_never(span: Option<Duration>) -> Self {
        span.map_or(Self::NEVER, Self::after)
    }

    /// The earlier of two.
    #[must_use]
    pub fn earlier(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(mine), Some(theirs)) => Self(Some(mine.min(theirs))),
            (Some(one), None) | (None, Some(one)) => Self(Some(one)),
            (None, None) => Self::NEVER,
        }
    }

    /// The time that is left: zero once it has passed, `None` if it never ends.
    #[must_use]
    pub fn remaining(self) -> Option<Duration> {
        self.0.map(|at| at.saturating_sub(clock::boottime()))
    }

    /// Whether it has passed.
    #[must_use]
    pub fn is_past(self) -> bool {
        self.remaining().is_some_and(|left| left.is_zero())
    }

    /// `span`, cut down to what is left.
    #[must_use]
    pub fn at_most(self, span: Duration) -> Duration {
        self.remaining().map_or(span, |left| left.min(span))
    }
}
