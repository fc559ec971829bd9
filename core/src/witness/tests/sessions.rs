//! Sessions, boot order, and the order of requests.

use super::bench::{A, B, Bench, DATA, STORE, V, boot, ms, set};
use crate::evidence::Proof;
use crate::ids::{BootId, ConfigDigest, NodeId, RequestId};
use crate::message::{Heartbeat, Reply, Request, ToWitness};
use crate::witness::{Alarm, Event, Input, SUPERSEDED_MAX, Witness};

#[test]
fn a_new_store_makes_the_first_in_sync_set_when_every_member_has_reported() {
    let mut bench = Bench::empty(&[A, B], &[V]);
    bench.register(A);
    assert_eq!(bench.witness.recovering(), Some(set(&[B])));
    bench.acquire(A, V, 1);
    assert_eq!(bench.waits(A), "RECOVERING");
    bench.register(B);
    assert_eq!(bench.witness.recovering(), None);
    assert_eq!(bench.isr(V), set(&[A, B]));
    assert_eq!(bench.witness.record().volumes[&V].generation, DATA);
    let granted = bench.granted(A).expect("what was pending is granted in the same step");
    assert_eq!(granted.proof, Proof::Released);
}

#[test]
fn a_registration_repeats_the_nonce_of_its_own_connection() {
    let mut bench = Bench::up(&[A, B], &[V]);
    bench.connect(A);
    let older = bench.registration(A);
    bench.connect(A);
    bench.say(A, Request::Register(older));
    assert_eq!(bench.refused(A), "WRONG_NONCE");
    assert_eq!(bench.closed, [bench.nodes[&A].session]);
}

#[test]
fn a_nonce_serves_once() {
    let mut bench = Bench::up(&[A, B], &[V]);
    let again = bench.registration(A);
    bench.say(A, Request::Register(again));
    assert_eq!(bench.refused(A), "WRONG_NONCE");
}

#[test]
fn a_superseded_boot_is_refused_for_ever() {
    let mut bench = Bench::up(&[A, B], &[V]);
    bench.reboot(A);
    bench.reboot(A);
    assert!(bench.events.contains(&Event::NewBoot { node: A, boot: boot(A, 3) }));
    bench.restart();
    for old in [1, 2] {
        bench.nodes.get_mut(&A).unwrap().boot = boot(A, old);
        bench.register(A);
        assert_eq!(bench.refused(A), "STALE_BOOT");
    }
}

#[test]
fn a_node_with_too_many_former_boots_gets_no_other_and_keeps_its_own() {
    let mut bench = Bench::up(&[A, B], &[V]);
    let mut stored = bench.disk.clone().unwrap();
    let former = (0..SUPERSEDED_MAX as u128 - 1).map(|number| BootId(1 << 100 | number));
    stored.nodes.get_mut(&A).unwrap().superseded = former.collect();
    bench.witness = Witness::new(bench.config.clone(), Some(stored), STORE, bench.now);
    bench.register(A);
    bench.register(B);
    bench.reboot(A);
    assert_eq!(bench.told(A), None, "there is room for one more");
    let remembered = |bench: &Bench| bench.witness.record().nodes[&A].superseded.len();
    assert_eq!(remembered(&bench), SUPERSEDED_MAX);
    bench.reboot(A);
    assert_eq!(bench.refused(A), "WRONG_STATE");
    assert_eq!(remembered(&bench), SUPERSEDED_MAX);
    bench.nodes.get_mut(&A).unwrap().boot.0 -= 1;
    bench.register(A);
    bench.acquire(A, V, 1);
    assert!(bench.granted(A).is_some(), "the current boot is served");
    bench.reboot(B);
    assert_eq!(bench.told(B), None, "other nodes are not touched");
}

#[test]
fn another_configuration_is_refused() {
    let mut bench = Bench::empty(&[A, B], &[V]);
    bench.connect(A);
    let mut registration = bench.registration(A);
    registration.config = ConfigDigest(9);
    bench.say(A, Request::Register(registration));
    assert_eq!(bench.refused(A), "STALE_CONFIG");
}

#[test]
fn nobody_but_a_member_gets_a_session() {
    let mut bench = Bench::up(&[A, B], &[V]);
    for stranger in [NodeId(9), NodeId(200)] {
        bench.step(Input::Connected { node: stranger });
        assert_eq!(bench.refused(stranger), "NOT_MEMBER");
        assert_eq!(bench.closed.len(), 1);
    }
}

