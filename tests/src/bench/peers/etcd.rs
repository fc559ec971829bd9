//! etcd: a key with a lease of one second whose holder is killed; how long until another one holds it.
//!
//! What happens in that time: the lease runs out, the key is deleted, the one that watches it writes its own. What
//! does not: nobody makes sure that the old holder has stopped, no device is asked, no volume is promoted. Compared
//! with it is the fail-over by lease.
//!
//! One member, with its data in memory, on loopback: the fastest that it can be. Its election timeout is lowered to
//! 500 ms, because etcd grants no lease shorter than one and a half of them, and the default would make two seconds
//! of one.

use super::super::table::{Row, Unit};
use crate::Failure;
use crate::rig::LIMIT;
use picket_host::clock::boottime;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// How often a server that does not listen yet is asked.
const ASKED_MAX: usize = 200;

/// The key that is fought for.
const KEY: &str = "picket-bench";

/// One that holds the key or waits for it: `etcdctl lock`, which writes a line once it holds it.
struct Holder {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Holder {
    fn start(endpoint: &str) -> Result<Self, Failure> {
        let mut command = Command::new("etcdctl");
        command.args(["--endpoints", endpoint, "lock", "--ttl", "1", KEY]).env("ETCDCTL_API", "3");
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
        let output = process.stdout.take().ok_or("etcdctl has no output")?;
        Ok(Self { process, lines: BufReader::new(output).lines() })
    }

    async fn holds(&mut self) -> Result<(), Failure> {
        match timeout(LIMIT, self.lines.next_line()).await {
            Ok(Ok(Some(_))) => Ok(()),
            other => Err(format!("the key was not got: {other:?}").into()),
        }
    }
}

/// So many holders are killed.
///
/// # Errors
/// etcd is not installed, or the key did not pass on.
pub async fn etcd(rounds: usize) -> Result<Row, Failure> {
    let dir = std::env::temp_dir().join(format!("picket-etcd-{}", std::process::id()));
    let memory = PathBuf::from("/dev/shm");
    let dir = if memory.is_dir() { memory.join(dir.file_name().unwrap_or_default()) } else { dir };
    let (mut server, endpoint) = start(&dir)?;
    let done = play(&endpoint, rounds).await;
    server.kill().await?;
    std::fs::remove_dir_all(&dir)?;
    let what = "etcd: a lease of 1 s, its holder is killed, another takes the key".into();
    Ok(Row { what, unit: Unit::Ms, values: done?, target: None })
}

fn start(dir: &Path) -> Result<(Child, String), Failure> {
    let port = || -> Result<u16, Failure> { Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port()) };
    let (clients, peers) = (format!("http://127.0.0.1:{}", port()?), format!("http://127.0.0.1:{}", port()?));
    let mut command = Command::new("etcd");
    command.arg("--data-dir").arg(dir).args(["--log-level", "error"]);
    command.args(["--heartbeat-interval", "50", "--election-timeout", "500"]);
    command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
    command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
    command.arg("--initial-cluster").arg(format!("default={peers}"));
    command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    Ok((command.spawn().map_err(|error| format!("etcd: {error}"))?, clients))
}

async fn play(endpoint: &str, rounds: usize) -> Result<Vec<u64>, Failure> {
    serves(endpoint).await?;
    let mut holder = Holder::start(endpoint)?;
    holder.holds().await?;
    let mut values = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let mut next = Holder::start(endpoint)?;
        waits(endpoint).await?;
        let from = boottime();
        holder.process.start_kill()?;
        next.holds().await?;
        values.push(u64::try_from((boottime() - from).as_millis())?);
        holder.process.wait().await?;
        holder = next;
    }
    Ok(values)
}

async fn serves(endpoint: &str) -> Result<(), Failure> {
    for _ in 0..ASKED_MAX {
        let mut command = Command::new("etcdctl");
        command.args(["--endpoints", endpoint, "endpoint", "health"]).env("ETCDCTL_API", "3");
        if command.output().await?.status.success() {
            return Ok(());
        }
    }
    Err("etcd does not answer".into())
}

/// Until the one that waits has put itself in the queue: two keys stand below the one that is fought for.
async fn waits(endpoint: &str) -> Result<(), Failure> {
    for _ in 0..ASKED_MAX {
        let mut command = Command::new("etcdctl");
        let words = ["--endpoints", endpoint, "get", "--prefix", "--keys-only", KEY];
        let listed = command.args(words).env("ETCDCTL_API", "3").output().await?;
        let keys = String::from_utf8_lossy(&listed.stdout).lines().filter(|line| !line.is_empty()).count();
        if keys >= 2 {
            return Ok(());
        }
    }
    Err("nobody waits for the key".into())
}
