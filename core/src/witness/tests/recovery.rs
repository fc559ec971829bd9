//! Restarts and RECOVERY.

use super::bench::{A, B, Bench, C, DATA, STORE, V, boot, ms, params, report, set};
use crate::evidence::{FenceOutcome, Generation, Proof};
use crate::ids::{CommitIndex, Epoch, GenerationId, IsrVersion, StoreId};
use crate::message::{Heartbeat, OperatorAnswer, OperatorRequest, Override, Reply, Request, Seen};
use crate::params::EPOCH_JUMP;
use crate::witness::{ABSORBED_MAX, Alarm, Event, Input, Witness};
use alloc::vec;

#[test]
fn after_a_restart_every_lease_is_fresh() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.restart();
    let start = bench.now;
    bench.register(B);
    bench.acquire(B, V, 1);
    assert_eq!(bench.waits(B), "NEEDS_PROOF");
    bench.pass(params().lease_and_guard() - ms(20), &[B]);
    assert_eq!(bench.holder(V), Some(A));
    bench.now = start + params().lease_and_guard();
    bench.step(Input::Tick);
    assert_eq!(bench.granted(B).map(|granted| granted.proof), Some(Proof::LeaseExpired));
}

#[test]
fn after_a_restart_renewals_work_at_once() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.restart();
    bench.register(A);
    bench.beat(A, set(&[B]));
    assert!(bench.replies(A).any(|r| matches!(r, Reply::Renewed { volumes, .. } if volumes.len() == 1)));
}

#[test]
fn after_a_restart_with_shorter_timings_the_longer_leases_count_once() {
    let mut bench = Bench::held(&[A, B], &[V]);
    let mut stored = bench.disk.clone().unwrap();
    stored.lease_and_guard = ms(9000);
    bench.witness = Witness::new(bench.config.clone(), Some(stored), STORE, bench.now);
    bench.register(B);
    bench.acquire(B, V, 1);
    bench.pass(ms(8900), &[B]);
    assert_eq!(bench.holder(V), Some(A));
    bench.pass(ms(200), &[B]);
    assert_eq!(bench.holder(V), Some(B));
    assert_eq!(bench.witness.record().lease_and_guard, params().lease_and_guard());
}

#[test]
fn after_a_restart_nobody_is_missed_before_a_lease_and_a_silence_have_passed() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.restart();
    let start = bench.now;
    bench.register(B);
    bench.pass(ms(100), &[B]);
    bench.ask_fence(B, A, 1);
    assert_eq!(bench.waits(B), "SEEN_ALIVE");
    let wait = params().lease_and_guard() + params().suspect_after();
    bench.pass((start + wait).since(bench.now) - ms(20), &[B]);
    assert_eq!(bench.witness.record().nodes[&A].permit, None);
    bench.tick_until(start + wait);
    assert!(bench.witness.record().nodes[&A].permit.is_some());
}

#[test]
fn after_a_restart_a_permit_lives_for_its_full_time_and_its_report_counts() {
    let mut bench = Bench::held(&[A, B], &[V]);
    let permit = bench.permit(B, A);
    bench.pass(ms(5000), &[B]);
    bench.restart();
    bench.register(B);
    bench.pass(ms(5000), &[B]);
    bench.report(B, permit, FenceOutcome::ConfirmedOff, vec![super::bench::wish(V, 1)]);
    assert!(bench.granted(B).is_some());
}

/// What the nodes know of a history that the witness has lost.
pub(super) fn knows(bench: &mut Bench, version: u64, epoch: u64, isr: &[crate::ids::NodeId]) {
    for machine in bench.nodes.values_mut() {
        let replica = machine.replicas.get_mut(&V).unwrap();
        replica.max_epoch = Epoch(epoch);
        replica.isr_version = IsrVersion(version);
        replica.isr = set(isr);
        replica.recorded = DATA;
    }
}

fn replica(bench: &mut Bench, node: crate::ids::NodeId) -> &mut crate::message::ReplicaReport {
    bench.nodes.get_mut(&node).unwrap().replicas.get_mut(&V).unwrap()
}

