use super::play::play;
use super::run::Plan;
use super::variants::variants;
use std::collections::BTreeSet;
use std::path::Path;

/// The scenarios: name and text.
fn scenarios() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| std::fs::read_to_string(path).unwrap();
    paths.iter().map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), read(path))).collect()
}

/// Each scenario with some seeds: the times in it must not depend on luck. One that is told in several ways has its luck
/// in them.
#[test]
fn every_scenario_goes_as_it_must() {
    let mut failures = Vec::new();
    for (name, text) in scenarios() {
        let seeds = if variants(&text).unwrap().len() > 1 { 1 } else { 3 };
        for seed in 1..=seeds {
            if let Err(failure) = play(&text, seed) {
                failures.push(format!("{name} with seed {seed}: {}", failure.text));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A file's number is a row of the matrix, or of one that a row refers to in parentheses.
#[test]
fn every_row_of_the_failure_matrix_has_a_scenario_and_every_scenario_a_row() {
    let text = include_str!("../../../docs/SAFETY.md");
    let matrix = text.split("## Failure matrix").nth(1).unwrap().split("\n## ").next().unwrap();
    let number = |words: &str| words.trim().parse::<u32>().ok();
    let rows: Vec<(u32, &str)> = matrix
        .lines()
        .filter_map(|line| line.strip_prefix('|')?.split_once('|'))
        .filter_map(|(first, rest)| Some((number(first)?, rest)))
        .collect();
    assert!(rows.len() >= 38, "{rows:?}");
    let named = |rest: &'static str| rest.split(['(', ')']).filter_map(number).collect::<Vec<_>>();
    let known: BTreeSet<u32> =
        rows.iter().flat_map(|(row, rest)| named(rest).into_iter().chain([*row])).collect();
    let told: BTreeSet<u32> = scenarios()
        .iter()
        .map(|(name, _)| number(name.split('-').next().unwrap()).unwrap_or_else(|| panic!("{name}")))
        .collect();
    assert_eq!(known, told);
}

#[test]
fn every_invariant_stands_in_the_description() {
    let text = include_str!("../../../docs/proof/simulator.md");
    let cells: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .flat_map(|cell| cell.split(", "))
        .collect();
    for (invariant, _) in crate::world::oracle::INVARIANTS {
        assert!(cells.contains(invariant), "{invariant}");
    }
}

#[test]
fn a_name_stands_for_words_and_for_moments() {
    let text = "for HOW in a b | c\nfor T from 990 to 1010 every 20 ms\nat T HOW  at T\n";
    let told: Vec<String> =
        variants(text).unwrap().iter().map(|one| format!("{}: {}", one.told, one.text.trim())).collect();
    let expected = [
        "HOW = a b, T = 0.990: at 0.990 a b",
        "HOW = a b, T = 1.010: at 1.010 a b",
        "HOW = c, T = 0.990: at 0.990 c",
        "HOW = c, T = 1.010: at 1.010 c",
    ];
    assert_eq!(told, expected);
    assert!(variants("for T from 1 to 2\n").is_err());
    assert_eq!(variants("# for nothing\nat 1 crash 1\n").unwrap().len(), 1);
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

/// The same plan gives the same events, byte for byte, also for an aim, and a shrunken plan violates what the whole
/// one does.
#[test]
fn an_aim_replays_byte_for_byte() {
    for aim in super::aims::all() {
        let plan = Plan::of_aim(&aim, 7);
        let (first, second) = (plan.run(true, true), Plan::of_aim(&aim, 7).run(true, true));
        assert_eq!(first.world.log.lines(), second.world.log.lines(), "{}", aim.name);
        assert_eq!(first.violation, None, "{}", aim.name);
    }
}

#[test]
fn every_known_wrong_rule_has_an_aim_and_every_aim_keeps_the_inequalities() {
    for mutant in picket_core::mutant::Mutant::ALL {
        assert!(!super::mutants::aims_for(mutant.number()).is_empty(), "{mutant:?}");
    }
    for aim in super::aims::all() {
        let setup = Plan::of_aim(&aim, 1).setup;
        for params in core::iter::once(setup.params()).chain(setup.later) {
            assert_eq!(params.validate(), Ok(()), "{}", aim.name);
        }
    }
}

/// A clock that slows down within a lease is outside the promises, so that a failure needs no known-wrong rule.
#[test]
fn a_failure_is_made_small() {
    use crate::world::clock::Time;
    use crate::world::fault::Fault;
    use picket_core::ids::NodeId;
    let aim = super::aims::all().into_iter().find(|aim| aim.finds.contains(&11)).unwrap();
    let mut plan = Plan::of_aim(&aim, 3);
    let isolated = plan.faults[0].at;
    let mut put = |at, until, fault| plan.faults.push(super::schedule::Planned { at, until, fault });
    put(isolated, Time::ms(40_000), Fault::Drift { node: NodeId(1), ppm: -400_000 });
    for noise in 0..5 {
        let at = Time::ms(20_000 + 300 * noise);
        put(at, Time::ms(31_000), Fault::Slow { a: 1, b: 2, latency_ms: 5, loss_permille: 10 });
    }
    plan.faults.sort_by_key(|planned| planned.at);
    let violated = plan.run(false, false).violation.unwrap();
    let small = super::shrink::shrink(&plan);
    let kinds: Vec<&str> = small.faults.iter().map(|planned| planned.fault.kind()).collect();
    assert_eq!(kinds, ["cut", "drift"], "{:?}", small.faults);
    assert_eq!(small.run(false, false).violation.unwrap().invariant, violated.invariant);
}

#[test]
fn what_deep_runs_found_adds_up() {
    let folder = std::env::temp_dir().join(format!("picket-sim-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("state");
    let chunk = |from: u64| super::many::run(from..from + 4, 2, false, |seed| Plan::of_seed(seed, None));
    let mut state = super::deep::State::read(&path, 1).unwrap();
    state.add(4, &chunk(state.next), 10);
    state.write(&path).unwrap();
    let mut state = super::deep::State::read(&path, 1).unwrap();
    assert_eq!((state.next, state.of_build, state.coverage.runs), (5, 4, 4));
    state.add(4, &chunk(state.next), 10);
    state.write(&path).unwrap();
    // Another build goes on, and does not count the seeds of the one before as its own.
    let state = super::deep::State::read(&path, 2).unwrap();
    assert_eq!((state.next, state.of_build, state.coverage.runs, state.cpu_ms), (9, 0, 8, 20));
    let whole = super::many::run(1..9, 1, false, |seed| Plan::of_seed(seed, None));
    assert_eq!(state.coverage.rules.counts(), whole.coverage.rules.counts());
    assert_eq!(state.coverage.pairs_missed(), whole.coverage.pairs_missed());
    std::fs::remove_dir_all(folder).unwrap();
}

/// What is counted is named in one place and drawn in another: neither forgets a kind of the other.
#[test]
fn every_kind_that_can_be_drawn_is_counted_and_every_counted_one_can_be_drawn() {
    use super::coverage::{AIMED, KINDS};
    let mut rng = crate::world::rng::Rng::new(1);
    let mut drawn = BTreeSet::new();
    for seed in 1..=8000 {
        let setup = super::schedule::cluster(&mut rng, None);
        let faults = super::schedule::faults(&mut rng, &setup);
        let standbys = super::schedule::standbys(seed, &setup);
        drawn.extend(faults.iter().chain(&standbys).map(|planned| planned.fault.kind()));
    }
    assert_eq!(drawn, KINDS.iter().copied().collect());
    let known: BTreeSet<&str> = KINDS.iter().chain(AIMED).copied().collect();
    assert_eq!(known.len(), KINDS.len() + AIMED.len(), "none is counted twice");
    for aim in super::aims::all() {
        let kinds = (1..=20).flat_map(|seed| Plan::of_aim(&aim, seed).faults);
        kinds.for_each(|planned| assert!(known.contains(planned.fault.kind()), "{:?}", planned.fault));
    }
}

/// The witness dies again and again, for moments: at the end all is well, and it was so for seconds never.
#[test]
fn a_cluster_that_flaps_for_ever_is_not_well() {
    use crate::world::clock::{MS, SECOND, Time};
    use crate::world::fault::Fault;
    let from = Time(20 * SECOND);
    let end = Time(50 * SECOND);
    let mut world = crate::world::World::new(crate::world::Setup::simple(2), 1, false);
    world.run_until(from);
    for turn in 0..10 {
        let at = from + turn * 3 * SECOND;
        world.plan(at, at + 700 * MS, Fault::WitnessKill);
    }
    super::run::heal(&mut world, end);
    world.expect_served("all");
    world.expect_redundant("all");
    assert_eq!(world.oracle.violation, None, "at the end it is well");
    world.expect_steady();
    assert_eq!(world.oracle.violation.map(|it| it.invariant), Some("steady"));
}

#[test]
fn a_story_expects_what_happens_in_it_and_goes_on_to_the_end_of_its_faults() {
    let begins = "cluster nodes 2\nholds 1 1\n";
    let before = play(&format!("{begins}at 1 proof 1 RELEASED\n"), 1);
    assert!(before.unwrap_err().text.contains("the proof was none"));
    let met = play(&format!("{begins}at 1 until 40 cut repl 1 2\nat 2 running 1\n"), 1).unwrap();
    assert!(met.hours() * 3600.0 > 70.0, "{}", met.hours());
}

#[test]
fn some_seeds_have_the_shortest_timings() {
    use picket_core::params::Profile;
    let of =
        |profile| (1..=200).filter(move |seed| Plan::of_seed(*seed, None).setup.profile == profile).count();
    assert!(Profile::ALL.into_iter().all(|profile| of(profile) > 0));
    let hasty = (1..=200)
        .map(|seed| Plan::of_seed(seed, None).setup)
        .filter(|setup| setup.profile == Profile::LanAggressive);
    assert!(
        hasty.flat_map(|setup| setup.machines).all(|machine| !machine.watchdog),
        "it has none that counts"
    );
}
