//! What goes into a node machine and what comes out of it.

use super::event::Event;
use super::record::NodeRecord;
use crate::error::Refusal;
use crate::evidence::Generation;
use crate::ids::{Epoch, NodeId, NodeSet, PathId, VolumeId};
use crate::message::{Beat, FromWitness, OperatorAnswer, OperatorRequest, PeerMessage, ToWitness};
use crate::quorum::Vote;
use crate::ready::Ready;
use crate::time::Instant;
use crate::topology::{DeviceOrder, DeviceVerdict, OrderId};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The answer of a node machine to one input.
pub type NodeReady = Ready<NodeRecord, Effect>;

/// What happens to a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Input {
    /// Time passed; due at [`super::Node::deadline`] at the latest.
    Tick,
    /// An authenticated heartbeat arrived.
    Beat {
        /// On which of the paths to its sender.
        path: PathId,
        /// The heartbeat.
        beat: Beat,
    },
    /// The witness spoke.
    Witness(FromWitness),
    /// The connection to the witness ended.
    WitnessGone,
    /// A peer spoke.
    Peer {
        /// Who, by its certificate.
        from: NodeId,
        /// What.
        message: PeerMessage,
    },
    /// A volume's driver reports its state: after the start and at each change.
    Volume {
        /// The volume.
        volume: VolumeId,
        /// The state.
        report: VolumeReport,
    },
    /// A command to a volume's driver ended.
    VolumeDone {
        /// The volume.
        volume: VolumeId,
        /// The command's number.
        command: CommandId,
        /// How it ended.
        outcome: CommandOutcome,
    },
    /// A fence device's run ended.
    DeviceDone {
        /// The order's number.
        order: OrderId,
        /// How it ended.
        verdict: DeviceVerdict,
    },
    /// The quorum check of a mode that looks outside the cluster came to a result.
    RemoteVote(Vote),
    /// An operator asks.
    Operator {
        /// Repeated in the answer.
        ticket: u64,
        /// What.
        request: NodeRequest,
    },
}

/// What a node machine wants done. Effects are given up by [`crate::ready::commit`] only, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send on the session to the witness.
    Witness(ToWitness),
    /// End the connection to the witness and make a new one.
    CloseWitness,
    /// Send on every path to the peer.
    Beat {
        /// The peer.
        to: NodeId,
        /// The heartbeat.
        beat: Beat,
    },
    /// Send to a peer; it may be lost.
    Peer {
        /// The peer.
        to: NodeId,
        /// The message.
        message: PeerMessage,
    },
    /// A command for a volume's driver.
    Volume {
        /// The volume.
        volume: VolumeId,
        /// Repeated in [`Input::VolumeDone`].
        command: CommandId,
        /// What to do.
        action: VolumeAction,
    },
    /// Run a fence device.
    Device(DeviceOrder),
    /// End the machine at once: nothing else can make it inactive in time.
    Reset {
        /// Off, instead of a reboot.
        power_off: bool,
        /// Why, for the log.
        reason: ResetReason,
    },
    /// The answer to an operator.
    Answer {
        /// The request's ticket.
        ticket: u64,
        /// The answer.
        answer: NodeAnswer,
    },
    /// For the log, the alerts and the digest.
    Event(Event),
}

/// A command's number; unique within a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CommandId(pub u64);

/// The right to promote one volume, once and soon.
///
/// Only a node machine makes one, from a grant and its proof; it can be neither copied nor kept: the driver
/// redeems it right before it acts.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a promotion that is dropped leaves the volume without service"]
pub struct Promotion {
    pub(super) volume: VolumeId,
    pub(super) epoch: Epoch,
    pub(super) required: NodeSet,
    pub(super) valid_until: Instant,
}

/// A promotion came too late to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PromotionExpired {
    /// Until when it could be used.
    pub valid_until: Instant,
    /// When it was tried.
    pub now: Instant,
}

impl Promotion {
    /// What is to be promoted.
    #[must_use]
    pub const fn volume(&self) -> VolumeId {
        self.volume
    }

    /// The epoch that fences everything before it.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The peers that must have each write before it is acknowledged. The driver keeps writes suspended while
    /// one of them is missing.
    #[must_use]
    pub const fn required(&self) -> NodeSet {
        self.required
    }

    /// Until when it may be used.
    #[must_use]
    pub const fn valid_until(&self) -> Instant {
        self.valid_until
    }

    /// Uses the promotion up. To be called with the clock read right before acting.
    ///
    /// # Errors
    /// It is too late: the driver must not promote.
    pub fn redeem(self, now: Instant) -> Result<(VolumeId, Epoch, NodeSet), PromotionExpired> {
        if now < self.valid_until {
            Ok((self.volume, self.epoch, self.required))
        } else {
            Err(PromotionExpired { valid_until: self.valid_until, now })
        }
    }
}

