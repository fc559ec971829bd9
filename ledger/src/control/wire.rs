//! The control protocol: one JSON object per line over a unix socket, each with `schema`.
//!
//! The node daemon sends requests with an `id` and gets one answer with the same `id`. After
//! `subscribe` it also gets an event with the whole status at every change. Answers of commands that
//! take effect at once come in order; `require_peer` may be answered after later ones.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ids::{Epoch, Generation, NodeId};
pub use crate::store::accept::Activity;

/// Of this protocol.
pub const SCHEMA: u32 = 1;
/// The longest line, in bytes. A status with all peers and a full history stays well below.
pub const LINE_MAX: usize = 64 * 1024;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Chosen by the sender; the answer carries it.
    pub id: u64,
    /// What to do.
    #[serde(flatten)]
    pub command: Command,
}

/// What the node daemon asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case")]
pub enum Command {
    /// The status, now.
    Status,
    /// From now on an event at every change.
    Subscribe,
    /// Become Primary, or take a higher epoch as Primary.
    Promote {
        /// Must exceed every epoch ever seen here; the running epoch again is answered as done.
        epoch: Epoch,
        /// Not past this moment, CLOCK_BOOTTIME in nanoseconds; checked right before acting.
        deadline_boottime_ns: u64,
        /// The peers without which nothing may be acknowledged. Absent: all configured peers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        required: Option<BTreeSet<NodeId>>,
    },
    /// Become Secondary; answered when nothing can be acknowledged any more. Ends a freeze.
    Demote,
    /// Hold every write and read; answered when in force.
    Freeze,
    /// End the freeze.
    Thaw,
    /// Go on without this peer, with a new generation, in one step.
    DropPeer {
        /// The peer.
        peer: NodeId,
    },
    /// From the answer on nothing is acknowledged without this peer, and it has all that was.
    RequirePeer {
        /// The peer; must be connected and complete.
        peer: NodeId,
    },
    /// Let the next resync throw away what only this replica has.
    DiscardLocal,
    /// End the server.
    Shutdown,
}

/// A line from the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line {
    /// The command is done.
    Done {
        /// [`SCHEMA`].
        schema: u32,
        /// Of the request.
        id: u64,
        /// After the command.
        status: Box<Status>,
    },
    /// The command was not done, and changed nothing but what the refusal says.
    Refused {
        /// [`SCHEMA`].
        schema: u32,
        /// Of the request; 0 if the line could not be read.
        id: u64,
        /// Why.
        error: Refusal,
    },
    /// Something changed.
    Event {
        /// [`SCHEMA`].
        schema: u32,
        /// After the change.
        status: Box<Status>,
    },
}

/// What a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Role {
    /// Takes a primary's stream; the role after every start.
    Secondary,
    /// Takes writes.
    Primary {
        /// Of the promotion.
        epoch: Epoch,
    },
}

/// A server as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// This server.
    pub node: NodeId,
    /// Grows with every change that is told, within one process. Answers and events travel separately:
    /// of two that came over one connection, the one with the higher number is the newer.
    pub revision: u64,
    /// Its role.
    #[serde(flatten)]
    pub role: Role,
    /// The highest epoch ever seen, durable.
    pub max_epoch: Epoch,
    /// What it may do towards clients.
    pub activity: Activity,
    /// Told to hold writes and reads.
    pub frozen: bool,
    /// The required peers that keep acknowledgements from being given; empty: none does.
    pub suspended: BTreeSet<NodeId>,
    /// As Primary: a higher epoch was learned of; only a demotion ends this.
    pub superseded_by: Option<Epoch>,
    /// Without these nothing is acknowledged.
    pub required: BTreeSet<NodeId>,
    /// One per configured peer.
    pub peers: Vec<PeerStatus>,
    /// As Secondary: the primary whose stream arrives here, over a live connection.
    pub upstream: Option<Upstream>,
    /// Identifies the data.
    pub generation: Generation,
    /// The local replica has everything that its stream gave; see [`Upstream`] for whether it still
    /// gets one.
    pub complete: bool,
    /// Both sides wrote; the resync is refused until `discard_local`.
    pub diverged: bool,
    /// The last record here.
    pub last_seq: u64,
    /// As Primary: everything up to here is acknowledged or may be.
    pub committed_seq: u64,
    /// Writes acknowledged by this process.
    pub acked: u64,
    /// Records that resyncs took out of this replica, ever.
    pub discarded_total: u64,
    /// Connections closed as unusable, by port and reason.
    pub rejected: BTreeMap<String, u64>,
}

/// Where a Secondary's records come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// The primary.
    pub node: NodeId,
    /// Its epoch.
    pub epoch: Epoch,
}

/// A peer as this server sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// The peer.
    pub node: NodeId,
    /// Our connection to it is up and answered.
    pub connected: bool,
    /// It follows our stream and has caught up. Only a Primary knows that.
    pub complete: bool,
    /// Records that it has not confirmed. Only a Primary knows that.
    pub behind: u64,
    /// It refused our stream because both sides wrote.
    pub diverged: bool,
    /// The highest epoch that it told us of.
    pub max_epoch: Epoch,
}

/// Why a command was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    /// The epoch is not above what was seen.
    #[error("epoch {asked} is not above {max_seen}, the highest seen here")]
    EpochNotHigher {
        /// What was asked.
        asked: Epoch,
        /// What was seen.
        max_seen: Epoch,
    },
    /// The local replica is in the middle of a resync.
    #[error("the local replica is incomplete: {last_seq} records, resync not finished")]
    Incomplete {
        /// The last record here.
        last_seq: u64,
    },
    /// Too late. If `epoch_used`, the epoch counts as seen, and the role is Secondary.
    #[error("the deadline {deadline_ns} has passed, it is {now_ns} (epoch used up: {epoch_used})")]
    DeadlinePassed {
        /// What was asked.
        deadline_ns: u64,
        /// What the clock says.
        now_ns: u64,
        /// Whether a new grant needs a higher epoch.
        epoch_used: bool,
    },
    /// Only a Primary can do that.
    #[error("not primary")]
    NotPrimary,
    /// Only a Secondary can do that.
    #[error("primary in epoch {epoch}")]
    IsPrimary {
        /// Of the promotion.
        epoch: Epoch,
    },
    /// Not in the configuration.
    #[error("node {peer} is no configured peer")]
    UnknownPeer {
        /// Who was named.
        peer: NodeId,
    },
    /// The peer does not follow our stream, or has not caught up; it is not required.
    #[error("node {peer} cannot be required: connected {connected}, complete {complete}")]
    PeerNotReady {
        /// Who was named.
        peer: NodeId,
        /// Whether our connection to it is up.
        connected: bool,
        /// Whether it has caught up.
        complete: bool,
    },
    /// A peer holds a higher epoch: this server must not go on, only be demoted.
    #[error("epoch {held} is superseded by {known}")]
    Superseded {
        /// Of our promotion.
        held: Epoch,
        /// What we learned of.
        known: Epoch,
    },
    /// Nothing is to be thrown away.
    #[error("no primary's resync was refused here")]
    NotDiverged,
    /// Demoted while the command waited.
    #[error("demoted while waiting")]
    Demoted,
    /// The request could not be read.
    #[error("bad request: {why}")]
    BadRequest {
        /// What is wrong.
        why: String,
    },
}
