//! What an order's end means that another one has overtaken, that nobody can tell, or that changed nothing.

use super::super::*;
use super::bench::{actions, params, report, resets};
use super::*;
use crate::ids::*;
use crate::message::Reply;
use crate::time::Instant;
use alloc::vec;

/// B's volume is free, and granted; the promotion is under way when the lease has to end.
fn frozen_while_promoting(loss: LossAction) -> (Bench, CommandId) {
    let mut bench = Bench::standby(loss);
    let effects = bench.say_free(2);
    bench.grant(&effects, 2);
    let promotion = bench.command();
    bench.wait(ms(1300));
    assert!(matches!(bench.phase(), Phase::Frozen(_)));
    assert_ne!(bench.command(), promotion, "a freeze was ordered");
    (bench, promotion)
}

#[test]
fn a_promotion_that_was_done_after_a_freeze_was_ordered_is_active() {
    let (mut bench, promotion) = frozen_while_promoting(LossAction::Freeze);
    bench.step(Input::VolumeDone { volume: V, command: promotion, outcome: CommandOutcome::Done });
    assert_ne!(bench.node.pet_until(bench.now), Instant::NEVER, "it is active and not seen frozen");
    assert!(resets(&bench.wait(ms(1100))), "the lease has ended");
}

#[test]
fn a_promotion_that_was_overtaken_and_reported_by_its_driver_stays_reported() {
    let (mut bench, promotion) = frozen_while_promoting(LossAction::Freeze);
    bench.step(Input::Volume { volume: V, report: report(Role::Primary) });
    bench.step(Input::VolumeDone { volume: V, command: promotion, outcome: CommandOutcome::Done });
    let seen = bench.node.volumes[&V].report.as_ref().map(|report| report.role);
    assert_eq!(seen, Some(Role::Primary), "the report is of after it");
}

#[test]
fn a_promotion_that_a_freeze_has_ended_is_not_thawed_into_service() {
    let (mut bench, _) = frozen_while_promoting(LossAction::Osu);
    bench.renew();
    // The driver gives the promotion up for the freeze and says nothing more of it; Secondary is as good as frozen.
    let effects = bench.done();
    assert!(matches!(actions(&effects)[..], [VolumeAction::Demote { .. }]), "{effects:?}");
    bench.done();
    assert_eq!(bench.phase(), Phase::Secondary, "it is given back, and asked for again");
}

/// A holder whose thaw is under way when the lease has to end again, and when that is.
fn frozen_while_thawing() -> (Bench, CommandId, Instant) {
    let mut bench = Bench::holder(LossAction::Freeze);
    bench.step(Input::WitnessGone);
    bench.wait(ms(1300));
    bench.done();
    let register = bench.register_view(Some(A), 2, Bench::both(), 3);
    bench.connect(register);
    let effects = bench.renew();
    assert!(matches!(actions(&effects)[..], [VolumeAction::Thaw { .. }]), "{effects:?}");
    let thaw = bench.command();
    let until = bench.phase().held().expect("held").lease_until;
    bench.wait(until.since(bench.now) - params().freeze_before);
    assert_ne!(bench.command(), thaw, "a freeze was ordered");
    (bench, thaw, until)
}

#[test]
fn a_thaw_that_was_done_after_a_freeze_was_ordered_ends_no_freeze() {
    let (mut bench, thaw, until) = frozen_while_thawing();
    bench.step(Input::VolumeDone { volume: V, command: thaw, outcome: CommandOutcome::Done });
    assert_ne!(
        bench.node.pet_until(bench.now),
        Instant::NEVER,
        "it is thawed, and the freeze is not answered"
    );
    let left = until.since(bench.now);
    assert!(resets(&bench.wait(left)), "it is not known to be frozen");
}

#[test]
fn a_volume_that_an_overtaken_thaw_left_frozen_is_frozen() {
    let (mut bench, thaw, until) = frozen_while_thawing();
    let outcome = CommandOutcome::Failed("no".into());
    bench.step(Input::VolumeDone { volume: V, command: thaw, outcome });
    assert_eq!(bench.node.pet_until(bench.now), Instant::NEVER, "nothing is under way that could thaw it");
    let left = until.since(bench.now);
    assert!(!resets(&bench.wait(left)), "also before the freeze is answered");
}

#[test]
fn a_thaw_that_fails_is_not_ordered_again_at_once() {
    let mut bench = Bench::holder(LossAction::Osu);
    let left = bench.phase().held().expect("held").lease_until.since(bench.now);
    bench.wait(left - params().freeze_before + ms(1));
    bench.renew();
    let effects = bench.done();
    assert!(matches!(actions(&effects)[..], [VolumeAction::Thaw { .. }]), "{effects:?}");
    let command = bench.command();
    let outcome = CommandOutcome::Failed("no".into());
    let effects = bench.step(Input::VolumeDone { volume: V, command, outcome });
    assert_eq!(actions(&effects).len(), 0, "{effects:?}");
    let again = bench.live(ms(400));
    assert!(
        actions(&again).iter().any(|action| matches!(action, VolumeAction::Thaw { .. })),
        "a little later"
    );
}

#[test]
fn a_stop_of_unknown_end_that_is_seen_secondary_is_no_failed_stop() {
    for role in [Role::Secondary, Role::Primary] {
        let mut bench = Bench::holder(LossAction::Osu);
        let refusal = crate::error::Refusal::NotHolder { holder: None };
        bench.say(Reply::Renewed { volumes: vec![], refused: vec![(V, refusal)], hears: NodeSet::EMPTY });
        let command = bench.command();
        bench.step(Input::Volume { volume: V, report: report(role) });
        let outcome = CommandOutcome::Unknown("killed at its time".into());
        let effects = bench.step(Input::VolumeDone { volume: V, command, outcome });
        assert_eq!(resets(&effects), role == Role::Primary, "{role:?}");
    }
}
