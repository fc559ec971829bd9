//! `model`: the model checker's command.
//!
//! `model [--states N] [--family TEXT] [--shift K]` explores the families; `model mutants` shows that each
//! known-wrong rule is found (in a build with `--cfg picket_mutants`).

use picket_proof::model::{explore, families};
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1));
    let bound = value("--states").and_then(|text| text.parse().ok()).unwrap_or(2_000_000);
    let shift = value("--shift").and_then(|text| text.parse().ok()).unwrap_or(0);
    if words.first().is_some_and(|word| word == "mutants") {
        return mutants(bound, value("--only").and_then(|text| text.parse().ok()));
    }
    if let Some(fault) = value("--try") {
        return try_one(fault, value("--at").and_then(|text| text.parse().ok()).unwrap_or(0));
    }
    let only = value("--family").cloned().unwrap_or_default();
    let (mut states, mut bad) = (0, 0);
    for family in families::standard().iter().filter(|family| family.name.contains(&only)) {
        let found = explore::Search::new(family, bound, shift).run();
        states += found.states;
        let end = if found.cut_off { "cut off" } else { "exhausted" };
        println!(
            "{:40} {:>10} states {:>8} runs  {} faults of {}, every {} steps: {end}",
            family.name,
            found.states,
            found.runs,
            family.depth,
            family.faults.len(),
            family.stride
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

/// Tells what one fault does to the first family's cluster.
fn try_one(text: &str, at: u64) -> ExitCode {
    let Some(family) = families::standard().into_iter().next() else { return ExitCode::FAILURE };
    let Some(fault) = family.faults.iter().copied().find(|fault| format!("{fault:?}") == text) else {
        println!("no such fault; there are {:?}", family.faults);
        return ExitCode::FAILURE;
    };
    for line in explore::replay(&family, &[(at, fault)]) {
        println!("{line}");
    }
    ExitCode::SUCCESS
}

/// Shows that each known-wrong rule leads to a violation in some family.
#[cfg(picket_mutants)]
fn mutants(bound: u64, only: Option<u8>) -> ExitCode {
    use picket_core::mutant::{Mutant, switch};
    let families = families::standard();
    let (mut caught, mut all) = (0, 0);
    for mutant in Mutant::ALL.iter().filter(|mutant| only.is_none_or(|number| number == mutant.number())) {
        switch(&[*mutant]);
        all += 1;
        let found = families.iter().find_map(|family| {
            let found = explore::Search::new(family, bound, 0).run();
            found.violation.map(|violation| (family, violation, found.states))
        });
        match found {
            Some((family, violation, states)) => {
                caught += 1;
                println!(
                    "M{:<3} {:55} {} [{}] after {states} states: {:?}",
                    mutant.number(),
                    mutant.text(),
                    violation.text,
                    family.name,
                    violation.schedule
                );
            }
            None => println!("M{:<3} {:55} NOT CAUGHT", mutant.number(), mutant.text()),
        }
    }
    switch(&[]);
    println!("mutants caught: {caught}/{all}");
    if caught == all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(not(picket_mutants))]
fn mutants(_bound: u64, _only: Option<u8>) -> ExitCode {
    println!("this build holds no mutants: build with RUSTFLAGS=\"--cfg picket_mutants\"");
    ExitCode::FAILURE
}
