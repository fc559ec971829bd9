//! The last events of a cluster, for the status; the log has them all.

use picket_host::clock::{rfc3339, wall};
use picket_host::logging::{EventCode, emit};
use picket_proto::v1::StatusEvent;
use std::collections::VecDeque;

/// How many events a cluster's status shows: some failovers with everything around them.
const KEPT_MAX: usize = 200;

/// The last events, oldest first.
#[derive(Debug, Default)]
pub(super) struct Journal {
    kept: VecDeque<StatusEvent>,
}

impl Journal {
    /// Logs an event of the cluster and keeps it.
    pub(super) fn note(&mut self, code: &EventCode, cluster: &str, text: &str) {
        emit(code, format_args!("{text} cluster={cluster}"));
        if self.kept.len() == KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(StatusEvent {
            at: rfc3339(wall()),
            number: code.number.into(),
            name: code.name.to_owned(),
            level: code.level.word().to_owned(),
            text: text.to_owned(),
        });
    }

    /// What is kept.
    pub(super) fn events(&self) -> Vec<StatusEvent> {
        self.kept.iter().cloned().collect()
    }
}
