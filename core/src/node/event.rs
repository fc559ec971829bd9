//! What a node machine tells people.

use super::ResetReason;
use crate::error::Refusal;
use crate::evidence::Proof;
use crate::ids::{BootId, Epoch, NodeId, NodeSet, PathId, PermitId, VolumeId};
use crate::topology::DeviceVerdict;
use alloc::string::String;

/// What operators, alerts and digests are told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// A heartbeat path works again, or for the first time.
    PathAlive {
        /// The peer.
        peer: NodeId,
        /// The path.
        path: PathId,
    },
    /// A heartbeat is overdue.
    HeartbeatMissed {
        /// The peer.
        peer: NodeId,
        /// The path.
        path: PathId,
        /// How many in a row.
        count: u32,
        /// Of how many until the path is dead.
        limit: u32,
    },
    /// A heartbeat path is dead.
    PathDead {
        /// The peer.
        peer: NodeId,
        /// The path.
        path: PathId,
    },
    /// Every path to a peer is dead.
    PeerSilent {
        /// The peer.
        peer: NodeId,
    },
    /// A peer is heard again.
    PeerHeard {
        /// The peer.
        peer: NodeId,
    },
    /// A replayed or outdated heartbeat was refused.
    BeatRefused {
        /// Who it says it is from.
        peer: NodeId,
    },
    /// The session with the witness counts.
    WitnessUp,
    /// The witness does not answer.
    WitnessLost,
    /// The witness refused the session.
    WitnessRefused(Refusal),
    /// A volume's fail-over begins.
    Arbitrating {
        /// The volume.
        volume: VolumeId,
        /// Who holds it.
        holder: Option<NodeId>,
    },
    /// The witness waits for something before it grants.
    Waiting {
        /// The volume.
        volume: VolumeId,
        /// For what.
        refusal: Refusal,
    },
    /// The witness refused to grant.
    NotGranted {
        /// The volume.
        volume: VolumeId,
        /// Why.
        refusal: Refusal,
    },
    /// The witness granted.
    Granted {
        /// The volume.
        volume: VolumeId,
        /// The grant's epoch.
        epoch: Epoch,
        /// What proved the former holder inactive.
        proof: Proof,
    },
    /// A grant came that could not be used; it was given back.
    GrantReturned {
        /// The volume.
        volume: VolumeId,
        /// The grant's epoch.
        epoch: Epoch,
    },
    /// The volume is active here.
    Promoted {
        /// The volume.
        volume: VolumeId,
        /// With which epoch.
        epoch: Epoch,
    },
    /// A promotion failed.
    PromoteFailed {
        /// The volume.
        volume: VolumeId,
        /// What the driver said.
        text: String,
    },
    /// The volume was frozen because its lease runs out.
    Frozen {
        /// The volume.
        volume: VolumeId,
    },
    /// The freeze was lifted: the lease is renewed.
    Thawed {
        /// The volume.
        volume: VolumeId,
    },
    /// The volume is verified inactive here.
    Demoted {
        /// The volume.
        volume: VolumeId,
    },
    /// A stop failed; the node declares itself failed.
    StopFailed {
        /// The volume.
        volume: VolumeId,
        /// What the driver said.
        text: String,
    },
    /// A replica was taken out of the in-sync set.
    ReplicaRemoved {
        /// The volume.
        volume: VolumeId,
        /// The nodes that are left.
        isr: NodeSet,
    },
    /// A replica came into the in-sync set.
    ReplicaAdded {
        /// The volume.
        volume: VolumeId,
        /// The nodes that are in it.
        isr: NodeSet,
    },
    /// The lease lives on the peers' promises: there is no fail-over until the witness is back.
    Failsafe {
        /// The volume.
        volume: VolumeId,
    },
    /// A promise to a holder was given.
    Promised {
        /// The volume.
        volume: VolumeId,
        /// To whom.
        to: NodeId,
    },
    /// A permit to fence was given to this node.
    Permitted {
        /// The target.
        target: NodeId,
        /// The permit.
        permit: PermitId,
    },
    /// A permit was refused or is waited for.
    NotPermitted {
        /// The target.
        target: NodeId,
        /// Why.
        refusal: Refusal,
    },
    /// A fence device is started.
    DeviceStarted {
        /// The target.
        target: NodeId,
        /// The level, from 1.
        level: u8,
        /// The device's place in the level.
        device: u8,
    },
    /// A fence device ended.
    DeviceEnded {
        /// The target.
        target: NodeId,
        /// The level, from 1.
        level: u8,
        /// How.
        verdict: DeviceVerdict,
    },
    /// The fence ended.
    FenceEnded {
        /// The target.
        target: NodeId,
        /// Which boot.
        boot: BootId,
        /// How.
        outcome: crate::evidence::FenceOutcome,
    },
    /// An operator must confirm.
    OperatorNeeded {
        /// The target.
        target: NodeId,
        /// The challenge.
        challenge: u32,
    },
    /// The wait for a confirmation is over.
    OperatorDone {
        /// The target.
        target: NodeId,
        /// The confirmation counts. Otherwise its permit ended without this node having been told that it does: it was
        /// denied, or it took effect while the witness could not be reached.
        confirmed: bool,
    },
    /// A volume was activated outside the invariant.
    Overridden {
        /// The volume.
        volume: VolumeId,
        /// The epoch that was burnt.
        epoch: Epoch,
    },
    /// An operator put this node on standby, or online again.
    Standby {
        /// On standby.
        on: bool,
    },
    /// The machine ends itself.
    Resetting(ResetReason),
    /// An invariant is violated; this must never be seen.
    Alarm(String),
}
