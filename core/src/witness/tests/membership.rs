//! Operators' requests: sets, maintenance, retirement.

use super::bench::{A, B, Bench, C, STORE, V, ms, set};
use crate::ids::NodeId;
use crate::message::{OperatorAnswer, OperatorRequest, Reply, Request};
use crate::time::Duration;
use crate::witness::{Event, Input, Witness};

fn refusal(answer: OperatorAnswer) -> &'static str {
    match answer {
        OperatorAnswer::Refused(refusal) => refusal.word(),
        OperatorAnswer::Done | OperatorAnswer::Confirmed { .. } => "not refused",
    }
}

#[test]
fn a_node_is_taken_out_of_a_set_unless_it_holds_the_volume_or_is_the_last() {
    for stale in [false, true] {
        let take = |node: NodeId| match stale {
            true => OperatorRequest::ForceStale { node, volume: V },
            false => OperatorRequest::Evict { node, volume: V },
        };
        let mut bench = Bench::held(&[A, B, C], &[V]);
        assert_eq!(refusal(bench.operator(take(A))), "WRONG_STATE");
        assert_eq!(bench.operator(take(B)), OperatorAnswer::Done);
        assert_eq!(bench.isr(V), set(&[A, C]));
        assert_eq!(refusal(bench.operator(take(B))), "NOT_IN_SYNC");
        assert_eq!(refusal(bench.operator(take(NodeId(77)))), "NOT_MEMBER");
        bench.operator(take(C));
        bench.release(A, V, None);
        assert_eq!(refusal(bench.operator(take(A))), "WRONG_STATE");
    }
}

#[test]
fn an_operator_on_a_node_is_answered_there() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    let request = OperatorRequest::Evict { node: C, volume: V };
    bench.say(B, Request::Operator { ticket: 7, request });
    let answered = bench
        .replies(B)
        .any(|reply| matches!(reply, Reply::Operator { ticket: 7, answer: OperatorAnswer::Done }));
    assert!(answered);
}

fn maintenance(bench: &mut Bench, length: Duration) -> OperatorAnswer {
    bench.operator(OperatorRequest::Maintenance { node: A, length })
}

#[test]
fn under_maintenance_there_is_no_permit_and_no_takeover() {
    let mut bench = Bench::held(&[A, B], &[V]);
    maintenance(&mut bench, ms(10_000));
    bench.acquire(B, V, 1);
    assert_eq!(bench.waits(B), "MAINTENANCE");
    bench.pass(ms(5000), &[B]);
    bench.ask_fence(B, A, 1);
    assert_eq!(bench.waits(B), "MAINTENANCE");
    assert_eq!(bench.holder(V), Some(A));
    bench.release(A, V, None);
    assert_eq!(bench.holder(V), Some(B), "a release is no takeover");
}

#[test]
fn a_lease_proves_nothing_after_a_maintenance_until_the_node_has_registered_again() {
    let mut bench = Bench::held(&[A, B], &[V]);
    maintenance(&mut bench, ms(1000));
    bench.register(A);
    bench.acquire(B, V, 1);
    bench.pass(ms(1100), &[B]);
    assert!(!bench.witness.sessions().contains_key(&A), "the session ended with the maintenance");
    bench.pass(ms(9000), &[B]);
    assert_eq!(bench.holder(V), Some(A), "its watchdog may have been closed");
    bench.register(A);
    bench.pass(ms(2000), &[A, B]);
    bench.pass(ms(3000), &[B]);
    assert_eq!(bench.holder(V), Some(B));
}

#[test]
fn a_promise_proves_nothing_of_the_time_before_it() {
    let mut bench = Bench::held(&[A, B], &[V]);
    maintenance(&mut bench, ms(1000));
    bench.acquire(B, V, 1);
    bench.pass(ms(9000), &[B]);
    bench.register(A);
    let registered = bench.now;
    assert_eq!(bench.holder(V), Some(A), "its daemon took up a volume that had been left running");
    let lease = super::bench::params().lease_and_guard();
    bench.pass(lease - ms(50), &[B]);
    assert_eq!(bench.holder(V), Some(A));
    bench.now = registered + lease;
    bench.step(Input::Tick);
    assert_eq!(bench.holder(V), Some(B), "the lease began under the promise");
}

#[test]
fn a_maintenance_lasts_its_full_length_after_a_restart_and_can_be_ended() {
    let mut bench = Bench::held(&[A, B], &[V]);
    maintenance(&mut bench, ms(4000));
    bench.pass(ms(3900), &[B]);
    bench.restart();
    bench.pass(ms(3900), &[]);
    assert!(bench.witness.view(bench.now).maintenance.contains(A));
    assert_eq!(maintenance(&mut bench, Duration::ZERO), OperatorAnswer::Done);
    assert!(bench.events.contains(&Event::MaintenanceEnded { node: A }));
    assert!(bench.witness.view(bench.now).maintenance.is_empty());
}

#[test]
fn who_ends_his_own_nodes_maintenance_is_answered_before_the_session_ends() {
    let mut bench = Bench::held(&[A, B], &[V]);
    maintenance(&mut bench, ms(4000));
    let request = OperatorRequest::Maintenance { node: A, length: Duration::ZERO };
    bench.say(A, Request::Operator { ticket: 7, request });
    let answered = bench
        .replies(A)
        .any(|reply| matches!(reply, Reply::Operator { ticket: 7, answer: OperatorAnswer::Done }));
    assert!(answered);
    assert!(!bench.witness.sessions().contains_key(&A), "its watchdog is to be told anew");
}

#[test]
fn no_maintenance_for_the_target_of_a_permit() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.permit(B, A);
    assert_eq!(refusal(maintenance(&mut bench, ms(1000))), "TARGET_OF_PERMIT");
}

#[test]
fn a_retired_store_serves_nobody() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.acquire(B, V, 1);
    assert_eq!(bench.operator(OperatorRequest::Retire), OperatorAnswer::Done);
    assert_eq!(bench.witness.deadline(), None);
    bench.release(A, V, None);
    assert_eq!(bench.refused(A), "WRONG_STATE");
    assert_eq!(bench.closed.len(), 1);
    assert_eq!(refusal(bench.operator(OperatorRequest::Clear { node: A })), "WRONG_STATE");
    bench.witness = Witness::new(bench.config.clone(), bench.disk.clone(), STORE, bench.now);
    bench.register(A);
    assert_eq!(bench.refused(A), "WRONG_STATE");
    bench.step(Input::Tick);
    assert!(bench.sent.is_empty());
}
