//! What nodes tell each other over gRPC with mutual TLS.
//!
//! Each node opens one stream to each peer and sends on it; what comes from the peer comes on the stream that the
//! peer opened. Connections are kept open in advance. Contract: messages of one connection come in order; a message
//! that cannot go at once, or whose connection dies, is dropped, so that nothing stale arrives after a reconnect.
//! Who speaks is known from the certificate alone. A release that is relayed is signed by its sender on the way out
//! and checked against the sender's certificate on the way in.

use crate::condition::Conditions;
use crate::config::Config;
use crate::driver::Wake;
use crate::events::Events;
use crate::resource::Trees;
use crate::resource::room::ABLE_WITHIN;
use crate::site::Site;
use crate::stay::Stay;
use core::time::Duration;
use picket_core::ids::{NodeId, VolumeId};
use picket_core::message::{PeerBody, PeerMessage};
use picket_host::cert::Role;
use picket_host::tls::Credentials;
use picket_proto::v1::peer_client::PeerClient;
use picket_proto::{PROTOCOL, relay, v1};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::{mpsc, watch};
use tonic::transport::Channel;
use tonic::{Response, Status};

mod client;
mod server;
mod standing;
#[cfg(test)]
mod tests;

pub use client::Client;
pub use server::{Listening, listen};
pub(crate) use standing::Told;

use standing::Said;

/// Messages that wait for one connection: a few questions for each volume.
const OUTGOING_MAX: usize = 256;

/// One peer's open connection, if there is one.
type Slot = Arc<Mutex<Option<mpsc::Sender<PeerMessage>>>>;

/// The loop's end of all connections.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    slots: Arc<BTreeMap<NodeId, Slot>>,
    channels: Arc<BTreeMap<NodeId, Line>>,
    standings: Arc<BTreeMap<NodeId, Said>>,
}

/// One peer's open connection, for questions that are answered on it.
type Line = Arc<Mutex<Option<Channel>>>;

/// What server and clients share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// For names.
    pub config: Arc<Config>,
    /// Who we are and whom we trust.
    pub credentials: Arc<Credentials>,
    /// The loop's queue.
    pub into: mpsc::Sender<Wake>,
    /// For refusals.
    pub events: Events,
    /// The resources of this node, once they are known.
    pub trees: Arc<OnceLock<Trees>>,
    /// This node's part in a stop and a start of the whole site.
    pub site: Site,
    /// This node's part in a stop of one whose volumes stay.
    pub stay: Stay,
    /// Whether this node is on standby, once the loop has told.
    pub standby: watch::Receiver<Option<bool>>,
    /// What this node must have for volumes to be placed on it.
    pub conditions: Conditions,
}

impl Peers {
    /// The loop's end, and a client for each peer.
    #[must_use]
    pub fn new(shared: &Shared) -> (Self, Vec<Client>) {
        let (mut slots, mut channels, mut standings) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut clients = Vec::new();
        for (id, member) in shared.config.peers() {
            let (slot, line, said) = (Slot::default(), Line::default(), Said::default());
            let ends = client::Ends { slot: slot.clone(), line: line.clone(), said: said.clone() };
            clients.push(Client::new(shared.clone(), id, member.clone(), ends));
            slots.insert(id, slot);
            channels.insert(id, line);
            standings.insert(id, said);
        }
        let (slots, channels, standings) = (Arc::new(slots), Arc::new(channels), Arc::new(standings));
        (Self { slots, channels, standings }, clients)
    }

    /// Asks a peer whether the resources above a volume could run there.
    ///
    /// # Errors
    /// Why they could not, or why that is not known.
    pub async fn able(&self, peer: NodeId, volume: VolumeId) -> Result<(), String> {
        let request = v1::AbleRequest { protocol: Some(PROTOCOL), volume: Some(u32::from(volume.0)) };
        let mut client = self.client(peer)?;
        let answer = answered(client.able(request)).await?;
        if answer.able { Ok(()) } else { Err(answer.reason) }
    }

