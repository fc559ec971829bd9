//! Permits and fences.

use super::{Aim, Draft, N1, N2, N3, N4, V1, V2, alone, fenced, lose, slow_fences, volumes_on};
use crate::world::clock::SECOND;
use crate::world::fault::Fault;
use crate::world::fence::DeviceMode;
use crate::world::net::WITNESS;
use crate::world::setup::Setup;
use picket_core::node::LossAction;

/// All of them are over by then.
const END: u64 = 15 * SECOND;

pub(super) const AIMS: &[Aim] = &[
    Aim { name: "no heartbeats", finds: &[20], seeds: 10, cluster: two, make: no_beats },
    Aim {
        name: "an agent that meets a later boot",
        finds: &[23],
        seeds: 60,
        cluster: unwatched,
        make: later_boot,
    },
    Aim {
        name: "a permit over a target that speaks",
        finds: &[30],
        seeds: 150,
        cluster: patient,
        make: speaks,
    },
    Aim {
        name: "a fence by hand with nothing at stake",
        finds: &[31],
        seeds: 10,
        cluster: two,
        make: nothing_at_stake,
    },
    Aim {
        name: "a volume that is nowhere else",
        finds: &[32],
        seeds: 20,
        cluster: spread,
        make: nowhere_else,
    },
    Aim {
        name: "fastboot beside a solo volume",
        finds: &[33],
        seeds: 20,
        cluster: fastboot,
        make: nowhere_else,
    },
    Aim { name: "a request that comes twice", finds: &[35], seeds: 250, cluster: slow, make: twice },
    Aim { name: "an agent that takes its time", finds: &[38], seeds: 40, cluster: slow, make: takes_time },
    Aim {
        name: "a witness that has just started",
        finds: &[39],
        seeds: 60,
        cluster: two,
        make: just_started,
    },
    Aim { name: "a takeover of three", finds: &[42], seeds: 10, cluster: three, make: crash },
    Aim {
        name: "a fencer that is to be fenced",
        finds: &[43],
        seeds: 200,
        cluster: chain,
        make: fenced_fencer,
    },
    Aim {
        name: "a holder that loses one after the other",
        finds: &[93],
        seeds: 200,
        cluster: four,
        make: loses_all,
    },
    Aim {
        name: "two persons who have two nodes fence each other",
        finds: &[88],
        seeds: 20,
        cluster: crossed,
        make: each_other,
    },
    Aim {
        name: "a revoked holder that is left alone",
        finds: &[50],
        seeds: 20,
        cluster: patient_frozen,
        make: left_alone,
    },
    Aim { name: "a stopped fencer", finds: &[44], seeds: 40, cluster: retries, make: stopped_fencer },
];

fn two() -> Setup {
    fenced(2)
}

fn three() -> Setup {
    fenced(3)
}

fn patient() -> Setup {
    let mut setup = fenced(2);
    slow_fences(&mut setup, 14, 0);
    setup
}

/// The fencer's machine does not die with its daemon.
fn unwatched() -> Setup {
    let mut setup = patient();
    setup.machines[1].watchdog = false;
    setup
}

/// No lease proves anything, and a holder whose lease has ended waits, frozen.
fn patient_frozen() -> Setup {
    let mut setup = fenced(2);
    lose(&mut setup, LossAction::Freeze);
    setup.machines.iter_mut().for_each(|machine| machine.watchdog = false);
    setup
}

fn slow() -> Setup {
    let mut setup = fenced(2);
    slow_fences(&mut setup, 4, 0);
    setup
}

fn retries() -> Setup {
    let mut setup = fenced(2);
    slow_fences(&mut setup, 2, 2);
    setup.machines[1].watchdog = false;
    setup
}

/// Node 1 shares one volume with node 2 and another with node 3.
fn spread() -> Setup {
    let mut setup = fenced(3);
    volumes_on(&mut setup, &[&[N1, N2], &[N1, N3]]);
    setup
}

fn fastboot() -> Setup {
    let mut setup = alone(3);
    lose(&mut setup, LossAction::Fastboot);
    volumes_on(&mut setup, &[&[N1, N2], &[N1, N3]]);
    setup
}

/// Node 1 shares a volume with node 2, and both share another with node 3.
fn chain() -> Setup {
    let mut setup = fenced(3);
    slow_fences(&mut setup, 3, 0);
    volumes_on(&mut setup, &[&[N1, N2], &[N1, N2, N3]]);
    setup
}

fn four() -> Setup {
    fenced(4)
}

/// Two nodes share two volumes, and each is to hold one.
fn crossed() -> Setup {
    let mut setup = fenced(2);
    slow_fences(&mut setup, 6, 0);
    volumes_on(&mut setup, &[&[N1, N2], &[N1, N2]]);
    setup
}

