//! World time, and the clocks that machines read instead of it.

use picket_core::time::Instant;
use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment of the simulated world, in nanoseconds since its beginning. No machine can read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

/// So many milliseconds of world time, as nanoseconds.
pub const MS: u64 = 1_000_000;

/// One second of world time.
pub const SECOND: u64 = 1000 * MS;

impl Time {
    /// So many milliseconds after the beginning.
    #[must_use]
    pub const fn ms(ms: u64) -> Self {
        Self(ms * MS)
    }

    /// How long this is after `earlier`, in nanoseconds; zero when it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<u64> for Time {
    type Output = Self;
    fn add(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }
}

impl Sub<u64> for Time {
    type Output = Self;
    fn sub(self, nanos: u64) -> Self {
        Self(self.0.saturating_sub(nanos))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0 / 1000;
        write!(f, "{:>4}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}

/// A length as nanoseconds.
#[must_use]
pub fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

/// A boot-time clock: it starts somewhere, runs a little too fast or too slow, and stands still while its machine
/// is paused from outside.
#[derive(Clone, Debug)]
pub struct Clock {
    at: Time,
    reads: u64,
    drift_ppm: i64,
    stands: bool,
}

impl Clock {
    /// A clock that reads `reads` nanoseconds at `at`, and gains so many millionths.
    #[must_use]
    pub const fn new(at: Time, reads: u64, drift_ppm: i64) -> Self {
        Self { at, reads, drift_ppm, stands: false }
    }

    fn rate(&self) -> u128 {
        u128::try_from(1_000_000 + self.drift_ppm).unwrap_or(1_000_000)
    }

    fn elapsed(&self, now: Time) -> u64 {
        if self.stands {
            return 0;
        }
        u64::try_from(u128::from(now.since(self.at)) * self.rate() / 1_000_000).unwrap_or(u64::MAX)
    }

    /// What it reads.
    #[must_use]
    pub fn read(&self, now: Time) -> Instant {
        Instant::since_boot(Duration::from_nanos(self.reads + self.elapsed(now)))
    }

    /// When it will read `local` at the earliest, if it goes on as it does. [`Instant::NEVER`] and a clock that
    /// stands have no such moment.
    #[must_use]
    pub fn when(&self, local: Instant) -> Option<Time> {
        if local == Instant::NEVER || self.stands {
            return None;
        }
        let left = nanos(local.elapsed()).saturating_sub(self.reads);
        let world = (u128::from(left) * 1_000_000).div_ceil(self.rate());
        Some(self.at + u64::try_from(world).unwrap_or(u64::MAX))
    }

    fn rebase(&mut self, now: Time) {
        self.reads += self.elapsed(now);
        self.at = now;
    }

    /// From now on it gains so many millionths.
    pub fn set_drift(&mut self, now: Time, drift_ppm: i64) {
        self.rebase(now);
        self.drift_ppm = drift_ppm;
    }

    /// Stops it.
    pub fn stop(&mut self, now: Time) {
        self.rebase(now);
        self.stands = true;
    }

    /// Lets it go on.
    pub fn go_on(&mut self, now: Time) {
        self.rebase(now);
        self.stands = false;
        self.at = now;
    }
}
