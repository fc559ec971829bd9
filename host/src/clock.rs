//! The two clocks, the one allowed pause, and the alarm.
//!
//! Idea: every decision uses [`boottime`], which goes on counting while the machine is suspended,
//! so that a lease cannot outlive a night in standby. [`wall`] is for people: logs, certificates,
//! audit lines. No decision about authority may read it.
//!
//! Contract: `boottime` never goes back within one boot and means nothing across boots. An
//! [`Alarm`] fires at or after its instant, never before; how much later is the kernel's and the
//! scheduler's matter (tens of microseconds on an idle machine), not the runtime's 1 ms rounding.

use core::time::Duration;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::OwnedFd;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

#[cfg(test)]
mod tests;

/// Time since this kernel booted, suspend included (`CLOCK_BOOTTIME`).
#[must_use]
pub fn boottime() -> Duration {
    duration_of(clock_gettime(ClockId::Boottime))
}

/// The wall clock. For people only: it jumps, and it may be wrong.
#[must_use]
pub fn wall() -> SystemTime {
    UNIX_EPOCH + duration_of(clock_gettime(ClockId::Realtime))
}

/// Blocks the calling thread for `duration`. The only blocking pause that our code may use, and
/// never inside an asynchronous task; `reason` states why no event can be waited for instead.
pub fn pause(duration: Duration, reason: &'static str) {
    tracing::trace!(?duration, reason, "pause");
    #[allow(clippy::disallowed_methods)] // this is the replacement that the lint names
    std::thread::sleep(duration);
}

/// A wall-clock instant as `2026-01-31T12:34:56.789Z` (UTC, milliseconds, rounded down).
/// Instants before 1970 are shown as 1970-01-01T00:00:00.000Z.
#[must_use]
pub fn rfc3339(instant: SystemTime) -> String {
    let since_epoch = instant.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since_epoch.as_secs();
    let (year, month, day) = civil_from_days(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let millis = since_epoch.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day of the Gregorian calendar for a count of days since 1970-01-01.
/// Counts years from March in eras of 400 years (146 097 days), as Hinnant's `civil_from_days`.
const fn civil_from_days(days_since_epoch: u64) -> (u64, u64, u64) {
    const DAYS_FROM_YEAR_0_TO_EPOCH: u64 = 719_468;
    let days = days_since_epoch + DAYS_FROM_YEAR_0_TO_EPOCH;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + (month <= 2) as u64;
    (year, month, day)
}

/// An asynchronous timer on `CLOCK_BOOTTIME`. One instant at a time; setting replaces.
///
/// The runtime's own timer rounds to 1 ms and stops in suspend; this one does neither.
#[derive(Debug)]
pub struct Alarm {
    timer: AsyncFd<OwnedFd>,
    at: Option<Duration>,
}

impl Alarm {
    /// An alarm that is not set.
    ///
    /// # Errors
    /// No more descriptors, or called outside a tokio runtime with I/O enabled.
    pub fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        Ok(Self { timer: crate::sys::watch(timer, Interest::READABLE)?, at: None })
    }

    /// Sets the alarm to the boot-time instant `at`. An instant that has passed fires at once.
    ///
    /// # Errors
    /// The kernel refused the timer; the alarm then counts as not set.
    pub fn set(&mut self, at: Duration) -> io::Result<()> {
        self.at = None;
        // The value zero would disarm the timer; one nanosecond after boot has also passed.
        self.program(at.max(Duration::from_nanos(1)))?;
        self.at = Some(at);
        Ok(())
    }

    /// Unsets the alarm: [`Alarm::fired`] then waits for ever.
    ///
    /// # Errors
    /// The kernel refused the timer.
    pub fn clear(&mut self) -> io::Result<()> {
        self.at = None;
        self.program(Duration::ZERO)
    }

    /// The instant that it is set to, until it has fired.
    #[must_use]
    pub const fn at(&self) -> Option<Duration> {
        self.at
    }

    /// Waits for the instant and unsets the alarm. Waits for ever while it is not set.
    /// Cancel-safe: a dropped wait loses nothing.
    ///
    /// # Errors
    /// The timer could not be read. The alarm stays set; the caller must not take it as fired.
    pub async fn fired(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.timer.readable().await?;
            let read = ready.try_io(|timer| {
                let mut expirations = [0_u8; 8];
                Ok(rustix::io::read(timer.get_ref(), &mut expirations)?)
            });
            match read {
                // A leftover of an earlier setting is not this one's expiry.
                Ok(Ok(_)) if self.at.is_some_and(|at| boottime() >= at) => {
                    self.at = None;
                    return Ok(());
                }
                Ok(Ok(_)) | Err(_) => {}
                // Linux answers so when the clock was set; our clock cannot be, so read again.
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error),
            }
        }
    }

    fn program(&self, at: Duration) -> io::Result<()> {
        let spec = Itimerspec { it_interval: timespec_of(Duration::ZERO), it_value: timespec_of(at) };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &spec)?;
        Ok(())
    }
}

fn duration_of(time: Timespec) -> Duration {
    // The kernel keeps both fields non-negative for these clocks (a wall clock before 1970 reads as 1970).
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}

fn timespec_of(duration: Duration) -> Timespec {
    // The largest second count is far beyond any uptime: an instant out there simply never comes.
    const SECONDS_MAX: u64 = i64::MAX as u64 / 1_000_000_000;
    #[allow(clippy::cast_possible_wrap)] // bounded by the line above
    let tv_sec = duration.as_secs().min(SECONDS_MAX) as i64;
    Timespec { tv_sec, tv_nsec: duration.subsec_nanos().into() }
}
