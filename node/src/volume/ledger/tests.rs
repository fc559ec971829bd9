use super::Ledger;
use crate::driver::Wake;
use crate::testing::{free, until};
use crate::time::now;
use crate::volume::{About, Order, Teller, VolumeDriver};
use core::time::Duration;
use picket_core::evidence::Generation;
use picket_core::ids::{GenerationId, NodeId, NodeSet, VolumeId};
use picket_core::node::{CommandId, CommandOutcome, Input, Role, VolumeAction, VolumeReport};
use picket_core::time::Instant;
use picket_ledger::control::Client;
use picket_ledger::ids::{Epoch, NodeId as LedgerNode};
use picket_ledger::server::{Ports, Server};
use picket_ledger::{Config, PeerConfig};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};

async fn server(dir: &Path, node: u8, listen: SocketAddr, peer: Option<(u8, SocketAddr)>) -> Server {
    let config = Config {
        node: LedgerNode(node),
        data_dir: dir.join(format!("data{node}")),
        listen_clients: free(),
        listen_peers: listen,
        peers: peer.map(|(node, addr)| PeerConfig { node: LedgerNode(node), addr }).into_iter().collect(),
        control_socket: dir.join(format!("{node}.sock")),
        sync: false,
        peer_timeout_ms: 2000,
        log_bytes_max: 1 << 24,
    };
    let ports = Ports::bind(config.listen_clients, config.listen_peers).await.unwrap();
    Server::start(config, ports).unwrap()
}

struct Driven {
    orders: mpsc::Sender<Order>,
    told: mpsc::Receiver<Wake>,
    newest: Option<VolumeReport>,
}

fn drive(dir: &Path) -> Driven {
    let (_, heard) = watch::channel(NodeSet::EMPTY);
    let about = About {
        id: VolumeId(1),
        name: "data".to_owned(),
        me: NodeId(1),
        members: NodeSet::only(NodeId(1)).with(NodeId(2)),
        names: BTreeMap::new(),
        state_dir: "/nonexistent".into(),
        heard,
        fenced: watch::channel(NodeSet::EMPTY).1,
        recorded: watch::channel(picket_core::node::Recorded::default()).1,
        gaps: crate::volume::Gaps::default(),
        has_barrier: true,
    };
    let (orders, queue) = mpsc::channel(8);
    let (into, told) = mpsc::channel(64);
    let driver = Box::new(Ledger::new(dir.join("1.sock"), about));
    tokio::spawn(driver.live(queue, Teller::new(VolumeId(1), into)));
    Driven { orders, told, newest: None }
}

impl Driven {
    async fn next(&mut self) -> Option<CommandOutcome> {
        match self.told.recv().await.unwrap() {
            Wake::Input(input) => match *input {
                Input::Volume { report, .. } => {
                    self.newest = Some(report);
                    None
                }
                Input::VolumeDone { outcome, .. } => Some(outcome),
                other => panic!("{other:?}"),
            },
            other @ Wake::Ask(_) => panic!("{other:?}"),
        }
    }

    async fn order(&mut self, action: VolumeAction) -> CommandOutcome {
        self.orders.send(Order { command: CommandId(1), action }).await.unwrap();
        loop {
            if let Some(outcome) = self.next().await {
                return outcome;
            }
        }
    }

    async fn report(&mut self, fits: impl Fn(&VolumeReport) -> bool) -> VolumeReport {
        loop {
            if let Some(report) = self.newest.as_ref().filter(|report| fits(report)) {
                return report.clone();
            }
            assert_eq!(self.next().await, None);
        }
    }
}

/// Promotes behind the driver's back: only the core can make a promotion.
async fn promote(dir: &Path, epoch: u64, required: &[u8]) {
    let (client, mut notices) = Client::open(dir.join("1.sock"));
    notices.next().await.unwrap();
    let required = required.iter().map(|node| LedgerNode(*node)).collect();
    let deadline = u64::try_from((now() + Duration::from_secs(30)).elapsed().as_nanos()).unwrap();
    client.promote(Epoch(epoch), deadline, Some(required)).await.unwrap();
}

