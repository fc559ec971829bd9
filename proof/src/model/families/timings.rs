//! Families in which an operator changes the timings, one machine after the other.

use super::super::faults::Fault;
use super::super::setup::{Devices, Setup, ms, timings};
use super::Family;
use picket_core::ids::NodeId;
use picket_core::params::Params;

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);

pub(super) fn families() -> Vec<Family> {
    // Leases of 200 ms become 50 ms. Node 1 is not changed yet: the witness refuses it, and it goes on by promises.
    let params = Params { lease: ms(200), guard: ms(3), ..timings() };
    let changing = Setup { params, later: Some(timings()), devices: Devices::None, ..Setup::new(2) };
    let begin = |name| Family::new(name, changing).start(&[Fault::RetimeWitness, Fault::Retime(N2)]);
    let asked = Setup { nodes: 3, devices: Devices::Meatware, ..changing };
    vec![
        begin("timings are changed, and whoever has the longer lease is cut off")
            .finds(&[65])
            .within(&[Fault::Isolate(N1), Fault::Mute(N1), Fault::CutSwitch(N1)], 180, 420, 6)
            .within(&[Fault::Heal, Fault::Retime(N1)], 40, 300, 20),
        begin("timings are changed, and whoever promised boots")
            .finds(&[66])
            .within(&[Fault::Isolate(N1)], 180, 420, 6)
            .within(&[Fault::Reboot(N2), Fault::RestartDaemon(N2)], 0, 20, 4),
        // Node 2 is changed first, and has waited for what others may hold by then; node 3 asks the person.
        Family::new("a person confirms a node off, and timings are changed", asked)
            .finds(&[86])
            .start(&[Fault::Retime(N2)])
            .within(&[Fault::Isolate(N1), Fault::Mute(N1)], 0, 12, 4)
            .within(&[Fault::Attest(N1)], 28, 60, 6)
            .within(&[Fault::RetimeWitness], 0, 12, 6),
    ]
}
