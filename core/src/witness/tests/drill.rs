//! Drills: a fence of a node that is alive and holds nothing, to see that it could be fenced.

use super::bench::{A, B, Bench, C, U, V, ms, set};
use crate::evidence::FenceOutcome;
use crate::ids::{AttemptId, NodeId};
use crate::message::{FenceReason, OperatorRequest, Request, RequestFence};
use alloc::vec;

fn drill(bench: &mut Bench, node: NodeId, target: NodeId) {
    let (attempt, reason, levels) = (AttemptId(7), FenceReason::Drill, ms(5000));
    bench.say(node, Request::RequestFence(RequestFence { target, attempt, reason, levels }));
}

#[test]
fn a_holder_may_drill_a_standby_that_is_alive() {
    let mut bench = Bench::held(&[A, B], &[V]);
    drill(&mut bench, A, B);
    let permit = bench.permitted(A).expect("a permit");
    assert_eq!((permit.target, permit.keep_off), (B, false));
    // Meanwhile the target is given nothing.
    bench.acquire(B, V, 3);
    assert_eq!(bench.waits(B), "TARGET_OF_PERMIT");
    bench.report(A, permit, FenceOutcome::ConfirmedOff, vec![]);
    assert_eq!(bench.witness.record().nodes[&B].permit, None);
    assert_eq!(bench.holder(V), Some(A));
}

#[test]
fn who_holds_something_is_not_drilled_and_so_two_nodes_never_drill_each_other() {
    let mut bench = Bench::held(&[A, B], &[V]);
    drill(&mut bench, B, A);
    assert_eq!(bench.refused(B), "WRONG_STATE");
    let mut bench = Bench::held(&[A, B], &[V, U]);
    bench.release(A, U, None);
    bench.acquire(B, U, 1);
    assert_eq!(bench.holder(U), Some(B));
    for (asker, target) in [(A, B), (B, A)] {
        drill(&mut bench, asker, target);
        assert_eq!(bench.refused(asker), "WRONG_STATE");
    }
}

#[test]
fn who_holds_nothing_may_not_drill() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    drill(&mut bench, B, C);
    assert_eq!(bench.refused(B), "WRONG_STATE");
    drill(&mut bench, A, A);
    assert_eq!(bench.refused(A), "NOT_MEMBER");
}

#[test]
fn a_target_that_is_about_to_take_over_is_not_drilled() {
    let mut bench = Bench::held(&[A, B], &[V, U]);
    bench.release(A, U, Some(B));
    drill(&mut bench, A, B);
    assert_eq!(bench.refused(A), "WRONG_STATE");
}

#[test]
fn a_silent_target_is_not_drilled() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.pass(ms(700), &[A]);
    assert!(!bench.witness.hears().contains(B));
    drill(&mut bench, A, B);
    assert_eq!(bench.refused(A), "WRONG_STATE");
}

#[test]
fn what_a_fence_would_wait_for_refuses_a_drill() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    bench.operator(OperatorRequest::Maintenance { node: B, length: ms(60_000) });
    drill(&mut bench, A, B);
    assert_eq!(bench.refused(A), "MAINTENANCE");
    let mut bench = Bench::held(&[A, B, C], &[V]);
    drill(&mut bench, A, B);
    assert!(bench.permitted(A).is_some());
    bench.beat(A, set(&[C]));
    let (attempt, reason, levels) = (AttemptId(8), FenceReason::Drill, ms(5000));
    bench.say(A, Request::RequestFence(RequestFence { target: B, attempt, reason, levels }));
    assert_eq!(bench.refused(A), "PERMIT_LIVE");
}
