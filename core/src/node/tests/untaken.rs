//! Grants that came when nobody wanted them any more.

use super::super::*;
use super::bench::{asked, requests};
use super::*;
use crate::error::Refusal;
use crate::evidence::Proof;
use crate::ids::{Epoch, NodeSet};
use crate::message::*;
use alloc::vec::Vec;

fn releases(effects: &[Effect]) -> Vec<Epoch> {
    let release = |request: &&Request| match request {
        Request::Release { epoch, .. } => Some(*epoch),
        _ => None,
    };
    requests(effects).iter().filter_map(release).collect()
}

fn withdraws(effects: &[Effect]) -> bool {
    requests(effects).iter().any(|request| matches!(request, Request::Withdraw { .. }))
}

fn stop(bench: &mut Bench) -> Vec<Effect> {
    bench.step(Input::Operator { ticket: 7, request: NodeRequest::StopHandOver })
}

fn is_answered(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Answer { ticket: 7, .. }))
}

/// Its connection ended with the grant on its way, and it was put on standby meanwhile.
fn granted_unseen() -> (Bench, Vec<Effect>) {
    let mut bench = Bench::standby(LossAction::Osu);
    asked(&bench.say_free(2)).expect("asks");
    bench.step(Input::WitnessGone);
    bench.step(Input::Operator { ticket: 1, request: NodeRequest::Standby(true) });
    let register = bench.register_view(Some(A), 2, Bench::both(), 3);
    let effects = bench.connect(register);
    (bench, effects)
}

#[test]
fn a_grant_that_nobody_took_is_given_back() {
    let (mut bench, effects) = granted_unseen();
    assert_eq!(releases(&effects), [Epoch(2)]);
    let effects = bench.live(ms(2000));
    assert_eq!(releases(&effects), [], "once on a session");
    bench.say(Reply::Released { volume: V, epoch: Epoch(2) });
    assert_eq!(releases(&bench.live(ms(500))), [], "and not once more before the record is shown");
}

#[test]
fn nothing_is_given_back_to_a_witness_that_recovers() {
    let mut bench = Bench::standby(LossAction::Osu);
    bench.step(Input::Operator { ticket: 1, request: NodeRequest::Standby(true) });
    bench.challenged();
    let registers = [bench.register_view(Some(A), 2, Bench::both(), 3)].into();
    let effects = bench.say(Reply::Registered { registers, recovering: Some(NodeSet::only(B)) });
    assert_eq!(releases(&effects), []);
}

#[test]
fn a_refused_end_is_told_again_on_the_next_session_only() {
    let (mut bench, _) = granted_unseen();
    let refusal = Refusal::NotHolder { holder: None };
    bench.say(Reply::Refused { subject: Subject::Release { volume: V }, refusal });
    assert_eq!(releases(&bench.live(ms(1000))), []);
    let register = bench.register_view(Some(A), 2, Bench::both(), 3);
    assert_eq!(releases(&bench.connect(register)), [Epoch(2)]);
}

#[test]
fn what_is_held_or_another_boots_is_not_given_back() {
    let mut bench = Bench::holder(LossAction::Osu);
    let register = bench.register_view(Some(A), 2, Bench::both(), 3);
    assert_eq!(releases(&bench.connect(register)), []);
    let mut bench = Bench::standby(LossAction::Osu);
    bench.step(Input::Operator { ticket: 1, request: NodeRequest::Standby(true) });
    let boot = crate::ids::BootId(0xA0);
    let former = RegisterView {
        holder: Some(Holder { node: A, boot }),
        ..bench.register_view(Some(A), 2, Bench::both(), 3)
    };
    assert_eq!(releases(&bench.connect(former)), []);
}

#[test]
fn a_daemon_that_stops_waits_until_its_withdrawal_is_read() {
    let mut bench = Bench::standby(LossAction::Osu);
    let attempt = asked(&bench.say_free(2)).expect("asks");
    let before = bench.request;
    let effects = stop(&mut bench);
    assert!(withdraws(&effects) && !is_answered(&effects), "{effects:?}");
    let withdrawal = core::mem::replace(&mut bench.request, before);
    let register = bench.register_view(Some(A), 2, Bench::both(), 3);
    let proof = Proof::Released;
    let effects = bench.say(Reply::Granted(Granted { attempt, register, proof }));
    assert_eq!(releases(&effects), [Epoch(2)], "granted before it was read");
    bench.request = withdrawal;
    assert!(!is_answered(&bench.renew()), "the end of that grant is not recorded");
    let effects = bench.say(Reply::Released { volume: V, epoch: Epoch(2) });
    assert!(is_answered(&effects), "{effects:?}");
}

#[test]
fn a_daemon_that_stops_answers_when_nothing_was_granted() {
    let mut bench = Bench::standby(LossAction::Osu);
    asked(&bench.say_free(2)).expect("asks");
    let before = bench.request;
    assert!(!is_answered(&stop(&mut bench)));
    let withdrawal = core::mem::replace(&mut bench.request, before);
    assert!(!is_answered(&bench.renew()), "said before it was read");
    bench.request = withdrawal;
    let effects =
        bench.say(Reply::Renewed { volumes: Vec::new(), refused: Vec::new(), hears: NodeSet::EMPTY });
    assert!(is_answered(&effects), "{effects:?}");
}
