use super::super::*;
use super::bench::requests;
use super::*;
use crate::ids::{BootId, PermitId};
use crate::message::*;
use crate::topology::{Device, DeviceKind, DeviceOrder, DeviceVerdict, FencePlan, Level};
use alloc::vec;
use alloc::vec::Vec;

const TIMEOUT_MS: u64 = 1000;

/// Permitted to fence B, with one retry; the permit takes so long to arrive.
fn permitted_after(late: crate::time::Duration) -> (Bench, Vec<Effect>) {
    let timeout = ms(TIMEOUT_MS);
    let device = Device { kind: DeviceKind::Power, timeout, retries: 1, delay: ms(0) };
    let mut config = bench::config(LossAction::Osu);
    config.fencing = [(B, FencePlan { levels: vec![Level { devices: vec![device] }] })].into();
    permitted_with(config, late)
}

fn permitted_with(config: Config, late: crate::time::Duration) -> (Bench, Vec<Effect>) {
    let mut bench = Bench::standby_with(config);
    let effects = bench.wait(ms(600));
    let attempt = requests(&effects).into_iter().find_map(|request| match request {
        Request::RequestFence(request) => Some(request.attempt),
        _ => None,
    });
    let attempt = attempt.expect("B is silent");
    let (permit, target_boot) = (PermitId(1), BootId(0xB1));
    let permit = Permit { permit, attempt, target: B, target_boot, keep_off: false };
    bench.now = bench.now + late;
    let effects = bench.say(Reply::Permit(permit));
    (bench, effects)
}

fn permitted() -> (Bench, Vec<Effect>) {
    permitted_after(ms(0))
}

fn order(effects: &[Effect]) -> &DeviceOrder {
    let found = effects.iter().find_map(|effect| match effect {
        Effect::Device(order) => Some(order),
        _ => None,
    });
    found.expect("a device is to run")
}

#[test]
fn no_run_of_an_agent_outlasts_the_permit() {
    let (mut bench, effects) = permitted();
    let first = order(&effects);
    let started_at = bench.now;
    assert!(first.start_before <= started_at + bench.node.config().params.start_within);
    let input = Input::DeviceDone { order: first.order, verdict: DeviceVerdict::Unknown };
    bench.now = started_at + ms(7000);
    let effects = bench.step(input);
    let retry = order(&effects);
    assert!(retry.start_before < bench.now, "the daemon was stalled; the witness may have permitted another");
    let input = Input::DeviceDone { order: retry.order, verdict: DeviceVerdict::TooLate };
    let effects = bench.step(input);
    let reported = requests(&effects).into_iter().any(|request| {
        matches!(request, Request::ReportFence(report) if report.outcome == crate::evidence::FenceOutcome::Unknown)
    });
    assert!(reported, "an agent had run: {effects:?}");
}

#[test]
fn a_retry_in_time_may_run() {
    let (mut bench, effects) = permitted();
    let input = Input::DeviceDone { order: order(&effects).order, verdict: DeviceVerdict::Unknown };
    bench.now = bench.now + ms(TIMEOUT_MS);
    let effects = bench.step(input);
    assert!(order(&effects).start_before > bench.now);
}

/// The devices that are to power on after a fence of B that an operator asked for.
fn powered_on_after(wish: FenceWish) -> usize {
    let device = Device { kind: DeviceKind::Power, timeout: ms(TIMEOUT_MS), retries: 0, delay: ms(0) };
    let mut config = bench::config(LossAction::Osu);
    config.fencing = [(B, FencePlan { levels: vec![Level { devices: vec![device] }] })].into();
    let mut bench = Bench::standby_with(config);
    let asked = bench.step(Input::Operator { ticket: 1, request: NodeRequest::Fence { target: B, wish } });
    let attempt = requests(&asked).into_iter().find_map(|request| match request {
        Request::RequestFence(request) => Some((request.attempt, request.reason)),
        _ => None,
    });
    let (attempt, reason) = attempt.expect("a permit is asked for");
    assert_eq!(reason == FenceReason::Drill, wish == FenceWish::Drill);
    let permit = PermitId(1);
    let answer = Permit { permit, attempt, target: B, target_boot: BootId(0xB1), keep_off: false };
    let effects = bench.say(Reply::Permit(answer));
    bench.step(Input::DeviceDone { order: order(&effects).order, verdict: DeviceVerdict::ConfirmedOff });
    let effects = bench.say(Reply::FenceRecorded { permit });
    let is_on = |effect: &&Effect| matches!(effect, Effect::Device(order) if order.action == crate::topology::PowerAction::On);
    effects.iter().filter(is_on).count()
}

#[test]
fn who_is_fenced_to_stay_off_is_not_powered_on() {
    assert_eq!(powered_on_after(FenceWish::Reboot), 1);
    assert_eq!(powered_on_after(FenceWish::Drill), 1);
    assert_eq!(powered_on_after(FenceWish::Off), 0);
}

#[test]
fn a_permit_that_arrives_after_its_time_starts_no_agent() {
    let start_within = bench::config(LossAction::Osu).params.start_within;
    let (_, effects) = permitted_after(start_within);
    let started = effects.iter().any(|effect| matches!(effect, Effect::Device(_)));
    let given_back = requests(&effects).into_iter().any(|request| {
        matches!(request, Request::ReportFence(report) if report.outcome == crate::evidence::FenceOutcome::NotStarted)
    });
    assert!(!started && given_back, "{effects:?}");
}

/// A fence of B at whose only level a person is asked, with the permit 1, and the person asked.
fn a_person_is_asked() -> Bench {
    let device = Device { kind: DeviceKind::Meatware, timeout: ms(TIMEOUT_MS), retries: 0, delay: ms(0) };
    let mut config = bench::config(LossAction::Osu);
    config.fencing = [(B, FencePlan { levels: vec![Level { devices: vec![device] }] })].into();
    let (bench, effects) = permitted_with(config, ms(0));
    let asked = requests(&effects).into_iter().any(|request| matches!(request, Request::AskOperator { .. }));
    assert!(asked, "{effects:?}");
    bench
}

/// What was told of a wait's end.
fn done(effects: &[Effect]) -> Vec<bool> {
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::Event(Event::OperatorDone { target: B, confirmed }) => Some(*confirmed),
        _ => None,
    });
    told.collect()
}

#[test]
fn the_end_of_a_wait_for_a_person_is_told_once() {
    let mut bench = a_person_is_asked();
    let effects = bench.say(Reply::FenceRecorded { permit: PermitId(1) });
    assert_eq!(done(&effects), [true], "{effects:?}");
    assert!(done(&bench.say(Reply::View(View::default()))).is_empty());

    let mut bench = a_person_is_asked();
    let effects = bench.say(Reply::View(View::default()));
    assert_eq!(done(&effects), [false], "its permit is gone: {effects:?}");
    assert!(done(&bench.say(Reply::View(View::default()))).is_empty());
}
