//! Rules that a reading of the code found missing.

use super::{Aim, Draft, N1, N2, fenced};
use crate::world::clock::SECOND;
use crate::world::fault::Fault;
use crate::world::setup::Setup;

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
];

fn powered() -> Setup {
    fenced(2)
}

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
