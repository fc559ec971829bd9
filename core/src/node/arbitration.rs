//! Asking for a grant, and using it.
//!
//! [`Node::wants`] is the one place that decides whether this node asks to hold a volume; `picket explain` shows
//! its answer. A grant is used only if it answers the outstanding attempt, its epoch is above everything that
//! this node ever saw, and enough of its lease is left; otherwise it is given back.

use super::state::{Attempt, Held, Node, Out, Phase, Releasing, Volume};
use super::{DiskVolume, Event, Promotion, Role, RunHeld, VolumeAction};
use crate::error::Refusal;
use crate::ids::{AttemptId, Epoch, NodeId, NodeSet, RequestId, VolumeId};
use crate::message::{Acquire, Granted, Holder, RegisterView, Request};
use crate::mutant::{self, Mutant};
use crate::quorum::{self, QuorumMode, Vote, Votes};
use crate::time::{Duration, Instant};

/// How long a refusal for good is believed when nothing that the witness tells has changed.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How long a node whose promotion failed leaves the volume to others.
const PROMOTE_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Why this node does not ask to hold a volume.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WhyNot {
    /// It holds it.
    HeldHere,
    /// It is being stopped here, or its release is not recorded yet.
    Stopping,
    /// The daemon is about to stop.
    DaemonStops,
    /// An operator put this node on standby.
    Standby,
    /// The driver has not said that the replica is inactive.
    RoleUnknown,
    /// The replica lacks some of its own data.
    Incomplete,
    /// The witness has not been heard in this run.
    WitnessNeverHeard,
    /// There is no session with the witness.
    WitnessLost,
    /// The witness recovers.
    WitnessRecovers {
        /// Members that it has not heard from.
        missing: NodeSet,
    },
    /// The replica is not in the in-sync set: it may lack acknowledged writes.
    NotInSync {
        /// The in-sync set.
        isr: NodeSet,
    },
    /// The start quarantine is not over.
    Quarantined {
        /// Until when.
        until: Instant,
    },
    /// This node promised a holder not to ask.
    Promised {
        /// The holder.
        to: NodeId,
        /// Until when.
        until: Instant,
    },
    /// This node has declared itself failed in this boot.
    DeclaredFailed,
    /// This node is held off until an operator clears it.
    HeldOff,
    /// The quorum check says no.
    NoQuorum,
    /// Another node holds it and is heard.
    HolderAlive {
        /// The holder.
        holder: NodeId,
    },
    /// It is being handed over to another node.
    HandedOverTo {
        /// That node.
        successor: NodeId,
    },
    /// An earlier request was refused.
    Refused(Refusal),
    /// An earlier promotion failed; others go first.
    PromoteFailed {
        /// Until when.
        until: Instant,
    },
}

impl Node {
    /// Whether this node asks to hold the volume now.
    ///
    /// # Errors
    /// Why not.
    pub fn wants(&self, now: Instant, id: VolumeId) -> Result<(), WhyNot> {
        let (Some(volume), Some(disk)) = (self.volumes.get(&id), self.disk.volumes.get(&id)) else {
            return Err(WhyNot::RoleUnknown);
        };
        self.is_able(now, volume)?;
        if self.disk.standby {
            return Err(WhyNot::Standby);
        }
        let Some(register) = &volume.register else { return Err(WhyNot::WitnessNeverHeard) };
        if !self.link.registered {
            return Err(WhyNot::WitnessLost);
        }
        if let Some(missing) = self.view.recovering {
            return Err(WhyNot::WitnessRecovers { missing });
        }
        if !register.isr.contains(self.config.me) && !mutant::on(Mutant::M10) {
            return Err(WhyNot::NotInSync { isr: disk.isr });
        }
        if now < self.quarantine_until() {
            return Err(WhyNot::Quarantined { until: self.quarantine_until() });
        }
        // With the mutant a promise binds later attempts only.
        let spares = mutant::on(Mutant::M7) && volume.attempt.is_some();
        if let Some(promise) = self.promise_about(now, id).filter(|_| !spares) {
            return Err(WhyNot::Promised { to: promise.to, until: promise.until });
        }
        if self.view.held_off.contains(self.config.me) {
            return Err(WhyNot::HeldOff);
        }
        if self.quorum(now) == Vote::Lost {
            return Err(WhyNot::NoQuorum);
        }
        if now < volume.retry_at {
            let refused = volume.not_granted.clone().map(WhyNot::Refused);
            return Err(refused.unwrap_or(WhyNot::PromoteFailed { until: volume.retry_at }));
        }
        self.holder_is_gone(now, volume, register)
    }

