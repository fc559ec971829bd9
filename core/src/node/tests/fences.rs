use super::super::*;
use super::bench::requests;
use super::*;
use crate::ids::{AttemptId, BootId, PermitId};
use crate::message::*;
use crate::time::Duration;
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

/// The outcomes that are reported to the witness.
fn reported(effects: &[Effect]) -> Vec<crate::evidence::FenceOutcome> {
    let reports = requests(effects).into_iter().filter_map(|request| match request {
        Request::ReportFence(report) => Some(report.outcome),
        _ => None,
    });
    reports.collect()
}

#[test]
fn a_permit_that_comes_twice_is_not_given_back_while_it_is_used() {
    let (mut bench, effects) = permitted();
    let permit = Permit {
        permit: PermitId(1),
        attempt: AttemptId(0),
        target: B,
        target_boot: BootId(0xB1),
        keep_off: false,
    };
    assert!(reported(&bench.say(Reply::Permit(permit))).is_empty(), "an agent is at work under it");
    let other = Permit { permit: PermitId(2), ..permit };
    let back = bench.say(Reply::Permit(other));
    assert_eq!(reported(&back), [crate::evidence::FenceOutcome::NotStarted], "nobody asked for this one");
    assert_eq!(order(&effects).target, B);
}

#[test]
fn a_retry_in_time_may_run() {
    let (mut bench, effects) = permitted();
    let input = Input::DeviceDone { order: order(&effects).order, verdict: DeviceVerdict::Unknown };
    bench.now = bench.now + ms(TIMEOUT_MS);
    let effects = bench.step(input);
    assert!(order(&effects).start_before > bench.now);
}

/// A standby whose only device for B is of this kind.
fn standby_with_one(kind: DeviceKind) -> Bench {
    let device = Device { kind, timeout: ms(TIMEOUT_MS), retries: 0, delay: ms(0) };
    let mut config = bench::config(LossAction::Osu);
    config.fencing = [(B, FencePlan { levels: vec![Level { devices: vec![device] }] })].into();
    Bench::standby_with(config)
}

/// An operator asks for a fence of B.
fn type_fence(bench: &mut Bench, ticket: u64, wish: FenceWish) -> Vec<Effect> {
    bench.step(Input::Operator { ticket, request: NodeRequest::Fence { target: B, wish } })
}

#[test]
fn an_operators_fence_waits_for_the_end_of_the_start_quarantine() {
    let asked = |early: Duration| {
        let mut bench = standby_with_one(DeviceKind::Power);
        bench.now = bench.node.quarantine_until() - early;
        requested(&type_fence(&mut bench, 7, FenceWish::Reboot)).len()
    };
    assert_eq!((asked(ms(500)), asked(ms(1)), asked(ms(0))), (0, 0, 1));
}

/// The requests for a permit among these effects.
fn requested(effects: &[Effect]) -> Vec<(AttemptId, FenceReason)> {
    let found = requests(effects).into_iter().filter_map(|request| match request {
        Request::RequestFence(request) => Some((request.attempt, request.reason)),
        _ => None,
    });
    found.collect()
}

/// The witness permits this attempt on B, as permit 1.
fn permit(bench: &mut Bench, attempt: AttemptId) -> Vec<Effect> {
    let (permit, target_boot) = (PermitId(1), BootId(0xB1));
    bench.say(Reply::Permit(Permit { permit, attempt, target: B, target_boot, keep_off: false }))
}

/// The tickets that were answered, and how.
fn answered(effects: &[Effect]) -> Vec<(u64, NodeAnswer)> {
    let answers = effects.iter().filter_map(|effect| match effect {
        Effect::Answer { ticket, answer } => Some((*ticket, answer.clone())),
        _ => None,
    });
    answers.collect()
}

#[test]
fn several_requests_are_one_fence_and_each_is_answered_when_it_ends() {
    let mut bench = standby_with_one(DeviceKind::Power);
    let first = requested(&type_fence(&mut bench, 1, FenceWish::Reboot));
    assert_eq!(first.len(), 1);
    let second = type_fence(&mut bench, 2, FenceWish::Reboot);
    assert!(requested(&second).is_empty() && answered(&second).is_empty(), "one request is open: {second:?}");

    let effects = permit(&mut bench, first[0].0);
    let running = type_fence(&mut bench, 3, FenceWish::Reboot);
    assert!(requested(&running).is_empty() && answered(&running).is_empty(), "it runs: {running:?}");

    bench.step(Input::DeviceDone { order: order(&effects).order, verdict: DeviceVerdict::ConfirmedOff });
    let ended = bench.say(Reply::FenceRecorded { permit: PermitId(1) });
    assert_eq!(answered(&ended), [1, 2, 3].map(|ticket| (ticket, NodeAnswer::Done)));
}

