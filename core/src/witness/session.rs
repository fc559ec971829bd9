//! Sessions: one connection of one node to this running witness, the order of requests on it, and what of them is
//! still pending.

use crate::error::Refusal;
use crate::ids::{BootId, NodeId, NodeSet, Nonce, RequestId, SessionId, VolumeId};
use crate::message::{Acquire, ReplicaReport, RequestFence};
use crate::time::{Instant, Instants};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// The newest connection of a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Session {
    /// Its number.
    pub id: SessionId,
    /// What the registration must repeat.
    pub(super) nonce: Nonce,
    /// The boot that registered; none before.
    pub boot: Option<BootId>,
    /// The newest request that was processed.
    pub processed: RequestId,
    /// The newest heartbeat, until it is too old to say anything.
    pub(super) beat: Option<Beaten>,
    /// Where the estimate of the node's clock starts.
    pub(super) anchor: Option<Anchor>,
    /// Requests for a grant that wait; one per volume, which bounds them.
    pub(super) acquires: BTreeMap<VolumeId, Waiting<Acquire>>,
    /// Requests for a permit that wait; one per target, which bounds them.
    pub(super) fences: BTreeMap<NodeId, Waiting<RequestFence>>,
    /// What the node reported at its registration; kept while the witness recovers only.
    pub(super) report: Option<Vec<ReplicaReport>>,
}

/// What a heartbeat said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Beaten {
    pub(super) at: Instant,
    pub(super) hears: NodeSet,
}

/// A point that later clock readings are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Anchor {
    pub(super) at: Instant,
    /// The node's clock less ours, in nanoseconds.
    pub(super) skew: i128,
}

/// A pending request and what the asker was told last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Waiting<R> {
    pub(super) request: R,
    pub(super) told: Option<Refusal>,
}

impl<R> Waiting<R> {
    pub(super) const fn new(request: R) -> Self {
        Self { request, told: None }
    }
}

impl Session {
    pub(super) const fn new(id: SessionId, nonce: Nonce) -> Self {
        Self {
            id,
            nonce,
            boot: None,
            processed: RequestId(0),
            beat: None,
            anchor: None,
            acquires: BTreeMap::new(),
            fences: BTreeMap::new(),
            report: None,
        }
    }
}

impl Instants for Session {
    fn instants(&mut self, visit: &mut dyn FnMut(&mut Instant)) {
        if let Some(beat) = &mut self.beat {
            visit(&mut beat.at);
        }
        if let Some(anchor) = &mut self.anchor {
            visit(&mut anchor.at);
        }
    }
}
