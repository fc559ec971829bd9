//! Families with every fault, and few of them in a run.

use super::super::ending::End;
use super::super::faults::Fault;
use super::super::setup::{BARE, Devices, GUEST, Setup, tight};
use super::Family;
use picket_core::ids::NodeId;
use picket_core::node::LossAction;

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);

/// By how many millionths a clock is off: nearly as many as the bound allows.
const OFF: i32 = 4_900;

pub(super) fn families() -> Vec<Family> {
    let mut all = every_fault();
    all.extend(clocks());
    all.extend(handovers());
    all
}

/// One fault of any kind at every step, and two at some.
fn every_fault() -> Vec<Family> {
    let two = Fault::all(2);
    let mut guests = two.clone();
    guests.extend([Fault::Pause(N1), Fault::Pause(N2)]);
    let base = Setup::new(2);
    let fastboot = Setup { loss_action: LossAction::Fastboot, ..base };
    let freeze = Setup { loss_action: LossAction::Freeze, ..base };
    let alone = Setup { devices: Devices::None, ..base };
    let bare = Setup { self_fence: BARE, ..base };
    let guest = Setup { self_fence: GUEST, ..base };
    let spread = Setup { volumes: 2, spread: true, loss_action: LossAction::Fastboot, ..base };
    let one =
        |name, setup, faults: &[Fault]| Family::new(name, setup).within(faults, 0, 60, 1).end(End::Redundant);
    let more = |name, setup, faults: &[Fault], stride| {
        Family::new(name, setup).within(faults, 0, 20, stride).within(faults, 0, 160, stride)
    };
    vec![
        one("two nodes, one fault", base, &two),
        one("two nodes, fastboot, one fault", fastboot, &two),
        one("two nodes, freeze, one fault", freeze, &two),
        one("two nodes, lease alone, one fault", alone, &two),
        one("two nodes, no watchdog, one fault", bare, &two),
        one("guests that may be paused, one fault", guest, &guests),
        one("two volumes, two holders, one fault", spread, &two),
        one("three nodes, one fault", Setup::new(3), &Fault::all(3)),
        more("two nodes, two faults", base, &two, 17),
        more("two nodes, lease alone, two faults", alone, &two, 17),
        more("guests, two faults", guest, &guests, 23),
        more("two volumes, two faults", spread, &two, 29),
        more("two nodes, no watchdog, two faults", bare, &two, 29),
    ]
}

/// One clock is fast and the other slow.
fn clocks() -> Vec<Family> {
    let base = Setup::new(2);
    let slow_holder = Setup { drift: [-OFF, OFF, 0, 0], ..base };
    let fast_holder = Setup { drift: [OFF, -OFF, 0, 0], ..base };
    let lease_alone = Setup { devices: Devices::None, params: tight(), ..slow_holder };
    let two = Fault::all(2);
    let stalls = [Fault::StallLong(N1), Fault::StallTorn(N1), Fault::Heal];
    let one = |name, setup| Family::new(name, setup).within(&two, 0, 60, 1).end(End::Redundant);
    vec![
        one("a slow clock and a fast one, one fault", slow_holder),
        one("a fast clock and a slow one, one fault", fast_holder),
        Family::new("a slow clock and a fast one, two faults", slow_holder)
            .within(&two, 0, 20, 23)
            .within(&two, 0, 160, 23),
        Family::new("a slow clock and a fast one, lease alone", lease_alone)
            .within(&[Fault::Isolate(N1), Fault::Mute(N1)], 0, 12, 6)
            .within(&stalls, 230, 320, 2),
        Family::new("a slow clock and a fast one, and promises", lease_alone)
            .within(&[Fault::CutWitness(N1)], 0, 4, 8)
            .within(&[Fault::Isolate(N1), Fault::Cut(N2, N1)], 0, 120, 12)
            .within(&stalls, 230, 320, 2),
    ]
}

/// A move at rest, and every fault at every step of it.
fn handovers() -> Vec<Family> {
    let base = Setup::new(2);
    let alone = Setup { devices: Devices::None, ..base };
    let two = Fault::all(2);
    let one = |name, setup| {
        let moved = Family::new(name, setup).within(&[Fault::Move(N2)], 0, 2, 8);
        moved.within(&two, 0, 60, 1).end(End::Redundant)
    };
    vec![
        one("a handover, and one fault at every step", base),
        one("a handover, lease alone, and one fault at every step", alone),
        Family::new("a handover with slow drivers, and one fault", base)
            .within(&[Fault::SlowDriver(N1), Fault::SlowDriver(N2)], 0, 2, 8)
            .within(&[Fault::Move(N2)], 0, 2, 8)
            .within(&two, 0, 60, 2)
            .end(End::Redundant),
    ]
}
