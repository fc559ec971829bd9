//! Families with every fault, and few of them in a run.

use super::super::ending::End;
use super::super::faults::Fault;
use super::super::setup::{BARE, Devices, GUEST, Setup};
use super::Family;
use picket_core::ids::NodeId;
use picket_core::node::LossAction;

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);

pub(super) fn families() -> Vec<Family> {
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
