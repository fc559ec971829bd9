//! `model`: the model checker's command. Explores the families, goes on with a deep run, shows that each known-wrong rule
//! is found, and tells single runs.

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand};
use picket_proof::model::families::Family;
use picket_proof::model::{deep, explore, families};
use picket_proof::sim::deep::{build, cpu_ms};
use picket_proof::wrong_rules;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Of a deep run's violation the last lines are told.
const TOLD_LINES: usize = 60;

/// More threads than families are of no use.
const THREADS_MAX: u64 = 64;

/// Explores what whole clusters do under chosen faults, with the code that the daemons run.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true, args_override_self = true)]
struct Arguments {
    #[command(flatten)]
    search: Search,
    /// The families with larger bounds, from where the last run ended.
    #[arg(long)]
    deep: bool,
    /// How long a deep run goes on.
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// What deep runs came to.
    #[arg(long, default_value = "tests/out/model-deep.state")]
    state: PathBuf,
    /// Families at the same time.
    #[arg(long, default_value = "1", value_parser = RangedU64ValueParser::<usize>::new().range(1..=THREADS_MAX))]
    threads: usize,
    #[command(subcommand)]
    job: Option<Job>,
}

#[derive(Debug, Args)]
struct Search {
    /// A family is cut off after so many states.
    #[arg(long, default_value_t = 100_000_000)]
    states: u64,
    /// Only families whose names hold this.
    #[arg(long, default_value = "")]
    family: String,
}

#[derive(Debug, Subcommand)]
enum Job {
    /// Each known-wrong rule is found, in a build that has them.
    Mutants {
        #[command(flatten)]
        search: Search,
        /// This one alone, by its number.
        #[arg(long, value_parser = wrong_rules::number)]
        only: Option<u8>,
        /// Tells each run in full.
        #[arg(long)]
        trace: bool,
    },
    /// Tells one run of the first family whose name holds a text.
    Tell {
        #[arg(long)]
        family: String,
        /// MS:FAULT,…: when each stage's fault comes, and which of the stage's it is, from 0.
        #[arg(long, default_value = "")]
        at: String,
        /// With this known-wrong rule, in a build that has them.
        #[arg(long, value_parser = wrong_rules::number)]
        only: Option<u8>,
    },
}

fn main() -> ExitCode {
    let Arguments { search, deep, minutes, state, threads, job } = Arguments::parse();
    match job {
        Some(Job::Mutants { search, only, trace }) => mutants(search.states, only, &search.family, trace),
        Some(Job::Tell { family, at, only }) => match only.map_or(Ok(()), wrong_rules::on) {
            Ok(()) => tell(&family, &at),
            Err(text) => refuse(&text),
        },
        None if deep => {
            let length = Duration::from_secs(minutes.saturating_mul(60));
            go_deep(length, threads, &search.family, &state)
        }
        None => explore(search.states, threads, &search.family),
    }
}

fn refuse(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::from(2)
}

/// Those of the families whose names hold this text. None at all is a mistake, not a search that found nothing.
fn named(mut families: Vec<Family>, text: &str) -> Result<Vec<Family>, ExitCode> {
    families.retain(|family| family.name.contains(text));
    if families.is_empty() {
        return Err(refuse(&format!("no family is called so: {text}")));
    }
    Ok(families)
}

