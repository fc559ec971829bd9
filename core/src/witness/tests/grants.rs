//! The grant rule, leases, releases and in-sync sets.

use super::bench::{A, B, Bench, C, DATA, U, V, ms, params, set, wish};
use crate::evidence::{Generation, Proof};
use crate::ids::{AttemptId, Epoch, GenerationId, IsrVersion};
use crate::message::{Heartbeat, Reply, Request, SignedRelease, UpdateInSync};
use crate::witness::{Event, Input};

#[test]
fn the_same_attempt_gets_the_same_grant_and_a_lease_from_now() {
    let mut bench = Bench::held(&[A, B], &[V]);
    let epoch = bench.epoch(V);
    bench.pass(ms(300), &[B]);
    bench.acquire(A, V, 1);
    assert_eq!(bench.granted(A).unwrap().register.epoch, epoch);
    assert_eq!(bench.granted(A).unwrap().proof, Proof::Released);
    assert_eq!(bench.witness.lease_left(V, bench.now), Some(params().lease_and_guard()));
    bench.acquire(A, V, 2);
    assert_eq!(bench.granted(A).unwrap().register.epoch, Epoch(epoch.0 + 1));
    assert_eq!(bench.granted(A).unwrap().proof, Proof::SameHolder);
}

#[test]
fn only_the_recorded_data_in_full_and_in_sync_is_granted() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    bench.update(A, V, &[A, B]);
    bench.release(A, V, None);
    bench.acquire(C, V, 1);
    assert_eq!(bench.refused(C), "NOT_IN_SYNC");
    bench.say(B, Request::Acquire(crate::message::Acquire { complete: false, ..wish(V, 1) }));
    assert_eq!(bench.refused(B), "INCOMPLETE");
    let other = Generation::first(GenerationId(5));
    bench.say(B, Request::Acquire(crate::message::Acquire { generation: other, ..wish(V, 2) }));
    assert_eq!(bench.refused(B), "DATA_MISMATCH");
    let later = Generation { current: GenerationId(5), history: alloc::vec![DATA] };
    bench.say(B, Request::Acquire(crate::message::Acquire { generation: later, ..wish(V, 3) }));
    assert!(bench.granted(B).is_some());
}

/// What the data are after one more promotion, as PostgreSQL's timelines: the history is as long as it can be.
fn promoted(before: &Generation, round: u128) -> Generation {
    let former = core::iter::once(before.current).chain(before.history.iter().copied());
    let history = former.take(Generation::HISTORY_MAX).collect();
    Generation { current: GenerationId(1000 + round), history }
}

#[test]
fn who_is_alone_in_the_set_is_granted_however_often_it_began_a_generation() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.update(A, V, &[A]);
    let mut generation = Generation::first(DATA);
    for round in 0..2 * Generation::HISTORY_MAX as u64 {
        bench.release(A, V, None);
        bench.reboot(A);
        let before = bench.witness.record().volumes[&V].clone();
        let asked = crate::message::Acquire { generation: generation.clone(), ..wish(V, round) };
        bench.say(A, Request::Acquire(asked));
        let granted = bench.granted(A).unwrap_or_else(|| panic!("{round}: {:?}", bench.told(A))).register;
        assert_eq!(granted.isr, set(&[A]));
        // Recorded anew in time, under a version of its own, and no more often.
        let anew = granted.generation == generation.current && round > 0;
        assert_eq!(anew, round > 0 && round % (Generation::HISTORY_MAX as u64 / 2 + 1) == 0, "{round}");
        assert_eq!(granted.isr_version > before.isr_version, anew);
        generation = promoted(&generation, u128::from(round));
    }
    // An older copy of its data is refused as before.
    bench.release(A, V, None);
    bench.acquire(A, V, 1000);
    assert_eq!(bench.refused(A), "DATA_MISMATCH");
}

