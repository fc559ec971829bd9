//! The quorum check: does this node belong to a majority?
//!
//! Advisory. It can keep a node from promoting when the configuration says so; it never allows a promotion, which
//! takes a grant with a proof.

use crate::ids::NodeSet;
use serde::{Deserialize, Serialize};

/// How the quorum check counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuorumMode {
    /// Members and witness have one vote each.
    #[default]
    Majority,
    /// A majority of listed hosts answers a TCP connection.
    TcpRemote,
    /// The shared store answers.
    Storage,
    /// No check.
    None,
}

/// What a count of votes says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vote {
    /// More than half of the votes are here, or exactly half and the witness's is one of them.
    Won,
    /// Even with every vote that is not known yet, it would not be enough.
    Lost,
    /// Votes that are not known yet decide.
    Pending,
}

/// What is known of the votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Votes {
    /// Members that have a vote, this node included.
    pub members: NodeSet,
    /// Those that are known to be with this node, itself included.
    pub here: NodeSet,
    /// Those that nothing is known of yet.
    pub unknown: NodeSet,
    /// Whether the witness is with this node; none: not known yet.
    pub witness: Option<bool>,
}

/// Counts a majority of members and witness; the witness breaks a tie.
#[must_use]
pub fn majority(votes: Votes) -> Vote {
    let total = votes.members.len() + 1;
    let wins = |nodes: u32, witness: bool| {
        let have = 2 * (nodes + u32::from(witness));
        have > total || have == total && witness
    };
    let here = votes.here.intersection(votes.members).len();
    let unknown = votes.unknown.intersection(votes.members).minus(votes.here).len();
    if wins(here, votes.witness == Some(true)) {
        Vote::Won
    } else if wins(here + unknown, votes.witness != Some(false)) {
        Vote::Pending
    } else {
        Vote::Lost
    }
}

/// Counts a majority of hosts that answered.
#[must_use]
pub const fn tcp_remote(answered: u32, silent: u32, unknown: u32) -> Vote {
    let total = answered + silent + unknown;
    if total == 0 {
        Vote::Lost
    } else if 2 * answered > total {
        Vote::Won
    } else if 2 * (answered + unknown) > total {
        Vote::Pending
    } else {
        Vote::Lost
    }
}

#[cfg(test)]
#[path = "quorum_tests.rs"]
mod tests;
