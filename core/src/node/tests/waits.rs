//! How long something is waited for, and what is done when the wait is over.

use super::super::*;
use super::bench::{actions, config, params, report, requests, resets};
use super::*;
use crate::ids::*;
use crate::message::*;
use alloc::vec;
use alloc::vec::Vec;

fn offers(effects: &[Effect]) -> Vec<RequestId> {
    let offers = effects.iter().filter_map(|effect| match effect {
        Effect::Peer {
            message: PeerMessage { body: PeerBody::HandoverOffer { request, .. }, .. }, ..
        } => Some(*request),
        _ => None,
    });
    offers.collect()
}

fn answers(effects: &[Effect]) -> Vec<NodeAnswer> {
    let answers = effects.iter().filter_map(|effect| match effect {
        Effect::Answer { answer, .. } => Some(answer.clone()),
        _ => None,
    });
    answers.collect()
}

fn demotes(effects: &[Effect]) -> bool {
    actions(effects).iter().any(|action| matches!(action, VolumeAction::Demote { .. }))
}

fn ask(bench: &mut Bench, request: NodeRequest) -> Vec<Effect> {
    bench.step(Input::Operator { ticket: 7, request })
}

#[test]
fn a_volume_is_not_given_up_for_a_handover_that_the_witness_could_not_record() {
    let mut bench = Bench::holder(LossAction::Osu);
    let effects = ask(&mut bench, NodeRequest::Move { volume: V, to: B });
    let request = offers(&effects)[0];
    bench.step(Input::WitnessGone);
    let effects = bench.peer_says(PeerBody::HandoverAnswer { request, volume: V, ready: Ok(()) });
    assert!(!demotes(&effects), "nobody could be granted it: {effects:?}");
    assert!(matches!(answers(&effects)[..], [NodeAnswer::Refused(_)]), "{effects:?}");
}

#[test]
fn a_daemon_that_stops_waits_for_an_answer_up_to_its_last_instant() {
    let mut bench = Bench::holder(LossAction::Osu);
    let effects = ask(&mut bench, NodeRequest::StopHandOver);
    assert_eq!(offers(&effects).len(), 1);
    bench.now = bench.now + (params().suspect_after() - ms(1));
    assert!(!demotes(&bench.step(Input::Tick)));
    bench.now = bench.now + ms(1);
    assert!(demotes(&bench.step(Input::Tick)), "and then gives up what it holds");
}

/// A holder on standby whose peer has declined at this moment.
fn declined() -> Bench {
    let mut bench = Bench::holder(LossAction::Osu);
    let effects = ask(&mut bench, NodeRequest::Standby(true));
    let request = offers(&effects)[0];
    bench.live(ms(300));
    let ready = Err(crate::error::Refusal::Incomplete);
    let effects = bench.peer_says(PeerBody::HandoverAnswer { request, volume: V, ready });
    assert!(offers(&effects).is_empty());
    bench
}

#[test]
fn what_nobody_could_take_is_offered_again_five_seconds_after_that_was_clear() {
    let mut bench = declined();
    assert!(offers(&bench.live(ms(4900))).is_empty());
    bench.now = bench.now + ms(99);
    assert!(offers(&bench.step(Input::Tick)).is_empty());
    bench.now = bench.now + ms(1);
    assert_eq!(offers(&bench.step(Input::Tick)).len(), 1);
}

#[test]
fn what_is_to_be_offered_in_this_instant_is_not_said_to_stay() {
    let bench = declined();
    let (again, later) = (bench.node.volumes[&V].offer_after, crate::time::Instant::NEVER);
    assert_eq!(bench.node.standby_answer(again - ms(1), later), Some(NodeAnswer::Kept(vec![V])));
    assert_eq!(bench.node.standby_answer(again, later), None);
}

#[test]
fn another_order_of_standby_offers_it_again_at_once() {
    let mut bench = declined();
    let effects = ask(&mut bench, NodeRequest::Standby(true));
    assert_eq!(offers(&effects).len(), 1, "{effects:?}");
}