#[test]
fn while_others_are_in_the_set_a_grant_records_no_generation_that_they_may_not_have() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.release(A, V, None);
    let generation =
        (0..Generation::HISTORY_MAX as u128).fold(Generation::first(DATA), |g, round| promoted(&g, round));
    bench.say(A, Request::Acquire(crate::message::Acquire { generation, ..wish(V, 2) }));
    assert_eq!(bench.granted(A).unwrap().register.generation, DATA);
    bench.release(A, V, None);
    bench.acquire(B, V, 3);
    assert!(bench.granted(B).is_some());
}

#[test]
fn a_volume_that_is_held_waits_for_the_end_of_the_lease_and_is_granted_at_that_instant() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.beat(A, set(&[B]));
    let renewed = bench.now;
    bench.acquire(B, V, 1);
    assert_eq!(bench.waits(B), "NEEDS_PROOF");
    bench.pass(params().lease, &[B]);
    assert_eq!(bench.holder(V), Some(A), "L is over, G is not");
    let end = renewed + params().lease_and_guard();
    assert_eq!(bench.witness.deadline(), Some(end));
    bench.now = end;
    bench.step(Input::Tick);
    let granted = bench.granted(B).expect("nobody had to ask again");
    assert_eq!(granted.proof, Proof::LeaseExpired);
    assert_eq!(granted.register.isr, set(&[B]));
}

#[test]
fn a_renewal_by_the_holder_keeps_the_volume() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.acquire(B, V, 1);
    bench.pass(ms(6000), &[A, B]);
    assert_eq!(bench.holder(V), Some(A));
    let (old, session) = (Epoch(bench.epoch(V).0 - 1), bench.nodes[&A].session);
    let beat = Heartbeat { holds: alloc::vec![(V, old)], ..Heartbeat::default() };
    bench.say(A, Request::Heartbeat(beat.clone()));
    assert_eq!(bench.refused(A), "EPOCH_MISMATCH");
    bench.say(B, Request::Heartbeat(beat));
    assert_eq!(bench.refused(B), "NOT_HOLDER");
    assert_eq!(bench.nodes[&A].session, session);
}

#[test]
fn the_lease_of_a_machine_that_can_be_paused_unseen_proves_nothing() {
    for (watchdog_counts, pause_visible, barrier, proves) in [
        (true, true, false, true),
        (true, false, false, false),
        (true, false, true, true),
        (false, true, false, false),
        (false, false, true, false),
    ] {
        let mut bench = Bench::up(&[A, B], &[V]);
        let machine = bench.nodes.get_mut(&A).unwrap();
        machine.self_fence = crate::evidence::SelfFence { watchdog_counts, pause_visible };
        machine.replicas.get_mut(&V).unwrap().barrier_suffices = barrier;
        bench.register(A);
        bench.acquire(A, V, 1);
        bench.acquire(B, V, 1);
        bench.pass(ms(3000), &[B]);
        let taken = bench.holder(V) == Some(B);
        assert_eq!(taken, proves, "{watchdog_counts} {pause_visible} {barrier}");
    }
}

#[test]
fn without_a_watchdog_in_the_timings_no_lease_proves() {
    let mut bench = Bench::empty(&[A, B], &[V]);
    bench.config.params.watchdog = None;
    bench.witness = crate::witness::Witness::new(bench.config.clone(), None, super::bench::STORE, bench.now);
    bench.register(A);
    bench.register(B);
    bench.acquire(A, V, 1);
    bench.acquire(B, V, 1);
    bench.pass(ms(5000), &[B]);
    assert_eq!(bench.holder(V), Some(A));
}

#[test]
fn a_holder_that_boots_again_proves_its_old_boot_gone() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    bench.acquire(B, V, 1);
    assert_eq!(bench.waits(B), "NEEDS_PROOF");
    bench.reboot(A);
    let granted = bench.granted(B).expect("at the registration of the new boot");
    assert!(matches!(granted.proof, Proof::NewerBoot { .. }));
    assert_eq!(granted.register.isr, set(&[B, C]), "the old holder goes, nobody else");
    bench.acquire(A, V, 1);
    assert_eq!(bench.refused(A), "NOT_IN_SYNC");
}

