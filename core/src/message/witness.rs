//! What a node and the witness say to each other, on one bidirectional stream per node.
//!
//! Opening: the witness sends [`Reply::Challenge`], the node answers with [`Request::Register`], the witness with
//! [`Reply::Registered`]. Then the node sends heartbeats and requests, each with a growing number; the witness
//! answers and pushes. Each message of the witness names the newest request that it had processed, because
//! leases and permits count from the moment that request was *sent*.

use super::operator::{OperatorAnswer, OperatorRequest, Override, PendingConfirmation};
use super::peer::SignedRelease;
use crate::error::Refusal;
use crate::evidence::{FenceOutcome, Generation, Proof, SelfFence};
use crate::ids::{
    AttemptId, BootId, CommitIndex, ConfigDigest, Epoch, GenerationId, IsrVersion, NodeId, NodeSet, Nonce,
    PermitId, RequestId, SessionId, StoreId, VolumeId,
};
use alloc::vec::Vec;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// A position in the history of one witness store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seen {
    /// The store.
    pub store: StoreId,
    /// How many changes it had taken.
    pub commit: CommitIndex,
}

/// A message from a node to the witness.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ToWitness {
    /// The session that it belongs to; another one's is dropped.
    pub session: SessionId,
    /// Grows by one with each message of the session, from 1.
    pub request: RequestId,
    /// The newest position that the node has seen of any store.
    pub seen: Seen,
    /// What it says.
    pub body: Request,
}

/// What a node asks of the witness.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Request {
    /// Opens the session; the first message on it.
    Register(Register),
    /// I am alive; renews the lease of everything held.
    Heartbeat(Heartbeat),
    /// Grant me the volume. Stays pending until it is granted, withdrawn, or refused for good.
    Acquire(Acquire),
    /// End my pending requests of this attempt.
    Withdraw {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Change the in-sync set of a volume that I hold.
    UpdateInSync(UpdateInSync),
    /// I am verified inactive on a volume that I held.
    Release {
        /// The volume.
        volume: VolumeId,
        /// The epoch that ends.
        epoch: Epoch,
        /// For a handover: who is expected to take it.
        successor: Option<NodeId>,
    },
    /// A frozen node that cannot reach the witness gave me its release.
    RelayRelease {
        /// Who releases; the transport has checked its signature.
        holder: NodeId,
        /// What is released.
        release: SignedRelease,
    },
    /// I cannot stop what I hold and will reset myself; fence me without waiting.
    DeclareFailed,
    /// Let me fence the target. Stays pending while the target is heard; answered when permitted or refused.
    RequestFence(RequestFence),
    /// How the fence ended.
    ReportFence(ReportFence),
    /// The fence came to the level where an operator must confirm.
    AskOperator {
        /// The permit under which.
        permit: PermitId,
    },
    /// The two advisory questions.
    Check(Check),
    /// An operator on this node asks.
    Operator {
        /// Repeated in the answer.
        ticket: u64,
        /// What is asked.
        request: OperatorRequest,
    },
}

/// Opens a session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Register {
    /// The nonce of the challenge on this connection.
    pub nonce: Nonce,
    /// The kernel's boot id.
    pub boot: BootId,
    /// Fingerprint of members, volumes and timings.
    pub config: ConfigDigest,
    /// What the machine's watchdog and clocks promise.
    pub self_fence: SelfFence,
    /// What the node has of each of its volumes.
    pub replicas: Vec<ReplicaReport>,
}

/// What a node knows of a volume.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReplicaReport {
    /// The volume.
    pub volume: VolumeId,
    /// The highest epoch that it ever saw, durably.
    pub max_epoch: Epoch,
    /// The newest in-sync set that it knows, with every grow that it ever asked for and does not know the end of.
    pub isr: NodeSet,
    /// The version of that set.
    pub isr_version: IsrVersion,
    /// The generation that was recorded with that set.
    pub recorded: GenerationId,
    /// The replica's data.
    pub generation: Generation,
    /// Whether the replica has all of its data.
    pub complete: bool,
    /// The epoch with which the node holds the volume.
    pub held: Option<Epoch>,
    /// Whether lease expiry on this node may count for this volume although the machine can be paused unseen:
    /// the barrier is in the replication itself and the configuration says that this suffices.
    pub barrier_suffices: bool,
    /// The node was activated by an operator without a witness, and this is not yet recorded.
    pub overridden: Option<Override>,
}

