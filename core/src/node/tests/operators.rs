//! What people ask of a node: to whom it goes, and how it is answered.

use super::super::*;
use super::bench::{config, report, requests};
use super::*;
use crate::error::Refusal;
use crate::ids::{Epoch, NodeSet};
use crate::message::*;
use crate::params::EPOCH_JUMP;
use crate::topology::PowerAction;
use alloc::vec::Vec;

fn ask(bench: &mut Bench, request: NodeRequest) -> Vec<Effect> {
    bench.step(Input::Operator { ticket: 7, request })
}

fn answer(effects: &[Effect]) -> Option<&NodeAnswer> {
    effects.iter().find_map(|effect| match effect {
        Effect::Answer { ticket: 7, answer } => Some(answer),
        _ => None,
    })
}

fn devices(effects: &[Effect]) -> Vec<PowerAction> {
    let orders = effects.iter().filter_map(|effect| match effect {
        Effect::Device(order) => Some(order.action),
        _ => None,
    });
    orders.collect()
}

fn maintenance() -> NodeRequest {
    NodeRequest::Witness(OperatorRequest::Maintenance { node: B, length: ms(60_000) })
}

#[test]
fn a_volume_that_is_there_already_is_not_moved() {
    let mut bench = Bench::holder(LossAction::Osu);
    let effects = ask(&mut bench, NodeRequest::Move { volume: V, to: A });
    assert_eq!(answer(&effects), Some(&NodeAnswer::Refused(Refusal::AlreadyThere)));
}

#[test]
fn a_holder_offers_what_it_is_to_move() {
    let mut bench = Bench::holder(LossAction::Osu);
    let effects = ask(&mut bench, NodeRequest::Move { volume: V, to: B });
    let offered = effects.iter().any(|effect| {
        matches!(effect, Effect::Peer { to: B, message } if matches!(message.body, PeerBody::HandoverOffer { .. }))
    });
    assert!(offered && answer(&effects).is_none(), "{effects:?}");
    let register = bench.register_view(Some(B), 3, Bench::both(), 4);
    let effects = bench.say(Reply::View(View { registers: [register].into(), ..View::default() }));
    assert_eq!(answer(&effects), Some(&NodeAnswer::Done), "it has arrived: {effects:?}");
}

#[test]
fn nobody_fences_itself_or_a_stranger() {
    for target in [A, crate::ids::NodeId(9)] {
        let mut bench = Bench::standby(LossAction::Osu);
        let effects = ask(&mut bench, NodeRequest::Fence { target, wish: FenceWish::Reboot });
        assert_eq!(answer(&effects), Some(&NodeAnswer::Refused(Refusal::NotMember)));
    }
}

#[test]
fn what_has_a_device_is_powered_on() {
    let mut bench = Bench::standby(LossAction::Osu);
    let effects = ask(&mut bench, NodeRequest::Unfence { target: B });
    assert_eq!((devices(&effects), answer(&effects)), ([PowerAction::On].into(), Some(&NodeAnswer::Done)));
    let mut bare = config(LossAction::Osu);
    bare.fencing.clear();
    let effects = ask(&mut Bench::standby_with(bare), NodeRequest::Unfence { target: B });
    assert!(matches!(answer(&effects), Some(NodeAnswer::Refused(Refusal::WrongState { .. }))), "{effects:?}");
}

#[test]
fn what_is_for_the_witness_is_passed_on_and_its_answer_told() {
    let mut bench = Bench::standby(LossAction::Osu);
    let effects = ask(&mut bench, maintenance());
    assert!(matches!(requests(&effects)[..], [Request::Operator { ticket: 7, .. }]), "{effects:?}");
    assert_eq!(answer(&effects), None);
    let effects = bench.say(Reply::Operator { ticket: 7, answer: OperatorAnswer::Done });
    assert_eq!(answer(&effects), Some(&NodeAnswer::Witness(OperatorAnswer::Done)));
}

#[test]
fn an_answer_of_the_witness_is_waited_for_ten_seconds() {
    let mut bench = Bench::standby(LossAction::Osu);
    ask(&mut bench, maintenance());
    assert_eq!(answer(&bench.live(ms(9900))), None);
    assert!(matches!(answer(&bench.live(ms(200))), Some(NodeAnswer::Unfinished(_))));
}

#[test]
fn a_session_that_ends_takes_its_requests_along() {
    let mut bench = Bench::standby(LossAction::Osu);
    ask(&mut bench, maintenance());
    let effects = bench.step(Input::WitnessGone);
    assert!(matches!(answer(&effects), Some(NodeAnswer::Unfinished(_))), "{effects:?}");
    let effects = ask(&mut bench, maintenance());
    assert_eq!(answer(&effects), Some(&NodeAnswer::Refused(Refusal::NotRegistered)));
}

