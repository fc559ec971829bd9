//! The in-sync set, the barrier, and stores that forget.

use super::{Aim, Draft, N1, N2, N3, V1, alone, powered, three};
use crate::world::clock::SECOND;
use crate::world::fault::Fault;
use crate::world::net::WITNESS;
use crate::world::setup::Setup;
use crate::world::volume::DriverMode;
use picket_core::params::{Params, Watchdog};
use std::time::Duration;

/// All of them are over by then.
const END: u64 = 20 * SECOND;

pub(super) const AIMS: &[Aim] = &[
    Aim { name: "out of sync, then alone", finds: &[10], seeds: 20, cluster: powered, make: out_of_sync },
    Aim {
        name: "two who change the in-sync set",
        finds: &[12],
        seeds: 200,
        cluster: three,
        make: two_changes,
    },
    Aim {
        name: "an old answer about the in-sync set",
        finds: &[14],
        seeds: 150,
        cluster: two,
        make: old_answer,
    },
    Aim { name: "an old word of the witness", finds: &[57], seeds: 60, cluster: three, make: old_word },
    Aim { name: "a witness rolled back", finds: &[19], seeds: 30, cluster: two, make: rolled_back },
    Aim {
        name: "a grant for an earlier attempt",
        finds: &[22],
        seeds: 200,
        cluster: quick,
        make: earlier_grant,
    },
    Aim { name: "a barrier that nobody may lift", finds: &[34], seeds: 10, cluster: two, make: barrier },
    Aim {
        name: "a witness replaced under a replica about to be required",
        finds: &[53],
        seeds: 200,
        cluster: two,
        make: replaced,
    },
    Aim {
        name: "a witness rolled back under a lonely holder",
        finds: &[40],
        seeds: 150,
        cluster: two,
        make: lonely,
    },
];

fn two() -> Setup {
    alone(2)
}

/// Leases that end sooner than a connection breaks.
pub(super) fn quick() -> Setup {
    let ms = Duration::from_millis;
    let timing = Params {
        heartbeat: ms(20),
        misses: 3,
        watchdog: Some(Watchdog { effective: ms(100), pet: ms(10) }),
        lease: ms(600),
        freeze_before: ms(150),
        guard: ms(20),
        lateness: ms(10),
        freeze_time: ms(20),
        start_within: ms(300),
    };
    Setup { timing: Some(timing), ..alone(2) }
}

fn out_of_sync(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    let dies = at + draft.ms(3000, 6000);
    draft.cut_data(at, END, N1, N2);
    draft.put(dies, END, Fault::PowerLoss { node: N1, devices_too: false });
}

/// A person takes a replica out while the holder's request for another one is on its way.
fn two_changes(draft: &mut Draft<'_>) {
    let back = draft.ms(3000, 4000);
    draft.cut_data(0, back, N1, N3);
    draft.put(0, END, Fault::Slow { a: N1.0, b: WITNESS, latency_ms: 180, loss_permille: 0 });
    let at = back + draft.ms(50, 900);
    draft.put(at, at, Fault::Evict { node: N2, volume: V1 });
}

/// Replicas come and go while messages outlive their connections.
fn old_answer(draft: &mut Draft<'_>) {
    draft.put(0, END, Fault::Ghosts(N1));
    let mut at = draft.ms(0, 500);
    while at < END {
        let until = at + draft.ms(700, 2600);
        draft.cut_data(at, until, N1, N2);
        let deaf = at + draft.ms(400, 2000);
        let hears = deaf + draft.ms(100, 1500);
        draft.cut_from_witness(deaf, hears, N1);
        at = until + draft.ms(500, 2500);
    }
}

/// The volume moves to and fro while a replica is away, and what the witness said of it comes once more before the
/// replica is back.
fn old_word(draft: &mut Draft<'_>) {
    draft.cut_data(0, 3 * END / 4, N1, N3);
    draft.cut_data(0, 3 * END / 4, N2, N3);
    draft.put(0, END, Fault::Repeated(N1));
    draft.put(0, END, Fault::Repeated(N2));
    let mut at = draft.ms(500, 1500);
    for (asked, to) in [(N1, N2), (N2, N1)].into_iter().cycle().take(4) {
        draft.put(at, at, Fault::Move { asked, volume: V1, to });
        at += draft.ms(800, 1600);
    }
}

/// The holder went on alone; the store that comes back has the other one in sync.
fn rolled_back(draft: &mut Draft<'_>) {
    let at = draft.ms(4000, 6000);
    let back = at + draft.ms(200, 900);
    let dies = back + draft.ms(1500, 4000);
    draft.cut_data(0, END, N1, N2);
    draft.put(at, back, Fault::WitnessRolledBack);
    draft.put(dies, END, Fault::PowerLoss { node: N1, devices_too: false });
}

/// The witness hears the replica, which does not hear that it was removed; the holder's driver does not require it again
/// before the store that comes next has both reports, and knows of nothing else.
fn replaced(draft: &mut Draft<'_>) {
    let deaf = draft.ms(1200, 1800);
    let back = draft.ms(3000, 3500);
    let replaced = back + draft.ms(300, 900);
    let serves = replaced + draft.ms(20, 100);
    let cut = serves + draft.ms(50, 300);
    let hears = cut + draft.ms(100, 500);
    draft.cut_data(0, back, N1, N2);
    draft.cut_from_witness(deaf, hears, N2);
    draft.driver(back, hears + SECOND, N1, V1, DriverMode::Hangs);
    draft.put(replaced, serves, Fault::WitnessReplaced { backup: false });
    draft.cut_data(cut, END, N1, N2);
}

/// A grant waits on its way until its lease has ended and somebody else has the volume.
fn earlier_grant(draft: &mut Draft<'_>) {
    let at = draft.ms(100, 500);
    let deaf = at + draft.ms(0, 200);
    let hears = deaf + draft.ms(750, 2300);
    let cut = at + draft.ms(60, 500);
    draft.put(at, at, Fault::Move { asked: N1, volume: V1, to: N2 });
    draft.cut_from_witness(deaf, hears, N2);
    draft.cut_data(cut, END / 2, N1, N2);
}

fn barrier(draft: &mut Draft<'_>) {
    let at = draft.ms(0, 500);
    draft.cut_data(at, END / 2, N1, N2);
}

/// Both are down when the store is rolled back; the one that knows more speaks first, and dies again.
fn lonely(draft: &mut Draft<'_>) {
    let at = draft.ms(3500, 5000);
    let back = at + draft.ms(200, 900);
    // By then node 1 has booted and spoken; node 2 boots after it has died again.
    let again = at + draft.ms(7500, 8500);
    let other = again + draft.ms(0, 2000);
    draft.put(0, other, Fault::PowerLoss { node: N2, devices_too: false });
    draft.put(at, back, Fault::WitnessRolledBack);
    draft.put(at, at, Fault::Crash(N1));
    draft.put(again, again + END, Fault::PowerLoss { node: N1, devices_too: false });
}
