//! Views and the two advisory questions.

use super::bench::{A, B, Bench, C, V, ms, params, set, wish};
use crate::evidence::FenceOutcome;
use crate::message::{Check, CheckAnswer, QuorumVerdict, Reply, Request, View, WitnessVerdict};

fn view(bench: &Bench, node: crate::ids::NodeId) -> Option<View> {
    bench.replies(node).find_map(|reply| match reply {
        Reply::View(view) => Some(view.clone()),
        _ => None,
    })
}

#[test]
fn a_view_is_pushed_to_everybody_when_something_changed_and_only_then() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    bench.beat(A, set(&[B, C]));
    assert_eq!(view(&bench, B), None);
    bench.update(A, V, &[A, B]);
    for node in [A, B, C] {
        let view = view(&bench, node).expect("a view");
        assert_eq!(view.registers[0].isr, set(&[A, B]));
        assert_eq!(view.hears, set(&[A, B, C]));
    }
    bench.pass(ms(100), &[A, B, C]);
    bench.pass(ms(500), &[A, B]);
    bench.beat(C, set(&[A]));
    let heard = view(&bench, A).expect("C is heard again");
    assert!(heard.registers.is_empty(), "only what changed");
}

#[test]
fn whom_a_node_hears_is_known_while_it_says_so() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    bench.beat(A, set(&[B, C]));
    assert_eq!(bench.witness.hears_of(A, bench.now), set(&[B, C]));
    bench.beat(A, set(&[B]));
    assert_eq!(bench.witness.hears_of(A, bench.now), set(&[B]));
    let late = bench.now + params().lease_and_guard();
    assert_eq!(bench.witness.hears_of(A, late), set(&[]), "it said so long ago");
}

#[test]
fn who_registers_is_shown_everything() {
    let mut bench = Bench::held(&[A, B], &[V]);
    let permit = bench.permit(B, A);
    bench.reboot(A);
    let shown = view(&bench, A).expect("a view");
    assert_eq!(shown.registers.len(), 1);
    assert_eq!((shown.permits[0].permit, shown.permits[0].fencer), (permit.permit, B));
}

#[test]
fn a_quorum_is_a_majority_of_members_and_witness() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.pass(ms(600), &[B]);
    bench.say(B, Request::Check(Check::Quorum));
    let answer = Reply::Checked(CheckAnswer::Quorum(QuorumVerdict::Quorate));
    assert!(bench.replies(B).any(|reply| *reply == answer));
    assert_eq!(bench.witness.quorum(A), QuorumVerdict::NoQuorum);
    bench.say(B, Request::DeclareFailed);
    assert_eq!(bench.witness.quorum(B), QuorumVerdict::Quarantined);
}

#[test]
fn what_is_known_of_a_peer_and_unknown_when_it_is_not() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    bench.pass(ms(100), &[A, B, C]);
    let lease_left = params().lease_and_guard();
    bench.beat(A, set(&[B]));
    assert_eq!(bench.witness.check(A, bench.now), WitnessVerdict::AliveHolds { lease_left });
    assert_eq!(bench.witness.check(B, bench.now), WitnessVerdict::AliveIdle);
    bench.pass(ms(1000), &[B, C]);
    assert_eq!(bench.witness.check(A, bench.now), WitnessVerdict::Unknown);
    bench.pass(ms(2000), &[B, C]);
    assert_eq!(bench.witness.check(A, bench.now), WitnessVerdict::Expired);
    bench.ask_fence(B, A, 1);
    let permit = bench.permitted(B).unwrap();
    bench.report(B, permit, FenceOutcome::ConfirmedOff, alloc::vec![wish(V, 1)]);
    let fenced = WitnessVerdict::Fenced { permit: permit.permit };
    assert_eq!(bench.witness.check(A, bench.now), fenced);
    bench.restart();
    assert_eq!(bench.witness.check(C, bench.now), WitnessVerdict::Unknown);
}