/// Both report in sessions of now; A holds the volume.
fn both_report(bench: &mut Bench) {
    let held = bench.epoch(V);
    (replica(bench, A).held, replica(bench, A).max_epoch) = (Some(held), held);
    bench.register(A);
    bench.register(B);
    assert_eq!(bench.witness.recovering(), None);
}

#[test]
fn a_member_that_names_ever_new_stores_does_not_grow_the_record() {
    let mut bench = Bench::held(&[A, B], &[V]);
    let named = |number: u128| Seen { store: StoreId(number), commit: CommitIndex(5) };
    bench.nodes.get_mut(&B).unwrap().seen = named(1 << 100);
    bench.beat(B, set(&[A]));
    both_report(&mut bench);
    for number in 1000..1000 + 2 * ABSORBED_MAX as u128 {
        bench.nodes.get_mut(&B).unwrap().seen = named(number);
        bench.beat(B, set(&[A]));
        assert!(bench.witness.recovering().is_some(), "store {number} was never heard of");
        both_report(&mut bench);
        let absorbed = &bench.witness.record().absorbed;
        assert!(absorbed.len() <= ABSORBED_MAX, "{} stores are remembered", absorbed.len());
        assert_eq!(absorbed.get(&StoreId(number)), Some(&CommitIndex(5)), "the newest is remembered");
    }
    assert_eq!(bench.witness.record().absorbed.len(), ABSORBED_MAX);
}

#[test]
fn a_store_that_was_forgotten_counts_as_never_heard_of() {
    let mut bench = Bench::held(&[A, B], &[V]);
    let mut stored = bench.disk.clone().unwrap();
    let (known, forgotten) = (StoreId(1 << 90), StoreId(1003));
    // What an older version wrote may be longer.
    stored.absorbed = (1000..1200).map(|number| (StoreId(number), CommitIndex(9))).collect();
    stored.absorbed.insert(known, CommitIndex(9));
    stored.absorbed.remove(&forgotten);
    bench.witness = Witness::new(bench.config.clone(), Some(stored), STORE, bench.now);
    both_report(&mut bench);
    let say_seen = |bench: &mut Bench, store, commit| {
        bench.nodes.get_mut(&B).unwrap().seen = Seen { store, commit: CommitIndex(commit) };
        bench.beat(B, set(&[A]));
        bench.witness.recovering().is_some()
    };
    assert!(!say_seen(&mut bench, known, 9), "what was taken in causes nothing");
    assert!(say_seen(&mut bench, known, 10), "and more than that does");
    both_report(&mut bench);
    assert_eq!(bench.witness.record().absorbed.len(), ABSORBED_MAX);
    assert!(say_seen(&mut bench, forgotten, 1), "it is not taken for known");
    bench.acquire(B, V, 1);
    assert_eq!(bench.granted(B), None, "nothing is granted meanwhile");
}

#[test]
fn a_witness_that_is_behind_a_node_recovers() {
    for seen in [
        Seen { store: STORE, commit: CommitIndex(1 << 30) },
        Seen { store: StoreId(0xbad), commit: CommitIndex(1) },
    ] {
        let mut bench = Bench::held(&[A, B], &[V]);
        bench.nodes.get_mut(&B).unwrap().seen = seen;
        bench.beat(B, set(&[A]));
        assert!(bench.events.contains(&Event::RecoveryBegun { node: Some(B) }));
        assert_eq!(bench.closed.len(), 2, "reports must be of now");
        let epoch = bench.epoch(V);
        replica(&mut bench, A).held = Some(epoch);
        replica(&mut bench, A).max_epoch = epoch;
        bench.register(B);
        bench.register(A);
        assert_eq!(bench.witness.recovering(), None);
        bench.beat(B, set(&[A]));
        assert_eq!(bench.witness.recovering(), None, "what B has seen is taken in");
        assert_eq!(bench.holder(V), Some(A));
    }
}

