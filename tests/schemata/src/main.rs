//! `picket-schemata`: judges every fault of the core that is not judged yet. See `tests/lib/mutation`, which starts it.

use clap::Parser;
use picket_schemata::book::{Book, Verdict};
use picket_schemata::compile::{Built, Tree};
use picket_schemata::list::{List, Listed, sum, sum_of_all};
use picket_schemata::real::Real;
use picket_schemata::run::{self, Said, Step};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

mod report;

/// The crate's first file, to which the module is added that knows which fault is on.
const FIRST: &str = "core/src/lib.rs";

/// What is compiled: first all is only looked at, for the errors of the compiler; then the unit tests.
const UNIT: [&[&str]; 2] = [
    &[
        "check",
        "--locked",
        "--keep-going",
        "-p",
        "picket-core",
        "-p",
        "picket-proof",
        "--lib",
        "--profile",
        "test",
    ],
    &["test", "--locked", "--no-run", "-p", "picket-core", "--lib"],
];

/// And for faults that the quick ones of these do not notice.
const CLUSTERS: &[&str] = &["build", "--locked", "-p", "picket-proof", "--bins"];

/// Unit tests that take long; all others together take a twentieth of a second, and most faults are seen by one of them.
const SLOW: [&str; 4] =
    ["witness::tests::runs::", "witness::tests::clocks::", "node::tests::table::", "witness::tests::table::"];

const ONE: &str = "--test-threads=1";

/// Random seeds of the simulator for each fault that no test noticed, and states of the model checker.
const SEEDS: &str = "100";
const STATES: &str = "5000";

/// Judges small faults in the core.
#[derive(Debug, Parser)]
struct Arguments {
    /// The folder with what cargo-mutants listed (`list.json`), the tree that it listed (`plain`), and a copy (`woven`);
    /// the results go there too.
    #[arg(long)]
    out: PathBuf,
    /// Where the trees are built.
    #[arg(long)]
    target: PathBuf,
    /// cargo-mutants.
    #[arg(long)]
    real: PathBuf,
    /// Its configuration.
    #[arg(long)]
    config: PathBuf,
    /// The document with the reasons why some faults are not noticed.
    #[arg(long)]
    reasons: PathBuf,
    /// Faults at the same time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// No new fault after so many minutes; compiling does not count.
    #[arg(long)]
    minutes: Option<u64>,
    /// Then lets cargo-mutants judge so many of the faults too, and compares.
    #[arg(long, default_value_t = 0)]
    check: usize,
    /// Which those are.
    #[arg(long)]
    seed: Option<u64>,
    /// Only tells what was found so far.
    #[arg(long)]
    report: bool,
}

struct Session {
    arguments: Arguments,
    list: List,
    book: Book,
    /// The sum of each file, and that of all code and tests.
    sums: BTreeMap<String, String>,
    all: String,
}

fn main() -> ExitCode {
    match Session::open(Arguments::parse()).and_then(Session::run) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::from(2)
        }
    }
}

impl Session {
    fn open(arguments: Arguments) -> Result<Self, String> {
        let plain = arguments.out.join("plain");
        let list = List::read(&arguments.out.join("list.json"), &plain)?;
        let book = Book::open(&arguments.out.join("results.tsv"))?;
        let sums = list.texts.iter().map(|(name, text)| (name.clone(), sum(text))).collect();
        let all = sum_of_all(&["core/src", "proof/src", "tests/scenarios"].map(|folder| plain.join(folder)))?;
        Ok(Self { arguments, list, book, sums, all })
    }

    /// Whether cargo-mutants agrees, as far as it was asked.
    fn run(mut self) -> Result<bool, String> {
        if !self.arguments.report {
            let pending: Vec<u32> = self
                .list
                .numbered()
                .filter(|(_, fault)| self.verdict(fault).is_none())
                .map(|(number, _)| number)
                .collect();
            if !pending.is_empty() {
                self.judge(&pending)?;
            }
        }
        let agreed = self.arguments.check == 0 || self.compare()?;
        self.report()?;
        Ok(agreed)
    }

    fn verdict(&self, fault: &Listed) -> Option<(Verdict, &str)> {
        let alone = self.sums.get(&fault.file)?;
        self.book.get(alone, &fault.name).or_else(|| self.book.get(&self.all, &fault.name))
    }

    fn add(&mut self, number: u32, verdict: Verdict, by: &str) -> Result<(), String> {
        let fault = self.list.get(number).ok_or("a number of no fault")?;
        let alone = self.sums.get(&fault.file).ok_or("a file of no sum")?;
        let sum = if verdict == Verdict::Survived { &self.all } else { alone };
        self.book.add(sum, &fault.name, verdict, by)
    }

