use super::super::*;
use super::bench::{actions, asked, params, requests};
use super::*;
use crate::error::Refusal;
use crate::ids::{Epoch, NodeSet, Nonce, PermitId, RequestId};
use crate::message::*;
use alloc::vec;

fn questions(effects: &[Effect]) -> alloc::vec::Vec<RequestId> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Peer {
                message: PeerMessage { body: PeerBody::FailsafeLease { request, .. }, .. },
                ..
            } => Some(*request),
            _ => None,
        })
        .collect()
}

fn promise(bench: &mut Bench, request: RequestId, run: Nonce, promise: Result<(), Refusal>) {
    bench.peer_says(PeerBody::FailsafeAnswer { request, run, volume: V, epoch: Epoch(2), promise });
}

fn lease_left(bench: &Bench) -> crate::time::Duration {
    bench.node.status(bench.now).volumes[0].lease_left.expect("held")
}

#[test]
fn unanimity_extends_the_lease_from_the_question() {
    let mut bench = Bench::holder(LossAction::Osu);
    let effects = bench.wait(ms(600));
    let request = *questions(&effects).last().expect("asked");
    bench.now = bench.now + ms(50);
    promise(&mut bench, request, Nonce(0x55), Ok(()));
    let left = lease_left(&bench);
    assert!(left <= params().lease - ms(50) && left > params().lease - ms(200), "{left:?}");
}

#[test]
fn a_peer_that_does_not_promise_extends_nothing() {
    let mut bench = Bench::holder(LossAction::Osu);
    let effects = bench.wait(ms(600));
    let left = lease_left(&bench);
    let request = *questions(&effects).last().expect("asked");
    promise(&mut bench, request, Nonce(0x55), Err(Refusal::NotConnected));
    assert_eq!(lease_left(&bench), left);
}

#[test]
fn an_answer_to_an_earlier_run_extends_nothing() {
    let mut bench = Bench::holder(LossAction::Osu);
    let effects = bench.wait(ms(600));
    let left = lease_left(&bench);
    let request = *questions(&effects).last().expect("asked");
    promise(&mut bench, request, Nonce(0x54), Ok(()));
    assert_eq!(lease_left(&bench), left);
}

#[test]
fn a_refused_renewal_is_an_answer_and_no_peer_is_asked() {
    let mut bench = Bench::holder(LossAction::Freeze);
    let refusal = Refusal::EpochMismatch { held: Epoch(3), asked: Epoch(2) };
    bench.say(Reply::Renewed { volumes: vec![], refused: vec![(V, refusal)], hears: Bench::both() });
    assert!(questions(&bench.wait(ms(1500))).is_empty());
}

#[test]
fn a_refused_renewal_is_an_answer_to_the_next_daemon_too() {
    let questions_after_restart = |refused: bool| {
        let mut bench = Bench::holder(LossAction::Freeze);
        bench.live(ms(300));
        if refused {
            let refusal = Refusal::EpochMismatch { held: Epoch(3), asked: Epoch(2) };
            bench.say(Reply::Renewed { volumes: vec![], refused: vec![(V, refusal)], hears: Bench::both() });
        }
        bench.restart_daemon();
        bench.step(Input::Volume { volume: V, report: super::bench::report(Role::Primary) });
        questions(&bench.wait(ms(700))).len()
    };
    assert!(questions_after_restart(false) > 0, "a holder that was not refused asks");
    assert_eq!(questions_after_restart(true), 0);
}

fn ask(bench: &mut Bench, epoch: u64) -> Result<(), Refusal> {
    let body =
        PeerBody::FailsafeLease { request: RequestId(1), volume: V, epoch: Epoch(epoch), lease: ms(2000) };
    let effects = bench.peer_says(body);
    effects
        .into_iter()
        .find_map(|effect| match effect {
            Effect::Peer {
                message: PeerMessage { body: PeerBody::FailsafeAnswer { promise, .. }, .. },
                ..
            } => Some(promise),
            _ => None,
        })
        .expect("an answer")
}

#[test]
fn a_promise_keeps_it_from_asking_for_a_lease_and_a_guard() {
    let mut bench = Bench::standby(LossAction::Osu);
    assert_eq!(ask(&mut bench, 1), Ok(()));
    assert_eq!(bench.run.promises.len(), 1, "kept for a restart of the daemon");
    assert_eq!(asked(&bench.wait(params().lease_and_guard() - ms(60))), None);
    assert!(asked(&bench.wait(ms(200))).is_some());
}

