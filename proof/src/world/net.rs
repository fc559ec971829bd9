//! The network: directed links that can be cut one way, and what happens to datagrams on them.

use super::clock::MS;
use super::rng::Rng;
use picket_core::ids::NodeId;
use std::collections::BTreeMap;

/// Whoever is on the network. Zero is the witness.
pub type Place = u8;

/// The witness's place.
pub const WITNESS: Place = 0;

/// A node's place.
#[must_use]
pub const fn place(node: NodeId) -> Place {
    node.0
}

/// What goes over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Heartbeats on one path.
    Path(u8),
    /// Messages between daemons.
    Peer,
    /// Replication.
    Repl,
    /// To and from the witness.
    Witness,
    /// From a node to the fence devices of another.
    Fence,
}

/// A link in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// What goes over it.
    pub lane: Lane,
    /// From where.
    pub from: Place,
    /// To where.
    pub to: Place,
}

/// The network's state.
#[derive(Clone, Debug, Default)]
pub struct Net {
    /// How many faults cut each link.
    cuts: BTreeMap<Link, u8>,
    /// Added latency of each pair of places, in nanoseconds, and loss of datagrams, per mille.
    bad: BTreeMap<(Place, Place), (u64, u64)>,
}

/// Datagrams that are lost without any fault, per mille.
const LOST: u64 = 3;
/// Datagrams that arrive twice, per mille.
const TWICE: u64 = 3;

impl Net {
    /// Cuts a link once more.
    pub fn cut(&mut self, link: Link) {
        *self.cuts.entry(link).or_default() += 1;
    }

    /// Takes one cut back.
    pub fn mend(&mut self, link: Link) {
        if let Some(count) = self.cuts.get_mut(&link) {
            *count -= 1;
            if *count == 0 {
                self.cuts.remove(&link);
            }
        }
    }

    /// Whether nothing gets through.
    #[must_use]
    pub fn is_cut(&self, lane: Lane, from: Place, to: Place) -> bool {
        !self.cuts.is_empty() && self.cuts.contains_key(&Link { lane, from, to })
    }

    /// Makes a pair of places worse or, with zeros, good again.
    pub fn degrade(&mut self, from: Place, to: Place, latency: u64, loss_permille: u64) {
        if latency == 0 && loss_permille == 0 {
            self.bad.remove(&(from, to));
        } else {
            self.bad.insert((from, to), (latency, loss_permille));
        }
    }

    fn bad(&self, from: Place, to: Place) -> (u64, u64) {
        if self.bad.is_empty() {
            return (0, 0);
        }
        self.bad.get(&(from, to)).copied().unwrap_or_default()
    }

    /// How long something takes to arrive, in nanoseconds.
    pub fn latency(&self, rng: &mut Rng, from: Place, to: Place) -> u64 {
        let (added, _) = self.bad(from, to);
        let jitter = if added == 0 { 0 } else { rng.range(0, added) };
        rng.range(MS / 10, MS) + jitter
    }

    /// The delays after which a datagram arrives: none, once, or twice.
    pub fn datagram(&self, rng: &mut Rng, lane: Lane, from: Place, to: Place) -> [Option<u64>; 2] {
        if self.is_cut(lane, from, to) {
            return [None, None];
        }
        let (_, loss) = self.bad(from, to);
        if rng.permille(LOST + loss) {
            return [None, None];
        }
        let first = self.latency(rng, from, to);
        let second = rng.permille(TWICE).then(|| first + rng.range(0, 20 * MS));
        [Some(first), second]
    }
}