    /// Sends on the open connection; without one the message is lost.
    pub fn send(&self, to: NodeId, message: PeerMessage) {
        let Some(slot) = self.slots.get(&to) else { return };
        let open = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if open.as_ref().is_none_or(|open| open.try_send(message).is_err()) {
            tracing::debug!(peer = %to, "a message to a peer was dropped");
        }
    }

    /// Whether a connection to the peer is open.
    #[must_use]
    pub fn is_open(&self, peer: NodeId) -> bool {
        let slot = self.slots.get(&peer);
        slot.is_some_and(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner).is_some())
    }
}

impl Peers {
    /// Asks a peer for the policy of the resources above a volume, and to change it where a value is given.
    ///
    /// # Errors
    /// Why it was not told, or not changed.
    pub async fn policy(&self, peer: NodeId, ask: v1::PeerPolicy) -> Result<v1::PeerPolicy, String> {
        let mut client = self.client(peer)?;
        answered(client.policy(ask)).await
    }

    /// Puts a peer on standby, or online again, and waits until it has handed over what it can.
    ///
    /// # Errors
    /// Why it is not known whether it did.
    pub async fn standby(&self, peer: NodeId, on: bool, within: Duration) -> Result<v1::Outcome, String> {
        let mut client = self.client(peer)?;
        let ask = v1::PeerStandby { protocol: Some(PROTOCOL), on: Some(on) };
        answered_within(within, client.standby(ask)).await
    }

    /// Has a peer do one step of a stop or a start of the whole site.
    ///
    /// # Errors
    /// Why it is not known whether it did.
    pub async fn site(
        &self,
        peer: NodeId,
        ask: v1::PeerSite,
        within: Duration,
    ) -> Result<v1::Outcome, String> {
        let mut client = self.client(peer)?;
        answered_within(within, client.site(ask)).await
    }

    fn client(&self, peer: NodeId) -> Result<PeerClient<Channel>, String> {
        let line = self.channels.get(&peer);
        let channel = line.and_then(|line| line.lock().unwrap_or_else(PoisonError::into_inner).clone());
        Ok(PeerClient::new(channel.ok_or("there is no connection to it")?))
    }
}

/// What a peer answers, if it does in time.
async fn answered<T>(asked: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, String> {
    answered_within(ABLE_WITHIN, asked).await
}

async fn answered_within<T>(
    within: Duration,
    asked: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, String> {
    let answer = tokio::time::timeout(within, asked).await;
    let answer = answer.map_err(|_| format!("it has not answered within {within:?}"))?;
    Ok(answer.map_err(|status| status.message().to_owned())?.into_inner())
}

impl Shared {
    /// Signs what others carry for us.
    fn sign(&self, mut message: PeerMessage) -> Option<PeerMessage> {
        if let PeerBody::RelayRelease { release } = &mut message.body {
            let bytes = relay::signed_bytes(&self.config.cluster, self.config.me, release);
            let signed = self.credentials.sign(relay::PURPOSE, &bytes);
            let signature =
                signed.inspect_err(|error| tracing::warn!(%error, "cannot sign a release")).ok()?;
            release.signature = relay::pack(signature, self.credentials.chain());
        }
        Some(message)
    }

    /// Whether a release that the peer wants carried is its own.
    fn check(&self, from: NodeId, message: &PeerMessage) -> Result<(), String> {
        let PeerBody::RelayRelease { release } = &message.body else { return Ok(()) };
        let (signature, chain) = relay::unpack(&release.signature).ok_or("the release has no signature")?;
        let bytes = relay::signed_bytes(&self.config.cluster, from, release);
        let signer = self.credentials.trust().verify(relay::PURPOSE, &bytes, &signature, &chain);
        let signer = signer.map_err(|error| format!("the release's signature: {error}"))?;
        let own = signer.role() == Role::Node
            && signer.cluster() == Some(self.config.cluster.as_str())
            && self.config.node_named(signer.name()) == Some(from);
        if own { Ok(()) } else { Err(format!("a release of node {from} is signed by {signer}")) }
    }
}