#[tokio::test]
async fn a_lone_ledger_is_driven_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), 1, free(), None).await;
    let mut driven = drive(dir.path());
    let first = driven.report(|_| true).await;
    let expected = VolumeReport {
        role: Role::Secondary,
        frozen: false,
        complete: true,
        generation: Generation::first(GenerationId(1)),
        connected: NodeSet::EMPTY,
        complete_peers: NodeSet::EMPTY,
        required: NodeSet::EMPTY,
        lost: NodeSet::EMPTY,
    };
    assert_eq!(first, expected);
    promote(dir.path(), 1, &[]).await;
    driven.report(|report| report.role == Role::Primary).await;
    assert_eq!(driven.order(VolumeAction::Freeze).await, CommandOutcome::Done);
    assert!(driven.newest.as_ref().unwrap().frozen);
    let late = driven.order(VolumeAction::Thaw { valid_until: Instant::BOOT }).await;
    assert!(matches!(late, CommandOutcome::Failed(_)), "{late:?}");
    assert!(driven.newest.as_ref().unwrap().frozen, "a thaw that is too late lifts nothing");
    assert_eq!(driven.order(VolumeAction::Thaw { valid_until: Instant::NEVER }).await, CommandOutcome::Done);
    let nobody = driven.order(VolumeAction::RequirePeer { peer: NodeId(9) }).await;
    assert!(
        matches!(&nobody, CommandOutcome::Failed(text) if text.contains("no configured peer")),
        "{nobody:?}"
    );
    assert_eq!(driven.order(VolumeAction::Demote { deadline: Instant::NEVER }).await, CommandOutcome::Done);
    assert_eq!(driven.newest.as_ref().unwrap().role, Role::Secondary);
    server.kill().await;
    assert!(driven.report(|report| report.role == Role::Unknown).await.complete);
    let without = driven.order(VolumeAction::Demote { deadline: Instant::NEVER }).await;
    assert!(matches!(without, CommandOutcome::Failed(_) | CommandOutcome::Unknown(_)), "{without:?}");
}

#[tokio::test]
async fn a_required_replica_that_is_gone_is_told_and_can_be_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (free(), free());
    let _first = server(dir.path(), 1, a, Some((2, b))).await;
    let second = server(dir.path(), 2, b, Some((1, a))).await;
    let mut driven = drive(dir.path());
    promote(dir.path(), 1, &[2]).await;
    let peer = NodeSet::only(NodeId(2));
    let whole = driven.report(|report| report.complete_peers == peer && report.lost.is_empty()).await;
    assert_eq!((whole.role, whole.connected, whole.required), (Role::Primary, peer, peer));
    second.kill().await;
    driven.report(|report| report.lost == peer && report.connected.is_empty()).await;
    assert_eq!(driven.order(VolumeAction::DropPeer { peer: NodeId(2) }).await, CommandOutcome::Done);
    let dropped = driven.report(|report| report.lost.is_empty()).await;
    assert_eq!(dropped.required, NodeSet::EMPTY);
    assert!(dropped.generation.descends_from(whole.generation.current));
    let _second = until("the port", async || Some(server(dir.path(), 2, b, Some((1, a))).await)).await;
    driven.report(|report| report.complete_peers == peer).await;
    assert_eq!(driven.order(VolumeAction::RequirePeer { peer: NodeId(2) }).await, CommandOutcome::Done);
    driven.report(|report| report.required == peer).await;
}

/// Primary, with peer 2 connected.
fn status(revision: u64, required: &[u8], complete: bool) -> Value {
    let peer = json!({
        "node": 2, "connected": true, "complete": complete, "behind": 0, "diverged": false, "max_epoch": 1,
    });
    json!({
        "node": 1, "revision": revision, "role": "primary", "epoch": 1, "max_epoch": 1,
        "activity": "writable", "frozen": false, "suspended": required, "superseded_by": null,
        "required": required, "peers": [peer], "upstream": null,
        "generation": { "current": "1", "history": [] }, "complete": true, "diverged": false, "last_seq": 0,
        "committed_seq": 0, "acked": 0, "discarded_total": 0, "rejected": {},
    })
}

#[tokio::test]
async fn an_answer_that_was_overtaken_by_news_takes_nothing_back() {
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(dir.path().join("1.sock")).unwrap();
    let mut driven = drive(dir.path());
    let (read, mut write) = listener.accept().await.unwrap().0.into_split();
    let mut requests = BufReader::new(read).lines();
    let mut say = async |line: Value| write.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    requests.next_line().await.unwrap().unwrap();
    say(json!({ "type": "event", "schema": 1, "status": status(1, &[2], false) })).await;
    let peer = NodeSet::only(NodeId(2));
    driven.report(|report| report.lost == peer).await;

    let action = VolumeAction::DropPeer { peer: NodeId(2) };
    driven.orders.send(Order { command: CommandId(1), action }).await.unwrap();
    requests.next_line().await.unwrap().unwrap();
    say(json!({ "type": "event", "schema": 1, "status": status(3, &[], true) })).await;
    driven.report(|report| report.complete_peers == peer).await;
    say(json!({ "type": "done", "schema": 1, "id": 2, "status": status(2, &[], false) })).await;
    let outcome = loop {
        if let Some(outcome) = driven.next().await {
            break outcome;
        }
    };
    assert_eq!(outcome, CommandOutcome::Done);
    let newest = driven.newest.unwrap();
    assert_eq!((newest.complete_peers, newest.lost), (peer, NodeSet::EMPTY));
}
