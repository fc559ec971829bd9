//! Standby: durable, never asks, takes nothing over, hands over what it holds, and keeps what nobody can take.

use super::super::*;
use super::bench::{W, actions, asked, config, report, requests, volume_config};
use super::*;
use crate::error::Refusal;
use crate::ids::{Epoch, NodeSet, RequestId};
use crate::message::*;
use alloc::vec;
use alloc::vec::Vec;

fn order(bench: &mut Bench, on: bool) -> Vec<Effect> {
    bench.step(Input::Operator { ticket: 7, request: NodeRequest::Standby(on) })
}

fn answer(effects: &[Effect]) -> Option<&NodeAnswer> {
    effects.iter().find_map(|effect| match effect {
        Effect::Answer { ticket: 7, answer } => Some(answer),
        _ => None,
    })
}

fn offered(effects: &[Effect]) -> Option<RequestId> {
    effects.iter().find_map(|effect| match effect {
        Effect::Peer {
            to: B,
            message: PeerMessage { body: PeerBody::HandoverOffer { request, volume: V, .. }, .. },
        } => Some(*request),
        _ => None,
    })
}

fn declines(bench: &mut Bench, request: RequestId) -> Vec<Effect> {
    bench.peer_says(PeerBody::HandoverAnswer { request, volume: V, ready: Err(Refusal::Incomplete) })
}

#[test]
fn it_is_durable_before_it_is_acknowledged_and_a_restart_finds_it() {
    let mut bench = Bench::standby(LossAction::Osu);
    assert!(!bench.disk.standby);
    let effects = order(&mut bench, true);
    assert_eq!(answer(&effects), Some(&NodeAnswer::Done), "{effects:?}");
    assert!(bench.disk.standby, "in the store when the answer is given");
    bench.restart_daemon();
    assert!(bench.node.status(bench.now).standby);
    let effects = order(&mut bench, false);
    assert_eq!(answer(&effects), Some(&NodeAnswer::Done));
    bench.restart_daemon();
    assert!(!bench.node.status(bench.now).standby);
}

#[test]
fn the_same_order_again_writes_nothing() {
    let mut bench = Bench::standby(LossAction::Osu);
    order(&mut bench, true);
    let syncs = bench.syncs;
    assert_eq!(answer(&order(&mut bench, true)), Some(&NodeAnswer::Done));
    assert_eq!(bench.syncs, syncs);
}

#[test]
fn a_free_volume_is_not_asked_for_until_the_node_is_online_again() {
    let mut bench = Bench::standby(LossAction::Osu);
    order(&mut bench, true);
    assert!(asked(&bench.say_free(2)).is_none());
    assert!(asked(&bench.wait(ms(2000))).is_none(), "nor when its holder is silent");
    assert_eq!(bench.node.wants(bench.now, V), Err(WhyNot::Standby));
    assert!(asked(&order(&mut bench, false)).is_some());
}

#[test]
fn an_attempt_that_was_open_is_withdrawn_and_its_grant_given_back() {
    let mut bench = Bench::standby(LossAction::Osu);
    let effects = bench.say_free(2);
    let attempt = asked(&effects).expect("it asked");
    let withdrawn = order(&mut bench, true);
    let gone =
        requests(&withdrawn).iter().any(|r| matches!(r, Request::Withdraw { attempt: of } if *of == attempt));
    assert!(gone, "{withdrawn:?}");
    let late = bench.grant(&effects, 2);
    assert!(actions(&late).is_empty(), "{late:?}");
    let back = requests(&late).iter().any(|r| matches!(r, Request::Release { epoch: Epoch(2), .. }));
    assert!(back, "{late:?}");
}

#[test]
fn it_takes_no_handover_and_no_move() {
    let mut bench = Bench::standby(LossAction::Osu);
    order(&mut bench, true);
    let effects =
        bench.peer_says(PeerBody::HandoverOffer { request: RequestId(5), volume: V, epoch: Epoch(1) });
    let refused = effects.iter().any(|effect| {
        matches!(effect, Effect::Peer { message, .. }
            if matches!(&message.body, PeerBody::HandoverAnswer { ready: Err(Refusal::Standby), .. }))
    });
    assert!(refused, "{effects:?}");
    let effects = bench.step(Input::Operator { ticket: 7, request: NodeRequest::Move { volume: V, to: A } });
    assert_eq!(answer(&effects), Some(&NodeAnswer::Refused(Refusal::Standby)));
}

#[test]
fn it_promises_and_beats_as_before() {
    let mut bench = Bench::standby(LossAction::Osu);
    order(&mut bench, true);
    let effects = bench.peer_says(PeerBody::FailsafeLease {
        request: RequestId(5),
        volume: V,
        epoch: Epoch(1),
        lease: ms(2000),
    });
    let promised = effects.iter().any(|effect| {
        matches!(effect, Effect::Peer { message, .. }
            if matches!(&message.body, PeerBody::FailsafeAnswer { promise: Ok(()), .. }))
    });
    assert!(promised, "{effects:?}");
    assert!(bench.wait(ms(200)).iter().any(|effect| matches!(effect, Effect::Beat { to: B, .. })));
}

