use super::super::*;
use super::bench::{W, actions, params, report, requests, resets};
use super::*;
use crate::error::Refusal;
use crate::ids::{Epoch, NodeSet, PermitId};
use crate::message::*;
use alloc::string::ToString;
use alloc::vec;

fn lease_left(bench: &Bench) -> crate::time::Duration {
    bench.node.status(bench.now).volumes[0].lease_left.expect("held")
}

fn freeze_seen(bench: &mut Bench) -> alloc::vec::Vec<Effect> {
    let mut frozen = report(Role::Primary);
    frozen.frozen = true;
    let mut effects = bench.done();
    effects.extend(bench.step(Input::Volume { volume: V, report: frozen }));
    effects
}

#[test]
fn a_lease_counts_from_the_send_of_what_was_answered() {
    let mut bench = Bench::holder(LossAction::Osu);
    bench.live(ms(500));
    let sent = bench.now;
    bench.now = sent + ms(80);
    bench.renew();
    assert!(lease_left(&bench) <= params().lease - ms(80), "{:?}", lease_left(&bench));
}

#[test]
fn silence_of_witness_and_peer_freezes_before_the_end_then_stops() {
    let mut bench = Bench::holder(LossAction::Osu);
    bench.live(ms(500));
    let left = lease_left(&bench);
    let effects = bench.wait(left - params().freeze_before - ms(1));
    assert!(actions(&effects).is_empty(), "{effects:?}");
    let effects = bench.wait(ms(2));
    assert!(matches!(actions(&effects)[..], [VolumeAction::Freeze]), "{effects:?}");
    let effects = freeze_seen(&mut bench);
    assert!(matches!(actions(&effects)[..], [VolumeAction::Demote { .. }]), "{effects:?}");
}

#[test]
fn what_is_not_seen_inactive_at_the_end_of_the_lease_ends_the_machine() {
    let mut bench = Bench::holder(LossAction::Osu);
    let left = lease_left(&bench);
    let effects = bench.wait(left - ms(1));
    assert!(!resets(&effects));
    let effects = bench.wait(ms(2));
    assert!(resets(&effects));
    assert!(bench.step(Input::Tick).is_empty(), "nothing is done after a reset");
}

#[test]
fn the_default_loss_action_resets_the_machine_once_frozen() {
    let mut bench = Bench::holder(LossAction::Fastboot);
    let left = lease_left(&bench);
    bench.wait(left - params().freeze_before + ms(1));
    assert!(resets(&freeze_seen(&mut bench)));
}

/// What follows at the end of V's lease, whose loss action is to boot, with a second volume that is held beside it or not.
fn lost_beside_another(is_held: bool) -> vec::Vec<Effect> {
    let mut config = bench::config(LossAction::Fastboot);
    config.volumes.insert(W, bench::volume_config(LossAction::Fastboot));
    let mut bench = Bench::holder_with(config);
    let left = lease_left(&bench);
    if is_held {
        let held = Held { epoch: Epoch(1), lease_until: bench.now + left + ms(60_000) };
        bench.node.volumes.get_mut(&W).expect("configured").phase = Phase::Active(held);
    }
    bench.wait(left - params().freeze_before + ms(1));
    freeze_seen(&mut bench)
}

#[test]
fn a_volume_that_is_live_beside_it_keeps_the_machine_up() {
    let effects = lost_beside_another(true);
    assert!(!resets(&effects), "{effects:?}");
    assert!(
        matches!(actions(&effects)[..], [VolumeAction::Demote { .. }]),
        "the lost one stops: {effects:?}"
    );
    assert!(resets(&lost_beside_another(false)));
}

#[test]
fn every_order_has_a_number_of_its_own() {
    let mut bench = Bench::holder(LossAction::Osu);
    let left = lease_left(&bench);
    let mut effects = bench.wait(left - params().freeze_before + ms(1));
    effects.extend(freeze_seen(&mut bench));
    let commands = effects.iter().filter_map(|effect| match effect {
        Effect::Volume { command, .. } => Some(*command),
        _ => None,
    });
    let commands: vec::Vec<_> = commands.collect();
    assert!(matches!(commands[..], [freeze, demote] if freeze != demote), "{commands:?}");
}