#[test]
fn a_report_that_knows_a_newer_epoch_or_version_begins_a_recovery() {
    for (version, epoch) in [(2, 500), (500, 1)] {
        let mut bench = Bench::held(&[A, B], &[V]);
        replica(&mut bench, B).max_epoch = Epoch(epoch);
        replica(&mut bench, B).isr_version = IsrVersion(version);
        bench.register(B);
        assert_eq!(bench.witness.recovering(), Some(set(&[A])));
    }
}

#[test]
fn while_recovering_nothing_is_granted_and_renewals_are_not_answered() {
    let mut bench = Bench::empty(&[A, B], &[V]);
    knows(&mut bench, 7, 9, &[A, B]);
    bench.register(A);
    bench.beat(A, set(&[B]));
    assert!(bench.replies(A).next().is_none(), "neither renewed nor refused");
    bench.ask_fence(A, B, 1);
    assert_eq!(bench.waits(A), "RECOVERING");
    bench.acquire(A, V, 1);
    assert_eq!(bench.waits(A), "RECOVERING");
    bench.update(A, V, &[A]);
    assert_eq!(bench.refused(A), "RECOVERING");
}

#[test]
fn a_recovery_takes_the_maxima_and_lets_the_holder_go_on() {
    let mut bench = Bench::empty(&[A, B, C], &[V]);
    knows(&mut bench, 7, 9, &[A, B]);
    replica(&mut bench, C).isr_version = IsrVersion(5);
    replica(&mut bench, C).isr = set(&[A, B, C]);
    replica(&mut bench, A).held = Some(Epoch(9));
    replica(&mut bench, A).isr = set(&[A, B, C]);
    for node in [A, B, C] {
        bench.register(node);
    }
    let register = bench.witness.record().volumes[&V].clone();
    assert_eq!(register.holder.map(|holder| holder.node), Some(A));
    assert_eq!((register.epoch, register.floor), (Epoch(9), Epoch(9 + EPOCH_JUMP)));
    assert_eq!(register.isr_version, IsrVersion(7 + EPOCH_JUMP));
    assert_eq!(register.isr, set(&[A, B]), "a grow that nobody knows the end of is left out");
    bench.beat(A, set(&[B]));
    assert!(bench.replies(A).any(|r| matches!(r, Reply::Renewed { volumes, .. } if volumes.len() == 1)));
    bench.release(A, V, None);
    bench.acquire(B, V, 1);
    assert_eq!(bench.granted(B).unwrap().register.epoch, Epoch(9 + EPOCH_JUMP + 1));
}

#[test]
fn after_a_recovery_the_holders_lease_is_fresh() {
    let mut bench = Bench::empty(&[A, B], &[V]);
    knows(&mut bench, 7, 9, &[A, B]);
    replica(&mut bench, A).held = Some(Epoch(9));
    bench.register(B);
    bench.acquire(B, V, 1);
    bench.register(A);
    assert_eq!(bench.waits(B), "NEEDS_PROOF");
    assert_eq!(bench.witness.lease_left(V, bench.now), Some(params().lease_and_guard()));
}

#[test]
fn a_holder_that_is_about_to_be_fenced_stays_revoked_through_a_recovery() {
    let mut bench = Bench::held(&[A, B], &[V]);
    let permit = bench.permit(B, A);
    knows(&mut bench, 70, 90, &[A, B]);
    replica(&mut bench, A).held = Some(Epoch(90));
    bench.register(B);
    bench.register(A);
    assert_eq!((bench.holder(V), bench.witness.recovering()), (Some(A), None));
    bench.report(B, permit, FenceOutcome::NotStarted, vec![]);
    bench.beat(A, set(&[B]));
    assert_eq!(bench.refused(A), "NOT_HOLDER");
}

#[test]
fn a_volume_that_is_no_longer_configured_plays_no_part() {
    let mut bench = Bench::held(&[A, B], &[V, super::bench::U]);
    bench.update(A, super::bench::U, &[A]);
    bench.config.volumes.remove(&super::bench::U);
    bench.restart();
    bench.register(B);
    bench.pass(params().lease_and_guard() + params().suspect_after() + ms(40), &[B]);
    assert_eq!(bench.witness.registers().len(), 1);
    bench.ask_fence(B, A, 1);
    assert!(bench.permitted(B).is_some(), "being alone with a former volume protects nobody");
}

