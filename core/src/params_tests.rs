use super::*;
use alloc::string::ToString;

#[test]
fn every_profile_keeps_every_inequality() {
    for profile in Profile::ALL {
        assert_eq!(profile.params().validate(), Ok(()), "{profile}");
    }
}

#[test]
fn a_lease_too_short_for_the_watchdog_is_refused_with_its_numbers() {
    let params = Params { lease: Duration::from_millis(2000), ..Profile::Fast.params() };
    let broken = params.validate().expect_err("refused");
    assert_eq!(
        broken[0].to_string(),
        "L ≥ 2W(1+ρ) + 2p does not hold: L = 2000 ms, 2W(1+ρ) + 2p = 2090 ms with W = 1000 ms and p = 40 ms"
    );
    assert_eq!(broken.len(), 1);
}

#[test]
fn a_guard_too_short_for_the_drift_is_refused_with_its_numbers() {
    let params = Params { guard: Duration::from_millis(52), ..Profile::Fast.params() };
    let broken = params.validate().expect_err("refused");
    assert_eq!(
        broken[0].to_string(),
        "G ≥ 2ρL/(1−ρ) + lateness does not hold: G = 52 ms, 2ρL/(1−ρ) = 24.120 ms with ρ = 0.5 % and L = 2400 ms, lateness = 30 ms"
    );
}

#[test]
fn a_freeze_too_late_is_refused_with_its_numbers() {
    let params = Params { freeze_before: Duration::from_millis(1180), ..Profile::Fast.params() };
    let broken = params.validate().expect_err("refused");
    assert_eq!(
        broken[0].to_string(),
        "F > W + 2p + freeze time does not hold: F = 1180 ms, W = 1000 ms, p = 40 ms, freeze time = 100 ms"
    );
}

#[test]
fn all_broken_inequalities_are_told_at_once() {
    let params = Params { lease: Duration::from_millis(500), misses: 1, ..Profile::Fast.params() };
    let told: Vec<_> =
        params.validate().expect_err("refused").into_iter().map(|broken| broken.inequality).collect();
    assert_eq!(told, ["2 ≤ m ≤ 100", "L ≥ 2W(1+ρ) + 2p", "L − F > (m+1)·h"]);
}

#[test]
fn suspicion_comes_after_one_interval_more_than_the_misses() {
    assert_eq!(Profile::Fast.params().suspect_after(), Duration::from_millis(500));
}

/// The longest that a machine can live past its lease: its daemon is stopped between the last look at the clock that
/// allows a pet and that pet, goes on just before the watchdog fires, pets, and is stopped again.
#[test]
fn a_pet_torn_from_its_look_at_the_clock_ends_with_the_lease() {
    for params in Profile::ALL.map(Profile::params) {
        let Some(watchdog) = params.watchdog else { continue };
        let last_look = params.lease - params.petting_margin();
        let dead = last_look + watchdog.effective + watchdog.effective;
        assert!(dead < params.lease, "{params:?}");
        assert!(last_look > watchdog.pet, "it is petted at all: {params:?}");
    }
}
