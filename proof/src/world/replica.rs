//! One replica of a volume, as the ledger behaves: synchronous replication with a barrier, durable epochs,
//! generations, resync with rollback.
//!
//! ```text
//!  primary's view of a peer:  Idle ─attach─► Attaching ─► Resyncing ─► Streaming (in step once it has all)
//!                                              └ refused ─► Refused        └ both wrote ─► Diverged
//! ```
//! A write is acknowledged when it is here and at every required peer and the replica is still writable. A
//! promotion makes its epoch durable and cuts the former primary's stream before it acts.

use picket_core::evidence::Generation;
use picket_core::ids::{Epoch, GenerationId, NodeId, NodeSet};
use picket_core::node::{Role, VolumeReport};
use std::collections::BTreeMap;

/// One write, never made twice.
pub type WriteId = u64;

/// What replicas send each other; each names the epoch of the primary that it belongs to.
#[expect(missing_docs, reason = "the fields are named for what they are")]
#[derive(Clone, Debug)]
pub enum ReplMsg {
    /// Follow me.
    Attach { epoch: Epoch, generation: Generation, len: usize },
    /// I follow; this is what I have.
    Attached { epoch: Epoch, log: Vec<WriteId> },
    /// I do not follow.
    Refused { epoch: Epoch, max_epoch: Epoch },
    /// Go back to the common prefix.
    Resync { epoch: Epoch, common: usize, required: bool },
    /// Done.
    Resyncing { epoch: Epoch, common: usize },
    /// I would lose what only I have.
    Diverged { epoch: Epoch },
    /// Writes, from this place on.
    Records { epoch: Epoch, from: usize, ids: Vec<WriteId> },
    /// I have so many.
    Ack { epoch: Epoch, len: usize },
    /// You have all; this is the data's generation.
    InStep { epoch: Epoch, generation: Generation },
    /// So I have.
    Reached { epoch: Epoch, generation: GenerationId },
    /// I am Primary no more.
    Detach { epoch: Epoch },
    /// If you are Primary, offer your stream again.
    AttachAgain,
}

/// What a primary knows of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// No stream.
    Idle,
    /// Offered.
    Attaching,
    /// Told to go back to the common prefix.
    Resyncing,
    /// Gets every write.
    Streaming,
    /// Does not take the stream.
    Refused,
    /// Does not take it because it would lose writes.
    Diverged,
}

#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) connected: bool,
    pub(super) follows: Follows,
    pub(super) acked: usize,
    pub(super) told: Option<GenerationId>,
    pub(super) reached: Option<GenerationId>,
}

#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) node: NodeId,
    pub(super) epoch: Epoch,
    pub(super) generation: Generation,
    pub(super) len: usize,
    pub(super) streaming: bool,
}

/// A replica.
#[derive(Clone, Debug)]
pub struct Replica {
    /// The data.
    pub log: Vec<WriteId>,
    /// Nothing that may have been acknowledged is missing from its own point of view.
    pub complete: bool,
    /// What identifies the data.
    pub generation: Generation,
    /// The highest epoch ever seen.
    pub max_epoch: Epoch,
    /// So many of the first writes it acknowledged itself.
    pub acknowledged: usize,
    pub(super) primary: Option<Epoch>,
    pub(super) frozen: bool,
    pub(super) superseded: bool,
    pub(super) required: NodeSet,
    pub(super) generation_due: bool,
    pub(super) peers: BTreeMap<NodeId, Peer>,
    pub(super) upstream: Option<Source>,
    pub(super) diverged: bool,
    /// Generations made by this world so far are told apart by this.
    pub(super) salt: u64,
}

/// What to send.
pub type Sends = Vec<(NodeId, ReplMsg)>;

impl Peer {
    const fn new() -> Self {
        Self { connected: false, follows: Follows::Idle, acked: 0, told: None, reached: None }
    }

    pub(super) const fn reset(&mut self, follows: Follows) {
        self.follows = follows;
        self.acked = 0;
        self.told = None;
        self.reached = None;
    }

    pub(super) fn in_step(&self) -> bool {
        self.follows == Follows::Streaming && self.reached.is_some()
    }
}

impl Replica {
    /// An empty, complete replica of a new volume.
    #[must_use]
    pub fn new(peers: NodeSet, salt: u64) -> Self {
        Self {
            log: Vec::new(),
            complete: true,
            generation: Generation::first(GenerationId(1)),
            max_epoch: Epoch(0),
            acknowledged: 0,
            primary: None,
            frozen: false,
            superseded: false,
            required: NodeSet::EMPTY,
            generation_due: false,
            peers: peers.iter().map(|peer| (peer, Peer::new())).collect(),
            upstream: None,
            diverged: false,
            salt,
        }
    }

    /// The machine ended: only what is durable is left.
    pub fn crash(&mut self) {
        self.primary = None;
        self.frozen = false;
        self.superseded = false;
        self.required = NodeSet::EMPTY;
        self.generation_due = false;
        self.upstream = None;
        self.diverged = false;
        for peer in self.peers.values_mut() {
            *peer = Peer::new();
        }
    }

