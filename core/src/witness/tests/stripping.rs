//! What an accepted report of a fence changes in the in-sync sets.

use super::bench::{A, B, Bench, C, DATA, U, V, set, wish};
use crate::evidence::{FenceOutcome, Generation, Proof};
use crate::ids::{GenerationId, VolumeId};
use crate::message::{Acquire, Request, UpdateInSync};
use alloc::vec;

/// A holds V and B holds U, of which both have a replica.
fn one_each() -> Bench {
    let mut bench = Bench::held(&[A, B, C], &[V, U]);
    bench.release(A, U, None);
    bench.acquire(B, U, 1);
    bench
}

#[test]
fn the_fenced_node_is_taken_only_from_the_sets_of_what_the_reporter_holds() {
    const W: VolumeId = VolumeId(3);
    let mut bench = Bench::held(&[A, B, C], &[V, U, W]);
    bench.release(A, V, None);
    bench.acquire(B, V, 1);
    bench.release(A, W, None);
    bench.acquire(C, W, 2);
    let permit = bench.permit(B, A);
    bench.report(B, permit, FenceOutcome::ConfirmedOff, vec![]);
    assert_eq!(bench.isr(V), set(&[B, C]));
    assert_eq!(bench.isr(U), set(&[A, B, C]), "it holds this itself");
    assert_eq!(bench.isr(W), set(&[A, B, C]), "a third one holds this, and says itself whom it needs");
    bench.acquire(C, U, 3);
    assert_eq!(bench.isr(U), set(&[B, C]), "the takeover takes it out");
}

/// One that was cut off from all of its replicas has removed some of them, and the others do not have the data that was
/// recorded with that.
#[test]
fn a_holder_that_was_fenced_serves_again_while_nobody_else_has_what_is_recorded() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    let newer = Generation { current: GenerationId(9), history: vec![DATA] };
    let (epoch, expected) = (bench.epoch(V), bench.witness.record().volumes[&V].isr_version);
    let isr = set(&[A, B]);
    let update = UpdateInSync { volume: V, epoch, expected, isr, generation: newer.clone() };
    bench.say(A, Request::UpdateInSync(update));
    assert_eq!(bench.isr(V), isr);
    let permit = bench.permit(B, A);
    bench.report(B, permit, FenceOutcome::ConfirmedOff, vec![wish(V, 1)]);
    assert!(bench.granted(B).is_none(), "its data is older than what is recorded");
    bench.acquire(B, V, 2);
    assert_eq!(bench.refused(B), "DATA_MISMATCH");
    assert_eq!(bench.isr(V), isr);
    bench.reboot(A);
    bench.say(A, Request::Acquire(Acquire { generation: newer, ..wish(V, 3) }));
    assert!(matches!(bench.granted(A).unwrap().proof, Proof::NewerBoot { .. }));
}

#[test]
fn a_reporter_that_is_to_be_fenced_strips_nobody() {
    let mut bench = Bench::held(&[A, B, C], &[V, U]);
    bench.release(A, U, None);
    bench.acquire(B, U, 1);
    let permit = bench.permit(B, A);
    bench.say(B, Request::DeclareFailed);
    bench.ask_fence(C, B, 2);
    assert!(bench.permitted(C).is_some());
    bench.report(B, permit, FenceOutcome::ConfirmedOff, vec![wish(V, 3)]);
    assert_eq!(
        (bench.isr(V), bench.isr(U)),
        (set(&[A, B, C]), set(&[A, B, C])),
        "not of what it holds either"
    );
    assert!(bench.granted(B).is_none());
    bench.acquire(C, V, 3);
    assert!(matches!(bench.granted(C).unwrap().proof, Proof::Fenced { .. }), "the proof itself counts");
}

#[test]
fn a_reporter_whose_grant_was_revoked_strips_nobody() {
    let mut bench = one_each();
    let permit = bench.permit(C, B);
    bench.report(C, permit, FenceOutcome::NotStarted, vec![]);
    let permit = bench.permit(B, A);
    bench.report(B, permit, FenceOutcome::ConfirmedOff, vec![]);
    assert_eq!(bench.isr(U), set(&[A, B, C]));
}

#[test]
fn no_report_strips_anybody_in_a_recovery() {
    let mut bench = one_each();
    let permit = bench.permit(B, A);
    bench.witness.record.recovery = true;
    bench.report(B, permit, FenceOutcome::ConfirmedOff, vec![]);
    assert_eq!(bench.isr(U), set(&[A, B, C]));
    let mut bench = one_each();
    let permit = bench.permit(B, A);
    bench.report(B, permit, FenceOutcome::ConfirmedOff, vec![]);
    assert_eq!(bench.isr(U), set(&[B, C]), "as it would otherwise");
}
