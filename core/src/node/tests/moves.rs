//! Moves by an operator's wish.

use super::super::*;
use super::bench::report;
use super::*;
use crate::error::Refusal;
use crate::ids::{Epoch, NodeSet, RequestId};
use crate::message::*;

fn answer(effects: &[Effect]) -> Option<&NodeAnswer> {
    effects.iter().find_map(|effect| match effect {
        Effect::Answer { ticket: 7, answer } => Some(answer),
        _ => None,
    })
}

fn ask_for_it(bench: &mut Bench) -> alloc::vec::Vec<Effect> {
    bench.step(Input::Operator { ticket: 7, request: NodeRequest::Move { volume: V, to: A } })
}

fn offer(bench: &mut Bench) -> alloc::vec::Vec<Effect> {
    bench.peer_says(PeerBody::HandoverOffer { request: RequestId(5), volume: V, epoch: Epoch(1) })
}

#[test]
fn who_asked_at_the_target_is_told_why_it_cannot_take_the_volume() {
    let mut bench = Bench::standby(LossAction::Osu);
    let mut behind = report(Role::Secondary);
    (behind.complete, behind.connected) = (false, NodeSet::EMPTY);
    bench.step(Input::Volume { volume: V, report: behind });
    assert!(answer(&ask_for_it(&mut bench)).is_none(), "the holder decides");
    let effects = offer(&mut bench);
    assert!(matches!(answer(&effects), Some(NodeAnswer::Refused(Refusal::Incomplete))), "{effects:?}");
}

#[test]
fn a_holder_that_is_silent_is_asked_for_nothing() {
    let mut bench = Bench::standby(LossAction::Osu);
    bench.wait(ms(600));
    let effects = ask_for_it(&mut bench);
    let refused =
        matches!(answer(&effects), Some(NodeAnswer::Refused(Refusal::NotHolder { holder: Some(B) })));
    assert!(refused, "{effects:?}");
}

fn told_refused(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| {
        matches!(effect, Effect::Peer { to: B, message } if matches!(message.body, PeerBody::MoveRefused { .. }))
    })
}

#[test]
fn who_asked_another_node_than_the_holder_is_told_that_the_target_refused() {
    let mut bench = Bench::holder(LossAction::Osu);
    let effects = bench.peer_says(PeerBody::MoveRequest { volume: V, to: B });
    let offered = effects.iter().find_map(|effect| match effect {
        Effect::Peer {
            message: PeerMessage { body: PeerBody::HandoverOffer { request, .. }, .. }, ..
        } => Some(*request),
        _ => None,
    });
    let request = offered.expect("the holder asks the target");
    let ready = Err(Refusal::Incomplete);
    let effects = bench.peer_says(PeerBody::HandoverAnswer { request, volume: V, ready });
    assert!(told_refused(&effects), "{effects:?}");
}

#[test]
fn a_move_that_the_holder_cannot_begin_is_refused_to_whoever_asked() {
    let mut bench = Bench::standby(LossAction::Osu);
    assert!(told_refused(&bench.peer_says(PeerBody::MoveRequest { volume: V, to: A })));
}

#[test]
fn the_holders_refusal_ends_a_move_that_was_asked_for_here() {
    let mut bench = Bench::standby(LossAction::Osu);
    ask_for_it(&mut bench);
    let other = PeerBody::MoveRefused { volume: V, to: B, refusal: Refusal::Incomplete };
    assert!(answer(&bench.peer_says(other)).is_none(), "another move");
    let refusal = Refusal::Incomplete;
    let effects = bench.peer_says(PeerBody::MoveRefused { volume: V, to: A, refusal });
    assert!(matches!(answer(&effects), Some(NodeAnswer::Refused(Refusal::Incomplete))), "{effects:?}");
}

#[test]
fn a_target_that_can_take_it_leaves_the_question_open() {
    let mut bench = Bench::standby(LossAction::Osu);
    ask_for_it(&mut bench);
    assert!(answer(&offer(&mut bench)).is_none());
}
