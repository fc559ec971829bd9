//! What a stop and a start of the daemon leave, and what a start says.

use super::super::*;
use super::bench::{actions, asked, report, requests, resets};
use super::*;
use crate::error::Refusal;
use crate::ids::{Epoch, IsrVersion, NodeSet};
use crate::message::*;
use alloc::vec;

#[test]
fn a_daemon_that_has_said_it_stops_asks_for_nothing() {
    let mut bench = Bench::standby(LossAction::Osu);
    let effects = bench.step(Input::Operator { ticket: 7, request: NodeRequest::StopHandOver });
    let done = Effect::Answer { ticket: 7, answer: NodeAnswer::Done };
    assert!(effects.contains(&done), "{effects:?}");
    let mut effects = bench.say_free(2);
    effects.extend(bench.live(ms(1000)));
    assert_eq!(asked(&effects), None, "its process is about to end");
}

#[test]
fn that_volumes_were_left_running_counts_once() {
    let mut bench = Bench::holder(LossAction::Osu);
    let request = NodeRequest::StopKeepRunning { length: ms(60_000) };
    bench.step(Input::Operator { ticket: 7, request });
    bench.say(Reply::Operator { ticket: 7, answer: OperatorAnswer::Done });
    assert!(bench.run.keeps_running, "the maintenance is recorded");
    bench.restart_daemon();
    let primary = || Input::Volume { volume: V, report: report(Role::Primary) };
    let effects = bench.step(primary());
    assert!(actions(&effects).is_empty() && !resets(&effects), "left running: adopted with a fresh lease");
    bench.restart_daemon();
    bench.now = bench.now + bench.node.config().params.lease + ms(1000);
    bench.step(Input::Tick);
    let resetting = bench.node.pet_until(bench.now) == crate::time::Instant::BOOT;
    assert!(resetting, "this daemon crashed, and what it held is over");
}

#[test]
fn what_is_taken_up_after_a_crash_is_not_written_again() {
    let mut bench = Bench::holder(LossAction::Osu);
    bench.restart_daemon();
    let syncs = bench.syncs;
    bench.step(Input::Volume { volume: V, report: report(Role::Primary) });
    assert!(matches!(bench.phase(), Phase::Active(_)));
    assert_eq!(bench.syncs, syncs);
}

#[test]
fn what_is_on_its_way_out_of_service_is_not_left_running() {
    let keep = Input::Operator { ticket: 7, request: NodeRequest::StopKeepRunning { length: ms(60_000) } };
    let answer = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Answer { ticket: 7, answer } => Some(answer.clone()),
            _ => None,
        })
    };
    let refuse = |bench: &mut Bench| {
        let refusal = Refusal::NotHolder { holder: Some(B) };
        bench.say(Reply::Renewed { volumes: vec![], refused: vec![(V, refusal)], hears: NodeSet::EMPTY });
        assert!(matches!(bench.phase(), Phase::Stopping(_)));
    };
    let mut before = Bench::holder(LossAction::Osu);
    refuse(&mut before);
    let effects = before.step(keep.clone());
    assert!(matches!(answer(&effects), Some(NodeAnswer::Refused(Refusal::WrongState { .. }))), "{effects:?}");
    assert!(requests(&effects).is_empty(), "no maintenance is asked for: {effects:?}");

    let mut meanwhile = Bench::holder(LossAction::Osu);
    meanwhile.step(keep);
    refuse(&mut meanwhile);
    let effects = meanwhile.say(Reply::Operator { ticket: 7, answer: OperatorAnswer::Done });
    assert!(matches!(answer(&effects), Some(NodeAnswer::Unfinished(_))), "{effects:?}");
    assert!(!meanwhile.run.keeps_running);
}

/// A holder whose daemon stopped under a maintenance and starts again.
fn left_running() -> Bench {
    let mut bench = Bench::holder(LossAction::Osu);
    bench.step(Input::Operator { ticket: 7, request: NodeRequest::StopKeepRunning { length: ms(60_000) } });
    bench.say(Reply::Operator { ticket: 7, answer: OperatorAnswer::Done });
    bench.restart_daemon();
    bench
}

#[test]
fn what_was_left_running_is_taken_up_before_the_daemon_registers() {
    let mut bench = left_running();
    bench.challenged();
    let register = |effects: &[Effect]| requests(effects).iter().any(|it| matches!(it, Request::Register(_)));
    let effects = bench.wait(ms(20_000));
    assert!(!register(&effects) && !resets(&effects), "a maintenance is no reason to reset: {effects:?}");
    let reported = bench.now;
    let effects = bench.step(Input::Volume { volume: V, report: report(Role::Primary) });
    assert!(register(&effects), "the witness counts a lease from here: {effects:?}");
    assert_eq!(bench.node.status(reported).volumes[0].lease_left, Some(bench.node.config().params.lease));
    assert!(!bench.run.keeps_running, "a daemon that starts after this one has no lease of its own");
}

#[test]
fn the_lease_that_begins_with_what_was_left_running_outlives_its_daemon() {
    let mut bench = left_running();
    bench.now = bench.now + bench.node.config().params.lease + ms(20_000);
    bench.step(Input::Volume { volume: V, report: report(Role::Primary) });
    bench.restart_daemon();
    let effects = bench.step(Input::Volume { volume: V, report: report(Role::Secondary) });
    assert!(!resets(&effects), "the lease has not ended, and nothing is active: {effects:?}");
    bench.restart_daemon();
    assert!(bench.node.pet_until(bench.now) > bench.now, "the machine is left alone");
}

