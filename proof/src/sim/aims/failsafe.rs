//! Going on without a witness: promises, what they bind, and answers for somebody else's question.

use super::{Aim, Draft, N1, N2, N3, V1, alone, lose, slow_fences, three};
use crate::world::clock::SECOND;
use crate::world::fault::Fault;
use crate::world::fence::DeviceMode;
use crate::world::net::{Lane, WITNESS};
use crate::world::setup::Setup;
use crate::world::volume::DriverMode;
use crate::world::{clock::MS, net::Link};
use picket_core::node::LossAction;
use picket_core::params::Profile;

/// All of them are over by then.
const END: u64 = 14 * SECOND;

/// The same for long leases.
const LONG_END: u64 = 40 * SECOND;

pub(super) const AIMS: &[Aim] = &[
    Aim { name: "failsafe, then isolated", finds: &[6], seeds: 40, cluster: two, make: then_isolated },
    Aim { name: "failsafe under an attempt", finds: &[7], seeds: 40, cluster: two, make: under_an_attempt },
    Aim {
        name: "failsafe, and who promised boots",
        finds: &[8],
        seeds: 30,
        cluster: long,
        make: promiser_boots,
    },
    Aim {
        name: "failsafe while a grow is under way",
        finds: &[13, 25],
        seeds: 300,
        cluster: three,
        make: growing,
    },
    Aim {
        name: "an answer for an earlier run",
        finds: &[21],
        seeds: 200,
        cluster: long_frozen,
        make: earlier_run,
    },
    Aim { name: "failsafe while an agent runs", finds: &[36], seeds: 40, cluster: slow, make: agent_runs },
    Aim { name: "failsafe after a refusal", finds: &[37], seeds: 60, cluster: fails, make: refused },
    Aim {
        name: "a daemon restarts after a refusal",
        finds: &[48],
        seeds: 100,
        cluster: fails,
        make: refused_before,
    },
];

fn two() -> Setup {
    alone(2)
}

fn long() -> Setup {
    Setup { profile: Profile::SlowWatchdog, ..alone(2) }
}

fn long_frozen() -> Setup {
    let mut setup = long();
    lose(&mut setup, LossAction::Freeze);
    setup
}

fn slow() -> Setup {
    let mut setup = alone(2);
    slow_fences(&mut setup, 4, 0);
    setup
}

fn fails() -> Setup {
    let mut setup = alone(2);
    lose(&mut setup, LossAction::Freeze);
    slow_fences(&mut setup, 1, 0);
    setup
}

fn then_isolated(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let alone = at + draft.ms(2600, 6000);
    draft.cut_witness(at, END, N1);
    draft.cut_pair(alone, END, N1, N2);
}

fn under_an_attempt(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let lost = at + draft.ms(550, 2000);
    draft.cut_beats(at, END, N1, N2);
    draft.cut_witness(lost, END, N1);
}

/// The one that promised forgets it by a boot, which takes less than the lease.
fn promiser_boots(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let boots = at + draft.ms(13_000, 16_000);
    let cut = boots + draft.ms(1, 100);
    draft.cut_witness(at, LONG_END, N1);
    draft.put(boots, boots, Fault::Crash(N2));
    draft.cut_pair(cut, LONG_END, N1, N2);
}

/// A third replica comes back; the witness records it, and the holder is not told any more.
fn growing(draft: &mut Draft<'_>) {
    let back = draft.ms(3000, 4000);
    let deaf = back + draft.ms(0, 900);
    let dumb = deaf + draft.ms(150, 700);
    draft.cut_data(0, back, N1, N3);
    draft.cut_from_witness(deaf, back + END, N1);
    draft.cut_to_witness(dumb, back + END, N1);
    draft.cut_pair(dumb, back + END, N1, N3);
}

/// Answers to a daemon that was killed reach the one that took its place, and nothing else does.
fn earlier_run(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let cut = at + draft.ms(1300, 3200);
    let killed = cut + draft.ms(0, 400);
    let back = killed + draft.ms(50, 600);
    draft.cut_witness(at, LONG_END, N1);
    draft.put(at, LONG_END, Fault::Ghosts(N1));
    // The answers are held up until the daemon they are for is gone.
    draft.put(cut, back, Fault::Cut("cut", vec![Link { lane: Lane::Peer, from: N2.0, to: N1.0 }]));
    draft.put(killed, back, Fault::DaemonKill(N1));
    let unheard = killed + draft.ms(0, 300);
    draft.put(unheard, LONG_END, Fault::Cut("cut", vec![Link { lane: Lane::Peer, from: N1.0, to: N2.0 }]));
    draft.cut_beats(unheard, LONG_END, N1, N2);
    draft.cut_data(unheard, LONG_END, N1, N2);
}

/// The one that is asked to promise has an agent at work against the asker.
fn agent_runs(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let witness = at + draft.ms(0, 60);
    draft.put(0, END, Fault::Device { target: N1, level: 0, mode: DeviceMode::Slow });
    draft.cut_beats(at, END, N1, N2);
    draft.cut_witness(witness, END, N1);
}

/// Its authority ended with a permit, whose fence comes to nothing.
fn refused(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let back = at + draft.ms(550, 1100);
    draft.put(0, END, Fault::Device { target: N1, level: 0, mode: DeviceMode::Fails });
    draft.isolate(at, back, N1);
    let slow = draft.rng.range(0, 100);
    draft.put(0, 100 * MS, Fault::Slow { a: N1.0, b: WITNESS, latency_ms: slow, loss_permille: 0 });
}

/// The daemon that was told of the refusal is killed before it has stopped the volume, and the next one does not hear
/// the witness.
fn refused_before(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let back = at + draft.ms(550, 1000);
    let killed = back + draft.ms(5, 300);
    let again = killed + draft.ms(20, 200);
    draft.put(0, END, Fault::Device { target: N1, level: 0, mode: DeviceMode::Fails });
    draft.isolate(at, back, N1);
    draft.driver(at, again, N1, V1, DriverMode::Hangs);
    draft.put(killed, again, Fault::DaemonKill(N1));
    draft.cut_witness(killed, END, N1);
}
