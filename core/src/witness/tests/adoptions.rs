//! An operator ends a recovery: the waiting for members that do not report, or claims that contradict each other.

use super::bench::{A, B, Bench, C, DATA, U, V, ms, params, set};
use super::recovery::knows;
use crate::error::Refusal;
use crate::evidence::Generation;
use crate::ids::{ConfigDigest, Epoch, GenerationId, IsrVersion, NodeId, NodeSet, VolumeId};
use crate::message::{OperatorAnswer, OperatorRequest, ReplicaReport, Request};
use crate::params::EPOCH_JUMP;
use crate::witness::{Event, Input};
use alloc::vec;

fn replica(bench: &mut Bench, node: NodeId, volume: VolumeId) -> &mut ReplicaReport {
    bench.nodes.get_mut(&node).unwrap().replicas.get_mut(&volume).unwrap()
}

/// B has reported, and a person adopts: A is missing, and nobody hears it.
fn adopted_without_a() -> Bench {
    let mut bench = Bench::empty(&[A, B], &[V]);
    knows(&mut bench, 7, 9, &[A, B]);
    bench.register(B);
    bench.beat(B, set(&[]));
    bench.operator(OperatorRequest::Adopt { source: None });
    bench
}

/// B hears A, and the adoption does not count any more.
fn is_void_when_a_is_heard(mut bench: Bench) {
    bench.beat(B, set(&[A]));
    assert!(bench.events.contains(&Event::AdoptionVoid { heard: set(&[A]), gone: set(&[]) }));
    bench.pass(bench.config.attestation_wait() * 2, &[B]);
    assert!(bench.witness.recovering().is_some());
}

/// A is alone in the newest set, and B knows an older one.
fn left_behind(bench: &mut Bench) {
    knows(bench, 7, 9, &[A]);
    let stale = replica(bench, B, V);
    (stale.isr, stale.isr_version.0) = (set(&[A, B]), 6);
}

/// A and B have data of their own, and nothing was ever recorded.
fn contradict(bench: &mut Bench, volume: VolumeId) {
    for (node, generation) in [(A, GenerationId(65)), (B, GenerationId(66))] {
        replica(bench, node, volume).generation = Generation::first(generation);
    }
}

#[test]
fn an_adoption_is_refused_while_a_missing_member_is_heard() {
    let mut bench = Bench::empty(&[A, B], &[V]);
    knows(&mut bench, 7, 9, &[A, B]);
    bench.register(B);
    bench.beat(B, set(&[A]));
    let refused =
        |answer| matches!(answer, OperatorAnswer::Refused(Refusal::SeenAlive { by }) if by == set(&[B]));
    assert!(refused(bench.operator(OperatorRequest::Adopt { source: None })));
    bench.beat(B, set(&[]));
    assert!(!refused(bench.operator(OperatorRequest::Adopt { source: None })));
}

#[test]
fn an_adoption_is_void_when_a_missing_member_is_heard_before_it_counts() {
    let bench = adopted_without_a();
    is_void_when_a_is_heard(bench);
}

#[test]
fn a_recovery_without_a_holder_ends_no_promise() {
    let mut bench = Bench::empty(&[A, B], &[V]);
    knows(&mut bench, 7, 9, &[A, B]);
    bench.register(A);
    bench.register(B);
    assert_eq!(bench.holder(V), None);
    assert!(bench.epoch(V) > Epoch(9), "with its epoch it would read like a release");
}

#[test]
fn an_operators_word_counts_where_claims_contradict_and_nowhere_else() {
    let mut bench = Bench::empty(&[A, B], &[V, U]);
    knows(&mut bench, 7, 9, &[B]);
    contradict(&mut bench, U);
    bench.register(A);
    bench.register(B);
    bench.operator(OperatorRequest::Adopt { source: Some(A) });
    assert_eq!(bench.witness.recovering(), None);
    assert_eq!(bench.witness.record().volumes[&V].isr, set(&[B]), "nothing contradicts here");
    assert_eq!(bench.witness.record().volumes[&U].isr, set(&[A]));
}

#[test]
fn each_contradiction_can_have_a_word_of_its_own() {
    let mut bench = Bench::empty(&[A, B, C], &[V, U]);
    for volume in [V, U] {
        contradict(&mut bench, volume);
    }
    for (node, volume) in [(B, V), (A, U)] {
        replica(&mut bench, node, volume).complete = false;
    }
    for node in [A, B, C] {
        bench.register(node);
    }
    bench.operator(OperatorRequest::Adopt { source: Some(A) });
    assert!(bench.witness.recovering().is_some(), "nothing of the other volume can be taken from there");
    bench.operator(OperatorRequest::Adopt { source: Some(B) });
    assert_eq!(bench.witness.recovering(), None);
    let record = bench.witness.record();
    assert_eq!((record.volumes[&V].isr, record.volumes[&U].isr), (set(&[A]), set(&[B])));
}

#[test]
fn an_adoption_does_without_those_who_were_missing_and_nobody_else() {
    let mut bench = Bench::empty(&[A, B, C], &[V]);
    left_behind(&mut bench);
    bench.register(A);
    bench.register(B);
    bench.pass(ms(500), &[A, B]);
    let taken = bench.operator(OperatorRequest::Adopt { source: None });
    assert!(matches!(taken, OperatorAnswer::Confirmed { .. }), "C alone is missing, and nobody hears it");
    bench.pass(ms(1500), &[B]);
    let session = bench.nodes[&A].session;
    bench.step(Input::Disconnected { session });
    assert!(bench.events.contains(&Event::AdoptionVoid { heard: set(&[]), gone: set(&[A]) }));
    bench.pass(bench.config.attestation_wait(), &[B]);
    let isr = bench.witness.record().volumes[&V].isr;
    assert_eq!(
        (bench.witness.recovering(), isr),
        (Some(set(&[A, C])), NodeSet::EMPTY),
        "A's report is left out"
    );
}

