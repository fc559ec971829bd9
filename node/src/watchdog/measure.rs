//! Measuring W, the effective time: from the last pet to the machine being dead.
//!
//! A lab watchdog says it. A real one can only be tried: it is petted once and never again, and the time since is
//! written to a file, synced, until the machine dies. After the boot the file says how long that took. So a real
//! measurement resets the machine, and is done only when the operator says so in as many words.

use super::{Watchdog, device, lab};
use core::time::Duration;
use picket_host::clock::{boottime, pause};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// How often the time is written down; the measured value is exact to about this plus one sync.
const STEP: Duration = Duration::from_millis(10);

/// What a measured value is given on top when it is recommended: the step, and a slow sync.
const MARGIN: Duration = Duration::from_millis(100);

/// How long past its timeout a watchdog is waited for, before it is said not to work.
const GIVE_UP: Duration = Duration::from_secs(60);

/// What a lab watchdog says its effective time is when it is set to `timeout`. Changes nothing.
///
/// # Errors
/// It does not answer, or not so.
pub fn lab_effective(socket: &Path, timeout: Duration) -> io::Result<Duration> {
    lab::measure(socket, timeout)
}

/// Whether a device stays armed when the daemon that pets it dies, by the texts of the files `options` and `nowayout`
/// that the kernel has for it below `/sys/class/watchdog`. None: they do not say; a daemon that opens the device looks
/// itself, and refuses one that does not.
#[must_use]
pub fn outlives_its_daemon(options: Option<&str>, no_way_out: Option<&str>) -> Option<bool> {
    let options = options.and_then(|text| text.trim().strip_prefix("0x"));
    let options = options.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    device::outlives_its_daemon(options, no_way_out.and_then(device::read_no_way_out))
}

/// Lets the machine die by its watchdog, writing down how long it takes. Returns only if the machine lives on.
///
/// # Errors
/// The device cannot be used, the file exists already or cannot be written, or the watchdog did not bite.
pub fn until_death(path: &Path, timeout_s: u32, record: &Path) -> io::Result<()> {
    // Opened like this, each write is on the disk when it returns.
    let sync = i32::try_from(rustix::fs::OFlags::DSYNC.bits()).unwrap_or(0);
    let mut file = OpenOptions::new().write(true).create_new(true).custom_flags(sync).open(record)?;
    if let Some(directory) = record.parent() {
        std::fs::File::open(directory)?.sync_all()?;
    }
    let mut watchdog = device::Device::open(path, timeout_s, true)?;
    watchdog.pet()?;
    let petted = boottime();
    let end = petted + Duration::from_secs(timeout_s.into()) + GIVE_UP;
    while boottime() < end {
        let line = format!("{}\n", (boottime().saturating_sub(petted)).as_millis());
        file.write_all(line.as_bytes())?;
        pause(STEP, "the machine is about to die; nothing tells when");
    }
    watchdog.disarm()?;
    Err(io::Error::other(format!("{} did not reset the machine: it does not work", path.display())))
}

/// What a record of [`until_death`] says after the boot: the effective time to configure.
///
/// # Errors
/// The file cannot be read or holds no measurement.
pub fn recorded(record: &Path) -> io::Result<Duration> {
    let text = std::fs::read_to_string(record)?;
    // The last line may be cut off by the death of the machine.
    let whole = text.rfind('\n').and_then(|end| text.get(..end)).unwrap_or_default();
    let last = whole.lines().last().and_then(|line| line.parse().ok());
    let last = last.ok_or_else(|| io::Error::other(format!("{}: no measurement in it", record.display())))?;
    Ok(Duration::from_millis(last) + MARGIN)
}