#[test]
fn a_later_connection_ends_the_earlier_session() {
    let mut bench = Bench::up(&[A, B], &[V]);
    let old = bench.nodes[&A].clone();
    bench.connect(A);
    assert_eq!(bench.closed, [old.session]);
    let (session, request, seen) = (old.session, RequestId(old.request + 1), old.seen);
    let message = ToWitness { session, request, seen, body: Request::DeclareFailed };
    bench.step(Input::Message { node: A, message });
    assert!(bench.sent.is_empty() && !bench.persisted);
}

#[test]
fn requests_count_in_sequence_only() {
    let mut bench = Bench::up(&[A, B], &[V]);
    bench.nodes.get_mut(&A).unwrap().request -= 1;
    bench.acquire(A, V, 1);
    assert_eq!(bench.refused(A), "OUT_OF_SEQUENCE");
    assert!(bench.closed.is_empty(), "a repeated message changes nothing");
    bench.nodes.get_mut(&A).unwrap().request += 1;
    bench.acquire(A, V, 1);
    assert_eq!(bench.refused(A), "OUT_OF_SEQUENCE");
    assert_eq!(bench.closed.len(), 1, "a gap ends the session");
    assert_eq!(bench.holder(V), None);
}

#[test]
fn a_request_before_the_registration_is_refused() {
    let mut bench = Bench::up(&[A, B], &[V]);
    bench.connect(A);
    bench.acquire(A, V, 1);
    assert_eq!(bench.refused(A), "NOT_REGISTERED");
}

#[test]
fn sessions_of_two_runs_differ() {
    let mut bench = Bench::up(&[A, B], &[V]);
    let before = bench.nodes[&A].session;
    bench.restart();
    bench.connect(A);
    assert_ne!(bench.nodes[&A].session, before);
}

#[test]
fn every_message_names_what_was_processed_and_where_the_store_stands() {
    let mut bench = Bench::up(&[A, B], &[V]);
    let before = bench.witness.record().commit;
    bench.acquire(A, V, 1);
    assert!(bench.persisted);
    let (_, message) = bench.sent.iter().find(|(_, m)| matches!(m.body, Reply::Granted(_))).unwrap();
    assert_eq!(message.processed.0, bench.nodes[&A].request);
    assert_eq!(message.seen.commit.0, before.0 + 1);
    bench.beat(A, set(&[B]));
    assert!(!bench.persisted, "a renewal is not stored");
}

#[test]
fn silence_is_told_at_its_exact_time_and_a_closed_connection_is_no_silence() {
    let mut bench = Bench::up(&[A, B], &[V]);
    bench.pass(ms(100), &[B]);
    bench.beat(A, set(&[B]));
    let heard = bench.now;
    let session = bench.nodes[&A].session;
    bench.step(Input::Disconnected { session });
    assert!(bench.witness.hears().contains(A));
    bench.pass(ms(400), &[B]);
    assert!(bench.witness.hears().contains(A));
    bench.now = heard + ms(500);
    bench.step(Input::Tick);
    assert!(bench.events.contains(&Event::NodeSilent { node: A }));
    let pushed = bench.replies(B).any(|reply| matches!(reply, Reply::View(view) if view.hears == set(&[B])));
    assert!(pushed);
}

#[test]
fn a_boot_that_was_confirmed_off_never_counts_again() {
    let mut bench = Bench::held(&[A, B], &[V]);
    let permit = bench.permit(B, A);
    bench.report(B, permit, crate::evidence::FenceOutcome::ConfirmedOff, alloc::vec![]);
    bench.register(A);
    assert_eq!(bench.refused(A), "STALE_BOOT");
    let alarm = Alarm::OffButSpeaks { node: A, boot: boot(A, 1), permit: permit.permit };
    assert_eq!(bench.alarms, [alarm]);
    bench.reboot(A);
    assert!(bench.witness.hears().contains(A));
}

#[test]
fn numbers_that_no_node_can_have_do_no_harm() {
    let mut bench = Bench::held(&[A, B], &[V]);
    let wild = NodeId(255);
    bench.ask_fence(B, wild, 5);
    assert_eq!(bench.refused(B), "NOT_MEMBER");
    bench.release(A, V, Some(wild));
    assert_eq!(bench.holder(V), None);
    bench.say(B, Request::Check(crate::message::Check::Witness { peer: wild }));
    bench.say(B, Request::Heartbeat(Heartbeat::default()));
    assert!(bench.witness.hears().contains(B));
}
