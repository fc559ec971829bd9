//! Promises to peers: which of them last, what they keep this node from, and what is made of those of others.

use super::super::*;
use super::bench::{W, actions, asked, config, params, report, requests, resets, volume_config};
use super::*;
use crate::error::Refusal;
use crate::ids::*;
use crate::message::*;
use crate::time::Instant;
use alloc::vec;
use alloc::vec::Vec;

/// A standby with a second volume, which B holds too.
fn with_two() -> Bench {
    let mut config = config(LossAction::Osu);
    config.volumes.insert(W, volume_config(LossAction::Osu));
    let mut bench = Bench::standby_with(config);
    bench.step(Input::Volume { volume: W, report: report(Role::Secondary) });
    bench
}

fn promise(bench: &mut Bench, volume: VolumeId) -> Vec<Effect> {
    let effects = bench.peer_says(PeerBody::FailsafeLease {
        request: RequestId(8),
        volume,
        epoch: Epoch(1),
        lease: ms(2000),
    });
    let promised = effects.iter().any(|effect| {
        matches!(effect, Effect::Peer { message, .. }
            if matches!(message.body, PeerBody::FailsafeAnswer { promise: Ok(()), .. }))
    });
    assert!(promised, "{effects:?}");
    effects
}

fn kept(bench: &Bench) -> Vec<(VolumeId, Instant)> {
    bench.run.promises.iter().map(|promise| (promise.volume, promise.until)).collect()
}

fn is_told(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Event(Event::Promised { .. })))
}

#[test]
fn a_promise_about_one_volume_leaves_that_about_another_alive() {
    let mut bench = with_two();
    let length = params().lease_and_guard();
    promise(&mut bench, V);
    let first = bench.now + length;
    bench.now = bench.now + ms(1000);
    promise(&mut bench, W);
    let second = bench.now + length;
    assert_eq!(kept(&bench), [(V, first), (W, second)], "both bind this node");
    let until = WhyNot::Promised { to: B, until: first };
    assert_eq!(bench.node.wants(bench.now, V), Err(until), "also without another word about it");
    bench.now = first;
    promise(&mut bench, W);
    assert_eq!(kept(&bench), [(W, first + length)], "in its last instant it is over");
}

#[test]
fn a_promise_that_is_given_anew_is_told_once_while_it_lasts() {
    let mut bench = with_two();
    assert!(is_told(&promise(&mut bench, V)));
    bench.now = bench.now + ms(1000);
    assert!(!is_told(&promise(&mut bench, V)));
    bench.now = bench.run.promises[0].until;
    assert!(is_told(&promise(&mut bench, V)), "the former is over: this is another");
}

#[test]
fn a_promise_of_the_usual_length_waits_for_no_disk() {
    let mut bench = with_two();
    bench.live(params().lease_and_guard() + ms(1000));
    bench.disk.standby = true; // seen only if the machine writes its record again
    promise(&mut bench, V);
    assert!(bench.disk.standby, "the record says so long already");
}

#[test]
fn no_attempt_stays_open_beside_a_live_promise() {
    let mut bench = Bench::standby(LossAction::Osu);
    promise(&mut bench, V);
    bench.wait(ms(700));
    let shows = |bench: &mut Bench, holder, epoch, version| {
        let register = bench.register_view(holder, epoch, Bench::both(), version);
        bench.say(Reply::View(View { registers: vec![register], ..View::default() }))
    };
    // The holder has released, so that the promise protects nobody; then the volume is held again.
    assert!(asked(&shows(&mut bench, None, 1, 3)).is_some());
    let effects = shows(&mut bench, Some(B), 2, 4);
    assert!(matches!(requests(&effects)[..], [Request::Withdraw { .. }]), "{effects:?}");
}

#[test]
fn peers_are_asked_only_while_the_witness_is_lost() {
    let mut config = config(LossAction::Freeze);
    config.volumes.insert(W, volume_config(LossAction::Freeze));
    let mut bench = Bench::holder_with(config);
    let held = Held { epoch: Epoch(1), lease_until: bench.now + ms(60_000) };
    bench.node.volumes.get_mut(&W).expect("configured").phase = Phase::Active(held);
    bench.node.disk.volumes.get_mut(&W).expect("configured").isr = Bench::both();
    let refusal = Refusal::EpochMismatch { held: Epoch(3), asked: Epoch(2) };
    bench.say(Reply::Renewed { volumes: vec![], refused: vec![(V, refusal)], hears: Bench::both() });
    assert!(questions(&bench.wait(ms(300))).is_empty(), "a refusal of one volume says nothing about another");
    let asked = questions(&bench.wait(ms(500)));
    assert!(!asked.is_empty() && asked.iter().all(|(volume, _)| *volume == W), "{asked:?}");
}