#[test]
fn a_promotion_says_what_was_granted_and_is_used_in_time() {
    for late in [false, true] {
        let mut bench = Bench::standby(LossAction::Osu);
        let effects = bench.say_free(2);
        let effects = bench.grant(&effects, 2);
        let promotion = effects.into_iter().find_map(|effect| match effect {
            Effect::Volume { action: VolumeAction::Promote(promotion), .. } => Some(promotion),
            _ => None,
        });
        let promotion = promotion.expect("granted");
        let until = promotion.valid_until();
        assert!(until > bench.now && until <= bench.now + params().lease);
        let redeemed = promotion.redeem(if late { until } else { until - ms(1) });
        assert_eq!(redeemed.ok(), (!late).then_some((V, Epoch(2), NodeSet::only(B))));
    }
}

#[test]
fn a_witness_whose_connection_ends_is_lost_when_it_has_been_silent_for_long() {
    let mut bench = Bench::holder(LossAction::Osu);
    bench.live(ms(500));
    bench.step(Input::WitnessGone);
    let is_lost = |bench: &Bench| bench.node.status(bench.now).witness.lost;
    assert!(!is_lost(&bench), "it answered a moment ago");
    bench.wait(params().suspect_after());
    assert!(is_lost(&bench));
}

#[test]
fn a_majority_waits_for_the_votes_that_are_not_known_yet() {
    let mut bench = Bench::new(bench::config(LossAction::Osu));
    assert_eq!(bench.node.quorum(bench.now), crate::quorum::Vote::Pending, "B may be heard any moment");
    bench.wait(params().suspect_after() + ms(1));
    assert_eq!(bench.node.quorum(bench.now), crate::quorum::Vote::Lost, "B is silent, and so is the witness");
    let bench = Bench::standby(LossAction::Osu);
    assert_eq!(bench.node.quorum(bench.now), crate::quorum::Vote::Won);
}

#[test]
fn a_frozen_volume_stays_where_that_is_the_loss_action() {
    let mut bench = Bench::holder(LossAction::Freeze);
    let left = lease_left(&bench);
    bench.wait(left - params().freeze_before + ms(1));
    freeze_seen(&mut bench);
    let effects = bench.wait(ms(5000));
    assert!(!resets(&effects) && actions(&effects).is_empty());
    assert_eq!(bench.node.pet_until(bench.now), crate::time::Instant::NEVER);
}

/// A frozen volume whose thaw was ordered by a renewal in time.
fn renewed_in_time() -> Bench {
    let mut bench = Bench::holder(LossAction::Freeze);
    let left = lease_left(&bench);
    bench.wait(left - params().freeze_before + ms(1));
    freeze_seen(&mut bench);
    let effects = bench.renew();
    assert!(matches!(actions(&effects)[..], [VolumeAction::Thaw { .. }]), "{effects:?}");
    bench
}

#[test]
fn a_renewal_in_time_lifts_the_freeze() {
    renewed_in_time();
}

/// A frozen volume whose thaw the driver could not tell of, at the last moment of the lease that counts.
fn thawed_or_not() -> Bench {
    let mut bench = renewed_in_time();
    let left = lease_left(&bench);
    bench.now = bench.now + (left - params().freeze_before);
    let (command, outcome) = (bench.command(), CommandOutcome::Unknown("killed".to_string()));
    let effects = bench.step(Input::VolumeDone { volume: V, command, outcome });
    assert!(matches!(actions(&effects)[..], [VolumeAction::Freeze]), "{effects:?}");
    bench
}

#[test]
fn a_thaw_that_was_done_and_of_which_its_driver_cannot_tell_is_over() {
    let mut bench = renewed_in_time();
    bench.step(Input::Volume { volume: V, report: report(Role::Primary) });
    let (command, outcome) = (bench.command(), CommandOutcome::Unknown("killed".to_string()));
    bench.step(Input::VolumeDone { volume: V, command, outcome });
    bench.renew();
    assert!(matches!(bench.phase(), Phase::Active(_)), "{:?}", bench.phase());
}

#[test]
fn only_the_end_of_authority_is_without_authority() {
    let (lost, failed) = (ResetReason::AuthorityLost { volume: V }, ResetReason::StopFailed { volume: V });
    assert_eq!((lost.without_authority(), failed.without_authority()), (Some(V), None));
}

