//! An operator changes the timings, one machine after the other.

use super::{Aim, Draft, N1, N2, alone};
use crate::world::clock::{MS, SECOND};
use crate::world::fault::Fault;
use crate::world::setup::Setup;
use picket_core::params::{Params, Profile};
use std::time::Duration;

const END: u64 = 40 * SECOND;

pub(super) const AIMS: &[Aim] = &[
    Aim {
        name: "timings are changed, and whoever has the longer lease is cut off",
        finds: &[65],
        seeds: 40,
        cluster: changing,
        make: cut_off,
    },
    Aim {
        name: "timings are changed, and whoever promised boots",
        finds: &[66],
        seeds: 40,
        cluster: changing,
        make: boots,
    },
];

/// Leases of 9 s become those of the profile `fast`.
fn changing() -> Setup {
    let later = Profile::Fast.params();
    let timing = Params { lease: Duration::from_secs(9), ..later };
    Setup { timing: Some(timing), later: Some(later), ..alone(2) }
}

/// The witness and node 2 have the later timings. The witness refuses node 1, which goes on by promises until it is cut
/// off. Says when.
fn begin(draft: &mut Draft<'_>) -> u64 {
    let at = draft.ms(0, 500);
    let back = at + draft.ms(50, 500);
    draft.put(at, back, Fault::WitnessRetimed);
    draft.put(at, back, Fault::Retimed(N2));
    let cut = at + draft.ms(10_000, 16_000);
    draft.isolate(cut, END, N1);
    draft.put(END - SECOND, END - 900 * MS, Fault::Retimed(N1));
    cut
}

fn cut_off(draft: &mut Draft<'_>) {
    begin(draft);
}

fn boots(draft: &mut Draft<'_>) {
    let cut = begin(draft);
    let at = cut + draft.ms(0, 300);
    draft.put(at, at, Fault::Crash(N2));
}