#[test]
fn a_promise_drops_the_open_attempt_and_its_grant_is_given_back() {
    let mut bench = Bench::standby(LossAction::Osu);
    let effects = bench.wait(ms(600));
    let open = asked(&effects);
    assert!(open.is_some());
    assert_eq!(ask(&mut bench, 1), Ok(()));
    let effects = bench.grant(&effects, 2);
    assert!(actions(&effects).is_empty(), "{effects:?}");
}

#[test]
fn no_promise_with_a_higher_epoch_seen() {
    let mut bench = Bench::standby(LossAction::Osu);
    let register = bench.register_view(Some(B), 5, Bench::both(), 5);
    bench.say(Reply::View(View { registers: vec![register], ..View::default() }));
    assert_eq!(ask(&mut bench, 1), Err(Refusal::EpochMismatch { held: Epoch(5), asked: Epoch(1) }));
}

#[test]
fn no_promise_while_a_fence_is_under_way() {
    let mut bench = Bench::standby(LossAction::Osu);
    let effects = bench.wait(ms(600));
    let attempt = super::bench::requests(&effects)
        .into_iter()
        .find_map(|request| match request {
            Request::RequestFence(fence) => Some(fence.attempt),
            _ => None,
        })
        .expect("asked for a permit");
    let target_boot = crate::ids::BootId(0xB1);
    let effects = bench.say(Reply::Permit(Permit {
        permit: PermitId(1),
        attempt,
        target: B,
        target_boot,
        keep_off: false,
    }));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Device(_))));
    assert_eq!(ask(&mut bench, 1), Err(Refusal::FenceUnresolved));
}

#[test]
fn a_release_that_cannot_reach_the_witness_is_relayed() {
    let mut bench = Bench::holder(LossAction::Osu);
    bench.step(Input::WitnessGone);
    let left = lease_left(&bench);
    bench.wait(left - ms(249));
    bench.done();
    let effects = bench.done();
    let relayed = effects.iter().any(|effect| {
        matches!(
            effect,
            Effect::Peer { to: B, message: PeerMessage { body: PeerBody::RelayRelease { .. }, .. } }
        )
    });
    assert!(relayed, "{effects:?}");
}

#[test]
fn an_epoch_that_an_override_burnt_is_told_to_the_witness() {
    let mut bench = Bench::standby(LossAction::Osu);
    let effects = bench.beat_with_epoch(70_000);
    assert!(
        effects.iter().any(|effect| matches!(effect, Effect::CloseWitness)),
        "registers anew and reports it"
    );
    assert_eq!(bench.disk.volumes[&V].max_epoch, Epoch(70_000));
    let effects = bench.beat_with_epoch(70_001);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::CloseWitness)), "once");
}

#[test]
fn a_greeting_of_a_session_that_is_gone_is_not_waited_for_without_end() {
    let mut bench = Bench::standby(LossAction::Osu);
    let effects = bench.challenged();
    assert!(matches!(requests(&effects)[..], [Request::Register(_)]), "{effects:?}");
    let closes =
        |effects: &[Effect]| effects.iter().filter(|effect| matches!(effect, Effect::CloseWitness)).count();
    assert_eq!(closes(&bench.wait(ms(9_000))), 0, "a witness whose disk is slow is given its time");
    assert_eq!(closes(&bench.wait(ms(60_000))), 1, "then another connection is tried");
}

#[test]
fn a_connection_is_greeted_once() {
    let mut bench = Bench::holder(LossAction::Osu);
    bench.session += 1;
    let effects = bench.say(Reply::Challenge { nonce: Nonce(4) });
    assert!(effects.is_empty(), "{effects:?}");
    bench.session -= 1;
    let left = bench.phase().held().map(|held| held.lease_until);
    // The first beat of a holder's own pace.
    bench.wait(ms(110));
    bench.renew();
    assert!(bench.phase().held().map(|held| held.lease_until) > left, "the session that counts goes on");
}

/// A daemon has learnt that the witness recorded the override, and died after the first of its two records.
fn half_recorded() -> Bench {
    let mut bench = Bench::standby(LossAction::Osu);
    bench.step(Input::WitnessGone);
    bench.wait(ms(3000));
    let request = NodeRequest::Override { volume: V, dead: NodeSet::only(B), length: ms(600_000) };
    bench.step(Input::Operator { ticket: 7, request });
    bench.promoted();
    let (before, epoch) = (bench.run.clone(), bench.phase().held().expect("activated").epoch);
    let register = bench.register_view(Some(A), epoch.0, Bench::both(), 1 << 20);
    bench.connect(register);
    assert_eq!(bench.disk.volumes[&V].overridden, None);
    bench.run = before;
    bench
}

