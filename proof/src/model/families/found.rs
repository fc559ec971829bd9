//! Families around bugs that the checkers and the tests on real processes found, each with the rule that ended it.

use super::super::ending::End;
use super::super::faults::Fault;
use super::super::setup::{BARE, Devices, Setup};
use super::Family;
use picket_core::ids::NodeId;
use picket_core::time::Duration;

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);

pub(super) fn families() -> Vec<Family> {
    let base = Setup::new(2);
    let alone = Setup { devices: Devices::None, ..base };
    let patient = Setup { driver: Duration::from_millis(300), self_fence: BARE, ..alone };
    let away = Setup { stopped_for: Duration::from_millis(70), ..alone };
    vec![
        Family::new("a promotion while a grow is open", alone)
            .finds(&[67])
            .start(&[Fault::CutData(N1, N2)])
            .within(&[Fault::SlowDriver(N1)], 0, 2, 8)
            .within(&[Fault::Heal], 0, 2, 8)
            .within(&[Fault::Reboot(N1)], 4, 16, 4)
            .within(&[Fault::Isolate(N1), Fault::CutSwitch(N1)], 40, 240, 4),
        Family::new("a grow that was left open, and the holder dies", base)
            .finds(&[89])
            .within(&[Fault::Crash(N1)], 0, 4, 8)
            .within(&[Fault::SlowDriver(N2)], 66, 78, 1)
            .within(&[Fault::CutSwitch(N2)], 0, 14, 1)
            .within(&[Fault::Heal], 60, 260, 12)
            .within(&[Fault::Crash(N2), Fault::CutData(N1, N2)], 0, 3, 1),
        Family::new("a promotion before the others follow, and the node dies", base)
            .finds(&[68])
            .within(&[Fault::SlowDriver(N2)], 0, 2, 8)
            .within(&[Fault::Move(N2)], 0, 2, 8)
            .within(&[Fault::CutData(N1, N2)], 2, 11, 1)
            .within(&[Fault::Crash(N2)], 10, 16, 1)
            .end(End::Survivors),
        Family::new("a driver that cannot see its volume, and the holder dies", base)
            .finds(&[69])
            .then(&[Fault::BlindDriver(N1)])
            .within(&[Fault::Crash(N1), Fault::Isolate(N1)], 0, 40, 2)
            .end(End::Survivors),
        Family::new("a promotion that outlives its daemon", alone)
            .finds(&[70])
            .within(&[Fault::LonePromotion(N2)], 0, 4, 8)
            .within(&[Fault::Move(N2)], 0, 12, 4)
            .within(&[Fault::CutData(N1, N2)], 0, 8, 2)
            .within(&[Fault::RestartDaemon(N2)], 0, 12, 2),
        Family::new("left running for longer than a lease, and a daemon that dies again", away)
            .finds(&[72])
            .within(&[Fault::LeaveRunning(N1)], 0, 4, 8)
            .within(&[Fault::CutWitness(N1), Fault::HoldToWitness(N1)], 20, 80, 20)
            .within(&[Fault::RestartDaemon(N1)], 0, 60, 1),
        Family::new("a witness that was stopped under a lease and a request", alone)
            .finds(&[73])
            .start(&[Fault::Reorder])
            .within(&[Fault::CutBeats(N1, N2)], 0, 12, 4)
            .within(&[Fault::StallWitness], 0, 80, 1)
            .end(End::Kept),
        Family::new("a witness that recovers refuses a change", alone)
            .finds(&[74])
            .start(&[Fault::BackUpWitness])
            .within(&[Fault::Crash(N2), Fault::Isolate(N2)], 0, 12, 2)
            .within(&[Fault::RestoreWitness, Fault::ReplaceWitness], 0, 40, 2),
        Family::new("a promotion that came too late, and a freeze after it", patient)
            .finds(&[71])
            .within(&[Fault::SlowDriver(N2)], 0, 2, 8)
            .within(&[Fault::Move(N2)], 0, 2, 8)
            .within(&[Fault::Isolate(N2)], 1, 12, 4)
            .within(&[Fault::SlowDriver(N2)], 4, 14, 4)
            .within(&[Fault::Heal], 60, 130, 16)
            .within(&[Fault::Move(N2), Fault::Crash(N1)], 10, 50, 16),
    ]
}
