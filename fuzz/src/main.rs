//! `picket-fuzz`: runs the targets, or plays one input again.

use clap::Parser;
use core::time::Duration;
use picket_fuzz::engine::{self, Outcome, Until};
use picket_fuzz::{Target, targets};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;

/// Fuzzes everything that reads bytes from outside.
#[derive(Debug, Parser)]
struct Arguments {
    /// A target, as often as needed; none: all.
    #[arg(long = "target", value_name = "T")]
    targets: Vec<String>,
    /// The seed; none: a new one, which is printed.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// So many inputs for each target instead; such a run is the same everywhere.
    #[arg(long)]
    inputs: Option<u64>,
    /// Targets at the same time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Play this file and nothing else; needs one target.
    #[arg(long)]
    input: Option<PathBuf>,
    /// Show the targets and what holds for each.
    #[arg(long)]
    list: bool,
    /// Write each target's seeds below this directory, for a coverage-guided fuzzer.
    #[arg(long)]
    write_seeds: Option<PathBuf>,
    /// Show every different answer with how often it came.
    #[arg(long)]
    answers: bool,
    /// Where seeds are kept, a folder a target.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds"))]
    seeds: PathBuf,
    /// Where an input is kept that breaks a property.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/out/fuzz"))]
    kept: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match fuzz(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("picket-fuzz: {error}");
            ExitCode::from(2)
        }
    }
}

fn fuzz(arguments: &Arguments) -> Result<bool, String> {
    let chosen = chosen(&arguments.targets)?;
    if arguments.list {
        chosen.iter().for_each(|target| println!("{:16} {}", target.name, target.about));
        return Ok(true);
    }
    if let Some(below) = &arguments.write_seeds {
        return write_seeds(&chosen, below, &arguments.seeds).map(|()| true);
    }
    engine::keep_what_panics(&arguments.kept);
    if let Some(input) = &arguments.input {
        return play(&chosen, input);
    }
    let seed = arguments.seed.map_or_else(random, Ok)?;
    let until = match arguments.inputs {
        Some(inputs) => Until::Inputs(inputs),
        None => Until::Time(Duration::from_secs(arguments.seconds)),
    };
    println!("seed {seed}");
    Ok(run_all(&chosen, seed, until, arguments))
}

fn chosen(names: &[String]) -> Result<Vec<Target>, String> {
    let all = targets::ALL;
    if names.is_empty() {
        return Ok(all.to_vec());
    }
    let find = |name: &String| {
        let known = || all.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
        all.iter()
            .find(|target| target.name == name)
            .copied()
            .ok_or_else(|| format!("no target {name:?}; there are: {}", known()))
    };
    names.iter().map(find).collect()
}

fn random() -> Result<u64, String> {
    picket_host::secrets::Key::random()
        .map(|key| key.expose().iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte)))
        .map_err(|error| error.to_string())
}

fn play(chosen: &[Target], input: &Path) -> Result<bool, String> {
    let [target] = chosen else { return Err("--input needs exactly one target".to_owned()) };
    let bytes = std::fs::read(input).map_err(|error| format!("{}: {error}", input.display()))?;
    let played = engine::play(target, &bytes);
    match &played {
        Ok(answer) => println!("{}: holds: {}", target.name, answer.words()),
        Err(broken) => println!("{}: BROKEN: {broken}", target.name),
    }
    Ok(played.is_ok())
}

fn write_seeds(chosen: &[Target], below: &Path, seeds: &Path) -> Result<(), String> {
    for target in chosen {
        let folder = below.join(target.name);
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        std::fs::create_dir_all(&folder).map_err(failed)?;
        for (number, seed) in engine::corpus(target, seeds).iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number:03}")), seed).map_err(failed)?;
        }
    }
    Ok(())
}

fn run_all(chosen: &[Target], seed: u64, until: Until, arguments: &Arguments) -> bool {
    let queue = Mutex::new(chosen.iter());
    let broken = Mutex::new(false);
    thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| {
                while let Some(target) = queue.lock().ok().and_then(|mut queue| queue.next()) {
                    let outcome = engine::run(target, seed, until, &arguments.seeds, &arguments.kept);
                    if told(target, seed, &outcome, arguments.answers)
                        && let Ok(mut broken) = broken.lock()
                    {
                        *broken = true;
                    }
                }
            });
        }
    });
    !broken.into_inner().unwrap_or(true)
}

/// Prints what came of a target; true: its property is broken.
fn told(target: &Target, seed: u64, outcome: &Outcome, answers: bool) -> bool {
    let (name, inputs, different) = (target.name, outcome.inputs, outcome.answers.len());
    println!("{name:16} {inputs:9} inputs {different:5} different answers");
    if answers {
        for (answer, count) in &outcome.answers {
            println!("    {count:9} {}", answer.words());
        }
    }
    if let Some((path, broken)) = &outcome.broken {
        let path = path.display();
        println!("{name}: BROKEN by input {inputs} of seed {seed}: {broken}");
        println!("  this input: ./tests/run fuzz --target {name} --input {path}");
        println!("  the same run: ./tests/run fuzz --target {name} --seed {seed} --inputs {inputs}");
    }
    outcome.broken.is_some()
}
