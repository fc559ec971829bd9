//! Expected refusals: what a component was asked and why it did not do it. Violated invariants are alarms.

use crate::ids::{
    BootId, ConfigDigest, Epoch, GenerationId, IsrVersion, NodeId, NodeSet, PermitId, StoreId, VolumeId,
};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Why a request was refused. A refusal changes nothing, unless its text says so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The session is not registered, or is no longer the node's newest.
    NotRegistered,
    /// A request came out of sequence on its session.
    OutOfSequence {
        /// The number that was expected at least.
        expected: u64,
        /// The number that came.
        came: u64,
    },
    /// The nonce in a registration is not the one that was sent on this connection.
    WrongNonce,
    /// The boot id was superseded by a later boot of the same node.
    StaleBoot {
        /// The boot id that is refused for ever.
        boot: BootId,
    },
    /// The node is not, or no longer, a member.
    NotMember,
    /// Members, volumes or timings differ from the witness's.
    StaleConfig {
        /// The witness's fingerprint.
        ours: ConfigDigest,
        /// The fingerprint that came.
        theirs: ConfigDigest,
    },
    /// The volume is not known here.
    NoSuchVolume {
        /// The volume asked for.
        volume: VolumeId,
    },
    /// The witness recovers: it may have lost history and grants nothing until every member has reported or an
    /// operator adopts its state.
    Recovering {
        /// Members that have not reported.
        missing: NodeSet,
    },
    /// The replica is not in the in-sync set: it may lack acknowledged writes.
    NotInSync {
        /// The in-sync set.
        isr: NodeSet,
    },
    /// The replica does not have all of its own data (a resync is not over).
    Incomplete,
    /// The replica's data is not the recorded data and does not descend from it.
    DataMismatch {
        /// The recorded generation.
        recorded: GenerationId,
        /// The replica's own.
        offered: GenerationId,
    },
    /// The asking node is the target of a live permit.
    TargetOfPermit {
        /// That permit.
        permit: PermitId,
    },
    /// The asking node was fenced too often and is held off until an operator clears it.
    HeldOff,
    /// The asking node declared itself failed in this boot.
    DeclaredFailed,
    /// Another node holds the volume and nothing proves it inactive yet. The request stays pending.
    NeedsProof {
        /// The holder.
        holder: NodeId,
        /// Whether the holder was heard in time.
        alive: bool,
        /// Whether the end of its lease will be a proof.
        lease_will_prove: bool,
    },
    /// A maintenance was declared for the node: no permit and no takeover until it ends.
    Maintenance {
        /// The node under maintenance.
        node: NodeId,
    },
    /// The request names another epoch than the register's.
    EpochMismatch {
        /// The register's epoch.
        held: Epoch,
        /// The epoch that was asked for.
        asked: Epoch,
    },
    /// The asking node is not the holder.
    NotHolder {
        /// The holder, if there is one.
        holder: Option<NodeId>,
    },
    /// The in-sync set changed since the asker read it. Read again, then ask again.
    VersionConflict {
        /// The register's version.
        held: IsrVersion,
        /// The version that was asked for.
        asked: IsrVersion,
    },
    /// An in-sync set without its holder, or with somebody who is no member, is no in-sync set.
    NotAnInSyncSet {
        /// What was asked for.
        asked: NodeSet,
    },
    /// Somebody heard the target in time.
    SeenAlive {
        /// Who heard it; empty: the witness itself.
        by: NodeSet,
    },
    /// The asking node has no in-sync replica of anything that the target holds.
    NothingAtStake,
    /// The target is the only in-sync member of another volume that it holds: killing it would end that service
    /// without a successor.
    SoloElsewhere {
        /// That volume.
        volume: VolumeId,
    },
    /// Another permit for the target is live.
    PermitLive {
        /// The node that has it.
        fencer: NodeId,
        /// The permit.
        permit: PermitId,
    },
    /// No such permit is live for this node and boot: it ended, or belongs to another.
    NoSuchPermit {
        /// The permit that was named.
        permit: PermitId,
    },
    /// No confirmation is pending for the node.
    NothingPending,
    /// The challenge is not the one shown.
    WrongChallenge,
    /// The witness's store is another one than the node knew.
    OtherStore {
        /// The store that is running.
        running: StoreId,
    },
    /// The node waits until promises of an earlier run have ended.
    Quarantined,
    /// The node promised a holder not to ask, for the time of a lease.
    Promised {
        /// The holder that has the promise.
        to: NodeId,
    },
    /// A fence agent of this node runs, or its outcome is open.
    FenceUnresolved,
    /// The replica is not connected to the holder.
    NotConnected,
    /// The volume is held where the request would bring it.
    AlreadyThere,
    /// An operator put the node on standby: it takes no volume.
    Standby,
    /// Not in this state; the text says what was expected.
    WrongState {
        /// What would have been needed.
        expected: String,
    },
}

