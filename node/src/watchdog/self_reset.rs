//! The machine's own reset through the kernel, and a watchdog made of it.

use super::Watchdog;
use core::time::Duration;
use picket_host::clock::boottime;
use std::fs::OpenOptions;
use std::io::{self, Write};

/// Where the kernel takes orders.
const SYSRQ: &str = "/proc/sysrq-trigger";

/// Resets the machine, or switches it off, at once and without a word to anybody: nothing is synced, nothing is
/// stopped. Returns only if it did not work.
///
/// # Errors
/// The kernel does not take the order.
pub fn kernel_reset(power_off: bool) -> io::Result<()> {
    let order = if power_off { b"o" } else { b"b" };
    OpenOptions::new().write(true).open(SYSRQ)?.write_all(order)
}

pub(super) struct SelfReset {
    effective: Duration,
    bite_at: Option<Duration>,
}

impl SelfReset {
    pub(super) const fn new(effective: Duration) -> Self {
        Self { effective, bite_at: None }
    }
}

impl Watchdog for SelfReset {
    fn pet(&mut self) -> io::Result<()> {
        let now = boottime();
        if self.bite_at.is_some_and(|at| now > at) {
            return self.bite();
        }
        self.bite_at = Some(now + self.effective);
        Ok(())
    }

    fn disarm(&mut self) -> io::Result<()> {
        self.bite_at = None;
        Ok(())
    }

    fn bite(&mut self) -> io::Result<()> {
        kernel_reset(false)
    }

    fn neglected(&mut self, now: Duration) {
        if self.bite_at.is_some_and(|at| now > at) {
            // What fails here is tried again at the next turn.
            let _ = self.bite();
        }
    }
}
