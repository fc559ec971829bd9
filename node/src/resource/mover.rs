//! Asking that another node takes a volume over.
//!
//! Each node with a replica that is heard is asked once, in the order of preference: first whether it could run the
//! resources, as far as it knows, then the core whether it can take the volume. Two nodes that both failed to run a
//! tree so never pass it to and fro: each knows of its own failure, and says so.

use super::room::Mover;
use crate::driver::ask;
use crate::event::{self, Told};
use crate::peer::{Peers, Shared};
use picket_core::ids::{NodeId, NodeSet, VolumeId};
use picket_core::node::{NodeAnswer, NodeRequest};
use std::sync::Arc;
use tokio::sync::watch;

/// For the tree above one volume.
pub(crate) fn mover(
    shared: &Shared,
    peers: &Peers,
    heard: &watch::Receiver<NodeSet>,
    volume: VolumeId,
) -> Mover {
    let asking = Asking { shared: shared.clone(), peers: peers.clone(), heard: heard.clone(), volume };
    Arc::new(move |why| {
        let asking = asking.clone();
        Box::pin(async move { asking.round(&why).await })
    })
}

#[derive(Clone)]
struct Asking {
    shared: Shared,
    peers: Peers,
    heard: watch::Receiver<NodeSet>,
    volume: VolumeId,
}

impl Asking {
    /// Why nobody took it; of no meaning once somebody did.
    async fn round(&self, why: &str) -> String {
        let config = &self.shared.config;
        let members =
            config.volumes.get(&self.volume).map(|volume| volume.members.clone()).unwrap_or_default();
        let mut reasons = Vec::new();
        for peer in members.into_iter().filter(|member| *member != config.me) {
            match self.try_one(peer, why).await {
                Ok(()) => return String::new(),
                Err(reason) => reasons.push(format!("{}: {reason}", config.node_name(peer))),
            }
        }
        if reasons.is_empty() { "no other node has a replica".to_owned() } else { reasons.join("; ") }
    }

    async fn try_one(&self, peer: NodeId, why: &str) -> Result<(), String> {
        if !self.heard.borrow().contains(peer) {
            return Err("it is not heard".to_owned());
        }
        self.peers.able(peer, self.volume).await?;
        let config = &self.shared.config;
        let (name, to) = (config.volume_name(self.volume), config.node_name(peer));
        let text = format!("{name} should move to {to}: {why}");
        self.shared.events.tell(Told::new(event::RESOURCE_MOVES, text).about_volume(name));
        let request = NodeRequest::Move { volume: self.volume, to: peer };
        match ask(&self.shared.into, request).await.ok_or_else(|| "the daemon ends".to_owned())? {
            NodeAnswer::Done => Ok(()),
            NodeAnswer::Refused(refusal) => Err(refusal.told(&**config)),
            NodeAnswer::Unfinished(text) => Err(text),
            NodeAnswer::Kept(_) => Err("it stays here".to_owned()),
            NodeAnswer::Witness(answer) => Err(format!("{answer:?}")),
        }
    }
}
