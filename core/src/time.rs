//! Instants of a machine's own boot-time clock.
//!
//! The core owns no clock: each function that depends on time takes `now`. An [`Instant`] is meaningful on one
//! machine and within one boot only; nothing compares instants of two machines. Lengths of time are
//! [`core::time::Duration`].

use core::fmt;
use core::ops::{Add, Sub};
pub use core::time::Duration;
use serde::{Deserialize, Serialize};

/// A moment of `CLOCK_BOOTTIME`, in nanoseconds since the machine's boot.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instant {
    nanos: u64,
}

impl Instant {
    /// The boot itself: before or equal to every other instant.
    pub const BOOT: Self = Self { nanos: 0 };
    /// Later than any instant that a machine lives to see (584 years).
    pub const NEVER: Self = Self { nanos: u64::MAX };

    /// The instant so long after the boot; lengths beyond 584 years are cut to [`Self::NEVER`].
    #[must_use]
    pub fn since_boot(elapsed: Duration) -> Self {
        Self { nanos: u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX) }
    }

    /// How long after the boot.
    #[must_use]
    pub const fn elapsed(self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    /// How long this is after `earlier`; zero when it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos.saturating_sub(earlier.nanos))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    /// Saturates at [`Instant::NEVER`].
    fn add(self, length: Duration) -> Self {
        let length = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        Self { nanos: self.nanos.saturating_add(length) }
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    /// Saturates at [`Instant::BOOT`].
    fn sub(self, length: Duration) -> Self {
        let length = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        Self { nanos: self.nanos.saturating_sub(length) }
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER { f.write_str("never") } else { write!(f, "@{:?}", self.elapsed()) }
    }
}

/// Gives a checker every instant that a state holds, so that states which differ only by when they happened can
/// be seen to be the same.
pub trait Instants {
    /// Calls `visit` once with each instant held.
    fn instants(&mut self, visit: &mut dyn FnMut(&mut Instant));
}

impl Instants for Instant {
    fn instants(&mut self, visit: &mut dyn FnMut(&mut Instant)) {
        visit(self);
    }
}

impl<T: Instants> Instants for Option<T> {
    fn instants(&mut self, visit: &mut dyn FnMut(&mut Instant)) {
        if let Some(inner) = self {
            inner.instants(visit);
        }
    }
}

impl<K, T: Instants> Instants for alloc::collections::BTreeMap<K, T> {
    fn instants(&mut self, visit: &mut dyn FnMut(&mut Instant)) {
        for value in self.values_mut() {
            value.instants(visit);
        }
    }
}

impl<T: Instants> Instants for alloc::vec::Vec<T> {
    fn instants(&mut self, visit: &mut dyn FnMut(&mut Instant)) {
        for value in self {
            value.instants(visit);
        }
    }
}

#[cfg(test)]
#[path = "time_tests.rs"]
mod tests;
