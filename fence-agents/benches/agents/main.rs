//! How fast and how large our agents are, beside the programs that people use today, all against the same instant
//! controller in the same run: an IPMI controller, a Redfish service with TLS, a hypervisor by ssh. It reports medians
//! and ratios, and asserts nothing.
//!
//! `cargo bench -p picket-fence --bench agents [-- --rounds N]`, or `./tests/run bench agents`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a measurement: what fails here ends it

/// Of the Redfish service: one that `fence_redfish` can send, which knows Latin-1 only.
mod agent {
    pub(crate) const PASSWORD: &str = "s3cr3t";
}
mod ipmi;
mod libvirt;
mod redfish;

use picket_host::clock::boottime;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Rounds of each measurement, unless said otherwise: enough for a median on a busy machine.
const ROUNDS: usize = 21;

/// Something that is started over and over.
struct Subject {
    name: &'static str,
    program: String,
    words: Vec<String>,
    input: String,
    /// In front of where programs are looked up.
    path: Option<String>,
}

impl Subject {
    /// Our agent of a device, with options that are separated by blanks or line ends.
    fn ours(name: &'static str, device: &str, options: &str) -> Self {
        Self { words: vec![device.to_owned()], ..Self::theirs(name, &ours(), options) }
    }

    /// An agent of others, with the same.
    fn theirs(name: &'static str, program: &str, options: &str) -> Self {
        let input = format!("{}\n", options.replace(' ', "\n"));
        Self { name, program: program.to_owned(), words: Vec::new(), input, path: None }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.words).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        if let Some(path) = &self.path {
            command.env("PATH", format!("{path}:{}", std::env::var("PATH").unwrap_or_default()));
        }
        command
    }

    fn is_there(&self) -> bool {
        Command::new(&self.program)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok()
    }

    fn once(&self) -> Duration {
        let from = boottime();
        let mut child = self.command().spawn().unwrap();
        child.stdin.take().unwrap().write_all(self.input.as_bytes()).unwrap();
        let ended = child.wait_with_output().unwrap();
        let took = boottime() - from;
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{} ended with {}: {said}", self.name, ended.status);
        took
    }
}

fn ours() -> String {
    env!("CARGO_BIN_EXE_picket-fence").to_owned()
}

/// The medians of all subjects, which take turns, so that a busy moment hits all of them.
fn medians(subjects: &[Subject], rounds: usize, mut before: impl FnMut()) -> Vec<Option<Duration>> {
    let mut times: Vec<Vec<Duration>> = subjects.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (subject, times) in subjects.iter().zip(&mut times) {
            if subject.is_there() {
                before();
                times.push(subject.once());
            }
        }
    }
    times
        .into_iter()
        .map(|mut times| {
            times.sort();
            times.get(times.len() / 2).copied()
        })
        .collect()
}

fn tell(title: &str, subjects: &[Subject], medians: &[Option<Duration>]) {
    println!("{title}");
    let first = medians.first().copied().flatten();
    for (subject, median) in subjects.iter().zip(medians) {
        let Some(median) = median else {
            println!("  {:<34} not installed", subject.name);
            continue;
        };
        let ratio = first.map_or(f64::NAN, |first| median.as_secs_f64() / first.as_secs_f64());
        println!("  {:<34} {:>9.2} ms   {ratio:>7.2} × ours", subject.name, median.as_secs_f64() * 1e3);
    }
}

/// What each agent is asked, and how often.
struct Plan {
    rounds: usize,
}

impl Plan {
    fn compare(&self, title: &str, subjects: &[Subject], before: impl FnMut()) {
        tell(title, subjects, &medians(subjects, self.rounds, before));
    }

    /// For what takes seconds elsewhere.
    fn compare_slow(&self, title: &str, subjects: &[Subject], before: impl FnMut()) {
        let rounds = self.rounds.min(7);
        tell(&format!("{title} ({rounds} rounds)"), subjects, &medians(subjects, rounds, before));
    }
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let rounds = words.iter().position(|word| word == "--rounds").and_then(|at| words.get(at + 1));
    let plan = Plan { rounds: rounds.map_or(ROUNDS, |number| number.parse().unwrap()) };
    println!("medians of {} rounds, all programs in turn\n", plan.rounds);
    ipmi::measure(&plan);
    redfish::measure(&plan);
    libvirt::measure(&plan);
}
