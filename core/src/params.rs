//! Timings, their profiles and the inequalities between them.
//!
//! A set of timings is used only after [`Params::validate`] found every inequality kept; a broken one is refused
//! with the inequality and its numbers.

use crate::mutant::{self, Mutant};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The bound ρ on how much faster or slower a node's clock may run than the witness's, in millionths.
pub const DRIFT_PPM: u64 = 5_000;

/// How far a jump of epochs and versions goes when a witness recovers or an operator overrides: further than any
/// lost history can have gone.
pub const EPOCH_JUMP: u64 = 1 << 16;

/// A fence-loop is more than this many fences of one node within [`FENCE_LOOP_WINDOW`].
pub const FENCE_LOOP_LIMIT: usize = 3;

/// See [`FENCE_LOOP_LIMIT`].
pub const FENCE_LOOP_WINDOW: Duration = Duration::from_secs(600);

/// A named set of timings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// The default: sub-second fencing on an ordinary network, lease proof within 2.5 s.
    Fast,
    /// Detection within 125 ms; needs realtime priority on every node; no lease proof.
    LanAggressive,
    /// For round trips of tens of milliseconds.
    Wan,
    /// For watchdogs that cannot go below five seconds.
    SlowWatchdog,
}

impl Profile {
    /// Every profile, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Fast, Self::LanAggressive, Self::Wan, Self::SlowWatchdog];

    /// The name in configuration files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::LanAggressive => "lan-aggressive",
            Self::Wan => "wan",
            Self::SlowWatchdog => "slow-watchdog",
        }
    }

    /// The timings of the profile; they keep every inequality.
    #[must_use]
    pub const fn params(self) -> Params {
        let ms = Duration::from_millis;
        match self {
            Self::Fast => Params {
                heartbeat: ms(100),
                misses: 4,
                watchdog: Some(Watchdog { effective: ms(1000), pet: ms(40) }),
                lease: ms(2400),
                freeze_before: ms(1250),
                guard: ms(60),
                lateness: ms(30),
                freeze_time: ms(100),
                start_within: ms(500),
            },
            Self::LanAggressive => Params {
                heartbeat: ms(25),
                misses: 4,
                watchdog: None,
                lease: ms(300),
                freeze_before: ms(60),
                guard: ms(25),
                lateness: ms(20),
                freeze_time: ms(40),
                start_within: ms(200),
            },
            Self::Wan => Params {
                heartbeat: ms(250),
                misses: 4,
                watchdog: Some(Watchdog { effective: ms(1000), pet: ms(50) }),
                lease: ms(3500),
                freeze_before: ms(1500),
                guard: ms(120),
                lateness: ms(50),
                freeze_time: ms(200),
                start_within: ms(1000),
            },
            Self::SlowWatchdog => Params {
                heartbeat: ms(250),
                misses: 4,
                watchdog: Some(Watchdog { effective: ms(5000), pet: ms(100) }),
                lease: ms(12_000),
                freeze_before: ms(5500),
                guard: ms(250),
                lateness: ms(50),
                freeze_time: ms(200),
                start_within: ms(1000),
            },
        }
    }
}

/// What the lease proof leans on: how fast the watchdog kills and how often it is petted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Watchdog {
    /// W: the longest time from the last pet to the machine being dead, as measured on it.
    pub effective: Duration,
    /// p: the petting period.
    pub pet: Duration,
}

/// The timings of a cluster. The letters are those of `docs/SAFETY.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Params {
    /// h: the interval between heartbeats.
    pub heartbeat: Duration,
    /// m: how many heartbeats in a row are missed before a sender is suspected.
    pub misses: u32,
    /// W and p; none: lease expiry is never a proof of inactivity.
    pub watchdog: Option<Watchdog>,
    /// L: how long a renewal lasts, from the send of the request that was answered.
    pub lease: Duration,
    /// F: how long before the end of its lease a holder freezes.
    pub freeze_before: Duration,
    /// G: what the witness adds to a lease before it takes it for expired.
    pub guard: Duration,
    /// How late the witness's own timer can be read.
    pub lateness: Duration,
    /// The longest time that a freeze takes.
    pub freeze_time: Duration,
    /// How long after asking for it a permit may still be used to start a fence agent.
    pub start_within: Duration,
}

/// An inequality that a set of timings breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenInequality {
    /// The inequality, in the letters of `docs/SAFETY.md`.
    pub inequality: &'static str,
    /// The same with the numbers put in.
    pub numbers: String,
}

impl fmt::Display for BrokenInequality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} does not hold: {}", self.inequality, self.numbers)
    }
}

impl core::error::Error for BrokenInequality {}

/// A length that a clock which is off by up to ρ may take for `length`.
#[must_use]
pub fn with_drift(length: Duration) -> Duration {
    length + Duration::from_nanos(nanos(length) / 1_000_000 * DRIFT_PPM)
}

fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX / DRIFT_PPM)
}

fn ms(length: Duration) -> String {
    let micros = length.as_micros();
    if micros.is_multiple_of(1000) {
        format!("{} ms", micros / 1000)
    } else {
        format!("{}.{:03} ms", micros / 1000, micros % 1000)
    }
}