/// A sign of life that renews every lease of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The peers that the node heard on any path within (m+1)·h.
    pub hears: NodeSet,
    /// What it holds and wants renewed.
    pub holds: Vec<(VolumeId, Epoch)>,
    /// The sender's clock, for the witness's estimate of its drift.
    pub clock: Duration,
}

/// Asks for a grant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Acquire {
    /// The volume.
    pub volume: VolumeId,
    /// The attempt; the same one gets the same grant again.
    pub attempt: AttemptId,
    /// The replica's data.
    pub generation: Generation,
    /// Whether the replica has all of its data.
    pub complete: bool,
}

/// Replaces the in-sync set of a volume.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UpdateInSync {
    /// The volume.
    pub volume: VolumeId,
    /// The epoch with which the asker holds it.
    pub epoch: Epoch,
    /// The version that the asker read.
    pub expected: IsrVersion,
    /// The new set.
    pub isr: NodeSet,
    /// The holder's data before any write under the new set.
    pub generation: Generation,
}

/// Why a node is to be fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FenceReason {
    /// It is silent and holds something.
    Silent,
    /// An operator asked for it.
    Operator,
    /// An operator tries it out on a node that is alive and holds nothing.
    Drill,
}

/// Asks for a permit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestFence {
    /// Whom to fence.
    pub target: NodeId,
    /// The attempt that it belongs to.
    pub attempt: AttemptId,
    /// Why.
    pub reason: FenceReason,
    /// The sum of all levels' timeouts, retries and delays; how long the permit may have to live.
    pub levels: Duration,
}

/// Ends a permit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReportFence {
    /// The permit.
    pub permit: PermitId,
    /// The target.
    pub target: NodeId,
    /// The boot that the permit was for.
    pub target_boot: BootId,
    /// How it ended.
    pub outcome: FenceOutcome,
    /// What the reporter wants in the same breath.
    pub acquire: Vec<Acquire>,
}

/// The advisory questions. Their answers never authorise a promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Check {
    /// Does the witness count this node as part of a quorum?
    Quorum,
    /// What does the witness know of a peer?
    Witness {
        /// The peer.
        peer: NodeId,
    },
}

/// A message from the witness to a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FromWitness {
    /// The session that it belongs to; another one's is dropped.
    pub session: SessionId,
    /// The newest request of this session that the witness had processed; 0 before the first.
    pub processed: RequestId,
    /// Where the store stands.
    pub seen: Seen,
    /// What it says.
    pub body: Reply,
}

/// What the witness says to a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reply {
    /// The first message on a connection: prove that your boot id is of now.
    Challenge {
        /// To be repeated in the registration.
        nonce: Nonce,
    },
    /// The session counts from now on.
    Registered {
        /// Every volume's register.
        registers: Vec<RegisterView>,
        /// Members whose report a recovering witness waits for; none: it is not recovering.
        recovering: Option<NodeSet>,
    },
    /// A request was refused and will not be looked at again, or the session was.
    Refused {
        /// What the refusal is about.
        subject: Subject,
        /// Why.
        refusal: Refusal,
    },
    /// A request stays pending, and this is what it waits for.
    Pending {
        /// What the answer is about.
        subject: Subject,
        /// What it waits for.
        refusal: Refusal,
    },
    /// The answer to a heartbeat.
    Renewed {
        /// What was renewed.
        volumes: Vec<(VolumeId, Epoch)>,
        /// What was refused; such a lease runs out and no peer may extend it.
        refused: Vec<(VolumeId, Refusal)>,
        /// The members that the witness hears.
        hears: NodeSet,
    },
    /// The volume is granted.
    Granted(Granted),
    /// The in-sync set was changed.
    InSync {
        /// The volume's register.
        register: RegisterView,
    },
    /// The release was recorded.
    Released {
        /// The volume.
        volume: VolumeId,
        /// The epoch that ended.
        epoch: Epoch,
    },
    /// Fence the target.
    Permit(Permit),
    /// The report was recorded; the permit is over.
    FenceRecorded {
        /// The permit.
        permit: PermitId,
    },
    /// An operator is asked.
    OperatorAsked(PendingConfirmation),
    /// Something changed that every member may want to know.
    View(View),
    /// The answer to an advisory question.
    Checked(CheckAnswer),
    /// The answer to an operator on this node.
    Operator {
        /// The request's ticket.
        ticket: u64,
        /// The answer.
        answer: OperatorAnswer,
    },
}

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Subject {
    /// The whole session.
    Session,
    /// An [`Acquire`].
    Acquire {
        /// The volume.
        volume: VolumeId,
        /// The attempt.
        attempt: AttemptId,
    },
    /// An [`UpdateInSync`].
    InSync {
        /// The volume.
        volume: VolumeId,
    },
    /// A release.
    Release {
        /// The volume.
        volume: VolumeId,
    },
    /// A [`RequestFence`].
    Fence {
        /// The target.
        target: NodeId,
        /// The attempt.
        attempt: AttemptId,
    },
    /// A [`ReportFence`] or a request about a permit.
    Permit {
        /// The permit.
        permit: PermitId,
    },
}

