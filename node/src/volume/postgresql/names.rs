//! `synchronous_standby_names`: what a commit waits for.
//!
//! Always `FIRST n` over exactly the n replicas that are required, so that each of them must have flushed a commit
//! before it is acknowledged. Two things more can stand in the list, both under the name [`NOBODY`], which no
//! replica ever has: one that is required as well, so that nothing is acknowledged (*blocked*), and fillers in front
//! that are not required. Fillers shift the priorities that `pg_stat_replication` shows of each sender: two settings
//! after one another never give a replica the same priority, so the priority tells which of them a sender works by.

use picket_core::ids::{NodeId, NodeSet};
use std::collections::BTreeMap;

/// Stands in the list for somebody who never comes.
pub const NOBODY: &str = "picket_nobody";

/// Each setting takes the smallest number of fillers that shifts every replica from at most three earlier places.
const FILLERS_MAX: u32 = 3 * NodeSet::MAX_NODES as u32 + 1;

/// A value of the setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names {
    fillers: u32,
    /// Who must have a commit before it is acknowledged.
    pub required: NodeSet,
    /// Nothing is acknowledged.
    pub blocked: bool,
}

impl Names {
    /// Nothing is acknowledged: what stands on the disk of every replica that nobody was granted.
    pub const BLOCKED: Self = Self { fillers: 0, required: NodeSet::EMPTY, blocked: true };

    /// A setting in which no replica has a priority that it has in `former` or shows in `shown`.
    #[must_use]
    pub fn after(
        former: Option<Self>,
        shown: &BTreeMap<NodeId, u32>,
        required: NodeSet,
        blocked: bool,
    ) -> Self {
        let with = |fillers| Self { fillers, required, blocked };
        let fits = |names: &Self| {
            required.iter().all(|node| {
                let here = names.priority(node);
                former.is_none_or(|former| former.priority(node) != here) && here != shown.get(&node).copied()
            })
        };
        (0..FILLERS_MAX).map(with).find(fits).unwrap_or(with(FILLERS_MAX))
    }

    /// The priority that PostgreSQL gives the replica's sender; none: it is not waited for.
    #[must_use]
    pub fn priority(self, node: NodeId) -> Option<u32> {
        let place = self.required.iter().zip(1_u32..).find(|(required, _)| *required == node);
        place.map(|(_, place)| self.fillers + place)
    }

    /// The setting's text.
    #[must_use]
    pub fn text(self, names: &BTreeMap<NodeId, String>) -> String {
        let count = self.required.len() + u32::from(self.blocked);
        if count == 0 {
            return String::new();
        }
        let fillers = (0..self.fillers).map(|_| NOBODY);
        let required = self.required.iter().filter_map(|node| names.get(&node).map(String::as_str));
        let listed = fillers.chain(required).chain(self.blocked.then_some(NOBODY));
        let listed: Vec<_> = listed.map(|name| format!("\"{name}\"")).collect();
        format!("FIRST {count} ({})", listed.join(", "))
    }

    /// The setting that has this text; none: somebody else's.
    #[must_use]
    pub fn parse(text: &str, names: &BTreeMap<NodeId, String>) -> Option<Self> {
        let mut read = Self { fillers: 0, required: NodeSet::EMPTY, blocked: false };
        if text.is_empty() {
            return Some(read);
        }
        let (count, listed) = text.strip_prefix("FIRST ")?.strip_suffix(')')?.split_once(" (")?;
        let mut entries = listed.split(", ").map(|entry| entry.trim_matches('"')).peekable();
        while entries.next_if(|entry| *entry == NOBODY).is_some() {
            read.fillers += 1;
        }
        for entry in entries {
            match names.iter().find(|(_, name)| *name == entry) {
                Some((node, _)) => read.required = read.required.with(*node),
                None => read.blocked |= entry == NOBODY,
            }
        }
        if read.required.is_empty() && read.fillers > 0 {
            (read.fillers, read.blocked) = (read.fillers - 1, true);
        }
        // Anything that does not come out as it went in is not ours.
        (count.parse().ok() == Some(read.required.len() + u32::from(read.blocked))
            && read.text(names) == text)
            .then_some(read)
    }
}
