use super::{Peers, Shared, Told, listen};
use crate::condition::Conditions;
use crate::driver::Wake;
use crate::events;
use crate::site::Site;
use crate::stay::{Stay, Step};
use crate::testing::{self, Lab, free, until};
use core::pin::Pin;
use core::time::Duration;
use futures_util::Stream;
use picket_core::error::Refusal;
use picket_core::ids::{BootId, Epoch, NodeId, Nonce, RequestId, VolumeId};
use picket_core::message::{PeerBody, PeerMessage, SignedRelease};
use picket_core::node::Input;
use picket_host::cert::Identity;
use picket_host::config::HostPort;
use picket_host::tls::accept;
use picket_proto::v1::peer_server::{Peer, PeerServer};
use picket_proto::{PROTOCOL, v1};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

struct Node {
    shared: Shared,
    inputs: mpsc::Receiver<Wake>,
    events: events::Events,
    standby: watch::Sender<Option<bool>>,
}

/// A node `name` with the certificate of `identity`, which knows n1 and n2 at these addresses.
fn node(lab: &Lab, name: &str, identity: &Identity, addresses: [SocketAddr; 2]) -> Node {
    let mut config = testing::config(name);
    for (id, address) in [NodeId(1), NodeId(2)].into_iter().zip(addresses) {
        let member = config.members.get_mut(&id).unwrap();
        member.peer_address = HostPort { host: address.ip().to_string(), port: address.port() };
    }
    let credentials = Arc::new(lab.credentials(identity));
    let (into, inputs) = mpsc::channel(64);
    let (events, writer) = events::room(None, "east", name);
    tokio::spawn(writer.run());
    let config = Arc::new(config);
    let conditions = Conditions::new(config.clone());
    let site = Site::new(config.clone(), into.clone(), Arc::default());
    let stay = Stay::new(config.clone(), into.clone(), site.clone());
    let (standby, stands_by) = watch::channel(Some(false));
    let shared = Shared {
        config,
        credentials,
        into,
        events: events.clone(),
        trees: Arc::default(),
        site,
        stay,
        standby: stands_by,
        conditions,
    };
    Node { shared, inputs, events, standby }
}

fn east(name: &str) -> Identity {
    Identity::node("east", name).unwrap()
}

fn message(body: PeerBody) -> PeerMessage {
    PeerMessage { boot: BootId(3), run: Nonce(4), body }
}

fn offer(epoch: u64) -> PeerMessage {
    message(PeerBody::HandoverOffer { request: RequestId(1), volume: VolumeId(1), epoch: Epoch(epoch) })
}

fn release() -> PeerMessage {
    let release =
        SignedRelease { volume: VolumeId(1), epoch: Epoch(7), boot: BootId(3), signature: Vec::new() };
    message(PeerBody::RelayRelease { release })
}

async fn next(node: &mut Node) -> (NodeId, PeerMessage) {
    match node.inputs.recv().await.unwrap() {
        Wake::Input(input) => match *input {
            Input::Peer { from, message } => (from, message),
            other => panic!("{other:?}"),
        },
        other @ Wake::Ask(_) => panic!("{other:?}"),
    }
}

/// n1's connections, with the one to n2 running.
fn connect(node: &Node) -> Peers {
    let (peers, clients) = Peers::new(&node.shared);
    for client in clients.into_iter().filter(|client| client.peer() == NodeId(2)) {
        tokio::spawn(client.run());
    }
    peers
}

async fn opened(peers: &Peers) {
    until("the connection to n2", async || peers.is_open(NodeId(2)).then_some(())).await;
}