#[test]
fn it_is_not_said_to_stay_before_nobody_is_left_to_be_asked() {
    let mut bench = Bench::holder(LossAction::Osu);
    let mut effects = ask(&mut bench, NodeRequest::Standby(true));
    let given_up = bench.now + params().suspect_after();
    effects.extend(bench.live(ms(400)));
    bench.now = given_up;
    effects.extend(bench.step(Input::Tick));
    assert!(answers(&effects).is_empty(), "the next peer is to be asked: {effects:?}");
    let effects = bench.live(ms(100));
    assert_eq!(answers(&effects), [NodeAnswer::Kept(vec![V])]);
}

#[test]
fn a_registration_waits_two_seconds_for_a_driver_that_says_nothing() {
    let mut bench = Bench::new(config(LossAction::Osu));
    bench.challenged();
    assert!(requests(&bench.wait(ms(1999))).is_empty());
    assert!(matches!(requests(&bench.wait(ms(1)))[..], [Request::Register(_)]));
}

#[test]
fn the_volume_is_not_moved_to_whoever_holds_it() {
    let mut bench = Bench::standby(LossAction::Osu);
    let effects = ask(&mut bench, NodeRequest::Move { volume: V, to: B });
    assert_eq!(answers(&effects), [NodeAnswer::Refused(crate::error::Refusal::AlreadyThere)]);
}

#[test]
fn a_promotion_without_an_answer_is_no_inactive_volume() {
    let promoting = || {
        let mut bench = Bench::standby(LossAction::Osu);
        let effects = bench.say_free(2);
        bench.grant(&effects, 2);
        assert!(matches!(bench.phase(), Phase::Promoting(_)));
        bench
    };
    // Given up, and told to end: what is left of it may still be done.
    let mut bench = promoting();
    bench.live(ms(5200));
    assert!(matches!(bench.phase(), Phase::Stopping(_)));
    assert_ne!(bench.node.pet_until(bench.now), Instant::NEVER, "the watchdog must end with the lease");
    assert!(resets(&bench.wait(ms(2400))), "the lease has ended, and the demotion is not answered");
    let mut bench = promoting();
    bench.live(ms(5200));
    bench.done();
    assert_eq!((bench.phase(), bench.node.pet_until(bench.now)), (Phase::Secondary, Instant::NEVER));
    assert!(!resets(&bench.wait(ms(2400))), "the demotion was answered");
    // Overtaken by the freeze before the end of the lease.
    let mut bench = promoting();
    let promotion = bench.command();
    bench.wait(ms(1500));
    assert_ne!(bench.command(), promotion, "a freeze was ordered");
    assert!(resets(&bench.wait(ms(1000))), "the lease has ended");
    let mut bench = promoting();
    bench.wait(ms(1500));
    let outcome = CommandOutcome::Failed("too late".into());
    bench.step(Input::VolumeDone { volume: V, command: promotion, outcome });
    assert!(!resets(&bench.wait(ms(1000))), "it was not promoted, says the driver");
    let mut bench = promoting();
    bench.wait(ms(1500));
    let effects = bench.step(Input::Volume { volume: V, report: report(Role::Secondary) });
    assert!(matches!(bench.phase(), Phase::Stopping(_)), "it is not given back yet");
    assert!(matches!(actions(&effects)[..], [VolumeAction::Demote { .. }]), "{effects:?}");
    bench.done();
    assert_eq!(bench.phase(), Phase::Secondary);
}

#[test]
fn an_override_promotes_before_the_freeze_that_ends_it() {
    let mut bench = Bench::standby(LossAction::Osu);
    bench.step(Input::WitnessGone);
    bench.wait(ms(3000));
    let request = NodeRequest::Override { volume: V, dead: NodeSet::only(B), length: ms(600_000) };
    let effects = ask(&mut bench, request);
    let [VolumeAction::Promote(promotion)] = actions(&effects)[..] else { panic!("{effects:?}") };
    let end = bench.now + ms(600_000);
    assert_eq!(promotion.valid_until(), end - params().freeze_before);
}

#[test]
fn beats_that_were_missed_are_not_made_up_for() {
    let heartbeat = params().heartbeat;
    for late in [heartbeat, heartbeat * 3 + ms(50)] {
        let mut bench = Bench::holder(LossAction::Osu);
        bench.now = bench.node.beat_at + late;
        bench.step(Input::Tick);
        assert_eq!(bench.node.beat_at, bench.now + heartbeat, "{late:?}");
    }
    let mut bench = Bench::holder(LossAction::Osu);
    let due = bench.node.beat_at;
    bench.now = due + ms(99);
    bench.step(Input::Tick);
    assert_eq!(bench.node.beat_at, due + heartbeat, "what is only late keeps its pace");
}

