//! A site for tests: an authority, a configuration, a witness on loopback, and nodes that speak to it.

use core::time::Duration;
use picket_core::evidence::{Generation, SelfFence};
use picket_core::ids::*;
use picket_core::message::*;
use picket_host::cert::{Authority, Identity};
use picket_host::config::{HostPort, Source};
use picket_host::files::Files;
use picket_host::tls::{Credentials, Expect, channel};
use picket_proto::v1::witness_client::WitnessClient;
use picket_proto::{from_wire, to_wire};
use picket_witness::config::Config;
use picket_witness::server::{Running, StartError, start};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

/// No answer within this: the test hangs. Far beyond everything that is waited for here.
const HANG: Duration = Duration::from_secs(30);

pub(crate) async fn in_time<T>(what: &str, waited: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, waited).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Certificates and a configuration.
pub(crate) struct Site {
    pub(crate) authority: Authority,
    pub(crate) config: Config,
}

const VOLUME: VolumeId = VolumeId(1);

impl Site {
    /// A cluster `east` of n1 and n2 with a volume `pg`, and a cluster `west` of its own n1.
    pub(crate) fn new() -> Self {
        let text = r#"
            listen = "127.0.0.1:0"
            state = "/state"
            tls = { ca = "/-", cert = "/-", key = "/-" }
            [[cluster]]
            name = "east"
            profile = "lan-aggressive"
            node = [{ name = "n1", id = 1 }, { name = "n2", id = 2 }]
            volume = [{ name = "pg", id = 1 }]
            [[cluster]]
            name = "west"
            node = [{ name = "n1", id = 1 }]
            volume = [{ name = "pg", id = 1 }]
        "#;
        let config = Config::parse(&Source::from_text("test", text)).expect("the configuration is good");
        Self { authority: Authority::create("test").expect("an authority"), config }
    }

    pub(crate) fn credentials(&self, identity: &Identity) -> Credentials {
        credentials(&self.authority, identity)
    }

    pub(crate) async fn start(&self, files: Arc<dyn Files>) -> Result<Running, StartError> {
        let identity = Identity::witness("w1").expect("a name");
        start(self.config.clone(), &self.credentials(&identity), files).await
    }

    pub(crate) fn client(&self, witness: &Running, identity: &Identity) -> WitnessClient<Channel> {
        client(&self.credentials(identity), witness)
    }

    /// A node of `east`, connected, with the challenge in its hands.
    pub(crate) async fn node(&self, witness: &Running, name: &str) -> Node {
        let identity = Identity::node("east", name).expect("a name");
        let (out, outgoing) = mpsc::channel(64);
        let mut client = self.client(witness, &identity);
        let opened = in_time("a session", client.session(ReceiverStream::new(outgoing))).await;
        let incoming = opened.expect("let in").into_inner();
        let config = self.config.clusters[0].digest();
        let mut node = Node {
            out,
            incoming,
            config,
            session: SessionId(0),
            request: 0,
            seen: Seen::default(),
            nonce: Nonce(0),
        };
        match node.next().await {
            Reply::Challenge { nonce } => node.nonce = nonce,
            other => panic!("expected a challenge, got {other:?}"),
        }
        node
    }
}

pub(crate) fn credentials(authority: &Authority, identity: &Identity) -> Credentials {
    let issued = authority.issue(identity, &["127.0.0.1".to_owned()], 1).expect("issued");
    Credentials::from_pem(authority.certificate_pem(), &issued.certificate_pem, &issued.key_pem)
        .expect("good")
}

pub(crate) fn client(credentials: &Credentials, witness: &Running) -> WitnessClient<Channel> {
    let address = HostPort { host: "127.0.0.1".to_owned(), port: witness.address().port() };
    let expect = Expect::Identity(Identity::witness("w1").expect("a name"));
    WitnessClient::new(channel(credentials, &address, expect, HANG).expect("a channel"))
}

/// A node's side of a session.
pub(crate) struct Node {
    out: mpsc::Sender<picket_proto::v1::ToWitness>,
    incoming: Streaming<picket_proto::v1::FromWitness>,
    config: ConfigDigest,
    session: SessionId,
    request: u64,
    pub(crate) seen: Seen,
    nonce: Nonce,
}

impl Node {
    pub(crate) async fn say(&mut self, body: Request) {
        self.request += 1;
        let request = RequestId(self.request);
        let message = ToWitness { session: self.session, request, seen: self.seen, body };
        self.out.send(to_wire(&message)).await.expect("the stream is open");
    }

    /// The next message, or the status with which the stream ended.
    pub(crate) async fn try_next(&mut self) -> Result<Reply, Code> {
        match in_time("a message", self.incoming.message()).await {
            Ok(Some(message)) => {
                let message: FromWitness = from_wire(message).expect("a good message");
                self.session = message.session;
                self.seen = message.seen;
                Ok(message.body)
            }
            Ok(None) => Err(Code::Ok),
            Err(status) => Err(status.code()),
        }
    }

    pub(crate) async fn next(&mut self) -> Reply {
        self.try_next().await.expect("the stream goes on")
    }

    /// The first message that `pick` takes; others are passed over.
    pub(crate) async fn until<T>(&mut self, pick: impl Fn(Reply) -> Option<T>) -> T {
        loop {
            if let Some(picked) = pick(self.next().await) {
                return picked;
            }
        }
    }

    /// Registers boot `boot` with an in-sync, complete replica; gives the registers.
    pub(crate) async fn register(&mut self, boot: u128) -> Vec<RegisterView> {
        let report = ReplicaReport {
            volume: VOLUME,
            max_epoch: Epoch(0),
            isr: NodeSet::only(NodeId(1)).with(NodeId(2)),
            isr_version: IsrVersion(1),
            recorded: GenerationId(7),
            generation: Generation::first(GenerationId(7)),
            complete: true,
            held: None,
            barrier_suffices: false,
            overridden: None,
        };
        let self_fence = SelfFence { watchdog_counts: true, pause_visible: true };
        let (nonce, config) = (self.nonce, self.config);
        let boot = BootId(boot);
        self.say(Request::Register(Register { nonce, boot, config, self_fence, replicas: vec![report] }))
            .await;
        self.until(|reply| match reply {
            Reply::Registered { registers, .. } => Some(registers),
            Reply::Refused { refusal, .. } => panic!("refused: {refusal}"),
            _ => None,
        })
        .await
    }

    pub(crate) async fn beat(&mut self, holds: &[(VolumeId, Epoch)]) {
        let clock = picket_host::clock::boottime();
        self.say(Request::Heartbeat(Heartbeat { hears: NodeSet::EMPTY, holds: holds.to_vec(), clock })).await;
    }

    pub(crate) async fn acquire(&mut self, attempt: u64) {
        let generation = Generation::first(GenerationId(7));
        let attempt = AttemptId(attempt);
        self.say(Request::Acquire(Acquire { volume: VOLUME, attempt, generation, complete: true })).await;
    }

    /// Waits for a grant while showing signs of life.
    pub(crate) async fn granted(&mut self) -> Granted {
        loop {
            self.beat(&[]).await;
            match self.next().await {
                Reply::Granted(granted) => return granted,
                Reply::Refused { refusal, .. } => panic!("refused: {refusal}"),
                _ => {}
            }
        }
    }
}
