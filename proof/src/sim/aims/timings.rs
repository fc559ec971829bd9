//! An operator changes the timings, one machine after the other.

use super::{Aim, Draft, N1, N2, N3, alone};
use crate::world::clock::{MS, SECOND};
use crate::world::fault::Fault;
use crate::world::setup::{Setup, plan};
use picket_core::params::{Params, Profile};
use picket_core::topology::DeviceKind;
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
    Aim {
        name: "a person confirms a node off, and timings are changed",
        finds: &[86],
        seeds: 30,
        cluster: asked,
        make: confirmed,
    },
];

/// Leases of 9 s become those of the profile `fast`.
fn changing() -> Setup {
    let later = Profile::Fast.params();
    let (lease, guard) = (Duration::from_secs(9), Duration::from_millis(125));
    let timing = Params { lease, guard, ..later };
    Setup { timing: Some(timing), later: Some(later), ..alone(2) }
}

/// The same, and a person is asked.
fn asked() -> Setup {
    let mut setup = Setup { timing: changing().timing, later: changing().later, ..alone(3) };
    setup.machines.iter_mut().for_each(|machine| machine.fencing = plan(&[&[DeviceKind::Meatware]]));
    setup
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

/// Node 2 has the later timings first, and has waited for what others may hold by then. Whoever holds the volume is cut
/// off, and is wrongly confirmed off to node 3, while the witness has not got them yet.
fn confirmed(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let back = at + draft.ms(50, 500);
    draft.put(at, back, Fault::Retimed(N2));
    let cut = back + draft.ms(11_000, 14_000);
    draft.isolate(cut, END, N1);
    draft.put(cut, cut + 3 * SECOND, Fault::ConfirmWrongly(N1));
    let changed = cut + draft.ms(1600, 2500);
    let back = changed + draft.ms(50, 300);
    draft.put(changed, back, Fault::WitnessRetimed);
    for node in [N1, N3] {
        draft.put(END - SECOND, END - 900 * MS, Fault::Retimed(node));
    }
}
