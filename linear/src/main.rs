//! `picket-linear`: many runs, each with its verdicts.

use clap::Parser;
use picket_host::secrets::Key;
use picket_linear::check::Verdict;
use picket_linear::process::Program;
use picket_linear::run::{Checked, Kind, Report, run};
use picket_linear::site::{Failed, VOLUMES};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Looks for a history of the witness's registers that no order of single steps explains.
#[derive(Debug, Parser)]
struct Arguments {
    /// Register histories under faults, at least; each run of a witness gives six.
    #[arg(long, default_value_t = 108)]
    histories: u64,
    /// The first run's seed; none: a new one, which is printed. Each next run has the next.
    #[arg(long)]
    seed: Option<u64>,
    /// Runs at the same time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Runs with an older copy of the store, of each kind.
    #[arg(long, default_value_t = 3)]
    rollbacks: u64,
    /// The witness's program; none: beside this one.
    #[arg(long)]
    witness: Option<PathBuf>,
    /// Where histories are kept that cannot be explained.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/out/linear"))]
    kept: PathBuf,
}

/// What all runs came to.
#[derive(Debug, Default)]
struct Total {
    runs: u64,
    histories: u64,
    operations: u64,
    places: u64,
    places_max: usize,
    kills: u64,
    stops: u64,
    slow: u64,
    failed_syncs: u64,
    found: u64,
    recovered: u64,
    unresolved: u64,
    wrong: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("picket-linear: {error}");
            return ExitCode::from(2);
        }
    };
    match runtime.block_on(all(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("picket-linear: {error}");
            ExitCode::from(2)
        }
    }
}

fn program(arguments: &Arguments) -> Result<Program, Failed> {
    let witness = match &arguments.witness {
        Some(witness) => witness.clone(),
        None => std::env::current_exe()?.with_file_name("picket-witness"),
    };
    if !witness.is_file() {
        return Err(Failed(format!(
            "{}: no witness there; build it or name it with --witness",
            witness.display()
        )));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let strace = std::env::split_paths(&path).map(|folder| folder.join("strace")).find(|file| file.is_file());
    if strace.is_none() {
        println!("strace is not installed: no run has a slow or failing disk");
    }
    Ok(Program { witness, strace })
}

async fn all(arguments: &Arguments) -> Result<bool, Failed> {
    let program = Arc::new(program(arguments)?);
    let seed = match arguments.seed {
        Some(seed) => seed,
        None => Key::random()?.expose().iter().take(6).fold(0, |seed, byte| seed << 8 | u64::from(*byte)),
    };
    let runs = arguments.histories.div_ceil(VOLUMES.len() as u64);
    let kinds = (0..runs).map(|_| Kind::Faults);
    let kinds =
        kinds.chain((0..arguments.rollbacks).flat_map(|_| [Kind::RolledBack, Kind::RolledBackUnseen]));
    println!("seed {seed}");
    let (mut total, mut running) = (Total::default(), JoinSet::new());
    for (number, kind) in (seed..).zip(kinds) {
        if running.len() >= arguments.jobs.max(1) {
            total.take(
                running.join_next().await.ok_or_else(|| Failed("no run".to_owned()))??,
                &arguments.kept,
            );
        }
        let program = program.clone();
        running.spawn(async move { (number, kind, one(&program, kind, number).await) });
    }
    while let Some(ended) = running.join_next().await {
        total.take(ended?, &arguments.kept);
    }
    println!("{}", total.text());
    Ok(total.wrong.is_empty())
}

async fn one(program: &Program, kind: Kind, seed: u64) -> Result<Report, Failed> {
    let directory = tempfile::Builder::new().prefix("picket-linear-").tempdir()?;
    let report = run(program, directory.path(), kind, seed).await;
    if let Err(error) = &report {
        let log = std::fs::read_to_string(directory.path().join("witness.log")).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(5).collect();
        return Err(Failed(format!("{error}; the witness's last words, newest first: {last:?}")));
    }
    report
}

impl Total {
    fn take(&mut self, (seed, kind, report): (u64, Kind, Result<Report, Failed>), kept: &Path) {
        let report = match report {
            Ok(report) => report,
            Err(error) => {
                self.say(format!("seed {seed} ({kind:?}): {error}"));
                return;
            }
        };
        self.runs += 1;
        self.kills += report.kills;
        self.stops += report.stops;
        self.failed_syncs += report.failed_syncs;
        self.slow += u64::from(report.slow);
        self.recovered += u64::from(kind == Kind::RolledBack);
        self.unresolved += u64::from(report.unresolved);
        report.wrong.iter().for_each(|wrong| self.say(format!("seed {seed} ({kind:?}): {wrong}")));
        for checked in &report.checked {
            self.judge(seed, kind, checked, kept);
        }
    }

    fn judge(&mut self, seed: u64, kind: Kind, checked: &Checked, kept: &Path) {
        self.operations += checked.history.len() as u64;
        let volume = checked.volume;
        match (&checked.verdict, checked.expected) {
            (Verdict::Linearizable { places }, true) => {
                self.histories += u64::from(kind == Kind::Faults);
                self.places += *places as u64;
                self.places_max = self.places_max.max(*places);
            }
            (Verdict::Broken { .. }, false) => self.found += 1,
            (Verdict::Linearizable { .. }, false) => {
                self.say(format!("seed {seed} v{volume}: a register that went back in time was not found"));
            }
            (Verdict::Unknown, _) => {
                self.say(format!(
                    "seed {seed} v{volume}: {} operations are too many to search",
                    checked.history.len()
                ));
            }
            (Verdict::Broken { ordered, register }, true) => {
                let path = kept.join(format!("{seed}-v{volume}"));
                let text = explain(checked, ordered, &format!("{}", register.view));
                let written = std::fs::create_dir_all(kept).and_then(|()| std::fs::write(&path, &text));
                let place = written.map_or_else(|error| error.to_string(), |()| path.display().to_string());
                let all = checked.history.len();
                self.say(format!(
                    "seed {seed} ({kind:?}) v{volume}: NOT LINEARIZABLE: {} of {all} operations can be ordered: {place}",
                    ordered.len()
                ));
            }
        }
    }

    fn say(&mut self, wrong: String) {
        println!("{wrong}");
        self.wrong.push(wrong);
    }

    fn text(&self) -> String {
        let Self { runs, histories, operations, kills, stops, slow, failed_syncs, .. } = self;
        format!(
            "{runs} runs: {histories} register histories under faults are linearizable, {operations} operations in all\n\
             {kills} kills, {stops} stops, {slow} runs with slow syncs, {failed_syncs} failed syncs\n\
             {} places searched, {} at most for one history\n\
             an older copy of the store: {} registers found broken where nobody remembered; RECOVERY in {} of {} runs \
             where clients did ({} left to a person)\n{} wrong",
            self.places,
            self.places_max,
            self.found,
            self.recovered,
            self.recovered,
            self.unresolved,
            self.wrong.len()
        )
    }
}

/// A history in words: what could be ordered, then what could not.
fn explain(checked: &Checked, ordered: &[usize], register: &str) -> String {
    let mut text = format!("first: {}\n", checked.first.view);
    for operation in ordered.iter().filter_map(|index| checked.history.get(*index)) {
        let _ = writeln!(text, "{operation}");
    }
    let _ = writeln!(text, "then: {register}\nwhat is left:");
    let left = checked.history.iter().enumerate().filter(|(index, _)| !ordered.contains(index));
    for (_, operation) in left {
        let _ = writeln!(text, "{operation}");
    }
    text
}
