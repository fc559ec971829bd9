//! Boots and their order, daemons that stop and start, and persons who override.

use super::{Aim, Draft, N1, N2, V1, alone, powered};
use crate::world::clock::{MS, SECOND};
use crate::world::fault::Fault;
use crate::world::fence::DeviceMode;
use crate::world::setup::Setup;
use crate::world::volume::DriverMode;
use picket_core::ids::NodeSet;
use picket_core::params::Profile;

/// All of them are over by then.
const END: u64 = 15 * SECOND;

pub(super) const AIMS: &[Aim] = &[
    Aim { name: "an old registration", finds: &[24], seeds: 200, cluster: powered, make: old_registration },
    Aim {
        name: "an override that knows less than the witness",
        finds: &[41],
        seeds: 20,
        cluster: two,
        make: overridden,
    },
    Aim {
        name: "a daemon that stops while nobody can take over",
        finds: &[45],
        seeds: 40,
        cluster: two,
        make: stops,
    },
    Aim {
        name: "left running, and killed after its start",
        finds: &[46],
        seeds: 40,
        cluster: two,
        make: left_running,
    },
    Aim {
        name: "left running after a fence that failed",
        finds: &[56],
        seeds: 20,
        cluster: powered,
        make: left_on_its_way,
    },
    Aim {
        name: "a maintenance that is over before the daemon is back",
        finds: &[49],
        seeds: 40,
        cluster: wan,
        make: over_before,
    },
    Aim {
        name: "an override, and what follows its record",
        finds: &[52],
        seeds: 40,
        cluster: two,
        make: after_override,
    },
    Aim {
        name: "a greeting of a former session",
        finds: &[51],
        seeds: 200,
        cluster: two,
        make: late_greeting,
    },
    Aim {
        name: "a driver that takes its time, and an empty witness",
        finds: &[47],
        seeds: 60,
        cluster: two,
        make: blind,
    },
];

fn two() -> Setup {
    alone(2)
}

fn wan() -> Setup {
    Setup { profile: Profile::Wan, ..alone(2) }
}

/// A registration comes once more, after the machine has booted again.
fn old_registration(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let back = at + draft.ms(50, 300);
    let dies = back + draft.ms(300, 900);
    draft.put(0, END, Fault::Ghosts(N1));
    draft.put(at, back, Fault::DaemonKill(N1));
    draft.put(dies, dies, Fault::Crash(N1));
}

/// The witness grants the volume to a newer boot of its holder, while a person takes that one for dead.
fn overridden(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let dies = at + draft.ms(500, 1500);
    let done = dies + draft.ms(10_000, 14_000);
    draft.isolate(at, 2 * END, N2);
    draft.put(dies, dies, Fault::Crash(N1));
    let dead = NodeSet::only(N1);
    draft.put(done, done, Fault::Override { node: N2, volume: V1, dead, seconds: 3600 });
}

fn stops(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let stop = at + draft.ms(450, 700);
    let back = stop + draft.ms(100, 900);
    draft.put(at, back, Fault::DaemonKill(N2));
    draft.put(stop, END, Fault::DaemonStop(N1));
}

/// The daemon that takes over what was left running is killed before its lease is renewed.
fn left_running(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let back = at + draft.ms(500, 1500);
    let killed = back + draft.ms(1, 60);
    let again = killed + draft.ms(50, 300);
    draft.put(at, back, Fault::KeepRunning { node: N1, seconds: 5 });
    draft.put(killed, again, Fault::DaemonKill(N1));
}

/// A permit under which the fence fails refuses the holder's renewal, and its driver hangs when it is to stop.
fn left_on_its_way(draft: &mut Draft<'_>) {
    let at = draft.ms(100, 500);
    let left = at + draft.ms(100, 1500);
    let back = left + draft.ms(500, 3000);
    draft.put(0, END, Fault::Device { target: N1, level: 0, mode: DeviceMode::Fails });
    draft.put(at, back, Fault::Driver { node: N1, volume: V1, mode: DriverMode::Hangs });
    draft.put(at, at, Fault::FenceByHand { asked: N2, target: N1 });
    draft.put(left, back, Fault::KeepRunning { node: N1, seconds: 10 });
}

/// A daemon takes up what was left running, long after its lease and the maintenance are over; the other node waits.
fn over_before(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let back = at + draft.ms(9_000, 12_000);
    draft.put(at, back, Fault::KeepRunning { node: N1, seconds: 3 });
    let deaf = back - draft.ms(500, 1500);
    draft.cut_beats(deaf, back + 8_000 * MS, N1, N2);
}

/// The node that a person said is off comes back, the witness too, and then who was activated is cut off.
fn after_override(draft: &mut Draft<'_>) {
    draft.overridden(3_000, 9_000);
}

/// A node's connections to the witness break again and again, and what was on them comes later.
fn late_greeting(draft: &mut Draft<'_>) {
    draft.put(0, END, Fault::Ghosts(N1));
    let mut at = 0;
    for _ in 0..6 {
        at += draft.ms(100, 900);
        let back = at + draft.ms(1, 400);
        draft.put(at, back, Fault::WitnessKill);
        at = back;
    }
}

/// The holder's daemon has just started and has not read its volume, when a new witness asks what there is.
fn blind(draft: &mut Draft<'_>) {
    let at = draft.ms(200, 700);
    let before = draft.ms(0, 200);
    let back = at + draft.ms(50, 200);
    let witness = at + draft.ms(0, 200);
    let sees = back + draft.ms(300, 900);
    draft.put(at, back, Fault::DaemonKill(N1));
    draft.driver(at, sees, N1, V1, DriverMode::Blind);
    draft.put(at - before, witness, Fault::WitnessReplaced { backup: false });
}