/// What a volume's driver is told to do. Each is idempotent.
#[derive(Debug, PartialEq, Eq)]
pub enum VolumeAction {
    /// Make it Primary.
    Promote(Promotion),
    /// Stop everything above it and make it Secondary; done only when no write can be acknowledged any more.
    Demote {
        /// When it counts as failed.
        deadline: Instant,
    },
    /// Suspend all I/O; done only when no write can be acknowledged and no read answered.
    Freeze,
    /// Lift a freeze, unless it is too late.
    Thaw {
        /// Not at or after this instant.
        valid_until: Instant,
    },
    /// Writes need not wait for this peer any more: its removal from the in-sync set is recorded.
    DropPeer {
        /// The peer.
        peer: NodeId,
    },
    /// Writes must wait for this peer from now on; done when that is in force and the peer has all before it.
    RequirePeer {
        /// The peer.
        peer: NodeId,
    },
}

/// How a command to a volume's driver ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommandOutcome {
    /// Done, and seen to be so.
    Done,
    /// Not done, and the state is what it was.
    Failed(String),
    /// Nobody knows.
    Unknown(String),
}

/// What a volume's driver sees.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeReport {
    /// The replica's role.
    pub role: Role,
    /// All I/O is suspended by a freeze.
    pub frozen: bool,
    /// The replica has all of its data.
    pub complete: bool,
    /// The replica's data.
    pub generation: Generation,
    /// Peers whose replica is connected.
    pub connected: NodeSet,
    /// Connected peers that have everything.
    pub complete_peers: NodeSet,
    /// Peers that each write waits for.
    pub required: NodeSet,
    /// Required peers that are missing: the barrier holds writes back.
    pub lost: NodeSet,
}

/// The role of a replica, as its driver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It can be written.
    Primary,
    /// It cannot be written here.
    Secondary,
    /// The driver cannot tell; never taken for Secondary.
    Unknown,
}

/// Why a machine ends itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResetReason {
    /// Authority over the volume ran out and its loss action says so.
    AuthorityLost {
        /// The volume.
        volume: VolumeId,
    },
    /// The volume could not be seen inactive in time.
    NotVerifiedInactive {
        /// The volume.
        volume: VolumeId,
    },
    /// A stop timed out or failed.
    StopFailed {
        /// The volume.
        volume: VolumeId,
    },
}

impl ResetReason {
    /// The volume whose authority ended; none: something else is the reason.
    #[must_use]
    pub const fn without_authority(&self) -> Option<VolumeId> {
        match self {
            Self::AuthorityLost { volume } | Self::NotVerifiedInactive { volume } => Some(*volume),
            Self::StopFailed { .. } => None,
        }
    }
}

/// How a node is to be fenced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FenceWish {
    /// Off, seen off, then on.
    #[default]
    Reboot,
    /// Off, and it stays off.
    Off,
    /// As a reboot, of a node that is alive and holds nothing, to see that it could be fenced.
    Drill,
}

/// What an operator can ask of a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeRequest {
    /// Move a volume to a node.
    Move {
        /// The volume.
        volume: VolumeId,
        /// Where to.
        to: NodeId,
    },
    /// Fence a node.
    Fence {
        /// The node.
        target: NodeId,
        /// How.
        wish: FenceWish,
    },
    /// Power a fenced node on again.
    Unfence {
        /// The node.
        target: NodeId,
    },
    /// Activate a volume without a witness, outside the invariant.
    Override {
        /// The volume.
        volume: VolumeId,
        /// The nodes that the operator asserts to be off and to stay off.
        dead: NodeSet,
        /// How long it may last without a witness.
        length: Duration,
    },
    /// From now on, and after every restart, take no volume, and hand over what is held to nodes that can take it;
    /// what nobody can take stays. With `false`: as any other node again.
    Standby(bool),
    /// On a node on standby: take out of service what is held here, whether anybody can take it or not, and have the
    /// witness record it. Refused on any other node, which would ask for it again, and without a witness.
    Release,
    /// Stop: hand over or release everything held, then say so.
    StopHandOver,
    /// Stop while the volumes keep running: maintenance is recorded first.
    StopKeepRunning {
        /// How long the maintenance may last.
        length: Duration,
    },
    /// For the witness.
    Witness(OperatorRequest),
}

/// The answer to an operator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeAnswer {
    /// Done.
    Done,
    /// Not done, and nothing was changed.
    Refused(Refusal),
    /// Done, but these volumes stay in service here: no other node can take them now.
    Kept(Vec<VolumeId>),
    /// The witness's answer.
    Witness(OperatorAnswer),
    /// It was begun and did not come to its end; what is known stands in the text.
    Unfinished(String),
}
