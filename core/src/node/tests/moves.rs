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
fn a_target_that_can_take_it_leaves_the_question_open() {
    let mut bench = Bench::standby(LossAction::Osu);
    ask_for_it(&mut bench);
    assert!(answer(&offer(&mut bench)).is_none());
}
