use super::armed::{Kept, Record};
use super::device::{Said, no_way_out_file, read_no_way_out};
use super::left::Left;
use super::measure::outlives_its_daemon;
use super::tests::{Did, told as watchdog};
use super::{Opened, Start, Watchdog, open};
use crate::config::{WatchdogConfig, WatchdogKind};
use core::time::Duration;
use picket_core::ids::BootId;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;

/// What most drivers say: a settable timeout, pets, and a close that needs the magic character.
const USUAL: u32 = 0x8180;
/// The same of a driver that any close switches off.
const ANY_CLOSE: u32 = 0x8080;

fn said(options: u32, no_way_out: Option<bool>) -> Said {
    Said { name: "Acme WDT".to_owned(), options, no_way_out }
}

#[test]
fn a_device_that_the_death_of_its_daemon_switches_off_is_refused() {
    for (no_way_out, way_out) in [
        (None, "take another device (of this one the kernel does not tell whether it is set to nowayout)"),
        (
            Some(false),
            "set it to nowayout (its module's parameter nowayout=1, or 1 in its file nowayout below \
             /sys/class/watchdog), or take another device",
        ),
    ] {
        let error = said(ANY_CLOSE, no_way_out).identity().unwrap_err().to_string();
        let expected = "Acme WDT is switched off when its daemon dies (its driver has no WDIOF_MAGICCLOSE) and would \
                        not end this machine";
        assert_eq!(error, format!("{expected}: {way_out}"));
    }
}

#[test]
fn a_device_that_stays_armed_when_its_daemon_dies_is_taken() {
    for (options, no_way_out) in
        [(USUAL, None), (USUAL, Some(false)), (USUAL, Some(true)), (ANY_CLOSE, Some(true))]
    {
        assert_eq!(said(options, no_way_out).identity().unwrap().name, "Acme WDT");
    }
}

#[test]
fn a_bmcs_watchdog_has_no_options_and_is_taken() {
    let bmc = Said { name: "IPMI".to_owned(), options: 0, no_way_out: None };
    assert_eq!(bmc.identity().unwrap().name, "IPMI");
}

#[test]
fn the_kernel_is_asked_by_the_number_of_the_device() {
    let sys = Path::new("/sys");
    assert_eq!(no_way_out_file(sys, (246, 1)), Path::new("/sys/dev/char/246:1/nowayout"));
    // /dev/watchdog itself has no such file.
    assert_eq!(no_way_out_file(sys, (10, 130)), Path::new("/sys/class/watchdog/watchdog0/nowayout"));
    let all = ["1\n", "0\n", "", "yes\n", "11\n"].map(read_no_way_out);
    assert_eq!(all, [Some(true), Some(false), None, None, None]);
}

#[test]
fn what_sysfs_tells_says_whether_a_device_outlives_its_daemon() {
    for (options, no_way_out, outlives) in [
        (Some("0x8180"), Some("0"), Some(true)),
        (Some("0x8080"), Some("0"), Some(false)),
        (Some("0x8080"), Some("1"), Some(true)),
        (Some("0x8080"), None, Some(false)),
        // Older kernels do not tell the options.
        (None, Some("1"), Some(true)),
        (None, Some("0"), None),
        (None, None, None),
        (Some("8180"), Some("0"), None),
    ] {
        assert_eq!(outlives_its_daemon(options, no_way_out), outlives, "{options:?} {no_way_out:?}");
    }
}

const BOOT: BootId = BootId(7);

/// A file that is no device, so that the first ioctl of whoever opens it fails.
struct NoDevice {
    run_dir: tempfile::TempDir,
    config: WatchdogConfig,
}

impl NoDevice {
    fn new(counts: Option<bool>) -> Self {
        let run_dir = tempfile::tempdir().unwrap();
        let path = run_dir.path().join("device");
        std::fs::write(&path, "").unwrap();
        let kind = WatchdogKind::Device { path, timeout_s: Some(9) };
        let (effective, pet) = (Duration::from_secs(10), Duration::from_secs(1));
        Self { run_dir, config: WatchdogConfig { kind, effective, pet, counts } }
    }

    fn path(&self) -> PathBuf {
        self.run_dir.path().join("device")
    }

