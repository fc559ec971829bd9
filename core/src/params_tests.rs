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
        "L ≥ 2W(1+ρ) + 2p + 2h does not hold: L = 2000 ms, 2W(1+ρ) + 2p + 2h = 2290 ms with W = 1000 ms, p = 40 ms and \
         h = 100 ms"
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
    assert_eq!(told, ["2 ≤ m ≤ 100", "L ≥ 2W(1+ρ) + 2p + 2h", "L − F > (m+1)·h"]);
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

#[test]
fn timings_that_leave_a_grant_no_time_to_arrive_are_refused() {
    let ms = Duration::from_millis;
    let slow = Params {
        watchdog: Some(Watchdog { effective: ms(10_000), pet: ms(100) }),
        lease: ms(20_799),
        freeze_before: ms(10_500),
        guard: ms(500),
        ..Profile::SlowWatchdog.params()
    };
    let told = slow.validate().expect_err("200 ms would be left for the way of a grant");
    assert_eq!(told.iter().map(|one| one.inequality).collect::<Vec<_>>(), ["L ≥ 2W(1+ρ) + 2p + 2h"]);
    let enough = Params { lease: ms(20_800), ..slow };
    assert_eq!(enough.validate(), Ok(()));
    assert!(enough.lease - enough.granted_margin() > 2 * enough.heartbeat);
}

#[test]
fn a_grant_leaves_time_for_the_driver_and_for_the_end_of_the_machine() {
    for params in Profile::ALL.map(Profile::params) {
        assert!(params.granted_margin() >= params.freeze_before + params.heartbeat, "{params:?}");
        assert!(params.granted_margin() >= params.petting_margin(), "{params:?}");
        assert!(params.granted_margin() + params.heartbeat < params.lease, "a grant can be used: {params:?}");
    }
}

/// What is refused by one millisecond, and what just holds: (inequality, timings that break it, timings at its limit).
#[test]
fn each_inequality_holds_up_to_its_limit_and_not_beyond() {
    let ms = Duration::from_millis;
    let fast = Profile::Fast.params();
    let bare = Profile::LanAggressive.params();
    let pet = |pet| Params { watchdog: Some(Watchdog { effective: ms(1000), pet }), ..fast };
    let start = |start_within| Params { start_within, ..fast };
    let freeze = |freeze_before| Params { freeze_before, ..fast };
    for (inequality, broken, limit) in [
        ("L − F > (m+1)·h", freeze(ms(1900)), freeze(ms(1899))),
        ("0 < start_within ≤ L", start(Duration::ZERO), start(ms(1))),
        ("0 < start_within ≤ L", start(ms(2401)), start(ms(2400))),
        (
            "F > freeze time",
            Params { freeze_before: ms(40), ..bare },
            Params { freeze_before: ms(41), ..bare },
        ),
        ("F > W + 2p + freeze time", freeze(ms(1180)), freeze(ms(1181))),
        ("0 < 4p ≤ W", pet(Duration::ZERO), pet(ms(1))),
    ] {
        let told = broken.validate().expect_err(inequality);
        assert_eq!(told.iter().map(|one| one.inequality).collect::<Vec<_>>(), [inequality]);
        assert_eq!(limit.validate(), Ok(()), "{inequality}");
    }
    let quarter = Params { lease: ms(4000), guard: ms(80), freeze_before: ms(1700), ..pet(ms(250)) };
    assert_eq!(quarter.validate(), Ok(()), "4p = W");
    let more = Params { watchdog: Some(Watchdog { effective: ms(1000), pet: ms(251) }), ..quarter };
    assert_eq!(more.validate().expect_err("4p > W")[0].inequality, "0 < 4p ≤ W");
}

#[test]
fn a_lease_beyond_all_counting_still_has_drift() {
    let params = Params { lease: Duration::MAX, ..Profile::Fast.params() };
    assert!(params.drift_over_lease() > Duration::from_secs(3600));
}

#[test]
fn profiles_have_the_names_of_the_configuration_file() {
    assert_eq!(Profile::ALL.map(Profile::name), ["fast", "lan-aggressive", "wan", "slow-watchdog"]);
}

#[test]
fn a_sleep_is_shorter_than_the_silence_it_could_explain_by_a_heartbeat_and_a_half() {
    for params in Profile::ALL.map(Profile::params) {
        assert_eq!(params.sleeps() * 2, params.heartbeat * (2 * params.misses - 1), "(m−½)·h");
    }
}
