//! `chaos`: every pattern of cut links with every blow at every process, and storms, on real processes.
//!
//! Without words: a fixed sample. With `--all`: every case, in shards, taken up again where it was broken off. Each
//! case that was not as it should be prints how to play it again.

use clap::Parser;
use core::time::Duration;
use picket::demo::StallWatch;
use picket::demo::VOLUME;
use picket::demo::cluster::node_name;
use picket_host::clock::boottime;
use picket_tests::Failure;
use picket_tests::chaos::{Book, Case, Played, all, play, sample, spec, storm};
use picket_tests::dice::Dice;
use picket_tests::rig::{Rig, program};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinSet;

/// A cluster is used for so many cases: what it was acknowledged is compared anew after each of them.
const CASES_EACH_MAX: usize = 60;

/// After so many findings a run ends: they have one cause by then.
const FINDINGS_MAX: usize = 10;

/// Cases with every pattern of links, with every blow, with storms.
#[derive(Clone, Debug, Parser)]
#[command(name = "chaos")]
struct Words {
    /// Play every case that was not played yet with this build.
    #[arg(long)]
    all: bool,
    /// Only these of all cases, `1/4` to `4/4`.
    #[arg(long, value_parser = shard, default_value = "1/1")]
    shard: (usize, usize),
    /// Forget what was played.
    #[arg(long)]
    fresh: bool,
    /// Play this case, for example c21-kill:holder-n1. May be given again.
    #[arg(long = "case")]
    cases: Vec<Case>,
    /// Play the storm of this seed. May be given again.
    #[arg(long = "storm")]
    storms: Vec<u64>,
    /// How many cases of the sample.
    #[arg(long, default_value_t = 105)]
    sample: usize,
    /// How many storms after the cases.
    #[arg(long, default_value_t = 4)]
    random: usize,
    /// How many faults in a storm.
    #[arg(long, default_value_t = 40)]
    faults: u32,
    /// The seed of sample and storms.
    #[arg(long, env = "PICKET_SEED", default_value_t = 20_261_121)]
    seed: u64,
    /// How many clusters at a time.
    #[arg(long, default_value_t = 3)]
    jobs: usize,
    /// Begin nothing new after so long.
    #[arg(long)]
    minutes: Option<u64>,
    /// Where is written down what was played.
    #[arg(long, default_value = "tests/out/chaos")]
    dir: PathBuf,
}

fn shard(text: &str) -> Result<(usize, usize), String> {
    let parsed = text.split_once('/').and_then(|(at, of)| Some((at.parse().ok()?, of.parse().ok()?)));
    parsed
        .filter(|(at, of)| (1..=*of).contains(at))
        .ok_or_else(|| format!("{text:?} is no shard such as 1/4"))
}

/// What the jobs share.
struct Work {
    words: Words,
    cases: Vec<Case>,
    storms: Vec<u64>,
    book: Book,
    findings: Vec<String>,
    played: usize,
    until: Option<Duration>,
}

type Shared = Arc<Mutex<Work>>;

