//! `sim --seeds 2000 [--start S] [--nodes n]`, `sim replay SEED`, `sim shrink SEED`, `sim scenarios`.

use picket_proof::sim::coverage::Coverage;
use picket_proof::sim::play::play;
use picket_proof::sim::run::{Outcome, Plan};
use picket_proof::sim::shrink::shrink;
use std::process::ExitCode;

struct Options {
    seeds: u64,
    start: u64,
    nodes: Option<u8>,
    verbose: bool,
    words: Vec<String>,
}

fn options() -> Result<Options, String> {
    let mut options = Options { seeds: 200, start: 1, nodes: None, verbose: false, words: Vec::new() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = |name: &str| -> Result<u64, String> {
            let text = arguments.next().ok_or(format!("{name} needs a number"))?;
            text.parse().map_err(|_| format!("{name} needs a number, not {text}"))
        };
        match argument.as_str() {
            "--seeds" => options.seeds = number("--seeds")?,
            "--start" => options.start = number("--start")?,
            "--nodes" => options.nodes = u8::try_from(number("--nodes")?).ok(),
            "--mutant" => switch_on(number("--mutant")?)?,
            "--verbose" => options.verbose = true,
            _ => options.words.push(argument),
        }
    }
    Ok(options)
}

/// Puts a known-wrong rule into the protocol, in a build that has them.
#[cfg(picket_mutants)]
fn switch_on(number: u64) -> Result<(), String> {
    use picket_core::mutant::{Mutant, switch};
    let found = Mutant::ALL.iter().find(|mutant| u64::from(mutant.number()) == number);
    let mutant = *found.ok_or_else(|| format!("there is no mutant {number}"))?;
    println!("{mutant:?}: {}", mutant.text());
    switch(&[mutant]);
    Ok(())
}

#[cfg(not(picket_mutants))]
fn switch_on(_number: u64) -> Result<(), String> {
    Err("mutants are in builds with --cfg picket_mutants only".into())
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(text) => {
            eprintln!("{text}");
            return ExitCode::from(2);
        }
    };
    let words: Vec<&str> = options.words.iter().map(String::as_str).collect();
    let seed = |text: &str| text.parse::<u64>().unwrap_or(1);
    match words.as_slice() {
        [] => many(&options),
        ["scenarios", names @ ..] => scenarios(names),
        ["replay", text] => show(&Plan::of_seed(seed(text), options.nodes), options.verbose),
        ["shrink", text] => show(&shrink(&Plan::of_seed(seed(text), options.nodes)), options.verbose),
        _ => {
            eprintln!("sim [--seeds N] [--start S] [--nodes n] | replay SEED | shrink SEED | scenarios");
            ExitCode::from(2)
        }
    }
}

/// Plays every scenario, or those whose names hold one of the words; one alone is shown in full when it fails.
fn scenarios(words: &[&str]) -> ExitCode {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("{}: cannot be read", folder.display());
        return ExitCode::from(2);
    };
    let mut names: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    names.sort();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    let mut failed = 0u8;
    for path in names {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        if !wanted(&name) {
            continue;
        }
        match play(&text, 1, true) {
            Ok(_) => println!("ok      {name}"),
            Err(failure) => {
                failed += 1;
                println!("FAILED  {name}: {}", failure.text);
                if words.len() == 1 {
                    failure.log.iter().for_each(|line| println!("{line}"));
                }
            }
        }
    }
    ExitCode::from(u8::from(failed > 0))
}

fn many(options: &Options) -> ExitCode {
    let mut coverage = Coverage::default();
    let mut failed = 0u64;
    for seed in options.start..options.start + options.seeds {
        let plan = Plan::of_seed(seed, options.nodes);
        let Outcome { violation, world } = plan.run(false, false);
        coverage.add(&plan.faults, &world);
        if let Some(violation) = violation {
            failed += 1;
            println!("seed {seed}: {} at {}: {}", violation.invariant, violation.at, violation.text);
        }
    }
    print!("{coverage}");
    println!("{failed} seeds failed");
    ExitCode::from(u8::from(failed > 0))
}

fn show(plan: &Plan, verbose: bool) -> ExitCode {
    println!("{:#?}", plan.setup);
    for planned in &plan.faults {
        println!("{} to {}: {:?}", planned.at, planned.until, planned.fault);
    }
    let Outcome { violation, world } = plan.run(true, verbose);
    for line in world.log.lines() {
        println!("{line}");
    }
    println!("digest {:016x}", world.log.digest());
    ExitCode::from(u8::from(violation.is_some()))
}
