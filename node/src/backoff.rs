//! When to connect again: soon at first, then less often, never in step with others.

use core::time::Duration;

/// The first wait: within one heartbeat of the fastest profiles.
const FIRST: (u64, u64) = (20, 50);

/// The longest wait: a peer that is back is found within a fraction of every profile's lease.
const LONGEST_MS: u64 = 500;

/// Grows with each failure and is reset by a success.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How long to wait before the next try.
    pub fn wait(&mut self) -> Duration {
        let (low, high) = FIRST;
        let mut random = [0_u8; 2];
        // Without randomness all would wait for the same time, which is worse and still right.
        let _ = getrandom::fill(&mut random);
        let jitter = u64::from(u16::from_le_bytes(random)) * (high - low) / u64::from(u16::MAX);
        let factor = 1_u64 << self.failures.min(6);
        self.failures = self.failures.saturating_add(1);
        Duration::from_millis(((low + jitter) * factor).min(LONGEST_MS + jitter))
    }

    /// The connection worked.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_from_small_and_stay_bounded() {
        let mut backoff = Backoff::default();
        let first = backoff.wait();
        assert!((Duration::from_millis(20)..=Duration::from_millis(50)).contains(&first), "{first:?}");
        let last = (0..20).map(|_| backoff.wait()).last().unwrap();
        assert!((Duration::from_millis(500)..=Duration::from_millis(530)).contains(&last), "{last:?}");
        backoff.reset();
        assert!(backoff.wait() <= Duration::from_millis(50));
    }
}
