//! The stream to one peer.

use super::standing::{Said, follow};
use super::{Line, OUTGOING_MAX, Shared, Slot};
use crate::backoff::Backoff;
use crate::config::Member;
use crate::witness_client::told;
use core::time::Duration;
use futures_util::StreamExt;
use picket_core::ids::NodeId;
use picket_host::cert::Identity;
use picket_host::tls::{Connector, Expect};
use picket_proto::convert::check_protocol;
use picket_proto::v1::peer_client::PeerClient;
use picket_proto::{to_wire, v1};
use std::sync::PoisonError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

/// A connection that is not made within this is tried again.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// The stream, where messages for it go, and the connection below it.
type Opened = (Streaming<v1::PeerAccepted>, mpsc::Sender<picket_core::message::PeerMessage>, Channel);

/// Where what is open is found.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) slot: Slot,
    pub(super) line: Line,
    /// What the peer says of itself while it is.
    pub(super) said: Said,
}

/// Keeps the stream to one peer open; to be run until the daemon ends.
#[derive(Debug)]
pub struct Client {
    shared: Shared,
    peer: NodeId,
    member: Member,
    ends: Ends,
}

impl Client {
    pub(super) const fn new(shared: Shared, peer: NodeId, member: Member, ends: Ends) -> Self {
        Self { shared, peer, member, ends }
    }

    /// Connects for ever.
    pub async fn run(self) {
        let mut backoff = Backoff::default();
        let mut error = String::new();
        while !self.shared.into.is_closed() {
            match self.connect().await {
                Ok((stream, outgoing, channel)) => {
                    backoff.reset();
                    error.clear();
                    let Ends { slot, line, said } = &self.ends;
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(outgoing);
                    *line.lock().unwrap_or_else(PoisonError::into_inner) = Some(channel.clone());
                    let why = tokio::select! {
                        why = until_end(stream) => why,
                        never = async { follow(channel, said).await; core::future::pending().await } => never,
                    };
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    *line.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    *said.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    tracing::info!(peer = %self.member.name, %why, "the connection to a peer ended");
                }
                Err(why) if why != error => {
                    tracing::info!(peer = %self.member.name, address = %self.member.peer_address, %why, "no connection to a peer");
                    error = why;
                }
                Err(_) => {}
            }
            tokio::time::sleep(backoff.wait()).await;
        }
    }

    async fn connect(&self) -> Result<Opened, String> {
        let config = &self.shared.config;
        let identity =
            Identity::node(&config.cluster, &self.member.name).map_err(|error| error.to_string())?;
        let address = &self.member.peer_address;
        let connector = Connector::new(&self.shared.credentials, address.clone(), Expect::Identity(identity));
        let connector = connector.map_err(|error| error.to_string())?;
        let alive = config.params.suspect_after();
        let endpoint =
            Endpoint::from_shared(format!("http://{address}")).map_err(|error| error.to_string())?;
        let endpoint = endpoint
            .connect_timeout(CONNECT_MAX)
            .http2_keep_alive_interval(alive)
            .keep_alive_timeout(alive * 2)
            .keep_alive_while_idle(true);
        let opened = async {
            let channel = endpoint.connect_with_connector(connector).await.map_err(|error| told(&error))?;
            let (outgoing, waiting) = mpsc::channel(OUTGOING_MAX);
            let shared = self.shared.clone();
            let envelopes = ReceiverStream::new(waiting).filter_map(move |message| {
                core::future::ready(shared.sign(message).map(|message| to_wire(&message)))
            });
            let answer = PeerClient::new(channel.clone()).talk(envelopes).await;
            let mut stream = answer.map_err(|status| status.message().to_owned())?.into_inner();
            let accepted = stream.message().await.map_err(|status| status.message().to_owned())?;
            let accepted = accepted.ok_or("the peer closed the stream before it accepted")?;
            check_protocol(accepted.protocol).map_err(|error| error.to_string())?;
            Ok((stream, outgoing, channel))
        };
        let limit = CONNECT_MAX * 2;
        tokio::time::timeout(limit, opened)
            .await
            .unwrap_or_else(|_| Err(format!("not accepted within {limit:?}")))
    }

    /// Which peer.
    #[must_use]
    pub const fn peer(&self) -> NodeId {
        self.peer
    }
}

/// The server says nothing more after it has accepted.
async fn until_end(mut stream: Streaming<v1::PeerAccepted>) -> String {
    match stream.message().await {
        Ok(Some(_)) => "the peer accepted twice".to_owned(),
        Ok(None) => "the peer closed it".to_owned(),
        Err(status) => status.message().to_owned(),
    }
}