fn questions(effects: &[Effect]) -> Vec<(VolumeId, RequestId)> {
    let asked = effects.iter().filter_map(|effect| match effect {
        Effect::Peer {
            message: PeerMessage { body: PeerBody::FailsafeLease { request, volume, .. }, .. },
            ..
        } => Some((*volume, *request)),
        _ => None,
    });
    asked.collect()
}

#[test]
fn a_frozen_volume_whose_lease_is_over_is_not_revived_by_a_late_promise() {
    let mut bench = Bench::holder(LossAction::Freeze);
    let lease_until = bench.phase().held().expect("held").lease_until;
    bench.step(Input::WitnessGone);
    let left = lease_until.since(bench.now);
    bench.wait(left - params().freeze_before);
    bench.done();
    bench.step(Input::Volume { volume: V, report: VolumeReport { frozen: true, ..report(Role::Primary) } });
    let effects = bench.wait(lease_until.since(bench.now) - ms(1));
    let (_, request) = *questions(&effects).last().expect("it asks to the end");
    bench.now = lease_until;
    let run = Nonce(0x55);
    bench.peer_says(PeerBody::FailsafeAnswer { request, run, volume: V, epoch: Epoch(2), promise: Ok(()) });
    let held = Held { epoch: Epoch(2), lease_until };
    assert_eq!(bench.phase(), Phase::Frozen(held), "somebody else may have been granted it");
}

#[test]
fn a_promise_lasts_as_long_as_the_asker_takes_it_for() {
    let longest = ms(600_000);
    for (lease, lasts) in [(ms(12_000), ms(12_000)), (ms(1), params().lease), (longest, longest)] {
        let mut bench = Bench::standby(LossAction::Osu);
        let asked = PeerBody::FailsafeLease { request: RequestId(8), volume: V, epoch: Epoch(1), lease };
        bench.peer_says(asked);
        let drift = crate::params::Params { lease: lasts, ..params() }.drift_over_lease();
        let guard = params().guard.max(drift + params().lateness);
        assert_eq!(bench.run.promises[0].until, bench.now + lasts + guard);
    }
}

/// When the daemon of the next boot may ask for anything.
fn quarantine_after_a_boot(bench: &Bench) -> crate::time::Duration {
    let (config, disk) = (bench.node.config().clone(), bench.disk.clone());
    let node = Node::new(config, Some(disk), None, BootId(0x77), Nonce(0x78), bench.now).unwrap();
    node.quarantine_until().since(bench.now)
}

#[test]
fn a_boot_waits_for_what_was_promised_to_whoever_has_a_longer_lease() {
    let mut bench = Bench::standby(LossAction::Osu);
    let usual = params().lease_and_guard();
    bench.wait(usual);
    assert_eq!((bench.disk.longest_promise, quarantine_after_a_boot(&bench)), (usual, usual));
    let lease = ms(12_000);
    let asked = PeerBody::FailsafeLease { request: RequestId(8), volume: V, epoch: Epoch(1), lease };
    bench.peer_says(asked);
    assert_eq!(quarantine_after_a_boot(&bench), params().promise(lease));
    bench.restart_daemon();
    assert_eq!(bench.node.quarantine_until(), bench.now + params().promise(lease), "and a daemon");
    bench.wait(params().promise(lease) - ms(1));
    assert_eq!(quarantine_after_a_boot(&bench), params().promise(lease), "until it is over");
    bench.wait(ms(1));
    assert_eq!(quarantine_after_a_boot(&bench), usual, "which is noted when it is");
}

#[test]
fn a_boot_waits_for_what_was_promised_by_longer_timings_of_its_own() {
    let mut bench = Bench::standby(LossAction::Osu);
    bench.disk.longest_promise = ms(12_000);
    assert_eq!(quarantine_after_a_boot(&bench), ms(12_000));
    bench.disk.longest_promise = crate::time::Duration::MAX;
    assert_eq!(quarantine_after_a_boot(&bench), params().promise(ms(600_000)), "nobody promises for longer");
}

#[test]
fn a_usual_promise_waits_for_no_disk() {
    let mut bench = Bench::standby(LossAction::Osu);
    bench.wait(params().lease_and_guard());
    let disk = bench.disk.clone();
    promise(&mut bench, V);
    assert_eq!(bench.disk, disk);
}

