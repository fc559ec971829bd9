//! The identifiers of the ledger, each its own type.
//!
//! 128-bit identifiers are hexadecimal text wherever people read them (JSON), because JSON numbers
//! lose precision there, and plain numbers in the binary frames.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A node of the cluster, as in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u8);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The number of a grant; a higher one supersedes every lower one. Zero: never promoted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Text that is not a 128-bit hexadecimal number.
#[derive(Debug, thiserror::Error)]
#[error("expected up to 32 hexadecimal digits, found {found:?}")]
pub struct NotHex {
    found: String,
}

macro_rules! wide_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl FromStr for $name {
            type Err = NotHex;

            fn from_str(text: &str) -> Result<Self, NotHex> {
                u128::from_str_radix(text, 16).map($name).map_err(|_| NotHex { found: text.to_owned() })
            }
        }

        impl $name {
            /// A new random identifier.
            ///
            /// # Errors
            /// The kernel gave no random bytes.
            pub fn random() -> std::io::Result<Self> {
                let mut raw = [0u8; 16];
                getrandom::fill(&mut raw).map_err(|e| std::io::Error::other(e.to_string()))?;
                Ok($name(u128::from_le_bytes(raw)))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                if to.is_human_readable() { to.collect_str(self) } else { to.serialize_u128(self.0) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                if from.is_human_readable() {
                    String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
                } else {
                    u128::deserialize(from).map($name)
                }
            }
        }
    };
}

wide_id! {
    /// One writer of records; it numbers its own appends, and (client, number) names an append.
    ClientId
}

wide_id! {
    /// Names one state of the data that only the replicas of one in-sync set share.
    GenerationId
}

impl GenerationId {
    /// Of a volume that was never written.
    pub const INITIAL: GenerationId = GenerationId(1);
}

/// How many former generations are remembered. Each takes a promotion or a removal of a replica; a
/// replica that missed more than this many is told apart by its records all the same.
pub const GENERATION_HISTORY_MAX: usize = 64;

/// What identifies the data: the current generation and those that it descends from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Of the data as it is.
    pub current: GenerationId,
    /// What it descends from, newest first, at most [`GENERATION_HISTORY_MAX`].
    pub history: Vec<GenerationId>,
}

impl Generation {
    /// Of a volume that was never written.
    #[must_use]
    pub fn initial() -> Self {
        Generation { current: GenerationId::INITIAL, history: Vec::new() }
    }

    /// The successor: `id` is current, and the old current is head of the history.
    #[must_use]
    pub fn succeeded_by(&self, id: GenerationId) -> Self {
        let mut history = Vec::with_capacity(self.history.len() + 1);
        history.push(self.current);
        history.extend(self.history.iter().copied().take(GENERATION_HISTORY_MAX - 1));
        Generation { current: id, history }
    }

    /// Whether this data is that of `other`, or descends from it.
    #[must_use]
    pub fn is_or_descends_from(&self, other: GenerationId) -> bool {
        self.current == other || self.history.contains(&other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_is_bounded_and_newest_first() {
        let mut generation = Generation::initial();
        for id in 2..200u128 {
            generation = generation.succeeded_by(GenerationId(id));
        }
        assert_eq!(generation.current, GenerationId(199));
        assert_eq!(generation.history.len(), GENERATION_HISTORY_MAX);
        assert_eq!(generation.history[0], GenerationId(198));
        assert!(generation.is_or_descends_from(GenerationId(140)));
        assert!(!generation.is_or_descends_from(GenerationId(2)));
    }

    #[test]
    fn wide_ids_are_text_for_people_and_numbers_in_frames() {
        let id = ClientId(u128::MAX - 1);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, "\"fffffffffffffffffffffffffffffffe\"");
        assert_eq!(serde_json::from_str::<ClientId>(&json).unwrap(), id);
        let raw = postcard::to_stdvec(&id).unwrap();
        assert_eq!(postcard::from_bytes::<ClientId>(&raw).unwrap(), id);
    }
}
