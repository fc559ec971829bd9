//! How fast and how large the `ipmi` agent is, beside the programs that people use today, all against
//! the same instant controller in the same run. It reports medians and ratios, and asserts nothing.
//!
//! `cargo bench -p picket-fence --bench agents [-- --rounds N]`, or `./tests/run bench agents`.
#![allow(clippy::unwrap_used, clippy::panic)] // a measurement: what fails here ends it

#[path = "../tests/bmc/mod.rs"]
mod bmc;

use bmc::server::Server;
use bmc::{Config, Obeys};
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
}

impl Subject {
    fn ours(name: &'static str, server: &Server, options: &str) -> Self {
        let address = server.address;
        let login = format!("ip={}\nipport={}\nusername=admin\n", address.ip(), address.port());
        let input = format!("{login}password=secret\n{}\n", options.replace(' ', "\n"));
        Self { name, program: ours(), words: vec!["ipmi".to_owned()], input }
    }

    fn ipmilan(name: &'static str, server: &Server, options: &str) -> Self {
        let ours = Self::ours(name, server, &format!("lanplus=1 cipher=3 {options}"));
        Self { program: "fence_ipmilan".to_owned(), words: Vec::new(), ..ours }
    }

    fn ipmitool(name: &'static str, server: &Server, words: &str) -> Self {
        let (ip, port) = (server.address.ip(), server.address.port());
        let line = format!("-I lanplus -C 3 -H {ip} -p {port} -U admin -P secret {words}");
        let words = line.split(' ').map(str::to_owned).collect();
        Self { name, program: "ipmitool".to_owned(), words, input: String::new() }
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
        let mut child = Command::new(&self.program)
            .args(&self.words)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(self.input.as_bytes()).unwrap();
        let status = child.wait().unwrap();
        let took = boottime() - from;
        assert!(status.success(), "{} ended with {status}", self.name);
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

/// The most memory that the agent had while it waits for a machine that does not go off.
fn memory_kib() -> Option<u64> {
    let server = Server::start(Config { obeys: Obeys::Never, ..Config::default() });
    let subject = Subject::ours("", &server, "action=off");
    let mut child = Command::new(&subject.program)
        .args(&subject.words)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(subject.input.as_bytes()).unwrap();
    assert!(server.wait_until(Duration::from_secs(20), |bmc| bmc.looks >= 4), "it does not look");
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let rounds = words.iter().position(|word| word == "--rounds").and_then(|at| words.get(at + 1));
    let rounds = rounds.map_or(ROUNDS, |number| number.parse().unwrap());
    println!("medians of {rounds} rounds, all programs in turn\n");

    let server = Server::start(Config::default());
    let subjects = [
        Subject { input: "action=metadata\n".to_owned(), ..Subject::ours("picket", &server, "") },
        Subject { input: "action=metadata\n".to_owned(), ..Subject::ipmilan("fence_ipmilan", &server, "") },
    ];
    tell("metadata", &subjects, &medians(&subjects, rounds, || {}));

    let subjects = [
        Subject::ours("picket, suite 3", &server, "cipher=3 action=status"),
        Subject::ours("picket, suite 17", &server, "action=status"),
        Subject::ipmitool("ipmitool -C 3", &server, "chassis power status"),
        Subject::ipmilan("fence_ipmilan, suite 3", &server, "action=status"),
    ];
    tell("status", &subjects, &medians(&subjects, rounds, || {}));

    let subjects = [
        Subject::ours("picket, suite 3", &server, "cipher=3 action=off"),
        Subject::ours("picket, suite 17", &server, "action=off"),
        Subject::ipmilan("fence_ipmilan, suite 3", &server, "action=off"),
        Subject::ipmilan("fence_ipmilan, power_wait=0", &server, "action=off power_wait=0"),
    ];
    let rounds = rounds.min(7);
    let power_on = || server.with(|bmc| bmc.power = true);
    tell(&format!("off, seen off ({rounds} rounds)"), &subjects, &medians(&subjects, rounds, power_on));

    match memory_kib() {
        Some(kib) => println!("memory, at most: {:.1} MiB", kib as f64 / 1024.0),
        None => println!("memory: not known here"),
    }
}
