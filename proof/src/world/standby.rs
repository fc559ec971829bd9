//! Nodes that a person puts on standby, what they have said of it, and that they keep to it.

use super::World;
use super::event::Act;
use super::rules::STANDBY_LEAVES;
use crate::asks_for_a_volume;
use picket_core::ids::{NodeId, NodeSet};
use picket_core::message::PeerBody;
use picket_core::node::{NodeAnswer, NodeRequest};
use std::collections::BTreeMap;

/// What persons want, and what nodes have said.
#[derive(Clone, Debug, Default)]
pub(super) struct Standby {
    /// Nodes that are to stand by.
    wanted: NodeSet,
    /// Nodes that have said that they do, and were not asked to be online since.
    said: NodeSet,
    /// Open questions.
    asked: BTreeMap<u64, NodeId>,
}

impl Standby {
    /// A node answered a person.
    pub(super) fn answered(&mut self, ticket: u64, answer: &NodeAnswer) {
        if let Some(node) = self.asked.remove(&ticket)
            && matches!(answer, NodeAnswer::Done | NodeAnswer::Kept(_))
            && self.wanted.contains(node)
        {
            self.said = self.said.with(node);
        }
    }
}

impl World {
    /// A person puts a node on standby or online; who does not run hears nothing of it.
    pub(super) fn put_on_standby(&mut self, node: NodeId, on: bool) {
        let standby = &mut self.standby;
        if on {
            standby.wanted = standby.wanted.with(node);
            standby.asked.insert(self.tickets + 1, node);
        } else {
            standby.wanted = standby.wanted.without(node);
            standby.said = standby.said.without(node);
            // What it answers to an earlier question, which it may read as late as this one, counts no more.
            standby.asked.retain(|_, asked| *asked != node);
        }
        self.ask(node, NodeRequest::Standby(on));
    }

    /// A node is on standby, by its own disk.
    pub(super) fn stands_by(&self, node: NodeId) -> bool {
        self.machine(node).store.disk.read().is_some_and(|disk| disk.standby)
    }

    /// Nodes that are on standby, and that nobody wants there.
    #[must_use]
    pub fn forgotten_on_standby(&self) -> NodeSet {
        let others = self.setup.members().minus(self.standby.wanted);
        others.iter().filter(|node| self.stands_by(*node)).collect()
    }

    /// Who has said that it stands by asks for no volume, whatever it went through since.
    pub(super) fn check_standby(&mut self, node: NodeId, act: &Act) {
        if let Act::Peer(_, message) = act
            && matches!(message.body, PeerBody::HandoverOffer { .. })
            && self.stands_by(node)
        {
            self.rules.hit(STANDBY_LEAVES);
        }
        let Act::Witness(message) = act else { return };
        if asks_for_a_volume(&message.body) && self.standby.said.contains(node) {
            self.violated("standby", format!("node {node} has said that it stands by and asks for a volume"));
        }
    }
}
