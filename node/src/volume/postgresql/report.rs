//! What was seen, as the core wants it.

use super::server::{Barrier, Server};
use super::sql::View;
use super::timeline::{Place, generation};
use picket_core::evidence::Generation;
use picket_core::ids::{NodeId, NodeSet};
use picket_core::node::{Role, VolumeReport};

/// What is known of the server from looks before.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// The newest timeline that this data is seen to be of, with its server's identifier.
    pub(super) timeline: Option<(u64, u32)>,
    /// Why this replica cannot follow.
    pub(super) stuck: Option<String>,
    /// Whom it follows.
    pub(super) source: Option<NodeId>,
}

impl Known {
    /// Takes in what was seen. A timeline that was reached is not left again, but by a rebuild.
    pub(super) fn learn(&mut self, view: &View) {
        let seen = timeline(view);
        self.timeline = match self.timeline {
            Some((system, known)) if system == view.system => Some((system, known.max(seen))),
            Some(_) | None => Some((view.system, seen)),
        };
    }

    /// Where the data of a replica ends.
    pub(super) fn place(&self, view: &View) -> Place {
        Place {
            timeline: self.timeline.map_or(view.control_timeline, |(_, timeline)| timeline),
            lsn: view.lsn,
        }
    }

    fn generation(&self, view: &View) -> Generation {
        let timeline = self.place(view).timeline;
        let former = view.history.iter().copied().take_while(|place| place.timeline != timeline);
        let former: Vec<_> = former.collect();
        generation(view.system, timeline, &former)
    }
}

/// The timeline that the data is of. What a replica receives counts once it is past the place where that timeline
/// begins; until then it is still of the former one.
fn timeline(view: &View) -> u32 {
    if let Some(written) = view.timeline {
        return written;
    }
    let begins = view.history.last().map_or(0, |left| left.lsn);
    let received =
        view.receiver.filter(|receiver| receiver.timeline == view.newest && receiver.flushed > begins);
    received.map_or(view.control_timeline, |receiver| receiver.timeline.max(view.control_timeline))
}

/// The report of a server that answers.
pub(super) fn report(
    server: &Server,
    barrier: Barrier,
    (known, in_sync): (&Known, NodeSet),
    view: &View,
) -> VolumeReport {
    let generation = known.generation(view);
    if view.recovery {
        let streams = view.receiver.is_some_and(|receiver| receiver.streams);
        return VolumeReport {
            role: Role::Secondary,
            frozen: false,
            // It answers, so its data is consistent. Whether it has everything is what the in-sync set says; before
            // there is one, only data that is nobody's copy has.
            complete: known.stuck.is_none()
                && if in_sync.is_empty() { view.original } else { in_sync.contains(server.me) },
            generation,
            connected: known.source.filter(|_| streams).map(NodeSet::only).unwrap_or_default(),
            complete_peers: NodeSet::EMPTY,
            required: NodeSet::EMPTY,
            lost: NodeSet::EMPTY,
        };
    }
    let among = |keep: &dyn Fn(&super::sql::Sender) -> bool| -> NodeSet {
        let found = view.senders.iter().filter(|sender| keep(sender));
        found.filter_map(|sender| server.member(&sender.name)).collect()
    };
    let connected = among(&|sender| sender.streams || sender.catches_up);
    let required = barrier.allowed.unwrap_or_default();
    let required = barrier.joining.map_or(required, |peer| required.without(peer));
    VolumeReport {
        role: Role::Primary,
        frozen: false,
        complete: true,
        generation,
        connected,
        complete_peers: among(&|sender| sender.streams),
        required,
        lost: required.minus(connected.intersection(barrier.synced)),
    }
}
