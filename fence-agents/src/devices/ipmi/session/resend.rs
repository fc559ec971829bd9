//! When a packet without an answer is sent again, and when no longer.

use core::time::Duration;

/// The first pause: longer than controllers need for an answer (tens of milliseconds, a proof of the
/// login somewhat more), short against a login timeout of seconds.
const PAUSE_FIRST: Duration = Duration::from_millis(400);

/// The longest pause: a controller that is busy for seconds is not asked more often.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How often one packet is sent at most, with the pauses above for about 12 seconds. Who allows less
/// time ends it sooner.
pub(crate) const SENDS_MAX: u32 = 8;

/// One packet on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resend {
    at: Duration,
    pause: Duration,
    sends_left: u32,
    until: Duration,
}

/// What the clock asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing yet.
    Wait,
    /// Send it again.
    Again,
    /// Give up.
    Over,
}

impl Resend {
    /// A packet sent now, wanted until `until`.
    pub(crate) fn new(now: Duration, until: Duration) -> Self {
        Self { at: now + PAUSE_FIRST, pause: PAUSE_FIRST, sends_left: SENDS_MAX - 1, until }
    }

    /// When there is something to do next.
    pub(crate) fn next(&self) -> Duration {
        self.at.min(self.until)
    }

    /// What is to be done at `now`.
    pub(crate) fn due(&mut self, now: Duration) -> Due {
        if now >= self.until || (now >= self.at && self.sends_left == 0) {
            return Due::Over;
        }
        if now < self.at {
            return Due::Wait;
        }
        self.sends_left -= 1;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.at = now + self.pause;
        Due::Again
    }
}
