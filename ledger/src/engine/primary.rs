//! A primary and its peers: attach, find the common prefix, stream, know who is in step.
//!
//! ```text
//! Idle ──attach──▶ Attaching ──▶ Searching ──▶ Resyncing ──▶ Streaming (in step once it has all)
//!   ▲                 │ refused                   │ both wrote
//!   └── link lost ────┴───────▶ Refused           └──▶ Diverged
//! ```
//! Any of these ends with the link. The common prefix is found by comparing chains of (place, epoch,
//! checksum), so equal means equal from the first record on.

use std::collections::BTreeSet;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Answer, ConnId, Engine};
use crate::control::wire::Refusal;
use crate::ids::{Epoch, Generation, GenerationId, NodeId};
use crate::record::Point;
use crate::store::StoreError;
use crate::wire::{ToPrimary, ToReplica, encode};

/// Bytes of one batch of records.
const BATCH_BYTES: u64 = 256 * 1024;
/// Bytes sent and not confirmed, per peer: enough to fill a long link, little enough for the queue.
const WINDOW_BYTES: u64 = 4 * 1024 * 1024;
/// Records sent and not confirmed, per peer; each takes at most one place in the link's queue.
const WINDOW_RECORDS: u64 = 512;
/// Frames that may wait for a link: the window, and what accompanies it.
pub(crate) const LINK_QUEUE: usize = WINDOW_RECORDS as usize + 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No link, or nothing to offer.
    Idle,
    /// Offered our stream.
    Attaching,
    /// `low` matches; what lies above `high` does not. Asked about the middle.
    Searching { low: u64, high: u64 },
    /// Told to go back to the common prefix.
    Resyncing,
    /// Gets every record.
    Streaming,
    /// Does not take our stream.
    Refused,
    /// Does not take our stream because it would lose what only it has.
    Diverged,
}

pub(super) struct Link {
    conn: ConnId,
    out: mpsc::Sender<Bytes>,
}

/// A `require_peer` that is not in force yet.
pub(super) struct Requiring {
    /// Answered once the peer has this.
    target: u64,
    answer: Answer,
}

pub(super) struct Peer {
    pub(super) node: NodeId,
    pub(super) link: Option<Link>,
    pub(super) phase: Phase,
    pub(super) max_epoch: Epoch,
    sent: u64,
    pub(super) acked: u64,
    /// The generation, and whether it is required, as last sent.
    told: Option<(GenerationId, bool)>,
    /// That the peer confirmed to hold, with everything of it up to then.
    pub(super) generation: Option<GenerationId>,
    pub(super) requiring: Option<Requiring>,
}

impl Peer {
    pub(super) fn new(node: NodeId) -> Peer {
        Peer {
            node,
            link: None,
            phase: Phase::Idle,
            max_epoch: Epoch(0),
            sent: 0,
            acked: 0,
            told: None,
            generation: None,
            requiring: None,
        }
    }

    /// Follows the stream and had caught up with it.
    pub(super) fn in_step(&self) -> bool {
        self.phase == Phase::Streaming && self.generation.is_some()
    }

    /// Back to `phase`, with nothing known of what the peer has.
    fn reset(&mut self, phase: Phase) {
        self.phase = phase;
        self.sent = 0;
        self.acked = 0;
        self.told = None;
        self.generation = None;
    }

    /// Queues a frame; a link whose queue is full has stopped reading and is given up.
    fn send(&mut self, message: &ToReplica) {
        let Some(link) = &self.link else { return };
        let queued = encode(message).map(|frame| link.out.try_send(frame));
        if !matches!(queued, Ok(Ok(()))) {
            tracing::info!(peer = %self.node, "link to peer has ended or takes no frames, given up");
            self.link = None;
            self.reset(Phase::Idle);
        }
    }
}

impl Engine {
    /// The required peers that are not in step.
    pub(super) fn lost(&self) -> BTreeSet<NodeId> {
        let in_step = |node: &NodeId| self.peers.get(node).is_some_and(Peer::in_step);
        self.required.iter().copied().filter(|node| !in_step(node)).collect()
    }

    pub(super) fn link_up(
        &mut self,
        peer: NodeId,
        conn: ConnId,
        out: mpsc::Sender<Bytes>,
        max_epoch: Epoch,
    ) -> Result<(), StoreError> {
        self.changed = true;
        if let Some(p) = self.peers.get_mut(&peer) {
            p.link = Some(Link { conn, out });
            p.reset(Phase::Idle);
        }
        self.learn_epoch(peer, max_epoch)?;
        self.attach(peer);
        Ok(())
    }

