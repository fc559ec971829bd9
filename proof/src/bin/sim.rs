//! `sim`: many seeds, one seed step by step, the known-wrong rules, the scenarios, and runs that add up.

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand};
use picket_proof::sim::coverage::Coverage;
use picket_proof::sim::deep::{self, State};
use picket_proof::sim::many::{self, Found};
use picket_proof::sim::play::play;
use picket_proof::sim::run::{Outcome, Plan};
use picket_proof::sim::shrink::shrink;
use picket_proof::sim::{aims, mutants};
use picket_proof::wrong_rules;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// After so many seeds violations are told, and a deep run writes its state: some seconds of work.
const CHUNK: u64 = 200;

/// So many failures of a run are made small: each costs as much as some hundred seeds.
const SHRUNK_MAX: usize = 3;

/// Clusters are simulated with so many nodes.
const NODES: std::ops::RangeInclusive<i64> = 2..=7;

/// More threads than this are of no use to anybody.
const THREADS_MAX: u64 = 1024;

/// Simulates whole clusters under random faults, with the code that the daemons run.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true, args_override_self = true)]
struct Arguments {
    #[command(flatten)]
    seeds: Seeds,
    #[command(subcommand)]
    job: Option<Job>,
}

#[derive(Debug, Args)]
struct Seeds {
    /// So many seeds.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    start: u64,
    /// With a known-wrong rule, in a build that has them: its number, as 12 or M12.
    #[arg(long, value_parser = wrong_rules::number)]
    mutant: Option<u8>,
    /// Seeds that add up over runs, from where the last one ended, for so long or until the goal.
    #[arg(long)]
    deep: bool,
    /// How long a deep run goes on.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// What deep runs came to.
    #[arg(long, default_value = "tests/out/sim-deep.state")]
    state: PathBuf,
    #[command(flatten)]
    clusters: Clusters,
    #[command(flatten)]
    threads: Threads,
}

#[derive(Debug, Args)]
struct Clusters {
    /// All clusters have so many nodes; none: as the seed has it.
    #[arg(long, value_parser = clap::value_parser!(u8).range(NODES))]
    nodes: Option<u8>,
}

#[derive(Debug, Args)]
struct Threads {
    /// Seeds at the same time; none: as many as there are processors.
    #[arg(long, value_parser = RangedU64ValueParser::<u64>::new().range(1..=THREADS_MAX))]
    threads: Option<u64>,
}

impl Threads {
    fn count(&self) -> u64 {
        let there_are = || std::thread::available_parallelism().ok()?.get().try_into().ok();
        self.threads.or_else(there_are).unwrap_or(1)
    }
}

#[derive(Debug, Subcommand)]
enum Job {
    /// One seed, step by step, made small if it fails.
    #[command(alias = "shrink")]
    Replay(Replay),
    /// Every seed of the aims whose names hold one of the words; none: of all.
    Aims {
        words: Vec<String>,
        /// With a known-wrong rule, in a build that has them.
        #[arg(long, value_parser = wrong_rules::number)]
        mutant: Option<u8>,
        #[command(flatten)]
        threads: Threads,
    },
    /// Each known-wrong rule is found, in a build that has them.
    Mutants {
        /// This one alone.
        #[arg(long, value_parser = wrong_rules::number)]
        mutant: Option<u8>,
        #[command(flatten)]
        threads: Threads,
    },
    /// The scenarios whose names hold one of the words; none: all.
    Scenarios { words: Vec<String> },
}

#[derive(Debug, Args)]
struct Replay {
    seed: u64,
    /// With a known-wrong rule, in a build that has them: its first aim, unless one is named.
    #[arg(long, value_parser = wrong_rules::number)]
    mutant: Option<u8>,
    /// As a seed of the aim whose name holds this.
    #[arg(long)]
    aim: Option<String>,
    /// Every message and every effect.
    #[arg(long)]
    verbose: bool,
    /// All faults of a seed that fails, not only those that it needs.
    #[arg(long)]
    whole: bool,
    #[command(flatten)]
    clusters: Clusters,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let seeds = &arguments.seeds;
    match &arguments.job {
        None => {
            seeds.mutant.map_or(Ok(()), wrong_rules::on)?;
            if seeds.deep { deep(seeds) } else { Ok(random(seeds)) }
        }
        Some(Job::Scenarios { words }) => scenarios(words),
        Some(Job::Replay(of)) => replay(of),
        Some(Job::Aims { words, mutant, threads }) => {
            mutant.map_or(Ok(()), wrong_rules::on)?;
            all_aims(words, threads.count())
        }
        Some(Job::Mutants { mutant, threads }) => all_mutants(*mutant, threads.count()),
    }
}

