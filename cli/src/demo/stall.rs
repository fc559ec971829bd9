//! Whether this host stood still: a play on a host that does is judged by its safety alone.
//!
//! Idea: a task that asks to be woken every few milliseconds is woken late when the host is paused or overloaded,
//! and so are the daemons, which then rightly take each other for dead. An act that ended otherwise than expected
//! while that happened shows nothing about Picket's availability, and is played again. What the checker finds is
//! never excused.

use core::time::Duration;
use picket_host::clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinHandle;

/// How often the host's pace is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Half of the time after which the default timings take silence for suspicious.
const TOO_LONG: Duration = Duration::from_millis(250);

/// Looks at the host's pace until dropped.
pub struct StallWatch {
    longest_ms: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl StallWatch {
    /// Begins to look; must be called in a runtime.
    #[must_use]
    pub fn start() -> Self {
        let longest_ms = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&longest_ms);
        let task = tokio::spawn(async move {
            let mut last = clock::boottime();
            loop {
                tokio::time::sleep(LOOK).await;
                let now = clock::boottime();
                let late = now.saturating_sub(last + LOOK);
                seen.fetch_max(u64::try_from(late.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
                last = now;
            }
        });
        Self { longest_ms, task }
    }

    /// The longest time that the host stood still since the last call, if it was too long.
    #[must_use]
    pub fn take(&self) -> Option<Duration> {
        let longest = Duration::from_millis(self.longest_ms.swap(0, Ordering::Relaxed));
        (longest >= TOO_LONG).then_some(longest)
    }
}

impl Drop for StallWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
