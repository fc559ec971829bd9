//! Bugs that the checkers and the tests on real processes found, each with the rule that ended it.

use super::data::quick;
use super::{Aim, Besides, CALM_UNTIL, Draft, N1, N2, V1, alone, powered};
use crate::world::clock::SECOND;
use crate::world::fault::Fault;
use crate::world::net::WITNESS;
use crate::world::setup::Setup;
use crate::world::volume::DriverMode;

/// All of them are over by then.
const END: u64 = 20 * SECOND;

pub(super) const AIMS: &[Aim] = &[
    Aim { name: "a promotion while a grow is open", finds: &[67], seeds: 30, cluster: two, make: open_grow },
    Aim {
        name: "a grow that was left open, and more is written",
        finds: &[89],
        seeds: 30,
        cluster: two,
        make: left_open,
    },
    Aim {
        name: "a promotion before the others follow, and the node dies",
        finds: &[68],
        seeds: 120,
        cluster: powered,
        make: dies_early,
    },
    Aim {
        name: "a driver that cannot see its volume, and the holder dies",
        finds: &[69],
        seeds: 20,
        cluster: powered,
        make: unseeing,
    },
    Aim {
        name: "a promotion that outlives its daemon",
        finds: &[70],
        seeds: 200,
        cluster: two,
        make: outlives,
    },
    Aim {
        name: "left running for longer than a lease, and a daemon that dies again",
        finds: &[72],
        seeds: 60,
        cluster: two,
        make: dies_again,
    },
    Aim {
        name: "a witness that was stopped under a lease and a request",
        finds: &[73],
        seeds: 40,
        cluster: quick,
        make: stopped_witness,
    },
    Aim {
        name: "a witness that recovers refuses a change",
        finds: &[74],
        seeds: 60,
        cluster: two,
        make: recovers,
    },
    Aim {
        name: "a promotion that came too late, and a freeze after it",
        finds: &[71],
        seeds: 60,
        cluster: two,
        make: frozen_before,
    },
];

fn two() -> Setup {
    alone(2)
}

/// The holder was alone and asks for its replica again, which its driver does not do before the machine dies.
fn open_grow(draft: &mut Draft<'_>) {
    let back = draft.ms(2500, 4000);
    let dies = back + draft.ms(1500, 3000);
    draft.cut_data(0, back, N1, N2);
    draft.driver(back, dies, N1, V1, DriverMode::Hangs);
    draft.put(dies, dies, Fault::Crash(N1));
}

/// The same, but its replica is gone again, and so is the witness, before anything was recorded: it writes on alone, and
/// its next boot is promoted with that replica required, which is heard and not connected.
fn left_open(draft: &mut Draft<'_>) {
    let back = draft.ms(2500, 4000);
    let cut = back + draft.ms(300, 1000);
    let dies = cut + draft.ms(200, 900);
    draft.cut_data(0, back, N1, N2);
    draft.driver(back, dies, N1, V1, DriverMode::Hangs);
    draft.cut_data(cut, END, N1, N2);
    draft.cut_from_witness(cut, dies, N1);
    draft.put(dies, dies, Fault::Crash(N1));
}

/// The volume moves over a slow link, and its new holder dies when the old one may not follow it yet.
fn dies_early(draft: &mut Draft<'_>) {
    let at = draft.ms(100, 500);
    let dies = at + draft.ms(100, 700);
    draft.put(0, END, Fault::Slow { a: N1.0, b: N2.0, latency_ms: 15, loss_permille: 0 });
    draft.put(at, at, Fault::Move { asked: N1, volume: V1, to: N2 });
    draft.put(dies, END, Fault::PowerLoss { node: N2, devices_too: false });
    draft.besides = Besides::ServedBy(CALM_UNTIL + END);
}

fn unseeing(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let dies = at + draft.ms(0, 2000);
    draft.driver(at, END, N1, V1, DriverMode::Unseeing);
    draft.put(dies, END, Fault::PowerLoss { node: N1, devices_too: false });
    draft.besides = Besides::ServedBy(CALM_UNTIL + END);
}

/// The daemon dies while its driver promotes, and the next one sees the replica before that is done.
fn outlives(draft: &mut Draft<'_>) {
    let at = draft.ms(100, 500);
    let dies = at + draft.ms(30, 250);
    let back = dies + draft.ms(5, 60);
    draft.put(at, at, Fault::Move { asked: N1, volume: V1, to: N2 });
    draft.cut_data(dies, END, N1, N2);
    draft.put(dies, back, Fault::DaemonKill(N2));
}

/// The daemon that takes up what was left running is far from the witness, and dies before its lease is renewed.
fn dies_again(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let back = at + draft.ms(3000, 4000);
    let dies = back + draft.ms(5, 150);
    let again = dies + draft.ms(20, 200);
    draft.put(at, back, Fault::KeepRunning { node: N1, seconds: 60 });
    draft.put(back - SECOND, END, Fault::Slow { a: N1.0, b: WITNESS, latency_ms: 60, loss_permille: 0 });
    draft.put(dies, again, Fault::DaemonKill(N1));
}

/// One node waits for a volume whose holder it does not hear, and promises it to leave it alone while the witness is
/// stopped.
fn stopped_witness(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let stopped = at + draft.ms(0, 600);
    let runs = stopped + draft.ms(620, 1800);
    draft.cut_beats(at, runs + SECOND, N1, N2);
    draft.put(stopped, runs, Fault::WitnessStall);
    draft.besides = Besides::Kept;
}

/// An empty witness waits for a node that is off, which the holder wants out of the in-sync set.
fn recovers(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let dies = at + draft.ms(0, 400);
    let back = at + draft.ms(100, 900);
    draft.put(at, back, Fault::WitnessReplaced { backup: false });
    draft.put(dies, dies + 8 * SECOND, Fault::PowerLoss { node: N2, devices_too: false });
}

/// A node is cut off while its driver hangs, which then comes to a promotion that is void and to the freeze after it.
fn frozen_before(draft: &mut Draft<'_>) {
    let at = draft.ms(100, 500);
    let cut = at + draft.ms(300, 500);
    let works = at + draft.ms(1300, 2100);
    let back = works + draft.ms(3000, 5000);
    let again = back + draft.ms(4000, 6000);
    draft.put(at, at, Fault::Move { asked: N1, volume: V1, to: N2 });
    draft.driver(0, works, N2, V1, DriverMode::Hangs);
    draft.isolate(cut, back, N2);
    draft.put(again, again, Fault::Move { asked: N1, volume: V1, to: N2 });
}
