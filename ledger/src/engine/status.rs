//! What the server says about itself, and to whom.

use tokio::sync::mpsc;

use super::Engine;
use crate::control::wire::{PeerStatus, Status, Upstream};
use crate::ids::NodeId;

impl Engine {
    pub(super) fn status(&self) -> Box<Status> {
        let meta = self.store.meta();
        let last_seq = self.store.records.last().seq;
        Box::new(Status {
            node: self.config.node,
            revision: self.revision,
            role: self.role,
            max_epoch: meta.max_epoch,
            activity: self.activity,
            frozen: self.frozen,
            suspended: self.lost(),
            superseded_by: self.superseded_by,
            required: self.required.clone(),
            peers: self.peers.values().map(|p| p.status(last_seq)).collect(),
            upstream: self.upstream.as_ref().map(|u| Upstream { node: u.node, epoch: u.epoch }),
            generation: meta.generation.clone(),
            complete: meta.complete,
            diverged: self.diverged,
            last_seq,
            committed_seq: self.committed,
            acked: self.acked,
            discarded_total: meta.discarded_total,
            rejected: self.rejected.get(),
        })
    }

    /// Pushes the status if anything but the counters changed since the last push. Runs before the
    /// answers leave: what they say has its revision here.
    pub(super) fn tell_subscribers(&mut self) {
        let asked = !self.answers.is_empty() || !self.newcomers.is_empty();
        if !std::mem::take(&mut self.changed) && !asked {
            return;
        }
        let mut status = self.status();
        let shape = shape_of(&status);
        if self.told.as_ref() != Some(&shape) {
            self.told = Some(shape);
            self.revision += 1;
            status.revision = self.revision;
            self.subscribers.retain(|out| told(out, &status));
        }
        self.newcomers.retain(|out| told(out, &status));
        self.subscribers.append(&mut self.newcomers);
    }
}

/// False: the subscriber is gone, or so slow that it is cut off.
fn told(out: &mpsc::Sender<Box<Status>>, status: &Status) -> bool {
    match out.try_send(Box::new(status.clone())) {
        Ok(()) => true,
        Err(e) => {
            tracing::debug!(%e, "subscriber gone or too slow, cut off");
            false
        }
    }
}

/// The status without what changes with every record.
fn shape_of(status: &Status) -> Box<Status> {
    let mut shape = Box::new(status.clone());
    shape.revision = 0;
    shape.last_seq = 0;
    shape.committed_seq = 0;
    shape.acked = 0;
    shape.rejected.clear();
    for peer in &mut shape.peers {
        peer.behind = 0;
    }
    shape
}

impl super::primary::Peer {
    fn status(&self, last_seq: u64) -> PeerStatus {
        let node: NodeId = self.node;
        PeerStatus {
            node,
            connected: self.link.is_some(),
            complete: self.in_step(),
            behind: last_seq.saturating_sub(self.acked),
            diverged: self.phase == super::primary::Phase::Diverged,
            max_epoch: self.max_epoch,
        }
    }
}
