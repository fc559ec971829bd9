use super::device::{Said, no_way_out_file, read_no_way_out};
use super::measure::outlives_its_daemon;
use std::path::Path;

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
