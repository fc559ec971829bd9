//! What goes into a witness machine and what comes out of it.

use super::record::Record;
use crate::error::Refusal;
use crate::evidence::{FenceOutcome, Proof};
use crate::ids::{BootId, Epoch, IsrVersion, NodeId, NodeSet, PermitId, SessionId, VolumeId};
use crate::message::{FenceReason, FromWitness, OperatorAnswer, OperatorRequest, ToWitness};
use crate::ready::Ready;
use core::time::Duration;

/// The answer of a witness machine to one input.
pub type WitnessReady = Ready<Record, Effect>;

/// What happens to a witness.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Input {
    /// Time passed; due at [`super::Witness::deadline`] at the latest.
    Tick,
    /// A node opened a connection. The answer is a challenge on a new session, which ends the node's older ones.
    Connected {
        /// Who, by its certificate.
        node: NodeId,
    },
    /// A connection ended.
    Disconnected {
        /// The session that was on it.
        session: SessionId,
    },
    /// A node spoke.
    Message {
        /// Who, by the certificate of the connection.
        node: NodeId,
        /// What.
        message: ToWitness,
    },
    /// An operator asks at the witness itself.
    Operator {
        /// Repeated in the answer.
        ticket: u64,
        /// What.
        request: OperatorRequest,
    },
}

/// What a witness machine wants done. Effects are given up by [`crate::ready::commit`] only, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send to a node, on the connection of the message's session.
    Send {
        /// The node.
        node: NodeId,
        /// The message.
        message: FromWitness,
    },
    /// End the connection of this session, after what was sent on it before.
    Close {
        /// The session.
        session: SessionId,
    },
    /// The answer to [`Input::Operator`].
    OperatorAnswer {
        /// The request's ticket.
        ticket: u64,
        /// The answer.
        answer: OperatorAnswer,
    },
    /// For the log, the audit and the alerts.
    Event(Event),
    /// Something that must not be: for a person, at once.
    Alarm(Alarm),
}

/// What is told to operators, audit and digests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// A node is heard: its session counts and it speaks.
    NodeHeard {
        /// The node.
        node: NodeId,
    },
    /// A node was not heard for (m+1) heartbeats.
    NodeSilent {
        /// The node.
        node: NodeId,
    },
    /// A boot of a node became the current one.
    NewBoot {
        /// The node.
        node: NodeId,
        /// The boot.
        boot: BootId,
    },
    /// A session or a message on it was refused.
    SessionRefused {
        /// The node.
        node: NodeId,
        /// Why.
        refusal: Refusal,
    },
    /// A volume was granted.
    Granted {
        /// The volume.
        volume: VolumeId,
        /// To whom.
        node: NodeId,
        /// The grant's epoch.
        epoch: Epoch,
        /// What proved the former holder inactive.
        proof: Proof,
        /// The in-sync set after it.
        isr: NodeSet,
    },
    /// A volume is not granted yet; told again only when the reason changes.
    Waiting {
        /// The volume.
        volume: VolumeId,
        /// Who asks.
        node: NodeId,
        /// For what it waits.
        refusal: Refusal,
    },
    /// An in-sync set changed.
    InSync {
        /// The volume.
        volume: VolumeId,
        /// The set.
        isr: NodeSet,
        /// Its version.
        version: IsrVersion,
    },
    /// A holder is verified inactive by its own word.
    Released {
        /// The volume.
        volume: VolumeId,
        /// Who held it.
        node: NodeId,
        /// The epoch that ended.
        epoch: Epoch,
    },
    /// Nobody took a handed-over volume in time; every in-sync node may ask again.
    SuccessorGone {
        /// The volume.
        volume: VolumeId,
        /// Who was expected.
        node: NodeId,
    },
    /// A lease and the guard ran out.
    LeaseExpired {
        /// The volume.
        volume: VolumeId,
        /// Who had it.
        node: NodeId,
        /// Whether that proves the holder inactive.
        proves: bool,
    },
    /// A node says that it cannot stop what it holds.
    DeclaredFailed {
        /// The node.
        node: NodeId,
        /// Its boot.
        boot: BootId,
    },
    /// A permit was issued.
    Permitted {
        /// The permit.
        permit: PermitId,
        /// Whom to fence.
        target: NodeId,
        /// Which boot of it.
        boot: BootId,
        /// Who fences.
        fencer: NodeId,
        /// Why.
        reason: FenceReason,
        /// The node stays off afterwards.
        keep_off: bool,
    },
    /// A permit is over.
    PermitEnded {
        /// The permit.
        permit: PermitId,
        /// Who was to be fenced.
        target: NodeId,
        /// How it ended.
        end: PermitEnd,
    },
    /// A fence needs an operator.
    OperatorAsked {
        /// Whom to confirm off.
        target: NodeId,
        /// The permit.
        permit: PermitId,
        /// What the operator must type.
        challenge: u32,
    },
    /// An operator confirmed a node off.
    Confirmed {
        /// The node.
        target: NodeId,
        /// The permit.
        permit: PermitId,
        /// How long until it counts.
        effective_in: Duration,
    },
    /// The node was heard after it had been confirmed off, and before that counted.
    ConfirmationVoid {
        /// The node.
        target: NodeId,
        /// Who hears it; empty: the witness itself.
        heard_by: NodeSet,
    },
    /// An adoption was to do without the reports of other members than turned out before it counted.
    AdoptionVoid {
        /// Members that did not report, and are heard.
        heard: NodeSet,
        /// Members that had reported when it was given, and whose reports ended with their sessions.
        gone: NodeSet,
    },
    /// A node was fenced too often and is held off.
    HeldOff {
        /// The node.
        node: NodeId,
    },
    /// An operator cleared a node.
    Cleared {
        /// The node.
        node: NodeId,
    },
    /// A maintenance was declared.
    MaintenanceBegun {
        /// The node.
        node: NodeId,
        /// For how long.
        length: Duration,
    },
    /// A maintenance ended.
    MaintenanceEnded {
        /// The node.
        node: NodeId,
    },
    /// The estimate of a node's clock crossed the bound.
    Drift {
        /// The node.
        node: NodeId,
        /// Outside: its leases prove nothing until it is inside again.
        outside: bool,
    },
    /// History may be missing; nothing is granted until every member has reported.
    RecoveryBegun {
        /// Whose words show it; none: the store is new.
        node: Option<NodeId>,
    },
    /// The recovery is over.
    RecoveryEnded {
        /// An operator adopted what was reported.
        adopted: bool,
    },
    /// The store was retired.
    Retired,
}

/// How a permit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PermitEnd {
    /// The fencer reported.
    Reported(FenceOutcome),
    /// No report came in time; proves nothing.
    TimedOut,
    /// An operator attested that the machine is off.
    Attested,
    /// An operator said that the machine is not off; proves nothing.
    Denied,
    /// The machine booted again while an operator was asked.
    TargetBooted,
}

/// What must not be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alarm {
    /// A boot that was confirmed off wants to register: the device or the person was wrong, or these are the
    /// machine's last words, delayed. The boot stays refused.
    OffButSpeaks {
        /// The node.
        node: NodeId,
        /// The boot.
        boot: BootId,
        /// The permit under which it was confirmed off.
        permit: PermitId,
    },
    /// A recovering witness has claims to a volume that contradict each other; a person must decide.
    Contradiction {
        /// The volume.
        volume: VolumeId,
        /// Whose claims.
        claims: NodeSet,
    },
    /// A rule of this machine itself is broken.
    Broken {
        /// Which.
        invariant: &'static str,
        /// Where.
        volume: VolumeId,
    },
}
