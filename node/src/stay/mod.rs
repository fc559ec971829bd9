//! A node that stops, and whose volumes stay: they go out of service, nobody else takes them, and the node takes them
//! again when it is back.
//!
//! ```text
//!   the node that stops                    each of its peers
//!   ───────────────────                    ───────────────────────────────────────────────────
//!   remembers whom it asks, and what for
//!   hold   ──────────────────────────────► remembers for whom, then is on standby
//!   releases what it holds, and ends
//!      … is back, registered, and has taken its volumes
//!   free   ──────────────────────────────► is online again, unless it was on standby before, or is held for others
//!   forgets whom it has freed
//! ```
//! Idea: a peer on standby asks for no volume, so what is released stays free for the node that comes back. That needs no
//! rule of its own in the core: nothing is granted here that would not be granted anyway, and what is not granted is a
//! matter of availability alone. `leave` is the way out, `back` the way back.
//!
//! Contract: who asks remembers it before the first question, and who is held before the answer; whoever dies in between
//! finds it in the record and goes on from there. As long as the node that stops has peers to free it takes no offer: a peer
//! on standby offers what it holds, and that is to stay where it is. A message that is lost is never a danger.

use crate::config::Config;
use crate::driver::{self, Ask, Snapshot, Wake, ask};
use crate::remembered;
use crate::site::Site;
use picket_core::ids::{NodeId, VolumeId};
use picket_core::message::PeerBody;
use picket_core::node::{NodeRequest, Phase, Status};
use picket_host::files::RealFiles;
use picket_host::small_state::SmallState;
use picket_proto::v1;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, oneshot, watch};

mod back;
mod leave;
#[cfg(test)]
mod tests;

/// Tells the file from others.
const KIND: [u8; 4] = *b"PKKP";

/// The form of its record.
const SCHEMA: u16 = 1;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// Nodes that stopped and keep their volumes: this node takes none until they are back.
    held_for: BTreeSet<NodeId>,
    /// This node was on standby before.
    was_standby: bool,
    /// Peers that were asked to be held for this node, and are to be freed.
    asked: BTreeSet<NodeId>,
    /// What this node held when it asked.
    volumes: BTreeSet<VolumeId>,
}

/// The record's file, for who changes it: one at a time, from its look at the record to its last deed.
pub(crate) type Turn = OwnedMutexGuard<SmallState>;

/// This node's part.
#[derive(Clone, Debug)]
pub struct Stay {
    config: Arc<Config>,
    queue: mpsc::Sender<Wake>,
    site: Site,
    file: Arc<Mutex<SmallState>>,
    record: Arc<watch::Sender<Record>>,
    /// This node is on its way out.
    leaving: Arc<watch::Sender<bool>>,
    /// Asking peers to be held and freeing them exclude each other.
    asking: Arc<Mutex<()>>,
}

impl Stay {
    /// With what was remembered. A record that cannot be read counts as none: a standby is the core's to remember, and
    /// whoever is held says so.
    #[must_use]
    pub fn new(config: Arc<Config>, queue: mpsc::Sender<Wake>, site: Site) -> Self {
        let file = SmallState::new(Arc::new(RealFiles), &config.state_dir.join("stay"), KIND, SCHEMA);
        let record = remembered::load(&file).unwrap_or_else(|error| {
            tracing::warn!(%error, "who is held for whom is forgotten; the node's standby is not");
            None
        });
        let record: Record = record.unwrap_or_default();
        Self {
            config,
            queue,
            site,
            file: Arc::new(Mutex::new(file)),
            record: Arc::new(watch::Sender::new(record)),
            leaving: Arc::default(),
            asking: Arc::default(),
        }
    }

    /// The nodes for which this one takes no volume.
    #[must_use]
    pub fn held_for(&self) -> Vec<NodeId> {
        self.record.borrow().held_for.iter().copied().collect()
    }

    /// The peers that take no volume for this node.
    #[must_use]
    pub fn asked(&self) -> Vec<NodeId> {
        self.record.borrow().asked.iter().copied().collect()
    }

    /// Tells when what is remembered changes.
    pub(crate) fn changes(&self) -> watch::Receiver<impl Sized + use<>> {
        self.record.subscribe()
    }

    /// Whether a peer's message is dropped: an offer of somebody who is held for this node.
    pub(crate) fn drops(&self, from: NodeId, body: &PeerBody) -> bool {
        matches!(body, PeerBody::HandoverOffer { .. }) && self.record.borrow().asked.contains(&from)
    }

