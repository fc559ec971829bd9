//! The machine's boot-time clock as the core's instants.

use core::time::Duration;
use picket_core::time::Instant;
use picket_host::clock;

/// Now, on the clock that goes on in suspend.
#[must_use]
pub fn now() -> Instant {
    instant(clock::boottime())
}

/// A reading of the clock as the core's instant.
#[must_use]
pub fn instant(boottime: Duration) -> Instant {
    Instant::since_boot(boottime)
}
