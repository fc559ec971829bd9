use super::{Heartbeats, Refused, Sender};
use crate::config::{Config, HeartbeatPath};
use crate::testing;
use picket_core::ids::{BootId, NodeId, NodeSet, Nonce, PathId};
use picket_core::message::Beat;
use picket_proto::beat::{BeatKey, seal};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use tokio::sync::mpsc;

fn free() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn path(local: SocketAddr, remote: SocketAddr) -> HeartbeatPath {
    HeartbeatPath { network: "hb".to_owned(), local, remote, prio: 1 }
}

fn beat(from: u8, seq: u64) -> Beat {
    Beat {
        from: NodeId(from),
        boot: BootId(1),
        run: Nonce(2),
        seq,
        echo: None,
        hears: NodeSet::EMPTY,
        holds: Vec::new(),
    }
}

fn key(byte: u8) -> BeatKey {
    BeatKey::new(&[byte; 32])
}

/// Two nodes with two paths between them.
fn two() -> (Config, Config) {
    let (mut n1, mut n2) = (testing::config("n1"), testing::config("n2"));
    let ends: Vec<(SocketAddr, SocketAddr)> = (0..2).map(|_| (free(), free())).collect();
    n1.members.get_mut(&NodeId(2)).unwrap().paths = ends.iter().map(|(a, b)| path(*a, *b)).collect();
    n2.members.get_mut(&NodeId(1)).unwrap().paths = ends.iter().map(|(a, b)| path(*b, *a)).collect();
    (n1, n2)
}

struct Listening {
    heard: mpsc::UnboundedReceiver<(PathId, Beat)>,
    refused: mpsc::UnboundedReceiver<(Refused, u64)>,
    sender: Sender,
    counts: Arc<super::Counts>,
}

fn listen(config: &Config) -> Listening {
    let heartbeats = Heartbeats::bind(config, key(1)).unwrap();
    let counts = heartbeats.counts();
    let (sender, receivers) = heartbeats.split().unwrap();
    let (deliver, heard) = mpsc::unbounded_channel();
    let (tell, refused) = mpsc::unbounded_channel();
    for receiver in receivers {
        let (deliver, tell) = (deliver.clone(), tell.clone());
        tokio::spawn(receiver.run(
            move |path, beat| deliver.send((path, beat)).unwrap_or_default(),
            move |reason, _, count| tell.send((reason, count)).unwrap_or_default(),
        ));
    }
    Listening { heard, refused, sender, counts }
}

#[tokio::test]
async fn a_heartbeat_comes_on_every_path_to_its_peer() {
    let (n1, n2) = two();
    let (n1, mut n2) = (listen(&n1), listen(&n2));
    n1.sender.send(NodeId(2), &beat(1, 5));
    let mut paths = Vec::new();
    for _ in 0..2 {
        let (path, heard) = n2.heard.recv().await.unwrap();
        assert_eq!(heard, beat(1, 5));
        paths.push(path);
    }
    paths.sort();
    assert_eq!(paths, [PathId(0), PathId(1)]);
}

#[tokio::test]
async fn what_is_no_heartbeat_of_a_peer_is_counted_and_dropped() {
    let (n1, n2) = two();
    let to = n2.members[&NodeId(1)].paths[0].local;
    let mut n2 = listen(&n2);
    let from = UdpSocket::bind("127.0.0.1:0").unwrap();
    let cluster = &n1.cluster;
    let mut changed = seal(&key(1), cluster, &beat(1, 1));
    *changed.last_mut().unwrap() ^= 1;
    let table = [
        (b"PKT".to_vec(), Refused::Length),
        (vec![0; 1201], Refused::Length),
        (vec![7; 200], Refused::Version),
        (seal(&key(2), cluster, &beat(1, 1)), Refused::NotAuthentic),
        (seal(&key(1), "west", &beat(1, 1)), Refused::NotAuthentic),
        (changed, Refused::NotAuthentic),
        (seal(&key(1), cluster, &beat(2, 1)), Refused::OwnName),
        (seal(&key(1), cluster, &beat(9, 1)), Refused::Stranger),
        (seal(&key(1), cluster, &beat(3, 1)), Refused::WrongPath),
    ];
    let mut expected = std::collections::BTreeMap::new();
    for (datagram, reason) in &table {
        from.send_to(datagram, to).unwrap();
        *expected.entry(*reason).or_insert(0_u64) += 1;
    }
    // The last one shows that all before it were looked at, and that a good one still passes.
    from.send_to(&seal(&key(1), cluster, &beat(1, 2)), to).unwrap();
    assert_eq!(n2.heard.recv().await.unwrap(), (PathId(0), beat(1, 2)));
    assert!(n2.heard.try_recv().is_err());
    for (reason, count) in expected {
        assert_eq!(n2.counts.of(reason), count, "{reason}");
    }
    assert_eq!(n2.refused.recv().await.unwrap(), (Refused::Length, 1));
}

#[tokio::test]
async fn paths_that_share_a_socket_are_told_apart_by_the_senders_address() {
    let (mut n1, mut n2) = (testing::config("n1"), testing::config("n2"));
    let (shared, a, b) = (free(), free(), free());
    n2.members.get_mut(&NodeId(1)).unwrap().paths = vec![path(shared, a), path(shared, b)];
    n1.members.get_mut(&NodeId(2)).unwrap().paths = vec![path(b, shared)];
    let mut n2 = listen(&n2);
    let sender = listen(&n1).sender;
    sender.send(NodeId(2), &beat(1, 1));
    assert_eq!(n2.heard.recv().await.unwrap().0, PathId(1));
    let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap();
    elsewhere.send_to(&seal(&key(1), &n1.cluster, &beat(1, 2)), shared).unwrap();
    assert_eq!(n2.refused.recv().await.unwrap(), (Refused::WrongPath, 1));
}

#[test]
fn an_address_in_use_is_named() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut n1 = testing::config("n1");
    n1.members.get_mut(&NodeId(2)).unwrap().paths = vec![path(taken.local_addr().unwrap(), free())];
    let error = Heartbeats::bind(&n1, key(1)).unwrap_err().to_string();
    let expected = format!("heartbeat path hb from {}: ", taken.local_addr().unwrap());
    assert!(error.starts_with(&expected), "{error}");
}
