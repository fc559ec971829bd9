//! `picket-linear`: many runs, each with its verdicts.

use clap::Parser;
use core::cell::Cell;
use core::time::Duration;
use picket_host::clock::boottime;
use picket_host::secrets::Key;
use picket_linear::check::Verdict;
use picket_linear::deep::{GOAL, ROLLBACK_EVERY, State};
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
    /// Runs that add up in the state file, until so many minutes are over or the goal is reached.
    #[arg(long)]
    minutes: Option<u64>,
    /// What all runs with --minutes came to.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/out/linear-deep.state"))]
    state: PathBuf,
    /// The witness's program; none: beside this one.
    #[arg(long)]
    witness: Option<PathBuf>,
    /// Where histories are kept that cannot be explained.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/out/linear"))]
    kept: PathBuf,
}

/// Runs with an older copy of the store.
const ROLLBACKS: [Kind; 2] = [Kind::RolledBack, Kind::RolledBackUnseen];

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
    /// Runs in which the clients remembered more than the older copy knew.
    older: u64,
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
    println!("seed {seed}");
    match arguments.minutes {
        None => {
            let runs = arguments.histories.div_ceil(VOLUMES.len() as u64);
            let kinds = (0..runs).map(|_| Kind::Faults);
            let rollbacks = (0..arguments.rollbacks).flat_map(|_| ROLLBACKS);
            let total = many(arguments, &program, (seed..).zip(kinds.chain(rollbacks)), |_| Ok(())).await?;
            println!("{}", total.text());
            Ok(total.wrong.is_empty())
        }
        Some(minutes) => add_up(arguments, &program, seed, Duration::from_secs(60 * minutes)).await,
    }
}

/// Runs that add up over calls.
async fn add_up(
    arguments: &Arguments,
    program: &Arc<Program>,
    seed: u64,
    length: Duration,
) -> Result<bool, Failed> {
    let path = &arguments.state;
    let before = State::read(path, &program.witness)?;
    let until = boottime() + length;
    let left = Cell::new(GOAL.saturating_sub(before.of_program));
    let one_of = |number: u64| match number % ROLLBACK_EVERY {
        0 => Kind::RolledBack,
        1 => Kind::RolledBackUnseen,
        _ => Kind::Faults,
    };
    let kinds = (0..).map(one_of).take_while(|_| left.get() > 0 && boottime() < until);
    let mut state = before.clone();
    let total = many(arguments, program, (seed..).zip(kinds), |total| {
        state = total.added_to(&before);
        left.set(GOAL.saturating_sub(state.of_program));
        Ok(state.write(path)?)
    })
    .await?;
    println!("{}", total.text());
    let State { of_program, histories, operations, kills, stops, found, .. } = &state;
    println!(
        "in all: {of_program} histories of this program, of {GOAL}; {histories} of all programs with {operations} \
         operations, {kills} kills, {stops} stops; {found} registers that went back in time found"
    );
    let wrong = state.wrong.iter().filter(|(program, _)| *program == state.program).count();
    state.wrong.iter().for_each(|(program, what)| println!("wrong with program {program:08x}: {what}"));
    println!("{wrong} wrong with this program");
    Ok(wrong == 0)
}

/// Several runs at a time; `done` is told after each.
async fn many(
    arguments: &Arguments,
    program: &Arc<Program>,
    runs: impl Iterator<Item = (u64, Kind)>,
    mut done: impl FnMut(&Total) -> Result<(), Failed>,
) -> Result<Total, Failed> {
    let (mut total, mut running) = (Total::default(), JoinSet::new());
    for (number, kind) in runs {
        if running.len() >= arguments.jobs.max(1) {
            let ended = running.join_next().await.ok_or_else(|| Failed("no run".to_owned()))??;
            total.take(ended, &arguments.kept);
            done(&total)?;
        }
        let program = program.clone();
        running.spawn(async move { (number, kind, one(&program, kind, number).await) });
    }
    while let Some(ended) = running.join_next().await {
        total.take(ended?, &arguments.kept);
        done(&total)?;
    }
    total.judge_recoveries();
    Ok(total)
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
    /// All runs' counts with those of this call.
    fn added_to(&self, before: &State) -> State {
        let mut state = before.clone();
        state.of_program += self.histories;
        state.histories += self.histories;
        state.operations += self.operations;
        state.kills += self.kills;
        state.stops += self.stops;
        state.found += self.found;
        state.wrong.extend(self.wrong.iter().map(|what| (state.program, what.clone())));
        state
    }

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
        self.older += u64::from(report.older);
        self.recovered += u64::from(report.recovered);
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

    /// No two of these clients claim to hold a volume with one epoch, so their claims agree and a recovery ends by
    /// itself. One on a machine that is too slow for the time that is waited is excused, and one in ten of many.
    fn judge_recoveries(&mut self) {
        let (unresolved, older) = (self.unresolved, self.older);
        if unresolved > 1 + older / 10 {
            self.say(format!("{unresolved} of {older} recoveries were left to a person"));
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
            self.older,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recoveries_that_never_end_are_no_success() {
        let wrong = |unresolved, older| {
            let mut total = Total { unresolved, older, recovered: older, ..Total::default() };
            total.judge_recoveries();
            !total.wrong.is_empty()
        };
        assert!(!wrong(0, 5) && !wrong(1, 5) && !wrong(11, 100));
        assert!(wrong(2, 2) && wrong(5, 5) && wrong(12, 100));
    }

    #[test]
    fn a_recovery_counts_that_took_place() {
        let mut total = Total::default();
        let report = Report { older: true, recovered: false, ..Report::default() };
        total.take((1, Kind::RolledBack, Ok(report)), Path::new("/nowhere"));
        assert!(total.text().contains("RECOVERY in 0 of 1 runs"), "{}", total.text());
    }
}
