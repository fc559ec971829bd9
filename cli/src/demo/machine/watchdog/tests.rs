use super::super::spec::AfterBite;
use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn watchdog(granularity_ms: u64, nowayout: bool) -> Watchdog {
    let mut watchdog =
        Watchdog::new(WatchdogSpec { granularity_ms, nowayout, after_bite: AfterBite::StayOff });
    assert!(watchdog.open());
    watchdog
}

#[test]
fn a_pet_arms_and_every_pet_counts_anew() {
    let mut watchdog = watchdog(1, false);
    assert_eq!(watchdog.bite_at(), None);
    assert_eq!(watchdog.line("pet 500", ms(1000)), "ok 500");
    assert_eq!(watchdog.bite_at(), Some(ms(1500)));
    assert_eq!(watchdog.line("pet 300", ms(1400)), "ok 300");
    assert_eq!(watchdog.bite_at(), Some(ms(1700)));
}

#[test]
fn timeouts_are_rounded_up_and_measured_as_such() {
    let mut watchdog = watchdog(1000, false);
    assert_eq!(watchdog.line("measure 1500", ms(0)), "effective 2000");
    assert_eq!(watchdog.bite_at(), None, "measuring arms nothing");
    assert_eq!(watchdog.line("pet 1500", ms(0)), "ok 2000");
    assert_eq!(watchdog.bite_at(), Some(ms(2000)));
}

#[test]
fn only_the_magic_close_disarms() {
    let mut plain = watchdog(1, false);
    plain.line("pet 500", ms(0));
    plain.close();
    assert_eq!(plain.bite_at(), Some(ms(500)));
    assert!(plain.open(), "a restarted daemon goes on petting");
    plain.line("V", ms(100));
    plain.line("pet 500", ms(200));
    plain.close();
    assert_eq!(plain.bite_at(), Some(ms(700)), "a pet takes the V back");
    assert!(plain.open());
    assert_eq!(plain.line("V", ms(300)), "ok 0");
    plain.close();
    assert_eq!(plain.bite_at(), None);
}

#[test]
fn nowayout_ignores_the_magic_close() {
    let mut watchdog = watchdog(1, true);
    watchdog.line("pet 500", ms(0));
    watchdog.line("V", ms(1));
    watchdog.close();
    assert_eq!(watchdog.bite_at(), Some(ms(500)));
}

#[test]
fn one_client_at_a_time() {
    let mut watchdog = watchdog(1, false);
    assert!(!watchdog.open());
    watchdog.close();
    assert!(watchdog.open());
}

#[test]
fn a_pause_stops_its_clock() {
    let mut watchdog = watchdog(1, false);
    watchdog.line("pet 500", ms(0));
    watchdog.pause(ms(400));
    assert_eq!(watchdog.bite_at(), None);
    assert!(watchdog.is_armed());
    watchdog.resume(ms(9000));
    assert_eq!(watchdog.bite_at(), Some(ms(9100)));
}

#[test]
fn nonsense_changes_nothing() {
    let mut watchdog = watchdog(1, false);
    for line in ["", "pet", "pet 0", "pet x", "pet 3600001", "pet 5 6", "V V", "feed 5", "measure"] {
        assert!(watchdog.line(line, ms(0)).starts_with("error "), "{line}");
    }
    assert!(!watchdog.is_armed());
}