impl Refusal {
    /// The stable word for machine-readable output and for tests.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::NotRegistered => "NOT_REGISTERED",
            Self::OutOfSequence { .. } => "OUT_OF_SEQUENCE",
            Self::WrongNonce => "WRONG_NONCE",
            Self::StaleBoot { .. } => "STALE_BOOT",
            Self::NotMember => "NOT_MEMBER",
            Self::StaleConfig { .. } => "STALE_CONFIG",
            Self::NoSuchVolume { .. } => "NO_SUCH_VOLUME",
            Self::Recovering { .. } => "RECOVERING",
            Self::NotInSync { .. } => "NOT_IN_SYNC",
            Self::Incomplete => "INCOMPLETE",
            Self::DataMismatch { .. } => "DATA_MISMATCH",
            Self::TargetOfPermit { .. } => "TARGET_OF_PERMIT",
            Self::HeldOff => "HELD_OFF",
            Self::DeclaredFailed => "DECLARED_FAILED",
            Self::NeedsProof { .. } => "NEEDS_PROOF",
            Self::Maintenance { .. } => "MAINTENANCE",
            Self::EpochMismatch { .. } => "EPOCH_MISMATCH",
            Self::NotHolder { .. } => "NOT_HOLDER",
            Self::VersionConflict { .. } => "VERSION_CONFLICT",
            Self::NotAnInSyncSet { .. } => "NOT_AN_IN_SYNC_SET",
            Self::SeenAlive { .. } => "SEEN_ALIVE",
            Self::NothingAtStake => "NOTHING_AT_STAKE",
            Self::SoloElsewhere { .. } => "SOLO_ELSEWHERE",
            Self::PermitLive { .. } => "PERMIT_LIVE",
            Self::NoSuchPermit { .. } => "NO_SUCH_PERMIT",
            Self::NothingPending => "NOTHING_PENDING",
            Self::WrongChallenge => "WRONG_CHALLENGE",
            Self::OtherStore { .. } => "OTHER_STORE",
            Self::Quarantined => "QUARANTINED",
            Self::Promised { .. } => "PROMISED",
            Self::FenceUnresolved => "FENCE_UNRESOLVED",
            Self::NotConnected => "NOT_CONNECTED",
            Self::AlreadyThere => "ALREADY_THERE",
            Self::Standby => "STANDBY",
            Self::WrongState { .. } => "WRONG_STATE",
        }
    }

    /// The word, and what is behind it with the names that operators know.
    #[must_use]
    pub fn told(&self, names: &impl Names) -> String {
        let detail = self.detail(names);
        if detail.is_empty() { self.word().into() } else { format!("{}: {detail}", self.word()) }
    }

    fn detail(&self, names: &impl Names) -> String {
        let (node, volume) = (|id: &NodeId| names.node(*id), |id: &VolumeId| names.volume(*id));
        match self {
            Self::OutOfSequence { expected, came } => {
                format!("request {came} came where {expected} was next")
            }
            Self::StaleBoot { boot } => {
                format!("boot {boot} is over: a later one came, or it was confirmed off; boot the machine again")
            }
            Self::StaleConfig { ours, theirs } => {
                format!("the witness has {:016x}, the node {:016x}", ours.0, theirs.0)
            }
            Self::NoSuchVolume { volume: id } => volume(id),
            Self::Recovering { missing } => format!("the witness recovers; not reported: {}", names.nodes(*missing)),
            Self::NotInSync { isr } => format!("every acknowledged write is only on {}", names.nodes(*isr)),
            Self::DataMismatch { recorded, offered } => format!("recorded {recorded}, here {offered}"),
            Self::TargetOfPermit { permit } => format!("permit {permit} to fence this node is live"),
            Self::NeedsProof { holder, alive, lease_will_prove } => format!(
                "{} holds it and is {}; its lease will{} prove it inactive",
                node(holder),
                if *alive { "alive" } else { "silent" },
                if *lease_will_prove { "" } else { " not" }
            ),
            Self::Maintenance { node: id } => format!("{} is under maintenance", node(id)),
            Self::EpochMismatch { held, asked } => {
                format!("the register has epoch {held}, the request {asked}")
            }
            Self::NotHolder { holder: Some(id) } => format!("{} is the holder", node(id)),
            Self::NotHolder { holder: None } => "nobody is the holder".into(),
            Self::VersionConflict { held, asked } => {
                format!("the set has version {held}, the request {asked}")
            }
            Self::NotAnInSyncSet { asked } => format!("asked for {}", names.nodes(*asked)),
            Self::SeenAlive { by } if by.is_empty() => "the witness hears it".into(),
            Self::SeenAlive { by } => format!("heard by {}", names.nodes(*by)),
            Self::SoloElsewhere { volume: id } => format!("it alone has the data of {}", volume(id)),
            Self::PermitLive { fencer, permit } => format!("{} has permit {permit}", node(fencer)),
            Self::NoSuchPermit { permit } => format!("permit {permit}"),
            Self::OtherStore { running } => format!("the running store is {running}"),
            Self::Promised { to } => format!("promised to {}", node(to)),
            Self::WrongState { expected } => expected.clone(),
            Self::NotRegistered => "the node has no session with the witness yet; try again".into(),
            Self::WrongNonce => "the answer to another connection's question".into(),
            Self::NotMember => "the node is no member of this cluster".into(),
            Self::Incomplete => "a resync of the replica is not over".into(),
            Self::HeldOff => "fenced too often; 'picket clear' lets the node back".into(),
            Self::DeclaredFailed => "a stop failed in this boot; the next boot counts again".into(),
            Self::NothingAtStake => {
                "it holds nothing of which the fencing node has a replica in sync: a fence would protect nothing".into()
            }
            Self::NothingPending => "no confirmation is waited for".into(),
            Self::WrongChallenge => "the number is not the one that is shown now".into(),
            Self::Quarantined => "promises of the daemon's earlier run may last; try again in a few seconds".into(),
            Self::FenceUnresolved => "a fence agent runs, or nobody knows what it did".into(),
            Self::NotConnected => "the replica is not connected to its holder".into(),
            Self::AlreadyThere => "it is held there already".into(),
            Self::Standby => "an operator put the node on standby; 'picket node online' lets it take volumes".into(),
        }
    }
}

/// How nodes and volumes are called in what people read.
pub trait Names {
    /// A node.
    fn node(&self, id: NodeId) -> String;
    /// A volume.
    fn volume(&self, id: VolumeId) -> String;
    /// Several nodes, in the order of their numbers.
    fn nodes(&self, set: NodeSet) -> String {
        let names: Vec<String> = set.iter().map(|id| self.node(id)).collect();
        if names.is_empty() { "nobody".into() } else { names.join(", ") }
    }
}

/// Numbers, where no names are known.
#[derive(Clone, Copy, Debug)]
struct Numbers;

impl Names for Numbers {
    fn node(&self, id: NodeId) -> String {
        format!("node {id}")
    }

    fn volume(&self, id: VolumeId) -> String {
        format!("volume {id}")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(&Numbers))
    }
}

impl core::error::Error for Refusal {}