#[test]
fn a_beat_that_is_not_due_for_long_is_moved_towards_the_holders() {
    let mut bench = Bench::standby(LossAction::Osu);
    bench.wait(ms(110));
    bench.renew();
    let (heartbeat, due) = (params().heartbeat, bench.node.beat_at);
    let (half, slack) = (heartbeat / 2, heartbeat / 16);
    bench.now = due - ms(80);
    let effects = bench.beat_from_b(true);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Beat { .. })), "{effects:?}");
    assert_eq!(bench.node.beat_at, due - half - slack);
    bench.now = bench.node.beat_at;
    bench.step(Input::Tick);
    let due = bench.node.beat_at;
    bench.now = due - half - slack;
    let effects = bench.beat_from_b(true);
    assert!(
        effects.iter().any(|effect| matches!(effect, Effect::Beat { .. })),
        "from here on with the holder's"
    );
    assert_eq!(bench.node.beat_at, bench.now + heartbeat + slack);
}

#[test]
fn the_witness_is_told_again_when_what_it_judges_has_changed_and_only_then() {
    let mut bench = Bench::standby(LossAction::Osu);
    assert!(bench::asked(&bench.wait(ms(600))).is_some());
    let same = || report(Role::Secondary);
    let told = |bench: &mut Bench, report| bench::asked(&bench.step(Input::Volume { volume: V, report }));
    assert_eq!(told(&mut bench, same()), None);
    let generation = crate::evidence::Generation::first(GenerationId(8));
    assert!(told(&mut bench, VolumeReport { generation, ..same() }).is_some());
    assert!(told(&mut bench, same()).is_some());
}

#[test]
fn a_watchdog_is_petted_while_it_is_not_read_what_was_left_running() {
    let mut bench = Bench::holder(LossAction::Osu);
    let lease_until = bench.run.held[&V].lease_until;
    bench.restart_daemon();
    assert_eq!(bench.node.pet_until(bench.now), lease_until - params().petting_margin(), "a crash");
    bench.run.keeps_running = true;
    bench.restart_daemon();
    assert_eq!(bench.node.pet_until(bench.now), crate::time::Instant::NEVER, "a maintenance");
}

fn updates(effects: &[Effect]) -> usize {
    requests(effects).iter().filter(|request| matches!(request, Request::UpdateInSync(_))).count()
}

/// A report of a volume in service whose peer is not connected.
fn alone() -> VolumeReport {
    VolumeReport { connected: NodeSet::EMPTY, complete_peers: NodeSet::EMPTY, ..report(Role::Primary) }
}

#[test]
fn a_replica_that_has_never_followed_is_removed_when_its_moment_is_over() {
    let mut bench = Bench::standby(LossAction::Osu);
    let effects = bench.say_free(2);
    let behind = VolumeReport { role: Role::Secondary, required: NodeSet::EMPTY, ..alone() };
    bench.step(Input::Volume { volume: V, report: behind });
    bench.grant(&effects, 2);
    bench.done();
    let end = bench.now + params().suspect_after();
    let mut effects = bench.step(Input::Volume { volume: V, report: alone() });
    effects.extend(bench.live(ms(400)));
    bench.now = end - ms(1);
    effects.extend(bench.beat_from_b(true));
    assert_eq!(updates(&effects), 0, "it is heard, and may come");
    bench.now = end;
    assert_eq!(updates(&bench.step(Input::Tick)), 1);
}

#[test]
fn who_holds_by_another_boots_grant_changes_no_set() {
    for (boot, changes) in [(BootId(0xA1), 1), (BootId(0xA0), 0)] {
        let mut bench = Bench::holder(LossAction::Osu);
        let mut register = bench.register_view(Some(A), 2, Bench::both(), 4);
        register.holder = Some(Holder { node: A, boot });
        bench.say(Reply::InSync { register });
        assert_eq!(updates(&bench.step(Input::Volume { volume: V, report: alone() })), changes, "{boot:?}");
    }
}