#[test]
fn a_daemon_that_starts_again_is_the_same_boot() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.acquire(B, V, 1);
    bench.register(A);
    assert_eq!(bench.holder(V), Some(A));
    bench.beat(A, set(&[B]));
    assert_eq!(bench.holder(V), Some(A));
}

#[test]
fn a_rebooted_holder_may_have_its_own_volume_again() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.reboot(A);
    bench.acquire(A, V, 1);
    let granted = bench.granted(A).unwrap();
    assert!(matches!(granted.proof, Proof::NewerBoot { .. }));
    assert_eq!(granted.register.isr, set(&[A, B]));
}

#[test]
fn who_is_alone_in_the_set_is_never_taken_over() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.update(A, V, &[A]);
    bench.acquire(B, V, 1);
    assert_eq!(bench.refused(B), "NOT_IN_SYNC");
    bench.pass(ms(9000), &[B]);
    assert_eq!(bench.holder(V), Some(A));
}

#[test]
fn a_release_is_bound_to_epoch_and_boot_and_may_be_repeated() {
    let mut bench = Bench::held(&[A, B], &[V]);
    let epoch = bench.epoch(V);
    bench.say(A, Request::Release { volume: V, epoch: Epoch(epoch.0 - 1), successor: None });
    assert_eq!(bench.refused(A), "EPOCH_MISMATCH");
    bench.say(B, Request::Release { volume: V, epoch, successor: None });
    assert_eq!(bench.refused(B), "NOT_HOLDER");
    for _ in 0..2 {
        bench.say(A, Request::Release { volume: V, epoch, successor: None });
        assert!(bench.replies(A).any(|reply| matches!(reply, Reply::Released { .. })));
        assert_eq!(bench.holder(V), None);
    }
    bench.acquire(B, V, 1);
    assert_eq!(bench.granted(B).unwrap().register.isr, set(&[A, B]), "a release leaves the set as it is");
    bench.say(A, Request::Release { volume: V, epoch, successor: None });
    assert_eq!(bench.holder(V), Some(B), "an old release ends nothing");
}

#[test]
fn a_peer_may_carry_a_release() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.acquire(B, V, 1);
    let (epoch, boot) = (bench.epoch(V), bench.nodes[&A].boot);
    let mut release =
        SignedRelease { volume: V, epoch, boot: crate::ids::BootId(9), signature: alloc::vec![] };
    bench.say(B, Request::RelayRelease { holder: A, release: release.clone() });
    assert_eq!(bench.refused(B), "NOT_HOLDER", "of another boot");
    release.boot = boot;
    bench.say(B, Request::RelayRelease { holder: A, release });
    assert_eq!(bench.granted(B).unwrap().proof, Proof::Released);
}

#[test]
fn a_handover_goes_to_the_successor() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    bench.release(A, V, Some(C));
    bench.acquire(B, V, 1);
    assert_eq!(bench.waits(B), "WRONG_STATE");
    bench.acquire(C, V, 1);
    assert_eq!(bench.granted(C).unwrap().register.isr, set(&[A, B, C]));
    assert_eq!(bench.holder(V), Some(C));
}

#[test]
fn a_successor_that_does_not_come_or_gives_up_lets_the_others_try() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    bench.release(A, V, Some(C));
    bench.acquire(B, V, 1);
    bench.pass(ms(400), &[A, B]);
    assert_eq!(bench.holder(V), None);
    bench.pass(ms(100), &[A, B]);
    assert_eq!(bench.holder(V), Some(B));

    bench.pass(ms(100), &[A, B, C]);
    bench.release(B, V, Some(C));
    bench.acquire(A, V, 7);
    bench.say(C, Request::Acquire(crate::message::Acquire { complete: false, ..wish(V, 2) }));
    assert_eq!(bench.refused(C), "INCOMPLETE");
    assert_eq!(bench.holder(V), Some(A));
}

