use super::super::*;
use super::bench::{actions, asked, params, report, requests};
use super::*;
use crate::error::Refusal;
use crate::evidence::Proof;
use crate::ids::{AttemptId, Epoch, GenerationId};
use crate::message::*;
use alloc::vec;

#[test]
fn a_free_volume_is_asked_for_and_promoted_with_the_grant() {
    let mut bench = Bench::standby(LossAction::Osu);
    let effects = bench.say_free(2);
    assert!(asked(&effects).is_some());
    let effects = bench.grant(&effects, 2);
    let [VolumeAction::Promote(promotion)] = actions(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!((promotion.epoch(), promotion.required().contains(B)), (Epoch(2), true));
    assert_eq!(bench.disk.volumes[&V].max_epoch, Epoch(2), "synced before the promotion is given up");
    bench.promoted();
    assert!(matches!(bench.phase(), Phase::Active(_)));
}

#[test]
fn nothing_is_asked_for_while_the_holder_is_heard() {
    let mut bench = Bench::standby(LossAction::Osu);
    assert_eq!(asked(&bench.live(ms(2000))), None);
    assert_eq!(bench.node.wants(bench.now, V), Err(WhyNot::HolderAlive { holder: B }));
}

#[test]
fn silence_makes_it_ask_for_the_volume_and_for_a_permit() {
    let mut bench = Bench::standby(LossAction::Osu);
    let effects = bench.wait(ms(600));
    let asked: alloc::vec::Vec<_> = requests(&effects);
    assert!(
        matches!(asked[..], [Request::Acquire(_), Request::RequestFence(RequestFence { target: B, .. })]),
        "{asked:?}"
    );
}

#[test]
fn a_grant_for_another_attempt_is_given_back() {
    let mut bench = Bench::standby(LossAction::Osu);
    bench.say_free(2);
    let register = bench.register_view(Some(A), 2, Bench::both(), 3);
    let effects =
        bench.say(Reply::Granted(Granted { attempt: AttemptId(1), register, proof: Proof::Released }));
    assert!(actions(&effects).is_empty());
    assert!(matches!(requests(&effects)[..], [Request::Release { epoch: Epoch(2), .. }]));
}

#[test]
fn a_grant_with_an_epoch_that_was_seen_is_given_back() {
    let mut bench = Bench::standby(LossAction::Osu);
    let effects = bench.say_free(2);
    let effects = bench.grant(&effects, 1);
    assert!(actions(&effects).is_empty(), "{effects:?}");
    assert_eq!(
        bench.node.link.session, None,
        "and the witness is told with a new registration what was seen"
    );
}

#[test]
fn an_old_grant_for_another_attempt_is_no_reason_for_a_new_session() {
    let mut bench = Bench::standby(LossAction::Osu);
    bench.say_free(2);
    let register = bench.register_view(Some(A), 1, Bench::both(), 3);
    bench.say(Reply::Granted(Granted { attempt: AttemptId(1), register, proof: Proof::Released }));
    assert!(bench.node.link.session.is_some());
}

#[test]
fn a_grant_whose_lease_is_nearly_over_is_given_back() {
    let mut bench = Bench::standby(LossAction::Osu);
    let effects = bench.say_free(2);
    bench.now = bench.now + (params().lease - ms(300));
    let effects = bench.grant(&effects, 2);
    assert!(actions(&effects).is_empty(), "{effects:?}");
}

#[test]
fn nothing_is_asked_for_in_the_start_quarantine() {
    let mut bench = Bench::new(super::bench::config(LossAction::Osu));
    bench.step(Input::Volume { volume: V, report: report(Role::Secondary) });
    let register = bench.register_view(None, 1, Bench::both(), 1);
    bench.connect(register);
    assert_eq!(asked(&bench.live(params().lease_and_guard() - ms(60))), None);
    assert!(asked(&bench.live(ms(200))).is_some());
}

#[test]
fn a_replica_out_of_sync_does_not_ask() {
    let mut bench = Bench::standby(LossAction::Osu);
    let isr = crate::ids::NodeSet::only(B);
    let register = bench.register_view(None, 1, isr, 2);
    let effects = bench.say(Reply::View(View { registers: vec![register], ..View::default() }));
    assert_eq!(asked(&effects), None);
    assert_eq!(bench.node.wants(bench.now, V), Err(WhyNot::NotInSync { isr }));
}

#[test]
fn a_volume_that_is_active_without_a_grant_is_stopped() {
    let mut bench = Bench::new(super::bench::config(LossAction::Osu));
    let effects = bench.step(Input::Volume { volume: V, report: report(Role::Primary) });
    assert!(matches!(actions(&effects)[..], [VolumeAction::Demote { .. }]));
}

#[test]
fn a_refusal_that_lasts_is_told_once() {
    let tells = |effects: &[Effect], news: fn(&Event) -> bool| {
        effects.iter().filter(|effect| matches!(effect, Effect::Event(event) if news(event))).count()
    };
    let begun = |effects: &[Effect]| tells(effects, |event| matches!(event, Event::Arbitrating { .. }));
    let refused = |effects: &[Effect]| tells(effects, |event| matches!(event, Event::NotGranted { .. }));
    let no = |bench: &mut Bench, effects: &[Effect], refusal| {
        let subject = Subject::Acquire { volume: V, attempt: asked(effects).expect("it asks") };
        bench.say(Reply::Refused { subject, refusal })
    };
    let other =
        |generation| Refusal::DataMismatch { recorded: GenerationId(7), offered: GenerationId(generation) };
    let mut bench = Bench::standby(LossAction::Osu);
    let first = bench.say_free(2);
    assert_eq!(begun(&first), 1);
    let answer = no(&mut bench, &first, other(8));
    assert_eq!(refused(&answer), 1);
    for _ in 0..3 {
        let again = bench.live(ms(1100));
        let answer = no(&mut bench, &again, other(8));
        assert_eq!((begun(&again), refused(&answer)), (0, 0), "asked again, and nothing new is told");
    }
    let again = bench.live(ms(1100));
    assert_eq!(refused(&no(&mut bench, &again, other(9))), 1, "another refusal is news");
    let news = bench.say_free(3);
    assert_eq!(begun(&news), 1, "so is a try that follows a change at the witness");
    assert_eq!(refused(&no(&mut bench, &news, other(9))), 1);
}

#[test]
fn the_refusal_of_an_older_release_does_not_end_a_newer_one() {
    let mut bench = Bench::standby(LossAction::Osu);
    for epoch in [2, 3] {
        let register = bench.register_view(Some(A), epoch, Bench::both(), 2);
        let granted = Granted { attempt: AttemptId(77), register, proof: Proof::Released };
        bench.say(Reply::Granted(granted));
    }
    let refusal = Refusal::EpochMismatch { held: Epoch(3), asked: Epoch(2) };
    let effects = bench.say(Reply::Refused { subject: Subject::Release { volume: V }, refusal });
    assert_eq!(asked(&effects), None, "epoch 3 is being given back");
    let open = bench.node.volumes[&V].releasing.map(|releasing| releasing.epoch);
    assert_eq!(open, Some(Epoch(3)), "until the witness has said so");
    let mut effects = bench.say(Reply::Released { volume: V, epoch: Epoch(3) });
    effects.extend(bench.say_free(3));
    assert!(asked(&effects).is_some());
}

#[test]
fn every_path_to_a_peer_is_shown() {
    let bench = Bench::standby(LossAction::Osu);
    let status = bench.node.status(bench.now);
    let alive: vec::Vec<bool> = status.peers[0].paths.iter().map(|path| path.alive).collect();
    assert_eq!(alive, [true, false], "B beats on the first of two");
}
