//! Families around rules that a second reading of the code found missing.

use super::super::ending::End;
use super::super::faults::Fault;
use super::super::setup::{BARE, Devices, Setup, long_leases};
use super::Family;
use picket_core::ids::NodeId;
use picket_core::node::LossAction;
use picket_core::time::Duration;

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);

pub(super) fn families() -> Vec<Family> {
    let base = Setup::new(2);
    let alone = Setup { devices: Devices::None, ..base };
    let patient = Setup { driver: Duration::from_millis(300), ..alone };
    let freeze = Setup { loss_action: LossAction::Freeze, ..patient };
    let dropped = Setup { drops: true, ..alone };
    let away = Setup { stopped_for: Duration::from_millis(200), ..alone };
    let unwatched = Setup { params: long_leases(), self_fence: BARE, ..base };
    let three = Setup::new(3);
    let three_alone = Setup { devices: Devices::None, ..three };
    let retimed = Setup { later: Some(long_leases()), ..three };
    vec![
        Family::new("alone past its lease, and its daemon dies", base)
            .finds(&[82])
            .start(&[Fault::CutData(N1, N2)])
            .within(&[Fault::KillWitness], 20, 24, 4)
            .within(&[Fault::RestartDaemon(N1)], 40, 120, 2)
            .end(End::Standing),
        Family::new("a promotion that takes longer than a witness is there", patient)
            .finds(&[83])
            .within(&[Fault::SlowPromotion(N2)], 0, 2, 8)
            .within(&[Fault::Move(N2)], 0, 2, 8)
            .within(&[Fault::KillWitness, Fault::CutWitness(N2)], 1, 60, 2)
            .end(End::Standing),
        Family::new("a promotion that a freeze has ended, and everything comes back", freeze)
            .finds(&[84])
            .within(&[Fault::FrozenPromotion(N2)], 0, 2, 8)
            .within(&[Fault::Move(N2)], 0, 2, 8)
            .within(&[Fault::Isolate(N2)], 1, 12, 1)
            .within(&[Fault::Heal], 24, 60, 2)
            .end(End::Eventually),
        // What is sent to the peer while it sleeps is lost, and the next heartbeat comes in time.
        Family::new("a witness that is far from the holder, and a peer that sleeps", unwatched)
            .finds(&[85])
            .within(&[Fault::CutWitness(N1)], 0, 12, 4)
            .within(&[Fault::DropBeats(N1, N2, 3)], 0, 28, 2)
            .within(&[Fault::StallShort(N2)], 0, 10, 1)
            .end(End::Standing),
        Family::new("a daemon that dies when its configuration does not have the volume any more", dropped)
            .finds(&[90])
            .then(&[Fault::Retime(N1)])
            .within(&[Fault::CutWitness(N1), Fault::CutBeats(N1, N2), Fault::RestartDaemon(N1)], 0, 60, 4),
        // The other node has heard of the maintenance before the store is put back.
        Family::new("a witness rolled back behind what was left running", away)
            .finds(&[91])
            .start(&[Fault::BackUpWitness])
            .then(&[Fault::LeaveRunning(N1)])
            .within(&[Fault::RollBackWitness], 24, 60, 2),
        // The grow is recorded, its peer is told and the holder is not; the store that comes next waits for the third.
        Family::new("a grow that is recorded and refused by the next store", three_alone)
            .finds(&[92])
            .start(&[Fault::Crash(N3), Fault::CutData(N1, N2)])
            .within(&[Fault::Heal], 0, 4, 8)
            .within(&[Fault::HoldFromWitness(N1)], 0, 12, 1)
            .within(&[Fault::ReplaceWitness], 0, 20, 2)
            .within(&[Fault::CutData(N1, N2)], 40, 100, 4),
        // Whom the witness does not let in, because it does not hear it or because its timings are others, keeps nobody
        // else out.
        Family::new("two come back, one without a witness, and the holder dies", three)
            .start(&[Fault::Crash(N2), Fault::Crash(N3), Fault::CutWitness(N2)])
            .within(&[Fault::PowerOn(N2)], 0, 4, 8)
            .within(&[Fault::PowerOn(N3)], 0, 12, 4)
            .within(&[Fault::Crash(N1), Fault::Isolate(N1)], 100, 160, 2)
            .end(End::Survivors),
        Family::new("two come back, one with other timings, and the holder dies", retimed)
            .start(&[Fault::CutData(N1, N2), Fault::CutData(N1, N3)])
            .within(&[Fault::Retime(N2)], 0, 12, 4)
            .within(&[Fault::Heal], 40, 60, 4)
            .within(&[Fault::Crash(N1), Fault::Isolate(N1)], 260, 320, 2)
            .end(End::Survivors),
    ]
}