impl Params {
    /// The shortest guard that covers the drift of both clocks over a lease: 2ρL/(1−ρ).
    #[must_use]
    pub fn drift_over_lease(&self) -> Duration {
        let lease = nanos(self.lease);
        let numerator = 2 * u128::from(DRIFT_PPM) * u128::from(lease);
        let nanos = numerator.div_ceil(u128::from(1_000_000 - DRIFT_PPM));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// How long before the end of a lease petting stops: 2W + p. A look at the clock and the pet that follows it
    /// can be up to W apart, and the pet lasts another W. Zero without a watchdog.
    #[must_use]
    pub fn petting_margin(&self) -> Duration {
        let Some(Watchdog { effective, pet }) = self.watchdog else { return Duration::ZERO };
        let torn = if mutant::on(Mutant::M26) { Duration::ZERO } else { effective };
        effective + torn + pet
    }

    /// How much of a lease must be left when its grant is used: time for the driver, and for the machine to end in it. A
    /// look at the clock just before the grant may have allowed a pet that is not through yet, as if there were no lease.
    #[must_use]
    pub fn granted_margin(&self) -> Duration {
        (self.freeze_before + self.heartbeat).max(self.petting_margin())
    }

    /// How long a promise lasts to whoever takes its lease for `lease`: the longer of both leases, and a guard that covers
    /// the drift of both clocks over it.
    #[must_use]
    pub fn promise(&self, lease: Duration) -> Duration {
        let longest = Self { lease: self.lease.max(lease), ..*self };
        longest.lease + self.guard.max(longest.drift_over_lease() + self.lateness)
    }

    /// How long silence lasts before its sender is suspected: (m+1)·h.
    #[must_use]
    pub fn suspect_after(&self) -> Duration {
        self.heartbeat * (self.misses + 1)
    }

    /// Who took nothing in for so long may have slept through what was sent to it meanwhile: (m−½)·h. From the last
    /// heartbeat that was read to the suspicion it must have slept through all that were due in between.
    #[must_use]
    pub fn sleeps(&self) -> Duration {
        self.suspect_after() - self.heartbeat - self.heartbeat / 2
    }

    /// What the witness counts from its own processing of a renewal: L+G.
    #[must_use]
    pub fn lease_and_guard(&self) -> Duration {
        self.lease + self.guard
    }

    /// Checks every inequality.
    ///
    /// # Errors
    /// Each inequality that does not hold, with its numbers.
    pub fn validate(&self) -> Result<(), Vec<BrokenInequality>> {
        let mut broken = Vec::new();
        let mut need = |holds: bool, inequality: &'static str, numbers: String| {
            if !holds {
                broken.push(BrokenInequality { inequality, numbers });
            }
        };
        need(self.heartbeat >= Duration::from_millis(5), "h ≥ 5 ms", format!("h = {}", ms(self.heartbeat)));
        need((2..=100).contains(&self.misses), "2 ≤ m ≤ 100", format!("m = {}", self.misses));
        self.validate_guard(&mut need);
        self.validate_watchdog(&mut need);
        let jitter = self.suspect_after();
        let left = self.lease.saturating_sub(self.freeze_before);
        need(
            left > jitter,
            "L − F > (m+1)·h",
            format!("L = {}, F = {}, (m+1)·h = {}", ms(self.lease), ms(self.freeze_before), ms(jitter)),
        );
        need(
            self.start_within > Duration::ZERO && self.start_within <= self.lease,
            "0 < start_within ≤ L",
            format!("start_within = {}, L = {}", ms(self.start_within), ms(self.lease)),
        );
        if broken.is_empty() { Ok(()) } else { Err(broken) }
    }

    fn validate_guard(&self, need: &mut impl FnMut(bool, &'static str, String)) {
        let floor = self.drift_over_lease() + self.lateness;
        need(
            self.guard >= floor,
            "G ≥ 2ρL/(1−ρ) + lateness",
            format!(
                "G = {}, 2ρL/(1−ρ) = {} with ρ = 0.5 % and L = {}, lateness = {}",
                ms(self.guard),
                ms(self.drift_over_lease()),
                ms(self.lease),
                ms(self.lateness)
            ),
        );
    }

    fn validate_watchdog(&self, need: &mut impl FnMut(bool, &'static str, String)) {
        let Some(watchdog) = self.watchdog else {
            need(
                self.freeze_before > self.freeze_time,
                "F > freeze time",
                format!("F = {}, freeze time = {}", ms(self.freeze_before), ms(self.freeze_time)),
            );
            return;
        };
        // The freeze must be done, and told to the petting thread, before the watchdog that is petted no more fires.
        need(
            self.freeze_before > watchdog.effective + 2 * watchdog.pet + self.freeze_time,
            "F > W + 2p + freeze time",
            format!(
                "F = {}, W = {}, p = {}, freeze time = {}",
                ms(self.freeze_before),
                ms(watchdog.effective),
                ms(watchdog.pet),
                ms(self.freeze_time)
            ),
        );
        // Two heartbeats are left beside the end of the machine: a lease counts from a heartbeat, and its grant has to
        // come before the margin of what is granted begins.
        let floor = 2 * with_drift(watchdog.effective) + 2 * watchdog.pet + 2 * self.heartbeat;
        need(
            self.lease >= floor,
            "L ≥ 2W(1+ρ) + 2p + 2h",
            format!(
                "L = {}, 2W(1+ρ) + 2p + 2h = {} with W = {}, p = {} and h = {}",
                ms(self.lease),
                ms(floor),
                ms(watchdog.effective),
                ms(watchdog.pet),
                ms(self.heartbeat)
            ),
        );
        need(
            watchdog.pet > Duration::ZERO && 4 * watchdog.pet <= watchdog.effective,
            "0 < 4p ≤ W",
            format!("p = {}, W = {}", ms(watchdog.pet), ms(watchdog.effective)),
        );
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
#[path = "params_tests.rs"]
mod tests;
