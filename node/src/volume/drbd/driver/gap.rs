//! What DRBD says and people must know, because Picket does nothing about it by itself: one line in the status.

use super::Driver;
use crate::volume::drbd::book::Freeze;

/// What was seen by so many looks in a row is no passing state: a replica attaches and connects within one or two.
const LOOKS: u8 = 3;

impl Driver {
    /// Says what is the matter, once.
    pub(super) fn say_gap(&self) {
        let gap = self.gap();
        if self.about.gaps.say(self.about.id, gap.clone())
            && let Some(gap) = gap
        {
            tracing::warn!(volume = %self.about.name, %gap, "needs a person");
        }
    }

    /// Says how far a resync is.
    pub(super) fn say_resync(&self) {
        let percent = if self.view.is_resyncing() { self.view.resynced().or(self.polled) } else { None };
        self.about.gaps.say_resync(self.about.id, percent);
    }

    /// At each regular look.
    pub(super) fn count_looks(&mut self) {
        let troubled = self.view.whole && self.met && self.trouble().is_some();
        self.troubled_looks = if troubled { self.troubled_looks.saturating_add(1) } else { 0 };
    }

    fn gap(&self) -> Option<String> {
        if let Some(problem) = self.book.problems.as_ref().and_then(|problems| problems.first()) {
            return Some(format!(
                "it is granted nothing, because DRBD's configuration would undo the guarantee: {problem}"
            ));
        }
        self.trouble().filter(|_| self.troubled_looks >= LOOKS)
    }

    /// What would be a gap if it lasted.
    fn trouble(&self) -> Option<String> {
        let recorded = *self.about.recorded.borrow();
        let disk = self.view.disks.values().find(|_| !self.view.is_complete());
        if let Some(disk) = disk
            && recorded.current
            && recorded.isr.contains(self.about.me)
        {
            let state = &disk.state;
            return Some(format!(
                "DRBD calls this replica {state}, the witness has it in sync: it is granted nothing until it is resynced, or removed"
            ));
        }
        let ordered =
            self.book.freeze == Freeze::ByCut || self.book.promoting.is_some() || self.dropping.is_some();
        (self.stands_alone() && !ordered).then(|| {
            "the replication is off (StandAlone) and does not come back: a split brain, or another node's disconnect; DRBD's kernel log says which".to_owned()
        })
    }
}
