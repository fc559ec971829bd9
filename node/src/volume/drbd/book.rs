//! What the driver itself knows of a volume, beside what the kernel tells; and both together as a report.
//!
//! DRBD has no list of peers that a write must wait for: it waits for whom it is connected to, and suspends when one of
//! them is lost, until the `fence-peer` handler settles it. The list is here. It may hold too many, never too few:
//! - a promotion brings it; RequirePeer adds to it, before the witness is asked;
//! - of a Secondary it is everybody: who makes it Primary but this driver has settled nothing about anybody;
//! - DropPeer, which follows an accepted removal, is the only way out of it;
//! - a daemon that finds a Primary takes every peer to be on it.

use super::view::{Peer, View};
use crate::volume::About;
use picket_core::evidence::Generation;
use picket_core::ids::{Epoch, NodeId, NodeSet};
use picket_core::node::{CommandId, Role, VolumeReport};

/// How a freeze was made, which decides how it may be lifted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freeze {
    /// There is none.
    #[default]
    No,
    /// By `suspend-io`. Lifting it (`resume-io`) lifts the suspension for a lost peer too, so that is done only while no
    /// peer is required.
    ByUser,
    /// By cutting the required peers off: the kernel suspends, and lifts that itself in one step with the connection's
    /// return. A connection that is lost while the freeze is lifted leaves no moment without a barrier.
    ByCut,
}

/// A promotion on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promoting {
    /// The order.
    pub command: CommandId,
    /// The kernel waits for the handler, and that for the removal of a peer: nothing but this driver's answer lets the
    /// promotion go on, and nothing can be written before. Told as Primary with a lost peer.
    pub held: bool,
}

/// What the driver knows.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// Peers that each write waits for.
    pub required: NodeSet,
    /// The newest grant to this node that is known; none: none in this run.
    pub epoch: Option<Epoch>,
    /// The freeze that was ordered.
    pub freeze: Freeze,
    /// A promotion on its way.
    pub promoting: Option<Promoting>,
    /// The data, as it was last read.
    pub generation: Option<Generation>,
    /// What in DRBD's own configuration would undo the guarantee; none while that is not known. Such a replica is told
    /// as incomplete: it is granted nothing.
    pub problems: Option<Vec<String>>,
}

impl Book {
    /// Whether I/O is suspended by the freeze that was ordered, as the kernel tells.
    pub(super) fn is_frozen(&self, view: &View) -> bool {
        match self.freeze {
            Freeze::No => false,
            Freeze::ByUser => view.suspended_by_user(),
            Freeze::ByCut => view.suspended_by_fencing() || view.suspended_by_user(),
        }
    }

    /// Whether the kernel or a handler of its may make this node's volume writable without another word of ours.
    pub(super) fn role(&self, view: &View) -> Role {
        match (view.role(), self.promoting) {
            (_, Some(Promoting { held: true, .. })) => Role::Primary,
            // A Primary whose own disk is gone serves from its peer's. It is not to judge who has all the data.
            (Role::Primary, _) if !view.is_up_to_date() => Role::Unknown,
            (role, _) => role,
        }
    }

    /// Takes what is recorded: also a holder that was found Primary comes to know its epoch.
    pub(super) fn note_recorded(&mut self, about: &About) {
        let recorded = *about.recorded.borrow();
        if recorded.current && recorded.holder == Some(about.me) {
            self.epoch = self.epoch.max(Some(recorded.epoch));
        }
    }

    /// Whether the witness is known to have granted the volume to another node since it was granted to this one.
    pub(super) fn is_superseded(&self, about: &About) -> bool {
        let recorded = *about.recorded.borrow();
        let elsewhere = recorded.holder.is_some_and(|holder| holder != about.me);
        recorded.current && elsewhere && self.epoch.is_some_and(|mine| recorded.epoch > mine)
    }

    /// Whether the peer is connected.
    pub(super) fn node_is_connected(&self, about: &About, view: &View, peer: NodeId) -> bool {
        view.peers.values().any(|seen| seen.is_connected() && node(about, seen) == Some(peer))
    }

    /// The report; none until the data's generation and the configuration were read.
    #[must_use]
    pub fn report(&self, about: &About, view: &View) -> Option<VolumeReport> {
        let generation = self.generation.clone()?;
        let is_sound = self.problems.as_ref()?.is_empty();
        let role = self.role(view);
        let peers = |keep: fn(&Peer) -> bool| {
            set(view.peers.values().filter(|peer| keep(peer)).filter_map(|p| node(about, p)))
        };
        let connected = peers(Peer::is_connected);
        let diskless = peers(Peer::has_lost_its_disk);
        let required = if role == Role::Secondary { NodeSet::EMPTY } else { self.required };
        // While writes are frozen by cutting the peers off, a peer is missing because we keep it away.
        let kept_away = if self.freeze == Freeze::ByCut { required } else { NodeSet::EMPTY };
        let there = connected.minus(diskless);
        Some(VolumeReport {
            role,
            frozen: role != Role::Secondary && self.is_frozen(view),
            complete: is_sound && view.whole && view.is_complete(),
            generation,
            connected: there.union(kept_away),
            complete_peers: peers(Peer::is_up_to_date),
            required,
            lost: required.minus(there).minus(kept_away),
        })
    }
}

fn set(nodes: impl Iterator<Item = NodeId>) -> NodeSet {
    nodes.collect()
}

/// Which member is at the other end: by its name, or the only other one where DRBD does not tell names.
pub(super) fn node(about: &About, peer: &Peer) -> Option<NodeId> {
    named(about, peer.name.as_deref())
}

/// The word that drbdsetup for DRBD 8.4 prints for the name that it does not know.
const NO_NAME: &str = "peer";

/// The member with this name; without a name the only other one.
pub(super) fn named(about: &About, name: Option<&str>) -> Option<NodeId> {
    let others = about.members.without(about.me);
    let found = others
        .iter()
        .find(|id| name.is_some_and(|name| about.names.get(id).is_some_and(|known| known == name)));
    let is_told = name.is_some_and(|name| name != NO_NAME);
    let mut all = others.iter();
    let only = all.next().filter(|_| all.next().is_none());
    found.or(only.filter(|_| !is_told))
}