#[test]
fn a_move_here_is_done_when_the_volume_is_in_service_here() {
    let mut bench = Bench::standby(LossAction::Osu);
    assert!(!bench.node.is_active(V));
    assert_eq!(answer(&ask(&mut bench, NodeRequest::Move { volume: V, to: A })), None);
    let effects = bench.say_free(2);
    assert_eq!(answer(&effects), None);
    let effects = bench.grant(&effects, 2);
    assert_eq!(answer(&effects), None, "granted, not yet active: {effects:?}");
    let effects = bench.promoted();
    assert_eq!(answer(&effects), Some(&NodeAnswer::Done), "{effects:?}");
    assert!(bench.node.is_active(V));
}

#[test]
fn an_override_jumps_over_everything_that_may_have_been_recorded() {
    let mut bench = Bench::standby(LossAction::Osu);
    bench.step(Input::WitnessGone);
    bench.wait(ms(1000));
    let request = NodeRequest::Override { volume: V, dead: NodeSet::only(B), length: ms(60_000) };
    let effects = ask(&mut bench, request);
    assert_eq!(answer(&effects), Some(&NodeAnswer::Done), "{effects:?}");
    let disk = &bench.disk.volumes[&V];
    assert_eq!((disk.max_epoch, disk.isr_version.0), (Epoch(1 + EPOCH_JUMP), 1 + EPOCH_JUMP));
    let [VolumeAction::Promote(promotion)] = bench::actions(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(promotion.volume(), V);
    let end = bench.now + ms(60_000);
    assert_eq!(bench.run.held[&V].lease_until, end);
}

#[test]
fn what_a_node_says_about_itself() {
    let mut bench = Bench::standby(LossAction::Osu);
    assert_eq!(bench.node.phase(V), Some(Phase::Secondary));
    assert_eq!(bench.node.phase(bench::W), None);
    assert_eq!(bench.node.session().map(|session| session.0), Some(bench.session));
    assert!(!bench.node.in_maintenance() && !bench.node.is_arbitrating());
    let register = bench.register_view(Some(B), 1, Bench::both(), 1);
    let view = View { registers: [register].into(), maintenance: NodeSet::only(A), ..View::default() };
    bench.say(Reply::View(view));
    assert!(bench.node.in_maintenance());
    bench.wait(ms(600));
    assert!(bench.node.is_arbitrating(), "B is silent");
    bench.step(Input::Volume { volume: V, report: report(Role::Primary) });
    assert!(!bench.node.is_arbitrating());
    bench.step(Input::WitnessGone);
    assert_eq!(bench.node.session(), None);
}

/// Everything in a state that is an instant is shown to a checker: otherwise it takes states for the same that are not.
#[test]
fn all_instants_of_a_state_are_shown() {
    fn shown(node: &mut Node) -> usize {
        let mut count = 0;
        crate::time::Instants::instants(node, &mut |_| count += 1);
        count
    }
    let mut standby = Bench::standby(LossAction::Osu);
    let mut holder = Bench::holder(LossAction::Osu);
    let (before, held) = (shown(&mut standby.node), shown(&mut holder.node));
    assert!(before > 5 && held > before, "{before} {held}");
    standby.peer_says(PeerBody::FailsafeLease {
        request: crate::ids::RequestId(8),
        volume: V,
        epoch: crate::ids::Epoch(1),
        lease: ms(2000),
    });
    // What was promised, until when, and when it was asked for.
    assert_eq!(shown(&mut standby.node), before + 2);
    let mut watch = 0;
    let peer = standby.node.peers.get_mut(&B).expect("a peer");
    crate::time::Instants::instants(&mut peer.watch, &mut |_| watch += 1);
    assert_eq!(watch, 2, "of the peer, and of the path that it was heard on");
    let mut run = 0;
    crate::time::Instants::instants(&mut holder.run, &mut |_| run += 1);
    assert_eq!(run, 1, "the lease");
    let mut volume = 0;
    let held = holder.node.volumes.get_mut(&V).expect("configured");
    crate::time::Instants::instants(held, &mut |_| volume += 1);
    assert_eq!(volume, 7, "the lease, and six times that every volume has");
    let mut fence = 0;
    let (permit, boot) = (crate::ids::PermitId(1), crate::ids::BootId(0xB1));
    let mut begun = crate::topology::Fence::new(permit, B, boot, false, holder.now);
    crate::time::Instants::instants(&mut begun, &mut |_| fence += 1);
    assert_eq!(fence, 1, "its start");
}
