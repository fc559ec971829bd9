use super::run::{Bounds, run};
use super::*;
use crate::model::families::standard;
use crate::model::faults::Fault;
use crate::model::setup::{Devices, Setup};
use picket_core::ids::NodeId;
use std::sync::atomic::{AtomicU64, Ordering};

fn family(name: &str) -> Family {
    standard().into_iter().find(|family| family.name == name).expect("a family of that name")
}

/// Every first fault once, and the one run without any: the parts are the whole search.
#[test]
fn the_parts_are_the_whole_search() {
    for name in ["no heartbeats", "a stop that hangs", "isolated and alone", "a release on two ways"] {
        let family = family(name);
        let whole = Search::new(&family, family.stages.len(), u64::MAX).run();
        let course = Course::new(&family);
        let mut progress = Progress { parts: course.len(), ..Progress::default() };
        while let Some(found) = course.play(&family, progress.done, u64::MAX) {
            assert_eq!(found.violation.as_ref().map(|it| &it.text), None, "{name}");
            progress.add(&found);
        }
        assert!(progress.is_done(), "{name}: {progress}");
        assert_eq!(progress.runs + 1, whole.runs, "{name}");
    }
}

#[test]
fn the_order_of_parts_meets_each_once() {
    for parts in 1..300 {
        let step = jump(parts);
        let met: std::collections::BTreeSet<usize> = (0..parts).map(|at| at * step % parts).collect();
        assert_eq!(met.len(), parts, "{parts} parts by {step}");
    }
}

/// A run that is broken off after each part, again and again, comes to what one run comes to.
#[test]
fn a_run_that_is_broken_off_is_taken_up_again() {
    let directory = std::env::temp_dir().join(format!("picket-model-deep-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join("state");
    let families = [family("no heartbeats"), family("isolated and alone")];
    let silent = |_: &Family, violation: &crate::model::explore::Violation| panic!("{}", violation.text);
    let whole = run(
        &families,
        State { build: 7, ..State::default() },
        &directory.join("whole"),
        Bounds::new(2, &|| false, &silent),
    )
    .expect("written");
    loop {
        // Over at the third look: one before the family is chosen, one before its first part, one before the second.
        let looks = AtomicU64::new(0);
        let is_over = || looks.fetch_add(1, Ordering::Relaxed) >= 2;
        let state = State::read(&path, 7).expect("read");
        let state = run(&families, state, &path, Bounds::new(1, &is_over, &silent)).expect("written");
        if state.families.len() == 2 && state.families.values().all(Progress::is_done) {
            break;
        }
    }
    let again = State::read(&path, 7).expect("read");
    assert_eq!(again, whole);
    assert!(again.states > 1000, "{}", again.states);
    let other = State::read(&path, 8).expect("read");
    assert_eq!((other.of_build(), other.states), (0, whole.states), "another build begins anew, and adds up");
    std::fs::remove_dir_all(&directory).expect("removed");
}

/// A family of which nothing can be searched is a finding, once, and not a search that found nothing.
#[test]
fn a_family_in_which_nothing_can_be_done_is_a_violation() {
    let directory = std::env::temp_dir().join(format!("picket-model-empty-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let alone = Setup { devices: Devices::None, ..Setup::new(2) };
    let pause = [Fault::Pause(NodeId(1))];
    let wrong = Family::new("a pause that is not declared", alone).start(&pause).then(&[Fault::Heal]);
    let never = Family::new("a backup that there is not", Setup::new(2)).then(&[Fault::RollBackWitness]);
    let told = AtomicU64::new(0);
    let tell = |_: &Family, _: &Violation| {
        told.fetch_add(1, Ordering::Relaxed);
    };
    let state = State { build: 7, ..State::default() };
    let families = [wrong, never];
    let state =
        run(&families, state, &directory.join("state"), Bounds::new(2, &|| false, &tell)).expect("written");
    assert_eq!((told.into_inner(), state.violated()), (2, 2), "{:?}", state.violations);
    assert!(state.violations.iter().any(|(_, what)| what.contains("is active on")), "{:?}", state.violations);
    std::fs::remove_dir_all(&directory).expect("removed");
}

/// A violation is told, written down and read again, and counts for its build alone.
#[test]
fn a_violation_is_kept() {
    let directory = std::env::temp_dir().join(format!("picket-model-kept-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join("state");
    let mut state = State { build: 3, ..State::default() };
    state.violations.push((3, "a family: []: something".into()));
    state.violations.push((2, "of an older build".into()));
    state.write(&path).expect("written");
    let read = State::read(&path, 3).expect("read");
    assert_eq!((read.violated(), read.violations.len()), (1, 2));
    std::fs::write(&path, "nonsense\n").expect("written");
    assert!(State::read(&path, 3).is_err());
    std::fs::remove_dir_all(&directory).expect("removed");
}
