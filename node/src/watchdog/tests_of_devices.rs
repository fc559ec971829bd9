use super::device::{Identity, Said, below_sys, read_no_way_out};
use super::left::{Left, Told, told};
use super::measure::outlives_its_daemon;
use super::tests::{Did, told as watchdog};
use super::{Start, Watchdog, open};
use crate::config::{WatchdogConfig, WatchdogKind};
use core::time::Duration;
use std::io;
use std::path::Path;
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
    for no_way_out in [None, Some(false)] {
        let error = said(ANY_CLOSE, no_way_out).identity().unwrap_err().to_string();
        assert_eq!(
            error,
            "Acme WDT is switched off when its daemon dies (its driver has no WDIOF_MAGICCLOSE) and would not end this \
             machine: set it to nowayout (its module's parameter nowayout=1, or 1 in its file nowayout below \
             /sys/class/watchdog), or take another device"
        );
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
fn the_kernel_is_asked_by_the_number_of_the_device() {
    let sys = Path::new("/sys");
    assert_eq!(below_sys(sys, (246, 1)), Path::new("/sys/dev/char/246:1"));
    // /dev/watchdog itself has no such files.
    assert_eq!(below_sys(sys, (10, 130)), Path::new("/sys/class/watchdog/watchdog0"));
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

#[test]
fn a_device_is_not_opened_while_it_may_not_be_petted() {
    // What is no device is refused by its first ioctl: opened, the start fails.
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_owned();
    let kind = WatchdogKind::Device { path: path.clone(), timeout_s: Some(9) };
    let (effective, pet) = (Duration::from_secs(10), Duration::from_secs(1));
    let config = WatchdogConfig { kind, effective, pet, counts: Some(true) };
    let start = |may_pet| open(&config, Start { idle: false, may_pet });
    assert!(start(true).is_err());
    let left = start(false).unwrap().unwrap();
    assert!(!left.armed && !left.counts, "the kernel says nothing of it");
    let warning = "the kernel does not say that an earlier run has left it armed with at most 9 s; it does not count \
                   until the daemon starts with nothing held";
    assert_eq!(left.warning.unwrap(), format!("{}: {warning}", path.display()));
    let gone = WatchdogConfig {
        kind: WatchdogKind::Device { path: "/dev/no-such".into(), timeout_s: None },
        ..config.clone()
    };
    let error = open(&gone, Start { idle: false, may_pet: false }).err().unwrap().to_string();
    assert!(error.starts_with("/dev/no-such: "), "{error}");
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

#[test]
fn the_kernel_tells_who_is_armed_and_for_how_long() {
    let sys = tempfile::tempdir().unwrap();
    let files = sys.path().join("dev/char/246:1");
    std::fs::create_dir_all(&files).unwrap();
    assert_eq!(told(sys.path(), (246, 1)), Told::default());
    let identity = Some(Identity { name: "Acme WDT".to_owned() });
    std::fs::write(files.join("identity"), "Acme WDT\n").unwrap();
    for (state, timeout, armed_s) in [
        ("active\n", "9\n", Some(9)),
        ("inactive\n", "9\n", None),
        ("active\n", "soon\n", None),
        ("active\n", "-1\n", None),
        ("", "9\n", None),
    ] {
        std::fs::write(files.join("state"), state).unwrap();
        std::fs::write(files.join("timeout"), timeout).unwrap();
        let found = told(sys.path(), (246, 1));
        assert_eq!(found, Told { identity: identity.clone(), armed_s }, "{state:?} {timeout:?}");
    }
}
