use super::super::*;
use super::bench::{actions, asked, params, report, requests, resets};
use super::*;
use crate::evidence::Proof;
use crate::ids::{Epoch, IsrVersion, NodeSet};
use crate::message::*;

fn update(effects: &[Effect]) -> Option<&UpdateInSync> {
    requests(effects).into_iter().find_map(|request| match request {
        Request::UpdateInSync(update) => Some(update),
        _ => None,
    })
}

fn lose_b(bench: &mut Bench) -> alloc::vec::Vec<Effect> {
    let mut lost = report(Role::Primary);
    lost.connected = NodeSet::EMPTY;
    lost.complete_peers = NodeSet::EMPTY;
    lost.lost = NodeSet::only(B);
    bench.step(Input::Volume { volume: V, report: lost })
}

fn solo(bench: &mut Bench) {
    lose_b(bench);
    let register = bench.register_view(Some(A), 2, NodeSet::only(A), 4);
    bench.say(Reply::InSync { register });
    bench.done();
}

#[test]
fn a_lost_replica_is_dropped_only_when_its_removal_is_recorded() {
    let mut bench = Bench::holder(LossAction::Osu);
    let effects = lose_b(&mut bench);
    assert_eq!(
        update(&effects).map(|update| (update.isr, update.expected)),
        Some((NodeSet::only(A), IsrVersion(3)))
    );
    assert!(actions(&effects).is_empty());
    assert!(actions(&bench.live(ms(300))).is_empty(), "no removal, no drop");
    let register = bench.register_view(Some(A), 2, NodeSet::only(A), 4);
    let effects = bench.say(Reply::InSync { register });
    assert!(matches!(actions(&effects)[..], [VolumeAction::DropPeer { peer: B }]), "{effects:?}");
}

#[test]
fn a_conflict_makes_it_read_everything_again() {
    let mut bench = Bench::holder(LossAction::Osu);
    lose_b(&mut bench);
    let refusal = crate::error::Refusal::VersionConflict { held: IsrVersion(8), asked: IsrVersion(3) };
    let effects = bench.say(Reply::Refused { subject: Subject::InSync { volume: V }, refusal });
    assert!(effects.iter().any(|effect| matches!(effect, Effect::CloseWitness)));
    let register = bench.register_view(Some(A), 2, Bench::both(), 8);
    let effects = bench.connect(register);
    assert_eq!(update(&effects).map(|update| update.expected), Some(IsrVersion(8)));
}

/// A holder that went on alone, and a report of its volume with B back and not required.
fn alone_with_b_back() -> (Bench, VolumeReport) {
    let mut bench = Bench::holder(LossAction::Osu);
    solo(&mut bench);
    bench.live(ms(300));
    (bench, VolumeReport { required: NodeSet::EMPTY, ..report(Role::Primary) })
}

#[test]
fn a_grow_is_intended_on_disk_then_required_then_asked_for() {
    let (mut bench, back) = alone_with_b_back();
    let effects = bench.step(Input::Volume { volume: V, report: back });
    assert!(matches!(actions(&effects)[..], [VolumeAction::RequirePeer { peer: B }]), "{effects:?}");
    assert_eq!(bench.disk.volumes[&V].intents.len(), 1);
    assert!(update(&effects).is_none(), "not before the replica is required");
    assert!(!bench.node.is_solo(V), "from the intent on it is not alone");
    let effects = bench.done();
    assert_eq!(update(&effects).map(|update| update.isr), Some(Bench::both()));
    let register = bench.register_view(Some(A), 2, Bench::both(), 5);
    bench.say(Reply::InSync { register });
    assert!(bench.disk.volumes[&V].intents.is_empty());
}

#[test]
fn a_grow_that_loses_its_replica_is_made_void_by_a_shrink() {
    let (mut bench, back) = alone_with_b_back();
    bench.step(Input::Volume { volume: V, report: back });
    let effects = lose_b(&mut bench);
    assert_eq!(
        update(&effects).map(|update| update.isr),
        Some(NodeSet::only(A)),
        "the same set, a new version"
    );
    let register = bench.register_view(Some(A), 2, NodeSet::only(A), 5);
    let effects = bench.say(Reply::InSync { register });
    assert!(
        matches!(actions(&effects)[..], [VolumeAction::DropPeer { peer: B }]),
        "writes do not wait for a replica that was to be required: {effects:?}"
    );
    assert!(bench.disk.volumes[&V].intents.is_empty());
    assert!(bench.node.is_solo(V));
}