    /// The required peers that are not in step.
    #[must_use]
    pub fn lost(&self) -> NodeSet {
        self.required.iter().filter(|node| !self.peers.get(node).is_some_and(Peer::in_step)).collect()
    }

    /// Whether it takes and acknowledges writes.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.primary.is_some() && !self.superseded && !self.frozen && self.lost().is_empty()
    }

    /// With which epoch it is Primary.
    #[must_use]
    pub const fn primary(&self) -> Option<Epoch> {
        self.primary
    }

    /// Whom it follows, and in which epoch.
    #[must_use]
    pub fn follows(&self) -> Option<(NodeId, Epoch)> {
        self.upstream.as_ref().map(|source| (source.node, source.epoch))
    }

    /// Whether its I/O is frozen.
    #[must_use]
    pub const fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Whom writes wait for.
    #[must_use]
    pub const fn required(&self) -> NodeSet {
        self.required
    }

    /// Whether a resync was refused because it would lose writes.
    #[must_use]
    pub const fn is_diverged(&self) -> bool {
        self.diverged
    }

    /// What its driver sees.
    #[must_use]
    pub fn report(&self) -> VolumeReport {
        let primary = self.primary.is_some();
        let is_connected = |node: NodeId, peer: &Peer| {
            if primary {
                matches!(peer.follows, Follows::Streaming | Follows::Resyncing)
            } else {
                let waits = self.upstream.as_ref().is_some_and(|up| up.node == node && !up.streaming);
                peer.connected && !waits
            }
        };
        let peers = || self.peers.iter();
        VolumeReport {
            role: if primary { Role::Primary } else { Role::Secondary },
            frozen: self.frozen,
            complete: self.complete,
            generation: self.generation.clone(),
            connected: peers().filter(|(n, p)| is_connected(**n, p)).map(|(n, _)| *n).collect(),
            complete_peers: peers().filter(|(_, p)| primary && p.in_step()).map(|(n, _)| *n).collect(),
            required: self.required,
            lost: self.lost(),
        }
    }

    /// How many writes are here and at every required peer.
    fn replicated(&self) -> usize {
        let acked = |node: NodeId| self.peers.get(&node).filter(|p| p.in_step()).map_or(0, |p| p.acked);
        self.required.iter().map(acked).min().unwrap_or(self.log.len()).min(self.log.len())
    }

    /// Acknowledges what may be. Returns how many writes are acknowledged, if that is more than before.
    pub fn advance(&mut self) -> Option<usize> {
        if !self.is_writable() {
            return None;
        }
        let replicated = self.replicated();
        if replicated <= self.acknowledged {
            return None;
        }
        self.acknowledged = replicated;
        Some(replicated)
    }

    /// A client's write is taken.
    pub fn write(&mut self, id: WriteId) -> Sends {
        let Some(epoch) = self.primary.filter(|_| self.is_writable()) else { return Vec::new() };
        if self.generation_due {
            self.new_generation();
        }
        let from = self.log.len();
        self.log.push(id);
        let follows = self.peers.iter().filter(|(_, peer)| peer.follows == Follows::Streaming);
        let mut sends: Sends =
            follows.map(|(node, _)| (*node, ReplMsg::Records { epoch, from, ids: vec![id] })).collect();
        sends.extend(self.tell_generation());
        sends
    }

    pub(super) fn new_generation(&mut self) {
        self.salt += 1;
        let mut history = vec![self.generation.current];
        history.extend(self.generation.history.iter().copied().take(Generation::HISTORY_MAX - 1));
        self.generation = Generation { current: GenerationId(u128::from(self.salt)), history };
        self.generation_due = false;
    }

    /// Streaming peers learn a new generation.
    pub(super) fn tell_generation(&mut self) -> Sends {
        let (Some(epoch), generation) = (self.primary, self.generation.clone()) else { return Vec::new() };
        let mut sends = Vec::new();
        for (node, peer) in &mut self.peers {
            if peer.follows == Follows::Streaming && peer.told != Some(generation.current) {
                peer.told = Some(generation.current);
                sends.push((*node, ReplMsg::InStep { epoch, generation: generation.clone() }));
            }
        }
        sends
    }

    pub(super) fn attach(&mut self, node: NodeId) -> Sends {
        let (generation, len) = (self.generation.clone(), self.log.len());
        let Some(epoch) = self.primary else { return Vec::new() };
        let Some(peer) = self.peers.get_mut(&node).filter(|peer| peer.connected) else { return Vec::new() };
        peer.reset(Follows::Attaching);
        vec![(node, ReplMsg::Attach { epoch, generation, len })]
    }

    pub(super) fn attach_all(&mut self) -> Sends {
        let nodes: Vec<_> = self.peers.keys().copied().collect();
        nodes.into_iter().flat_map(|node| self.attach(node)).collect()
    }

    /// A connection came up.
    pub fn link_up(&mut self, node: NodeId) -> Sends {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.connected = true;
            peer.reset(Follows::Idle);
        }
        self.attach(node)
    }

    /// A connection broke.
    pub fn link_down(&mut self, node: NodeId) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.connected = false;
            peer.reset(Follows::Idle);
        }
        if self.upstream.as_ref().is_some_and(|up| up.node == node) {
            self.upstream = None;
        }
    }
}
