//! A person's word meets a cluster that is not what it was: an end of a recovery, a standby, a confirmation.

use super::{Aim, Draft, N1, N2, N3, V1, WITNESS, alone, between, fenced, lanes, three};
use crate::world::clock::{MS, SECOND};
use crate::world::fault::Fault;
use crate::world::setup::{Setup, plan};
use picket_core::topology::DeviceKind;

pub(super) const AIMS: &[Aim] = &[
    Aim {
        name: "an adoption beside a lonely holder that is heard",
        finds: &[61],
        seeds: 30,
        cluster: two,
        make: beside,
    },
    Aim {
        name: "an adoption, and who reported the newest goes",
        finds: &[80],
        seeds: 30,
        cluster: three,
        make: newest_goes,
    },
    Aim {
        name: "an adoption, and who came after it goes",
        finds: &[87],
        seeds: 30,
        cluster: three,
        make: latecomer_goes,
    },
    Aim {
        name: "an adoption that names who is behind",
        finds: &[60],
        seeds: 30,
        cluster: three,
        make: names_who_is_behind,
    },
    Aim { name: "a grant that nobody takes", finds: &[62], seeds: 120, cluster: bare, make: untaken },
    Aim {
        name: "a confirmation that the witness sleeps past",
        finds: &[81],
        seeds: 90,
        cluster: asked,
        make: sleeps_past,
    },
];

/// When the last of the faults is over.
const END: u64 = 40 * SECOND;

fn two() -> Setup {
    alone(2)
}

fn bare() -> Setup {
    let mut setup = fenced(2);
    setup.machines.iter_mut().for_each(|machine| machine.watchdog = false);
    setup
}

/// Guests that may be paused unseen, and a person who is asked.
fn asked() -> Setup {
    let mut setup = fenced(3);
    for machine in &mut setup.machines {
        machine.fencing = plan(&[&[DeviceKind::Meatware]]);
        machine.pause_visible = false;
    }
    setup
}

/// A new witness is reached by the node that was cut off, and not by the one that went on alone; the nodes hear each
/// other all the time.
fn beside(draft: &mut Draft<'_>) {
    let at = draft.ms(500, 1500);
    let replaced = at + draft.ms(4000, 6000);
    let back = replaced + draft.ms(500, 1500);
    draft.cut_data(at, END, N1, N2);
    draft.cut_witness(at, replaced, N2);
    draft.cut_witness(replaced, END, N1);
    draft.put(replaced, back, Fault::WitnessReplaced { backup: false });
    let adopted = back + draft.ms(2500, 6000);
    draft.put(adopted, adopted, Fault::Adopt { source: None });
}

/// One node is lost, one is behind, and one is alone with the newest writes when the witness is replaced. Says when it is,
/// and when the new one is there.
fn behind(draft: &mut Draft<'_>) -> (u64, u64) {
    let at = draft.ms(500, 1500);
    let replaced = at + draft.ms(5000, 7000);
    let back = replaced + draft.ms(500, 1500);
    draft.put(at, END, Fault::PowerLoss { node: N3, devices_too: false });
    draft.cut_data(at + SECOND, END, N1, N2);
    draft.cut_witness(at + SECOND, replaced, N2);
    draft.put(replaced, back, Fault::WitnessReplaced { backup: false });
    (replaced, back)
}

/// One node is lost, and one is behind; the one that was alone with the newest writes goes before the adoption counts.
fn newest_goes(draft: &mut Draft<'_>) {
    let (_, back) = behind(draft);
    let adopted = back + draft.ms(4000, 8000);
    draft.put(adopted, adopted, Fault::Adopt { source: None });
    let goes = adopted + draft.ms(20, 800);
    if draft.rng.permille(500) {
        draft.isolate(goes, END, N1);
    } else {
        draft.put(goes, goes, Fault::Crash(N1));
    }
}

/// The same, but the one with the newest writes is cut off when the person says so, is back and reports, and goes.
fn latecomer_goes(draft: &mut Draft<'_>) {
    let (replaced, back) = behind(draft);
    let adopted = back + draft.ms(4000, 8000);
    let comes = adopted + draft.ms(50, 500);
    let goes = comes + draft.ms(500, 1000);
    draft.cut_pair(replaced, END, N1, N2);
    draft.cut_witness(replaced, comes, N1);
    draft.put(adopted, adopted, Fault::Adopt { source: None });
    draft.cut_witness(goes, END, N1);
}

/// One node is lost; the one that was alone with the newest writes boots, and the person names the other.
fn names_who_is_behind(draft: &mut Draft<'_>) {
    let at = draft.ms(500, 1500);
    let boots = at + draft.ms(5000, 7000);
    let back = boots + draft.ms(200, 1500);
    draft.put(at, END, Fault::PowerLoss { node: N3, devices_too: false });
    draft.cut_data(at + SECOND, END, N1, N2);
    draft.put(boots, boots, Fault::Crash(N1));
    draft.put(boots, back, Fault::WitnessReplaced { backup: false });
    let adopted = boots + draft.ms(6000, 10_000);
    draft.put(adopted, adopted, Fault::Adopt { source: Some(N2) });
}

/// The grant of a move is lost with its connection, and before the next one a person puts its node on standby, for good:
/// nobody can fence a node that is alive and heard.
fn untaken(draft: &mut Draft<'_>) {
    let at = draft.ms(500, 1500);
    draft.put(0, END / 2, Fault::Slow { a: N2.0, b: WITNESS, latency_ms: 150, loss_permille: 0 });
    draft.put(at, at, Fault::Move { asked: N1, volume: V1, to: N2 });
    let deaf = at + draft.ms(50, 1000);
    let hears = deaf + draft.ms(1500, 3000);
    draft.cut_witness(deaf, hears, N2);
    let stands_by = deaf + draft.ms(50, 1400);
    draft.put_for_good(stands_by, Fault::Standby(N2));
}

/// The holder is paused and wrongly confirmed off. It goes on, with what it takes for its lease, before the confirmation
/// counts; the witness has not read that when the time comes. Only the third node
/// hears it: who hears the holder asks for nothing.
fn sleeps_past(draft: &mut Draft<'_>) {
    let at = draft.ms(500, 1500);
    let resumes = at + draft.ms(3600, 3850);
    let sleeps = resumes + draft.ms(0, 150) - 100 * MS;
    // Long enough to be noticed, and too short for a session to end.
    let wakes = sleeps + draft.ms(360, 395);
    let links = between(&lanes(&draft.setup), &[N1.0], &[N2.0], false);
    draft.cut(at, END, links);
    draft.put(at, resumes, Fault::Pause(N1));
    draft.put(at, at + 2 * SECOND, Fault::ConfirmWrongly(N1));
    draft.put(sleeps, wakes, Fault::WitnessStall);
}
