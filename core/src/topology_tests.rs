use super::*;
use alloc::vec;

const fn device(kind: DeviceKind, retries: u8) -> Device {
    Device { kind, timeout: Duration::from_secs(5), retries, delay: Duration::from_secs(1) }
}

const POWER: Device = device(DeviceKind::Power, 0);
const GATE: Device = device(DeviceKind::Gate, 0);
const PERSON: Device = device(DeviceKind::Meatware, 0);

fn plan(levels: &[&[Device]]) -> FencePlan {
    FencePlan { levels: levels.iter().map(|devices| Level { devices: devices.to_vec() }).collect() }
}

/// Runs a fence with these verdicts in order; the places that ran, as (level, device), and how it ended.
fn run(plan: &FencePlan, verdicts: &[DeviceVerdict]) -> (Vec<(u8, u8)>, Next) {
    let mut fence =
        Fence::new(PermitId(1), NodeId(2), BootId(3), false, Instant::BOOT + Duration::from_secs(1));
    let mut ran = vec![];
    let mut next = fence.next(plan);
    for verdict in verdicts {
        let Next::Run { level, device, .. } = next else { break };
        ran.push((level, device));
        next = fence.ended(plan, *verdict);
    }
    (ran, next)
}

use DeviceVerdict::{ConfirmedOff, Failed, GateAbort, GatePassed, TooLate, Unknown};

#[test]
fn the_first_level_that_confirms_ends_it() {
    let plan = plan(&[&[POWER], &[POWER]]);
    assert_eq!(run(&plan, &[ConfirmedOff]), (vec![(0, 0)], Next::Ended(FenceOutcome::ConfirmedOff)));
    assert_eq!(
        run(&plan, &[Failed, ConfirmedOff]),
        (vec![(0, 0), (1, 0)], Next::Ended(FenceOutcome::ConfirmedOff))
    );
}

#[test]
fn unknown_is_never_success() {
    let plan = plan(&[&[POWER], &[POWER]]);
    assert_eq!(run(&plan, &[Unknown, Unknown]), (vec![(0, 0), (1, 0)], Next::Ended(FenceOutcome::Unknown)));
}

#[test]
fn every_device_of_a_level_must_confirm() {
    let plan = plan(&[&[POWER, POWER]]);
    assert!(matches!(run(&plan, &[ConfirmedOff]).1, Next::Run { level: 0, device: 1, .. }));
    assert_eq!(run(&plan, &[ConfirmedOff, ConfirmedOff]).1, Next::Ended(FenceOutcome::ConfirmedOff));
    assert_eq!(run(&plan, &[ConfirmedOff, Failed]).1, Next::Ended(FenceOutcome::Unknown));
}

#[test]
fn a_gate_proves_nothing() {
    assert_eq!(run(&plan(&[&[GATE]]), &[GatePassed]).1, Next::Ended(FenceOutcome::NotStarted));
    let plan = plan(&[&[GATE], &[POWER, GATE]]);
    assert_eq!(
        run(&plan, &[GatePassed, ConfirmedOff, GatePassed]).1,
        Next::Ended(FenceOutcome::ConfirmedOff)
    );
    assert_eq!(run(&plan, &[GateAbort]).1, Next::Ended(FenceOutcome::NotStarted));
}

#[test]
fn retries_come_before_the_next_level_and_wait_no_more() {
    let plan = plan(&[&[device(DeviceKind::Power, 1)], &[PERSON]]);
    let mut fence = Fence::new(PermitId(1), NodeId(2), BootId(3), false, Instant::NEVER);
    let Next::Run { delay, .. } = fence.next(&plan) else { panic!("runs") };
    assert_eq!(delay, Duration::from_secs(1));
    let Next::Run { level: 0, delay, .. } = fence.ended(&plan, Failed) else { panic!("retries") };
    assert_eq!(delay, Duration::ZERO);
    assert_eq!(fence.ended(&plan, Failed), Next::AskOperator);
}

#[test]
fn only_the_first_start_is_bound_to_the_permit() {
    let plan = plan(&[&[POWER], &[POWER]]);
    let limit = Instant::BOOT + Duration::from_secs(1);
    let mut fence = Fence::new(PermitId(1), NodeId(2), BootId(3), false, limit);
    assert!(matches!(fence.next(&plan), Next::Run { start_before, .. } if start_before == limit));
    assert!(matches!(fence.ended(&plan, Failed), Next::Run { start_before: Instant::NEVER, .. }));
}

#[test]
fn a_fence_says_at_which_level_it_is() {
    let plan = plan(&[&[POWER], &[POWER]]);
    let mut fence = Fence::new(PermitId(1), NodeId(2), BootId(3), false, Instant::NEVER);
    assert_eq!(fence.level(), 0);
    fence.ended(&plan, Failed);
    assert_eq!(fence.level(), 1);
}

#[test]
fn too_late_before_anything_ran_is_not_started() {
    assert_eq!(run(&plan(&[&[POWER]]), &[TooLate]).1, Next::Ended(FenceOutcome::NotStarted));
}

#[test]
fn a_plan_of_gates_cannot_fence_and_the_longest_time_counts_everything() {
    assert!(!plan(&[&[GATE]]).can_fence());
    assert!(plan(&[&[GATE], &[PERSON]]).can_fence());
    assert_eq!(
        plan(&[&[device(DeviceKind::Power, 2)], &[GATE]]).longest(),
        Duration::from_secs(1 + 15 + 1 + 5)
    );
}
