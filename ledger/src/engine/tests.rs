//! What clients see on the wire while a server freezes, thaws and is demoted.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::Config;
use crate::control::{Client, Notices};
use crate::ids::{ClientId, Epoch, NodeId};
use crate::net::FrameReader;
use crate::record::{PAYLOAD_MAX, Record};
use crate::server::{Ports, Server};
use crate::wire::{CLIENT_FRAME_MAX, ClientRefusal, FromClient, SCHEMA, ToClient, encode};

struct Raw(FrameReader<tokio::net::tcp::OwnedReadHalf>, tokio::net::tcp::OwnedWriteHalf);

impl Raw {
    async fn connect(addr: SocketAddr) -> Raw {
        let stream = TcpStream::connect(addr).await.unwrap();
        let (reader, writer) = FrameReader::new(stream, CLIENT_FRAME_MAX).split();
        let mut raw = Raw(reader, writer);
        raw.say(&FromClient::Hello { schema: SCHEMA, client: ClientId(5) }).await;
        assert!(matches!(raw.next().await, ToClient::Hello { node: NodeId(1), .. }));
        raw
    }

    async fn say(&mut self, message: &FromClient) {
        self.1.write_all(&encode(message).unwrap()).await.unwrap();
    }

    async fn append(&mut self, client_seq: u64, payload: &'static [u8]) {
        self.say(&FromClient::Append { client_seq, payload: Bytes::from_static(payload) }).await;
    }

    async fn next(&mut self) -> ToClient {
        timeout(Duration::from_secs(10), self.0.next()).await.unwrap().unwrap()
    }

    /// The answer to a ping: everything that the server had to say before has come.
    async fn nothing_came(&mut self) {
        self.say(&FromClient::Ping).await;
        assert_eq!(self.next().await, ToClient::Pong);
    }

    async fn ack(&mut self, client_seq: u64) -> (u64, bool) {
        match self.next().await {
            ToClient::Ack { client_seq: n, seq, repeated, .. } if n == client_seq => (seq, repeated),
            other => panic!("expected the acknowledgement of {client_seq}, got {other:?}"),
        }
    }
}

struct Alone {
    _dir: tempfile::TempDir,
    _server: Server,
    control: Client,
    _notices: Notices,
    clients: SocketAddr,
}

async fn alone() -> Alone {
    let dir = tempfile::tempdir().unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    let ports = Ports::bind(any, any).await.unwrap();
    let clients = ports.clients.local_addr().unwrap();
    let config = Config {
        node: NodeId(1),
        data_dir: dir.path().join("data"),
        listen_clients: clients,
        listen_peers: any,
        peers: Vec::new(),
        control_socket: dir.path().join("control"),
        sync: false,
        peer_timeout_ms: 300,
        log_bytes_max: 1 << 20,
    };
    let server = Server::start(config.clone(), ports).unwrap();
    let (control, mut notices) = Client::open(config.control_socket);
    notices.next().await.unwrap();
    Alone { _dir: dir, _server: server, control, _notices: notices, clients }
}

#[tokio::test]
async fn reads_and_writes_wait_for_the_thaw_and_a_demotion_refuses_them() {
    let one = alone().await;
    let mut raw = Raw::connect(one.clients).await;
    assert_eq!(raw.next().await, ToClient::Writable { epoch: None });
    raw.append(1, b"too early").await;
    assert_eq!(raw.next().await, ToClient::Refused { client_seq: 1, why: ClientRefusal::NotPrimary });
    one.control.promote(Epoch(1), u64::MAX, None).await.unwrap();
    assert_eq!(raw.next().await, ToClient::Writable { epoch: Some(Epoch(1)) });
    raw.append(1, b"first").await;
    assert_eq!(raw.ack(1).await, (1, false));

    one.control.freeze().await.unwrap();
    assert_eq!(raw.next().await, ToClient::Writable { epoch: None });
    raw.append(2, b"second").await;
    raw.say(&FromClient::Read { seq: 1 }).await;
    raw.nothing_came().await;
    assert_eq!(one.control.status().await.unwrap().last_seq, 1, "not even written");
    one.control.thaw().await.unwrap();
    assert_eq!(raw.next().await, ToClient::Writable { epoch: Some(Epoch(1)) });
    let ToClient::ReadIs { seq: 1, record: Some(record) } = raw.next().await else { panic!() };
    assert_eq!(postcard::from_bytes::<Record>(&record).unwrap().payload, &b"first"[..]);
    assert_eq!(raw.ack(2).await, (2, false));
    raw.append(2, b"second").await;
    assert_eq!(raw.ack(2).await, (2, true));

    one.control.freeze().await.unwrap();
    assert_eq!(raw.next().await, ToClient::Writable { epoch: None });
    raw.append(3, b"third").await;
    raw.say(&FromClient::Read { seq: 2 }).await;
    raw.nothing_came().await;
    one.control.demote().await.unwrap();
    let why = ClientRefusal::NotPrimary;
    assert_eq!(raw.next().await, ToClient::Refused { client_seq: 3, why });
    assert_eq!(raw.next().await, ToClient::ReadRefused { seq: 2, why });
    raw.nothing_came().await;
}

#[tokio::test]
async fn what_exceeds_a_bound_is_refused_by_name() {
    let one = alone().await;
    one.control.promote(Epoch(1), u64::MAX, None).await.unwrap();
    let mut raw = Raw::connect(one.clients).await;
    assert_eq!(raw.next().await, ToClient::Writable { epoch: Some(Epoch(1)) });
    raw.append(1, &[7; PAYLOAD_MAX + 1]).await;
    assert_eq!(raw.next().await, ToClient::Refused { client_seq: 1, why: ClientRefusal::TooLarge });
    for client_seq in 1..=100 {
        raw.append(client_seq, &[7; PAYLOAD_MAX]).await;
        match raw.next().await {
            ToClient::Ack { .. } => assert!(client_seq < 16, "1 MiB holds 15 of them"),
            other => {
                assert_eq!(other, ToClient::Refused { client_seq, why: ClientRefusal::Full });
                return;
            }
        }
    }
    panic!("never full");
}

#[tokio::test]
async fn a_flood_while_frozen_is_bounded_and_told_when_it_is_over() {
    let one = alone().await;
    one.control.promote(Epoch(1), u64::MAX, None).await.unwrap();
    let mut raw = Raw::connect(one.clients).await;
    raw.next().await;
    one.control.freeze().await.unwrap();
    raw.next().await;
    let flood = 5000;
    for client_seq in 1..=flood {
        raw.append(client_seq, b"x").await;
    }
    let held = 4096;
    for client_seq in held + 1..=flood {
        assert_eq!(raw.next().await, ToClient::Refused { client_seq, why: ClientRefusal::Busy });
    }
    one.control.thaw().await.unwrap();
    let mut acked = 0;
    while acked < held {
        match raw.next().await {
            ToClient::Ack { .. } => acked += 1,
            other => assert_eq!(other, ToClient::Writable { epoch: Some(Epoch(1)) }),
        }
    }
    raw.nothing_came().await;
}