fn device(draft: &mut Draft<'_>, target: picket_core::ids::NodeId, mode: DeviceMode) {
    draft.put(0, 2 * END, Fault::Device { target, level: 0, mode });
}

fn no_beats(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    draft.cut_beats(at, END, N1, N2);
}

fn crash(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    draft.put(at, at, Fault::Crash(N1));
}

/// The machine boots by itself while the agent takes its time, and nobody else takes the volume.
fn later_boot(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let killed = at + draft.ms(800, 2000);
    device(draft, N1, DeviceMode::Slow);
    draft.put(at, at, Fault::Crash(N1));
    draft.put(killed, END, Fault::DaemonKill(N2));
}

/// A target that was silent speaks again, with a request that it made meanwhile.
fn speaks(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let back = at + draft.ms(650, 1900);
    device(draft, N1, DeviceMode::Slow);
    draft.isolate(at, back, N1);
    draft.cut_data(at, END, N1, N2);
}

fn nothing_at_stake(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    draft.put(at, at, Fault::FenceByHand { asked: N1, target: N2 });
}

fn nowhere_else(draft: &mut Draft<'_>) {
    let at = draft.ms(4500, 6000);
    draft.put(0, END, Fault::PowerLoss { node: N3, devices_too: false });
    draft.isolate(at, at + 6 * SECOND, N1);
}

/// A report that carries the request arrives when another proof has served it.
fn twice(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    device(draft, N1, DeviceMode::TellsLate);
    draft.put(0, END, Fault::Slow { a: N2.0, b: WITNESS, latency_ms: 400, loss_permille: 0 });
    draft.put(at, at, Fault::Crash(N1));
}

/// The target is back before the agent acts.
fn takes_time(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let back = at + draft.ms(600, 1400);
    device(draft, N1, DeviceMode::Slow);
    draft.isolate(at, back, N1);
}

fn just_started(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let killed = at + draft.ms(0, 450);
    let back = killed + draft.ms(50, 500);
    draft.isolate(at, END, N1);
    draft.put(killed, back, Fault::WitnessKill);
}

/// While its agent works, the fencer falls silent, and somebody gets a permit over it. It holds a volume, of which the
/// node that it fences has a replica.
fn fenced_fencer(draft: &mut Draft<'_>) {
    draft.holds.iter_mut().filter(|(volume, _)| *volume == V2).for_each(|(_, node)| *node = N2);
    let at = draft.ms(0, 500);
    let silent = at + draft.ms(20, 200);
    let back = silent + draft.ms(800, 2300);
    device(draft, N1, DeviceMode::TellsLate);
    device(draft, N2, DeviceMode::Slow);
    draft.put(at, at, Fault::FenceByHand { asked: N2, target: N1 });
    draft.isolate(silent, back, N2);
}

/// A holder loses its replicas one after the other, and dies before it has removed the last one. What it recorded with
/// the second removal, that one has not heard of.
fn loses_all(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    for peer in [N2, N3, N4] {
        let cut = at + draft.ms(0, 400);
        draft.cut_data(cut, END, N1, peer);
    }
    let silent = at + draft.ms(600, 1800);
    draft.isolate(silent, END, N1);
    for asked in [N2, N3, N4] {
        let by_hand = silent + draft.ms(100, 1500);
        draft.put(by_hand, by_hand, Fault::FenceByHand { asked, target: N1 });
    }
}

/// The fence fails, and who asked for it is taken out of the in-sync set before the holder hears anything.
fn left_alone(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let evicted = at + draft.ms(5000, 9000);
    device(draft, N1, DeviceMode::Fails);
    draft.isolate(at, END, N1);
    draft.put(evicted, evicted, Fault::Evict { node: N2, volume: V1 });
}

/// Between two runs of its agent, the fencer's daemon does not run until the permit is over.
fn stopped_fencer(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let stopped = at + draft.ms(700, 2500);
    let until = stopped + draft.ms(5000, 10_000);
    device(draft, N1, DeviceMode::Hangs);
    draft.put(at, 2 * END, Fault::PowerLoss { node: N1, devices_too: false });
    draft.put(stopped, until, Fault::DaemonStall { node: N2, torn: false });
}

/// Each has something at stake on the other. Neither is silent: both permits would come at once.
fn each_other(draft: &mut Draft<'_>) {
    draft.holds.iter_mut().filter(|(volume, _)| *volume == V2).for_each(|(_, node)| *node = N2);
    let at = draft.ms(0, 500);
    let second = at + draft.ms(0, 300);
    device(draft, N1, DeviceMode::Slow);
    device(draft, N2, DeviceMode::Slow);
    draft.put(at, at, Fault::FenceByHand { asked: N1, target: N2 });
    draft.put(second, second, Fault::FenceByHand { asked: N2, target: N1 });
}
