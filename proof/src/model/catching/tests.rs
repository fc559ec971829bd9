use super::super::faults::Fault;
use super::super::setup::{Devices, Setup};
use super::*;
use picket_core::ids::NodeId;
use std::cell::Cell;

const N1: NodeId = NodeId(1);

const BOUND: u64 = 200_000;

/// A machine that pauses unseen and does not say so is outside what is promised: its lease ends without it.
fn outside() -> Family {
    let alone = Setup { devices: Devices::None, ..Setup::new(2) };
    Family::new("a pause that is not declared", alone).within(&[Fault::Pause(N1)], 0, 12, 4)
}

#[test]
fn what_fails_without_the_rule_too_is_not_caught() {
    let on = Cell::new(0);
    let switched = |is_on| on.set(on.get() + if is_on { 1 } else { 100 });
    match catch(&[&outside()], BOUND, &switched) {
        Catch::FailsAnyway { text, .. } => assert!(!text.is_empty()),
        other => panic!("{other:?}"),
    }
    assert_eq!(on.get(), 101, "switched on for the search, and off for what is run again");
}

/// It is the schedule that is judged: other faults at the same places violate nothing.
#[test]
fn a_schedule_is_run_again_as_it_was_found() {
    let family = outside();
    let found = Search::new(&family, 1, BOUND).shortest().run().violation.expect("a violation");
    let harmless: Vec<_> = found.schedule.iter().map(|(at, _)| (*at, Fault::Reorder)).collect();
    assert_eq!(violated(&family, &harmless), None);
    assert_eq!(violated(&family, &found.schedule), Some(found.text));
}

#[test]
fn what_finds_nothing_misses() {
    let alone = Setup { devices: Devices::None, ..Setup::new(2) };
    let family = Family::new("nothing happens", alone).within(&[Fault::Reorder], 0, 12, 4);
    assert!(matches!(catch(&[&family], BOUND, &|_| ()), Catch::Missed));
}

/// The first violation that a search meets may come late; the one that is kept comes soonest.
#[test]
fn the_soonest_violation_is_kept() {
    let family = outside();
    let first = Search::new(&family, 1, BOUND).run().violation.expect("a violation");
    let soonest = Search::new(&family, 1, BOUND).shortest().run().violation.expect("a violation");
    assert!(soonest.after <= first.after, "{soonest:?} {first:?}");
}
