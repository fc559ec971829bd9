//! What a node machine knows, for people and monitoring.

use super::record::Promise;
use super::state::{FenceStage, Node};
use super::{Phase, VolumeReport, WhyNot};
use crate::detector::{PathWatch, Said};
use crate::error::Refusal;
use crate::ids::{BootId, Epoch, NodeId, NodeSet, PermitId, VolumeId};
use crate::message::{PendingConfirmation, PermitView, QuorumVerdict, RegisterView, Seen, WitnessVerdict};
use crate::quorum::Vote;
use crate::time::{Duration, Instant};
use alloc::vec::Vec;

/// Everything that a node machine knows at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This node.
    pub me: NodeId,
    /// Its boot.
    pub boot: BootId,
    /// What is left of the start quarantine.
    pub quarantine_left: Duration,
    /// A stop failed in this boot.
    pub failed: bool,
    /// An operator put this node on standby.
    pub standby: bool,
    /// The witness.
    pub witness: WitnessStatus,
    /// The advisory quorum check here.
    pub quorum: Vote,
    /// The peers, in the order of their ids.
    pub peers: Vec<PeerStatus>,
    /// The volumes, in the order of their ids.
    pub volumes: Vec<VolumeStatus>,
    /// Fences of this node that are under way or resting.
    pub fences: Vec<FenceStatus>,
    /// Live promises to holders.
    pub promises: Vec<Promise>,
}

/// The witness, as this node knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessStatus {
    /// A session counts.
    pub registered: bool,
    /// It does not answer renewals.
    pub lost: bool,
    /// How long ago it answered a renewal.
    pub answered_ago: Option<Duration>,
    /// The newest position of its store.
    pub seen: Seen,
    /// Members whose report it waits for, while it recovers.
    pub recovering: Option<NodeSet>,
    /// The members that it hears.
    pub hears: NodeSet,
    /// Its answer to the quorum check.
    pub quorum: Option<QuorumVerdict>,
    /// Live permits.
    pub permits: Vec<PermitView>,
    /// Confirmations that wait for an operator.
    pub pending: Vec<PendingConfirmation>,
    /// Nodes under maintenance.
    pub maintenance: NodeSet,
    /// Nodes that are held off until an operator clears them.
    pub held_off: NodeSet,
    /// Nodes that declared themselves failed.
    pub failed: NodeSet,
}

/// A peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// The peer.
    pub node: NodeId,
    /// It is heard on some path.
    pub heard: bool,
    /// The paths, in the order of the configuration.
    pub paths: Vec<PathWatch>,
    /// What its newest heartbeat said.
    pub said: Option<Said>,
    /// What the witness said of it when it fell silent.
    pub verdict: Option<WitnessVerdict>,
    /// Some device could prove it off.
    pub can_fence: bool,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeStatus {
    /// The volume.
    pub volume: VolumeId,
    /// What it is doing here.
    pub phase: Phase,
    /// What is left of the lease; none: nothing is held. A solo holder needs none.
    pub lease_left: Option<Duration>,
    /// Nobody else can be elected.
    pub solo: bool,
    /// The lease lives on the peers' promises.
    pub failsafe: bool,
    /// The witness's record, as this node knows it.
    pub register: Option<RegisterView>,
    /// Every node that may have to have a write before it is acknowledged.
    pub maximal_isr: NodeSet,
    /// The highest epoch that was ever seen here.
    pub max_epoch: Epoch,
    /// What the driver sees.
    pub report: Option<VolumeReport>,
    /// Why this node does not ask to hold it; none: it asks.
    pub why_not: Option<WhyNot>,
    /// What its request waits for.
    pub waiting: Option<Refusal>,
    /// Why its renewal was refused.
    pub refused: Option<Refusal>,
}

/// What is recorded of a volume, for its driver: whom a replica may follow, and whose data counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// The highest epoch seen.
    pub epoch: Epoch,
    /// Who holds it.
    pub holder: Option<NodeId>,
    /// The in-sync set.
    pub isr: NodeSet,
    /// A session with the witness counts, so that this is not from another time.
    pub current: bool,
}

/// A fence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceStatus {
    /// The target.
    pub target: NodeId,
    /// The permit in use.
    pub permit: Option<PermitId>,
    /// Where it stands.
    pub stage: FenceStageWord,
    /// What the request for a permit waits for.
    pub waiting: Option<Refusal>,
}

/// Where a fence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FenceStageWord {
    /// A permit is asked for.
    Asking,
    /// A device is at work.
    Running,
    /// A person must confirm.
    AwaitingOperator,
    /// The outcome is being recorded.
    Reporting,
    /// It ended without a confirmation and will be tried again.
    Resting,
}

impl Node {
    /// A snapshot for people and monitoring.
    #[must_use]
    pub fn status(&self, now: Instant) -> Status {
        Status {
            me: self.config.me,
            boot: self.boot,
            quarantine_left: self.quarantine_until().since(now),
            failed: self.run.failed,
            standby: self.disk.standby,
            witness: self.witness_status(now),
            quorum: self.quorum(now),
            peers: self.peers.keys().filter_map(|peer| self.peer_status(now, *peer)).collect(),
            volumes: self.volumes.keys().filter_map(|id| self.volume_status(now, *id)).collect(),
            fences: self
                .fences
                .iter()
                .map(|(target, case)| Self::fence_status(*target, &case.stage))
                .collect(),
            promises: self.run.promises.iter().copied().filter(|promise| now < promise.until).collect(),
        }
    }

