use super::*;
use core::time::Duration;
use picket_ledger::Config;
use picket_ledger::checker;
use picket_ledger::client::{Appender, AppenderConfig};
use picket_ledger::control::Client;
use picket_ledger::ids::{Epoch, NodeId};
use picket_ledger::server::{Ports, Server};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use tokio::time::timeout;

fn act(ok: bool) -> ActReport {
    ActReport { id: "steady".into(), name: "All is well".into(), ok, ..ActReport::default() }
}

#[test]
fn all_must_be_as_expected() {
    let good = DemoReport { acts: vec![act(true)], acknowledged: 5, ..DemoReport::new() };
    assert!(good.ok());
    assert!(!DemoReport { acts: vec![act(true), act(false)], ..good.clone() }.ok());
    assert!(!DemoReport { lost: 1, ..good.clone() }.ok());
    assert!(!DemoReport { dual_active: 1, ..good.clone() }.ok());
    assert!(!DemoReport { other_findings: 1, ..good.clone() }.ok());
    assert!(!DemoReport { acts: Vec::new(), ..good }.ok(), "nothing played proves nothing");
}

#[test]
fn the_json_has_its_schema_and_null_where_nothing_applies() {
    let report = DemoReport { acts: vec![act(true)], ..DemoReport::new() };
    let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
    assert_eq!(json["schema"], 1);
    for key in ["outage_ms", "detection_ms", "proof_ms", "promotion_ms", "proof"] {
        assert!(json["acts"][0].as_object().unwrap().contains_key(key), "{key}");
        assert!(json["acts"][0][key].is_null(), "{key}");
    }
    assert_eq!(
        (&json["lost"], &json["dual_active"], &json["acknowledged"]),
        (&0.into(), &0.into(), &0.into())
    );
}

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

#[tokio::test]
async fn two_forced_writers_are_seen_and_fail_the_demonstration() {
    let dir = tempfile::tempdir().unwrap();
    let (one, _control_one, at_one) = writable(1, 1, dir.path()).await;
    let (two, _control_two, at_two) = writable(2, 2, dir.path()).await;
    let mut acks = Vec::new();
    let appender = |name: &str, at| {
        Appender::start(AppenderConfig::new(vec![at], dir.path().join(name)).unwrap()).unwrap()
    };
    let (first, second) = (appender("one", at_one), appender("two", at_two));
    let limit = Duration::from_secs(10);
    timeout(limit, second.reach(5)).await.expect("the second writes").unwrap();
    // The older one acknowledges after the newer one has begun.
    timeout(limit, first.reach(first.count() + 5)).await.expect("the first writes on").unwrap();
    acks.extend(first.stop().await.unwrap());
    acks.extend(second.stop().await.unwrap());
    one.kill().await;
    two.kill().await;
    let dirs = [dir.path().join("1"), dir.path().join("2")];
    let check = checker::check(&dirs, NodeId(2), &acks).unwrap();
    let mut report = DemoReport { acts: vec![act(true)], ..DemoReport::new() };
    assert!(report.ok());
    report.add_check(&check);
    assert!(report.dual_active > 0, "two nodes wrote at once: {check:?}");
    assert!(report.lost > 0, "what node 1 acknowledged is not on node 2");
    assert!(!report.ok(), "and the demonstration must not end well");
}