/// A grant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Granted {
    /// The attempt that it answers.
    pub attempt: AttemptId,
    /// The volume's register after the grant; its holder is the receiver.
    pub register: RegisterView,
    /// What proved the former holder inactive.
    pub proof: Proof,
}

/// A permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Permit {
    /// Its number.
    pub permit: PermitId,
    /// The attempt that asked for it.
    pub attempt: AttemptId,
    /// Whom to fence.
    pub target: NodeId,
    /// Which boot of it; a report about another one is worthless.
    pub target_boot: BootId,
    /// Keep it off afterwards: it was fenced too often.
    pub keep_off: bool,
}

/// A register as the witness has recorded it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RegisterView {
    /// The volume.
    pub volume: VolumeId,
    /// The newest grant's epoch.
    pub epoch: Epoch,
    /// Who holds it, and with which boot.
    pub holder: Option<Holder>,
    /// The in-sync set.
    pub isr: NodeSet,
    /// Its version.
    pub isr_version: IsrVersion,
    /// The recorded generation.
    pub generation: GenerationId,
    /// For a handover under way: who is expected to take it.
    pub successor: Option<NodeId>,
}

/// A node in one of its boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// The node.
    pub node: NodeId,
    /// The boot.
    pub boot: BootId,
}

/// What the witness pushes to every member when it changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct View {
    /// Registers that changed, or all of them.
    pub registers: Vec<RegisterView>,
    /// The members that the witness hears.
    pub hears: NodeSet,
    /// Live permits.
    pub permits: Vec<PermitView>,
    /// Confirmations that wait for an operator.
    pub pending: Vec<PendingConfirmation>,
    /// Nodes under maintenance.
    pub maintenance: NodeSet,
    /// Nodes that are held off until an operator clears them.
    pub held_off: NodeSet,
    /// Nodes that declared themselves failed in their current boot.
    pub failed: NodeSet,
    /// Members whose report a recovering witness waits for; none: it is not recovering.
    pub recovering: Option<NodeSet>,
}

/// A live permit as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PermitView {
    /// Its number.
    pub permit: PermitId,
    /// Who is to be fenced.
    pub target: NodeId,
    /// Who fences.
    pub fencer: NodeId,
}

/// The answers to the advisory questions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CheckAnswer {
    /// To [`Check::Quorum`].
    Quorum(QuorumVerdict),
    /// To [`Check::Witness`].
    Witness {
        /// The peer.
        peer: NodeId,
        /// What the witness knows of it.
        verdict: WitnessVerdict,
    },
}

/// The quorum check's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum QuorumVerdict {
    /// Part of a quorum.
    Quorate,
    /// Not part of a quorum.
    NoQuorum,
    /// The node's configuration is not the witness's.
    StaleConfig,
    /// The node is held off, declared failed, or the target of a permit.
    Quarantined,
}

/// The witness check's answer. `Unknown` never promotes, and neither does any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WitnessVerdict {
    /// Heard, and holds a volume for so long at least.
    AliveHolds {
        /// What is left of its shortest lease.
        lease_left: Duration,
    },
    /// Heard, and holds nothing.
    AliveIdle,
    /// Silent, and every lease of it has run out.
    Expired,
    /// Confirmed off, and not heard since.
    Fenced {
        /// The permit under which.
        permit: PermitId,
    },
    /// None of the others.
    Unknown,
    /// It is in RECOVERY's set of claims that contradict each other.
    Diverged,
}