/// Plays every scenario, or those whose names hold one of the words; one alone is shown in full when it fails.
fn scenarios(words: &[String]) -> Result<ExitCode, String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios");
    let unread = |path: &std::path::Path, error: std::io::Error| format!("{}: {error}", path.display());
    let entries = std::fs::read_dir(&folder).map_err(|error| unread(&folder, error))?;
    let mut paths: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.sort();
    let stem = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let names = named(words, paths.iter().map(|path| (stem(path), path)))?;
    let mut met = Coverage::default();
    let mut failed = 0u8;
    for (name, path) in names {
        let text = std::fs::read_to_string(path).map_err(|error| unread(path, error))?;
        match play(&text, 1) {
            Ok(coverage) => {
                println!("ok      {name}{}", ways(coverage.runs));
                met.merge(&coverage);
            }
            Err(failure) => {
                failed += 1;
                println!("FAILED  {name}: {}", failure.text);
                if words.len() == 1 {
                    failure.log.iter().for_each(|line| println!("{line}"));
                }
            }
        }
    }
    if words.is_empty() {
        print!("{}", met.rules_text());
    }
    Ok(ExitCode::from(u8::from(failed > 0)))
}

fn ways(runs: u64) -> String {
    if runs == 1 { String::new() } else { format!(", in {runs} ways") }
}

/// What the words name, everything if there are none. A word that names nothing is an error: who mistypes one must not
/// take it that what he meant has passed.
fn named<T>(words: &[String], all: impl Iterator<Item = (String, T)>) -> Result<Vec<(String, T)>, String> {
    let all: Vec<_> = all.collect();
    let names = |word: &&String| all.iter().any(|(name, _)| name.contains(*word));
    if let Some(word) = words.iter().find(|word| !names(word)) {
        return Err(format!("nothing has a name that holds \"{word}\""));
    }
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    Ok(all.into_iter().filter(|(name, _)| wanted(name)).collect())
}

fn named_aims(words: &[String]) -> Result<Vec<aims::Aim>, String> {
    let found = named(words, aims::all().into_iter().map(|aim| (aim.name.to_owned(), aim)))?;
    Ok(found.into_iter().map(|(_, aim)| aim).collect())
}

/// Makes the first failures small, and tells their stories.
fn tell_small(found: &Found, nodes: Option<u8>) {
    for (seed, violation) in found.violations.iter().take(SHRUNK_MAX) {
        let plan = Plan::of_seed(*seed, nodes);
        let small = shrink(&plan);
        let (all, needed) = (plan.faults.len(), small.faults.len());
        println!("\nseed {seed}, {}: {needed} of {all} faults are needed:", violation.invariant);
        mutants::tell(&small.run(true, false).world).iter().for_each(|line| println!("  {line}"));
    }
}

fn tell_violations(found: &Found) {
    for (seed, violation) in &found.violations {
        println!("seed {seed}: {} at {}: {}", violation.invariant, violation.at, violation.text);
    }
}

fn random(options: &Seeds) -> ExitCode {
    let (end, nodes) = (options.start.saturating_add(options.seeds), options.clusters.nodes);
    let mut found = Found::default();
    for from in (options.start..end).step_by(usize::try_from(CHUNK).unwrap_or(usize::MAX)) {
        let seeds = from..from.saturating_add(CHUNK).min(end);
        let part = many::run(seeds, options.threads.count(), false, |seed| Plan::of_seed(seed, nodes));
        tell_violations(&part);
        found.coverage.merge(&part.coverage);
        found.violations.extend(part.violations);
    }
    print!("{}", found.coverage);
    let speed = deep::hours_per_core_hour(found.coverage.hours(), deep::cpu_ms());
    println!("{speed:.0} cluster-hours per core-hour");
    tell_small(&found, nodes);
    println!("{} seeds failed", found.violations.len());
    ExitCode::from(u8::from(!found.violations.is_empty()))
}

/// Goes on where the last deep run ended, for a while or until the goal.
fn deep(options: &Seeds) -> Result<ExitCode, String> {
    let path = &options.state;
    let wrong = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut state = State::read(path, deep::build()).map_err(wrong)?;
    let length = Duration::from_secs(options.minutes.saturating_mul(60));
    #[allow(clippy::disallowed_methods)] // how long it may take: nothing that is simulated depends on it
    let from = Instant::now();
    let (mut cpu, threads) = (deep::cpu_ms(), options.threads.count());
    while from.elapsed() < length && state.of_build < deep::GOAL {
        let seeds = state.next..state.next + CHUNK;
        let found = many::run(seeds, threads, false, |seed| Plan::of_seed(seed, options.clusters.nodes));
        tell_violations(&found);
        let now = deep::cpu_ms();
        state.add(CHUNK, &found, now - cpu);
        cpu = now;
        state.write(path).map_err(wrong)?;
    }
    print!("{}", state.coverage);
    let speed = deep::hours_per_core_hour(state.coverage.hours(), state.cpu_ms);
    println!("{speed:.0} cluster-hours per core-hour");
    println!(
        "seeds: {} of this build, {} of all builds, of {}",
        state.of_build,
        state.coverage.runs,
        deep::GOAL
    );
    let mine = state.violations.iter().filter(|(_, build, _)| *build == state.build).count();
    for (seed, build, what) in &state.violations {
        println!("violated: seed {seed} of build {build:016x}: {what}");
    }
    println!("{mine} seeds of this build failed");
    Ok(ExitCode::from(u8::from(mine > 0)))
}