fn work(shared: &Shared) -> std::sync::MutexGuard<'_, Work> {
    // Every change is whole by itself.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn main() -> ExitCode {
    let words = Words::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.map_err(Failure::from).and_then(|runtime| runtime.block_on(run(words))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(words: Words) -> Result<bool, Failure> {
    let from = boottime();
    let jobs = words.jobs.max(1);
    let planned = plan(words)?;
    let (cases, storms, seed) = (planned.cases.len(), planned.storms.len(), planned.words.seed);
    println!("{cases} cases and {storms} storms, {jobs} clusters at a time; seed {seed}");
    let shared = Arc::new(Mutex::new(planned));
    let mut running = JoinSet::new();
    for _ in 0..jobs {
        running.spawn(job(Arc::clone(&shared)));
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    let work = work(&shared);
    let seconds = boottime().saturating_sub(from).as_secs();
    println!(
        "{} played in {seconds} s, {} left, {} of all {} judged with this build; {} findings",
        work.played,
        work.cases.len() + work.storms.len(),
        work.book.count(),
        all().len(),
        work.findings.len()
    );
    for finding in &work.findings {
        println!("{finding}");
    }
    Ok(work.findings.is_empty())
}

fn plan(words: Words) -> Result<Work, Failure> {
    let book = Book::open(&words.dir.join("book"), &program()?, words.fresh)?;
    let asked = !words.cases.is_empty() || !words.storms.is_empty();
    let (at, of) = words.shard;
    let mut cases = if asked {
        words.cases.clone()
    } else if words.all {
        let mine = all().into_iter().enumerate().filter(|(number, _)| number % of == at - 1);
        mine.map(|(_, case)| case).filter(|case| !book.has(case)).collect()
    } else {
        sample(words.seed, words.sample)
    };
    if words.all {
        // A run that is broken off has seen something of everything.
        Dice::new(words.seed).shuffle(&mut cases);
    }
    let mut dice = Dice::new(words.seed);
    let drawn = (0..words.random).map(|_| dice.below(1 << 32)).collect();
    let storms = if asked { words.storms.clone() } else { drawn };
    let until = words.minutes.map(|minutes| boottime() + Duration::from_secs(60 * minutes));
    Ok(Work { words, cases, storms, book, findings: Vec::new(), played: 0, until })
}

/// Plays what is left, one thing after the other.
async fn job(shared: Shared) -> Result<(), Failure> {
    let mut rig: Option<Rig> = None;
    let mut used = 0;
    loop {
        let holder = rig.as_ref().and_then(|rig| rig.cluster.view().borrow().in_service(VOLUME));
        let Some(case) = next_case(&shared, holder.as_deref()) else { break };
        if used >= CASES_EACH_MAX
            && let Some(old) = rig.take()
        {
            old.end().await?;
        }
        let mut playing = match rig.take() {
            Some(rig) => rig,
            None => {
                used = 0;
                Rig::start(spec()?).await?
            }
        };
        used += 1;
        rig = match attempt(&mut playing, case).await {
            Ok(()) => {
                let mut work = work(&shared);
                work.book.add(case)?;
                work.played += 1;
                Some(playing)
            }
            Err(played) => {
                let kept = playing.keep().await?;
                let text = format!(
                    "{played}\n  rerun: ./tests/run chaos --case {case}\n  files: {}",
                    kept.display()
                );
                note(&shared, format!("FAILED {case}: {text}"));
                None
            }
        };
    }
    if let Some(rig) = rig {
        rig.end().await?;
    }
    while let Some((seed, faults)) = next_storm(&shared) {
        match storm(seed, faults).await {
            Ok(hit) => {
                println!("ok storm {seed}: {hit} of {faults} faults hit something");
                work(&shared).played += 1;
            }
            Err(played) => {
                let rerun = format!("./tests/run chaos --storm {seed} --faults {faults}");
                note(&shared, format!("FAILED storm {seed}: {played}\n  rerun: {rerun}"));
            }
        }
    }
    Ok(())
}

/// Plays a case; once more if the host stood still meanwhile and the checker has found nothing: then the daemons
/// rightly took each other for dead.
async fn attempt(rig: &mut Rig, case: Case) -> Result<(), Played> {
    let stall = StallWatch::start();
    let from = boottime();
    let mut played = play(rig, case).await;
    if let (Err(Played::Unexpected(why)), Some(stalled)) = (&played, stall.take()) {
        println!("{case}: once more, the host stood still for {} ms: {why}", stalled.as_millis());
        rig.heal().await.map_err(Played::Unexpected)?;
        played = play(rig, case).await;
    }
    if played.is_ok() {
        let seconds = boottime().saturating_sub(from).as_secs_f32();
        println!("ok {case:32} {seconds:5.1} s, {} acknowledgements judged", rig.judged());
    }
    played
}

/// The next case, preferably one with the holder that is there already.
fn next_case(shared: &Shared, holder: Option<&str>) -> Option<Case> {
    let mut work = work(shared);
    if is_over(&work) {
        return None;
    }
    let fits = |case: &Case| holder == Some(node_name(usize::from(case.holder)).as_str());
    let at = work.cases.iter().position(fits).unwrap_or(0);
    (at < work.cases.len()).then(|| work.cases.remove(at))
}

fn next_storm(shared: &Shared) -> Option<(u64, u32)> {
    let mut work = work(shared);
    if is_over(&work) {
        return None;
    }
    let faults = work.words.faults;
    work.storms.pop().map(|seed| (seed, faults))
}

fn is_over(work: &Work) -> bool {
    work.findings.len() >= FINDINGS_MAX || work.until.is_some_and(|until| boottime() >= until)
}

fn note(shared: &Shared, finding: String) {
    println!("{finding}");
    let mut work = work(shared);
    work.played += 1;
    work.findings
        .push(finding.lines().filter(|line| !line.starts_with("    ")).collect::<Vec<&str>>().join("\n"));
}
