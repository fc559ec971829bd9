//! How long a node rests after a no, and what the start quarantine forbids up to its last instant.

use super::super::*;
use super::bench::{report, requests};
use super::*;
use crate::error::Refusal;
use crate::ids::*;
use crate::message::*;
use crate::time::{Duration, Instant};
use crate::topology::{DeviceOrder, DeviceVerdict};

fn fence_asked(effects: &[Effect]) -> Option<AttemptId> {
    requests(effects).into_iter().find_map(|request| match request {
        Request::RequestFence(request) => Some(request.attempt),
        _ => None,
    })
}

/// B is silent, and the attempt on a permit against it is open.
fn asking() -> (Bench, AttemptId) {
    let mut bench = Bench::standby(LossAction::Osu);
    let effects = bench.wait(ms(600));
    let attempt = fence_asked(&effects).expect("it asks");
    (bench, attempt)
}

fn rests(bench: &Bench) -> bool {
    matches!(bench.node.fences[&B].stage, state::FenceStage::Resting { .. })
}

/// How long it takes until a permit is asked for again.
fn rested(bench: &mut Bench) -> Duration {
    let from = bench.now;
    while bench.now.since(from) < ms(60_000) {
        bench.now = bench.node.deadline(bench.now);
        if fence_asked(&bench.step(Input::Tick)).is_some() {
            break;
        }
    }
    bench.now.since(from)
}

fn permitted(bench: &mut Bench, attempt: AttemptId) -> DeviceOrder {
    let (permit, target_boot) = (PermitId(1), BootId(0xB1));
    let permit = Permit { permit, attempt, target: B, target_boot, keep_off: false };
    let effects = bench.say(Reply::Permit(permit));
    let order = effects.into_iter().find_map(|effect| match effect {
        Effect::Device(order) => Some(order),
        _ => None,
    });
    order.expect("an agent starts")
}

#[test]
fn a_refused_permit_is_asked_for_again_after_a_suspicion() {
    let (mut bench, attempt) = asking();
    let refused = |attempt| Reply::Refused {
        subject: Subject::Fence { target: B, attempt },
        refusal: Refusal::HeldOff,
    };
    bench.say(refused(AttemptId(1)));
    assert!(!rests(&bench), "that was another attempt");
    bench.say(refused(attempt));
    assert!(rests(&bench));
    let rest = rested(&mut bench);
    assert!(rest >= ms(500) && rest < ms(700), "{rest:?}");
}

#[test]
fn a_permit_that_the_witness_does_not_know_is_over() {
    let (mut bench, attempt) = asking();
    let order = permitted(&mut bench, attempt);
    let unknown = |permit| Reply::Refused {
        subject: Subject::Permit { permit: PermitId(permit) },
        refusal: Refusal::HeldOff,
    };
    bench.say(unknown(1));
    assert!(!rests(&bench), "an agent runs under it");
    bench.step(Input::DeviceDone { order: order.order, verdict: DeviceVerdict::ConfirmedOff });
    bench.say(unknown(2));
    assert!(!rests(&bench), "that was another permit");
    bench.say(unknown(1));
    let rest = rested(&mut bench);
    assert!(rest >= ms(500) && rest < ms(700), "{rest:?}");
}

/// Up, connected, and in its start quarantine; B holds.
fn quarantined() -> (Bench, Instant) {
    let mut bench = Bench::new(bench::config(LossAction::Osu));
    bench.step(Input::Volume { volume: V, report: report(Role::Secondary) });
    let until = bench.node.quarantine_until();
    (bench, until)
}

#[test]
fn no_handover_is_taken_in_the_start_quarantine() {
    let (mut bench, until) = quarantined();
    let register = bench.register_view(Some(B), 1, Bench::both(), 1);
    bench.connect(register);
    let ready = |bench: &mut Bench| {
        let offer = PeerBody::HandoverOffer { request: RequestId(5), volume: V, epoch: Epoch(1) };
        let effects = bench.peer_says(offer);
        effects.into_iter().find_map(|effect| match effect {
            Effect::Peer {
                message: PeerMessage { body: PeerBody::HandoverAnswer { ready, .. }, .. },
                ..
            } => Some(ready),
            _ => None,
        })
    };
    bench.now = until - ms(1);
    assert_eq!(ready(&mut bench), Some(Err(Refusal::Quarantined)));
    bench.now = until;
    assert_eq!(ready(&mut bench), Some(Ok(())));
}

#[test]
fn no_override_in_the_start_quarantine_and_none_for_longer_than_a_day() {
    let (mut bench, until) = quarantined();
    let register = bench.register_view(Some(B), 1, Bench::both(), 1);
    bench.connect(register);
    bench.step(Input::WitnessGone);
    let mut ask = |now: Instant| {
        bench.now = now;
        let length = Duration::from_secs(48 * 3600);
        let request = NodeRequest::Override { volume: V, dead: NodeSet::only(B), length };
        let effects = bench.step(Input::Operator { ticket: 7, request });
        let answer = effects.into_iter().find_map(|effect| match effect {
            Effect::Answer { answer, .. } => Some(answer),
            _ => None,
        });
        (answer, bench.run.held.get(&V).map(|held| held.lease_until))
    };
    assert_eq!(ask(until - ms(1)).0, Some(NodeAnswer::Refused(Refusal::Quarantined)));
    let end = until + Duration::from_secs(24 * 3600);
    assert_eq!(ask(until), (Some(NodeAnswer::Done), Some(end)));
}

#[test]
fn promises_are_shown_while_they_last() {
    let mut bench = Bench::standby(LossAction::Osu);
    bench.peer_says(PeerBody::FailsafeLease {
        request: RequestId(8),
        volume: V,
        epoch: Epoch(1),
        lease: ms(2000),
    });
    let until = bench.run.promises[0].until;
    assert_eq!(bench.node.status(until - ms(1)).promises.len(), 1);
    assert!(bench.node.status(until).promises.is_empty());
}