    pub(super) fn link_down(&mut self, peer: NodeId, conn: ConnId, why: &str) {
        let Some(p) = self.peers.get_mut(&peer) else { return };
        // A link that was given up in `send` is gone already; its successor has another name.
        if p.link.as_ref().is_some_and(|l| l.conn != conn) {
            return;
        }
        tracing::info!(%peer, why, "link to peer lost");
        p.link = None;
        p.reset(Phase::Idle);
        self.fail_requiring(peer);
        self.changed = true;
    }

    /// A peer told of an epoch. Above our own it ends our writing: it was given out only after we were
    /// proven inactive, or is about to be.
    fn learn_epoch(&mut self, peer: NodeId, epoch: Epoch) -> Result<(), StoreError> {
        if let Some(p) = self.peers.get_mut(&peer) {
            p.max_epoch = p.max_epoch.max(epoch);
        }
        if self.primary_epoch().is_some_and(|held| epoch > held) {
            self.supersede(epoch)?;
        }
        Ok(())
    }

    /// Notes, durably, that a higher epoch than our promotion's exists.
    pub(super) fn supersede(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        if self.store.meta().max_epoch < epoch {
            self.store.change_meta(|m| m.max_epoch = epoch)?;
        }
        self.superseded_by = self.superseded_by.max(Some(epoch));
        self.changed = true;
        Ok(())
    }

    /// Offers our stream to a connected peer.
    fn attach(&mut self, peer: NodeId) {
        let Some(epoch) = self.primary_epoch() else { return };
        let generation = self.store.meta().generation.clone();
        let last = self.store.records.last();
        if let Some(p) = self.peers.get_mut(&peer)
            && p.link.is_some()
        {
            p.reset(Phase::Attaching);
            p.send(&ToReplica::Attach { epoch, generation, last });
        }
    }

    pub(super) fn attach_all(&mut self) {
        for peer in self.peers.keys().copied().collect::<Vec<_>>() {
            self.fail_requiring(peer);
            self.attach(peer);
        }
    }

    pub(super) fn detach_all(&mut self, epoch: Epoch) {
        for p in self.peers.values_mut() {
            p.send(&ToReplica::Detach { epoch });
            p.reset(Phase::Idle);
        }
    }

    pub(super) fn link_says(
        &mut self,
        peer: NodeId,
        conn: ConnId,
        message: ToPrimary,
    ) -> Result<(), StoreError> {
        let ours = self.primary_epoch();
        let Some(p) = self.peers.get_mut(&peer) else { return Ok(()) };
        if p.link.as_ref().is_none_or(|l| l.conn != conn) {
            return Ok(());
        }
        match message {
            ToPrimary::Hello { .. } | ToPrimary::Pong => {}
            ToPrimary::AttachAgain => {
                self.attach(peer);
                self.changed = true;
            }
            ToPrimary::AttachRefused { epoch, max_epoch, is_primary } => {
                self.learn_epoch(peer, max_epoch)?;
                if ours == Some(epoch) {
                    tracing::warn!(%peer, %epoch, %max_epoch, is_primary, "peer refuses our stream");
                    self.leave(peer, Phase::Refused);
                }
            }
            ToPrimary::Attached { epoch, last, .. } if ours == Some(epoch) => self.attached(peer, last),
            ToPrimary::ProbeIs { epoch, seq, point } if ours == Some(epoch) => {
                self.probed(peer, seq, point);
            }
            ToPrimary::Resyncing { epoch, common } if ours == Some(epoch) => {
                if p.phase == Phase::Resyncing {
                    p.phase = Phase::Streaming;
                    p.sent = common;
                    p.acked = common;
                    self.changed = true;
                }
            }
            ToPrimary::Diverged { epoch, tail, generation } if ours == Some(epoch) => {
                tracing::error!(%peer, tail, ?generation, "peer has records that we do not descend from");
                self.leave(peer, Phase::Diverged);
            }
            ToPrimary::Ack { epoch, seq } if ours == Some(epoch) => {
                if p.phase == Phase::Streaming {
                    p.acked = p.acked.max(seq.min(p.sent));
                }
            }
            ToPrimary::InStep { epoch, generation } if ours == Some(epoch) => {
                if p.phase == Phase::Streaming && p.told.is_some_and(|(sent, _)| sent == generation) {
                    p.generation = Some(generation);
                    self.changed = true;
                }
            }
            // About an earlier promotion.
            ToPrimary::Attached { .. }
            | ToPrimary::ProbeIs { .. }
            | ToPrimary::Resyncing { .. }
            | ToPrimary::Diverged { .. }
            | ToPrimary::Ack { .. }
            | ToPrimary::InStep { .. } => {}
        }
        Ok(())
    }

    fn leave(&mut self, peer: NodeId, phase: Phase) {
        if let Some(p) = self.peers.get_mut(&peer) {
            p.reset(phase);
        }
        self.fail_requiring(peer);
        self.changed = true;
    }

