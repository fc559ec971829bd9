//! The one loop of a server: everything that decides runs here, on its own thread, one batch of events
//! after the other.
//!
//! Contract of a batch: take the events; write what they appended; offer it to the peers; sync; settle
//! what the server may do now; log that; only then acknowledge, and answer commands last. So a freeze
//! that is answered was in force before any later acknowledgement, and an acknowledgement stands in the
//! acceptance log before a client sees it: acknowledgements are written to the socket from here, no
//! queue lies between.
//!
//! ```text
//!              promote                    a required peer lost
//!  Secondary ──────────▶ Primary: Writable ◀────────────▶ Suspended
//!      ▲                    ▲ │ freeze      in step again,
//!      │ demote        thaw │ ▼             or dropped
//!      └──────────────── Frozen          (a higher epoch known: Superseded)
//! ```

mod primary;
mod replica;
mod roles;
mod status;
mod writes;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::config::Config;
use crate::control::wire::{Activity, Command, Refusal, Role, Status};
use crate::ids::{Epoch, NodeId};
use crate::net::client_port::ClientOut;
use crate::store::accept::{AcceptEntry, Cause};
use crate::store::{Store, StoreError};
use crate::wire::{FromClient, RejectCounts, ToPrimary, ToReplica};
pub(crate) use primary::LINK_QUEUE;
use primary::Peer;
use replica::Inbound;
use writes::{Waiter, Waiting};

/// Events that may wait for the loop; a full queue slows the connections down. Small, because a freeze
/// waits behind them, and each takes microseconds.
pub(crate) const EVENTS_MAX: usize = 512;
/// Events per batch: one write and one sync serve them all.
const BATCH_MAX: usize = 256;
/// Events that may wait for a subscriber; one that falls further behind is cut off and gets the whole
/// status when it comes back.
pub(crate) const SUBSCRIBER_QUEUE: usize = 256;

/// One connection of this process, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnId(pub(crate) u64);

/// What a command's sender waits for.
pub(crate) type Answer = oneshot::Sender<Result<Box<Status>, Refusal>>;

/// Everything that reaches the loop.
pub(crate) enum Event {
    ClientUp {
        conn: ConnId,
        out: ClientOut,
    },
    Client {
        conn: ConnId,
        message: FromClient,
    },
    ClientDown {
        conn: ConnId,
    },
    /// The link that we dialled is up; the other side's greeting came.
    LinkUp {
        peer: NodeId,
        conn: ConnId,
        out: mpsc::Sender<Bytes>,
        max_epoch: Epoch,
    },
    Link {
        peer: NodeId,
        conn: ConnId,
        message: ToPrimary,
    },
    LinkDown {
        peer: NodeId,
        conn: ConnId,
        why: String,
    },
    /// A link that the peer dialled is up.
    InboundUp {
        peer: NodeId,
        conn: ConnId,
        out: mpsc::Sender<Bytes>,
    },
    Inbound {
        conn: ConnId,
        message: ToReplica,
    },
    InboundDown {
        conn: ConnId,
        why: String,
    },
    Command {
        command: Command,
        answer: Answer,
    },
    Subscribe {
        out: mpsc::Sender<Box<Status>>,
    },
}

/// Why the loop ended.
pub(crate) enum Ended {
    /// Told to, or nobody is left who could send an event.
    Shutdown,
    /// The disk failed: what it holds is unknown, so nothing may be said any more.
    Store(StoreError),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Ended::Store(error)
    }
}

pub(crate) struct Engine {
    config: Config,
    store: Store,
    rejected: Arc<RejectCounts>,
    role: Role,
    frozen: bool,
    superseded_by: Option<Epoch>,
    required: BTreeSet<NodeId>,
    /// A promotion without some replica: a new generation is due before the first acknowledgement.
    generation_due: bool,
    peers: BTreeMap<NodeId, Peer>,
    inbound: BTreeMap<ConnId, Inbound>,
    upstream: Option<replica::Source>,
    diverged: bool,
    discard_allowed: bool,
    activity: Activity,
    /// What the running batch did, for the acceptance log.
    cause: Option<Cause>,
    committed: u64,
    acked: u64,
    clients: HashMap<ConnId, ClientOut>,
    waiters: VecDeque<Waiter>,
    waiting: VecDeque<Waiting>,
    busy_told: bool,
    told_writable: Option<Epoch>,
    answers: Vec<(Answer, Result<(), Refusal>)>,
    subscribers: Vec<mpsc::Sender<Box<Status>>>,
    /// Not yet subscribers: they are told the state at the end of the batch.
    newcomers: Vec<mpsc::Sender<Box<Status>>>,
    told: Option<Box<Status>>,
    /// Of what was told.
    revision: u64,
    changed: bool,
    ending: bool,
}

impl Engine {
    /// A Secondary on an open store.
    pub(crate) fn new(config: Config, store: Store, rejected: Arc<RejectCounts>) -> Engine {
        let peers = config.peers.iter().map(|p| (p.node, Peer::new(p.node))).collect();
        Engine {
            config,
            store,
            rejected,
            role: Role::Secondary,
            frozen: false,
            superseded_by: None,
            required: BTreeSet::new(),
            generation_due: false,
            peers,
            inbound: BTreeMap::new(),
            upstream: None,
            diverged: false,
            discard_allowed: false,
            activity: Activity::Inactive,
            cause: None,
            committed: 0,
            acked: 0,
            clients: HashMap::new(),
            waiters: VecDeque::new(),
            waiting: VecDeque::new(),
            busy_told: false,
            told_writable: None,
            answers: Vec::new(),
            subscribers: Vec::new(),
            newcomers: Vec::new(),
            told: None,
            revision: 0,
            changed: true,
            ending: false,
        }
    }

