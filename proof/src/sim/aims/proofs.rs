//! Proofs of inactivity: releases, fences, boots, and what is none.

use super::{Aim, Draft, N1, N2, V1, alone, fenced, lose, powered, slow_fences};
use crate::world::clock::SECOND;
use crate::world::fault::Fault;
use crate::world::fence::DeviceMode;
use crate::world::setup::Setup;
use crate::world::volume::DriverMode;
use picket_core::node::LossAction;

/// All of them are over by then.
const END: u64 = 12 * SECOND;

pub(super) const AIMS: &[Aim] = &[
    Aim { name: "a fence that cannot tell", finds: &[9], seeds: 20, cluster: frozen, make: cannot_tell },
    Aim { name: "a daemon restarts", finds: &[15], seeds: 20, cluster: two, make: daemon_restarts },
    Aim {
        name: "a fence is told after the target's boot",
        finds: &[16],
        seeds: 60,
        cluster: patient,
        make: told_late,
    },
    Aim { name: "a release on two ways", finds: &[17], seeds: 500, cluster: two, make: two_ways },
    Aim {
        name: "a stop that fails, and the boot after it",
        finds: &[28],
        seeds: 10,
        cluster: powered,
        make: stop_fails,
    },
    Aim {
        name: "a stop that fails, and a reset that hangs",
        finds: &[29],
        seeds: 20,
        cluster: two,
        make: reset_hangs,
    },
];

fn two() -> Setup {
    alone(2)
}

fn frozen() -> Setup {
    let mut setup = fenced(2);
    setup.machines.iter_mut().for_each(|machine| machine.watchdog = false);
    lose(&mut setup, LossAction::Freeze);
    setup
}

fn patient() -> Setup {
    let mut setup = fenced(2);
    slow_fences(&mut setup, 12, 0);
    setup
}

fn cannot_tell(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    draft.put(0, END, Fault::Device { target: N1, level: 0, mode: DeviceMode::Hangs });
    draft.isolate(at, END, N1);
}

fn daemon_restarts(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let back = at + draft.ms(50, 700);
    draft.put(at, back, Fault::DaemonKill(N1));
}

/// The device acts at once and takes long to say so; meanwhile somebody switches the machine on again.
fn told_late(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    draft.person = true;
    draft.put(0, 2 * END, Fault::Device { target: N1, level: 0, mode: DeviceMode::TellsLate });
    draft.put(at, at, Fault::Crash(N1));
}

/// The holder gives its release to the peer, which can pass it on only after the holder has told it itself and got
/// the volume again.
fn two_ways(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    // The peer has the release some two seconds after the cut, and gives its connection up soon after it is mute.
    let mute = at + draft.ms(1600, 2100);
    let back = mute + draft.ms(150, 800);
    let again = back + draft.ms(250, 1000);
    draft.cut_witness(at, back, N1);
    draft.cut_data(at, END, N1, N2);
    draft.cut_to_witness(mute, again, N2);
}

fn stop_fails(draft: &mut Draft<'_>) {
    let at = draft.ms(100, 500);
    draft.driver(0, 3 * SECOND, N1, V1, DriverMode::Fails);
    draft.put(at, at, Fault::Move { asked: N1, volume: V1, to: N2 });
}

fn reset_hangs(draft: &mut Draft<'_>) {
    let at = draft.ms(100, 500);
    draft.driver(0, 5 * SECOND, N1, V1, DriverMode::Fails);
    draft.put(0, 5 * SECOND, Fault::ResetHangs(N1));
    draft.put(at, at, Fault::Move { asked: N1, volume: V1, to: N2 });
}
