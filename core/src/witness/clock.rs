//! Whether a node's clock runs within the bound that the lease proof leans on.
//!
//! Each heartbeat carries the node's clock. Less our own at its arrival, that is the clocks' offset less the time the
//! message took: whatever holds a message back on its way makes the node's clock look late, and nothing makes it look
//! early. So only the *best* reading of a window says something about the clock, and two windows are compared by
//! their best ones. A message that a cut link held for seconds is one bad reading among good ones.

use crate::params::DRIFT_PPM;
use crate::time::{Duration, Instant, Instants};

/// A window lasts this long at least: shorter, and the network's jitter is larger than the drift.
const WINDOW: Duration = Duration::from_secs(10);

/// Fewer readings than this may all have been held back by one fault; the window goes on until it has them.
const READINGS_MIN: u8 = 8;

/// A window is compared with an earlier one, and that is replaced at this age. Only a comparison over so long a time,
/// in which the jitter weighs little, says that a clock is inside the bound.
const REFERENCE_AGE: Duration = Duration::from_secs(60);

/// What the witness has read of a node's clock in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Clock {
    /// When the present window began.
    began: Instant,
    /// Its readings, counted up to the number that it needs.
    readings: u8,
    /// Its best one.
    best: Reading,
    /// The best one of the earlier window that later ones are compared with.
    reference: Option<Reading>,
}

/// One look at the node's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Reading {
    at: Instant,
    /// The node's clock less ours, in nanoseconds.
    skew: i128,
}

impl Reading {
    fn new(now: Instant, clock: Duration) -> Self {
        Self { at: now, skew: signed(clock) - signed(now.elapsed()) }
    }
}

impl Clock {
    /// Takes a reading at `now`; `jitter` is what the network's best case may vary by. Says that the
    /// clock is outside the bound as soon as it is seen, that it is inside after a long look, and nothing in between.
    pub(super) fn read(
        known: &mut Option<Self>,
        now: Instant,
        clock: Duration,
        jitter: Duration,
    ) -> Option<bool> {
        let reading = Reading::new(now, clock);
        let Some(open) = known else {
            *known = Some(Self { began: now, readings: 1, best: reading, reference: None });
            return None;
        };
        if now.since(open.began) < WINDOW || open.readings < READINGS_MIN {
            open.readings = open.readings.saturating_add(1).min(READINGS_MIN);
            if reading.skew > open.best.skew {
                open.best = reading;
            }
            return None;
        }
        let verdict = match open.reference {
            None => {
                open.reference = Some(open.best);
                None
            }
            Some(reference) => {
                let outside = outside(reference, open.best, jitter);
                let is_old = open.best.at.since(reference.at) >= REFERENCE_AGE;
                if is_old {
                    open.reference = Some(open.best);
                }
                (outside || is_old).then_some(outside)
            }
        };
        (open.began, open.readings, open.best) = (now, 1, reading);
        verdict
    }
}

/// Whether the clock went more wrong between two readings than the bound and the jitter allow.
fn outside(earlier: Reading, later: Reading, jitter: Duration) -> bool {
    let between = signed(later.at.since(earlier.at));
    let allowed = between * i128::from(DRIFT_PPM) / 1_000_000 + signed(jitter);
    (later.skew - earlier.skew).abs() > allowed
}

impl Instants for Clock {
    fn instants(&mut self, visit: &mut dyn FnMut(&mut Instant)) {
        visit(&mut self.began);
        visit(&mut self.best.at);
        if let Some(reference) = &mut self.reference {
            visit(&mut reference.at);
        }
    }
}

fn signed(length: Duration) -> i128 {
    i128::try_from(length.as_nanos()).unwrap_or(i128::MAX / 4)
}
