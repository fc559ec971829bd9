//! Families around nodes that an operator puts on standby.

use super::super::ending::End;
use super::super::faults::Fault;
use super::super::setup::{Devices, Setup};
use super::Family;
use picket_core::ids::NodeId;

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);

pub(super) fn families() -> Vec<Family> {
    let base = Setup::new(2);
    let alone = Setup { devices: Devices::None, ..base };
    let both = Setup { volumes: 2, spread: true, ..base };
    let back: Vec<Fault> = vec![
        Fault::Online(N1),
        Fault::Standby(N2),
        Fault::RestartDaemon(N1),
        Fault::Reboot(N1),
        Fault::Move(N1),
        Fault::Crash(N2),
        Fault::RestartWitness,
    ];
    vec![
        Family::new("a standby of the holder, and one fault", base).then(&[Fault::Standby(N1)]).within(
            &Fault::all(2),
            0,
            60,
            3,
        ),
        Family::new("a standby of the other node, and one fault", alone).start(&[Fault::Standby(N2)]).within(
            &Fault::all(2),
            0,
            20,
            1,
        ),
        Family::new("standby and restart", alone)
            .finds(&[54])
            .then(&[Fault::Standby(N1), Fault::Standby(N2)])
            .within(&back, 0, 60, 2)
            .within(&[Fault::RestartDaemon(N1), Fault::Crash(N2), Fault::Isolate(N1)], 0, 80, 7)
            .end(End::Redundant),
        Family::new("a move to a node that stands by", base)
            .then(&[Fault::Move(N2)])
            .within(&[Fault::Standby(N2), Fault::Standby(N1)], 0, 40, 1)
            .within(&[Fault::Online(N1), Fault::Online(N2), Fault::RestartWitness], 0, 40, 5),
        Family::new("a release while both stand by, and one fault", base)
            .start(&[Fault::Standby(N2), Fault::Standby(N1)])
            .then(&[Fault::Release(N1)])
            .within(&Fault::all(2), 0, 40, 2),
        Family::new("a release, and back online", alone)
            .start(&[Fault::Standby(N2)])
            .within(&[Fault::Standby(N1)], 0, 4, 8)
            .within(&[Fault::Release(N1)], 0, 4, 1)
            .within(
                &[Fault::Online(N1), Fault::Online(N2), Fault::RestartDaemon(N1), Fault::CutWitness(N1)],
                0,
                60,
                1,
            )
            .within(&[Fault::Online(N2), Fault::SlowPromotion(N2), Fault::RestartWitness], 0, 60, 7)
            .end(End::Redundant),
        Family::new("two holders, both on standby", both)
            .then(&[Fault::Standby(N1)])
            .within(&[Fault::Standby(N2)], 0, 40, 1)
            .within(&[Fault::Stop(N1), Fault::CutData(N1, N2), Fault::Crash(N2)], 0, 60, 5),
    ]
}
