//! How often a node asks: what is refused is not asked for again as fast as the refusals come.

use super::super::World;
use super::super::clock::{SECOND, Time};
use picket_core::ids::NodeId;
use picket_core::message::Request;

/// A node asks for so many changes of in-sync sets in a second at most: each of three volumes may change with every report
/// of its driver, and what is refused rests for 200 ms.
const CHANGES_MAX: u32 = 60;

/// The changes that a node has asked for in a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    since: Time,
    count: u32,
}

impl World {
    /// A node asks the witness.
    pub(in super::super) fn check_pace(&mut self, node: NodeId, request: &Request) {
        if !matches!(request, Request::UpdateInSync(_)) {
            return;
        }
        let now = self.now;
        let pace = self.oracle.paces.entry(node).or_default();
        if now.since(pace.since) >= SECOND {
            *pace = Pace { since: now, count: 0 };
        }
        pace.count += 1;
        if pace.count > CHANGES_MAX {
            let text =
                format!("node {node} asks for more than {CHANGES_MAX} changes of in-sync sets in a second");
            self.violated("pace", text);
        }
    }
}