#[test]
fn a_fence_of_another_kind_waits_for_the_end_of_this_one() {
    let mut bench = standby_with_one(DeviceKind::Power);
    let first = requested(&type_fence(&mut bench, 1, FenceWish::Reboot));
    for stage in ["asked for", "at work"] {
        let effects = type_fence(&mut bench, 2, FenceWish::Off);
        assert!(
            matches!(answered(&effects).as_slice(), [(2, NodeAnswer::Refused(_))])
                && requested(&effects).is_empty(),
            "{stage}: {effects:?}"
        );
        permit(&mut bench, first[0].0);
    }
}

#[test]
fn an_operator_need_not_wait_for_a_silence_that_the_node_asked_about() {
    let mut bench = standby_with_one(DeviceKind::Power);
    let own = requested(&bench.wait(ms(600)));
    assert_eq!(own[0].1, FenceReason::Silent);
    let typed = requested(&type_fence(&mut bench, 1, FenceWish::Reboot));
    assert_eq!(
        typed[0].1,
        FenceReason::Operator,
        "the witness may refuse the other for as long as it hears B"
    );
}

#[test]
fn who_waits_is_told_when_nobody_can_confirm_any_more() {
    let mut bench = standby_with_one(DeviceKind::Meatware);
    let asked = requested(&type_fence(&mut bench, 1, FenceWish::Reboot));
    permit(&mut bench, asked[0].0);
    let effects = bench.say(Reply::View(View::default()));
    assert!(matches!(answered(&effects).as_slice(), [(1, NodeAnswer::Unfinished(_))]), "{effects:?}");
}

/// The devices that are to power on after a fence of B that an operator asked for.
fn powered_on_after(wish: FenceWish) -> usize {
    let mut bench = standby_with_one(DeviceKind::Power);
    let asked = requested(&type_fence(&mut bench, 1, wish));
    let (attempt, reason) = asked[0];
    assert_eq!(reason == FenceReason::Drill, wish == FenceWish::Drill);
    let effects = permit(&mut bench, attempt);
    let permit = PermitId(1);
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

#[test]
fn a_permit_for_another_attempt_is_given_back_unused() {
    let mut bench = Bench::standby(LossAction::Osu);
    let effects = bench.wait(ms(600));
    let (attempt, _) = *requested(&effects).first().expect("B is silent");
    let effects = permit(&mut bench, AttemptId(attempt.0 + 7));
    assert_eq!(reported(&effects), [crate::evidence::FenceOutcome::NotStarted]);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Device(_))), "{effects:?}");
}

#[test]
fn the_end_of_a_fence_is_told_once_and_ends_nothing_else() {
    let mut bench = standby_with_one(DeviceKind::Power);
    let asked = requested(&type_fence(&mut bench, 1, FenceWish::Reboot));
    let request = NodeRequest::Move { volume: super::V, to: super::A };
    assert!(answered(&bench.step(Input::Operator { ticket: 2, request })).is_empty(), "the holder decides");
    let subject = Subject::Fence { target: B, attempt: asked[0].0 };
    let refusal = crate::error::Refusal::HeldOff;
    let effects = bench.say(Reply::Refused { subject, refusal: refusal.clone() });
    assert_eq!(answered(&effects), [(1, NodeAnswer::Refused(refusal))]);
    let later = answered(&bench.live(ms(120_000)));
    assert!(matches!(later[..], [(2, _)]), "the move has its own end: {later:?}");
}

#[test]
fn a_permit_whose_start_has_passed_is_given_back() {
    let started_after = |late| {
        let mut bench = standby_with_one(DeviceKind::Power);
        let asked = requested(&type_fence(&mut bench, 1, FenceWish::Reboot));
        bench.now = bench.now + late;
        let effects = permit(&mut bench, asked[0].0);
        effects.iter().any(|effect| matches!(effect, Effect::Device(_)))
    };
    let within = bench::params().start_within;
    assert!(started_after(within - ms(1)));
    assert!(!started_after(within), "the witness may have permitted another");
}

#[test]
fn only_the_record_of_its_own_permit_ends_a_wait_for_a_person() {
    let mut bench = standby_with_one(DeviceKind::Meatware);
    let asked = requested(&type_fence(&mut bench, 1, FenceWish::Reboot));
    permit(&mut bench, asked[0].0);
    assert!(answered(&bench.say(Reply::FenceRecorded { permit: PermitId(2) })).is_empty(), "another's");
    let ended = bench.say(Reply::FenceRecorded { permit: PermitId(1) });
    assert_eq!(answered(&ended), [(1, NodeAnswer::Done)]);
}

#[test]
fn a_permit_that_ends_before_a_person_confirmed_is_not_asked_for_at_once() {
    let mut bench = standby_with_one(DeviceKind::Meatware);
    let asked = requested(&bench.wait(ms(600)));
    permit(&mut bench, asked[0].0);
    let over = bench.say(Reply::View(View::default()));
    assert!(requested(&over).is_empty());
    let rest = bench::params().suspect_after();
    assert!(requested(&bench.wait(rest - ms(1))).is_empty());
    assert!(!requested(&bench.wait(ms(200))).is_empty());
}
