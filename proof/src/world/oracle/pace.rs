//! How often a node asks: what is refused is not asked for again as fast as the refusals come.

use super::super::World;
use super::super::clock::{SECOND, Time};
use picket_core::ids::NodeId;
use picket_core::message::Request;

/// A node asks for so many changes of in-sync sets in a second at most: each of three volumes may change with every report
/// of its driver, and what is refused rests for 200 ms.
const CHANGES_MAX: u32 = 60;

/// And for so much else besides its heartbeats: three times what was ever seen.
const REQUESTS_MAX: u32 = 60;

/// What a node has asked for in a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    since: Time,
    changes: u32,
    requests: u32,
}

impl World {
    /// A node asks the witness. Heartbeats come by the clock, releases are relayed by the clock of whoever gave up the
    /// volume, and what a person asks through a node comes as fast as he types.
    pub(in super::super) fn check_pace(&mut self, node: NodeId, request: &Request) {
        let now = self.now;
        let pace = self.oracle.paces.entry(node).or_default();
        if now.since(pace.since) >= SECOND {
            *pace = Pace { since: now, ..Pace::default() };
        }
        match request {
            Request::Heartbeat(_) | Request::RelayRelease { .. } | Request::Operator { .. } => return,
            Request::UpdateInSync(_) => pace.changes += 1,
            _ => pace.requests += 1,
        }
        let Pace { changes, requests, .. } = *pace;
        if changes > CHANGES_MAX {
            let text =
                format!("node {node} asks for more than {CHANGES_MAX} changes of in-sync sets in a second");
            self.violated("pace", text);
        } else if requests > REQUESTS_MAX {
            self.violated("pace", format!("node {node} asks more than {REQUESTS_MAX} times in a second"));
        }
    }
}
