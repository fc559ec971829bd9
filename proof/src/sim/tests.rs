use super::play::play;
use super::run::Plan;
use std::path::Path;

/// Each scenario with some seeds: the times in it must not depend on luck.
#[test]
fn every_row_of_the_failure_matrix() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios");
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert!(names.len() >= 35, "{names:?}");
    let mut failures = Vec::new();
    for name in names {
        let text = std::fs::read_to_string(&name).unwrap();
        for seed in 1..=3 {
            if let Err(failure) = play(&text, seed, false) {
                failures.push(format!("{} with seed {seed}: {}", name.display(), failure.text));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_same_seed_replays_byte_for_byte() {
    let (first, second) = (Plan::of_seed(11, None).run(true, true), Plan::of_seed(11, None).run(true, true));
    assert_eq!(first.world.log.lines(), second.world.log.lines());
    let silent = Plan::of_seed(11, None).run(false, false);
    assert_eq!(first.world.log.digest(), silent.world.log.digest(), "a log changes nothing");
}

#[test]
fn some_seeds_violate_nothing() {
    for seed in 1..=30 {
        let outcome = Plan::of_seed(seed, None).run(false, false);
        assert_eq!(outcome.violation, None, "seed {seed}");
    }
}
