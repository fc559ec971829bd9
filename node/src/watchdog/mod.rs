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
use armed::Kept;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use picket_core::time::Instant;
use std::io;
use std::path::Path;
use std::sync::Arc;

mod armed;
mod device;
mod lab;
mod left;
pub mod measure;
mod petter;
mod self_reset;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_devices;

pub use armed::Record;
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
    /// Whether it is armed now.
    pub armed: bool,
    /// Whether it counts for the lease proof.
    pub counts: bool,
    /// For people.
    pub title: String,
    /// What is worth a warning.
    pub warning: Option<String>,
}

/// What a start finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Nothing on this machine leans on the watchdog: a device that turns out to be unfit may be switched off again.
    /// Otherwise it stays armed, and bites.
    pub idle: bool,
    /// What is held allows a pet now. Otherwise a device stays closed until it does.
    pub may_pet: bool,
}

/// Opens the configured watchdog; none is configured: nothing. What becomes of a device is kept in `record`.
///
/// # Errors
/// It is configured and cannot be used. A daemon that would count on it must not start then.
pub fn open(config: &WatchdogConfig, start: Start, record: Record) -> io::Result<Option<Opened>> {
    match &config.kind {
        WatchdogKind::None => Ok(None),
        WatchdogKind::SelfReset => {
            let watchdog = Box::new(self_reset::SelfReset::new(config.effective));
            let warning = "the machine's only watchdog is this daemon itself".to_owned();
            let title = "self-reset".to_owned();
            Ok(Some(Opened { watchdog, armed: true, counts: false, title, warning: Some(warning) }))
        }
        WatchdogKind::Lab { socket } => {
            let watchdog = lab::Lab::connect(socket, config.effective, config.pet)?;
            let title = format!("LAB {}", socket.display());
            let counts = config.counts.unwrap_or(true);
            Ok(Some(Opened { watchdog: Box::new(watchdog), armed: true, counts, title, warning: None }))
        }
        WatchdogKind::Device { path, timeout_s } => {
            let seconds = timeout_s.unwrap_or(u32::try_from(config.effective.as_secs()).unwrap_or(u32::MAX));
            if start.may_pet {
                open_device(path, seconds, config.counts, start.idle, record).map(Some)
            } else {
                Ok(Some(leave_device(path, seconds, config.counts, record)))
            }
        }
    }
}

/// Opens a device, which arms it and is kept in the record, and says who it is.
fn armed_device(
    path: &Path,
    seconds: u32,
    idle: bool,
    record: Record,
) -> io::Result<(Kept<device::Device>, Identity)> {
    let device = device::Device::open(path, seconds, idle)?;
    let identity = device.identity().clone();
    Ok((Kept::new(device, path, seconds, &identity.name, record), identity))
}

fn open_device(
    path: &Path,
    seconds: u32,
    wanted: Option<bool>,
    idle: bool,
    record: Record,
) -> io::Result<Opened> {
    let (device, identity) = armed_device(path, seconds, idle, record)?;
    let soft = identity.is_software();
    let counts = wanted.unwrap_or(!soft);
    let title = format!("{} ({})", path.display(), identity.name);
    let warning = soft.then(|| software(path, counts));
    Ok(Opened { watchdog: Box::new(device), armed: true, counts, title, warning })
}

/// A device that an earlier run of the daemon left armed, to be opened by the first pet. It counts if that run armed this
/// one, to bite as soon as configured; what nobody has armed would count too early.
fn leave_device(path: &Path, seconds: u32, wanted: Option<bool>, record: Record) -> Opened {
    let left = record.left().filter(|left| left.path == path && left.seconds <= seconds);
    let soft = left.as_ref().is_some_and(|left| Identity { name: left.name.clone() }.is_software());
    let counts = left.is_some() && wanted.unwrap_or(!soft);
    let armed = left.is_some();
    let warning = match &left {
        Some(_) => soft.then(|| software(path, counts)),
        None => Some(format!(
            "{}: no earlier daemon of this boot has left it armed with at most {seconds} s; it does not count until \
             the daemon starts at a time at which it may be petted",
            path.display()
        )),
    };
    let name = left.map_or_else(|| "not opened yet".to_owned(), |left| left.name);
    let (title, path) = (format!("{} ({name})", path.display()), path.to_owned());
    let open = move || {
        let (device, _) = armed_device(&path, seconds, false, record.clone())?;
        Ok(Box::new(device) as Box<dyn Watchdog>)
    };
    Opened { watchdog: Box::new(left::Left::new(Box::new(open))), armed, counts, title, warning }
}

fn software(path: &Path, counts: bool) -> String {
    let counted = if counts { "it counts because the configuration says so" } else { "it does not count" };
    format!("{} is the kernel's own software watchdog; {counted}", path.display())
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
