//! Rules that a reading of the code found missing.

use super::{Aim, Draft, N1, N2, V1, freezing, lone, powered};
use crate::world::clock::{MS, SECOND};
use crate::world::fault::Fault;
use crate::world::volume::DriverMode;

pub(super) const AIMS: &[Aim] = &[
    Aim {
        name: "alone past its lease, and everything comes back",
        finds: &[58],
        seeds: 60,
        cluster: powered,
        make: lonely_back,
    },
    Aim {
        name: "alone past its lease, and the witness is put back",
        finds: &[59],
        seeds: 120,
        cluster: powered,
        make: put_back,
    },
    Aim {
        name: "an override, and a death between two records",
        finds: &[63],
        seeds: 80,
        cluster: lone,
        make: died_between,
    },
    Aim {
        name: "thaws that nobody can tell of",
        finds: &[64],
        seeds: 60,
        cluster: freezing,
        make: late_thaw,
    },
];

/// The witness is away from a holder that is alone while its replica comes back.
fn lonely_back(draft: &mut Draft<'_>) {
    let at = draft.ms(2500, 4000);
    let back = at + draft.ms(3000, 6000);
    draft.cut_data(500, back, N1, N2);
    let again = back + draft.ms(0, 3000);
    draft.cut_witness(at, again, N1);
}

/// The store that comes back is of before the holder's boot; the holder was alone before and after it.
fn put_back(draft: &mut Draft<'_>) {
    let boots = draft.ms(2500, 3500);
    let away = boots + draft.ms(8000, 12_000);
    let back = away + draft.ms(3000, 6000);
    draft.cut_data(500, back + 5 * SECOND, N1, N2);
    draft.put(boots, boots, Fault::WitnessBackedUp);
    draft.put(boots, boots, Fault::Crash(N1));
    draft.put(away, back, Fault::WitnessRolledBack);
}

/// Who was activated without a witness dies when it has stored that its record is seen, and before it has stored that a
/// lease bounds it; when the other node is back in sync, it is cut off.
fn died_between(draft: &mut Draft<'_>) {
    let (done, cut) = draft.overridden(3_000, 9_000);
    draft.put(done + 400 * MS, cut, Fault::DiesBetween(N2));
}

/// The answer to the last renewal that got through waits on the way until its holder has frozen, and is in time for a
/// thaw.
fn late_thaw(draft: &mut Draft<'_>) {
    let at = draft.ms(300, 900);
    let before = draft.ms(5, 100);
    let held = draft.ms(950, 1_150);
    let end = at + 12 * SECOND;
    draft.driver(0, end, N1, V1, DriverMode::ThawsLate);
    draft.cut_from_witness(at - before, at + held, N1);
    draft.cut_to_witness(at, end, N1);
    draft.cut_pair(at, end, N1, N2);
}
