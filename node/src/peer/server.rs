//! The streams that peers open to this node.

use super::Shared;
use super::standing::Standings;
use crate::control::{done, outcome, refused, site_asked};
use crate::driver::ask;
use crate::event::{FREED, HELD, OPERATOR, PEER_REFUSED, Told};
use crate::site::Step;
use crate::stay;
use core::pin::Pin;
use core::time::Duration;
use futures_util::Stream;
use picket_core::ids::{NodeId, VolumeId};
use picket_core::message::PeerMessage;
use picket_core::node::{Input, NodeRequest};
use picket_host::cert::Role;
use picket_host::tls::{accept, peer_identity};
use picket_proto::convert::check_protocol;
use picket_proto::v1::peer_server::{Peer, PeerServer};
use picket_proto::{MESSAGE_BYTES_MAX, PROTOCOL, from_wire, v1};
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

/// How often a silent connection is asked for a sign of life.
const KEEPALIVE: Duration = Duration::from_secs(1);

/// The listening server.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    shared: Shared,
}

/// Binds the port; connections wait in the kernel until [`Listening::serve`].
///
/// # Errors
/// The address cannot be bound.
pub fn listen(address: SocketAddr, shared: Shared) -> io::Result<Listening> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"));
    let listener = std::net::TcpListener::bind(address).map_err(named)?;
    listener.set_nonblocking(true)?;
    Ok(Listening { listener: TcpListener::from_std(listener)?, shared })
}

impl Listening {
    /// Serves until the daemon ends.
    ///
    /// # Errors
    /// TLS refuses our certificate, or the transport failed.
    pub async fn serve(self) -> Result<(), String> {
        let tls = self.shared.credentials.server_config().map_err(|error| error.to_string())?;
        let service = PeerServer::new(Service { shared: self.shared })
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .add_service(service)
            .serve_with_incoming(accept(self.listener, tls))
            .await
            .map_err(|error| error.to_string())
    }
}

struct Service {
    shared: Shared,
}

impl Service {
    /// Which peer calls.
    fn who<T>(&self, request: &Request<T>) -> Result<NodeId, String> {
        let config = &self.shared.config;
        let identity = peer_identity(request).map_err(|error| error.to_string())?;
        if identity.role() != Role::Node || identity.cluster() != Some(config.cluster.as_str()) {
            return Err(format!("{identity} is no node of cluster {}", config.cluster));
        }
        match config.node_named(identity.name()) {
            Some(node) if node == config.me => Err(format!("{identity} is this node itself")),
            Some(node) => Ok(node),
            None => Err(format!("{identity} is no member")),
        }
    }

    fn refuse(&self, text: String) -> Status {
        self.shared.events.tell(Told::new(PEER_REFUSED, format!("refused a peer: {text}")));
        Status::permission_denied(text)
    }
}

#[tonic::async_trait]
impl Peer for Service {
    type TalkStream = Pin<Box<dyn Stream<Item = Result<v1::PeerAccepted, Status>> + Send>>;