    fn attached(&mut self, peer: NodeId, theirs: Point) {
        let last = self.store.records.last().seq;
        let same = self.store.records.point(theirs.seq) == Some(theirs);
        let Some(p) = self.peers.get_mut(&peer) else { return };
        if p.phase != Phase::Attaching {
            return;
        }
        let high = theirs.seq.min(last);
        p.phase = Phase::Searching { low: if same { high } else { 0 }, high };
        self.search(peer);
    }

    fn probed(&mut self, peer: NodeId, seq: u64, theirs: Option<Point>) {
        let same = theirs.is_some() && self.store.records.point(seq) == theirs;
        let Some(p) = self.peers.get_mut(&peer) else { return };
        if let Phase::Searching { low, high } = p.phase
            && seq == middle(low, high)
        {
            p.phase = if same {
                Phase::Searching { low: seq, high }
            } else {
                Phase::Searching { low, high: seq - 1 }
            };
            self.search(peer);
        }
    }

    /// The next step of the search; halves the distance each time.
    fn search(&mut self, peer: NodeId) {
        let Some(epoch) = self.primary_epoch() else { return };
        let required = self.required.contains(&peer);
        let Some(p) = self.peers.get_mut(&peer) else { return };
        let Phase::Searching { low, high } = p.phase else { return };
        if low < high {
            p.send(&ToReplica::Probe { epoch, seq: middle(low, high) });
        } else {
            p.phase = Phase::Resyncing;
            p.send(&ToReplica::Resync { epoch, common: low, required });
        }
    }

    /// Sends each streaming peer what it lacks, as far as the window lets it; and, once it has all, the
    /// generation.
    pub(super) fn pump(&mut self) -> Result<(), StoreError> {
        let Some(epoch) = self.primary_epoch() else { return Ok(()) };
        let records = &self.store.records;
        let last = records.last().seq;
        for p in self.peers.values_mut().filter(|p| p.phase == Phase::Streaming) {
            while p.phase == Phase::Streaming && p.sent < last {
                let flying = records.offset(p.sent + 1) - records.offset(p.acked + 1);
                if flying >= WINDOW_BYTES || p.sent - p.acked >= WINDOW_RECORDS {
                    break;
                }
                let (raw, up_to) = records.read_raw(p.sent + 1, BATCH_BYTES)?;
                p.sent = up_to;
                p.send(&ToReplica::Records { epoch, raw });
            }
            let generation: &Generation = &self.store.meta().generation;
            let required = self.required.contains(&p.node);
            let news = (generation.current, required);
            if p.phase == Phase::Streaming && p.sent == last && p.told != Some(news) {
                p.told = Some(news);
                p.send(&ToReplica::InStep { epoch, generation: generation.clone(), required });
            }
        }
        Ok(())
    }

    /// From now on the data is that of the replicas that count now.
    pub(super) fn new_generation(&mut self) -> Result<(), StoreError> {
        let id = GenerationId::random().map_err(StoreError::Random)?;
        self.store.change_meta(|m| m.generation = m.generation.succeeded_by(id))?;
        self.generation_due = false;
        self.changed = true;
        Ok(())
    }

    /// Starts to hold acknowledgements for `peer`; the answer comes when it has all that was given.
    pub(super) fn start_requiring(&mut self, peer: NodeId, answer: Answer) {
        let target = self.store.records.last().seq;
        if let Some(p) = self.peers.get_mut(&peer) {
            p.requiring = Some(Requiring { target, answer });
        }
    }

    /// Makes a peer required that has caught up past the point where that was asked for.
    pub(super) fn admit_requiring(&mut self) {
        let current = self.store.meta().generation.current;
        for p in self.peers.values_mut() {
            let reached = |r: &mut Requiring| p.acked >= r.target && p.generation == Some(current);
            if let Some(requiring) = p.requiring.take_if(reached) {
                self.required.insert(p.node);
                self.answers.push((requiring.answer, Ok(())));
                self.changed = true;
            }
        }
    }

    fn fail_requiring(&mut self, peer: NodeId) {
        let Some(p) = self.peers.get_mut(&peer) else { return };
        if let Some(requiring) = p.requiring.take() {
            let refusal = Refusal::PeerNotReady { peer, connected: p.link.is_some(), complete: p.in_step() };
            self.answers.push((requiring.answer, Err(refusal)));
        }
    }

    /// A peer that is no longer asked to become required.
    pub(super) fn cancel_requiring(&mut self, peer: NodeId, why: Refusal) {
        if let Some(requiring) = self.peers.get_mut(&peer).and_then(|p| p.requiring.take()) {
            self.answers.push((requiring.answer, Err(why)));
        }
    }
}

/// Above `low`, at most `high`.
fn middle(low: u64, high: u64) -> u64 {
    low + (high - low).div_ceil(2)
}
