//! Nodes that a person puts on standby.

use super::{Aim, Draft, N1, N2, alone};
use crate::world::clock::SECOND;
use crate::world::fault::Fault;
use crate::world::setup::Setup;

/// All of them are over by then.
const END: u64 = 25 * SECOND;

pub(super) const AIMS: &[Aim] = &[Aim {
    name: "a holder that stands by, a restart, and nobody else",
    finds: &[54],
    seeds: 40,
    cluster: two,
    make: forgets,
}];

fn two() -> Setup {
    alone(2)
}

/// The holder hands over, its daemon starts again, and who took the volume dies for a while.
fn forgets(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let killed = at + draft.ms(500, 2500);
    let back = killed + draft.ms(100, 1500);
    let dies = back + draft.ms(100, 6000);
    let until = dies + draft.ms(4000, 9000);
    draft.put(at, END, Fault::Standby(N1));
    draft.put(killed, back, Fault::DaemonKill(N1));
    draft.put(dies, until, Fault::PowerLoss { node: N2, devices_too: false });
}