#[test]
fn a_thaw_without_an_answer_may_still_be_done() {
    let mut bench = thawed_or_not();
    let left = lease_left(&bench);
    assert!(bench.node.pet_until(bench.now) < bench.now + left);
    assert!(resets(&bench.wait(left)), "it is not known to be frozen");
}

#[test]
fn a_freeze_after_a_thaw_without_an_answer_ends_it() {
    let mut bench = thawed_or_not();
    bench.done();
    assert!(!resets(&bench.wait(ms(5000))));
    assert_eq!(bench.node.pet_until(bench.now), crate::time::Instant::NEVER);
}

#[test]
fn solo_needs_no_lease() {
    let mut bench = Bench::holder(LossAction::Osu);
    let register = bench.register_view(Some(A), 2, NodeSet::only(A), 9);
    bench.say(Reply::InSync { register });
    assert!(bench.node.is_solo(V));
    let effects = bench.wait(ms(60_000));
    assert!(!resets(&effects));
    assert!(!actions(&effects).iter().any(|action| matches!(action, VolumeAction::Freeze)));
    assert_eq!(bench.node.pet_until(bench.now), crate::time::Instant::NEVER);
}

#[test]
fn petting_ends_two_watchdogs_and_a_pet_before_the_lease() {
    let bench = Bench::holder(LossAction::Osu);
    let until = bench.now + lease_left(&bench);
    assert_eq!(bench.node.pet_until(bench.now), until - ms(2040));
}

#[test]
fn a_refused_renewal_makes_it_surrender_at_once() {
    let mut bench = Bench::holder(LossAction::Osu);
    let refusal = Refusal::TargetOfPermit { permit: PermitId(4) };
    let effects =
        bench.say(Reply::Renewed { volumes: vec![], refused: vec![(V, refusal)], hears: NodeSet::EMPTY });
    assert!(matches!(actions(&effects)[..], [VolumeAction::Demote { .. }]));
    let effects = bench.done();
    assert!(matches!(requests(&effects)[..], [Request::Release { epoch: Epoch(2), .. }]));
}

#[test]
fn a_solo_holder_goes_on_while_refused_and_asks_anew_once_its_grant_has_ended() {
    let mut bench = Bench::holder(LossAction::Osu);
    let register = bench.register_view(Some(A), 2, NodeSet::only(A), 9);
    bench.say(Reply::InSync { register });
    let mut told = |refusal| {
        let effects =
            bench.say(Reply::Renewed { volumes: vec![], refused: vec![(V, refusal)], hears: NodeSet::EMPTY });
        actions(&effects).iter().any(|action| matches!(action, VolumeAction::Demote { .. }))
    };
    assert!(!told(Refusal::TargetOfPermit { permit: PermitId(4) }), "it may yet be spared");
    assert!(told(Refusal::NotHolder { holder: None }));
    let effects = bench.done();
    assert!(matches!(requests(&effects)[..], [Request::Release { epoch: Epoch(2), .. }]));
    bench.say(Reply::Released { volume: V, epoch: Epoch(2) });
    let register = bench.register_view(None, 2, NodeSet::only(A), 9);
    bench.say(Reply::InSync { register });
    bench.step(Input::Volume { volume: V, report: report(Role::Secondary) });
    assert!(bench.node.wants(bench.now, V).is_ok());
}

#[test]
fn a_stop_that_fails_is_declared_and_ends_the_machine() {
    let mut bench = Bench::holder(LossAction::Osu);
    let refusal = Refusal::TargetOfPermit { permit: PermitId(4) };
    bench.say(Reply::Renewed { volumes: vec![], refused: vec![(V, refusal)], hears: NodeSet::EMPTY });
    let command = bench.command();
    let outcome = CommandOutcome::Failed("the file system is busy".to_string());
    let effects = bench.step(Input::VolumeDone { volume: V, command, outcome });
    assert!(requests(&effects).contains(&&Request::DeclareFailed));
    assert!(resets(&effects));
    assert!(bench.run.failed, "a restart of the daemon remembers it");
}