#[test]
fn an_adoption_waits_for_what_a_witness_that_slept_has_not_read() {
    let mut bench = adopted_without_a();
    bench.now = bench.now + bench.config.attestation_wait();
    bench.step(Input::Tick);
    assert!(bench.witness.recovering().is_some(), "B's heartbeat was not read yet");
    is_void_when_a_is_heard(bench);
}

#[test]
fn an_adoption_counts_when_a_witness_that_slept_has_read_nothing_against_it() {
    let mut bench = Bench::empty(&[A, B], &[V]);
    knows(&mut bench, 7, 9, &[A, B]);
    bench.register(B);
    bench.operator(OperatorRequest::Adopt { source: None });
    bench.now = bench.now + bench.config.attestation_wait();
    bench.beat(B, set(&[]));
    assert!(bench.witness.recovering().is_some());
    bench.tick_until(bench.now + params().heartbeat);
    assert_eq!(bench.witness.recovering(), None);
}

/// A and C are missing at the word; A comes, reports the newest set, goes silent and its connection ends.
#[test]
fn an_adoption_is_void_when_one_that_came_after_the_word_is_gone_again() {
    let mut bench = Bench::empty(&[A, B, C], &[V]);
    left_behind(&mut bench);
    replica(&mut bench, A, V).held = Some(Epoch(9));
    bench.register(B);
    bench.pass(ms(500), &[B]);
    let taken = bench.operator(OperatorRequest::Adopt { source: None });
    assert!(matches!(taken, OperatorAnswer::Confirmed { .. }));
    bench.register(A);
    bench.pass(ms(300), &[A, B]);
    assert_eq!(bench.witness.recovering(), Some(set(&[C])), "A has reported");
    bench.pass(ms(700), &[B]);
    let session = bench.nodes[&A].session;
    bench.step(Input::Disconnected { session });
    bench.acquire(B, V, 1);
    bench.pass(bench.config.attestation_wait(), &[B]);
    assert_eq!(
        (bench.witness.recovering(), bench.holder(V), bench.isr(V)),
        (Some(set(&[A, C])), None, NodeSet::EMPTY),
        "A's report, the newest, is not there"
    );
}

/// A knocks at the witness all the time, and is refused for its timings.
#[test]
fn an_adoption_is_void_when_a_missing_member_speaks_and_is_refused() {
    let mut bench = Bench::empty(&[A, B], &[V]);
    left_behind(&mut bench);
    replica(&mut bench, A, V).held = Some(Epoch(9));
    bench.register(B);
    bench.acquire(B, V, 1);
    bench.pass(ms(500), &[B]);
    bench.operator(OperatorRequest::Adopt { source: None });
    for _ in 0..40 {
        bench.connect(A);
        let mut registration = bench.registration(A);
        registration.config = ConfigDigest(0xd2);
        bench.say(A, Request::Register(registration));
        assert_eq!(bench.refused(A), "STALE_CONFIG");
        bench.pass(ms(100), &[B]);
    }
    assert_eq!((bench.witness.recovering().is_some(), bench.holder(V)), (true, None));
}

#[test]
fn an_adoption_waits_for_what_a_witness_that_slept_twice_has_not_read() {
    let mut bench = adopted_without_a();
    bench.now = bench.now + bench.config.attestation_wait();
    bench.step(Input::Tick);
    bench.now = bench.now + ms(340);
    bench.step(Input::Tick);
    assert!(bench.witness.recovering().is_some(), "B's heartbeat was not read yet");
}

/// B never learnt of a register, and A, which knows one, is off when a person adopts.
#[test]
fn a_first_set_without_a_member_is_beyond_all_that_the_member_can_know() {
    let mut bench = Bench::empty(&[A, B], &[V]);
    let a = replica(&mut bench, A, V);
    (a.max_epoch, a.isr_version, a.isr, a.recorded) =
        (Epoch(7), IsrVersion(500), set(&[A]), GenerationId(77));
    a.generation = Generation { current: GenerationId(77), history: vec![DATA] };
    bench.register(B);
    bench.operator(OperatorRequest::Adopt { source: None });
    bench.pass(bench.config.attestation_wait() * 2, &[B]);
    bench.acquire(B, V, 1);
    let granted = bench.granted(B).expect("granted").register;
    assert!(granted.epoch > Epoch(EPOCH_JUMP) && granted.isr_version > IsrVersion(EPOCH_JUMP), "{granted:?}");
    // A is back, the store is lost once more, and both report: what B was granted counts.
    let b = replica(&mut bench, B, V);
    (b.held, b.max_epoch) = (Some(granted.epoch), granted.epoch);
    (b.isr, b.isr_version, b.recorded) = (granted.isr, granted.isr_version, granted.generation);
    b.generation = Generation { current: GenerationId(88), history: vec![DATA] };
    let nodes = bench.nodes.clone();
    let mut bench = Bench::empty(&[A, B], &[V]);
    bench.nodes = nodes;
    bench.register(A);
    bench.register(B);
    assert_eq!(bench.witness.recovering(), None);
    assert_eq!((bench.holder(V), bench.isr(V)), (Some(B), set(&[B])));
}

#[test]
fn a_first_set_of_all_members_begins_at_the_beginning() {
    let mut bench = Bench::empty(&[A, B], &[V]);
    bench.register(A);
    bench.register(B);
    assert_eq!(bench.witness.record().volumes[&V].isr_version, IsrVersion(1));
    bench.acquire(A, V, 1);
    assert_eq!(bench.granted(A).expect("granted").register.epoch, Epoch(1));
}