    fn is_able(&self, now: Instant, volume: &Volume) -> Result<(), WhyNot> {
        if self.run.failed {
            return Err(WhyNot::DeclaredFailed);
        }
        match volume.phase {
            Phase::Unread => return Err(WhyNot::RoleUnknown),
            Phase::Secondary => {}
            Phase::Promoting(_) | Phase::Active(_) | Phase::Frozen(_) => return Err(WhyNot::HeldHere),
            Phase::Stopping(_) => return Err(WhyNot::Stopping),
            Phase::Failed => return Err(WhyNot::DeclaredFailed),
        }
        if volume.releasing.is_some() {
            return Err(WhyNot::Stopping);
        }
        if self.stop.is_some() {
            return Err(WhyNot::DaemonStops);
        }
        let Some(report) = &volume.report else { return Err(WhyNot::RoleUnknown) };
        if report.role != Role::Secondary || volume.command.is_some() {
            return Err(WhyNot::RoleUnknown);
        }
        let expecting = volume.expecting_until.is_some_and(|until| now < until);
        if !report.complete && !expecting { Err(WhyNot::Incomplete) } else { Ok(()) }
    }

    fn holder_is_gone(&self, now: Instant, volume: &Volume, register: &RegisterView) -> Result<(), WhyNot> {
        let Some(holder) = register.holder else {
            return match register.successor {
                Some(successor) if successor != self.config.me && self.is_heard(now, successor) => {
                    Err(WhyNot::HandedOverTo { successor })
                }
                Some(_) | None => Ok(()),
            };
        };
        let expecting = volume.expecting_until.is_some_and(|until| now < until);
        let gone = holder.node == self.config.me
            || expecting
            || self.is_silent(now, holder.node)
            || self.view.failed.contains(holder.node)
            || self.has_rebooted(holder)
            || self.has_stepped_down(now, volume);
        if gone { Ok(()) } else { Err(WhyNot::HolderAlive { holder: holder.node }) }
    }

    /// The holder's machine is heard with another boot than the one that held.
    fn has_rebooted(&self, holder: Holder) -> bool {
        let said = self.peers.get(&holder.node).and_then(|peer| peer.watch.said());
        said.is_some_and(|said| said.boot != holder.boot)
    }

    /// The holder is heard, and for as long as a grant takes to arrive it has not said that it holds the volume.
    fn has_stepped_down(&self, now: Instant, volume: &Volume) -> bool {
        volume.unclaimed_since.is_some_and(|since| now.since(since) >= self.config.params.suspect_after())
    }

    /// The advisory quorum check.
    #[must_use]
    pub fn quorum(&self, now: Instant) -> Vote {
        match self.config.quorum {
            QuorumMode::None => Vote::Won,
            QuorumMode::TcpRemote | QuorumMode::Storage => self.remote_vote.unwrap_or(Vote::Pending),
            QuorumMode::Majority => {
                let others = self.config.members.without(self.config.me);
                let here: NodeSet = others.iter().filter(|peer| self.is_heard(now, *peer)).collect();
                let unknown: NodeSet = others.iter().filter(|peer| !self.is_silent(now, *peer)).collect();
                quorum::majority(Votes {
                    members: self.config.members,
                    here: here.with(self.config.me),
                    unknown,
                    witness: Some(self.link.registered),
                })
            }
        }
    }

    /// Starts, keeps or drops the attempt to hold a volume that is inactive here.
    pub(super) fn settle_attempt(&mut self, now: Instant, id: VolumeId, out: &mut Out) {
        if let Err(why) = self.wants(now, id) {
            if !mutant::on(Mutant::M7) || !matches!(why, WhyNot::Promised { .. }) {
                self.drop_attempt(now, id, out);
            }
            self.give_back_untaken(now, id, out);
            return;
        }
        let holder = self.holder_of(id);
        let Some(volume) = self.volumes.get_mut(&id) else { return };
        if volume.attempt.is_none() {
            self.counters.attempt += 1;
            let attempt =
                Attempt { id: AttemptId(self.counters.attempt), since: now, asked: None, waiting: None };
            volume.attempt = Some(attempt);
            // After a refusal for good the same is asked again and again; that is told when something has changed.
            if volume.not_granted.is_none() {
                out.event(Event::Arbitrating { volume: id, holder: holder.map(|holder| holder.node) });
            }
        }
        let session = self.link.session;
        let Some(acquire) = self.acquire(id) else { return };
        let asked = self
            .volumes
            .get(&id)
            .and_then(|volume| volume.attempt.as_ref())
            .is_some_and(|a| a.asked == session);
        if !asked
            && self.say(now, Request::Acquire(acquire), out)
            && let Some(attempt) = self.volumes.get_mut(&id).and_then(|volume| volume.attempt.as_mut())
        {
            attempt.asked = session;
        }
    }