    fn start(&self, may_pet: bool) -> io::Result<Option<Opened>> {
        open(&self.config, Start { idle: false, may_pet }, Record::new(self.run_dir.path(), BOOT))
    }

    /// Has it in the record that a daemon of this boot armed the device.
    fn armed(&self, boot: BootId, path: &Path, seconds: u32, name: &str) -> Kept<impl Watchdog + use<>> {
        let (device, _) = watchdog(|| Ok(()));
        Kept::new(*device, path, seconds, name, Record::new(self.run_dir.path(), boot))
    }

    fn counts(&self) -> bool {
        let left = self.start(false).unwrap().unwrap();
        assert!(left.armed || !left.counts);
        left.counts
    }
}

#[test]
fn a_device_is_not_opened_while_it_may_not_be_petted() {
    let device = NoDevice::new(Some(true));
    assert!(device.start(true).is_err());
    let left = device.start(false).unwrap().unwrap();
    assert!(!left.armed && !left.counts, "nobody has armed it");
    let warning = "no earlier daemon of this boot has left it armed with at most 9 s; it does not count until the \
                   daemon starts at a time at which it may be petted";
    assert_eq!(left.warning.unwrap(), format!("{}: {warning}", device.path().display()));
}

#[test]
fn a_device_that_is_not_opened_counts_if_this_boot_armed_it_as_it_is_configured() {
    let device = NoDevice::new(None);
    let path = device.path();
    for (boot, path, seconds, name, counts) in [
        (BOOT, path.as_path(), 9, "Acme WDT", true),
        (BOOT, path.as_path(), 5, "Acme WDT", true),
        (BOOT, path.as_path(), 10, "Acme WDT", false),
        (BOOT, path.as_path(), 9, "Software Watchdog", false),
        (BOOT, Path::new("/dev/watchdog1"), 9, "Acme WDT", false),
        (BootId(8), path.as_path(), 9, "Acme WDT", false),
    ] {
        drop(device.armed(boot, path, seconds, name));
        assert_eq!(device.counts(), counts, "{boot:?} {path:?} {seconds} {name}");
    }
    let mut kept = device.armed(BOOT, &path, 9, "Acme WDT");
    kept.pet().unwrap();
    assert!(device.counts());
    kept.disarm().unwrap();
    assert!(!device.counts(), "it was switched off in order");
    drop(device.armed(BOOT, &path, 9, "Acme WDT"));
    std::fs::write(device.run_dir.path().join("watchdog"), "not ours").unwrap();
    assert!(!device.counts(), "a record that cannot be read says nothing");
}

#[test]
fn the_first_pet_opens_what_an_earlier_run_left_and_pets_it_no_more_than_that() {
    let (tried, tries) = channel();
    let mut fails = true;
    let (device, did) = watchdog(|| Ok(()));
    let mut device = Some(device);
    let mut left = Left::new(Box::new(move || {
        tried.send(()).unwrap();
        if core::mem::take(&mut fails) {
            return Err(io::Error::other("busy"));
        }
        Ok(device.take().unwrap() as Box<dyn Watchdog>)
    }));
    left.neglected(Duration::ZERO);
    assert!(tries.try_recv().is_err(), "a turn that may not pet opens nothing");
    assert_eq!(left.pet().unwrap_err().to_string(), "busy");
    left.pet().unwrap();
    assert_eq!(tries.try_iter().count(), 2, "what could not be opened is tried again");
    assert!(did.try_recv().is_err(), "to open it was the pet");
    left.pet().unwrap();
    left.disarm().unwrap();
    left.bite().unwrap();
    assert_eq!(did.try_iter().collect::<Vec<_>>(), [Did::Pet, Did::Disarm, Did::Bite]);
    assert!(tries.try_recv().is_err());
}

#[test]
fn what_an_earlier_run_left_is_switched_off_by_an_orderly_end_at_once() {
    let (device, did) = watchdog(|| Ok(()));
    let mut device = Some(device);
    let mut left = Left::new(Box::new(move || Ok(device.take().unwrap() as Box<dyn Watchdog>)));
    left.disarm().unwrap();
    assert_eq!(did.try_iter().collect::<Vec<_>>(), [Did::Disarm]);
}
