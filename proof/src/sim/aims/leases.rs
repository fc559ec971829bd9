//! Leases: from when they count, how long, what happens when they end, and who watches over that.

use super::{Aim, Draft, N1, N2, V1, V2, alone, freezing, lone};
use crate::world::clock::SECOND;
use crate::world::fault::Fault;
use crate::world::setup::Setup;
use crate::world::volume::DriverMode;

/// All of them are over by then.
const END: u64 = 12 * SECOND;

pub(super) const AIMS: &[Aim] = &[
    Aim { name: "answers that come late", finds: &[1], seeds: 60, cluster: freezing, make: late_answers },
    Aim { name: "clocks that drift apart", finds: &[2], seeds: 20, cluster: drifting, make: isolated },
    Aim {
        name: "the witness restarts under a lease",
        finds: &[3],
        seeds: 40,
        cluster: freezing,
        make: restarts,
    },
    Aim { name: "a stopped daemon without a watchdog", finds: &[4], seeds: 20, cluster: bare, make: stopped },
    Aim { name: "a stop after the lease's end", finds: &[5], seeds: 40, cluster: lone, make: stopped_late },
    Aim {
        name: "a stop beside a volume that is inactive",
        finds: &[27],
        seeds: 40,
        cluster: two,
        make: stopped_late,
    },
    Aim { name: "stopped twice around a pet", finds: &[26], seeds: 60, cluster: lone, make: stopped_twice },
    Aim { name: "a guest is paused", finds: &[18], seeds: 20, cluster: guest, make: paused },
    Aim {
        name: "a promotion that outlasts its lease",
        finds: &[55],
        seeds: 60,
        cluster: lone,
        make: promotes_slowly,
    },
    Aim { name: "isolated and alone", finds: &[11], seeds: 20, cluster: freezing, make: isolated },
];

/// Within the bound on the difference, and near it.
fn drifting() -> Setup {
    let mut setup = freezing();
    setup.machines[0].drift_ppm = -2400;
    setup.witness_drift_ppm = 2400;
    setup
}

fn bare() -> Setup {
    let mut setup = alone(2);
    setup.machines.iter_mut().for_each(|machine| machine.watchdog = false);
    setup
}

fn guest() -> Setup {
    let mut setup = alone(2);
    setup.machines.iter_mut().for_each(|machine| machine.pause_visible = false);
    setup
}

fn two() -> Setup {
    let mut setup = alone(2);
    let volume = setup.volumes[0].clone();
    setup.volumes.push(volume);
    setup
}

/// Answers to the last renewals that got through wait on the way; when they arrive, the lease has nearly ended.
fn late_answers(draft: &mut Draft<'_>) {
    let at = draft.ms(300, 900);
    let before = draft.ms(5, 250);
    let held = draft.ms(1300, 2400);
    draft.cut_from_witness(at - before, at + held, N1);
    draft.cut_to_witness(at, END, N1);
    draft.cut_pair(at, END, N1, N2);
}

fn isolated(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    draft.isolate(at, END, N1);
}

fn restarts(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let killed = at + draft.ms(0, 1500);
    let back = killed + draft.ms(20, 500);
    draft.isolate(at, END, N1);
    draft.put(killed, back, Fault::WitnessKill);
}

fn stopped(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let until = at + draft.ms(4000, 9000);
    draft.put(at, until, Fault::DaemonStall { node: N1, torn: false });
}

/// The driver does not freeze, and the daemon is stopped when it would have to reset the machine.
fn stopped_late(draft: &mut Draft<'_>) {
    draft.holds.iter_mut().filter(|(volume, _)| *volume == V2).for_each(|(_, node)| *node = N2);
    let at = draft.ms(0, 500);
    let stopped = at + draft.ms(1600, 2380);
    let until = stopped + draft.ms(1000, 4000);
    draft.isolate(at, END, N1);
    draft.driver(at, END, N1, V1, DriverMode::Hangs);
    draft.put(stopped, until, Fault::DaemonStall { node: N1, torn: false });
}

/// The daemon is stopped after a look at the clock, pets, and is stopped again before it looks.
fn stopped_twice(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let first = at + draft.ms(100, 1200);
    let second = first + draft.ms(700, 995);
    let until = second + draft.ms(1000, 3000);
    draft.isolate(at, END, N1);
    draft.put(first, second, Fault::DaemonStall { node: N1, torn: true });
    draft.put(second, until, Fault::DaemonStall { node: N1, torn: false });
}

/// A node is cut off while its driver promotes.
fn promotes_slowly(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let cut = at + draft.ms(20, 900);
    draft.driver(0, END, N2, V1, DriverMode::Slow);
    draft.put(at, at, Fault::Move { asked: N1, volume: V1, to: N2 });
    draft.isolate(cut, END, N2);
}

fn paused(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let until = at + draft.ms(4000, 9000);
    draft.put(at, until, Fault::Pause(N1));
}