    pub(super) fn acquire(&self, id: VolumeId) -> Option<Acquire> {
        let volume = self.volumes.get(&id)?;
        let (attempt, report) = (volume.attempt.as_ref()?, volume.report.as_ref()?);
        let (generation, complete) = (report.generation.clone(), report.complete);
        Some(Acquire { volume: id, attempt: attempt.id, generation, complete })
    }

    /// Whether this is this node in its present boot.
    pub(super) fn is_me(&self, holder: Holder) -> bool {
        holder.node == self.config.me && holder.boot == self.boot
    }

    pub(super) fn holder_of(&self, id: VolumeId) -> Option<Holder> {
        self.volumes.get(&id).and_then(|volume| volume.register.as_ref()).and_then(|register| register.holder)
    }

    pub(super) fn drop_attempt(&mut self, now: Instant, id: VolumeId, out: &mut Out) {
        let Some(attempt) = self.volumes.get_mut(&id).and_then(|volume| volume.attempt.take()) else {
            return;
        };
        if attempt.asked.is_some()
            && attempt.asked == self.link.session
            && self.say(now, Request::Withdraw { attempt: attempt.id }, out)
        {
            self.link.withdrawn = Some(RequestId(self.link.request));
        }
    }

    /// A grant to this boot that it neither holds nor asks for: its answer was lost, or came when it was not wanted
    /// any more. Nobody else can end it without a proof.
    fn give_back_untaken(&mut self, now: Instant, id: VolumeId, out: &mut Out) {
        let Some(holder) = self.holder_of(id).filter(|_| !mutant::on(Mutant::M62)) else { return };
        let mine = self.is_me(holder);
        let told = self.link.registered && self.view.recovering.is_none();
        let ended = self.stop.is_some_and(|stop| stop.answered);
        let held = self.run.held.contains_key(&id);
        let (Some(volume), Some(session)) = (self.volumes.get_mut(&id), self.link.session) else { return };
        let Some(epoch) = volume.register.as_ref().map(|register| register.epoch) else { return };
        let known = volume.releasing.is_some() || volume.given_up == Some((epoch, session));
        let inactive = volume.phase == Phase::Secondary && volume.is_verified_inactive();
        if mine && told && inactive && !(ended || held || known) {
            volume.given_up = Some((epoch, session));
            volume.releasing = Some(Releasing { epoch, successor: None, asked: None, relay_at: now });
            self.settle_release(now, id, out);
        }
    }

    pub(super) fn not_granted(
        &mut self,
        now: Instant,
        id: VolumeId,
        attempt: AttemptId,
        refusal: Refusal,
        out: &mut Out,
    ) {
        let Some(volume) = self.volumes.get_mut(&id) else { return };
        if volume.attempt.as_ref().is_some_and(|open| open.id == attempt) {
            volume.attempt = None;
            volume.retry_at = now + ASK_AGAIN_AFTER;
            if volume.not_granted.replace(refusal.clone()).as_ref() != Some(&refusal) {
                out.event(Event::NotGranted { volume: id, refusal });
            }
        }
    }

    /// A grant arrived.
    pub(super) fn granted(
        &mut self,
        now: Instant,
        sent_at: Option<Instant>,
        granted: Granted,
        out: &mut Out,
    ) {
        let register = granted.register;
        let (id, epoch) = (register.volume, register.epoch);
        let already = self
            .volumes
            .get(&id)
            .and_then(|volume| volume.phase.held())
            .is_some_and(|held| held.epoch == epoch);
        if already {
            return;
        }
        let Some(lease_until) = self.usable_until(now, id, granted.attempt, epoch, sent_at) else {
            let behind = self.knows_a_newer_grant(id, granted.attempt, epoch);
            self.give_back(now, id, epoch, out);
            if behind {
                self.close_witness(out);
            }
            return;
        };
        let Some(disk) = self.disk.volumes.get_mut(&id) else { return };
        disk.max_epoch = epoch;
        disk.isr = register.isr;
        disk.isr_version = register.isr_version;
        disk.recorded = register.generation;
        disk.intents.retain(|intent| intent.version >= register.isr_version);
        out.disk = !mutant::on(Mutant::M22);
        let kept = self.held_anew(id, epoch, lease_until);
        self.run.held.insert(id, kept);
        out.run = true;
        out.event(Event::Granted { volume: id, epoch, proof: granted.proof });
        self.promote(now, id, Held { epoch, lease_until }, register, out);
    }