#[test]
fn a_registration_waits_for_the_volumes_first_reports() {
    let mut bench = Bench::new(bench::config(LossAction::Osu));
    let registers = |effects: &[Effect]| {
        requests(effects).into_iter().find_map(|request| match request {
            Request::Register(register) => Some(register.replicas[0].complete),
            _ => None,
        })
    };
    let effects = bench.challenged();
    assert_eq!(registers(&effects), None, "nobody knows yet what this node has");
    let effects = bench.step(Input::Volume { volume: V, report: report(Role::Secondary) });
    assert_eq!(registers(&effects), Some(true));
}

#[test]
fn what_the_former_daemon_held_is_reported_before_its_volume_is_read() {
    let mut bench = Bench::holder(LossAction::Osu);
    bench.restart_daemon();
    bench.challenged();
    let effects = bench.wait(ms(2000));
    let held = requests(&effects).into_iter().find_map(|request| match request {
        Request::Register(register) => Some(register.replicas[0].held),
        _ => None,
    });
    assert_eq!(held, Some(Some(crate::ids::Epoch(2))), "{effects:?}");
}

#[test]
fn a_driver_that_says_nothing_is_not_waited_for_without_end() {
    let mut bench = Bench::new(bench::config(LossAction::Osu));
    bench.challenged();
    let effects = bench.wait(ms(2100));
    assert!(requests(&effects).iter().any(|request| matches!(request, Request::Register(_))), "{effects:?}");
}

#[test]
fn what_is_recorded_is_told_as_of_now_only_while_a_session_counts() {
    let mut bench = Bench::standby(LossAction::Osu);
    let recorded = bench.node.recorded(V);
    assert_eq!((recorded.holder, recorded.isr, recorded.current), (Some(B), Bench::both(), true));
    bench.step(Input::WitnessGone);
    assert!(!bench.node.recorded(V).current);
    bench.restart_daemon();
    let recorded = bench.node.recorded(V);
    assert_eq!(
        (recorded.holder, recorded.isr, recorded.current),
        (None, Bench::both(), false),
        "from the disk"
    );
}

#[test]
fn a_lease_of_longer_timings_ends_with_a_start_with_shorter_ones() {
    let mut bench = Bench::holder(LossAction::Osu);
    let long = bench.now + ms(12_000);
    bench.run.held.get_mut(&V).expect("held").lease_until = long;
    bench.restart_daemon();
    bench.step(Input::Volume { volume: V, report: report(Role::Primary) });
    let lease = bench.node.config().params.lease;
    assert_eq!(bench.phase().held().map(|held| held.lease_until), Some(bench.now + lease));
}

/// Alone with the volume by the witness's word.
fn left_alone(loss: LossAction) -> Bench {
    let mut bench = Bench::holder(loss);
    let register = bench.register_view(Some(A), 2, NodeSet::only(A), 9);
    bench.say(Reply::InSync { register });
    bench.live(ms(500));
    assert!(bench.node.is_solo(V));
    bench
}

/// The driver's first word to a daemon that starts beside a volume in service.
fn without_peers() -> VolumeReport {
    let none = NodeSet::EMPTY;
    VolumeReport { connected: none, complete_peers: none, required: none, ..report(Role::Primary) }
}

#[test]
fn whoever_is_alone_goes_on_after_a_restart_of_its_daemon_without_a_witness() {
    let mut bench = left_alone(LossAction::Fastboot);
    bench.step(Input::WitnessGone);
    bench.wait(ms(60_000));
    bench.restart_daemon();
    assert_eq!(bench.node.pet_until(bench.now), Instant::NEVER, "before it has read the volume");
    let mut effects = bench.step(Input::Volume { volume: V, report: without_peers() });
    effects.extend(bench.wait(ms(60_000)));
    assert!(!resets(&effects) && actions(&effects).is_empty(), "{effects:?}");
    assert!(bench.node.is_solo(V));
}

#[test]
fn whoever_was_left_running_alone_goes_on_when_the_witness_comes_late() {
    let mut bench = left_alone(LossAction::Fastboot);
    let request = NodeRequest::StopKeepRunning { length: ms(3_600_000) };
    bench.step(Input::Operator { ticket: 7, request });
    bench.say(Reply::Operator { ticket: 7, answer: OperatorAnswer::Done });
    assert!(bench.run.keeps_running);
    bench.now = bench.now + ms(20_000);
    bench.restart_daemon();
    let mut effects = bench.step(Input::Volume { volume: V, report: without_peers() });
    effects.extend(bench.wait(ms(60_000)));
    assert!(!resets(&effects) && actions(&effects).is_empty(), "{effects:?}");
}

#[test]
fn a_restarted_daemon_is_alone_by_its_records_only_where_nobody_else_can_be() {
    type Change = fn(&mut Bench);
    let changes: [Change; 6] = [
        |bench| bench.disk.volumes.get_mut(&V).unwrap().isr = Bench::both(),
        |bench| bench.disk.volumes.get_mut(&V).unwrap().max_epoch = Epoch(3),
        |bench| {
            let intent = GrowIntent { peer: B, version: IsrVersion(9) };
            bench.disk.volumes.get_mut(&V).unwrap().intents.push(intent);
        },
        |bench| bench.run.held.get_mut(&V).unwrap().refused = true,
        |bench| bench.run.failed = true,
        |bench| {
            let isr = NodeSet::only(A);
            let by_hand =
                crate::message::Override { volume: V, epoch: Epoch(2), isr, isr_version: IsrVersion(9) };
            bench.disk.volumes.get_mut(&V).unwrap().overridden = Some(by_hand);
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut bench = left_alone(LossAction::Osu);
        bench.step(Input::WitnessGone);
        bench.wait(ms(60_000));
        change(&mut bench);
        bench.restart_daemon();
        assert_ne!(bench.node.pet_until(bench.now), Instant::NEVER, "change {number}");
        assert!(resets(&bench.step(Input::Tick)), "change {number}");
    }
}