#[test]
fn a_stale_holder_is_not_taken_for_the_holder() {
    let mut bench = Bench::empty(&[A, B], &[V]);
    knows(&mut bench, 7, 9, &[B]);
    replica(&mut bench, A).held = Some(Epoch(8));
    bench.register(A);
    bench.register(B);
    assert_eq!(bench.holder(V), None);
}

#[test]
fn an_adoption_waits_as_long_as_a_confirmation_by_hand() {
    let mut bench = Bench::empty(&[A, B], &[V]);
    knows(&mut bench, 7, 9, &[A, B]);
    bench.register(B);
    bench.acquire(B, V, 1);
    let wait = bench.config.attestation_wait();
    let answer = bench.operator(OperatorRequest::Adopt { source: None });
    assert!(matches!(answer, OperatorAnswer::Confirmed { effective_in, .. } if effective_in == wait));
    let end = bench.now + wait;
    bench.pass(wait - ms(50), &[B]);
    assert!(bench.witness.recovering().is_some());
    bench.now = end;
    bench.step(Input::Tick);
    assert!(bench.events.contains(&Event::RecoveryEnded { adopted: true }));
    assert_eq!(bench.granted(B).unwrap().proof, Proof::Released);
}

#[test]
fn an_adopted_store_still_wants_a_proof_about_its_own_silent_holder() {
    let mut bench = Bench::held(&[A, B], &[V]);
    let (epoch, version) = (bench.epoch(V), bench.witness.record().volumes[&V].isr_version);
    knows(&mut bench, version.0, epoch.0, &[A, B]);
    bench.nodes.get_mut(&A).unwrap().self_fence.watchdog_counts = false;
    bench.register(A);
    bench.nodes.get_mut(&B).unwrap().seen.store = StoreId(0xbad);
    bench.nodes.get_mut(&B).unwrap().seen.commit = CommitIndex(1);
    bench.beat(B, set(&[]));
    bench.register(B);
    bench.acquire(B, V, 1);
    bench.pass(params().suspect_after(), &[B]);
    bench.operator(OperatorRequest::Adopt { source: None });
    bench.pass(ms(10_000), &[B]);
    assert_eq!(bench.witness.recovering(), None);
    assert_eq!(bench.holder(V), Some(A));
}

#[test]
fn claims_that_contradict_each_other_stay_for_a_person() {
    let mut bench = Bench::empty(&[A, B], &[V]);
    replica(&mut bench, B).generation = Generation::first(GenerationId(66));
    bench.register(A);
    bench.register(B);
    assert!(matches!(bench.alarms[..], [Alarm::Contradiction { volume: V, .. }]));
    assert_eq!(bench.witness.recovering(), Some(set(&[])));
    let answer = bench.operator(OperatorRequest::Adopt { source: None });
    assert!(matches!(answer, OperatorAnswer::Refused(_)));
    let answer = bench.operator(OperatorRequest::Adopt { source: Some(B) });
    assert_eq!(answer, OperatorAnswer::Done);
    assert_eq!(bench.isr(V), set(&[B]));
    assert_eq!(bench.witness.record().volumes[&V].generation, GenerationId(66));
}

fn overrides(bench: &mut Bench, node: crate::ids::NodeId) {
    let epoch = Epoch(9 + EPOCH_JUMP);
    let isr_version = IsrVersion(7 + EPOCH_JUMP);
    let claim = Override { volume: V, epoch, isr: set(&[node]), isr_version };
    let replica = replica(bench, node);
    replica.overridden = Some(claim);
    replica.held = Some(epoch);
    replica.max_epoch = epoch;
    replica.isr = set(&[node]);
    replica.isr_version = isr_version;
    replica.generation = Generation { current: GenerationId(77), history: vec![DATA] };
}

