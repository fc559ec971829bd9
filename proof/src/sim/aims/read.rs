//! Rules that a second reading of the code found missing.

use super::data::quick;
use super::{Aim, Besides, Draft, N1, N2, N3, V1, alone, freezing, powered, three};
use crate::world::clock::{MS, SECOND};
use crate::world::fault::Fault;
use crate::world::net::Lane;
use crate::world::setup::Setup;
use crate::world::volume::DriverMode;

/// All of them are over by then.
const END: u64 = 20 * SECOND;

pub(super) const AIMS: &[Aim] = &[
    Aim {
        name: "alone past its lease, and its daemon dies",
        finds: &[82],
        seeds: 20,
        cluster: powered,
        make: dies_alone,
    },
    Aim {
        name: "a stop that takes longer than a witness is there",
        finds: &[83],
        seeds: 40,
        cluster: quick,
        make: slow_stop,
    },
    Aim {
        name: "a promotion that a freeze has ended, and everything comes back",
        finds: &[84],
        seeds: 60,
        cluster: freezing,
        make: ended_promotion,
    },
    Aim {
        name: "a witness that is far from the holder, and a peer that sleeps",
        finds: &[85],
        seeds: 60,
        cluster: powered,
        make: sleeps,
    },
    Aim {
        name: "a daemon that dies when its configuration does not have the volume any more",
        finds: &[90],
        seeds: 20,
        cluster: dropping,
        make: dropped,
    },
    Aim {
        name: "a witness rolled back behind what was left running",
        finds: &[91],
        seeds: 20,
        cluster: unfenced,
        make: forgotten,
    },
    Aim {
        name: "a grow that is recorded and refused by the next store",
        finds: &[92],
        seeds: 120,
        cluster: three,
        make: refused_by_the_next,
    },
];

/// Nobody can be fenced.
fn unfenced() -> Setup {
    alone(2)
}

/// The same, and the later configuration does not have the volume.
fn dropping() -> Setup {
    Setup { drops: true, ..alone(2) }
}

/// The service manager starts the daemon again before the watchdog ends the machine; much later the mistake is mended.
fn dropped(draft: &mut Draft<'_>) {
    let at = draft.ms(100, 1500);
    let back = at + draft.ms(5, 400);
    let mended = at + draft.ms(12_000, 20_000);
    draft.put(at, back, Fault::Retimed(N1));
    draft.put(mended, mended + 200 * MS, Fault::Retimed(N1));
}

/// The other node has heard of the maintenance when the witness dies.
fn forgotten(draft: &mut Draft<'_>) {
    let at = draft.ms(500, 1500);
    let dies = at + draft.ms(300, 1500);
    let back = dies + draft.ms(50, 500);
    draft.put(at - 200 * MS, at - 200 * MS, Fault::WitnessBackedUp);
    draft.put(at, back + 15 * SECOND, Fault::KeepRunning { node: N1, seconds: 60 });
    draft.put(dies, back, Fault::WitnessRolledBack);
}

/// The witness is away for longer than a lease of the holder's last renewal.
fn dies_alone(draft: &mut Draft<'_>) {
    let away = draft.ms(2500, 4000);
    let dies = away + draft.ms(3000, 6000);
    let back = dies + draft.ms(5, 60);
    draft.cut_data(500, dies + 5 * SECOND, N1, N2);
    draft.put(away, dies + 5 * SECOND, Fault::WitnessKill);
    draft.put(dies, back, Fault::DaemonKill(N1));
    draft.besides = Besides::Standing;
}

/// Peers are well, and would promise.
fn slow_stop(draft: &mut Draft<'_>) {
    let at = draft.ms(100, 500);
    let away = at + draft.ms(50, 200);
    let works = away + draft.ms(900, 2000);
    draft.driver(0, works, N1, V1, DriverMode::Hangs);
    draft.put(at, at, Fault::Move { asked: N1, volume: V1, to: N2 });
    draft.put(away, works + SECOND, Fault::WitnessKill);
    draft.besides = Besides::Standing;
}

/// Nobody hears the new holder until its lease nearly ends, and its driver takes its time.
fn ended_promotion(draft: &mut Draft<'_>) {
    let at = draft.ms(100, 500);
    let cut = at + draft.ms(100, 600);
    let back = cut + draft.ms(1200, 2200);
    draft.driver(0, back + SECOND, N2, V1, DriverMode::EndsFrozen);
    draft.put(at, at, Fault::Move { asked: N1, volume: V1, to: N2 });
    draft.isolate(cut, back, N2);
}

/// What is sent to the peer while it sleeps is lost, and the next heartbeat comes in time.
fn sleeps(draft: &mut Draft<'_>) {
    let at = draft.ms(100, 500);
    let sleeps = at + draft.ms(50, 350);
    let wakes = sleeps + draft.ms(500, 700);
    draft.cut_beats(sleeps, wakes - 20 * MS, N1, N2);
    draft.cut_lanes(sleeps, wakes + 300 * MS, &[Lane::Peer], N1, N2);
    draft.cut_witness(at, wakes + 3 * SECOND, N1);
    draft.put(sleeps, wakes, Fault::DaemonStall { node: N2, torn: false });
    draft.besides = Besides::Standing;
}

/// The holder does not hear that its replica is back in the set; the store that comes next waits for the third node, and
/// refuses the holder, which then writes on.
fn refused_by_the_next(draft: &mut Draft<'_>) {
    let back = draft.ms(3000, 4000);
    let replaced = back + draft.ms(500, 1400);
    let serves = replaced + draft.ms(20, 100);
    let hears = serves + draft.ms(20, 100);
    let cut = hears + draft.ms(300, 1500);
    draft.put(0, END / 2, Fault::PowerLoss { node: N3, devices_too: false });
    draft.cut_data(0, back, N1, N2);
    draft.cut_from_witness(back, hears, N1);
    draft.put(replaced, serves, Fault::WitnessReplaced { backup: false });
    draft.cut_data(cut, END, N1, N2);
}