#[test]
fn a_restart_of_the_daemon_adopts_what_runs() {
    let mut bench = Bench::holder(LossAction::Osu);
    let left = lease_left(&bench);
    bench.restart_daemon();
    let effects = bench.step(Input::Volume { volume: V, report: report(Role::Primary) });
    assert!(actions(&effects).is_empty(), "{effects:?}");
    assert_eq!((lease_left(&bench), bench.phase().held().map(|held| held.epoch)), (left, Some(Epoch(2))));
}

#[test]
fn a_promoted_volume_that_is_still_frozen_is_thawed() {
    let mut bench = Bench::standby(LossAction::Osu);
    let effects = bench.say_free(2);
    bench.grant(&effects, 2);
    let mut frozen = report(Role::Primary);
    frozen.frozen = true;
    let mut effects = bench.step(Input::Volume { volume: V, report: frozen });
    effects.extend(bench.done());
    assert!(matches!(actions(&effects)[..], [VolumeAction::Thaw { .. }]), "{effects:?}");
    bench.done();
    assert!(matches!(bench.phase(), Phase::Active(_)));
}

#[test]
fn what_a_former_daemon_ordered_may_still_be_done() {
    let mut bench = Bench::standby(LossAction::Osu);
    let effects = bench.say_free(2);
    bench.grant(&effects, 2);
    bench.restart_daemon();
    let mut effects = bench.step(Input::Volume { volume: V, report: report(Role::Secondary) });
    let register = bench.register_view(Some(A), 2, Bench::both(), 3);
    effects.extend(bench.connect(register));
    effects.extend(bench.live(ms(500)));
    let releases = |effects: &[Effect]| {
        requests(effects).iter().any(|request| matches!(request, Request::Release { epoch: Epoch(2), .. }))
    };
    assert!(!releases(&effects), "the promotion is on its way and still good");
    let effects = bench.step(Input::Volume { volume: V, report: report(Role::Primary) });
    assert!(matches!(actions(&effects)[..], [VolumeAction::Demote { .. }]), "{effects:?}");
    assert!(releases(&bench.done()));
}

#[test]
fn a_grant_of_a_former_daemon_is_released_when_its_promotion_is_void() {
    let mut bench = Bench::standby(LossAction::Osu);
    let effects = bench.say_free(2);
    bench.grant(&effects, 2);
    let lease = bench.node.config().params.lease;
    bench.restart_daemon();
    bench.step(Input::Volume { volume: V, report: report(Role::Secondary) });
    let register = bench.register_view(Some(A), 2, Bench::both(), 3);
    bench.connect(register);
    let effects = bench.live(lease);
    let released =
        requests(&effects).iter().any(|request| matches!(request, Request::Release { epoch: Epoch(2), .. }));
    assert!(released && !resets(&effects), "{effects:?}");
}

#[test]
fn who_is_alone_by_another_boots_grant_is_not_solo() {
    let mut bench = Bench::holder(LossAction::Osu);
    let mut register = bench.register_view(Some(A), 2, NodeSet::only(A), 9);
    register.holder = register.holder.map(|holder| Holder { boot: crate::ids::BootId(0xB1), ..holder });
    bench.say(Reply::InSync { register });
    assert!(!bench.node.is_solo(V));
}

#[test]
fn it_wakes_at_the_freeze_and_at_the_end_of_the_lease() {
    let mut bench = Bench::holder(LossAction::Osu);
    let end = bench.now + lease_left(&bench);
    for at in [end - params().freeze_before, end] {
        let before = at - ms(1);
        bench.wait(before.since(bench.now));
        let beats = bench.node.beat_at;
        assert_eq!(bench.node.deadline(before), at.min(beats), "{beats:?}");
        assert!(beats > before);
    }
}

#[test]
fn petting_goes_on_during_a_stop_only_as_long_as_the_lease_lets_it() {
    let mut bench = Bench::holder(LossAction::Osu);
    let until = bench.now + lease_left(&bench);
    let refusal = Refusal::TargetOfPermit { permit: PermitId(4) };
    bench.say(Reply::Renewed { volumes: vec![], refused: vec![(V, refusal)], hears: NodeSet::EMPTY });
    assert!(matches!(bench.phase(), Phase::Stopping(_)));
    assert_eq!(bench.node.pet_until(bench.now), until - params().petting_margin());
}
