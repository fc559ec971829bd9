//! Timings were shortened: what a person says waits for leases of before.

use super::bench::{A, B, Bench, DATA, U, V, config, ms, params, report, set};
use crate::message::{OperatorAnswer, OperatorRequest, Reply, Request};
use crate::params::{Params, Profile};

fn slow() -> Params {
    Profile::SlowWatchdog.params()
}

/// The witness and all nodes run with long timings; A holds V.
fn held_by_long_timings() -> Bench {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.config.params = slow();
    bench.restart();
    bench.register(A);
    bench.register(B);
    bench.pass(slow().lease_and_guard() + slow().suspect_after() + ms(200), &[A, B]);
    assert_eq!(bench.holder(V), Some(A));
    bench
}

/// While the lease of before can last, A keeps the volume.
fn keeps(bench: &mut Bench, renewed: crate::time::Instant) {
    while bench.holder(V) == Some(A) && bench.now.since(renewed) < slow().lease {
        bench.pass(ms(100), &[B]);
    }
    let after = bench.now.since(renewed);
    assert_eq!(
        bench.holder(V),
        Some(A),
        "granted {after:?} after the renewal of a lease of {:?}",
        slow().lease
    );
}

#[test]
fn a_confirmation_waits_for_leases_of_longer_timings() {
    let mut bench = held_by_long_timings();
    let renewed = bench.now;
    bench.pass(slow().suspect_after() + ms(100), &[B]);
    bench.ask_fence(B, A, 1);
    let permit = bench.permitted(B).expect("a permit").permit;
    bench.say(B, Request::AskOperator { permit });
    let challenge = bench.replies(B).find_map(|reply| match reply {
        Reply::OperatorAsked(pending) => Some(pending.challenge),
        _ => None,
    });
    let node = A;
    let answer = bench.operator(OperatorRequest::ConfirmMeatware { node, challenge: challenge.unwrap() });
    assert!(matches!(answer, OperatorAnswer::Confirmed { .. }), "{answer:?}");
    bench.config.params = params();
    bench.restart();
    bench.register(B);
    bench.acquire(B, V, 1);
    keeps(&mut bench, renewed);
}

#[test]
fn an_adoption_waits_for_leases_of_longer_timings() {
    let mut bench = held_by_long_timings();
    let renewed = bench.now;
    // Shorter timings and another volume.
    bench.config = config(&[A, B], &[V, U]);
    for node in [A, B] {
        let new = report(U);
        bench.nodes.get_mut(&node).unwrap().replicas.insert(U, new);
    }
    bench.restart();
    assert!(bench.witness.recovering().is_some(), "U has no history");
    let (epoch, version) = (bench.epoch(V), bench.witness.record().volumes[&V].isr_version);
    let mine = bench.nodes.get_mut(&B).unwrap().replicas.get_mut(&V).unwrap();
    (mine.max_epoch, mine.isr, mine.isr_version, mine.recorded) = (epoch, set(&[A, B]), version, DATA);
    bench.register(B);
    bench.acquire(B, V, 1);
    let answer = bench.operator(OperatorRequest::Adopt { source: None });
    assert!(matches!(answer, OperatorAnswer::Confirmed { .. }), "{answer:?}");
    keeps(&mut bench, renewed);
}