    fn judge(&mut self, pending: &[u32]) -> Result<(), String> {
        let files = self.list.files(pending)?;
        println!("{} faults to judge; compiling them", pending.len());
        let root = self.arguments.out.join("woven");
        let target = self.arguments.target.join("woven");
        let tree = Tree { root: &root, target: &target, files: &files, first: FIRST };
        let mut built = tree.build(&UNIT)?;
        println!(
            "{} do not compile, {} have no place in the one text",
            built.unviable.len(),
            built.left.len()
        );
        for number in &built.unviable {
            self.add(*number, Verdict::Unviable, "the compiler")?;
        }
        let inside = |number: &&u32| !built.unviable.contains(number) && !built.left.contains(number);
        let faults: Vec<u32> = pending.iter().filter(inside).copied().collect();
        let mut quick = quick(&built, &root)?;
        run::baseline(&mut quick)?;
        let until = self.until();
        let mut missed = Vec::new();
        self.all(&quick, &faults, until, Some(&mut missed))?;
        if !missed.is_empty() {
            println!("{} are not noticed by quick tests", missed.len());
            tree.more(CLUSTERS, &mut built)?;
            let mut thorough = thorough(&built, &root)?;
            run::baseline(&mut thorough)?;
            self.all(&thorough, &missed, until, None)?;
        }
        self.the_rest(&built.left.into_iter().collect::<Vec<_>>(), until)
    }

    #[expect(clippy::disallowed_methods, reason = "how long this may run, on a machine that is awake")]
    fn until(&self) -> Option<Instant> {
        self.arguments.minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes))
    }

    /// Judges the faults; those that survive are put into the list, or written down as survivors.
    fn all(
        &mut self,
        steps: &[Step],
        faults: &[u32],
        until: Option<Instant>,
        mut missed: Option<&mut Vec<u32>>,
    ) -> Result<(), String> {
        run::all(steps, faults, self.arguments.jobs, until, |number, said, by| match (said, &mut missed) {
            (Said::Caught, _) => self.add(number, Verdict::Caught, by),
            (Said::TimedOut, _) => self.add(number, Verdict::TimedOut, by),
            (Said::Survived, Some(list)) => {
                list.push(number);
                Ok(())
            }
            (Said::Survived, None) => self.add(number, Verdict::Survived, by),
        })
    }

    /// Lets cargo-mutants judge those that are not in the one text, one compilation each. All in one call: it adds faults
    /// of its own choice to whatever it is asked for.
    #[expect(clippy::disallowed_methods, reason = "how long this may run, on a machine that is awake")]
    fn the_rest(&mut self, left: &[u32], until: Option<Instant>) -> Result<(), String> {
        if until.is_some_and(|until| Instant::now() >= until) {
            return Ok(());
        }
        let names: Vec<String> =
            left.iter().filter_map(|number| self.list.get(*number)).map(|fault| fault.name.clone()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let verdicts = self.real(&names, &["picket-core", "picket-proof"])?;
        for number in left {
            let verdict = self.list.get(*number).and_then(|fault| verdicts.get(&fault.name)).copied();
            if let Some(verdict) = verdict {
                self.add(*number, verdict, "cargo-mutants")?;
            }
        }
        Ok(())
    }

    fn real(&self, names: &[&str], packages: &[&str]) -> Result<BTreeMap<String, Verdict>, String> {
        let out = &self.arguments.out;
        let real = Real {
            program: &self.arguments.real,
            config: &self.arguments.config,
            tree: &out.join("plain"),
            target: &self.arguments.target.join("plain"),
            out: &out.join("real"),
        };
        real.judge(names, packages)
    }
}

/// The step that judges every fault.
fn quick(built: &Built, root: &Path) -> Result<Vec<Step>, String> {
    let words: Vec<&str> = SLOW.iter().flat_map(|name| ["--skip", name]).chain([ONE]).collect();
    Ok(vec![step("unit", built, "picket_core", &root.join("core"), &words)?])
}

/// The steps that judge what no quick unit test notices, those first that notice much in little time.
fn thorough(built: &Built, root: &Path) -> Result<Vec<Step>, String> {
    let (core, proof) = (root.join("core"), root.join("proof"));
    let slow: Vec<&str> = SLOW.iter().copied().chain([ONE]).collect();
    Ok(vec![
        step("scenarios", built, "sim", &proof, &["scenarios"])?,
        step("unit-slow", built, "picket_core", &core, &slow)?,
        step("model", built, "model", &proof, &["--states", STATES, "--threads", "1"])?,
        step("seeds", built, "sim", &proof, &["--seeds", SEEDS, "--threads", "1"])?,
    ])
}

fn step(
    name: &'static str,
    built: &Built,
    program: &str,
    folder: &Path,
    words: &[&str],
) -> Result<Step, String> {
    let program = built.programs.get(program).ok_or_else(|| format!("{program} was not built"))?.clone();
    let arguments = words.iter().map(|word| (*word).to_owned()).collect();
    Ok(Step { name, program, arguments, folder: folder.to_owned(), cpu_s_max: u64::MAX })
}