    /// What is kept of a volume that is held from now on.
    pub(super) fn held_anew(&self, id: VolumeId, epoch: Epoch, lease_until: Instant) -> RunHeld {
        let driver = self.config.volumes.get(&id).map(|config| config.driver);
        RunHeld { epoch, lease_until, refused: false, driver }
    }

    /// The witness grants what is asked for under an epoch that is no news here: it does not know of an override that this
    /// node has heard of, and is told with the next registration.
    fn knows_a_newer_grant(&self, id: VolumeId, attempt: AttemptId, epoch: Epoch) -> bool {
        let newest = self.disk.volumes.get(&id).map(|disk| disk.max_epoch);
        self.asks_by(id, attempt) && newest.is_some_and(|newest| epoch <= newest)
    }

    /// Whether this attempt is the one that is open.
    fn asks_by(&self, id: VolumeId, attempt: AttemptId) -> bool {
        let asked = self.volumes.get(&id).and_then(|volume| volume.attempt.as_ref());
        asked.is_some_and(|open| open.id == attempt)
    }

    /// Until when a lease that comes with the grant lasts; none: the grant is not to be used.
    fn usable_until(
        &self,
        now: Instant,
        id: VolumeId,
        attempt: AttemptId,
        epoch: Epoch,
        sent_at: Option<Instant>,
    ) -> Option<Instant> {
        let volume = self.volumes.get(&id)?;
        // With M22 a grant counts by itself, as if nothing were known of the grants before it.
        let alone = mutant::on(Mutant::M22);
        let answers = self.asks_by(id, attempt);
        let newest = self.disk.volumes.get(&id)?.max_epoch;
        let base = if mutant::on(Mutant::M1) || alone { Some(now) } else { sent_at };
        let lease_until = base? + self.config.params.lease;
        let enough = now + self.config.params.granted_margin() < lease_until;
        let free = self.promise_about(now, id).is_none() || mutant::on(Mutant::M7);
        let may = self.is_able(now, volume).is_ok() && free;
        let new = answers && epoch > newest || alone;
        (may && new && enough).then_some(lease_until)
    }

    /// The node makes nothing of a grant that it cannot use.
    fn give_back(&mut self, now: Instant, id: VolumeId, epoch: Epoch, out: &mut Out) {
        let Some(volume) = self.volumes.get_mut(&id) else { return };
        volume.attempt = None;
        if volume.phase.held().is_none() {
            volume.releasing = Some(Releasing { epoch, successor: None, asked: None, relay_at: now });
        }
        out.event(Event::GrantReturned { volume: id, epoch });
    }

    fn promote(&mut self, now: Instant, id: VolumeId, held: Held, register: RegisterView, out: &mut Out) {
        // A grow that was asked for and whose end is not known may be recorded yet: its peer is waited for too.
        let open = self.disk.volumes.get(&id).filter(|_| !mutant::on(Mutant::M67));
        let possible = open.map(DiskVolume::maximal_isr).unwrap_or_default();
        let required = register.isr.union(possible).without(self.config.me);
        let valid_until = held.lease_until - self.config.params.freeze_before;
        let Some(volume) = self.volumes.get_mut(&id) else { return };
        volume.phase = Phase::Promoting(held);
        volume.attempt = None;
        volume.not_granted = None;
        volume.refused = None;
        volume.failsafe = false;
        volume.expecting_until = None;
        volume.unclaimed_since = None;
        volume.register = Some(register);
        let promotion = Promotion { volume: id, epoch: held.epoch, required, valid_until };
        self.command(now, id, VolumeAction::Promote(promotion), out);
        // The rest of the lease is asked for while the driver works.
        self.heartbeat(now, out);
    }

    /// The driver could not promote.
    pub(super) fn promote_failed(&mut self, now: Instant, id: VolumeId, held: Held, out: &mut Out) {
        if let Some(volume) = self.volumes.get_mut(&id) {
            volume.retry_at = now + PROMOTE_AGAIN_AFTER;
        }
        self.stop_volume(now, id, held, None, out);
    }

    pub(super) fn released(&mut self, id: VolumeId, epoch: Epoch) {
        let Some(volume) = self.volumes.get_mut(&id) else { return };
        if volume.releasing.is_some_and(|releasing| releasing.epoch <= epoch) {
            volume.releasing = None;
            volume.given_up = self.link.session.map(|session| (epoch, session));
        }
    }
}
