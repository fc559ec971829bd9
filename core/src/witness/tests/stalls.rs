//! A witness that was stalled itself: what came meanwhile counts before anything is judged by the time that passed.

use super::bench::{A, B, Bench, V, boot, ms, params, set, wish};
use crate::evidence::FenceOutcome;
use crate::ids::AttemptId;
use crate::message::Request;
use crate::time::Duration;

/// Longer than a lease.
const STALL: Duration = Duration::from_millis(3000);

/// A holds V and B waits for it, when the witness is stalled for longer than the lease; B's heartbeat is read first.
fn stalled() -> Bench {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.acquire(B, V, 1);
    bench.pass(ms(200), &[A, B]);
    assert_eq!(bench.holder(V), Some(A));
    bench.now = bench.now + STALL;
    bench.beat(B, set(&[]));
    bench
}

#[test]
fn after_its_own_stall_the_holders_waiting_renewal_counts() {
    let mut bench = stalled();
    assert_eq!(bench.holder(V), Some(A), "the holder's messages were not read yet");
    bench.beat(A, set(&[B]));
    assert!(bench.witness.lease_left(V, bench.now).is_some());
    bench.pass(ms(5000), &[A, B]);
    assert_eq!(bench.holder(V), Some(A));
}

#[test]
fn after_its_own_stall_a_waiting_withdrawal_counts() {
    let mut bench = stalled();
    bench.say(B, Request::Withdraw { attempt: AttemptId(1) });
    bench.pass(ms(5000), &[B]);
    assert_eq!(bench.holder(V), Some(A), "nobody asks for it any more");
}

#[test]
fn after_its_own_stall_it_judges_within_a_heartbeat() {
    let mut bench = stalled();
    bench.tick_until(bench.now + params().heartbeat - ms(1));
    assert_eq!(bench.holder(V), Some(A));
    bench.tick_until(bench.now + ms(1));
    assert_eq!(bench.holder(V), Some(B));
}

#[test]
fn a_tick_that_is_a_little_late_delays_nothing() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.acquire(B, V, 1);
    bench.pass(ms(2300), &[B]);
    let left = bench.witness.lease_left(V, bench.now).expect("the lease runs");
    bench.beat(B, set(&[]));
    bench.now = bench.now + left + ms(100);
    bench.step(crate::witness::Input::Tick);
    assert_eq!(bench.holder(V), Some(B));
}

/// B hears nothing of A and asks to fence it; the witness hears A.
fn waiting() -> Bench {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.ask_fence(B, A, 1);
    for _ in 0..10 {
        bench.tick_until(bench.now + params().heartbeat);
        bench.beat(A, set(&[]));
        bench.beat(B, set(&[]));
    }
    bench
}

/// So B waits, until the witness is stalled for `stall`.
fn judged_after(stall: Duration) -> bool {
    let mut bench = waiting();
    bench.now = bench.now + stall;
    bench.beat(B, set(&[]));
    let at_once = bench.permitted(B).is_some();
    bench.beat(A, set(&[]));
    bench.tick_until(bench.now + params().heartbeat);
    at_once || bench.permitted(B).is_some()
}

#[test]
fn nobody_is_permitted_to_fence_a_node_whose_silence_began_within_the_stall() {
    for stall in (0..3000).step_by(10).map(ms) {
        assert!(!judged_after(stall), "stalled for {stall:?}");
    }
}

/// The same after two stalls, with one heartbeat of B read between them.
fn judged_after_two(stall: Duration) -> bool {
    let mut bench = waiting();
    for _ in 0..2 {
        bench.now = bench.now + stall;
        bench.beat(B, set(&[]));
        if bench.permitted(B).is_some() {
            return true;
        }
    }
    false
}

#[test]
fn two_stalls_in_a_row_are_no_silence() {
    for stall in (0..1000).step_by(10).map(ms) {
        assert!(!judged_after_two(stall), "stalled twice for {stall:?}");
    }
}

/// The witness sleeps past the end of the permit with the report unread.
#[test]
fn a_report_that_waits_for_a_witness_that_slept_counts() {
    let mut bench = Bench::held(&[A, B], &[V]);
    let permit = bench.permit(B, A);
    bench.pass(ms(1000), &[B]);
    bench.now = bench.now + ms(6000);
    bench.report(B, permit, FenceOutcome::ConfirmedOff, [wish(V, 1)].into());
    bench.pass(ms(200), &[B]);
    assert!(bench.witness.record().nodes[&A].is_fenced(boot(A, 1)));
}
