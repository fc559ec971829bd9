//! Families around stops and starts of a daemon that an operator asked for.

use super::super::faults::Fault;
use super::super::setup::{Devices, Setup};
use super::super::world::AgentFault;
use super::Family;
use picket_core::ids::NodeId;
use picket_core::time::Duration;

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);

pub(super) fn families() -> Vec<Family> {
    let base = Setup::new(2);
    let alone = Setup { devices: Devices::None, ..base };
    let away = Setup { stopped_for: Duration::from_millis(150), ..alone };
    vec![
        Family::new("a stop with nobody to hand over to", base)
            .finds(&[45])
            .start(&[Fault::CutData(N1, N2)])
            .then(&[Fault::Stop(N1)])
            .within(&[Fault::Heal, Fault::Isolate(N1), Fault::RestartWitness], 0, 40, 2),
        Family::new("a stop with a handover", alone).finds(&[45]).then(&[Fault::Stop(N1)]).within(
            &[Fault::Crash(N2), Fault::Isolate(N1), Fault::RestartWitness],
            0,
            40,
            1,
        ),
        Family::new("left running, and a crash later", alone)
            .finds(&[46])
            .within(&[Fault::LeaveRunning(N1)], 0, 4, 8)
            .within(&[Fault::Isolate(N1), Fault::CutWitness(N1)], 22, 31, 1)
            .within(&[Fault::RestartDaemon(N1)], 14, 60, 1),
        Family::new("a maintenance that is over before the daemon is back", away)
            .finds(&[49])
            .then(&[Fault::LeaveRunning(N1)])
            .within(&[Fault::CutBeats(N1, N2), Fault::RestartWitness, Fault::SlowDriver(N1)], 20, 190, 1),
        Family::new("left running, and a fence that does nothing", base)
            .finds(&[56])
            .start(&[Fault::Agent(AgentFault::UnknownIdle)])
            .then(&[Fault::FenceByHand(N2, N1)])
            .within(&[Fault::SlowDriver(N1)], 0, 24, 2)
            .within(&[Fault::LeaveRunning(N1)], 4, 60, 2),
        Family::new("a restored witness, and a driver that is slow to look", base)
            .finds(&[47])
            .start(&[Fault::BackUpWitness])
            .then(&[Fault::RestartDaemon(N1)])
            .within(&[Fault::SlowDriver(N1)], 0, 5, 1)
            .within(&[Fault::RestoreWitness], 0, 8, 1),
    ]
}
