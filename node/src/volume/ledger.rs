//! The driver of a ledger: orders over its control socket, reports from its events.
//!
//! The ledger's server checks the promotion's deadline again itself, right before it acts. While the connection
//! is lost nothing is known of the server, so the role is then Unknown: it serves from its own process and goes on
//! without us.
//!
//! Reports come from the notices alone, which only go forward. An answer's own status may be older than what was
//! reported already; on an idle volume nothing would ever put that right.

use super::{About, Life, Order, Teller, VolumeDriver, unseen};
use crate::time::now;
use futures_util::stream::{FuturesUnordered, StreamExt};
use picket_core::evidence::Generation;
use picket_core::ids::{GenerationId, NodeId, NodeSet};
use picket_core::node::{CommandId, CommandOutcome, Role, VolumeAction, VolumeReport};
use picket_core::time::Instant;
use picket_ledger::control::wire::{self, Status};
use picket_ledger::control::{Client, ControlError, Notice, Notices};
use picket_ledger::ids as ledger;
use std::collections::BTreeSet;
use std::path::PathBuf;
use tokio::sync::mpsc;

#[cfg(test)]
mod tests;

/// Drives a ledger's server.
#[derive(Debug)]
pub struct Ledger {
    socket: PathBuf,
    about: About,
}

impl Ledger {
    /// For the server with this control socket.
    #[must_use]
    pub const fn new(socket: PathBuf, about: About) -> Self {
        Self { socket, about }
    }
}

impl VolumeDriver for Ledger {
    fn live(self: Box<Self>, orders: mpsc::Receiver<Order>, teller: Teller) -> Life {
        Box::pin(async move {
            let (client, notices) = Client::open(self.socket);
            drive(self.about, client, notices, orders, teller).await;
        })
    }
}

async fn drive(
    about: About,
    client: Client,
    mut notices: Notices,
    mut orders: mpsc::Receiver<Order>,
    teller: Teller,
) {
    let mut working = FuturesUnordered::new();
    let mut last: Option<VolumeReport> = None;
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) => working.push(carry_out(client.clone(), order)),
                None => return,
            },
            notice = notices.next() => match notice {
                Some(notice) => news(&about, &notice, &mut last, &teller).await,
                None => return,
            },
            Some((command, outcome)) = working.next(), if !working.is_empty() => {
                // The report first: what follows from the outcome may look at it. The notice of what was done came
                // before the answer. Ends: at most a full queue of notices is there already.
                while let Some(notice) = notices.try_next() {
                    news(&about, &notice, &mut last, &teller).await;
                }
                teller.done(command, outcome).await;
            },
        }
    }
}

async fn news(about: &About, notice: &Notice, last: &mut Option<VolumeReport>, teller: &Teller) {
    if let Some(report) = report_of(about, notice, last.as_ref()) {
        *last = Some(report.clone());
        teller.report(report).await;
    }
}

async fn carry_out(client: Client, order: Order) -> (CommandId, CommandOutcome) {
    let Order { command, action } = order;
    let answered = match action {
        VolumeAction::Promote(promotion) => {
            let valid_until = promotion.valid_until();
            match promotion.redeem(now()) {
                Ok((_, epoch, required)) => {
                    client.promote(ledger::Epoch(epoch.0), nanos(valid_until), Some(peers(required))).await
                }
                Err(late) => {
                    let text =
                        format!("the promotion was valid until {:?}, it is {:?}", late.valid_until, late.now);
                    return (command, CommandOutcome::Failed(text));
                }
            }
        }
        VolumeAction::Demote { deadline: _ } => client.demote().await,
        VolumeAction::Freeze => client.freeze().await,
        VolumeAction::Thaw { valid_until } => {
            if now() >= valid_until {
                let text = format!("the thaw was valid until {valid_until:?}, it is later");
                return (command, CommandOutcome::Failed(text));
            }
            client.thaw().await
        }
        VolumeAction::DropPeer { peer } => client.drop_peer(ledger::NodeId(peer.0)).await,
        VolumeAction::RequirePeer { peer } => client.require_peer(ledger::NodeId(peer.0)).await,
    };
    match answered {
        Ok(_) => (command, CommandOutcome::Done),
        Err(error @ (ControlError::Refused(_) | ControlError::NotConnected)) => {
            (command, CommandOutcome::Failed(error.to_string()))
        }
        Err(error @ (ControlError::OutcomeUnknown | ControlError::Ended)) => {
            (command, CommandOutcome::Unknown(error.to_string()))
        }
    }
}

fn nanos(instant: Instant) -> u64 {
    u64::try_from(instant.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn peers(set: NodeSet) -> BTreeSet<ledger::NodeId> {
    set.iter().map(|node| ledger::NodeId(node.0)).collect()
}

fn report_of(about: &About, notice: &Notice, last: Option<&VolumeReport>) -> Option<VolumeReport> {
    match notice {
        Notice::Connected(status) | Notice::Changed(status) => {
            let report = report(about, status);
            // Counters of writes change all the time and mean nothing here.
            (last != Some(&report)).then_some(report)
        }
        // What the server last said may be over; its data is what it was.
        Notice::Lost => last.map(unseen),
    }
}

fn report(about: &About, status: &Status) -> VolumeReport {
    let role = match status.role {
        wire::Role::Primary { .. } => Role::Primary,
        wire::Role::Secondary => Role::Secondary,
    };
    let among = |keep: &dyn Fn(&wire::PeerStatus) -> bool| -> NodeSet {
        status.peers.iter().filter(|peer| keep(peer)).filter_map(|peer| node(peer.node)).collect()
    };
    let set =
        |nodes: &BTreeSet<ledger::NodeId>| -> NodeSet { nodes.iter().filter_map(|id| node(*id)).collect() };
    let history = status.generation.history.iter().take(Generation::HISTORY_MAX);
    let upstream = status.upstream.and_then(|upstream| node(upstream.node));
    VolumeReport {
        role,
        frozen: status.frozen,
        complete: status.complete && !status.diverged,
        generation: Generation {
            current: GenerationId(status.generation.current.0),
            history: history.map(|id| GenerationId(id.0)).collect(),
        },
        // A Secondary is connected to whom it gets its records from; that it can reach others means nothing.
        connected: match role {
            Role::Primary => among(&|peer| peer.connected),
            Role::Secondary | Role::Unknown => upstream.map(NodeSet::only).unwrap_or_default(),
        }
        .intersection(about.members),
        complete_peers: among(&|peer| peer.connected && peer.complete && !peer.diverged),
        required: set(&status.required),
        lost: set(&status.suspended),
    }
}

fn node(id: ledger::NodeId) -> Option<NodeId> {
    (1..=NodeSet::MAX_NODES).contains(&id.0).then_some(NodeId(id.0))
}
