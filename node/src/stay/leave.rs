//! The way out: who is asked to be held, and what becomes of it.

use super::{Record, Stay, Step, held};
use crate::driver::Snapshot;
use crate::peer::{Peers, Told};
use core::time::Duration;
use picket_core::ids::NodeId;
use std::collections::BTreeSet;

/// How long all peers together may take to be held: each puts a small file on its disk twice. More of the time that a
/// service manager gives a stop is for what is released.
const HELD_WITHIN: Duration = Duration::from_secs(10);

/// How long one peer may take to be freed, likewise.
const FREED_WITHIN: Duration = Duration::from_secs(5);

impl Stay {
    /// Has every peer held, so that what is released after this stays for this node. Nothing is asked if nothing is held
    /// here.
    ///
    /// # Errors
    /// Why it cannot stay. Whoever was held is freed again, now or as soon as it can be.
    pub(crate) async fn leave(&self, peers: &Peers) -> Result<(), String> {
        let _asking = self.asking.lock().await;
        let snapshot = self.snapshot().await?;
        let holds = held(&snapshot.status);
        if holds.is_empty() {
            return Ok(());
        }
        hindrance(&snapshot)?;
        let turn = self.turn().await;
        let mut record = self.record();
        if !record.held_for.is_empty() {
            let names: Vec<_> = record.held_for.iter().map(|id| self.config.node_name(*id)).collect();
            return Err(format!("this node is held for {} itself", names.join(", ")));
        }
        let before = record.asked.clone();
        record.asked.extend(self.config.peers().map(|(id, _)| id));
        record.volumes.extend(holds);
        self.leaving.send_replace(true);
        let mut asked = before;
        let held = match self.remember(turn, record).await {
            Ok(turn) => {
                // A peer that asks the same now is told no at once.
                drop(turn);
                self.hold_all(peers, &snapshot, &mut asked).await
            }
            Err(why) => Err(why),
        };
        let Err(why) = held else { return Ok(()) };
        self.leaving.send_replace(false);
        for node in self.asked().into_iter().filter(|node| !asked.contains(node)) {
            self.forget_asked(node).await?;
        }
        match self.free_all(peers).await {
            Ok(()) => Err(why),
            Err(left) => Err(format!("{why}; {left}")),
        }
    }

    /// Who holds nothing goes first: a peer on standby offers what it holds to those that are not.
    /// Whoever may be held afterwards is among `asked`.
    async fn hold_all(
        &self,
        peers: &Peers,
        snapshot: &Snapshot,
        asked: &mut BTreeSet<NodeId>,
    ) -> Result<(), String> {
        let holds = |node: NodeId| {
            let peer = snapshot.status.peers.iter().find(|peer| peer.node == node);
            peer.and_then(|peer| peer.said.as_ref()).is_some_and(|said| !said.holds.is_empty())
        };
        let mut order = self.asked();
        order.sort_by_key(|node| holds(*node));
        let all = async {
            for node in order {
                let is_new = asked.insert(node);
                let told = peers.stay(node, Step::Hold, HELD_WITHIN).await;
                if is_new && matches!(told, Told::NotAsked(_)) {
                    asked.remove(&node);
                }
                told_no(&told)
                    .map_or(Ok(()), |why| Err(format!("{}: {why}", self.config.node_name(node))))?;
            }
            Ok(())
        };
        let late = |_| Err(format!("not every peer was held within {HELD_WITHIN:?}"));
        tokio::time::timeout(HELD_WITHIN, all).await.unwrap_or_else(late)
    }

    /// Frees whom it can, and forgets them. To be called with [`Stay::asking`] locked.
    ///
    /// # Errors
    /// Who is still held, as far as is known, and why.
    pub(super) async fn free_all(&self, peers: &Peers) -> Result<(), String> {
        let mut left = Vec::new();
        for node in self.asked() {
            let told = match self.config.members.contains_key(&node) {
                true => peers.stay(node, Step::Free, FREED_WITHIN).await,
                // Nobody is left who could be freed.
                false => Told::TooOld,
            };
            match told {
                Told::Done | Told::TooOld => self.forget_asked(node).await?,
                Told::No(why) | Told::Unknown(why) | Told::NotAsked(why) => {
                    left.push(format!("{} may still be held: {why}", self.config.node_name(node)));
                }
            }
        }
        if left.is_empty() { Ok(()) } else { Err(left.join("; ")) }
    }

    async fn forget_asked(&self, node: NodeId) -> Result<(), String> {
        let turn = self.turn().await;
        let mut record: Record = self.record();
        record.asked.remove(&node);
        if record.asked.is_empty() {
            record.volumes.clear();
        }
        self.remember(turn, record).await.map(drop)
    }
}

/// Why this node's volumes could not stay, as far as it knows itself.
fn hindrance(snapshot: &Snapshot) -> Result<(), String> {
    let status = &snapshot.status;
    if status.standby {
        return Err("this node is on standby: it would not take its volumes again".to_owned());
    }
    if !status.witness.registered || status.witness.lost || status.witness.recovering.is_some() {
        return Err(
            "the witness does not answer, or recovers: it could not record what is released".to_owned()
        );
    }
    Ok(())
}

fn told_no(told: &Told) -> Option<String> {
    match told {
        Told::Done => None,
        Told::No(why) => Some(why.clone()),
        Told::Unknown(why) | Told::NotAsked(why) => Some(format!("not reached: {why}")),
        Told::TooOld => Some("its version cannot be held".to_owned()),
    }
}