    /// From now on this node takes no volume until `from` is back.
    ///
    /// # Errors
    /// Why it is not held.
    pub(crate) async fn hold(&self, from: NodeId) -> Result<(), String> {
        let turn = self.turn().await;
        if *self.leaving.borrow() {
            return Err("it is being stopped itself, and its volumes are to stay".to_owned());
        }
        if self.site.is_stopped() {
            return Err("the site is stopped there".to_owned());
        }
        let mut record = self.record();
        if record.held_for.is_empty() {
            record.was_standby = self.snapshot().await?.status.standby;
        }
        record.held_for.insert(from);
        let _turn = self.remember(turn, record).await?;
        self.stand_by().await
    }

    /// `from` is back. Says what this node is now; nothing: it was not held for that.
    ///
    /// # Errors
    /// It cannot be freed now; to be asked again.
    pub(crate) async fn free(&self, from: NodeId) -> Result<Option<&'static str>, String> {
        let turn = self.turn().await;
        let mut record = self.record();
        if !record.held_for.remove(&from) {
            return Ok(None);
        }
        let mut is_now = "it stays held for others";
        if record.held_for.is_empty() {
            is_now = if record.was_standby { "it stays on standby, as it was before" } else { "online" };
            if !record.was_standby {
                if self.site.is_stopped() {
                    return Err("the site is stopped there".to_owned());
                }
                // First: a record that is still there is found again, a standby without one is not.
                self.ask(NodeRequest::Standby(false)).await?;
            }
            record.was_standby = false;
        }
        self.remember(turn, record).await?;
        Ok(Some(is_now))
    }

    /// What comes before an operator's standby or online; to be dropped when that is done.
    ///
    /// # Errors
    /// It cannot be remembered.
    pub(crate) async fn before(&self, standby: bool) -> Result<Option<Turn>, String> {
        if standby {
            self.stays_on_standby().await?;
            return Ok(None);
        }
        self.site.forget().await?;
        self.forget().await.map(Some)
    }

    /// This node is held for nobody any more.
    async fn forget(&self) -> Result<Turn, String> {
        let turn = self.turn().await;
        let mut record = self.record();
        if record.held_for.is_empty() {
            return Ok(turn);
        }
        record.held_for.clear();
        record.was_standby = false;
        self.remember(turn, record).await
    }

    /// This node stays on standby when it is held for nobody any more.
    async fn stays_on_standby(&self) -> Result<(), String> {
        let turn = self.turn().await;
        let mut record = self.record();
        if !record.held_for.is_empty() && !record.was_standby {
            record.was_standby = true;
            self.remember(turn, record).await?;
        }
        Ok(())
    }

    async fn turn(&self) -> Turn {
        self.file.clone().lock_owned().await
    }

    fn record(&self) -> Record {
        self.record.borrow().clone()
    }

    async fn remember(&self, mut turn: Turn, record: Record) -> Result<Turn, String> {
        let bytes = serde_json::to_vec(&record).map_err(|error| error.to_string())?;
        let write = move || turn.replace(&bytes).map(|()| turn).map_err(|error| error.to_string());
        let turn = tokio::task::spawn_blocking(write).await.map_err(|error| error.to_string())??;
        self.record.send_replace(record);
        Ok(turn)
    }

    /// Puts this node on standby. What it holds may still be on its way to others: that is not waited for.
    async fn stand_by(&self) -> Result<(), String> {
        let ends = "the daemon ends".to_owned();
        let (answer, _not_waited_for) = oneshot::channel();
        let asked = Wake::Ask(Ask::Operator { request: NodeRequest::Standby(true), answer });
        self.queue.send(asked).await.map_err(|_| ends.clone())?;
        // The loop takes the one after the other, and answers when what came before is on the disk.
        if self.snapshot().await?.status.standby { Ok(()) } else { Err("it is not on standby".to_owned()) }
    }

    async fn snapshot(&self) -> Result<Box<Snapshot>, String> {
        driver::snapshot(&self.queue).await.ok_or_else(|| "the daemon ends".to_owned())
    }

    async fn ask(&self, request: NodeRequest) -> Result<(), String> {
        ask(&self.queue, request).await.map(drop).ok_or_else(|| "the daemon ends".to_owned())
    }
}

/// What a node holds, or is about to.
fn held(status: &Status) -> BTreeSet<VolumeId> {
    let holds = |phase| !matches!(phase, Phase::Unread | Phase::Secondary);
    status.volumes.iter().filter(|volume| holds(volume.phase)).map(|volume| volume.volume).collect()
}

/// What a node asks of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It takes no volume until this node is back.
    Hold,
    /// It may take volumes again.
    Free,
}

/// What a peer asks; none: no step of this version.
pub(crate) fn asked(ask: &v1::PeerStay) -> Option<Step> {
    use v1::peer_stay::Step as Wire;
    match ask.step() {
        Wire::Hold => Some(Step::Hold),
        Wire::Free => Some(Step::Free),
        Wire::Unspecified => None,
    }
}
