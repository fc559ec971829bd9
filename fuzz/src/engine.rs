//! Running one target for some time, and playing one input.

use crate::mutate::mutant;
use crate::rng::Rng;
use crate::target::{Answer, Target};
use core::time::Duration;
use picket_host::clock::boottime;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs, panic, process};

#[cfg(test)]
mod tests;

/// Inputs that are mutated, at most: more of them only take turns away from those that led somewhere.
const CORPUS_MAX: usize = 2000;

/// Kept inputs are not longer: a mutant of a long input mostly changes what nobody reads.
const KEPT_BYTES_MAX: usize = 8 * 1024;

/// One input that takes longer has found a loop. Ten thousand times what the slowest target needs.
const INPUT_TIME_MAX: Duration = Duration::from_secs(30);

/// When to end.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so long.
    Time(Duration),
    /// After so many inputs; the run is then the same everywhere.
    Inputs(u64),
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Inputs that were played.
    pub inputs: u64,
    /// Different answers, each with how often it was given.
    pub answers: BTreeMap<Answer, u64>,
    /// The first input that broke the property, where it is kept, and how.
    pub broken: Option<(PathBuf, String)>,
}

thread_local! {
    /// What this thread plays, for the panic hook.
    static PLAYING: RefCell<Option<(&'static str, Vec<u8>)>> = const { RefCell::new(None) };
    /// The run that it belongs to, and the input's number in it.
    static RUN: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
}

/// Has a panic keep the input that caused it, below `kept`. Panics end the process.
pub fn keep_what_panics(kept: &Path) {
    let before = panic::take_hook();
    let kept = kept.to_owned();
    panic::set_hook(Box::new(move |info| {
        PLAYING.with_borrow(|playing| {
            if let Some((name, input)) = playing {
                let path = keep(&kept, name, input);
                eprintln!("{name}: panicked; the input is in {}", path.display());
                if let Some((seed, inputs)) = RUN.get() {
                    eprintln!("  again: ./tests/run fuzz --target {name} --seed {seed} --inputs {inputs}");
                }
            }
        });
        before(info);
    }));
}

/// Plays one input.
///
/// # Errors
/// The property that it breaks.
pub fn play(target: &Target, input: &[u8]) -> Result<Answer, String> {
    PLAYING.with_borrow_mut(|playing| *playing = Some((target.name, input.to_vec())));
    let answer = (target.check)(input).map_err(|broken| broken.to_string());
    PLAYING.with_borrow_mut(|playing| *playing = None);
    answer
}

/// Runs a target: its own seeds and those below `seeds` first, then mutants.
#[must_use]
pub fn run(target: &Target, seed: u64, until: Until, seeds: &Path, kept: &Path) -> Outcome {
    run_within(target, seed, until, seeds, kept, INPUT_TIME_MAX)
}

/// The same with another longest time for one input.
fn run_within(
    target: &Target,
    seed: u64,
    until: Until,
    seeds: &Path,
    kept: &Path,
    input_time_max: Duration,
) -> Outcome {
    let mut rng = Rng::new(seed ^ u64::from(crc32c::crc32c(target.name.as_bytes())));
    let mut outcome = Outcome { inputs: 0, answers: BTreeMap::new(), broken: None };
    let mut corpus = corpus(target, seeds);
    let own = corpus.clone();
    let started = boottime();
    let watch = Watch::start(target.name, kept, input_time_max);
    for number in 0.. {
        let is_over = match until {
            Until::Time(length) => boottime().saturating_sub(started) >= length,
            Until::Inputs(inputs) => number >= inputs,
        };
        let input = match usize::try_from(number).ok().and_then(|number| own.get(number)) {
            Some(own) => own.clone(),
            None if is_over => break,
            None => mutant(&mut rng, &corpus, target.words),
        };
        outcome.inputs += 1;
        RUN.set(Some((seed, outcome.inputs)));
        watch.begin(&input);
        let answer = match play(target, &input) {
            Ok(answer) => answer,
            Err(broken) => {
                outcome.broken = Some((keep(kept, target.name, &input), broken));
                break;
            }
        };
        let count = outcome.answers.entry(answer).or_default();
        *count += 1;
        if *count == 1 && corpus.len() < CORPUS_MAX && input.len() <= KEPT_BYTES_MAX {
            corpus.push(input);
        }
    }
    watch.end();
    RUN.set(None);
    outcome
}

/// The target's own seeds and the files of its folder, in the order of their names.
#[must_use]
pub fn corpus(target: &Target, seeds: &Path) -> Vec<Vec<u8>> {
    let mut corpus = (target.seeds)();
    let listed = fs::read_dir(seeds.join(target.name)).into_iter().flatten().flatten();
    let mut paths: Vec<_> = listed.map(|entry| entry.path()).collect();
    paths.sort();
    corpus.extend(paths.iter().filter_map(|path| fs::read(path).ok()));
    corpus
}

/// Keeps an input under its checksum.
fn keep(kept: &Path, name: &str, input: &[u8]) -> PathBuf {
    let path = kept.join(format!("{name}-{:08x}", crc32c::crc32c(input)));
    let written = fs::create_dir_all(kept).and_then(|()| fs::write(&path, input));
    if let Err(error) = written {
        eprintln!("{}: {error}; the input in hexadecimal: {}", path.display(), hex(input));
    }
    path
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sees an input that never ends: from another thread, because the one that plays is busy with it.
struct Watch {
    shared: std::sync::Arc<Shared>,
}

struct Shared {
    /// When the present input began, in nanoseconds since the boot, plus 1; 0: over.
    began: AtomicU64,
    input: std::sync::Mutex<Vec<u8>>,
}

impl Watch {
    fn start(name: &'static str, kept: &Path, input_time_max: Duration) -> Self {
        let shared = std::sync::Arc::new(Shared {
            began: AtomicU64::new(nanos(boottime())),
            input: std::sync::Mutex::default(),
        });
        let (watched, kept) = (shared.clone(), kept.to_owned());
        std::thread::spawn(move || {
            loop {
                picket_host::clock::pause(input_time_max / 30, "looks whether an input has come to its end");
                let began = watched.began.load(Ordering::Relaxed);
                if began == 0 {
                    return;
                }
                if nanos(boottime()).saturating_sub(began) > nanos(input_time_max) {
                    let input = watched.input.lock().map(|input| input.clone()).unwrap_or_default();
                    let path = keep(&kept, name, &input);
                    eprintln!("{name}: an input does not come to its end; it is in {}", path.display());
                    process::exit(1);
                }
            }
        });
        Self { shared }
    }

    fn begin(&self, input: &[u8]) {
        if let Ok(mut kept) = self.shared.input.lock() {
            kept.clear();
            kept.extend_from_slice(input);
        }
        self.shared.began.store(nanos(boottime()), Ordering::Relaxed);
    }

    fn end(&self) {
        self.shared.began.store(0, Ordering::Relaxed);
    }
}

fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX).saturating_add(1)
}
