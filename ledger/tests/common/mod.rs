//! Servers on loopback, with a link proxy between every two of them, and ways to wait for what they say.

#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by them
#![allow(dead_code, unreachable_pub)] // each test binary uses its part

pub mod proxy;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use picket_ledger::checker::{self, Report};
use picket_ledger::client::{Ack, Appender, AppenderConfig};
use picket_ledger::control::wire::{Activity, Status};
use picket_ledger::control::{Client, ControlError, Notice};
use picket_ledger::ids::{Epoch, NodeId};
use picket_ledger::server::{Ports, Server};
use picket_ledger::{Config, PeerConfig};
use proxy::Proxy;
use tokio::sync::watch;

/// Nothing here should take this long; a test that hangs should say where.
const PATIENCE: Duration = Duration::from_secs(15);

pub fn now_ns() -> u64 {
    u64::try_from(picket_host::clock::boottime().as_nanos()).unwrap()
}

/// Far enough for every test.
pub fn later_ns() -> u64 {
    now_ns() + 60_000_000_000
}

pub fn nodes(ids: &[u8]) -> BTreeSet<NodeId> {
    ids.iter().map(|id| NodeId(*id)).collect()
}

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited too long: {what}"),
    }
}

pub struct Node {
    pub config: Config,
    pub control: Client,
    state: watch::Receiver<Option<Status>>,
    server: Option<Server>,
}

impl Node {
    /// Waits until the server says something that fits.
    pub async fn until(&self, what: &str, fits: impl Fn(&Status) -> bool) -> Status {
        let mut state = self.state.clone();
        let seen = state.wait_for(|s| s.as_ref().is_some_and(&fits));
        match tokio::time::timeout(PATIENCE, seen).await {
            Ok(status) => status.unwrap().clone().unwrap(),
            Err(_) => {
                panic!("node {} never said: {what}; last: {:?}", self.config.node, *self.state.borrow())
            }
        }
    }

    pub async fn until_writable(&self) -> Status {
        self.until("writable", |s| s.activity == Activity::Writable).await
    }

    pub async fn promote(&self, epoch: u64, required: &[u8]) -> Result<Box<Status>, ControlError> {
        self.control.promote(Epoch(epoch), later_ns(), Some(nodes(required))).await
    }

    /// As a killed process.
    pub async fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.kill().await;
        }
        let mut state = self.state.clone();
        within("control connection lost", state.wait_for(Option::is_none)).await.unwrap();
    }

    pub async fn start(&mut self) {
        let ports = Ports::bind(self.config.listen_clients, self.config.listen_peers).await.unwrap();
        self.server = Some(Server::start(self.config.clone(), ports).unwrap());
        self.until("started", |_| true).await;
    }
}

pub struct Cluster {
    pub nodes: BTreeMap<u8, Node>,
    /// From the first to the second.
    pub links: BTreeMap<(u8, u8), Proxy>,
    pub dir: tempfile::TempDir,
}

impl Cluster {
    /// Starts `count` servers, and waits until all are connected with all.
    pub async fn start(count: u8) -> Cluster {
        let dir = tempfile::tempdir().unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let mut bound = BTreeMap::new();
        for id in 1..=count {
            bound.insert(id, Ports::bind(any, any).await.unwrap());
        }
        let mut links = BTreeMap::new();
        for from in 1..=count {
            for to in (1..=count).filter(|to| *to != from) {
                let target = bound[&to].peers.local_addr().unwrap();
                links.insert((from, to), Proxy::start(target).await);
            }
        }
        let mut started = BTreeMap::new();
        for (id, ports) in bound {
            let peers = (1..=count).filter(|to| *to != id);
            let peers =
                peers.map(|to| PeerConfig { node: NodeId(to), addr: links[&(id, to)].addr }).collect();
            let config = Config {
                node: NodeId(id),
                data_dir: dir.path().join(format!("node{id}")),
                listen_clients: ports.clients.local_addr().unwrap(),
                listen_peers: ports.peers.local_addr().unwrap(),
                peers,
                control_socket: dir.path().join(format!("node{id}.sock")),
                sync: false,
                peer_timeout_ms: 300,
                log_bytes_max: 1 << 28,
            };
            let server = Some(Server::start(config.clone(), ports).unwrap());
            let (control, state) = watch_control(config.control_socket.clone());
            started.insert(id, Node { config, control, state, server });
        }
        let cluster = Cluster { nodes: started, links, dir };
        for node in cluster.nodes.values() {
            node.until("all connected", |s| s.peers.iter().all(|p| p.connected)).await;
        }
        cluster
    }

    pub fn node(&self, id: u8) -> &Node {
        &self.nodes[&id]
    }

    pub fn node_mut(&mut self, id: u8) -> &mut Node {
        self.nodes.get_mut(&id).unwrap()
    }

    /// Cuts both links between two nodes; nothing closes, nothing arrives.
    pub fn cut(&self, a: u8, b: u8) {
        self.links[&(a, b)].cut();
        self.links[&(b, a)].cut();
    }

    pub fn heal(&self, a: u8, b: u8) {
        self.links[&(a, b)].heal();
        self.links[&(b, a)].heal();
    }

    pub fn appender(&self, name: &str, servers: &[u8], change: impl FnOnce(&mut AppenderConfig)) -> Appender {
        let addrs = servers.iter().map(|id| self.node(*id).config.listen_clients).collect();
        let mut config = AppenderConfig::new(addrs, self.dir.path().join(name)).unwrap();
        change(&mut config);
        Appender::start(config).unwrap()
    }

    pub fn check(&self, primary: u8, acks: &[Ack]) -> Report {
        let dirs: Vec<PathBuf> = self.nodes.values().map(|n| n.config.data_dir.clone()).collect();
        checker::check(&dirs, NodeId(primary), acks).unwrap()
    }

    pub fn check_ok(&self, primary: u8, acks: &[Ack]) -> Report {
        let report = self.check(primary, acks);
        assert!(report.ok(), "{report:#?}");
        report
    }
}

pub fn watch_control(path: PathBuf) -> (Client, watch::Receiver<Option<Status>>) {
    let (control, mut notices) = Client::open(path);
    let (tell, state) = watch::channel(None);
    tokio::spawn(async move {
        while let Some(notice) = notices.next().await {
            tell.send_replace(match notice {
                Notice::Connected(status) | Notice::Changed(status) => Some(*status),
                Notice::Lost => None,
            });
        }
    });
    (control, state)
}

pub async fn reach(appender: &Appender, count: u64) {
    within(&format!("{count} acknowledgements"), appender.reach(count)).await.unwrap();
}

/// So many acknowledgements more than there are.
pub async fn reach_more(appender: &Appender, more: u64) {
    reach(appender, appender.count() + more).await;
}
