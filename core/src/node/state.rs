//! The state of a node machine.

use super::config::Config;
use super::effect::{CommandId, Effect, FenceWish, NodeReady, VolumeReport};
use super::record::{Disk, NodeRecord, Run};
use crate::detector::PeerWatch;
use crate::error::Refusal;
use crate::ids::{
    AttemptId, BootId, Epoch, IsrVersion, NodeId, NodeSet, Nonce, PermitId, RequestId, SessionId, VolumeId,
};
use crate::message::{
    PendingConfirmation, PermitView, QuorumVerdict, RegisterView, ReportFence, Seen, WitnessVerdict,
};
use crate::mutant::{self, Mutant};
use crate::quorum::Vote;
use crate::ready::Ready;
use crate::time::{Duration, Instant, Instants};
use crate::topology::{Fence, OrderId};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

/// The machine of one node; see the module.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    pub(super) config: Config,
    pub(super) boot: BootId,
    pub(super) run_id: Nonce,
    pub(super) started: Instant,
    pub(super) disk: Disk,
    pub(super) run: Run,
    pub(super) link: Link,
    pub(super) peers: BTreeMap<NodeId, Peer>,
    pub(super) volumes: BTreeMap<VolumeId, Volume>,
    pub(super) fences: BTreeMap<NodeId, FenceCase>,
    pub(super) view: Known,
    pub(super) counters: Counters,
    pub(super) beat_at: Instant,
    pub(super) stop: Option<Stop>,
    pub(super) operators: BTreeMap<u64, OperatorTicket>,
    pub(super) remote_vote: Option<Vote>,
    pub(super) resetting: bool,
    /// The former daemon was stopped under a maintenance and left the volumes running.
    pub(super) kept: bool,
    /// When it took its last input.
    pub(super) stepped_at: Instant,
    /// How long a promise of an earlier boot can last.
    pub(super) promised_before: Duration,
    /// What was seen of the witness's store is newer than what the disk says of it.
    pub(super) seen_owed: bool,
}

/// Numbers that are never used twice within a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Counters {
    pub(super) command: u64,
    pub(super) attempt: u64,
    pub(super) request: u64,
    pub(super) order: u64,
}

/// The session with the witness.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Link {
    pub(super) session: Option<SessionId>,
    /// To be repeated in the registration, which waits for the volumes' first reports.
    pub(super) challenge: Option<Nonce>,
    pub(super) registered: bool,
    pub(super) request: u64,
    /// When each request was sent whose answer may still come.
    pub(super) sent: VecDeque<(RequestId, Instant)>,
    /// When the witness answered a heartbeat last, in any session of this run.
    pub(super) answered_at: Option<Instant>,
    pub(super) seen: Seen,
    /// The newest request that a word of the witness in this session came after.
    pub(super) processed: RequestId,
    /// It was said that the witness answers, and not yet that it is lost.
    pub(super) told_up: bool,
    /// The newest request that was withdrawn, until the witness has read that.
    pub(super) withdrawn: Option<RequestId>,
    /// The refusal of a session that was told, until a session counts.
    pub(super) refused: Option<Refusal>,
}

/// A peer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Peer {
    pub(super) watch: PeerWatch,
    /// The number of the newest heartbeat sent.
    pub(super) beat_seq: u64,
    pub(super) ever_heard: bool,
    /// When it asked for a promise last.
    pub(super) asked_at: Option<Instant>,
    /// What the witness said of it, when asked.
    pub(super) verdict: Option<WitnessVerdict>,
}