#[test]
fn an_override_is_recorded_when_nothing_contradicts_it() {
    let mut bench = Bench::empty(&[A, B], &[V]);
    knows(&mut bench, 7, 9, &[A, B]);
    overrides(&mut bench, B);
    bench.register(A);
    bench.register(B);
    assert_eq!((bench.holder(V), bench.isr(V)), (Some(B), set(&[B])));
    assert_eq!(bench.epoch(V), Epoch(9 + EPOCH_JUMP));
}

#[test]
fn the_end_of_a_lease_proves_nothing_of_an_override_until_it_is_renewed() {
    let mut bench = Bench::empty(&[A, B], &[V]);
    knows(&mut bench, 7, 9, &[A, B]);
    overrides(&mut bench, B);
    bench.register(A);
    bench.register(B);
    replica(&mut bench, B).overridden = None;
    bench.acquire(A, V, 1);
    bench.pass(ms(10_000), &[A]);
    assert_eq!(bench.holder(V), Some(B), "its time is a person's, and not over");
    bench.restart();
    bench.register(A);
    bench.pass(ms(10_000), &[A]);
    bench.acquire(A, V, 2);
    bench.pass(ms(10_000), &[A]);
    assert_eq!(bench.holder(V), Some(B), "another run of the witness knows it too");
    assert!(bench.witness.record().volumes[&V].overridden);
    bench.register(B);
    let holds = vec![(V, bench.epoch(V))];
    bench.say(B, Request::Heartbeat(Heartbeat { holds, ..Heartbeat::default() }));
    assert!(!bench.witness.record().volumes[&V].overridden, "it counts our lease");
}

#[test]
fn an_override_beside_another_holder_or_other_data_is_for_a_person() {
    for other_holds in [true, false] {
        let mut bench = Bench::held(&[A, B], &[V]);
        knows(&mut bench, 7, 9, &[A, B]);
        overrides(&mut bench, B);
        if other_holds {
            replica(&mut bench, A).held = Some(Epoch(9));
        } else {
            replica(&mut bench, A).generation = Generation { current: GenerationId(5), history: vec![DATA] };
        }
        bench.register(A);
        bench.register(B);
        assert!(bench.witness.recovering().is_some());
        bench.register(A);
        assert_eq!(bench.witness.recovering(), Some(set(&[])));
        assert!(matches!(bench.alarms[..], [Alarm::Contradiction { claims, .. }] if claims == set(&[A, B])));
    }
}

#[test]
fn a_release_during_a_recovery_takes_the_claim_back() {
    let mut bench = Bench::empty(&[A, B], &[V]);
    knows(&mut bench, 7, 9, &[A, B]);
    replica(&mut bench, A).held = Some(Epoch(9));
    bench.register(A);
    let message = crate::message::Request::Release { volume: V, epoch: Epoch(9), successor: None };
    bench.say(A, message);
    assert!(bench.replies(A).any(|reply| matches!(reply, Reply::Released { .. })));
    bench.register(B);
    assert_eq!((bench.holder(V), bench.witness.recovering()), (None, None));
}

#[test]
fn a_store_under_another_name_and_a_volume_without_history_recover() {
    let bench = Bench::held(&[A, B], &[V]);
    let witness = Witness::new(bench.config.clone(), bench.disk.clone(), StoreId(1), bench.now);
    assert!(witness.recovering().is_some());
    let config = super::bench::config(&[A, B], &[V, super::bench::U]);
    let witness = Witness::new(config, bench.disk.clone(), STORE, bench.now);
    assert!(witness.recovering().is_some());
    let witness = Witness::new(bench.config.clone(), bench.disk.clone(), STORE, bench.now);
    assert_eq!(witness.recovering(), None);
}

#[test]
fn a_replica_that_was_never_complete_is_not_in_the_first_set() {
    let mut bench = Bench::empty(&[A, B], &[V]);
    *replica(&mut bench, B) = crate::message::ReplicaReport { complete: false, ..report(V) };
    bench.register(A);
    bench.register(B);
    assert_eq!(bench.isr(V), set(&[A]));
    assert_eq!(bench.nodes[&A].boot, boot(A, 1));
}