#[test]
fn what_it_holds_is_handed_over_as_by_a_move() {
    let mut bench = Bench::holder(LossAction::Osu);
    let effects = order(&mut bench, true);
    assert!(answer(&effects).is_none() && bench.disk.standby);
    let request = offered(&effects).expect("offered to the peer");
    let effects = bench.peer_says(PeerBody::HandoverAnswer { request, volume: V, ready: Ok(()) });
    assert!(matches!(actions(&effects).as_slice(), [VolumeAction::Demote { .. }]), "{effects:?}");
    let effects = bench.done();
    let to_b = requests(&effects).iter().any(|r| matches!(r, Request::Release { successor: Some(B), .. }));
    assert!(to_b, "{effects:?}");
    assert!(answer(&effects).is_none(), "the release is not recorded yet");
    let effects = bench.say(Reply::Released { volume: V, epoch: Epoch(2) });
    assert_eq!(answer(&effects), Some(&NodeAnswer::Done), "{effects:?}");
}

#[test]
fn what_nobody_can_take_stays_in_service_and_is_said() {
    let mut bench = Bench::holder(LossAction::Osu);
    let request = offered(&order(&mut bench, true)).expect("offered");
    let effects = declines(&mut bench, request);
    assert_eq!(answer(&effects), Some(&NodeAnswer::Kept(vec![V])), "{effects:?}");
    assert!(actions(&effects).is_empty());
    assert!(matches!(bench.phase(), Phase::Active(_)));
}

#[test]
fn a_peer_that_answers_nothing_declines() {
    let mut bench = Bench::holder(LossAction::Osu);
    order(&mut bench, true);
    let effects = bench.live(ms(1500));
    assert_eq!(answer(&effects), Some(&NodeAnswer::Kept(vec![V])), "{effects:?}");
    assert!(matches!(bench.phase(), Phase::Active(_)));
}

#[test]
fn a_peer_that_lacks_data_is_not_even_asked() {
    let mut bench = Bench::holder(LossAction::Osu);
    let mut behind = report(Role::Primary);
    behind.complete_peers = NodeSet::EMPTY;
    bench.step(Input::Volume { volume: V, report: behind });
    let effects = order(&mut bench, true);
    assert!(offered(&effects).is_none());
    assert_eq!(answer(&effects), Some(&NodeAnswer::Kept(vec![V])), "{effects:?}");
}

#[test]
fn what_was_kept_is_offered_again_once_in_a_while() {
    let mut bench = Bench::holder(LossAction::Osu);
    let request = offered(&order(&mut bench, true)).expect("offered");
    declines(&mut bench, request);
    assert!(offered(&bench.live(ms(4500))).is_none(), "not at once");
    assert!(offered(&bench.live(ms(1000))).is_some());
}

#[test]
fn without_a_witness_nothing_is_stopped() {
    let mut bench = Bench::holder(LossAction::Osu);
    bench.step(Input::WitnessGone);
    let effects = order(&mut bench, true);
    assert!(actions(&effects).is_empty() && offered(&effects).is_none());
    assert_eq!(answer(&effects), Some(&NodeAnswer::Kept(vec![V])), "{effects:?}");
}

#[test]
fn a_restart_on_standby_adopts_what_is_held_and_goes_on_handing_over() {
    let mut bench = Bench::holder(LossAction::Osu);
    let request = offered(&order(&mut bench, true)).expect("offered");
    declines(&mut bench, request);
    bench.restart_daemon();
    bench.step(Input::Volume { volume: V, report: report(Role::Primary) });
    assert!(matches!(bench.phase(), Phase::Active(_)), "nothing is stopped");
    let register = bench.register_view(Some(A), 2, Bench::both(), 3);
    bench.connect(register);
    assert!(offered(&bench.live(ms(6000))).is_some());
}

#[test]
fn back_online_before_the_end_the_first_asker_is_told_so() {
    let mut bench = Bench::holder(LossAction::Osu);
    order(&mut bench, true);
    let online = Input::Operator { ticket: 8, request: NodeRequest::Standby(false) };
    let effects = bench.step(online);
    assert!(matches!(answer(&effects), Some(NodeAnswer::Unfinished(_))), "{effects:?}");
}

#[test]
fn an_override_is_refused() {
    let mut bench = Bench::standby(LossAction::Osu);
    order(&mut bench, true);
    bench.step(Input::WitnessGone);
    bench.wait(ms(3000));
    let request = NodeRequest::Override { volume: V, dead: NodeSet::only(B), length: ms(60_000) };
    let effects = bench.step(Input::Operator { ticket: 7, request });
    assert_eq!(answer(&effects), Some(&NodeAnswer::Refused(Refusal::Standby)));
}

/// Two volumes: what is told to stop offers each to the one peer that there is.
#[test]
fn a_stop_offers_every_volume_to_the_same_peer() {
    let mut two = config(LossAction::Osu);
    two.volumes.insert(W, volume_config(LossAction::Osu));
    let mut bench = Bench::holder_with(two);
    let held = bench.phase();
    let first = bench.node.volumes[&V].clone();
    bench.node.volumes.insert(W, super::super::state::Volume { phase: held, ..first });
    let effects = bench.step(Input::Operator { ticket: 7, request: NodeRequest::StopHandOver });
    let offers = effects.iter().filter(|effect| {
        matches!(effect, Effect::Peer { to: B, message }
            if matches!(message.body, PeerBody::HandoverOffer { .. }))
    });
    assert_eq!(offers.count(), 2, "{effects:?}");
    let stopped = actions(&effects).iter().any(|action| matches!(action, VolumeAction::Demote { .. }));
    assert!(!stopped, "nothing is stopped before the peer has answered: {effects:?}");
}
