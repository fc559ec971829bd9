//! The connections of one cluster's nodes: one per node counts, the newest.

use super::command::{Connection, LinkId};
use picket_core::ids::{NodeId, SessionId};
use picket_core::message::{FromWitness, Reply};
use picket_core::time::Instant;
use picket_proto::to_wire;
use std::collections::BTreeMap;
use tokio::sync::mpsc::error::TrySendError;
use tonic::Status;

/// A node's connection and the session that the machine opened on it.
#[derive(Debug)]
pub(super) struct Link {
    /// The connection.
    pub(super) connection: Connection,
    /// Learnt from the challenge, the machine's first message on it.
    pub(super) session: Option<SessionId>,
    /// When the node's newest message came.
    pub(super) heard_at: Option<Instant>,
}

/// Why a connection did not take a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// The node leaves too much unread.
    Full,
    /// It has ended on its own.
    Ended,
}

/// The connections, by node.
#[derive(Debug, Default)]
pub(super) struct Links {
    by_node: BTreeMap<NodeId, Link>,
}

impl Links {
    /// Takes a new connection. The node's former one, which ends with that, is given back.
    pub(super) fn open(&mut self, connection: Connection) -> Option<Link> {
        self.by_node.insert(connection.node, Link { connection, session: None, heard_at: None })
    }

    /// The node's connection, if it is still the one of that number.
    pub(super) fn current(&self, node: NodeId, link: LinkId) -> Option<&Link> {
        self.by_node.get(&node).filter(|current| current.connection.link == link)
    }

    /// A message came. Whether it counts: not if the connection is no longer the node's newest.
    pub(super) fn heard(&mut self, node: NodeId, link: LinkId, now: Instant) -> bool {
        let current = self.by_node.get_mut(&node).filter(|current| current.connection.link == link);
        current.map(|current| current.heard_at = Some(now)).is_some()
    }

    /// The node's connection.
    pub(super) fn of(&self, node: NodeId) -> Option<&Link> {
        self.by_node.get(&node)
    }

    /// Says why the connection of that number will end. A node that leaves its messages unread does not learn it.
    pub(super) fn refuse(&self, node: NodeId, link: LinkId, why: &str) {
        if let Some(link) = self.current(node, link) {
            let _ = link.connection.outbox.try_send(Err(Status::invalid_argument(why)));
        }
    }

    /// Forgets the connection of that number; it ends with that. Nothing if it was not the node's newest.
    pub(super) fn close(&mut self, node: NodeId, link: LinkId) -> Option<Link> {
        self.current(node, link)?;
        self.by_node.remove(&node)
    }

    /// Ends the connection on which the session runs; nothing if there is none.
    pub(super) fn close_session(&mut self, session: SessionId) -> Option<Link> {
        let (node, _) = self.by_node.iter().find(|(_, link)| link.session == Some(session))?;
        let node = *node;
        self.by_node.remove(&node)
    }

    /// Hands a message to the node's connection. No connection is no error: messages may be lost.
    pub(super) fn send(&mut self, node: NodeId, message: &FromWitness) -> Result<(), (LinkId, Unsent)> {
        let Some(link) = self.by_node.get_mut(&node) else { return Ok(()) };
        if let Reply::Challenge { .. } = message.body {
            link.session = Some(message.session);
        }
        if link.session != Some(message.session) {
            // For an earlier connection of the node, which is no more.
            return Ok(());
        }
        match link.connection.outbox.try_send(Ok(to_wire(message))) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err((link.connection.link, Unsent::Full)),
            Err(TrySendError::Closed(_)) => Err((link.connection.link, Unsent::Ended)),
        }
    }
}
