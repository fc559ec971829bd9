//! The machine's watchdog: petted over a socket, kills the machine when it is not.
//!
//! Modelled on `/dev/watchdog`. One client at a time; each line has one answer:
//!
//! ```text
//! pet <timeout ms>\n      ok <effective ms>\n      armed from now on; bites that long after this pet
//! measure <timeout ms>\n  effective <ms>\n         what that timeout would really be; changes nothing
//! V\n                     ok 0\n                   the next close disarms (not with nowayout)
//! anything else           error <why>\n
//! ```
//!
//! ```text
//!   idle ──pet──▶ armed ──pet──▶ armed (anew)
//!                   │ close after V ─▶ idle
//!                   │ close without V ─▶ armed still; another client may go on petting
//!                   └ time over ─▶ bite: the machine is killed
//! ```
//!
//! A pet after `V` takes the `V` back, as in the kernel. A second client is answered
//! `error busy` and disconnected. The effective time is the timeout rounded up to the device's
//! granularity; the bite comes at that time after the supervisor has read the pet, or, on a busy
//! host, a little later, never earlier.

use super::spec::WatchdogSpec;
use core::time::Duration;

#[cfg(test)]
mod tests;

/// The longest timeout that can be set: an hour is beyond every watchdog profile.
pub const TIMEOUT_MS_MAX: u64 = 3_600_000;

/// A watchdog; decides, does not wait. `now` is on the boot clock.
#[derive(Debug)]
pub struct Watchdog {
    spec: WatchdogSpec,
    bite_at: Option<Duration>,
    magic: bool,
    open: bool,
    paused_with: Option<Duration>,
}

impl Watchdog {
    /// One that is not armed.
    #[must_use]
    pub const fn new(spec: WatchdogSpec) -> Self {
        Self { spec, bite_at: None, magic: false, open: false, paused_with: None }
    }

    /// When it bites, if nobody pets it before.
    #[must_use]
    pub const fn bite_at(&self) -> Option<Duration> {
        self.bite_at
    }

    /// Whether it will bite sooner or later.
    #[must_use]
    pub const fn is_armed(&self) -> bool {
        self.bite_at.is_some() || self.paused_with.is_some()
    }

    /// A client connects. `false`: it is in use.
    pub const fn open(&mut self) -> bool {
        if self.open {
            return false;
        }
        self.open = true;
        self.magic = false;
        true
    }

    /// The client has gone, with or without having said so.
    pub const fn close(&mut self) {
        self.open = false;
        if self.magic && !self.spec.nowayout {
            self.disarm();
        }
        self.magic = false;
    }

    /// No longer armed: the machine is off.
    pub const fn disarm(&mut self) {
        self.bite_at = None;
        self.paused_with = None;
    }

    /// The whole machine is paused, and its watchdog with it.
    pub fn pause(&mut self, now: Duration) {
        if let Some(at) = self.bite_at.take() {
            self.paused_with = Some(at.saturating_sub(now));
        }
    }

    /// The machine goes on.
    pub fn resume(&mut self, now: Duration) {
        if let Some(left) = self.paused_with.take() {
            self.bite_at = Some(now + left);
        }
    }

    /// The effective time of a timeout, in milliseconds.
    #[must_use]
    pub const fn effective_ms(&self, timeout_ms: u64) -> u64 {
        timeout_ms.next_multiple_of(self.spec.granularity_ms)
    }

    /// One line from the client, and the answer to it.
    pub fn line(&mut self, line: &str, now: Duration) -> String {
        let mut words = line.split_whitespace();
        let (word, value, rest) = (words.next(), words.next(), words.next());
        if (word, value) == (Some("V"), None) {
            self.magic = true;
            return "ok 0".to_owned();
        }
        let timeout_ms = value.and_then(|value| value.parse().ok());
        let timeout_ms = timeout_ms.filter(|ms| (1..=TIMEOUT_MS_MAX).contains(ms) && rest.is_none());
        match (word, timeout_ms) {
            (Some("pet"), Some(timeout_ms)) => {
                let effective_ms = self.effective_ms(timeout_ms);
                self.magic = false;
                self.bite_at = Some(now + Duration::from_millis(effective_ms));
                format!("ok {effective_ms}")
            }
            (Some("measure"), Some(timeout_ms)) => format!("effective {}", self.effective_ms(timeout_ms)),
            (Some("pet" | "measure"), None) => {
                format!("error a timeout from 1 to {TIMEOUT_MS_MAX} ms is needed: {line:?}")
            }
            (Some(_) | None, _) => format!("error not of the watchdog protocol: {line:?}"),
        }
    }
}
