//! Families around rules that a reading of the code found missing.

use super::super::ending::End;
use super::super::faults::Fault;
use super::super::setup::{Devices, Setup};
use super::Family;
use picket_core::ids::NodeId;
use picket_core::node::LossAction;

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);

pub(super) fn families() -> Vec<Family> {
    let base = Setup::new(2);
    let alone = Setup { devices: Devices::None, ..base };
    let freeze = Setup { loss_action: LossAction::Freeze, ..alone };
    vec![
        Family::new("alone past its lease, and everything comes back", base)
            .finds(&[58])
            .start(&[Fault::CutData(N1, N2)])
            .within(&[Fault::CutWitness(N1)], 20, 30, 5)
            .within(&[Fault::Heal], 20, 90, 3)
            .end(End::Redundant),
        Family::new("alone past its lease, and the witness is put back", base)
            .finds(&[59])
            .start(&[Fault::CutData(N1, N2)])
            .within(&[Fault::BackUpWitness], 20, 24, 8)
            .within(&[Fault::Reboot(N1)], 0, 4, 8)
            .within(&[Fault::CutWitness(N1)], 40, 120, 10)
            .within(&[Fault::RollBackWitness], 20, 60, 10)
            .within(&[Fault::Heal], 0, 20, 3),
        Family::new("an override, and a death between two records", alone)
            .finds(&[63])
            .within(&[Fault::KillWitness], 0, 2, 8)
            .within(&[Fault::Crash(N1)], 0, 2, 8)
            .within(&[Fault::Override(N2)], 40, 60, 8)
            .within(&[Fault::DiesBetween(N2)], 0, 12, 3)
            .within(&[Fault::PowerOn(N1)], 200, 500, 20)
            .within(&[Fault::Isolate(N2)], 0, 300, 4)
            .end(End::Open),
        Family::new("a thaw that nobody can tell of", freeze)
            .finds(&[64])
            .start(&[Fault::CutStream(N1, N2)])
            .within(&Fault::thaws(1), 0, 2, 8)
            .within(&[Fault::HoldFromWitness(N1)], 0, 12, 1)
            .within(&[Fault::Isolate(N1), Fault::Mute(N1)], 30, 70, 1),
        Family::new("a thaw that nobody can tell of, and everything comes back", freeze)
            .start(&[Fault::CutStream(N1, N2)])
            .within(&Fault::thaws(1), 0, 2, 8)
            .within(&[Fault::HoldFromWitness(N1)], 0, 12, 2)
            .within(&[Fault::CutData(N1, N2), Fault::CutWitness(N1)], 30, 70, 4)
            .end(End::Redundant),
    ]
}
