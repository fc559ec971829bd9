//! What of the witness's words counts: those on the session that is open, and nothing before the registration.

use super::super::*;
use super::bench::{asked, resets};
use super::*;
use crate::error::Refusal;
use crate::evidence::Proof;
use crate::ids::*;
use crate::message::*;
use alloc::vec;
use alloc::vec::Vec;

/// The witness shows the volume free, on this session.
fn shows_free(bench: &mut Bench, session: u64) -> Vec<Effect> {
    let register = bench.register_view(None, 1, Bench::both(), 2);
    let body = Reply::View(View { registers: vec![register], hears: Bench::both(), ..View::default() });
    says(bench, session, body)
}

fn says(bench: &mut Bench, session: u64, body: Reply) -> Vec<Effect> {
    let seen = Seen { store: StoreId(9), commit: CommitIndex(10) };
    let (session, processed) = (SessionId(session), bench.request);
    bench.step(Input::Witness(FromWitness { session, processed, seen, body }))
}

#[test]
fn what_comes_on_another_session_is_not_heard() {
    let mut bench = Bench::standby(LossAction::Osu);
    let session = bench.session;
    assert_eq!(asked(&shows_free(&mut bench, session + 1)), None);
    let attempt = asked(&shows_free(&mut bench, session)).expect("on its own session it is");
    let register = bench.register_view(Some(A), 2, Bench::both(), 3);
    let grant = Reply::Granted(Granted { attempt, register, proof: Proof::Released });
    says(&mut bench, session + 1, grant.clone());
    assert_eq!(bench.phase(), Phase::Secondary);
    says(&mut bench, session, grant);
    assert!(matches!(bench.phase(), Phase::Promoting(_)));
}

#[test]
fn nothing_counts_before_the_registration() {
    let mut bench = Bench::standby(LossAction::Osu);
    bench.challenged();
    let session = bench.session;
    shows_free(&mut bench, session);
    let register = bench.node.status(bench.now).volumes[0].register.clone().expect("as before");
    assert_eq!(register.holder.map(|holder| holder.node), Some(B));
}

#[test]
fn a_witness_that_refuses_every_session_is_told_of_once() {
    let told = |effects: &[Effect]| {
        let tells = |effect: &&Effect| matches!(effect, Effect::Event(Event::WitnessRefused(_)));
        effects.iter().filter(tells).count()
    };
    let mut bench = Bench::standby(LossAction::Osu);
    let refuse = |bench: &mut Bench, boot| {
        bench.challenged();
        bench.say(Reply::Refused { subject: Subject::Session, refusal: Refusal::StaleBoot { boot } })
    };
    assert_eq!(told(&refuse(&mut bench, BootId(7))), 1);
    for _ in 0..3 {
        let effects = refuse(&mut bench, BootId(7));
        assert!(effects.contains(&Effect::CloseWitness));
        assert_eq!(told(&effects), 0);
    }
    assert_eq!(told(&refuse(&mut bench, BootId(8))), 1, "another refusal is news");
    let register = bench.register_view(Some(B), 1, Bench::both(), 1);
    bench.connect(register);
    assert_eq!(told(&refuse(&mut bench, BootId(8))), 1, "so is one after a session that counted");
}

/// As [`Bench::say`], with so many changes of the witness's record behind it.
fn said_at(bench: &mut Bench, commit: u64, body: Reply) -> Vec<Effect> {
    let newest = core::mem::replace(&mut bench.seen, commit);
    let effects = bench.say(body);
    bench.seen = newest;
    effects
}

/// The witness shows this register.
fn shown_at(bench: &mut Bench, commit: u64, register: &RegisterView) -> RegisterView {
    let body =
        Reply::View(View { registers: vec![register.clone()], hears: Bench::both(), ..View::default() });
    said_at(bench, commit, body);
    bench.node.status(bench.now).volumes[0].register.clone().expect("shown")
}

#[test]
fn what_was_overtaken_on_its_way_is_not_the_newest_word() {
    let mut bench = Bench::standby(LossAction::Osu);
    let held = bench.register_view(Some(B), 2, NodeSet::only(B), 2);
    let released = RegisterView { holder: None, ..held.clone() };
    assert_eq!(shown_at(&mut bench, 12, &held), held);
    assert_eq!(shown_at(&mut bench, 11, &released), held);
    assert_eq!(shown_at(&mut bench, 11, &released), held, "nor is it when it comes once more");
    assert_eq!(shown_at(&mut bench, 12, &released), released, "what is as new is heard");
    assert_eq!(bench.node.link.seen.commit, CommitIndex(12));
}

