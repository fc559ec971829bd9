//! Whether peers may take volumes: what this node asks of them when it stops, and what each of them says of itself.
//!
//! Contract: what a peer has not said is not known. A peer of an older version says nothing, and nothing is remembered of
//! one whose connection has ended.

use super::{Peers, Shared};
use crate::stay::Step;
use core::pin::Pin;
use core::time::Duration;
use futures_util::Stream;
use picket_core::ids::NodeId;
use picket_proto::convert::check_protocol;
use picket_proto::v1::peer_client::PeerClient;
use picket_proto::{PROTOCOL, v1};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// How a peer answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Done,
    /// It refused.
    No(String),
    /// It is not known whether it did.
    Unknown(String),
    /// There is no connection: it was not asked.
    NotAsked(String),
    /// Its version has no such thing.
    TooOld,
}

/// What a peer said of itself last; none: it is not known.
pub(super) type Said = Arc<Mutex<Option<v1::Standing>>>;

/// What a node says of itself, now and after each change.
pub(super) type Standings = Pin<Box<dyn Stream<Item = Result<v1::Standing, Status>> + Send>>;

impl Peers {
    /// Has a peer held for this node, or freed.
    pub(crate) async fn stay(&self, peer: NodeId, step: Step, within: Duration) -> Told {
        use v1::outcome::Result as Wire;
        use v1::peer_stay::Step as WireStep;
        let wire = match step {
            Step::Hold => WireStep::Hold,
            Step::Free => WireStep::Free,
        };
        let ask = v1::PeerStay { protocol: Some(PROTOCOL), step: wire.into() };
        let mut client = match self.client(peer) {
            Ok(client) => client,
            Err(why) => return Told::NotAsked(why),
        };
        match tokio::time::timeout(within, client.stay(ask)).await {
            Err(_) => Told::Unknown(format!("it has not answered within {within:?}")),
            Ok(Err(status)) if status.code() == Code::Unimplemented => Told::TooOld,
            Ok(Err(status)) => Told::Unknown(status.message().to_owned()),
            Ok(Ok(answer)) => match answer.into_inner().result {
                Some(Wire::Done(_)) => Told::Done,
                Some(Wire::Refused(refused)) => Told::No(refused.text),
                Some(Wire::Underway(underway)) => Told::Unknown(underway.text),
                None => Told::Unknown("it did not say how it ended".to_owned()),
            },
        }
    }

    /// What a peer said of itself last; none: it is not known.
    pub(crate) fn standing(&self, peer: NodeId) -> Option<v1::Standing> {
        self.standings.get(&peer)?.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    /// What this node says of itself to a peer.
    pub(super) fn standings(&self) -> Standings {
        let (mut standby, mut held) = (self.standby.clone(), self.stay.changes());
        let stay = self.stay.clone();
        let (out, stream) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                let on = *standby.borrow_and_update();
                held.mark_unchanged();
                let held_for = stay.held_for().into_iter().map(|node| u32::from(node.0)).collect();
                // Nobody knows before the loop has read it.
                if on.is_some() {
                    let said = v1::Standing { protocol: Some(PROTOCOL), standby: on, held_for };
                    if out.send(Ok(said)).await.is_err() {
                        return;
                    }
                }
                let alive = tokio::select! {
                    changed = standby.changed() => changed.is_ok(),
                    changed = held.changed() => changed.is_ok(),
                    () = out.closed() => false,
                };
                if !alive {
                    return;
                }
            }
        });
        Box::pin(ReceiverStream::new(stream))
    }
}

/// Follows what a peer says of itself until it says nothing more.
pub(super) async fn follow(channel: Channel, said: &Said) {
    let ask = v1::StandingRequest { protocol: Some(PROTOCOL) };
    if let Ok(answer) = PeerClient::new(channel).standing(ask).await {
        let mut stream = answer.into_inner();
        while let Ok(Some(standing)) = stream.message().await {
            let is_understood = check_protocol(standing.protocol).is_ok();
            *said.lock().unwrap_or_else(PoisonError::into_inner) = Some(standing).filter(|_| is_understood);
        }
    }
    *said.lock().unwrap_or_else(PoisonError::into_inner) = None;
}