/// Goes on where the last deep run ended.
fn go_deep(length: Duration, threads: usize, only: &str, path: &Path) -> ExitCode {
    let families = match named(families::deep(), only) {
        Ok(families) => families,
        Err(code) => return code,
    };
    #[allow(clippy::disallowed_methods)] // how long it may take: nothing that is found depends on it
    let from = Instant::now();
    let is_over = || from.elapsed() >= length;
    let tell = |family: &Family, violation: &explore::Violation| {
        println!("VIOLATION in \"{}\": {}\n  faults: {:?}", family.name, violation.text, violation.schedule);
        let told = explore::replay(family, &violation.schedule);
        told.iter().skip(told.len().saturating_sub(TOLD_LINES)).for_each(|line| println!("  {line}"));
    };
    let bounds = deep::run::Bounds::new(threads, &is_over, &tell);
    let done = deep::State::read(path, build()).and_then(|mut state| {
        let before = state.states;
        state = deep::run::run(&families, state, path, bounds)?;
        state.cpu_ms += cpu_ms();
        state.write(path).map(|()| (before, state))
    });
    let (before, state) = match done {
        Ok(done) => done,
        Err(error) => return refuse(&format!("{}: {error}", path.display())),
    };
    let known = families.iter().map(|family| (family, state.families.get(&family.name)));
    for (family, progress) in known {
        let progress = progress.copied().unwrap_or_default();
        println!("{:75} {} faults {progress}", family.name, family.stages.len());
    }
    for (build, what) in &state.violations {
        println!("violated by build {build:016x}: {what}");
    }
    let exhausted =
        state.families.values().filter(|progress| progress.is_done() && progress.cut_off == 0).count();
    println!(
        "{exhausted} of {} families exhausted; at most {} MiB of memory, {} s of processor time",
        families.len(),
        deep::memory_max_mib(),
        state.cpu_ms / 1000
    );
    println!(
        "states: {} in this run, {} of this build, {} of all builds, of {}",
        state.states - before,
        state.of_build(),
        state.states,
        deep::GOAL
    );
    println!("{} violations of this build", state.violated());
    if state.violated() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Tells what happens in one run of a family.
fn tell(family: &str, at: &str) -> ExitCode {
    let all = families::standard().into_iter().chain(families::deep());
    let Some(family) = all.into_iter().find(|it| it.name.contains(family)) else {
        return refuse(&format!("no family is called so: {family}"));
    };
    let mut faults = Vec::new();
    for (item, stage) in at.split(',').filter(|item| !item.is_empty()).zip(&family.stages) {
        let parts = item
            .split_once(':')
            .and_then(|(ms, place)| Some((ms.parse().ok()?, place.parse::<usize>().ok()?)));
        let Some((ms, Some(fault))) = parts.map(|(ms, place)| (ms, stage.faults.get(place))) else {
            return refuse(&format!(
                "{item}: expected milliseconds, a colon and the place of a fault in its stage, from 0"
            ));
        };
        faults.push((std::time::Duration::from_millis(ms), *fault));
    }
    explore::told(&family, &faults).iter().for_each(|line| println!("{line}"));
    ExitCode::SUCCESS
}

/// How one family's search ended, and how long it took.
type Outcome = (explore::Found, f64);

/// Searches each family; `threads` of them at a time. What is found does not depend on how many that are.
fn search_all(families: &[Family], bound: u64, threads: usize) -> Vec<Option<Outcome>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done: Vec<(usize, Outcome)> = Vec::new();
        while let at = next.fetch_add(1, Ordering::Relaxed)
            && let Some(family) = families.get(at)
        {
            #[allow(clippy::disallowed_methods)] // how long it took, for people: nothing depends on it
            let from = Instant::now();
            let found = explore::Search::new(family, family.stages.len(), bound).run();
            done.push((at, (found, from.elapsed().as_secs_f64())));
        }
        done
    };
    let done: Vec<(usize, Outcome)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).flatten().collect()
    });
    let mut outcomes: Vec<Option<Outcome>> = families.iter().map(|_| None).collect();
    for (at, outcome) in done {
        if let Some(place) = outcomes.get_mut(at) {
            *place = Some(outcome);
        }
    }
    outcomes
}

fn explore(bound: u64, threads: usize, only: &str) -> ExitCode {
    let (mut states, mut bad) = (0, 0);
    let families = match named(families::standard(), only) {
        Ok(families) => families,
        Err(code) => return code,
    };
    for (family, outcome) in families.iter().zip(search_all(&families, bound, threads)) {
        let Some((found, seconds)) = outcome else {
            bad += 1;
            println!("{:60} the search ended before its time", family.name);
            continue;
        };
        states += found.states;
        let end = if found.cut_off { "cut off" } else { "exhausted" };
        let (seen, runs, depth) = (found.states, found.runs, family.stages.len());
        println!(
            "{:60} {seen:>10} states {runs:>8} runs  {depth} faults in {}: {end}, {seconds:.1} s; well again within {} of {} ms",
            family.name,
            family.bounds(),
            found.slowest.as_millis(),
            family.end.within(&family.setup).as_millis()
        );
        if let Some(violation) = found.violation {
            bad += 1;
            println!("VIOLATION: {}\n  faults: {:?}", violation.text, violation.schedule);
            for line in explore::replay(family, &violation.schedule) {
                println!("  {line}");
            }
        }
    }
    println!("states: {states}");
    if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Shows that each known-wrong rule, and it alone, leads to a violation in some family.
#[cfg(picket_mutants)]
fn mutants(bound: u64, only: Option<u8>, family: &str, trace: bool) -> ExitCode {
    use picket_core::mutant::switch;
    use picket_proof::model::catching::{Catch, catch};
    let families = match named(families::standard(), family) {
        Ok(families) => families,
        Err(code) => return code,
    };
    let chosen = match wrong_rules::chosen(only) {
        Ok(chosen) => chosen,
        Err(text) => return refuse(&text),
    };
    let (mut caught, all) = (0, chosen.len());
    for mutant in &chosen {
        let homes: Vec<&Family> =
            families.iter().filter(|family| family.finds.contains(&mutant.number())).collect();
        let (number, text) = (mutant.number(), mutant.text());
        match catch(&homes, bound, &|on| switch(if on { std::slice::from_ref(mutant) } else { &[] })) {
            Catch::Caught { family, violation, states } => {
                caught += 1;
                println!("M{number} {text}: caught by \"{}\" after {states} states", family.name);
                switch(&[*mutant]);
                for line in explore::replay(family, &violation.schedule) {
                    if trace || line.contains("FAULT") || line.contains("VIOLATION") {
                        println!("  {line}");
                    }
                }
                switch(&[]);
            }
            Catch::FailsAnyway { family, text: violated } => {
                let name = &family.name;
                println!(
                    "M{number} {text}: NOT CAUGHT: the protocol as it is fails it too, in \"{name}\": {violated}"
                );
            }
            Catch::Missed => println!("M{number} {text}: NOT CAUGHT"),
        }
    }
    println!("mutants caught: {caught}/{all}");
    if caught == all && all > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(not(picket_mutants))]
fn mutants(_bound: u64, _only: Option<u8>, _family: &str, _trace: bool) -> ExitCode {
    refuse(&wrong_rules::on(0).err().unwrap_or_default())
}
