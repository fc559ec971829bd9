//! Families in which a person confirms a node off, rightly or not.
//!
//! Where pauses may be unseen the end of a lease is no proof, so that in those clusters a confirmation is the only way
//! to a takeover. It may be wrong as long as the target runs, or has a watchdog that ends it: its wait covers both.

use super::super::faults::Fault;
use super::super::setup::{BARE, Devices, GUEST, Setup, long_leases};
use super::Family;
use picket_core::ids::NodeId;
use picket_core::node::LossAction;

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);

/// The target is off; it is alive and nobody hears it; it is stopped.
const GONE: [Fault; 6] = [
    Fault::Crash(N1),
    Fault::Isolate(N1),
    Fault::Mute(N1),
    Fault::CutWitness(N1),
    Fault::StallLong(N1),
    Fault::StallTorn(N1),
];

const CONFIRMED: [Fault; 1] = [Fault::Attest(N1)];

pub(super) fn families() -> Vec<Family> {
    let asked = Setup { devices: Devices::Meatware, ..Setup::new(2) };
    let guest = Setup { self_fence: GUEST, params: long_leases(), ..asked };
    let freeze = Setup { loss_action: LossAction::Freeze, ..guest };
    let bare = Setup { self_fence: BARE, ..guest };
    let three = Setup { nodes: 3, ..guest };
    let spread = Setup { volumes: 2, spread: true, ..guest };
    let confirmed = |name, setup, faults: &[Fault], stride| {
        Family::new(name, setup).within(faults, 0, 12, 4).within(&CONFIRMED, 0, 160, stride)
    };
    let mut all = vec![
        confirmed("a person confirms a guest off", guest, &GONE, 1),
        confirmed("a person confirms a guest off, freeze", freeze, &GONE, 1),
        confirmed("a person confirms a node off beside its lease", asked, &GONE, 1),
        // Without a watchdog a stopped daemon leaves its volumes active: there the person has to be right.
        confirmed("a person confirms a node without a watchdog off", bare, &GONE[..4], 1),
        confirmed("a person confirms one of three off", three, &GONE, 2),
        confirmed("a person confirms one of two holders off", spread, &GONE, 2),
    ];
    all.extend(afterwards(guest));
    all
}

/// What comes between a confirmation and its effect, and before it.
fn afterwards(guest: Setup) -> Vec<Family> {
    let after = [
        Fault::Heal,
        Fault::PowerOn(N1),
        Fault::Reboot(N1),
        Fault::RestartDaemon(N1),
        Fault::RestartDaemon(N2),
        Fault::RestartWitness,
        Fault::Crash(N2),
        Fault::Attest(N1),
    ];
    vec![
        Family::new("a confirmation, and what comes before it counts", guest)
            .within(&GONE, 0, 12, 8)
            .within(&CONFIRMED, 0, 120, 24)
            .within(&after, 0, 140, 5),
        Family::new("a confirmation of a node that is heard again", guest)
            .within(&[Fault::Isolate(N1), Fault::Mute(N1)], 0, 12, 4)
            .within(&CONFIRMED, 24, 60, 6)
            .within(&[Fault::Heal], 0, 140, 1),
        Family::new("a confirmation after two faults", guest)
            .within(&[Fault::CutWitness(N1)], 0, 12, 8)
            .within(&[Fault::Cut(N1, N2), Fault::CutBeats(N1, N2), Fault::StallLong(N1)], 0, 80, 4)
            .within(&CONFIRMED, 0, 140, 4),
        Family::new("a fence by hand, and a person confirms", guest)
            .within(&[Fault::FenceByHand(N2, N1)], 0, 12, 8)
            .within(&GONE, 0, 60, 6)
            .within(&CONFIRMED, 0, 140, 4),
    ]
}

#[cfg(test)]
mod tests;
