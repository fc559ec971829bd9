//! The machine's watchdog, and the thread that pets it.
//!
//! What each kind proves: a *device* kills the machine whatever its kernel does (softdog does not, and counts only
//! if the user says so); a *self-reset* is the petting thread itself and dies with the kernel, so it never counts;
//! a *lab* watchdog kills a lab machine; *none* proves nothing.
//!
//! ```text
//!   loop ──publishes──► Bounds { lease, progress } ──read──► petting thread ──pet──► watchdog
//!                                                       └── late: bite at once
//! ```
//! Contract: the thread pets only while the clock is before both bounds, and reads the clock and the lease bound
//! again after each pet: one that came more than W after the bound, which a watchdog of W does not let happen, could
//! keep the machine alive beyond its lease, so the machine is reset at once. When the thread or the whole process
//! ends without an orderly close, the watchdog bites.

use crate::config::{WatchdogConfig, WatchdogKind};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use picket_core::time::Instant;
use std::io;
use std::sync::Arc;

mod device;
mod lab;
pub mod measure;
mod petter;
mod self_reset;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_devices;

pub use device::Identity;
pub use petter::{Bite, Petting, Tell, Trouble, start};
pub use self_reset::kernel_reset;

/// A watchdog that is open. All calls are short; none waits longer than a petting period allows.
pub trait Watchdog: Send {
    /// Pets it; the first pet arms it.
    ///
    /// # Errors
    /// Not petted, or nobody knows.
    fn pet(&mut self) -> io::Result<()>;

    /// Switches it off in order.
    ///
    /// # Errors
    /// It stays armed.
    fn disarm(&mut self) -> io::Result<()>;

    /// Has it kill the machine as soon as it can.
    ///
    /// # Errors
    /// It cannot be told; not petting it still kills the machine.
    fn bite(&mut self) -> io::Result<()>;

    /// Called at each turn at which it is not petted. A watchdog that is no device looks at its own time here.
    fn neglected(&mut self, _now: Duration) {}
}

/// A watchdog with what is known of it.
pub struct Opened {
    /// The watchdog.
    pub watchdog: Box<dyn Watchdog>,
    /// Whether it counts for the lease proof.
    pub counts: bool,
    /// For people.
    pub title: String,
    /// What is worth a warning.
    pub warning: Option<String>,
}

/// Opens the configured watchdog; none is configured: nothing. `idle`: nothing is held on this machine, so a device
/// that turns out to be unfit may be switched off again; otherwise it stays armed, and bites.
///
/// # Errors
/// It is configured and cannot be used. A daemon that would count on it must not start then.
pub fn open(config: &WatchdogConfig, idle: bool) -> io::Result<Option<Opened>> {
    match &config.kind {
        WatchdogKind::None => Ok(None),
        WatchdogKind::SelfReset => {
            let watchdog = Box::new(self_reset::SelfReset::new(config.effective));
            let warning = "the machine's only watchdog is this daemon itself".to_owned();
            let title = "self-reset".to_owned();
            Ok(Some(Opened { watchdog, counts: false, title, warning: Some(warning) }))
        }
        WatchdogKind::Lab { socket } => {
            let watchdog = lab::Lab::connect(socket, config.effective, config.pet)?;
            let title = format!("LAB {}", socket.display());
            let counts = config.counts.unwrap_or(true);
            Ok(Some(Opened { watchdog: Box::new(watchdog), counts, title, warning: None }))
        }
        WatchdogKind::Device { path, timeout_s } => {
            let seconds = timeout_s.unwrap_or(u32::try_from(config.effective.as_secs()).unwrap_or(u32::MAX));
            let device = device::Device::open(path, seconds, idle)?;
            let soft = device.identity().is_software();
            let counts = config.counts.unwrap_or(!soft);
            let warning = soft.then(|| {
                let counted =
                    if counts { "it counts because the configuration says so" } else { "it does not count" };
                format!("{} is the kernel's own software watchdog; {counted}", path.display())
            });
            let title = format!("{} ({})", path.display(), device.identity().name);
            Ok(Some(Opened { watchdog: Box::new(device), counts, title, warning }))
        }
    }
}

/// How far petting may go, published by the loop after each step and read by the petting thread.
#[derive(Debug, Default)]
pub struct Bounds {
    lease: AtomicU64,
    progress: AtomicU64,
    /// The machine ends itself: nothing is petted any more, and the watchdog is to bite.
    resetting: AtomicBool,
}

impl Bounds {
    /// Nothing may be petted yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// `lease`: what the core allows. `progress`: until when the loop counts as alive.
    pub fn publish(&self, lease: Instant, progress: Instant) {
        self.lease.store(nanos(lease), Ordering::SeqCst);
        self.progress.store(nanos(progress), Ordering::SeqCst);
    }

    /// Brings the end of what the core allows forward; a later one changes nothing. For what an effect needs that is
    /// about to go out.
    pub fn bring_forward(&self, lease: Instant) {
        self.lease.fetch_min(nanos(lease), Ordering::SeqCst);
    }

    /// From now on the watchdog is to bite.
    pub fn reset(&self) {
        self.resetting.store(true, Ordering::SeqCst);
        self.lease.store(0, Ordering::SeqCst);
    }

    pub(crate) fn lease(&self) -> Duration {
        Duration::from_nanos(self.lease.load(Ordering::SeqCst))
    }

    fn progress(&self) -> Duration {
        Duration::from_nanos(self.progress.load(Ordering::SeqCst))
    }

    fn is_resetting(&self) -> bool {
        self.resetting.load(Ordering::SeqCst)
    }
}

fn nanos(instant: Instant) -> u64 {
    u64::try_from(instant.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
