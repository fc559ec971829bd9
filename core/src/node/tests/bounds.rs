//! What holds up to a bound, and what beyond it: instants, epochs, numbers of messages.

use super::super::*;
use super::bench::{W, actions, asked, config, params, report, requests, resets, volume_config};
use super::*;
use crate::evidence::Proof;
use crate::ids::*;
use crate::message::*;
use crate::params::EPOCH_JUMP;
use alloc::vec;
use alloc::vec::Vec;

fn promotes(effects: &[Effect]) -> bool {
    actions(effects).iter().any(|action| matches!(action, VolumeAction::Promote(_)))
}

fn closes(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::CloseWitness)).count()
}

fn lease_until(bench: &Bench) -> crate::time::Instant {
    bench.phase().held().expect("held").lease_until
}

/// A look at the clock just before the grant allows a pet, which may go out the time of a watchdog later and last as long
/// again: the machine has to end in the lease even then.
#[test]
fn a_grant_is_used_while_the_machine_can_still_end_within_its_lease() {
    let granted_after = |late| {
        let mut bench = Bench::standby(LossAction::Osu);
        let effects = bench.say_free(2);
        bench.now = bench.now + late;
        let used = promotes(&bench.grant(&effects, 2));
        let watchdog = params().watchdog.expect("a watchdog");
        let dead = bench.now + watchdog.effective + watchdog.effective;
        assert!(!used || dead < lease_until(&bench), "{late:?} after it was asked for");
        used
    };
    let enough = params().lease - params().granted_margin();
    assert!(granted_after(enough - ms(1)));
    assert!(!granted_after(enough));
}

#[test]
fn the_same_grant_again_is_neither_used_nor_given_back() {
    let mut bench = Bench::holder(LossAction::Osu);
    let register = bench.register_view(Some(A), 2, Bench::both(), 3);
    let granted = Granted { attempt: AttemptId(1), register, proof: Proof::Released };
    let effects = bench.say(Reply::Granted(granted));
    let returned = effects.iter().any(|effect| matches!(effect, Effect::Event(Event::GrantReturned { .. })));
    assert!(!returned && actions(&effects).is_empty(), "{effects:?}");
}

#[test]
fn a_replica_that_its_driver_cannot_see_is_not_asked_for() {
    let mut bench = Bench::standby(LossAction::Osu);
    bench.step(Input::Volume { volume: V, report: report(Role::Unknown) });
    assert_eq!(asked(&bench.say_free(2)), None);
    assert_eq!(bench.node.wants(bench.now, V), Err(WhyNot::RoleUnknown));
    bench.step(Input::Volume { volume: V, report: report(Role::Secondary) });
    assert_eq!(bench.node.wants(bench.now, V), Ok(()));
}

/// B has offered the volume and then released it; the replica here lacks something meanwhile. How long it is waited
/// for, and the attempt.
fn expecting() -> (Bench, crate::time::Instant, Vec<Effect>) {
    let mut bench = Bench::standby(LossAction::Osu);
    let until = bench.now + params().suspect_after() * 4;
    bench.peer_says(PeerBody::HandoverOffer { request: RequestId(5), volume: V, epoch: Epoch(1) });
    let behind = VolumeReport { complete: false, ..report(Role::Secondary) };
    bench.step(Input::Volume { volume: V, report: behind });
    let effects = bench.say_free(2);
    (bench, until, effects)
}

#[test]
fn a_replica_that_is_to_be_handed_over_may_lack_something_for_a_moment() {
    let (bench, until, _) = expecting();
    assert_eq!(bench.node.wants(until - ms(1), V), Ok(()));
    assert_eq!(bench.node.wants(until, V), Err(WhyNot::Incomplete));
}

#[test]
fn a_grant_that_comes_when_the_node_could_not_use_it_any_more_is_given_back() {
    for (late, is_used) in [(ms(1), true), (ms(0), false)] {
        let (mut bench, until, _) = expecting();
        // The newest request, from which the lease counts, must be of now.
        bench.now = until - ms(50);
        bench.step(Input::Tick);
        let attempt = bench.node.acquire(V).expect("it asks").attempt;
        bench.now = until - late;
        let register = bench.register_view(Some(A), 2, Bench::both(), 3);
        let effects = bench.say(Reply::Granted(Granted { attempt, register, proof: Proof::Released }));
        assert_eq!(promotes(&effects), is_used, "{late:?}: {effects:?}");
    }
}

#[test]
fn the_lease_is_over_in_its_last_instant() {
    let bench = Bench::holder(LossAction::Osu);
    let until = lease_until(&bench);
    assert!(bench.node.has_authority(until - ms(1), V));
    assert!(!bench.node.has_authority(until, V));
}

