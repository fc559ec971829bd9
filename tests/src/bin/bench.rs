//! `bench`: fail-over times, what an idle witness costs, and the same faults on others' products.
//!
//! It ends with one table in Markdown. Targets are reported as reached or not; nothing is asserted about times.

use clap::Parser;
use core::time::Duration;
use picket_tests::Failure;
use picket_tests::bench::failover::{ACTS, failover};
use picket_tests::bench::{Row, Table, Unit, cost, peers, register, sessions};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// What can be measured.
const PARTS: [&str; 7] = ["failover", "etcd", "vrrp", "pacemaker", "register", "cost", "memory"];

/// Clusters over which the memory of one is averaged.
const CLUSTERS: usize = 100;

/// Fail-over times, beside others'.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench")]
struct Words {
    /// Rounds of each act.
    #[arg(long, default_value_t = 30)]
    rounds: usize,
    /// Rounds of what takes microseconds.
    #[arg(long, default_value_t = 500)]
    small_rounds: usize,
    /// Only these parts.
    #[arg(value_parser = PARTS)]
    parts: Vec<String>,
    /// For how many seconds the idle witness is watched.
    #[arg(long, default_value_t = 30)]
    idle: u64,
    /// A directory on a real disk, for the store.
    #[arg(long, default_value = "tests/out/bench")]
    dir: PathBuf,
    /// This program is the echo on a machine of this name.
    #[arg(long, hide = true)]
    echo: Option<String>,
    /// This program has a network of its own and measures this there.
    #[arg(long, hide = true)]
    here: Option<Here>,
}

/// What is measured in a network and in mounts of its own, so that nothing of the host's is touched.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Here {
    Vrrp,
    Pacemaker,
}

impl Here {
    const fn word(self) -> &'static str {
        match self {
            Self::Vrrp => "vrrp",
            Self::Pacemaker => "pacemaker",
        }
    }

    const fn what(self) -> &'static str {
        match self {
            Self::Vrrp => "keepalived: an address by VRRP every 0.1 s, the active machine is cut off",
            Self::Pacemaker => {
                "Pacemaker, corosync (token 1 s) and qdevice: an address, the active machine dies, a device proves it"
            }
        }
    }
}

fn main() -> ExitCode {
    let words = Words::parse();
    let done = match (&words.echo, words.here) {
        (Some(name), _) => peers::echo(name),
        (None, Some(here)) => measure_here(here, words.rounds),
        (None, None) => all(&words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all(words: &Words) -> Result<(), Failure> {
    let is_asked = |part: &str| words.parts.is_empty() || words.parts.iter().any(|asked| asked == part);
    let dir = fs::create_dir_all(&words.dir).and_then(|()| fs::canonicalize(&words.dir))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut table = Table::default();
    let mut left_out = Vec::new();
    println!("{}", host());
    if is_asked("failover") {
        for (profile, act, target) in ACTS {
            table.add(runtime.block_on(failover(profile, act, target, words.rounds))?);
        }
    }
    if is_asked("etcd") {
        match runtime.block_on(peers::etcd(words.rounds)) {
            Ok(row) => table.add(row),
            Err(why) => left_out.push(format!("etcd: {why}")),
        }
    }
    for part in [Here::Vrrp, Here::Pacemaker] {
        if is_asked(part.word()) {
            match measure_apart(part, words.rounds) {
                Ok(row) => table.add(row),
                Err(why) => left_out.push(format!("{}: {why}", part.word())),
            }
        }
    }
    if is_asked("register") {
        table.add(register::store(&dir, words.small_rounds)?);
        for row in runtime.block_on(register::witness(&dir, words.small_rounds))? {
            table.add(row);
        }
    }
    println!("\n{table}");
    if is_asked("cost") {
        let idle = runtime.block_on(cost::idle(Duration::from_secs(words.idle)))?;
        for (what, busy, kib) in [
            ("witness, one cluster of two nodes", idle.witness, idle.witness_kib),
            ("node daemon, holding", idle.node, idle.node_kib),
        ] {
            println!("idle {what}: {busy}, {} MiB resident, over {} s", kib / 1024, words.idle);
        }
        println!("threads that answer as many messages on bare TCP: {}", idle.echo);
    }
    if is_asked("memory") {
        let memory = runtime.block_on(sessions::memory(&dir, CLUSTERS))?;
        let sessions::Memory { tls_kib, beyond_kib } = memory;
        println!(
            "memory of a cluster of two nodes: {beyond_kib:.0} KiB, and {tls_kib:.0} KiB of TLS's own ({CLUSTERS} clusters)"
        );
    }
    left_out.iter().for_each(|why| println!("LEFT OUT {why}"));
    println!("{}", host());
    Ok(())
}

/// What it was measured on, and how busy that was.
fn host() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let cpu = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    let (kernel, load) = (read("/proc/sys/kernel/osrelease"), read("/proc/loadavg"));
    let cpu = cpu.map_or("unknown processor", |(_, name)| name);
    format!("{count} × {cpu}, Linux {}, load {}", kernel.trim(), load.trim())
}

fn measure_apart(part: Here, rounds: usize) -> Result<Row, Failure> {
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "--mount", "--propagation", "private", "--"]).arg(std::env::current_exe()?);
    unshare.args(["--here", part.word(), "--rounds", &rounds.to_string()]);
    let ended = unshare.output()?;
    if !ended.status.success() {
        return Err(String::from_utf8_lossy(&ended.stderr).trim().to_owned().into());
    }
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    let values: Vec<u64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    Ok(Row { what: part.what().into(), unit: Unit::Ms, values, target: None })
}

fn measure_here(part: Here, rounds: usize) -> Result<(), Failure> {
    let me = std::env::current_exe()?.display().to_string();
    let echo = [me.as_str(), "--echo"];
    let values = match part {
        Here::Vrrp => peers::vrrp(rounds, &echo)?,
        Here::Pacemaker => peers::pacemaker(rounds, &echo)?,
    };
    values.iter().for_each(|value| println!("{value}"));
    Ok(())
}
