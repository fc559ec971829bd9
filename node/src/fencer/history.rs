//! The history of fences: who was fenced when, with what, and how it ended. Kept over restarts, bounded.
//!
//! It is for people; nothing is decided from it. A file that cannot be read is put aside under another name and
//! said, and the history begins anew: a damaged list of past fences must not keep a cluster from working.

use crate::event::outcome_word;
use crate::remembered;
use picket_core::evidence::FenceOutcome;
use picket_host::files::{Files, RealFiles};
use picket_host::small_state::SmallState;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Entries that are kept: months of an unhappy cluster, and far below the largest record.
pub const ENTRIES_MAX: usize = 500;

/// The file in the state directory.
const FILE: &str = "fence.history";

const KIND: [u8; 4] = *b"PKFH";
const SCHEMA: u16 = 1;

/// One run of a device, or one request to an operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339; empty while it runs.
    pub ended_at: String,
    /// The target's name.
    pub target: String,
    /// The name of the node that fenced.
    pub fencer: String,
    /// The permit under which; 0: unknown.
    pub permit: u64,
    /// The level, from 1.
    pub level: u32,
    /// The device's place in the level, from 1.
    pub device: u32,
    /// The agent.
    pub agent: String,
    /// `off`, `on` or `confirm`.
    pub action: String,
    /// How it ended; empty while it runs.
    pub outcome: String,
    /// A person was asked.
    pub manual: bool,
    /// What the agent said.
    pub text: String,
}

impl Entry {
    /// What had not ended with the earlier run of the daemon: nobody saw how it did.
    fn of_an_earlier_run(mut self) -> Self {
        if self.outcome.is_empty() {
            outcome_word(FenceOutcome::Unknown).clone_into(&mut self.outcome);
            "the daemon ended before it did".clone_into(&mut self.text);
        }
        self
    }
}

/// The history, shared by those who write and those who read.
#[derive(Clone, Debug)]
pub struct History(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    state: SmallState,
    entries: VecDeque<Entry>,
    /// The number of the first entry, since entries fall out at the front.
    first: u64,
}

/// Names an entry until it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryId(u64);

impl EntryId {
    /// No entry.
    pub(super) const NONE: Self = Self(u64::MAX);
}

impl History {
    /// Reads the history of an earlier run.
    #[must_use]
    pub fn open(state_dir: &Path) -> Self {
        let path = state_dir.join(FILE);
        let state = SmallState::new(Arc::new(RealFiles), &path, KIND, SCHEMA);
        let entries = remembered::load(&state).unwrap_or_else(|error| {
            let aside = path.with_extension("damaged");
            let moved = RealFiles.rename(&path, &aside).is_ok();
            tracing::warn!(%error, aside = %aside.display(), moved, "the history of fences cannot be read");
            None
        });
        let entries: VecDeque<_> = entries.unwrap_or_default();
        let entries = entries.into_iter().map(Entry::of_an_earlier_run).collect();
        Self(Arc::new(Mutex::new(Kept { state, entries, first: 0 })))
    }

    /// Notes that something has begun.
    pub fn begin(&self, entry: Entry) -> EntryId {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.entries.push_back(entry);
        while kept.entries.len() > ENTRIES_MAX {
            kept.entries.pop_front();
            kept.first += 1;
        }
        let id = EntryId(kept.first + kept.entries.len() as u64 - 1);
        kept.save();
        id
    }

    /// Notes how it ended. An entry that has fallen out is forgotten.
    pub fn end(&self, id: EntryId, ended_at: String, outcome: &str, text: String) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = id.0.checked_sub(kept.first).and_then(|at| usize::try_from(at).ok());
        if let Some(entry) = at.and_then(|at| kept.entries.get_mut(at)) {
            entry.ended_at = ended_at;
            outcome.clone_into(&mut entry.outcome);
            entry.text = text;
            kept.save();
        }
    }

    /// The newest entries about a target (empty: about all), newest first.
    #[must_use]
    pub fn newest(&self, target: &str, entries_max: usize) -> Vec<Entry> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let about = |entry: &&Entry| target.is_empty() || entry.target == target;
        kept.entries.iter().rev().filter(about).take(entries_max).cloned().collect()
    }
}

impl Kept {
    fn save(&mut self) {
        let saved = serde_json::to_vec(&self.entries)
            .map_err(|error| error.to_string())
            .and_then(|bytes| self.state.replace(&bytes).map_err(|error| error.to_string()));
        if let Err(error) = saved {
            tracing::warn!(%error, "the history of fences is not kept");
        }
    }
}
