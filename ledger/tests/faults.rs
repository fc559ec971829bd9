//! Killed processes, damaged files, garbage on the ports.

#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by them

mod common;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{Cluster, later_ns, nodes, now_ns, reach, reach_more, watch_control, within};
use picket_ledger::checker::Found;
use picket_ledger::client::{Appender, AppenderConfig};
use picket_ledger::control::wire::{Activity, Refusal, Role, Status};
use picket_ledger::control::{Client, ControlError};
use picket_ledger::ids::{Epoch, NodeId};
use picket_ledger::server::{Ports, Server, ServerError};
use picket_ledger::{Config, PeerConfig, StoreError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Killed when the test ends, however it ends.
struct Process(Child);

impl Process {
    fn start(config: &Config, dir: &Path) -> Process {
        let file = dir.join(format!("node{}.toml", config.node));
        std::fs::write(&file, toml::to_string(config).unwrap()).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_picket-ledger"))
            .arg("--config")
            .arg(&file)
            .env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned()))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Process(child)
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Watched {
    control: Client,
    state: watch::Receiver<Option<Status>>,
}

impl Watched {
    async fn until(&mut self, what: &str, fits: impl Fn(&Status) -> bool) -> Status {
        let fits = |s: &Option<Status>| s.as_ref().is_some_and(&fits);
        within(what, self.state.wait_for(fits)).await.unwrap().clone().unwrap()
    }
}

/// Addresses that were free a moment ago, apart from those of other test processes.
fn free_addrs(count: usize) -> Vec<SocketAddr> {
    let host = format!("127.{}.{}.1:0", 64 + std::process::id() % 64, 1 + std::process::id() / 64 % 250);
    let held: Vec<_> = (0..count).map(|_| std::net::TcpListener::bind(&host).unwrap()).collect();
    held.iter().map(|l| l.local_addr().unwrap()).collect()
}

fn pair(dir: &Path, sync: bool) -> Vec<Config> {
    let addrs = free_addrs(4);
    let config = |id: u8, own: &[SocketAddr], peer: SocketAddr| Config {
        node: NodeId(id),
        data_dir: dir.join(format!("node{id}")),
        listen_clients: own[0],
        listen_peers: own[1],
        peers: vec![PeerConfig { node: NodeId(3 - id), addr: peer }],
        control_socket: dir.join(format!("node{id}.sock")),
        sync,
        peer_timeout_ms: 300,
        log_bytes_max: 1 << 28,
    };
    vec![config(1, &addrs[..2], addrs[3]), config(2, &addrs[2..], addrs[1])]
}

/// A sync that takes longer than the peer timeout makes the replica look lost, and it has to come back.
async fn require_again(primary: &mut Watched, peer: NodeId) {
    for _ in 0..20 {
        primary.until("returned", |s| s.peers[0].complete).await;
        match primary.control.require_peer(peer).await {
            Ok(_) => return,
            Err(ControlError::Refused(Refusal::PeerNotReady { .. })) => {}
            Err(other) => panic!("{other}"),
        }
    }
    panic!("node {peer} never stays");
}

async fn kill_minus_nine(sync: bool) {
    let dir = tempfile::tempdir().unwrap();
    let configs = pair(dir.path(), sync);
    let mut running: Vec<_> = configs.iter().map(|c| Some(Process::start(c, dir.path()))).collect();
    let mut watched: Vec<Watched> = configs
        .iter()
        .map(|c| watch_control(c.control_socket.clone()))
        .map(|(control, state)| Watched { control, state })
        .collect();
    for node in &mut watched {
        node.until("connected", |s| s.peers[0].connected).await;
    }
    let journal = dir.path().join("acks");
    let clients = configs.iter().map(|c| c.listen_clients).collect();
    let mut appending = AppenderConfig::new(clients, journal.clone()).unwrap();
    appending.window = 8;
    let appender = Appender::start(appending).unwrap();
    watched[0].control.promote(Epoch(1), later_ns(), Some(nodes(&[2]))).await.unwrap();
    // There and back: each takeover is followed by the return of the killed one.
    for epoch in 2..=5u64 {
        let (old, new) = if epoch % 2 == 0 { (0, 1) } else { (1, 0) };
        reach_more(&appender, 100).await;
        running[old].take().unwrap().kill();
        let fault_ns = now_ns();
        let status = watched[new].control.promote(Epoch(epoch), later_ns(), Some(nodes(&[]))).await.unwrap();
        assert_eq!(status.role, Role::Primary { epoch: Epoch(epoch) });
        reach_more(&appender, 50).await;
        let outage = appender.outage_since(fault_ns);
        assert_eq!(outage.first_by_other.map(|a| a.epoch), Some(Epoch(epoch)));
        println!("epoch {epoch}: {:.1} ms without acknowledgements", outage.longest_gap_ns as f64 / 1e6);
        running[old] = Some(Process::start(&configs[old], dir.path()));
        let back = watched[old].until("secondary", |s| s.complete && s.upstream.is_some()).await;
        assert_eq!((back.role, back.activity), (Role::Secondary, Activity::Inactive));
        require_again(&mut watched[new], configs[old].node).await;
    }
    reach_more(&appender, 50).await;
    appender.stop().await.unwrap();
    for node in &watched {
        node.control.shutdown().await.unwrap();
    }
    for process in running.iter_mut().filter_map(Option::as_mut) {
        assert!(process.0.wait().unwrap().success());
    }
    let mut checker = Command::new(env!("CARGO_BIN_EXE_picket-ledger"));
    checker.args(["check", "--primary", "1", "--acks"]).arg(&journal);
    for config in &configs {
        checker.arg("--data").arg(&config.data_dir);
    }
    let output = checker.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_primaries_lose_nothing() {
    kill_minus_nine(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_primaries_lose_nothing_with_sync() {
    kill_minus_nine(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_record_is_found_lost_and_a_damaged_one_is_named() {
    let mut cluster = Cluster::start(2).await;
    cluster.node(1).promote(1, &[2]).await.unwrap();
    let mut appender = cluster.appender("acks", &[1], |c| c.limit = Some(100));
    within("100 appends", appender.done()).await.unwrap();
    let acks = appender.acks();
    cluster.check_ok(2, &acks);
    cluster.node_mut(2).kill().await;
    let log = cluster.node(2).config.data_dir.join("records.log");
    let whole = std::fs::read(&log).unwrap();

    std::fs::write(&log, &whole[..whole.len() - 1]).unwrap();
    let report = cluster.check(2, &acks);
    assert_eq!((report.lost.count, report.damage.count), (1, 0), "{report:#?}");
    let lost = &report.lost.first[0];
    assert_eq!((lost.seq, lost.found, lost.acked_by), (100, Found::Nothing, NodeId(1)));
    let report = cluster.check(1, &acks);
    assert!(report.lost.is_empty(), "the other replica has it: {report:#?}");
    let holes: Vec<_> = report.holes.first.iter().map(|hole| (hole.node, hole.write.seq)).collect();
    assert_eq!(holes, [(NodeId(2), 100)], "but this one says that it has everything");
    assert!(!report.ok());

    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    std::fs::write(&log, &damaged).unwrap();
    let report = cluster.check(2, &acks);
    assert!(report.damage.count >= 1 && report.lost.count == 1, "{report:#?}");
    assert!(report.damage.first.iter().any(|d| d.what.contains("no valid frame")), "{report:#?}");
    let config = cluster.node(2).config.clone();
    let ports = Ports::bind(config.listen_clients, config.listen_peers).await.unwrap();
    let refused = Server::start(config, ports).err();
    assert!(matches!(refused, Some(ServerError::Store(StoreError::Damaged { .. }))), "{refused:?}");

    // A torn tail, though, is cut, and the replica catches up.
    std::fs::write(&log, &whole[..whole.len() - 1]).unwrap();
    cluster.node_mut(2).start().await;
    cluster.node(1).until("in step", |s| s.peers[0].complete).await;
    cluster.check_ok(2, &acks);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_ends_its_connection_and_nothing_more() {
    let cluster = Cluster::start(2).await;
    cluster.node(1).promote(1, &[2]).await.unwrap();
    let appender = cluster.appender("acks", &[1], |_| {});
    reach(&appender, 20).await;
    let config = &cluster.node(1).config;
    let inputs: [&[u8]; 4] =
        [b"GET / HTTP/1.1\r\n\r\n", &[0xff; 64], &[0; 64], &[3, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]];
    for addr in [config.listen_clients, config.listen_peers] {
        for input in inputs {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            stream.write_all(input).await.unwrap();
            let mut rest = Vec::new();
            // Closed, or reset because input was left unread.
            let _ = within("closed", stream.read_to_end(&mut rest)).await;
            assert!(rest.is_empty());
        }
    }
    reach_more(&appender, 50).await;
    let status = cluster.node(1).control.status().await.unwrap();
    let counted = |port: &str| -> u64 {
        status.rejected.iter().filter(|(k, _)| k.starts_with(port)).map(|(_, n)| n).sum()
    };
    assert_eq!((counted("clients:"), counted("peers:")), (4, 4), "{:?}", status.rejected);
    assert_eq!(status.activity, Activity::Writable);
    let acks = appender.stop().await.unwrap();
    cluster.check_ok(2, &acks);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_the_same_data_is_refused() {
    let cluster = Cluster::start(2).await;
    let any = "127.0.0.1:0".parse().unwrap();
    let config =
        Config { control_socket: cluster.dir.path().join("x.sock"), ..cluster.node(1).config.clone() };
    let refused = Server::start(config, Ports::bind(any, any).await.unwrap()).err();
    assert!(matches!(refused, Some(ServerError::Store(StoreError::InUse { .. }))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_control_line_is_refused_and_the_connection_lives() {
    let cluster = Cluster::start(2).await;
    let mut stream = tokio::net::UnixStream::connect(&cluster.node(1).config.control_socket).await.unwrap();
    let lines =
        "nonsense\n{\"schema\":9,\"id\":4,\"cmd\":\"status\"}\n{\"schema\":1,\"id\":5,\"cmd\":\"status\"}\n";
    stream.write_all(lines.as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut buf = [0u8; 4096];
    while text.lines().count() < 3 || !text.ends_with('\n') {
        let n = within("answers", stream.read(&mut buf)).await.unwrap();
        text.push_str(std::str::from_utf8(&buf[..n]).unwrap());
    }
    let answers: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(answers[0]["error"]["code"], "bad_request");
    assert_eq!((&answers[1]["id"], &answers[1]["type"]), (&4.into(), &"refused".into()));
    assert_eq!((&answers[2]["id"], &answers[2]["status"]["role"]), (&5.into(), &"secondary".into()));
}