/// What the witness told of everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Known {
    pub(super) hears: NodeSet,
    pub(super) permits: Vec<PermitView>,
    pub(super) pending: Vec<PendingConfirmation>,
    pub(super) maintenance: NodeSet,
    pub(super) held_off: NodeSet,
    pub(super) failed: NodeSet,
    pub(super) recovering: Option<NodeSet>,
    pub(super) quorum: Option<QuorumVerdict>,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Volume {
    pub(super) phase: Phase,
    pub(super) report: Option<VolumeReport>,
    pub(super) command: Option<Command>,
    /// A promotion that was ordered, and of which the driver has not said how it ended: neither its time nor a later
    /// order ends it.
    pub(super) promoting: Option<CommandId>,
    /// The same of a thaw.
    pub(super) thawing: Option<CommandId>,
    /// The witness's record, as told in this run.
    pub(super) register: Option<RegisterView>,
    pub(super) attempt: Option<Attempt>,
    pub(super) releasing: Option<Releasing>,
    /// The newest grant whose end was told, and on which session.
    pub(super) given_up: Option<(Epoch, SessionId)>,
    pub(super) updating: Option<Updating>,
    pub(super) rounds: Vec<Round>,
    /// The lease lives on promises.
    pub(super) failsafe: bool,
    /// The renewal was refused: no peer may extend this lease.
    pub(super) refused: Option<Refusal>,
    pub(super) not_granted: Option<Refusal>,
    pub(super) retry_at: Instant,
    /// A command failed: not to be repeated before.
    pub(super) cooldown_until: Instant,
    /// The witness refused a change of the in-sync set: it is not asked again before, unless the register changes.
    pub(super) update_after: Instant,
    /// Peers that the witness did not let into the in-sync set: not asked for again before.
    pub(super) turned_down: BTreeMap<NodeId, Instant>,
    pub(super) promoted_at: Instant,
    /// Peers that have had everything at some time since then.
    pub(super) met: NodeSet,
    /// A promotion that a former daemon of this boot ordered may be done until then.
    pub(super) former_orders_until: Instant,
    /// The holder is heard and has not been saying that it holds this, since.
    pub(super) unclaimed_since: Option<Instant>,
    /// Until then a holder is expected to hand over to this node.
    pub(super) expecting_until: Option<Instant>,
    pub(super) handover: Option<Handover>,
    /// Peers that were offered the volume since it is to leave this node.
    pub(super) offered: NodeSet,
    /// Not to be offered again before.
    pub(super) offer_after: Instant,
}

/// What a volume is doing here.
///
/// ```text
///  Unread ─► Secondary ─grant─► Promoting ─► Active ◄─renewed─► Frozen
///    │           ▲                  │           │ hand over       │ lease runs out
///    │           │                  ▼           ▼                 ▼
///    └──────────►└──── verified ── Stopping ◄───┴─────────────────┘
///                                   │ cannot be stopped
///                                   ▼
///                                 Failed ─► the machine resets itself
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The driver has not said what it is.
    Unread,
    /// Verified inactive.
    Secondary,
    /// Granted; the driver was told to promote.
    Promoting(Held),
    /// In service.
    Active(Held),
    /// Frozen, because the lease runs out.
    Frozen(Held),
    /// Being made inactive.
    Stopping(Stopping),
    /// It could not be stopped; the node has declared itself failed.
    Failed,
}

/// What is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Held {
    /// With which epoch.
    pub epoch: Epoch,
    /// Until when the lease lasts.
    pub lease_until: Instant,
}

/// A stop under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stopping {
    /// What was held; none: the volume was found active without a grant.
    pub held: Option<Held>,
    /// Who takes it next, if it is handed over.
    pub successor: Option<NodeId>,
    /// When it must be verified.
    pub deadline: Instant,
}

