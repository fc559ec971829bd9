//! Links and streams: what is cut, and what is on its way.

use picket_core::ids::{NodeId, SessionId};
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
    /// Replication.
    Data,
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

/// The network.
#[derive(Clone, Debug, Default)]
pub struct Net {
    /// Directed links that are cut.
    pub cut: Vec<(NodeId, NodeId, Kind)>,
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

    /// Whether both directions work.
    #[must_use]
    pub fn connects(&self, a: NodeId, b: NodeId, kind: Kind) -> bool {
        self.passes(a, b, kind) && self.passes(b, a, kind)
    }
}
