//! Families around rules that a reading of the code found missing.

use super::super::ending::End;
use super::super::faults::Fault;
use super::super::setup::Setup;
use super::Family;
use picket_core::ids::NodeId;

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);

pub(super) fn families() -> Vec<Family> {
    let base = Setup::new(2);
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
    ]
}