#[test]
fn a_promise_without_end_is_refused() {
    let mut bench = Bench::standby(LossAction::Osu);
    let lease = ms(600_001);
    let asked = PeerBody::FailsafeLease { request: RequestId(8), volume: V, epoch: Epoch(1), lease };
    let refused = |effect: &Effect| match effect {
        Effect::Peer {
            message: PeerMessage { body: PeerBody::FailsafeAnswer { promise, .. }, .. }, ..
        } => promise.is_err(),
        _ => false,
    };
    assert!(bench.peer_says(asked).iter().any(refused));
    assert!(bench.run.promises.is_empty());
}

/// With a peer that beats and promises whatever it is asked, and without a witness.
fn on_promises(bench: &mut Bench, length: crate::time::Duration) -> Vec<Effect> {
    let until = bench.now + length;
    let mut all = Vec::new();
    while bench.now < until {
        bench.now = bench.now + ms(50);
        let effects = bench.step(Input::Tick);
        let asked = effects.iter().filter_map(|effect| match effect {
            Effect::Peer {
                message: PeerMessage { body: PeerBody::FailsafeLease { request, .. }, .. },
                ..
            } => Some(*request),
            _ => None,
        });
        for request in asked.collect::<Vec<_>>() {
            let (run, epoch) = (Nonce(0x55), Epoch(2));
            let answer = PeerBody::FailsafeAnswer { request, run, volume: V, epoch, promise: Ok(()) };
            all.extend(bench.peer_says(answer));
        }
        all.extend(effects);
        all.extend(bench.beat_from_b(false));
    }
    all
}

#[test]
fn a_stop_that_takes_its_time_lives_on_promises_too() {
    let mut bench = Bench::holder(LossAction::Osu);
    bench.live(ms(500));
    let request = NodeRequest::Move { volume: V, to: B };
    let effects = bench.step(Input::Operator { ticket: 7, request });
    let offered = effects.iter().find_map(|effect| match effect {
        Effect::Peer {
            message: PeerMessage { body: PeerBody::HandoverOffer { request, .. }, .. }, ..
        } => Some(*request),
        _ => None,
    });
    let request = offered.expect("offered");
    bench.peer_says(PeerBody::HandoverAnswer { request, volume: V, ready: Ok(()) });
    assert!(matches!(bench.phase(), Phase::Stopping(_)));
    // Five seconds are allowed for it; the witness restarts meanwhile.
    bench.step(Input::WitnessGone);
    assert!(!resets(&on_promises(&mut bench, ms(3000))));
}

#[test]
fn a_promotion_that_takes_its_time_lives_on_promises_too() {
    let mut bench = Bench::standby(LossAction::Osu);
    let effects = bench.say_free(2);
    bench.grant(&effects, 2);
    bench.step(Input::WitnessGone);
    let effects = on_promises(&mut bench, ms(3000));
    assert!(!resets(&effects) && actions(&effects).is_empty(), "{effects:?}");
    assert!(matches!(bench.phase(), Phase::Promoting(_)));
}

/// No heartbeat of B arrives, but what it asks does.
#[test]
fn whoever_asks_for_promises_is_said_to_be_heard() {
    let mut bench = Bench::standby(LossAction::Osu);
    let told = |bench: &mut Bench, asks: bool| {
        let mut told = NodeSet::EMPTY;
        for _ in 0..20 {
            bench.now = bench.now + ms(100);
            let effects = if asks { promise(bench, V) } else { bench.step(Input::Tick) };
            for effect in &effects {
                if let Effect::Witness(ToWitness { body: Request::Heartbeat(beat), .. }) = effect {
                    told = beat.hears;
                }
            }
        }
        told
    };
    assert_eq!(told(&mut bench, true), NodeSet::only(B));
    assert_eq!(told(&mut bench, false), NodeSet::EMPTY, "a while ago is not now");
}

#[test]
fn who_asked_for_a_promise_is_held_for_asking_until_it_would_be_suspected() {
    let mut bench = Bench::standby(LossAction::Osu);
    let at = bench.now;
    if let Some(peer) = bench.node.peers.get_mut(&B) {
        peer.asked_at = Some(at);
    }
    let within = params().suspect_after();
    assert_eq!(bench.node.asking(at + (within - ms(1))), NodeSet::only(B));
    assert_eq!(bench.node.asking(at + within), NodeSet::EMPTY);
}
