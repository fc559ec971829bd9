use super::{Alarm, boottime, pause, rfc3339, wall};
use core::future::Future;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::time::UNIX_EPOCH;

#[test]
fn boottime_never_goes_back() {
    let mut last = boottime();
    for _ in 0..1000 {
        let now = boottime();
        assert!(now >= last, "{now:?} after {last:?}");
        last = now;
    }
}

#[test]
fn a_pause_lasts_at_least_as_long_as_asked() {
    let before = boottime();
    pause(Duration::from_millis(3), "the test of the pause itself");
    assert!(boottime() - before >= Duration::from_millis(3));
}

#[test]
fn wall_is_after_this_was_written() {
    assert!(rfc3339(wall()).as_str() > "2024-01-01T00:00:00.000Z");
}

#[test]
fn rfc3339_of_known_instants() {
    let table = [
        (0, 0, "1970-01-01T00:00:00.000Z"),
        (951_782_399, 999, "2000-02-28T23:59:59.999Z"),
        (951_782_400, 0, "2000-02-29T00:00:00.000Z"),
        (951_868_800, 1, "2000-03-01T00:00:00.001Z"),
        (1_709_164_800, 0, "2024-02-29T00:00:00.000Z"),
        (1_767_225_599, 0, "2025-12-31T23:59:59.000Z"),
        (1_767_225_600, 0, "2026-01-01T00:00:00.000Z"),
        (4_107_542_400, 0, "2100-03-01T00:00:00.000Z"),
    ];
    for (seconds, millis, expected) in table {
        let instant = UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(millis);
        assert_eq!(rfc3339(instant), expected);
    }
    assert_eq!(rfc3339(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000Z");
}

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    let mut future = core::pin::pin!(future);
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn an_alarm_fires_at_its_instant_and_not_before() {
    let mut alarm = Alarm::new().unwrap();
    let at = boottime() + Duration::from_millis(5);
    alarm.set(at).unwrap();
    assert_eq!(alarm.at(), Some(at));
    alarm.fired().await.unwrap();
    assert!(boottime() >= at);
    assert_eq!(alarm.at(), None);
}

#[tokio::test]
async fn an_instant_that_has_passed_fires_at_once() {
    let mut alarm = Alarm::new().unwrap();
    for at in [Duration::ZERO, Duration::from_nanos(1), boottime()] {
        alarm.set(at).unwrap();
        alarm.fired().await.unwrap();
    }
}

#[tokio::test]
async fn a_fired_alarm_that_is_set_anew_does_not_fire_for_the_old_instant() {
    let mut alarm = Alarm::new().unwrap();
    alarm.set(boottime()).unwrap();
    // Let the runtime see the expiry, so that the readiness is a leftover.
    tokio::task::yield_now().await;
    let at = boottime() + Duration::from_millis(8);
    alarm.set(at).unwrap();
    alarm.fired().await.unwrap();
    assert!(boottime() >= at);
}

#[tokio::test]
async fn a_cleared_or_far_alarm_does_not_fire() {
    let mut alarm = Alarm::new().unwrap();
    assert!(poll_once(alarm.fired()).is_pending());
    alarm.set(boottime()).unwrap();
    alarm.clear().unwrap();
    tokio::task::yield_now().await;
    assert!(poll_once(alarm.fired()).is_pending());
    alarm.set(Duration::MAX).unwrap();
    tokio::task::yield_now().await;
    assert!(poll_once(alarm.fired()).is_pending());
}

#[tokio::test]
async fn a_dropped_wait_loses_nothing() {
    let mut alarm = Alarm::new().unwrap();
    alarm.set(boottime() + Duration::from_millis(2)).unwrap();
    assert!(poll_once(alarm.fired()).is_pending());
    alarm.fired().await.unwrap();
}