    /// What a volume is doing here; none: it has no replica on this node.
    #[must_use]
    pub fn phase(&self, id: VolumeId) -> Option<Phase> {
        self.volumes.get(&id).map(|volume| volume.phase)
    }

    /// The witness says that this node is under maintenance.
    #[must_use]
    pub fn in_maintenance(&self) -> bool {
        self.view.maintenance.contains(self.config.me)
    }

    /// What is recorded of a volume, as this node knows it.
    #[must_use]
    pub fn recorded(&self, id: VolumeId) -> Recorded {
        let register = self.volumes.get(&id).and_then(|volume| volume.register.as_ref());
        let Some(register) = register else {
            // Not heard of in this run: what was known before.
            let disk = self.disk.volumes.get(&id);
            let isr = disk.map(|disk| disk.isr).unwrap_or_default();
            return Recorded { isr, ..Recorded::default() };
        };
        Recorded {
            epoch: register.epoch,
            holder: register.holder.map(|holder| holder.node),
            isr: register.isr,
            current: self.link.registered,
        }
    }

    fn witness_status(&self, now: Instant) -> WitnessStatus {
        WitnessStatus {
            registered: self.link.registered,
            lost: self.is_witness_lost(now),
            answered_ago: self.link.answered_at.map(|at| now.since(at)),
            seen: if self.link.registered { self.link.seen } else { self.disk.seen },
            recovering: self.view.recovering,
            hears: self.view.hears,
            quorum: self.view.quorum,
            permits: self.view.permits.clone(),
            pending: self.view.pending.clone(),
            maintenance: self.view.maintenance,
            held_off: self.view.held_off,
            failed: self.view.failed,
        }
    }

    fn peer_status(&self, now: Instant, node: NodeId) -> Option<PeerStatus> {
        let peer = self.peers.get(&node)?;
        Some(PeerStatus {
            node,
            heard: self.is_heard(now, node),
            paths: peer.watch.paths().to_vec(),
            said: peer.watch.said().cloned(),
            verdict: peer.verdict,
            can_fence: self.config.fencing.get(&node).is_some_and(crate::topology::FencePlan::can_fence),
        })
    }

    /// One volume's part of [`Self::status`].
    #[must_use]
    pub fn volume_status(&self, now: Instant, id: VolumeId) -> Option<VolumeStatus> {
        let (volume, disk) = (self.volumes.get(&id)?, self.disk.volumes.get(&id)?);
        Some(VolumeStatus {
            volume: id,
            phase: volume.phase,
            lease_left: volume.phase.held().map(|held| held.lease_until.since(now)),
            solo: self.is_solo(id),
            failsafe: volume.failsafe,
            register: volume.register.clone(),
            maximal_isr: disk.maximal_isr(),
            max_epoch: disk.max_epoch,
            report: volume.report.clone(),
            why_not: self.wants(now, id).err(),
            waiting: volume.attempt.as_ref().and_then(|attempt| attempt.waiting.clone()),
            refused: volume.refused.clone(),
        })
    }

    fn fence_status(target: NodeId, stage: &FenceStage) -> FenceStatus {
        let (word, waiting) = match stage {
            FenceStage::Asking { waiting, .. } => (FenceStageWord::Asking, waiting.clone()),
            FenceStage::Running { .. } => (FenceStageWord::Running, None),
            FenceStage::AwaitingOperator { .. } => (FenceStageWord::AwaitingOperator, None),
            FenceStage::Reporting { .. } => (FenceStageWord::Reporting, None),
            FenceStage::Resting { .. } => (FenceStageWord::Resting, None),
        };
        FenceStatus { target, permit: stage.permit(), stage: word, waiting }
    }

    /// What this node has stored, as a restart would find it.
    #[must_use]
    pub const fn records(&self) -> (&super::Disk, &super::Run) {
        (&self.disk, &self.run)
    }

    /// The session with the witness that it speaks on, if there is one.
    #[must_use]
    pub const fn session(&self) -> Option<crate::ids::SessionId> {
        self.link.session
    }

    /// The configuration that the machine was made with.
    #[must_use]
    pub const fn config(&self) -> &super::Config {
        &self.config
    }

    /// When [`super::Input::Tick`] is due at the latest.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Instant {
        let mut next = self.beat_at;
        let mut consider = |at: Instant| {
            if at > now && at < next {
                next = at;
            }
        };
        let (heartbeat, misses) = (self.config.params.heartbeat, self.config.params.misses);
        for peer in self.peers.values() {
            peer.watch.deadline(heartbeat, misses).into_iter().for_each(&mut consider);
        }
        consider(self.quarantine_until());
        for volume in self.volumes.values() {
            if let Some(held) = volume.phase.held() {
                consider(held.lease_until - self.config.params.freeze_before);
                consider(held.lease_until);
            }
            volume.command.iter().for_each(|command| consider(command.deadline));
            consider(volume.cooldown_until);
            consider(volume.update_after);
            volume.turned_down.values().copied().for_each(&mut consider);
            consider(volume.former_orders_until);
            consider(volume.retry_at);
            consider(volume.offer_after);
        }
        self.run.promises.iter().for_each(|promise| consider(promise.until));
        next
    }
}