#[tokio::test]
async fn messages_come_in_order_from_whom_the_certificate_names() {
    let lab = Lab::new();
    let addresses = [free(), free()];
    let n1 = node(&lab, "n1", &east("n1"), addresses);
    let mut n2 = node(&lab, "n2", &east("n2"), addresses);
    tokio::spawn(listen(addresses[1], n2.shared.clone()).unwrap().serve());
    let peers = connect(&n1);
    opened(&peers).await;
    for epoch in 1..=20 {
        peers.send(NodeId(2), offer(epoch));
    }
    for epoch in 1..=20 {
        assert_eq!(next(&mut n2).await, (NodeId(1), offer(epoch)));
    }
    let refusal = PeerBody::HandoverAnswer {
        request: RequestId(1),
        volume: VolumeId(1),
        ready: Err(Refusal::Incomplete),
    };
    peers.send(NodeId(2), message(refusal.clone()));
    assert_eq!(next(&mut n2).await.1.body, refusal);
}

#[tokio::test]
async fn a_relayed_release_is_signed_on_the_way_out_and_checked_on_the_way_in() {
    let lab = Lab::new();
    let addresses = [free(), free()];
    let n1 = node(&lab, "n1", &east("n1"), addresses);
    let mut n2 = node(&lab, "n2", &east("n2"), addresses);
    tokio::spawn(listen(addresses[1], n2.shared.clone()).unwrap().serve());
    let peers = connect(&n1);
    opened(&peers).await;
    peers.send(NodeId(2), release());
    let (from, came) = next(&mut n2).await;
    let PeerBody::RelayRelease { release } = &came.body else { panic!("{came:?}") };
    assert!(!release.signature.is_empty());
    assert_eq!(n2.shared.check(from, &came), Ok(()));
    let other = n2.shared.check(NodeId(3), &came).unwrap_err();
    assert!(other.contains("signature"), "{other}");
    let mut changed = came.clone();
    let PeerBody::RelayRelease { release } = &mut changed.body else { panic!() };
    release.epoch = Epoch(8);
    assert!(n2.shared.check(from, &changed).is_err());
}

#[tokio::test]
async fn who_is_no_peer_is_refused_and_told() {
    let lab = Lab::new();
    let addresses = [free(), free()];
    let mut n2 = node(&lab, "n2", &east("n2"), addresses);
    tokio::spawn(listen(addresses[1], n2.shared.clone()).unwrap().serve());
    let strangers = [
        (Identity::node("west", "w1").unwrap(), "picket://west/node/w1 is no node of cluster east"),
        (Identity::operator("east", "op").unwrap(), "picket://east/operator/op is no node of cluster east"),
        (east("n9"), "picket://east/node/n9 is no member"),
        (east("n2"), "picket://east/node/n2 is this node itself"),
    ];
    for (identity, told) in strangers {
        let stranger = node(&lab, "n1", &identity, addresses);
        let peers = connect(&stranger);
        let expected = format!("refused a peer: {told}");
        until(&expected, async || {
            n2.events.newest(100).iter().any(|event| event.text == expected).then_some(())
        })
        .await;
        assert!(!peers.is_open(NodeId(2)));
    }
    assert!(n2.inputs.try_recv().is_err());
}

#[tokio::test]
async fn nothing_stale_comes_after_a_reconnect() {
    let lab = Lab::new();
    let addresses = [free(), free()];
    let n1 = node(&lab, "n1", &east("n1"), addresses);
    let mut n2 = node(&lab, "n2", &east("n2"), addresses);
    let peers = connect(&n1);
    peers.send(NodeId(2), offer(1));
    let first = tokio::spawn(listen(addresses[1], n2.shared.clone()).unwrap().serve());
    opened(&peers).await;
    peers.send(NodeId(2), offer(2));
    assert_eq!(next(&mut n2).await.1, offer(2), "what was said without a connection is gone");
    first.abort();
    let _ = first.await;
    // The connections of an aborted server end with their sockets; its runtime's tasks may outlive it.
    peers.send(NodeId(2), offer(3));
    drop(n2);
    until("the end of the connection", async || {
        peers.send(NodeId(2), offer(4));
        (!peers.is_open(NodeId(2))).then_some(())
    })
    .await;
    peers.send(NodeId(2), offer(5));
    let mut again = node(&lab, "n2", &east("n2"), addresses);
    let listening = until("the port", async || listen(addresses[1], again.shared.clone()).ok()).await;
    tokio::spawn(listening.serve());
    opened(&peers).await;
    peers.send(NodeId(2), offer(6));
    assert_eq!(next(&mut again).await.1, offer(6));
}

