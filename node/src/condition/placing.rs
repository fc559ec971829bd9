//! Moves volumes away from a node that does not meet their conditions.

use super::Conditions;
use crate::driver::{self, Snapshot};
use crate::peer::{Peers, Shared};
use crate::resource::mover::mover;
use crate::resource::tree::MOVE_AGAIN;
use picket_core::ids::{NodeSet, VolumeId};
use picket_core::node::Phase;
use std::collections::BTreeMap;
use std::sync::PoisonError;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// What it takes to move a volume.
pub(crate) struct Placing {
    conditions: Conditions,
    shared: Shared,
    peers: Peers,
    heard: watch::Receiver<NodeSet>,
}

impl Placing {
    /// Of a daemon.
    pub(crate) fn new(shared: &Shared, peers: &Peers, heard: &watch::Receiver<NodeSet>) -> Self {
        let conditions = shared.conditions.clone();
        Self { conditions, shared: shared.clone(), peers: peers.clone(), heard: heard.clone() }
    }

    /// Begins to look, and to move what should be elsewhere.
    pub(crate) fn begin(self, rooms: &Runtime) {
        rooms.spawn(self.conditions.clone().run(self.shared.events.clone()));
        rooms.spawn(self.run());
    }

    /// Looks after the volumes that are held here, for as long as the daemon lives.
    async fn run(self) {
        let mut states = self.conditions.states.subscribe();
        while !self.shared.into.is_closed() {
            states.mark_unchanged();
            self.round().await;
            // Who refused may be able later.
            if let Ok(Err(_)) = tokio::time::timeout(MOVE_AGAIN, states.changed()).await {
                return;
            }
        }
    }

    async fn round(&self) {
        let config = &self.shared.config;
        let leaving =
            || config.own_volumes().filter_map(|(id, _)| Some((id, self.conditions.should_leave(id)?)));
        let mut misplaced = BTreeMap::new();
        if leaving().next().is_some()
            && let Some(snapshot) = driver::snapshot(&self.shared.into).await
        {
            for (id, why) in leaving().filter(|(id, _)| self.may_move(&snapshot, *id)) {
                let refused = mover(&self.shared, &self.peers, &self.heard, id)(why.clone()).await;
                if !refused.is_empty() {
                    misplaced.insert(id, format!("{why}; {refused}"));
                }
            }
        }
        *self.conditions.misplaced.lock().unwrap_or_else(PoisonError::into_inner) = misplaced;
    }

    /// It is in service here, and nobody forbade that it moves by itself.
    fn may_move(&self, snapshot: &Snapshot, id: VolumeId) -> bool {
        let status = &snapshot.status;
        let active = |phase| matches!(phase, Phase::Active(_));
        let is_here = status.volumes.iter().any(|volume| volume.volume == id && active(volume.phase));
        let tree = self.shared.trees.get().and_then(|trees| trees.of(id));
        let failover = tree.is_none_or(|tree| tree.view.borrow().failover);
        is_here && failover && !status.witness.maintenance.contains(self.shared.config.me)
    }
}
