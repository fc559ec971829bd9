//! Runs tests with one fault after the other.

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::time::Instant;

/// Kilobytes of addresses that a test program may have; without a fault it takes a hundredth.
const MEMORY_KB_MAX: u32 = 4_000_000;

/// With a fault, tests may take so many times the processor time that they take without, and this much in any case.
const SLOWER_MAX: u64 = 10;
const CPU_S_MIN: u64 = 2;

/// That limit holds on a busy machine too. This one is for a program that waits, and for nothing else.
const WAIT: &str = "600";

/// What `timeout` and the shell say if the program was killed, as the limits do.
const KILLED: i32 = 128 + SIGKILL;
const SIGKILL: i32 = 9;
/// What they say when there was nothing to run.
const NO_PROGRAM: [i32; 3] = [125, 126, 127];

/// Tests that judge a fault.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it is called in the results.
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
    /// What it is given.
    pub arguments: Vec<String>,
    /// Where it runs.
    pub folder: PathBuf,
    /// Seconds of processor time after which it is ended.
    pub cpu_s_max: u64,
}

/// What the tests said about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Some test failed, or the program crashed.
    Caught,
    /// They did not come to their end.
    TimedOut,
    /// All passed.
    Survived,
}

/// What one step said about a fault, nought being none.
///
/// # Errors
/// The program could not be run.
pub fn ask(step: &Step, fault: u32) -> Result<Said, String> {
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "ulimit -v {MEMORY_KB_MAX}; ulimit -t {}; exec timeout -s KILL {WAIT} \"$@\"",
            step.cpu_s_max
        ))
        .arg("sh")
        .arg(&step.program)
        .args(&step.arguments)
        .current_dir(&step.folder)
        .env("PICKET_FAULT", fault.to_string())
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|error| format!("sh: {error}"))?;
    match status.code() {
        Some(0) => Ok(Said::Survived),
        Some(KILLED) => Ok(Said::TimedOut),
        None if status.signal() == Some(SIGKILL) => Ok(Said::TimedOut),
        Some(code) if NO_PROGRAM.contains(&code) => Err(format!("{} did not run", step.program.display())),
        _ => Ok(Said::Caught),
    }
}

/// Runs the steps without a fault, where they must pass, and sets their limits by that.
///
/// # Errors
/// A step fails without a fault.
pub fn baseline(steps: &mut [Step]) -> Result<(), String> {
    for step in steps {
        step.cpu_s_max = 600;
        #[expect(clippy::disallowed_methods, reason = "how long a program runs, on a machine that is awake")]
        let began = Instant::now();
        if ask(step, 0)? != Said::Survived {
            return Err(format!("without a fault, this fails: {step:?}"));
        }
        println!("without a fault: {} {:.2} s", step.name, began.elapsed().as_secs_f64());
        step.cpu_s_max = began.elapsed().as_secs() * SLOWER_MAX + CPU_S_MIN;
    }
    Ok(())
}

/// Asks the steps, in order, until one says something else than "survived".
fn judge(steps: &[Step], fault: u32) -> Result<(Said, &'static str), String> {
    for step in steps {
        let said = ask(step, fault)?;
        if said != Said::Survived {
            return Ok((said, step.name));
        }
    }
    Ok((Said::Survived, "all"))
}

/// Judges the faults, so many at a time, and tells of each as soon as it is known. Starts none when the time is over.
///
/// # Errors
/// A program could not be run.
pub fn all(
    steps: &[Step],
    faults: &[u32],
    jobs: usize,
    until: Option<Instant>,
    mut tell: impl FnMut(u32, Said, &'static str) -> Result<(), String>,
) -> Result<(), String> {
    let queue = Mutex::new(faults.iter().copied().collect::<VecDeque<u32>>());
    #[expect(clippy::disallowed_methods, reason = "how long this has run, on a machine that is awake")]
    let next = || {
        let mut queue = queue.lock().ok()?;
        if until.is_some_and(|until| Instant::now() >= until) {
            queue.clear();
        }
        queue.pop_front()
    };
    std::thread::scope(|scope| {
        let (say, said) = mpsc::channel();
        for _ in 0..jobs {
            let (say, next) = (say.clone(), &next);
            scope.spawn(move || {
                while let Some(fault) = next() {
                    let answer = judge(steps, fault).map(|(said, by)| (fault, said, by));
                    if say.send(answer).is_err() {
                        return;
                    }
                }
            });
        }
        drop(say);
        said.iter().try_for_each(|answer| answer.and_then(|(fault, said, by)| tell(fault, said, by)))
    })
}
