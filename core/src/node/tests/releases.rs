//! An operator's release on standby: everything held goes out of service, and nobody is offered it.

use super::super::*;
use super::bench::{actions, asked, requests};
use super::*;
use crate::error::Refusal;
use crate::ids::Epoch;
use crate::message::*;
use alloc::vec::Vec;

const TICKET: u64 = 7;

fn order(bench: &mut Bench, ticket: u64, request: NodeRequest) -> Vec<Effect> {
    bench.step(Input::Operator { ticket, request })
}

fn answer(effects: &[Effect]) -> Option<&NodeAnswer> {
    effects.iter().find_map(|effect| match effect {
        Effect::Answer { ticket: TICKET, answer } => Some(answer),
        _ => None,
    })
}

/// A holder that was put on standby a moment ago.
fn on_standby() -> Bench {
    let mut bench = Bench::holder(LossAction::Osu);
    order(&mut bench, 1, NodeRequest::Standby(true));
    bench
}

#[test]
fn what_is_held_is_stopped_for_nobody_and_the_record_is_waited_for() {
    let mut bench = on_standby();
    let effects = order(&mut bench, TICKET, NodeRequest::Release);
    assert!(matches!(actions(&effects).as_slice(), [VolumeAction::Demote { .. }]), "{effects:?}");
    assert!(answer(&effects).is_none());
    let effects = bench.done();
    let free = requests(&effects).iter().any(|r| matches!(r, Request::Release { successor: None, .. }));
    assert!(free, "{effects:?}");
    assert!(answer(&effects).is_none(), "the release is not recorded yet");
    let effects = bench.say(Reply::Released { volume: V, epoch: Epoch(2) });
    assert_eq!(answer(&effects), Some(&NodeAnswer::Done), "{effects:?}");
    assert!(asked(&bench.say_free(3)).is_none(), "and it stays out of service");
}

#[test]
fn a_node_that_holds_nothing_answers_at_once() {
    let mut bench = Bench::standby(LossAction::Osu);
    order(&mut bench, 1, NodeRequest::Standby(true));
    let effects = order(&mut bench, TICKET, NodeRequest::Release);
    assert_eq!(answer(&effects), Some(&NodeAnswer::Done), "{effects:?}");
}

#[test]
fn a_node_that_would_ask_again_refuses() {
    let mut bench = Bench::holder(LossAction::Osu);
    let effects = order(&mut bench, TICKET, NodeRequest::Release);
    assert!(matches!(answer(&effects), Some(NodeAnswer::Refused(Refusal::WrongState { .. }))), "{effects:?}");
    assert!(actions(&effects).is_empty() && matches!(bench.phase(), Phase::Active(_)));
}

#[test]
fn without_a_witness_it_is_refused_and_nothing_is_stopped() {
    let mut bench = on_standby();
    bench.step(Input::WitnessGone);
    let effects = order(&mut bench, TICKET, NodeRequest::Release);
    assert_eq!(answer(&effects), Some(&NodeAnswer::Refused(Refusal::NotRegistered)), "{effects:?}");
    assert!(actions(&effects).is_empty() && matches!(bench.phase(), Phase::Active(_)));
}

#[test]
fn back_online_before_the_end_the_asker_is_told_so() {
    let mut bench = on_standby();
    order(&mut bench, TICKET, NodeRequest::Release);
    let effects = order(&mut bench, 8, NodeRequest::Standby(false));
    let expected = NodeAnswer::Unfinished("the node was put online again".into());
    assert_eq!(answer(&effects), Some(&expected), "{effects:?}");
}

#[test]
fn a_promotion_under_way_is_stopped_when_it_is_done() {
    let mut bench = Bench::standby(LossAction::Osu);
    let effects = bench.say_free(2);
    let effects = bench.grant(&effects, 2);
    assert!(matches!(actions(&effects).as_slice(), [VolumeAction::Promote(_)]), "{effects:?}");
    order(&mut bench, 1, NodeRequest::Standby(true));
    let effects = order(&mut bench, TICKET, NodeRequest::Release);
    assert!(answer(&effects).is_none() && actions(&effects).is_empty(), "{effects:?}");
    let effects = bench.done();
    assert!(matches!(actions(&effects).as_slice(), [VolumeAction::Demote { .. }]), "{effects:?}");
}

#[test]
fn what_does_not_end_is_answered_in_the_end() {
    let mut bench = on_standby();
    order(&mut bench, TICKET, NodeRequest::Release);
    bench.done();
    let early = bench.live(ANSWER_WITHIN - ms(200));
    assert!(answer(&early).is_none(), "{early:?}");
    let effects = bench.live(ms(400));
    let expected = NodeAnswer::Unfinished("something is still held, or its release is not recorded".into());
    assert_eq!(answer(&effects), Some(&expected), "{effects:?}");
}