/// The record did not change meanwhile, and nobody tells again that it does not recover any more.
#[test]
fn the_answer_to_a_registration_that_comes_again_is_not_the_newest_word() {
    let mut bench = Bench::standby(LossAction::Osu);
    let register = bench.register_view(Some(B), 1, Bench::both(), 1);
    bench.challenged();
    let first = bench.request;
    let answer = Reply::Registered { registers: vec![register], recovering: Some(NodeSet::EMPTY) };
    bench.say(answer.clone());
    bench.say(Reply::View(View { hears: Bench::both(), ..View::default() }));
    assert_eq!(bench.node.status(bench.now).witness.recovering, None);
    let newest = core::mem::replace(&mut bench.request, first);
    assert_ne!(first, newest, "a heartbeat was answered since");
    bench.say(answer);
    assert_eq!(bench.node.status(bench.now).witness.recovering, None);
}

#[test]
fn a_refusal_that_was_overtaken_ends_nothing() {
    let mut bench = Bench::holder(LossAction::Osu);
    let refused = vec![(V, Refusal::NotHolder { holder: Some(B) })];
    let body = Reply::Renewed { volumes: vec![], refused, hears: Bench::both() };
    said_at(&mut bench, 9, body.clone());
    assert!(matches!(bench.phase(), Phase::Active(_)), "{:?}", bench.phase());
    said_at(&mut bench, 10, body);
    assert!(!matches!(bench.phase(), Phase::Active(_)), "{:?}", bench.phase());
}

#[test]
fn another_session_may_begin_further_back() {
    let mut bench = Bench::standby(LossAction::Osu);
    bench.seen = 3;
    let register = bench.register_view(None, 4, Bench::both(), 4);
    bench.connect(register.clone());
    assert_eq!(bench.node.status(bench.now).volumes[0].register, Some(register));
}

#[test]
fn a_lease_is_over_in_its_last_instant() {
    let mut bench = Bench::holder(LossAction::Osu);
    let Phase::Active(held) = bench.phase() else { panic!("held") };
    bench.now = held.lease_until;
    bench.step(Input::Tick);
    assert!(!matches!(bench.phase(), Phase::Active(_)), "{:?}", bench.phase());
}

#[test]
fn a_promise_that_comes_after_the_lease_extends_nothing() {
    let mut bench = Bench::holder(LossAction::Osu);
    bench.step(Input::WitnessGone);
    let effects = bench.wait(ms(700));
    let request = effects.iter().rev().find_map(|effect| match effect {
        Effect::Peer {
            message: PeerMessage { body: PeerBody::FailsafeLease { request, .. }, .. }, ..
        } => Some(*request),
        _ => None,
    });
    let (request, run) = (request.expect("asked"), Nonce(0x55));
    let end = bench.node.status(bench.now).volumes[0].phase.held().expect("held").lease_until;
    bench.now = end;
    let promise = Ok(());
    bench.peer_says(PeerBody::FailsafeAnswer { request, run, volume: V, epoch: Epoch(2), promise });
    assert_eq!(bench.run.held[&V].lease_until, end);
    assert!(!bench.node.status(bench.now).volumes[0].failsafe);
}

#[test]
fn a_register_of_before_the_grant_that_is_held_is_not_taken() {
    let mut bench = Bench::holder(LossAction::Osu);
    let alone = bench.register_view(Some(A), 2, NodeSet::only(A), 4);
    bench.say(Reply::InSync { register: alone.clone() });
    bench.wait(ms(10_000));
    let put_back = RegisterView {
        epoch: Epoch(1),
        holder: Some(Holder { node: A, boot: BootId(0xA0) }),
        ..alone.clone()
    };
    bench.challenged();
    let recovering = Some(NodeSet::only(B));
    let effects = bench.say(Reply::Registered { registers: vec![put_back], recovering });
    assert!(bench.node.is_solo(V) && !resets(&effects), "{effects:?}");
    assert_eq!(bench.node.status(bench.now).volumes[0].register, Some(alone));
}
