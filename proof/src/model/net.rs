//! Links and streams: what is cut, what is held up, and what is on its way.

use picket_core::ids::{NodeId, SessionId, VolumeId};
use picket_core::message::{FromWitness, PeerMessage, ToWitness};
use picket_core::time::{Duration, Instant};
use std::collections::{BTreeMap, VecDeque};

/// A stream that is obstructed for so long breaks, as keep-alives make it.
pub const BREAKS_AFTER: Duration = Duration::from_millis(50);

/// The witness, as an end of a link.
pub const WITNESS: NodeId = NodeId(0);

/// What a link carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Heartbeats, all paths of a pair together.
    Beats,
    /// Messages between daemons, or between a daemon and the witness.
    Stream,
    /// Replication of all volumes.
    Data,
    /// Replication of one volume.
    Volume(VolumeId),
    /// Replication of all volumes, and neither end has noticed yet that nothing arrives.
    Unnoticed,
}

/// A stream between a daemon and the witness.
#[derive(Clone, Debug, Default)]
pub struct WitnessStream {
    /// Which start of the daemon opened it.
    pub run: u8,
    /// The session that the witness made on it.
    pub session: Option<SessionId>,
    /// On the way to the witness.
    pub up: VecDeque<ToWitness>,
    /// On the way to the node.
    pub down: VecDeque<FromWitness>,
    /// The far end vanished without a word, or the link is cut, since.
    pub obstructed: Option<Instant>,
}

/// A message of a stream that ended, which arrives although it did.
#[derive(Clone, Debug)]
pub enum Ghost {
    /// At the witness.
    Up(NodeId, ToWitness),
    /// At the node.
    Down(NodeId, FromWitness),
    /// At the second node, from the first.
    Peer(NodeId, NodeId, PeerMessage),
}

/// The network.
#[derive(Clone, Debug, Default)]
pub struct Net {
    /// Directed links that are cut.
    pub cut: Vec<(NodeId, NodeId, Kind)>,
    /// How many of the next heartbeats from one node to another are lost.
    pub losing: BTreeMap<(NodeId, NodeId), u8>,
    /// Directed links of streams on which nothing arrives before then, and all of it then.
    pub held: Vec<(NodeId, NodeId, Instant)>,
    /// What arrives when nobody expects it any more.
    pub ghosts: Vec<(Instant, Ghost)>,
    /// Streams between daemons and the witness, by node.
    pub witness: BTreeMap<NodeId, WitnessStream>,
    /// Messages between daemons, and when each was sent.
    pub peers: BTreeMap<(NodeId, NodeId), VecDeque<(Instant, PeerMessage)>>,
}

impl Net {
    /// Whether what is sent arrives.
    #[must_use]
    pub fn passes(&self, from: NodeId, to: NodeId, kind: Kind) -> bool {
        !self.cut.contains(&(from, to, kind))
    }

    /// Whether what is on the way of a stream arrives now.
    #[must_use]
    pub fn flows(&self, from: NodeId, to: NodeId) -> bool {
        let held = self.held.iter().any(|(a, b, _)| (*a, *b) == (from, to));
        !held && self.passes(from, to, Kind::Stream)
    }

    /// Takes a heartbeat: whether it arrives.
    pub fn takes_beat(&mut self, from: NodeId, to: NodeId) -> bool {
        let lost = self.losing.get_mut(&(from, to)).filter(|left| **left > 0);
        let is_lost = lost.map(|left| *left -= 1).is_some();
        !is_lost && self.passes(from, to, Kind::Beats)
    }

    /// Every link works.
    pub fn heal(&mut self) {
        self.cut.clear();
        self.losing.clear();
    }

    /// Whether both directions work.
    #[must_use]
    pub fn connects(&self, a: NodeId, b: NodeId, kind: Kind) -> bool {
        self.passes(a, b, kind) && self.passes(b, a, kind)
    }

    /// Whether replication of the volume works between two nodes.
    #[must_use]
    pub fn replicates(&self, volume: VolumeId, a: NodeId, b: NodeId) -> bool {
        self.cut.is_empty() || self.connects(a, b, Kind::Data) && self.connects(a, b, Kind::Volume(volume))
    }
}

#[cfg(test)]
mod tests;