/// A peer of a version that knows neither holds nor standings.
struct Older;

#[tonic::async_trait]
impl Peer for Older {
    type TalkStream = Pin<Box<dyn Stream<Item = Result<v1::PeerAccepted, Status>> + Send>>;
    type StandingStream = Pin<Box<dyn Stream<Item = Result<v1::Standing, Status>> + Send>>;

    async fn talk(
        &self,
        request: Request<Streaming<v1::PeerEnvelope>>,
    ) -> Result<Response<Self::TalkStream>, Status> {
        let accepted = v1::PeerAccepted { protocol: Some(PROTOCOL), version: "0.0.1".to_owned() };
        let (keep, keeps) = mpsc::channel(1);
        keep.send(Ok(accepted)).await.unwrap();
        tokio::spawn(async move {
            let mut stream = request.into_inner();
            while let Ok(Some(_)) = stream.message().await {}
            drop(keep);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(keeps))))
    }

    async fn able(&self, _: Request<v1::AbleRequest>) -> Result<Response<v1::AbleAnswer>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn policy(&self, _: Request<v1::PeerPolicy>) -> Result<Response<v1::PeerPolicy>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn standby(&self, _: Request<v1::PeerStandby>) -> Result<Response<v1::Outcome>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn site(&self, _: Request<v1::PeerSite>) -> Result<Response<v1::Outcome>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn stay(&self, _: Request<v1::PeerStay>) -> Result<Response<v1::Outcome>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn standing(
        &self,
        _: Request<v1::StandingRequest>,
    ) -> Result<Response<Self::StandingStream>, Status> {
        Err(Status::unimplemented(""))
    }
}

#[tokio::test]
async fn an_older_peer_is_not_held_and_nothing_is_said_of_it() {
    let lab = Lab::new();
    let addresses = [free(), free()];
    let n1 = node(&lab, "n1", &east("n1"), addresses);
    let tls = lab.credentials(&east("n2")).server_config().unwrap();
    let listener = TcpListener::bind(addresses[1]).await.unwrap();
    let older = Server::builder().add_service(PeerServer::new(Older));
    tokio::spawn(older.serve_with_incoming(accept(listener, tls)));
    let peers = connect(&n1);
    opened(&peers).await;
    for step in [Step::Hold, Step::Free] {
        assert_eq!(peers.stay(NodeId(2), step, Duration::from_secs(60)).await, Told::TooOld);
    }
    assert!(peers.is_open(NodeId(2)), "it speaks on");
    assert_eq!(peers.standing(NodeId(2)), None);
}

#[tokio::test]
async fn a_peer_says_whether_it_is_on_standby_and_is_unknown_when_it_is_gone() {
    let lab = Lab::new();
    let addresses = [free(), free()];
    let n1 = node(&lab, "n1", &east("n1"), addresses);
    let n2 = node(&lab, "n2", &east("n2"), addresses);
    n2.standby.send_replace(None);
    let server = tokio::spawn(listen(addresses[1], n2.shared.clone()).unwrap().serve());
    let peers = connect(&n1);
    opened(&peers).await;
    for on in [false, true, false] {
        n2.standby.send_replace(Some(on));
        let said = async || (peers.standing(NodeId(2))?.standby == Some(on)).then_some(());
        until("what it says of itself", said).await;
    }
    server.abort();
    drop(n2);
    until("the end of the connection", async || {
        peers.send(NodeId(2), offer(1));
        (!peers.is_open(NodeId(2))).then_some(())
    })
    .await;
    until("nothing known", async || peers.standing(NodeId(2)).is_none().then_some(())).await;
}