    /// Runs until told to end or the disk fails. Blocks its thread.
    pub(crate) fn run(mut self, mut events: mpsc::Receiver<Event>) -> Ended {
        if self.store.records.torn_bytes() > 0 {
            tracing::warn!(bytes = self.store.records.torn_bytes(), "torn tail of the record log cut");
        }
        match self.run_batches(&mut events) {
            Ok(()) => Ended::Shutdown,
            Err(error) => Ended::Store(error),
        }
    }

    fn run_batches(&mut self, events: &mut mpsc::Receiver<Event>) -> Result<(), StoreError> {
        self.log_transition(Cause::Started)?;
        self.store.accepted.write_out()?;
        while !self.ending {
            let Some(event) = events.blocking_recv() else { break };
            let begun_ns = crate::clock::boottime_ns();
            self.take(event)?;
            for _ in 1..BATCH_MAX {
                let Ok(event) = events.try_recv() else { break };
                self.take(event)?;
            }
            self.finish_batch()?;
            self.note_lateness(begun_ns);
        }
        Ok(())
    }

    /// A slow disk makes this server as silent as a cut link; who looks for the cause should find it.
    fn note_lateness(&self, begun_ns: u64) {
        let took_ms = crate::clock::boottime_ns().saturating_sub(begun_ns) / 1_000_000;
        if took_ms > self.config.peer_timeout_ms / 2 {
            tracing::warn!(took_ms, peer_timeout_ms = self.config.peer_timeout_ms, "disk or processor slow");
        }
    }

    fn take(&mut self, event: Event) -> Result<(), StoreError> {
        match event {
            Event::ClientUp { conn, out } => self.client_up(conn, out),
            Event::Client { conn, message } => return self.client_says(conn, message),
            Event::ClientDown { conn } => self.client_down(conn),
            Event::LinkUp { peer, conn, out, max_epoch } => return self.link_up(peer, conn, out, max_epoch),
            Event::Link { peer, conn, message } => return self.link_says(peer, conn, message),
            Event::LinkDown { peer, conn, why } => self.link_down(peer, conn, &why),
            Event::InboundUp { peer, conn, out } => self.inbound_up(peer, conn, out),
            Event::Inbound { conn, message } => return self.inbound_says(conn, message),
            Event::InboundDown { conn, why } => self.inbound_down(conn, &why),
            Event::Command { command, answer } => return self.command(command, answer),
            Event::Subscribe { out } => self.newcomers.push(out),
        }
        Ok(())
    }

    fn finish_batch(&mut self) -> Result<(), StoreError> {
        loop {
            self.settle()?;
            self.store.records.write_out()?;
            self.pump()?;
            if self.config.sync {
                self.store.records.sync()?;
            }
            self.confirm_upstream();
            self.advance()?;
            // Acknowledging made room for what waits. Ends: each turn takes at least one of a bounded
            // queue, and nothing is added to it in between.
            if self.activity != Activity::Writable || !self.can_admit() {
                break;
            }
        }
        self.admit_requiring();
        self.tell_subscribers();
        let status = (!self.answers.is_empty()).then(|| self.status());
        for (answer, outcome) in self.answers.drain(..) {
            let Some(status) = status.clone() else { break };
            // Nobody waits any more: the command is done all the same.
            let _ = answer.send(outcome.map(|()| status));
        }
        Ok(())
    }

    /// Brings what the server may do in line with what it knows, and logs a change of it.
    fn settle(&mut self) -> Result<(), StoreError> {
        if self.generation_due && self.could_write() {
            self.new_generation()?;
        }
        let now = self.activity_now();
        if now != self.activity || self.cause.is_some() {
            let cause = self.cause.take().unwrap_or(match now {
                Activity::Inactive => Cause::Demoted,
                Activity::Writable => Cause::Resumed,
                Activity::Frozen => Cause::Frozen,
                Activity::Suspended => Cause::Suspended,
                Activity::Superseded => Cause::Superseded,
            });
            let was = std::mem::replace(&mut self.activity, now);
            self.log_transition(cause)?;
            self.changed = true;
            tracing::info!(?was, ?now, ?cause, lost = ?self.lost(), "activity");
            if self.writable_epoch() != self.told_writable {
                self.tell_clients();
            }
        }
        self.store.accepted.write_out()?;
        if self.activity == Activity::Writable {
            self.admit_waiting()?;
        }
        Ok(())
    }

    fn could_write(&self) -> bool {
        matches!(self.role, Role::Primary { .. }) && self.superseded_by.is_none() && self.lost().is_empty()
    }

    fn activity_now(&self) -> Activity {
        match self.role {
            Role::Secondary => Activity::Inactive,
            Role::Primary { .. } if self.superseded_by.is_some() => Activity::Superseded,
            Role::Primary { .. } if self.frozen => Activity::Frozen,
            Role::Primary { .. } if !self.lost().is_empty() => Activity::Suspended,
            Role::Primary { .. } => Activity::Writable,
        }
    }

    /// The epoch of the promotion, if there is one.
    fn primary_epoch(&self) -> Option<Epoch> {
        match self.role {
            Role::Secondary => None,
            Role::Primary { epoch } => Some(epoch),
        }
    }

    fn log_transition(&mut self, cause: Cause) -> Result<(), StoreError> {
        let epoch = self.primary_epoch().unwrap_or_default();
        let at_ns = crate::clock::boottime_ns();
        self.store.accepted.add(&AcceptEntry::Transition { cause, now: self.activity, epoch, at_ns })
    }
}

#[cfg(test)]
mod instep_tests;
#[cfg(test)]
mod tests;