#[test]
fn only_the_answer_about_the_held_epoch_extends_the_lease_and_none_shortens_it() {
    let mut bench = Bench::holder(LossAction::Osu);
    let (until, sent) = (lease_until(&bench), bench.request);
    bench.wait(ms(150));
    let renewed = |bench: &mut Bench, epoch| {
        let volumes = vec![(V, Epoch(epoch))];
        bench.say(Reply::Renewed { volumes, refused: vec![], hears: Bench::both() });
        lease_until(bench)
    };
    assert_eq!(renewed(&mut bench, 1), until, "that was another grant");
    let extended = renewed(&mut bench, 2);
    assert!(extended > until);
    let syncs = bench.syncs;
    assert_eq!(renewed(&mut bench, 2), extended);
    assert_eq!(bench.syncs, syncs, "nothing new is written");
    let newest = core::mem::replace(&mut bench.request, sent);
    bench.node.link.sent.push_front((sent, bench.now - ms(1000)));
    assert_eq!(renewed(&mut bench, 2), extended, "the answer to an older question");
    bench.request = newest;
}

#[test]
fn a_thaw_under_way_is_no_inactive_volume() {
    let mut bench = Bench::holder(LossAction::Freeze);
    let left = lease_until(&bench).since(bench.now);
    bench.wait(left - params().freeze_before);
    bench.done();
    let frozen = VolumeReport { frozen: true, ..report(Role::Primary) };
    bench.step(Input::Volume { volume: V, report: frozen });
    let mut effects = bench.renew();
    effects.extend(bench.step(Input::Tick));
    let thaws = actions(&effects);
    assert!(matches!(thaws[..], [VolumeAction::Thaw { .. }]), "ordered once: {thaws:?}");
    let left = lease_until(&bench).since(bench.now);
    assert!(!resets(&bench.wait(left - ms(1))));
    assert!(resets(&bench.wait(ms(1))), "it may be writable at any moment");
}

/// Whether a request is sent, and whether the connection is given up for it.
fn asks(bench: &mut Bench) -> (bool, bool) {
    let mut out = state::Out::default();
    let now = bench.now;
    let said = bench.node.say(now, Request::Check(Check::Quorum), &mut out);
    (said, out.effects.iter().any(|effect| matches!(effect, Effect::CloseWitness)))
}

#[test]
fn a_witness_that_answers_nothing_is_given_up_after_so_many_requests() {
    let mut bench = Bench::standby(LossAction::Osu);
    for number in bench.node.link.sent.len()..256 {
        assert_eq!(asks(&mut bench), (true, false), "request {number}");
    }
    assert_eq!(asks(&mut bench), (false, true), "the 257th");
}

#[test]
fn a_witness_that_recovers_is_not_left_however_long_it_answers_nothing() {
    let mut bench = Bench::standby(LossAction::Osu);
    bench.say(Reply::View(View { recovering: Some(NodeSet::only(B)), ..View::default() }));
    for number in 0..1000 {
        assert_eq!(asks(&mut bench), (true, false), "request {number}");
    }
    assert_eq!(bench.node.link.sent.len(), 256, "what is remembered has a bound");
}

/// What the node has stored of V after the witness shows this register, and whether it was written.
fn learnt(register: impl FnOnce(&Bench) -> RegisterView) -> (DiskVolume, bool) {
    let mut bench = Bench::standby(LossAction::Osu);
    let syncs = bench.syncs;
    let register = register(&bench);
    bench.say(Reply::View(View { registers: vec![register], hears: Bench::both(), ..View::default() }));
    (bench.disk.volumes[&V].clone(), bench.syncs > syncs)
}

#[test]
fn whatever_is_new_in_a_register_is_stored_and_nothing_else_is() {
    let known = |bench: &Bench| bench.register_view(Some(B), 1, Bench::both(), 1);
    let (before, written) = learnt(known);
    assert!(!written, "nothing is new");
    let (disk, _) = learnt(|bench| RegisterView { isr: NodeSet::only(B), ..known(bench) });
    assert_eq!(disk, DiskVolume { isr: NodeSet::only(B), ..before.clone() });
    let (disk, _) = learnt(|bench| RegisterView { isr_version: IsrVersion(2), ..known(bench) });
    assert_eq!(disk, DiskVolume { isr_version: IsrVersion(2), ..before.clone() });
    let (disk, _) = learnt(|bench| RegisterView { generation: GenerationId(9), ..known(bench) });
    assert_eq!(disk, DiskVolume { recorded: GenerationId(9), ..before.clone() });
    let (disk, _) = learnt(|bench| RegisterView { epoch: Epoch(2), ..known(bench) });
    assert_eq!(disk, DiskVolume { max_epoch: Epoch(2), ..before });
}