#[test]
fn a_withdrawn_attempt_is_not_granted() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.acquire(B, V, 1);
    bench.say(B, Request::Withdraw { attempt: AttemptId(1) });
    bench.release(A, V, None);
    assert_eq!(bench.holder(V), None);
}

#[test]
fn a_node_that_is_not_heard_is_granted_nothing() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    bench.acquire(B, V, 1);
    bench.pass(ms(600), &[A, C]);
    bench.release(A, V, None);
    assert_eq!(bench.holder(V), None, "B's grant would be lost on it");
    bench.beat(B, set(&[A]));
    assert_eq!(bench.holder(V), Some(B));
}

#[test]
fn an_in_sync_set_changes_by_compare_and_swap_of_its_holder() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    let (epoch, generation) = (bench.epoch(V), Generation::first(DATA));
    let expected = bench.witness.record().volumes[&V].isr_version;
    let good = UpdateInSync { volume: V, epoch, expected, isr: set(&[A, B]), generation };
    let wrong = [
        (UpdateInSync { expected: IsrVersion(expected.0 + 1), ..good.clone() }, "VERSION_CONFLICT"),
        (UpdateInSync { epoch: Epoch(epoch.0 + 1), ..good.clone() }, "EPOCH_MISMATCH"),
        (UpdateInSync { isr: set(&[B, C]), ..good.clone() }, "NOT_AN_IN_SYNC_SET"),
        (UpdateInSync { isr: set(&[A, crate::ids::NodeId(7)]), ..good.clone() }, "NOT_AN_IN_SYNC_SET"),
        (UpdateInSync { volume: U, ..good.clone() }, "NO_SUCH_VOLUME"),
        (UpdateInSync { generation: Generation::first(GenerationId(1)), ..good.clone() }, "DATA_MISMATCH"),
    ];
    for (update, word) in wrong {
        bench.say(A, Request::UpdateInSync(update));
        assert_eq!(bench.refused(A), word);
    }
    bench.say(B, Request::UpdateInSync(good.clone()));
    assert_eq!(bench.refused(B), "NOT_HOLDER");
    bench.say(A, Request::UpdateInSync(good));
    let register = bench.witness.record().volumes[&V].clone();
    assert_eq!((register.isr, register.isr_version), (set(&[A, B]), IsrVersion(expected.0 + 1)));
    bench.update(A, V, &[A, B]);
    assert_eq!(bench.witness.record().volumes[&V].isr_version, IsrVersion(expected.0 + 2));
}

#[test]
fn a_node_joins_only_while_it_is_heard() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.update(A, V, &[A]);
    bench.pass(ms(600), &[A]);
    bench.update(A, V, &[A, B]);
    assert_eq!(bench.refused(A), "NOT_AN_IN_SYNC_SET");
    bench.beat(B, set(&[A]));
    bench.update(A, V, &[A, B]);
    assert_eq!(bench.isr(V), set(&[A, B]));
}

#[test]
fn what_a_request_waits_for_is_told_once_for_each_reason() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.acquire(B, V, 1);
    let waiting = |event: &Event| matches!(event, Event::Waiting { .. });
    assert!(bench.events.iter().any(waiting));
    bench.beat(B, set(&[A]));
    assert!(bench.told(B).is_none());
    bench.pass(ms(500), &[B]);
    assert!(bench.witness.pending().iter().any(|(node, _, why)| *node == B && why.is_some()));
}

#[test]
fn after_a_restart_the_successor_is_waited_for_anew() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    bench.release(A, V, Some(C));
    bench.restart();
    bench.register(A);
    bench.register(B);
    bench.acquire(B, V, 1);
    assert_eq!(bench.holder(V), None, "C may be about to register");
    bench.pass(ms(500), &[A, B]);
    assert_eq!(bench.holder(V), Some(B));
}
