//! Families in which a person's word meets a cluster that is not what it was: an operator ends a recovery, puts a node on
//! standby that was just granted a volume, or confirms a node off that is back before that counts.
//!
//! An operator who adopts is right about the members that have not reported, or they report before that counts; what is
//! broken is what becomes of a word that must not count.

use super::super::ending::End;
use super::super::faults::Fault;
use super::super::setup::{BARE, Devices, GUEST, Setup, long_leases, ms};
use super::Family;
use picket_core::ids::NodeId;

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);

pub(super) fn families() -> Vec<Family> {
    let two = Setup { devices: Devices::None, ..Setup::new(2) };
    let three = Setup { nodes: 3, ..two };
    // Whoever boots is missed before it is back.
    let slowly = Setup { boot: ms(50), params: long_leases(), ..three };
    let guest =
        Setup { self_fence: GUEST, devices: Devices::Meatware, params: long_leases(), ..Setup::new(3) };
    let bare = Setup { self_fence: BARE, ..Setup::new(2) };
    vec![
        Family::new("an adoption beside a lonely holder that is heard", two)
            .finds(&[61])
            .start(&[Fault::CutSwitch(N2)])
            .within(&[Fault::ReplaceWitness], 0, 12, 4)
            .within(&[Fault::Heal], 0, 2, 16)
            .within(&[Fault::CutSwitch(N1)], 0, 2, 16)
            .within(&[Fault::Adopt(None)], 0, 160, 2),
        Family::new("an adoption, and who reported the newest goes", three)
            .finds(&[80])
            .start(&[Fault::Crash(N3), Fault::CutSwitch(N2)])
            .within(&[Fault::ReplaceWitness], 0, 12, 4)
            .within(&[Fault::Heal], 0, 2, 16)
            .within(&[Fault::CutData(N1, N2)], 0, 2, 16)
            .within(&[Fault::Adopt(None)], 0, 40, 2)
            .within(&[Fault::Isolate(N1), Fault::Crash(N1)], 0, 14, 1),
        Family::new("an adoption, and who came after it goes", slowly)
            .finds(&[87])
            .start(&[Fault::Crash(N3), Fault::CutSwitch(N2)])
            .within(&[Fault::Reboot(N1)], 0, 12, 4)
            .within(&[Fault::ReplaceWitness], 0, 2, 16)
            .within(&[Fault::Heal], 0, 2, 16)
            .within(&[Fault::AdoptEarly], 28, 48, 2)
            // It boots and reports before.
            .within(&[Fault::Isolate(N1), Fault::Crash(N1)], 32, 60, 4),
        Family::new("an adoption that names who is behind", three)
            .finds(&[60])
            .start(&[Fault::Crash(N3), Fault::CutData(N1, N2)])
            .within(&[Fault::Reboot(N1)], 0, 12, 4)
            .within(&[Fault::ReplaceWitness], 0, 28, 4)
            .within(&[Fault::Adopt(Some(N2))], 0, 160, 2),
        Family::new("a grant that nobody takes", bare)
            .finds(&[62])
            .within(&[Fault::Move(N2)], 0, 2, 8)
            .within(&[Fault::Break(N2), Fault::Ghosts(N2)], 0, 12, 1)
            .within(&[Fault::Standby(N2)], 0, 4, 1)
            .end(End::Eventually),
        // The pause is over before any confirmation counts, and only the third node hears it: who hears the holder
        // asks for nothing.
        Family::new("a confirmation that the witness sleeps past", guest)
            .finds(&[81])
            .within(&[Fault::Pause(N1)], 0, 12, 8)
            .within(&[Fault::Cut(N1, N2)], 0, 2, 16)
            .within(&[Fault::Attest(N1)], 0, 80, 8)
            .within(&[Fault::NapWitness], 40, 112, 2)
            .end(End::Eventually),
    ]
}