/// Every seed of some aims.
fn all_aims(words: &[String], threads: u64) -> Result<ExitCode, String> {
    let mut failed = 0u64;
    let mut met = Coverage::default();
    for aim in named_aims(words)? {
        let found = many::run(1..aim.seeds + 1, threads, false, |seed| Plan::of_aim(&aim, seed));
        println!("{:55} {:>4} seeds, {} failed", aim.name, aim.seeds, found.violations.len());
        for (seed, violation) in found.violations.iter().take(3) {
            println!("    seed {seed}: {} at {}: {}", violation.invariant, violation.at, violation.text);
        }
        failed += u64::from(!found.violations.is_empty());
        met.merge(&found.coverage);
    }
    if words.is_empty() {
        print!("{}", met.rules_text());
    }
    println!("{failed} aims failed");
    Ok(ExitCode::from(u8::from(failed > 0)))
}

/// One seed, step by step; if it fails, the smallest failure that was found in it.
fn replay(options: &Replay) -> Result<ExitCode, String> {
    let mut aim = match &options.aim {
        Some(name) => named_aims(std::slice::from_ref(name))?.into_iter().next(),
        None => None,
    };
    if let Some(number) = options.mutant {
        wrong_rules::on(number)?;
        aim = aim.or_else(|| mutants::aims_for(number).into_iter().next());
    }
    let (seed, nodes) = (options.seed, options.clusters.nodes);
    let plan = aim.map_or_else(|| Plan::of_seed(seed, nodes), |aim| Plan::of_aim(&aim, seed));
    let fails = plan.run(false, false).violation.is_some();
    let shown = if fails && !options.whole { shrink(&plan) } else { plan.clone() };
    println!("{:#?}", shown.setup);
    println!("{} faults, {} of them needed:", plan.faults.len(), shown.faults.len());
    for planned in &shown.faults {
        println!("{} to {}: {:?}", planned.at, planned.until, planned.fault);
    }
    let Outcome { violation, world } = shown.run(true, options.verbose);
    world.log.lines().iter().for_each(|line| println!("{line}"));
    println!("\nIn short:");
    mutants::tell(&world).iter().for_each(|line| println!("{line}"));
    println!("digest {:016x}", world.log.digest());
    match &violation {
        Some(found) => println!("violated: {} at {}: {}", found.invariant, found.at, found.text),
        None => println!("nothing is violated"),
    }
    Ok(ExitCode::from(u8::from(violation.is_some())))
}

/// Shows that the protocol passes every aim, and that each known-wrong rule is found in one.
#[cfg(picket_mutants)]
fn all_mutants(only: Option<u8>, threads: u64) -> Result<ExitCode, String> {
    use picket_core::mutant::switch;
    let chosen = wrong_rules::chosen(only)?;
    let mut failed = 0;
    let mut seeds = 0;
    for aim in aims::all().iter().filter(|aim| only.is_none_or(|number| aim.finds.contains(&number))) {
        seeds += aim.seeds;
        if let Some((seed, violation)) = mutants::first_violation(aim, threads) {
            failed += 1;
            println!(
                "WITHOUT A MUTANT \"{}\" fails, seed {seed}: {} {}",
                aim.name, violation.invariant, violation.text
            );
        }
    }
    println!("without a mutant: {seeds} seeds of the aims, {failed} aims fail");
    let (mut caught, all) = (0, chosen.len());
    for mutant in &chosen {
        switch(&[*mutant]);
        let passes = |plan: &Plan| {
            switch(&[]);
            let passes = plan.run(false, false).violation.is_none();
            switch(&[*mutant]);
            passes
        };
        let Some(found) = mutants::find(mutant.number(), threads, &passes) else {
            println!("M{} {}: NOT CAUGHT", mutant.number(), mutant.text());
            continue;
        };
        caught += 1;
        println!(
            "M{} {}: \"{}\", seed {}: {}",
            mutant.number(),
            mutant.text(),
            found.aim,
            found.seed,
            found.violation.invariant
        );
        found.story.iter().for_each(|line| println!("  {line}"));
    }
    switch(&[]);
    println!("mutants caught: {caught}/{all}");
    Ok(ExitCode::from(u8::from(caught < all || failed > 0)))
}

#[cfg(not(picket_mutants))]
fn all_mutants(_only: Option<u8>, _threads: u64) -> Result<ExitCode, String> {
    wrong_rules::on(0).map(|()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::{named, named_aims, scenarios};

    #[test]
    fn a_word_that_names_nothing_is_an_error() {
        let all = || ["one", "two"].into_iter().map(|name| (name.to_owned(), ()));
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let names = |them: &[&str]| named(&words(them), all()).map(|found| found.len());
        assert_eq!(names(&[]), Ok(2));
        assert_eq!(names(&["ne"]), Ok(1));
        assert!(names(&["one", "three"]).unwrap_err().contains("three"));
        assert!(named_aims(&words(&["no such aim"])).is_err());
        assert!(scenarios(&words(&["no such scenario"])).is_err());
    }
}