    async fn talk(
        &self,
        request: Request<Streaming<v1::PeerEnvelope>>,
    ) -> Result<Response<Self::TalkStream>, Status> {
        let from = self.who(&request).map_err(|text| self.refuse(text))?;
        let (answer, answers) = mpsc::channel(1);
        let accepted = v1::PeerAccepted { protocol: Some(PROTOCOL), version: crate::VERSION.to_owned() };
        let _ = answer.try_send(Ok(accepted));
        let shared = self.shared.clone();
        tokio::spawn(async move {
            if let Err(text) = read(&shared, from, request.into_inner(), &answer).await {
                shared.events.tell(Told::new(PEER_REFUSED, format!("node {from}: {text}")));
                let _ = answer.send(Err(Status::invalid_argument(text))).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    async fn policy(&self, request: Request<v1::PeerPolicy>) -> Result<Response<v1::PeerPolicy>, Status> {
        let from = self.who(&request).map_err(|text| self.refuse(text))?;
        let asked = request.get_ref();
        let volume = spoken_of(asked.protocol, asked.volume)?;
        let handle = volume.zip(self.shared.trees.get()).and_then(|(volume, trees)| trees.of(volume));
        let handle = handle.ok_or_else(|| Status::not_found("there are no resources above that volume"))?;
        if asked.failover.is_some() || asked.local_recovery.is_some() {
            let text =
                format!("{}: a policy of resources was changed there", self.shared.config.node_name(from));
            self.shared.events.tell(Told::new(OPERATOR, text));
        }
        let policy =
            handle.policy(asked.failover, asked.local_recovery).await.map_err(Status::unavailable)?;
        let (failover, local_recovery) = (Some(policy.failover), Some(policy.local_recovery));
        Ok(Response::new(v1::PeerPolicy { failover, local_recovery, ..*asked }))
    }

    async fn standby(&self, request: Request<v1::PeerStandby>) -> Result<Response<v1::Outcome>, Status> {
        let from = self.who(&request).map_err(|text| self.refuse(text))?;
        let asked = request.get_ref();
        check_protocol(asked.protocol).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let on = asked.on.ok_or_else(|| Status::invalid_argument("neither standby nor online"))?;
        let (shared, word) = (&self.shared, if on { "standby" } else { "online" });
        let text = format!("{}: this node was put {word} there", shared.config.node_name(from));
        shared.events.tell(Told::new(OPERATOR, text));
        let _turn = shared.stay.before(on).await.map_err(Status::internal)?;
        // The core gives up by itself.
        let answer = ask(&shared.into, NodeRequest::Standby(on)).await;
        let answer = answer.ok_or_else(|| Status::unavailable("the daemon ends"))?;
        Ok(Response::new(outcome(&shared.config, answer)))
    }

    async fn site(&self, request: Request<v1::PeerSite>) -> Result<Response<v1::Outcome>, Status> {
        let from = self.who(&request).map_err(|text| self.refuse(text))?;
        let asked = request.get_ref();
        check_protocol(asked.protocol).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let step = site_asked(asked).ok_or_else(|| Status::invalid_argument("no step that is known here"))?;
        let what = match step {
            Step::Check { .. } => None,
            Step::Hold | Step::Release => Some("stopped"),
            Step::Start => Some("started"),
        };
        if let Some(what) = what {
            let text = format!("{}: the site is {what} there", self.shared.config.node_name(from));
            self.shared.events.tell(Told::new(OPERATOR, text));
        }
        Ok(Response::new(self.shared.site.step(step).await))
    }

    async fn stay(&self, request: Request<v1::PeerStay>) -> Result<Response<v1::Outcome>, Status> {
        let from = self.who(&request).map_err(|text| self.refuse(text))?;
        let asked = request.get_ref();
        check_protocol(asked.protocol).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let step =
            stay::asked(asked).ok_or_else(|| Status::invalid_argument("no step that is known here"))?;
        let shared = self.shared.clone();
        // Who asked may be gone before it is done; what was begun is brought to its end.
        let told = tokio::spawn(async move { shared.stayed(from, step).await }).await;
        told.map(Response::new).map_err(|error| Status::internal(error.to_string()))
    }

    type StandingStream = Standings;

    async fn standing(
        &self,
        request: Request<v1::StandingRequest>,
    ) -> Result<Response<Self::StandingStream>, Status> {
        self.who(&request).map_err(|text| self.refuse(text))?;
        let asked = request.get_ref();
        check_protocol(asked.protocol).map_err(|error| Status::invalid_argument(error.to_string()))?;
        Ok(Response::new(self.shared.standings()))
    }

    async fn able(&self, request: Request<v1::AbleRequest>) -> Result<Response<v1::AbleAnswer>, Status> {
        self.who(&request).map_err(|text| self.refuse(text))?;
        let asked = request.get_ref();
        let volume = spoken_of(asked.protocol, asked.volume)?;
        let volume = volume.filter(|id| self.shared.config.own_volumes().any(|(own, _)| own == *id));
        let reason = match (volume, self.shared.trees.get()) {
            (None, _) => Some("it has no replica of that volume".to_owned()),
            (Some(_), None) => Some("it is starting".to_owned()),
            (Some(volume), Some(trees)) => {
                let unable = trees.of(volume).and_then(|handle| handle.view.borrow().unable.clone());
                unable.or_else(|| self.shared.conditions.unable(volume))
            }
        };
        let able = reason.is_none();
        Ok(Response::new(v1::AbleAnswer { able, reason: reason.unwrap_or_default() }))
    }
}

impl Shared {
    async fn stayed(&self, from: NodeId, step: stay::Step) -> v1::Outcome {
        let name = self.config.node_name(from);
        match step {
            stay::Step::Hold => match self.stay.hold(from).await {
                Ok(()) => {
                    let text =
                        format!("{name} stops, and its volumes stay: this node takes none until it is back");
                    self.events.tell(Told::new(HELD, text));
                    done("held", None)
                }
                Err(why) => refused("NOT_HELD", why),
            },
            stay::Step::Free => match self.stay.free(from).await {
                Ok(Some(is_now)) => {
                    self.events.tell(Told::new(FREED, format!("{name} is back, or did not stop: {is_now}")));
                    done(is_now, None)
                }
                Ok(None) => done("it was not held", None),
                Err(why) => refused("NOT_FREED", why),
            },
        }
    }
}

/// The volume that a peer asks about; none: no volume has such an id.
fn spoken_of(protocol: Option<u32>, volume: Option<u32>) -> Result<Option<VolumeId>, Status> {
    check_protocol(protocol).map_err(|error| Status::invalid_argument(error.to_string()))?;
    Ok(volume.and_then(|volume| u16::try_from(volume).ok()).map(VolumeId))
}

/// Reads until the peer ends the stream, or says something that it may not.
async fn read(
    shared: &Shared,
    from: NodeId,
    mut stream: Streaming<v1::PeerEnvelope>,
    answer: &mpsc::Sender<Result<v1::PeerAccepted, Status>>,
) -> Result<(), String> {
    loop {
        let next = tokio::select! {
            next = stream.message() => next,
            () = answer.closed() => return Ok(()),
        };
        // A connection that breaks is an everyday thing, and its other end tries again.
        let Ok(Some(envelope)) = next else { return Ok(()) };
        let message: PeerMessage = from_wire(envelope).map_err(|error| error.to_string())?;
        shared.check(from, &message)?;
        if shared.stay.drops(from, &message.body) {
            continue;
        }
        if shared.into.send(Input::Peer { from, message }.into()).await.is_err() {
            return Ok(());
        }
    }
}
