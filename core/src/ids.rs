//! Identifiers: newtypes, so that an epoch can never be taken for a version.

use core::fmt;
use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! wide {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:x})", stringify!($name), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <alloc::borrow::Cow<'de, str>>::deserialize(d)?;
                u128::from_str_radix(&text, 16).map(Self).map_err(|_| {
                    serde::de::Error::invalid_value(
                        serde::de::Unexpected::Str(&text),
                        &"up to 32 hexadecimal digits",
                    )
                })
            }
        }
    };
}

number! {
    /// A node of a cluster: 1 to [`NodeSet::MAX_NODES`], given in the configuration and never used again for
    /// another machine.
    NodeId(u8)
}
number! {
    /// A replicated volume of a cluster, given in the configuration and never used again for other data.
    VolumeId(u16)
}
number! {
    /// The number of a grant: strictly growing per volume, the fencing token of the volume.
    Epoch(u64)
}
number! {
    /// The version of a volume's in-sync set; each change of the set adds at least one.
    IsrVersion(u64)
}
number! {
    /// One connection of one node to one running witness.
    SessionId(u64)
}
number! {
    /// How many durable changes a witness's store has taken.
    CommitIndex(u64)
}
number! {
    /// The fingerprint of what witness and nodes must agree on: members, volumes, timings.
    ConfigDigest(u64)
}
number! {
    /// One attempt of a node to be granted a volume; never used twice by a boot of a node.
    AttemptId(u64)
}
number! {
    /// One right to fence one target.
    PermitId(u64)
}
number! {
    /// One request on one session; the answer repeats it, and a lease counts from the moment it was sent.
    RequestId(u64)
}
number! {
    /// One of a node's heartbeat paths to a peer, in the order of the configuration.
    PathId(u8)
}
wide! {
    /// The kernel's boot id (`/proc/sys/kernel/random/boot_id`), never a daemon's own.
    BootId
}
wide! {
    /// A witness's store, drawn at random when the store is created.
    StoreId
}
wide! {
    /// An unpredictable number that proves that an answer is younger than the question.
    Nonce
}
wide! {
    /// What identifies the data of a replica (DRBD: a UUID; PostgreSQL: system identifier and timeline).
    GenerationId
}

/// A set of nodes.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeSet(u32);

impl NodeSet {
    /// A cluster has at most this many nodes.
    pub const MAX_NODES: u8 = 16;
    /// The set without members.
    pub const EMPTY: Self = Self(0);

    /// The set of one node.
    #[must_use]
    pub const fn only(node: NodeId) -> Self {
        Self(1 << node.0)
    }

    /// This set and one node more.
    #[must_use]
    pub const fn with(self, node: NodeId) -> Self {
        Self(self.0 | 1 << node.0)
    }

    /// This set without one node.
    #[must_use]
    pub const fn without(self, node: NodeId) -> Self {
        Self(self.0 & !(1 << node.0))
    }

    /// All nodes of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The nodes that are in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The nodes of this set that are not in the other.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the node is in the set.
    #[must_use]
    pub const fn contains(self, node: NodeId) -> bool {
        self.0 & 1 << node.0 != 0
    }

    /// Whether every node of this set is in the other.
    #[must_use]
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Whether nobody is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many nodes are in the set.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// The members, in growing order.
    pub fn iter(self) -> impl Iterator<Item = NodeId> {
        (0..32u8).filter(move |bit| self.0 & 1 << bit != 0).map(NodeId)
    }
}

impl FromIterator<NodeId> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> Self {
        nodes.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|n| n.0)).finish()
    }
}

impl fmt::Display for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
