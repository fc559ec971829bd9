//! What an idle witness costs: processor time and memory of its process, as the kernel counts them.
//!
//! A virtual machine pays for each wake-up what its host makes of it, and that differs from minute to minute more than
//! programs do. So the time is told as the mean and as the least of windows of a second, beside that of a thread which
//! does nothing but answer as many messages on bare TCP connections at the same time.

use crate::Failure;
use crate::rig::{LIMIT, program};
use core::fmt;
use core::time::Duration;
use picket::demo::cluster::{Cluster, ClusterSpec, PICKETD, WITNESS, WITNESSD};
use picket_core::params::Profile;
use picket_host::clock::boottime;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

/// The nodes of the cluster.
const NODES: usize = 2;

/// About as long as a heartbeat with TLS and its frames.
const MESSAGE: [u8; 120] = [0x55; 120];

const WINDOW: Duration = Duration::from_secs(1);

/// What was used of one core, in percent.
#[derive(Clone, Copy, Debug)]
pub struct Busy {
    /// Over the whole time.
    pub mean: f64,
    /// In the window in which it was least.
    pub least: f64,
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} % of a core, {:.2} % in its cheapest second", self.mean, self.least)
    }
}

/// What idle programs use.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// The witness with one cluster of two nodes at profile `fast`.
    pub witness: Busy,
    /// The daemon of the node that holds the volume.
    pub node: Busy,
    /// A thread that answers as many messages as the witness does.
    pub echo: Busy,
    /// The witness's resident memory, in KiB.
    pub witness_kib: u64,
    /// The node daemon's resident memory, in KiB.
    pub node_kib: u64,
}

/// Watches a cluster in which nothing happens.
///
/// # Errors
/// The cluster cannot be started, or `/proc` cannot be read.
pub async fn idle(length: Duration) -> Result<Idle, Failure> {
    let spec = ClusterSpec { profile: Profile::Fast, ..ClusterSpec::new(NODES, program()?) };
    let heartbeat = Profile::Fast.params().heartbeat;
    let cluster = Cluster::start(spec).await?;
    cluster.wait_healthy(LIMIT).await?;
    let holder = cluster.wait_in_service(picket::demo::VOLUME, LIMIT).await?;
    let (witness, node) = (pid(&cluster, WITNESS, WITNESSD).await?, pid(&cluster, &holder, PICKETD).await?);
    let mut echoes = Vec::new();
    for _ in 0..NODES {
        echoes.push(echo(heartbeat)?);
    }
    let watched = [tasks_of(witness), tasks_of(node), echoes];
    let [witness_busy, node_busy, echo] = watch(&watched, length).await?;
    let (witness_kib, node_kib) = (resident_kib(witness)?, resident_kib(node)?);
    cluster.end().await?.remove()?;
    Ok(Idle { witness: witness_busy, node: node_busy, echo, witness_kib, node_kib })
}

async fn pid(cluster: &Cluster, machine: &str, program: &str) -> Result<i32, Failure> {
    let status = cluster.machine(machine)?.status().await?;
    let pid = status.program(program).and_then(|program| program.pid);
    pid.ok_or_else(|| format!("{program} does not run on {machine}").into())
}

/// A thread that answers a message each `pace`, and where its processor time is told. Both ends live until the end of
/// the process.
fn echo(pace: Duration) -> Result<String, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut asking = TcpStream::connect(listener.local_addr()?)?;
    let (mut answering, _) = listener.accept()?;
    asking.set_nodelay(true)?;
    answering.set_nodelay(true)?;
    let (told, task) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = told.send(rustix::thread::gettid().as_raw_nonzero().get());
        let mut message = MESSAGE;
        while answering.read_exact(&mut message).and_then(|()| answering.write_all(&message)).is_ok() {}
    });
    std::thread::spawn(move || {
        let mut message = MESSAGE;
        while asking.write_all(&message).and_then(|()| asking.read_exact(&mut message)).is_ok() {
            picket_host::clock::pause(pace, "the pace of heartbeats");
        }
    });
    Ok(format!("/proc/self/task/{}", task.recv()?))
}

fn tasks_of(pid: i32) -> Vec<String> {
    vec![format!("/proc/{pid}/task")]
}

/// What each of these sets of tasks used.
async fn watch<const N: usize>(sets: &[Vec<String>; N], length: Duration) -> Result<[Busy; N], Failure> {
    let used = || -> Result<Vec<u64>, Failure> { sets.iter().map(|set| used(set)).collect() };
    let mut busy = [Busy { mean: 0.0, least: f64::INFINITY }; N];
    let (from, first) = (boottime(), used()?);
    let (mut at, mut before) = (from, first.clone());
    while at - from < length {
        // The window is what is measured over.
        tokio::time::sleep(WINDOW).await;
        let (now, after) = (boottime(), used()?);
        for (place, busy) in busy.iter_mut().enumerate() {
            let of = |from: &[u64]| after.get(place).zip(from.get(place)).map_or(0, |(now, then)| now - then);
            busy.least = busy.least.min(percent(of(&before), now - at));
            busy.mean = percent(of(&first), now - from);
        }
        (at, before) = (now, after);
    }
    Ok(busy)
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of some minutes")]
fn percent(used_ns: u64, length: Duration) -> f64 {
    100.0 * used_ns as f64 / length.as_nanos() as f64
}

/// The processor time that tasks used so far, in nanoseconds; each is named by its directory in `/proc`, or by that of
/// all tasks of its process.
fn used(tasks: &[String]) -> Result<u64, Failure> {
    let mut sum = 0;
    for task in tasks {
        if let Ok(text) = fs::read_to_string(format!("{task}/schedstat")) {
            sum += ran(&text)?;
            continue;
        }
        for entry in fs::read_dir(task)? {
            sum += ran(&fs::read_to_string(entry?.path().join("schedstat"))?)?;
        }
    }
    Ok(sum)
}

/// The first number of a `schedstat`: nanoseconds on a processor.
fn ran(text: &str) -> Result<u64, Failure> {
    text.split(' ').next().and_then(|ran| ran.parse().ok()).ok_or_else(|| "a schedstat without a time".into())
}

pub(super) fn resident_kib(pid: i32) -> Result<u64, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let value = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    value.ok_or_else(|| "a status without VmRSS".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_cost() {
        let me = i32::try_from(std::process::id()).expect("a pid");
        assert!(resident_kib(me).expect("resident") > 100);
        let one = [format!("/proc/{me}/task/{me}")];
        let (before, all) = (used(&one).expect("used"), used(&tasks_of(me)).expect("used"));
        assert!(all >= before && all > 0);
        assert!(used(&tasks_of(-1)).is_err());
    }

    #[tokio::test]
    async fn what_is_busy_costs_more_than_what_answers_now_and_then() {
        let lazy = echo(Duration::from_millis(100)).expect("an echo");
        let eager = echo(Duration::from_millis(1)).expect("an echo");
        let [lazy, eager] = watch(&[vec![lazy], vec![eager]], WINDOW).await.expect("watched");
        assert!(lazy.mean < eager.mean && lazy.least <= lazy.mean * 1.001, "{lazy:?} {eager:?}");
    }
}