#[test]
fn an_overrides_time_ends_with_the_daemon_that_learnt_of_its_record() {
    let mut bench = half_recorded();
    let lease = bench.node.config().params.lease;
    assert!(bench.run.held[&V].lease_until > bench.now + lease);
    bench.restart_daemon();
    bench.step(Input::Volume { volume: V, report: bench::report(Role::Primary) });
    assert_eq!(bench.phase().held().map(|held| held.lease_until), Some(bench.now + lease));
}

#[test]
fn an_override_ends_with_the_lease_that_follows_its_record() {
    let mut bench = Bench::standby(LossAction::Osu);
    let holds = |effects: &[Effect]| {
        effects.iter().rev().find_map(|effect| match effect {
            Effect::Witness(ToWitness { body: Request::Heartbeat(beat), .. }) => Some(beat.holds.clone()),
            _ => None,
        })
    };
    bench.step(Input::WitnessGone);
    bench.wait(ms(3000));
    let request = NodeRequest::Override { volume: V, dead: NodeSet::only(B), length: ms(600_000) };
    bench.step(Input::Operator { ticket: 7, request });
    bench.promoted();
    let held = bench.phase().held().expect("activated");
    assert!(held.lease_until > bench.now + ms(500_000));
    bench.challenged();
    let recovering = Some(NodeSet::only(B));
    let effects = bench.say(Reply::Registered { registers: vec![], recovering });
    assert_eq!(holds(&effects), Some(vec![]), "no lease of the witness's bounds it: {effects:?}");
    let register = bench.register_view(Some(A), held.epoch.0, NodeSet::only(A).with(B), 1 << 20);
    bench.say(Reply::InSync { register });
    let lease = bench.node.config().params.lease;
    let left = bench.phase().held().map(|held| held.lease_until);
    assert_eq!(left, Some(bench.now + lease));
    assert_eq!(bench.run.held[&V].lease_until, bench.now + lease, "the next daemon knows it too");
    assert_eq!(holds(&bench.wait(ms(200))), Some(vec![(V, held.epoch)]));
}

#[test]
fn an_override_is_refused_for_each_thing_that_it_cannot_know() {
    let refused = |prepare: &dyn Fn(&mut Bench), dead: NodeSet| {
        let mut bench = Bench::standby(LossAction::Osu);
        prepare(&mut bench);
        let request = NodeRequest::Override { volume: V, dead, length: ms(600_000) };
        let effects = bench.step(Input::Operator { ticket: 7, request });
        let refusal = effects.iter().find_map(|effect| match effect {
            Effect::Answer { ticket: 7, answer: NodeAnswer::Refused(refusal) } => Some(refusal.clone()),
            _ => None,
        });
        (refusal, actions(&effects).iter().any(|action| matches!(action, VolumeAction::Promote(_))))
    };
    let gone = |bench: &mut Bench| {
        bench.step(Input::WitnessGone);
        bench.wait(ms(3000));
    };
    let only = NodeSet::only(B);
    assert_eq!(refused(&gone, only), (None, true), "nothing is against it");
    let (refusal, promotes) = refused(&gone, NodeSet::EMPTY);
    assert!(matches!(refusal, Some(Refusal::WrongState { .. })) && !promotes, "B may be active: {refusal:?}");
    let (refusal, promotes) = refused(&|_| (), only);
    assert!(
        matches!(refusal, Some(Refusal::WrongState { .. })) && !promotes,
        "a witness decides: {refusal:?}"
    );
    let heard = |bench: &mut Bench| {
        bench.step(Input::WitnessGone);
        bench.beat_with_epoch(1);
    };
    assert_eq!(refused(&heard, only), (Some(Refusal::SeenAlive { by: only }), false));
    let incomplete = |bench: &mut Bench| {
        gone(bench);
        let report = VolumeReport { complete: false, ..super::bench::report(Role::Secondary) };
        bench.step(Input::Volume { volume: V, report });
    };
    assert_eq!(refused(&incomplete, only), (Some(Refusal::Incomplete), false));
    let promised = |bench: &mut Bench| {
        gone(bench);
        assert_eq!(ask(bench, 1), Ok(()));
    };
    assert_eq!(refused(&promised, only), (Some(Refusal::Promised { to: B }), false));
}

#[test]
fn a_promise_is_over_when_the_holder_that_it_protects_has_released() {
    let asked_after = |epoch: u64| {
        let mut bench = Bench::standby(LossAction::Osu);
        assert_eq!(ask(&mut bench, 1), Ok(()));
        let register = bench.register_view(None, epoch, Bench::both(), 3);
        let view = View { registers: vec![register], hears: Bench::both(), ..View::default() };
        asked(&bench.say(Reply::View(view))).is_some()
    };
    assert!(asked_after(1), "released with the epoch of the promise");
    assert!(!asked_after(2), "another's release says nothing of the holder");
}