#[test]
fn an_intent_survives_a_restart_and_forbids_solo() {
    let (mut bench, back) = alone_with_b_back();
    bench.step(Input::Volume { volume: V, report: back.clone() });
    bench.restart_daemon();
    bench.step(Input::Volume { volume: V, report: back });
    let register = bench.register_view(Some(A), 2, NodeSet::only(A), 4);
    bench.connect(register);
    assert!(!bench.node.is_solo(V), "the grow may have been recorded");
}

#[test]
fn a_promotion_waits_for_a_peer_whose_grow_has_no_known_end() {
    let (mut bench, back) = alone_with_b_back();
    bench.step(Input::Volume { volume: V, report: back });
    bench.step(Input::Volume { volume: V, report: report(Role::Secondary) });
    let effects = bench.say(Reply::Released { volume: V, epoch: Epoch(2) });
    let attempt = asked(&effects).expect("it is in sync and nobody holds the volume");
    let register = bench.register_view(Some(A), 3, NodeSet::only(A), 4);
    let effects = bench.say(Reply::Granted(Granted { attempt, register, proof: Proof::Released }));
    let [VolumeAction::Promote(promotion)] = actions(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(promotion.required(), NodeSet::only(B), "the grow may be recorded yet");
    // What the driver reports after the promotion counts, not what it was told to do.
    let mut alone = report(Role::Primary);
    alone.required = NodeSet::EMPTY;
    bench.step(Input::Volume { volume: V, report: alone });
    assert!(update(&bench.done()).is_none(), "the replica is not required yet");
}

#[test]
fn a_peer_that_a_promotion_requires_is_recorded_only_when_it_has_followed() {
    let (mut bench, back) = alone_with_b_back();
    bench.step(Input::Volume { volume: V, report: back });
    let mut behind = VolumeReport { complete_peers: NodeSet::EMPTY, ..report(Role::Secondary) };
    bench.step(Input::Volume { volume: V, report: behind.clone() });
    let effects = bench.say(Reply::Released { volume: V, epoch: Epoch(2) });
    let attempt = asked(&effects).expect("it is in sync and nobody holds the volume");
    let register = bench.register_view(Some(A), 3, NodeSet::only(A), 4);
    bench.say(Reply::Granted(Granted { attempt, register, proof: Proof::Released }));
    assert!(
        update(&bench.done()).is_none(),
        "required by the promotion, and it lacks what was written alone"
    );
    (behind.role, behind.required) = (Role::Primary, NodeSet::only(B));
    let effects = bench.step(Input::Volume { volume: V, report: behind.clone() });
    assert!(update(&effects).is_none(), "connected, and still behind");
    behind.complete_peers = NodeSet::only(B);
    let effects = bench.step(Input::Volume { volume: V, report: behind });
    assert_eq!(update(&effects).map(|update| update.isr), Some(Bench::both()));
}

#[test]
fn a_member_that_is_heard_gets_a_moment_to_follow_after_a_promotion() {
    let mut bench = Bench::standby(LossAction::Osu);
    let effects = bench.say_free(2);
    bench.grant(&effects, 2);
    let mut early = report(Role::Primary);
    early.connected = NodeSet::EMPTY;
    early.complete_peers = NodeSet::EMPTY;
    early.lost = NodeSet::only(B);
    let mut effects = bench.step(Input::Volume { volume: V, report: early });
    effects.extend(bench.done());
    effects.extend(bench.live(ms(300)));
    assert!(update(&effects).is_none(), "it is heard and on its way");
    let effects = bench.live(ms(500));
    assert_eq!(update(&effects).map(|update| update.isr), Some(NodeSet::only(A)), "it did not come");
}

#[test]
fn a_driver_that_lost_its_own_volume_strips_nobody() {
    let mut bench = Bench::holder(LossAction::Osu);
    bench.live(ms(1000));
    let mut blind = report(Role::Unknown);
    blind.connected = NodeSet::EMPTY;
    blind.complete_peers = NodeSet::EMPTY;
    blind.required = NodeSet::EMPTY;
    let mut effects = bench.step(Input::Volume { volume: V, report: blind });
    effects.extend(bench.live(ms(1000)));
    assert!(
        update(&effects).is_none(),
        "the peers are healthy; if this machine dies they must be able to take over"
    );
}

#[test]
fn a_replica_that_is_only_about_to_be_required_is_not_reported_as_in_sync() {
    let (mut bench, back) = alone_with_b_back();
    bench.step(Input::Volume { volume: V, report: back });
    assert_eq!(bench.disk.volumes[&V].intents.len(), 1, "writes are acknowledged without it yet");
    let effects = bench.challenged();
    let reported = requests(&effects).into_iter().find_map(|request| match request {
        Request::Register(register) => register.replicas.first().cloned(),
        _ => None,
    });
    let reported = reported.expect("it registers");
    assert_eq!((reported.isr, reported.isr_version), (NodeSet::only(A), IsrVersion(4)));
}

#[test]
fn a_refused_change_is_not_asked_for_again_at_once() {
    let mut bench = Bench::holder(LossAction::Osu);
    assert!(update(&lose_b(&mut bench)).is_some());
    let refusal = crate::error::Refusal::Recovering { missing: NodeSet::only(B) };
    let effects = bench.say(Reply::Refused { subject: Subject::InSync { volume: V }, refusal });
    assert!(update(&effects).is_none(), "the witness would refuse it as fast as it can: {effects:?}");
    assert!(update(&bench.wait(ms(100))).is_none());
    assert!(update(&bench.wait(ms(150))).is_some());
    let refusal = crate::error::Refusal::Recovering { missing: NodeSet::only(B) };
    bench.say(Reply::Refused { subject: Subject::InSync { volume: V }, refusal });
    let register = bench.register_view(Some(A), 2, Bench::both(), 9);
    let view = View { registers: alloc::vec![register], ..View::default() };
    assert!(update(&bench.say(Reply::View(view))).is_some(), "what it waited for has happened");
}

/// Whether a grow is asked for when a thaw is done this much before the freeze is due again.
fn grows_when_thawed(before: crate::time::Duration) -> bool {
    let mut bench = Bench::holder(LossAction::Freeze);
    solo(&mut bench);
    bench.live(ms(300));
    let back = VolumeReport { required: NodeSet::EMPTY, ..report(Role::Primary) };
    bench.step(Input::Volume { volume: V, report: back });
    let freeze_at = |bench: &Bench| {
        bench.phase().held().expect("held").lease_until - super::bench::params().freeze_before
    };
    let left = freeze_at(&bench).since(bench.now);
    bench.wait(left);
    assert!(matches!(actions(&bench.done())[..], [VolumeAction::RequirePeer { peer: B }]), "frozen");
    bench.done();
    let effects = bench.renew();
    assert!(matches!(actions(&effects)[..], [VolumeAction::Thaw { .. }]), "{effects:?}");
    bench.now = freeze_at(&bench) - before;
    bench.step(Input::Tick);
    update(&bench.done()).is_some()
}

#[test]
fn no_grow_is_asked_for_once_a_freeze_is_due() {
    assert!(grows_when_thawed(ms(1)));
    assert!(!grows_when_thawed(ms(0)));
}

#[test]
fn whoever_is_alone_takes_nobody_back_in_the_last_moment_of_its_lease() {
    for (before, takes) in [(ms(0), 0), (ms(1), 1)] {
        let (mut bench, back) = alone_with_b_back();
        let held = bench.phase().held().expect("held");
        bench.now = held.lease_until - params().freeze_before - before;
        bench.beat_from_b(false);
        let effects = bench.step(Input::Volume { volume: V, report: back });
        assert_eq!(actions(&effects).len(), takes, "{effects:?}");
    }
}

#[test]
fn whoever_is_alone_takes_nobody_back_without_a_lease() {
    let (mut bench, back) = alone_with_b_back();
    bench.wait(ms(10_000));
    let mut effects = bench.beat_from_b(false);
    effects.extend(bench.step(Input::Volume { volume: V, report: back }));
    let register = bench.register_view(Some(A), 2, NodeSet::only(A), 4);
    effects.extend(bench.connect(register));
    effects.extend(bench.beat_from_b(false));
    assert!(bench.node.is_solo(V) && actions(&effects).is_empty() && !resets(&effects), "{effects:?}");
    let effects = bench.renew();
    assert!(matches!(actions(&effects)[..], [VolumeAction::RequirePeer { peer: B }]), "{effects:?}");
}