#[test]
fn a_grant_to_this_boot_is_not_used_up_by_seeing_it() {
    let here = |bench: &Bench| bench.register_view(Some(A), 5, Bench::both(), 1);
    assert_eq!(learnt(here).0.max_epoch, Epoch(1));
    let other_boot = |bench: &Bench| {
        let holder = here(bench).holder.map(|holder| Holder { boot: BootId(7), ..holder });
        RegisterView { holder, ..here(bench) }
    };
    assert_eq!(learnt(other_boot).0.max_epoch, Epoch(5), "one to a former boot is another's");
    let other_node = |bench: &Bench| {
        let holder = here(bench).holder.map(|holder| Holder { node: B, ..holder });
        RegisterView { holder, ..here(bench) }
    };
    assert_eq!(
        learnt(other_node).0.max_epoch,
        Epoch(5),
        "and one to another node, whatever its boot is called"
    );
}

#[test]
fn an_epoch_that_an_override_burnt_is_as_far_as_the_jump() {
    let mut bench = Bench::standby(LossAction::Osu);
    let syncs = bench.syncs;
    bench.beat_with_epoch(1);
    assert_eq!(bench.syncs, syncs, "what is known is not written again");
    assert_eq!(closes(&bench.beat_with_epoch(EPOCH_JUMP)), 0, "the register has 1: grants may lead there");
    assert_eq!(closes(&bench.beat_with_epoch(1 + EPOCH_JUMP)), 1);
    assert_eq!(closes(&bench.beat_with_epoch(2 + EPOCH_JUMP)), 0, "it is told once");
}

/// Whoever overrode had not heard of the newest grant, so that the epoch which it burnt is not as far as the jump.
#[test]
fn a_witness_that_grants_what_an_override_has_burnt_is_told_of_it() {
    let mut bench = Bench::standby(LossAction::Osu);
    assert_eq!(closes(&bench.beat_with_epoch(EPOCH_JUMP)), 0);
    let effects = bench.say_free(2);
    let granted = bench.grant(&effects, 2);
    assert!(!promotes(&granted));
    assert_eq!(closes(&granted), 1, "or it would be asked for and given back until the epochs meet");
}

#[test]
fn a_message_counts_from_another_member_only() {
    let mut bench = Bench::standby(LossAction::Osu);
    for from in [A, NodeId(9)] {
        let body =
            PeerBody::FailsafeLease { request: RequestId(8), volume: V, epoch: Epoch(1), lease: ms(2000) };
        let message = PeerMessage { boot: BootId(0xB1), run: Nonce(0xBB), body };
        let effects = bench.step(Input::Peer { from, message });
        assert!(effects.is_empty(), "{from:?}: {effects:?}");
    }
}

#[test]
fn a_release_that_a_peer_cannot_tell_is_told_for_it() {
    let mut bench = Bench::standby(LossAction::Osu);
    let relay = |volume| {
        let release = SignedRelease { volume, epoch: Epoch(1), boot: BootId(0xB1), signature: Vec::new() };
        PeerBody::RelayRelease { release }
    };
    let effects = bench.peer_says(relay(V));
    assert!(matches!(requests(&effects)[..], [Request::RelayRelease { holder: B, .. }]), "{effects:?}");
    assert!(requests(&bench.peer_says(relay(VolumeId(77)))).is_empty(), "of a volume that is none");
}

#[test]
fn beats_are_numbered_from_one_on() {
    let mut bench = Bench::new(config(LossAction::Osu));
    let effects = bench.wait(ms(350));
    let numbers: Vec<u64> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Beat { beat, .. } => Some(beat.seq),
            _ => None,
        })
        .collect();
    assert_eq!(numbers[..3], [1, 2, 3], "a peer takes none that is not newer");
}

#[test]
fn a_daemon_that_was_left_running_forgets_it_in_writing_when_it_registers() {
    for kept in [true, false] {
        let mut config = config(LossAction::Osu);
        config.volumes.insert(W, volume_config(LossAction::Osu));
        let mut bench = Bench::standby_with(config);
        let run = Run { boot: BootId(0xA1), keeps_running: kept, ..bench.run.clone() };
        bench.run = run;
        bench.restart_daemon();
        for volume in [V, W] {
            bench.step(Input::Volume { volume, report: report(Role::Secondary) });
        }
        let syncs = bench.syncs;
        let effects = bench.challenged();
        assert!(matches!(requests(&effects)[..], [Request::Register(_)]), "{effects:?}");
        assert_eq!((bench.syncs > syncs, bench.run.keeps_running), (kept, false));
    }
}