/// A command that the volume's driver works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Command {
    pub(super) id: CommandId,
    pub(super) kind: CommandKind,
    pub(super) deadline: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum CommandKind {
    Promote,
    Demote,
    Freeze,
    Thaw,
    Drop(NodeId),
    Require(NodeId),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Attempt {
    pub(super) id: AttemptId,
    pub(super) since: Instant,
    /// The session that it was sent on.
    pub(super) asked: Option<SessionId>,
    pub(super) waiting: Option<Refusal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Releasing {
    pub(super) epoch: Epoch,
    pub(super) successor: Option<NodeId>,
    pub(super) asked: Option<SessionId>,
    pub(super) relay_at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Updating {
    pub(super) isr: NodeSet,
    pub(super) expected: IsrVersion,
}

/// One question to all members of the in-sync set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Round {
    pub(super) request: RequestId,
    pub(super) sent_at: Instant,
    pub(super) missing: NodeSet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Handover {
    pub(super) to: NodeId,
    /// The node whose operator asked for it, if another than this one.
    pub(super) asked_by: Option<NodeId>,
    pub(super) request: RequestId,
    pub(super) give_up_at: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FenceCase {
    pub(super) attempt: AttemptId,
    /// Operators of this node wait for it, so it goes on though the node itself would not ask. Their tickets are
    /// [`OperatorTicket::Fence`].
    pub(super) by_operator: bool,
    pub(super) wish: FenceWish,
    /// No agent may be at work under the permit after this.
    pub(super) permit_until: Instant,
    pub(super) stage: FenceStage,
}

/// Where a fence stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum FenceStage {
    Asking { asked: Option<SessionId>, waiting: Option<Refusal> },
    Running { fence: Fence, order: OrderId },
    AwaitingOperator { fence: Fence, asked: Option<SessionId> },
    Reporting { report: ReportFence, fence: Fence, asked: Option<SessionId> },
    Resting { until: Instant },
}

/// What an operator waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum OperatorTicket {
    Move { volume: VolumeId, to: NodeId, give_up_at: Instant },
    Fence { target: NodeId, give_up_at: Instant },
    Witness { session: Option<SessionId>, give_up_at: Instant },
    KeepRunning { session: Option<SessionId>, give_up_at: Instant },
    Standby { give_up_at: Instant },
    Release { give_up_at: Instant },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Stop {
    pub(super) ticket: u64,
    pub(super) give_up_at: Instant,
    pub(super) answered: bool,
}

/// What one step collects.
#[derive(Debug, Default)]
pub(super) struct Out {
    pub(super) effects: Vec<Effect>,
    pub(super) disk: bool,
    pub(super) run: bool,
}

impl Out {
    pub(super) fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(super) fn event(&mut self, event: super::Event) {
        self.effects.push(Effect::Event(event));
    }

    pub(super) fn into_ready(self, node: &Node) -> NodeReady {
        let record = (self.disk || self.run).then(|| NodeRecord {
            disk: self.disk.then(|| node.disk.clone()),
            run: self.run.then(|| node.run.clone()),
        });
        Ready::new(record, self.effects)
    }
}

impl Phase {
    /// What is held in this phase, until it is verified inactive.
    #[must_use]
    pub const fn held(&self) -> Option<Held> {
        match self {
            Self::Promoting(held) | Self::Active(held) | Self::Frozen(held) => Some(*held),
            Self::Stopping(stopping) => stopping.held,
            Self::Unread | Self::Secondary | Self::Failed => None,
        }
    }

    pub(super) const fn held_mut(&mut self) -> Option<&mut Held> {
        match self {
            Self::Promoting(held) | Self::Active(held) | Self::Frozen(held) => Some(held),
            Self::Stopping(stopping) => stopping.held.as_mut(),
            Self::Unread | Self::Secondary | Self::Failed => None,
        }
    }
}

impl Volume {
    pub(super) const fn new() -> Self {
        Self {
            phase: Phase::Unread,
            report: None,
            command: None,
            promoting: None,
            thawing: None,
            register: None,
            attempt: None,
            releasing: None,
            given_up: None,
            updating: None,
            rounds: Vec::new(),
            failsafe: false,
            refused: None,
            not_granted: None,
            retry_at: Instant::BOOT,
            cooldown_until: Instant::BOOT,
            update_after: Instant::BOOT,
            turned_down: BTreeMap::new(),
            promoted_at: Instant::BOOT,
            met: NodeSet::EMPTY,
            former_orders_until: Instant::BOOT,
            unclaimed_since: None,
            expecting_until: None,
            handover: None,
            offered: NodeSet::EMPTY,
            offer_after: Instant::BOOT,
        }
    }

    /// The driver sees the replica inactive, and nothing is under way that could change that.
    pub(super) fn is_seen_secondary(&self) -> bool {
        self.report.as_ref().is_some_and(|report| report.role == super::Role::Secondary)
    }

    pub(super) fn is_verified_inactive(&self) -> bool {
        let seen = self.is_seen_secondary();
        let promoting = if mutant::on(Mutant::M55) {
            self.command.is_some_and(|command| command.kind == CommandKind::Promote)
        } else {
            self.promoting.is_some()
        };
        seen && !promoting
    }

    pub(super) fn is_seen_frozen(&self) -> bool {
        self.report.as_ref().is_some_and(|report| report.frozen)
    }

    /// The driver sees the replica frozen, and nothing is under way that could change that.
    pub(super) fn is_verified_frozen(&self) -> bool {
        let thawing = if mutant::on(Mutant::M64) {
            self.command.is_some_and(|command| command.kind == CommandKind::Thaw)
        } else {
            self.thawing.is_some()
        };
        self.is_seen_frozen() && !thawing && self.promoting.is_none()
    }
}

impl FenceStage {
    /// The permit that is in use.
    pub(super) const fn permit(&self) -> Option<PermitId> {
        match self {
            Self::Running { fence, .. }
            | Self::AwaitingOperator { fence, .. }
            | Self::Reporting { fence, .. } => Some(fence.permit),
            Self::Asking { .. } | Self::Resting { .. } => None,
        }
    }
}

impl Instants for Node {
    fn instants(&mut self, visit: &mut dyn FnMut(&mut Instant)) {
        visit(&mut self.started);
        visit(&mut self.stepped_at);
        visit(&mut self.beat_at);
        self.run.instants(visit);
        self.link.answered_at.instants(visit);
        self.link.sent.iter_mut().for_each(|(_, at)| visit(at));
        for peer in self.peers.values_mut() {
            peer.watch.instants(visit);
            peer.asked_at.instants(visit);
        }
        self.volumes.values_mut().for_each(|volume| volume.instants(visit));
        for case in self.fences.values_mut() {
            visit(&mut case.permit_until);
            match &mut case.stage {
                FenceStage::Running { fence, .. }
                | FenceStage::AwaitingOperator { fence, .. }
                | FenceStage::Reporting { fence, .. } => fence.instants(visit),
                FenceStage::Resting { until } => visit(until),
                FenceStage::Asking { .. } => {}
            }
        }
        if let Some(stop) = &mut self.stop {
            visit(&mut stop.give_up_at);
        }
        for ticket in self.operators.values_mut() {
            match ticket {
                OperatorTicket::Move { give_up_at, .. }
                | OperatorTicket::Fence { give_up_at, .. }
                | OperatorTicket::Witness { give_up_at, .. }
                | OperatorTicket::KeepRunning { give_up_at, .. }
                | OperatorTicket::Standby { give_up_at }
                | OperatorTicket::Release { give_up_at } => visit(give_up_at),
            }
        }
    }
}

impl Instants for Volume {
    fn instants(&mut self, visit: &mut dyn FnMut(&mut Instant)) {
        if let Some(held) = self.phase.held_mut() {
            visit(&mut held.lease_until);
        }
        if let Phase::Stopping(stopping) = &mut self.phase {
            visit(&mut stopping.deadline);
        }
        if let Some(command) = &mut self.command {
            visit(&mut command.deadline);
        }
        if let Some(attempt) = &mut self.attempt {
            visit(&mut attempt.since);
        }
        if let Some(releasing) = &mut self.releasing {
            visit(&mut releasing.relay_at);
        }
        self.rounds.iter_mut().for_each(|round| visit(&mut round.sent_at));
        visit(&mut self.retry_at);
        visit(&mut self.cooldown_until);
        visit(&mut self.update_after);
        self.turned_down.values_mut().for_each(&mut *visit);
        visit(&mut self.promoted_at);
        visit(&mut self.former_orders_until);
        visit(&mut self.offer_after);
        self.unclaimed_since.instants(visit);
        self.expecting_until.instants(visit);
        if let Some(handover) = &mut self.handover {
            visit(&mut handover.give_up_at);
        }
    }
}
