use super::*;
use crate::demo::report::{ActReport, DemoReport};
use picket_ledger::Config;
use picket_ledger::checker;
use picket_ledger::control::Client;
use picket_ledger::ids::{Epoch, NodeId};
use picket_ledger::server::{Ports, Server};
use std::collections::BTreeSet;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(10);

/// A volume's server without anybody who watches over it.
async fn writable(id: u8, epoch: u64, dir: &Path) -> (Server, Client, SocketAddr) {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let ports = Ports::bind(any, any).await.unwrap();
    let clients = ports.clients.local_addr().unwrap();
    let config = Config {
        node: NodeId(id),
        data_dir: dir.join(id.to_string()),
        listen_clients: clients,
        listen_peers: ports.peers.local_addr().unwrap(),
        peers: Vec::new(),
        control_socket: dir.join(format!("{id}.sock")),
        sync: false,
        peer_timeout_ms: 300,
        log_bytes_max: 1 << 24,
    };
    let server = Server::start(config.clone(), ports).unwrap();
    let (control, mut notices) = Client::open(config.control_socket);
    notices.next().await.unwrap();
    let later = picket_host::clock::boottime() + Duration::from_secs(60);
    let valid_until = u64::try_from(later.as_nanos()).unwrap();
    control.promote(Epoch(epoch), valid_until, Some(BTreeSet::new())).await.unwrap();
    (server, control, clients)
}

async fn goes_on(writer: &Appender) {
    timeout(LIMIT, writer.reach(writer.count() + 5)).await.expect("it is acknowledged").unwrap();
}

#[tokio::test]
async fn two_nodes_that_are_writable_are_seen_and_fail_the_demonstration() {
    let dir = tempfile::tempdir().unwrap();
    let (one, _control_one, at_one) = writable(1, 1, dir.path()).await;
    let (two, _control_two, at_two) = writable(2, 2, dir.path()).await;
    let writers = Writers::start(&[at_one, at_two], &dir.path().join("v1.acks"), None).unwrap();
    // Twice: the older one acknowledges after the newer one has begun.
    for _ in 0..2 {
        goes_on(writers.client()).await;
        for probe in &writers.probes {
            goes_on(probe).await;
        }
    }
    let last = writers.client().acks().last().map(|ack| ack.node);
    assert_eq!(last, Some(NodeId(2)), "the one that fails over leaves the older epoch to itself");
    let acks = writers.stop().await.unwrap();
    assert!(acks.is_sorted_by_key(|ack| ack.seen_ns));
    one.kill().await;
    two.kill().await;
    let dirs = [dir.path().join("1"), dir.path().join("2")];
    let check = checker::check(&dirs, NodeId(2), &acks).unwrap();
    let mut report =
        DemoReport { acts: vec![ActReport { ok: true, ..ActReport::default() }], ..DemoReport::new() };
    assert!(report.ok());
    report.add_check(&check);
    assert_eq!(report.dual_active, 1, "once two nodes were writable: {check:?}");
    assert_eq!(check.dual_active.count, 1, "and both acknowledged: {check:?}");
    assert!(report.lost > 0, "what node 1 acknowledged is not on node 2");
    assert!(!report.ok(), "and the demonstration must not end well");
}

#[tokio::test]
async fn one_node_that_is_writable_after_the_other_is_as_it_should_be() {
    let dir = tempfile::tempdir().unwrap();
    let (one, control_one, at_one) = writable(1, 1, dir.path()).await;
    let writers = Writers::start(&[at_one], &dir.path().join("v1.acks"), None).unwrap();
    goes_on(&writers.probes[0]).await;
    control_one.demote().await.unwrap();
    let before = writers.count();
    tokio::time::sleep(4 * PROBE_PACE).await;
    // What was on its way when that was counted.
    assert!(writers.count() <= before + 2, "it acknowledges nothing any more");
    let acks = writers.stop().await.unwrap();
    let (two, _control_two, _) = writable(2, 2, dir.path()).await;
    one.kill().await;
    two.kill().await;
    let check = checker::check(&[dir.path().join("1"), dir.path().join("2")], NodeId(1), &acks).unwrap();
    // That node 2 was never given the data is this test's own doing.
    let found = [check.both_writable.count, check.dual_active.count, check.lost.count];
    assert_eq!((found, check.writable.len()), ([0, 0, 0], 2), "{:?}", check.writable);
}
