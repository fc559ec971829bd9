//! The session with the witness.
//!
//! A lease and a permit count from the moment that the newest request was *sent* which the witness had processed
//! when it spoke, so the send times of unanswered requests are kept. A message of another session than the newest
//! is dropped, and so is one that was said before what is known already. Lost means that no renewal is answered; a
//! refused one is an answer.

use super::state::{Link, Node, Out};
use super::{Effect, Event};
use crate::error::Refusal;
use crate::evidence::SelfFence;
use crate::ids::{Epoch, NodeSet, Nonce, RequestId, VolumeId};
use crate::message::{
    Check, CheckAnswer, FromWitness, Heartbeat, Register, RegisterView, ReplicaReport, Reply, Request,
    Subject, ToWitness, View,
};
use crate::mutant::{self, Mutant};
use crate::time::Instant;
use alloc::vec::Vec;

/// More unanswered requests than this and the connection is given up, unless the witness recovers: at a heartbeat each
/// 25 ms it is over 6 s of silence, longer than any lease of such a profile.
const UNANSWERED_MAX: usize = 256;

/// How long a registration waits for the first reports of all volumes, in times of suspicion.
const FIRST_REPORTS_WITHIN: u32 = 4;

/// How long a registration may stay unanswered, in times of suspicion: a witness whose disk is slow gets there, and a
/// greeting that came from a session long gone is not answered without end.
const REGISTERED_WITHIN: u32 = 20;

impl Node {
    /// Sends on the session, once it counts.
    pub(super) fn say(&mut self, now: Instant, body: Request, out: &mut Out) -> bool {
        let Some(session) = self.link.session else { return false };
        if !self.link.registered && !matches!(body, Request::Register(_)) {
            return false;
        }
        self.link.request += 1;
        let request = RequestId(self.link.request);
        self.link.sent.push_back((request, now));
        if self.link.sent.len() > UNANSWERED_MAX {
            // A recovering witness answers no renewal, and who has reported is not to leave it.
            if self.view.recovering.is_none() {
                self.close_witness(out);
                return false;
            }
            self.link.sent.pop_front();
        }
        let seen = if self.link.registered { self.link.seen } else { self.disk.seen };
        out.push(Effect::Witness(ToWitness { session, request, seen, body }));
        true
    }

    pub(super) fn close_witness(&mut self, out: &mut Out) {
        self.witness_gone();
        out.push(Effect::CloseWitness);
    }

    pub(super) fn witness_gone(&mut self) {
        let former = core::mem::take(&mut self.link);
        self.link = Link {
            answered_at: former.answered_at,
            told_up: former.told_up,
            refused: former.refused,
            ..Link::default()
        };
        for volume in self.volumes.values_mut() {
            volume.updating = None;
        }
    }

    /// When the newest request was sent that the witness had processed.
    pub(super) fn sent_at(&self, processed: RequestId) -> Option<Instant> {
        self.link.sent.iter().find(|(request, _)| *request == processed).map(|(_, at)| *at)
    }

    /// Nobody has answered a renewal for as long as makes a sender suspected.
    pub(super) fn is_witness_lost(&self, now: Instant) -> bool {
        let since = self.link.answered_at.unwrap_or(self.started);
        now.since(since) >= self.config.params.suspect_after()
    }

    pub(super) fn take_witness(&mut self, now: Instant, message: FromWitness, out: &mut Out) {
        if let Reply::Challenge { nonce } = message.body {
            // A connection is greeted once; what greets again came late.
            if self.link.session.is_none() {
                self.link.session = Some(message.session);
                self.link.challenge = Some(nonce);
            }
            return;
        }
        let former = mutant::on(Mutant::M22) && matches!(message.body, Reply::Granted(_));
        if self.link.session != Some(message.session) && !former {
            if let (Reply::InSync { register }, true) = (message.body, mutant::on(Mutant::M14)) {
                self.in_sync(now, register, out);
            }
            return;
        }
        // Nothing else answers a registration.
        let answers = matches!(
            message.body,
            Reply::Registered { .. } | Reply::Refused { subject: Subject::Session, .. }
        );
        if !self.link.registered && !answers && !former {
            return;
        }
        if self.is_overtaken(&message) && !former {
            return;
        }
        while self.link.sent.front().is_some_and(|(request, _)| *request < message.processed) {
            self.link.sent.pop_front();
        }
        self.link.seen = message.seen;
        self.link.processed = message.processed;
        self.link.withdrawn = self.link.withdrawn.filter(|withdrawn| *withdrawn > message.processed);
        let sent_at = self.sent_at(message.processed);
        if self.link.registered {
            self.note_seen();
        }
        match message.body {
            Reply::Challenge { .. } => {}
            Reply::Registered { registers, recovering } => self.registered(now, registers, recovering, out),
            Reply::Refused { subject, refusal } => self.refused(now, subject, refusal, out),
            Reply::Pending { subject, refusal } => self.pending(subject, refusal, out),
            Reply::Renewed { volumes, refused, hears } => {
                self.view.hears = hears;
                self.renewed(now, sent_at, &volumes, refused, out);
            }
            Reply::Granted(granted) => self.granted(now, sent_at, granted, out),
            Reply::InSync { register } => self.in_sync(now, register, out),
            Reply::Released { volume, epoch } => self.released(volume, epoch),
            Reply::Permit(permit) => self.permitted(now, sent_at, permit, out),
            Reply::FenceRecorded { permit } => self.fence_recorded(now, permit, out),
            Reply::OperatorAsked(pending) => {
                out.event(Event::OperatorNeeded { target: pending.target, challenge: pending.challenge });
            }
            Reply::View(view) => self.learn_view(now, view, out),
            Reply::Checked(CheckAnswer::Quorum(verdict)) => self.view.quorum = Some(verdict),
            Reply::Checked(CheckAnswer::Witness { peer, verdict }) => {
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.verdict = Some(verdict);
                }
            }
            Reply::Operator { ticket, answer } => self.witness_answered(ticket, answer, out),
        }
    }

    /// What was seen of the store is told to whatever witness comes next: one that is behind it was put back. Only one
    /// that has registered this node has been told what was seen before.
    fn note_seen(&mut self) {
        if self.disk.seen != self.link.seen && !mutant::on(Mutant::M40) && !mutant::on(Mutant::M91) {
            self.disk.seen = self.link.seen;
            self.seen_owed = true;
        }
    }

    /// It goes to the disk with whatever else does, and by itself in a step that does nothing else: the step that uses
    /// a grant or a permit does not wait for it.
    pub(super) fn settle_seen(&mut self, out: &mut Out) {
        if mutant::on(Mutant::M91) && out.disk && self.link.registered {
            self.disk.seen = self.link.seen;
        }
        // With M22 nothing of a grant gets to the disk by itself.
        out.disk |= self.seen_owed && out.effects.is_empty() && !mutant::on(Mutant::M22);
        self.seen_owed &= !out.disk;
    }

    /// It was said before something that is known already. A stream delivers in order and once; should one not, an
    /// older record must not be taken for the newest, for the witness does not tell it again until it changes.
    fn is_overtaken(&self, message: &FromWitness) -> bool {
        let before = message.seen.commit < self.link.seen.commit || message.processed < self.link.processed;
        before && !mutant::on(Mutant::M57)
    }

    fn register(&mut self, now: Instant, nonce: Nonce, out: &mut Out) {
        self.link.challenge = None;
        // From here on the witness counts a lease; a daemon that starts after this one may not begin another.
        out.run |= self.kept && !mutant::on(Mutant::M46);
        let body = Request::Register(Register {
            nonce,
            boot: self.boot,
            config: self.config.digest,
            self_fence: SelfFence {
                watchdog_counts: self.config.watchdog || mutant::on(Mutant::M4),
                pause_visible: self.config.pause_visible,
            },
            replicas: self.volumes.keys().filter_map(|id| self.replica(*id)).collect(),
        });
        self.say(now, body, out);
    }

    fn replica(&self, id: VolumeId) -> Option<ReplicaReport> {
        let volume = self.volumes.get(&id)?;
        let disk = self.disk.volumes.get(&id)?;
        let config = self.config.volumes.get(&id)?;
        let report = volume.report.as_ref();
        Some(ReplicaReport {
            volume: id,
            max_epoch: disk.max_epoch,
            // As recorded: writes may be acknowledged without a replica that is only about to be required.
            isr: if mutant::on(Mutant::M53) { disk.maximal_isr() } else { disk.isr },
            isr_version: disk.isr_version,
            recorded: disk.recorded,
            generation: report.map(|report| report.generation.clone()).unwrap_or_default(),
            complete: report.is_some_and(|report| report.complete),
            held: self.held_as_known(id, volume),
            barrier_suffices: config.barrier_suffices,
            overridden: disk.overridden,
        })
    }

    /// What is held; of a volume that was not read yet, what the former daemon held. It may be in service.
    fn held_as_known(&self, id: VolumeId, volume: &super::state::Volume) -> Option<Epoch> {
        let unread = volume.phase == super::Phase::Unread && !mutant::on(Mutant::M47);
        let former = self.run.held.get(&id).filter(|_| unread).map(|held| held.epoch);
        volume.phase.held().map(|held| held.epoch).or(former)
    }

    fn registered(
        &mut self,
        now: Instant,
        registers: Vec<RegisterView>,
        recovering: Option<NodeSet>,
        out: &mut Out,
    ) {
        self.link.registered = true;
        self.note_seen();
        self.link.refused = None;
        self.view.recovering = recovering;
        // Whom it hears comes next: what it heard in a former session, or a former run, says nothing of now.
        self.view.hears = NodeSet::EMPTY;
        for register in registers {
            self.learn(now, register, out);
        }
        self.say(now, Request::Check(Check::Quorum), out);
        self.heartbeat(now, out);
    }

    /// What a holder keeps telling the witness.
    pub(super) fn heartbeat(&mut self, now: Instant, out: &mut Out) {
        // Whoever goes on by promises is alive, also when no heartbeat of it arrives.
        let hears = self.heard(now).union(self.asking(now));
        let mut holds = if self.run.failed { Vec::new() } else { self.holds() };
        // What was activated without a witness runs as long as a person said. It is named only when its record is
        // seen, and a lease bounds it: from then on the witness may take the end of one for a proof.
        holds.retain(|(id, _)| !self.disk.is_by_hand(*id) || mutant::on(Mutant::M52));
        self.say(now, Request::Heartbeat(Heartbeat { hears, holds, clock: now.elapsed() }), out);
    }

    /// What is held, in any phase until it is verified inactive.
    pub(super) fn holds(&self) -> Vec<(VolumeId, Epoch)> {
        self.volumes.iter().filter_map(|(id, volume)| Some((*id, volume.phase.held()?.epoch))).collect()
    }

    fn renewed(
        &mut self,
        now: Instant,
        sent_at: Option<Instant>,
        volumes: &[(VolumeId, Epoch)],
        refused: Vec<(VolumeId, Refusal)>,
        out: &mut Out,
    ) {
        self.link.answered_at = Some(now);
        if !self.link.told_up {
            self.link.told_up = true;
            out.event(Event::WitnessUp);
        }
        let base = if mutant::on(Mutant::M1) { Some(now) } else { sent_at };
        for (id, epoch) in volumes {
            let Some(volume) = self.volumes.get_mut(id) else { continue };
            volume.failsafe = false;
            volume.refused = None;
            volume.rounds.clear();
            if let Some(kept) = self.run.held.get_mut(id).filter(|kept| kept.refused) {
                kept.refused = false;
                out.run = true;
            }
            if let Some(base) = base {
                self.extend_lease(*id, *epoch, base, out);
            }
        }
        for (id, refusal) in refused {
            self.renewal_refused(now, id, refusal, out);
        }
    }

    /// A lease that was confirmed counts from when it was asked for.
    pub(super) fn extend_lease(&mut self, id: VolumeId, epoch: Epoch, asked_at: Instant, out: &mut Out) {
        let until = asked_at + self.config.params.lease;
        let Some(held) = self.volumes.get_mut(&id).and_then(|volume| volume.phase.held_mut()) else { return };
        if held.epoch == epoch && held.lease_until < until {
            held.lease_until = until;
            if let Some(kept) = self.run.held.get_mut(&id) {
                kept.lease_until = until;
                out.run = true;
            }
        }
    }

    fn renewal_refused(&mut self, now: Instant, id: VolumeId, refusal: Refusal, out: &mut Out) {
        let Some(volume) = self.volumes.get_mut(&id) else { return };
        volume.refused = Some(refusal);
        if mutant::on(Mutant::M37) {
            return;
        }
        volume.rounds.clear();
        if let Some(kept) = self.run.held.get_mut(&id).filter(|kept| !kept.refused) {
            kept.refused = !mutant::on(Mutant::M48);
            out.run |= kept.refused;
        }
        // Authority is gone for good: surrender at once instead of waiting for the lease to run out. A solo holder
        // needs no lease, and goes on while it is only refused; but one whose grant has ended could not change the
        // in-sync set again: it gives up and asks anew, and nobody else can be granted the volume.
        let ended = matches!(volume.refused, Some(Refusal::NotHolder { .. } | Refusal::EpochMismatch { .. }));
        if let super::Phase::Active(held) | super::Phase::Frozen(held) = volume.phase
            && (ended && !mutant::on(Mutant::M50) || !self.is_solo(id))
        {
            self.stop_volume(now, id, held, None, out);
        }
    }

    fn learn_view(&mut self, now: Instant, view: View, out: &mut Out) {
        for register in view.registers {
            self.learn(now, register, out);
        }
        self.view.hears = view.hears;
        self.view.permits = view.permits;
        self.permits_changed(now, out);
        self.view.pending = view.pending;
        self.view.maintenance = view.maintenance;
        self.view.held_off = view.held_off;
        self.view.failed = view.failed;
        self.view.recovering = view.recovering;
    }

    /// Takes a register as the witness has it.
    pub(super) fn learn(&mut self, now: Instant, register: RegisterView, out: &mut Out) {
        let id = register.volume;
        let mine = register.holder.is_some_and(|holder| self.is_me(holder));
        let (Some(volume), Some(disk)) = (self.volumes.get_mut(&id), self.disk.volumes.get_mut(&id)) else {
            return;
        };
        let known = volume.register.as_ref().map(|known| known.isr_version).unwrap_or_default();
        if register.isr_version < known.max(disk.isr_version) && !mutant::on(Mutant::M14) {
            return;
        }
        // A witness that was put back shows what was before the grant that is held, until it has recovered. What was
        // activated without it is ahead of it by right.
        let held = volume.phase.held().filter(|_| disk.overridden.is_none());
        let any = mutant::on(Mutant::M57) || mutant::on(Mutant::M59);
        if held.is_some_and(|held| register.epoch < held.epoch) && !any {
            return;
        }
        let intents = disk.intents.len();
        disk.intents.retain(|intent| intent.version >= register.isr_version);
        // A grant to this node is taken with its attempt or not at all; seeing it here must not use it up.
        let epoch =
            if mine || mutant::on(Mutant::M21) { disk.max_epoch } else { register.epoch.max(disk.max_epoch) };
        let changed = disk.isr_version != register.isr_version
            || disk.isr != register.isr
            || disk.recorded != register.generation
            || disk.max_epoch != epoch
            || disk.intents.len() != intents;
        if changed {
            disk.isr = register.isr;
            disk.isr_version = register.isr_version;
            disk.recorded = register.generation;
            disk.max_epoch = epoch;
            if disk.overridden.is_some_and(|over| register.epoch >= over.epoch) {
                disk.overridden = None;
                let bound =
                    if mutant::on(Mutant::M52) { Instant::NEVER } else { now + self.config.params.lease };
                if let Some(held) = volume.phase.held_mut() {
                    held.lease_until = held.lease_until.min(bound);
                }
                if let Some(kept) = self.run.held.get_mut(&id) {
                    kept.lease_until = kept.lease_until.min(bound);
                    out.run = true;
                }
            }
            out.disk |= !mutant::on(Mutant::M40);
        }
        if volume.register.as_ref() != Some(&register) {
            volume.update_after = Instant::BOOT;
            if volume.not_granted.take().is_some() {
                volume.retry_at = Instant::BOOT;
            }
            volume.unclaimed_since = None;
        }
        let before = volume.register.replace(register.clone());
        if let Some(before) = before {
            self.tell_change(id, before.isr, register.isr, out);
        }
    }

    fn refused(&mut self, now: Instant, subject: Subject, refusal: Refusal, out: &mut Out) {
        match subject {
            Subject::Session => {
                if self.link.refused.replace(refusal.clone()).as_ref() != Some(&refusal) {
                    out.event(Event::WitnessRefused(refusal));
                }
                self.close_witness(out);
            }
            Subject::Acquire { volume, attempt } => self.not_granted(now, volume, attempt, refusal, out),
            Subject::InSync { volume } => self.not_in_sync(now, volume, &refusal, out),
            Subject::Release { volume } => {
                // The register names another epoch or holder: the release has nothing left to end. But a later
                // grant may have been given back since, and its release is still on its way.
                let epoch =
                    if let Refusal::EpochMismatch { asked, .. } = refusal { Some(asked) } else { None };
                if let Some(volume) = self.volumes.get_mut(&volume) {
                    volume.releasing =
                        volume.releasing.filter(|open| epoch.is_some_and(|it| open.epoch > it));
                }
            }
            Subject::Fence { target, attempt } => self.not_permitted(now, target, attempt, refusal, out),
            Subject::Permit { permit } => self.permit_refused(now, permit, refusal, out),
        }
    }

    fn pending(&mut self, subject: Subject, refusal: Refusal, out: &mut Out) {
        match subject {
            Subject::Acquire { volume: id, attempt } => {
                let Some(volume) = self.volumes.get_mut(&id) else { return };
                if let Some(open) = volume.attempt.as_mut().filter(|open| open.id == attempt) {
                    open.waiting = Some(refusal.clone());
                    out.event(Event::Waiting { volume: id, refusal });
                }
            }
            Subject::Fence { target, attempt } => self.permit_pending(target, attempt, refusal, out),
            Subject::Session | Subject::InSync { .. } | Subject::Release { .. } | Subject::Permit { .. } => {}
        }
    }

    pub(super) fn settle_link(&mut self, now: Instant, out: &mut Out) {
        if self.link.told_up && self.is_witness_lost(now) {
            self.link.told_up = false;
            out.event(Event::WitnessLost);
        }
        if self.is_registration_lost(now) && !mutant::on(Mutant::M51) {
            self.close_witness(out);
        }
        // A registration tells what the node has; a driver that says nothing is not waited for without end.
        let read = self.volumes.values().all(|volume| volume.phase != super::Phase::Unread);
        let waited = now.since(self.started) >= self.config.params.suspect_after() * FIRST_REPORTS_WITHIN;
        // What was left running under a maintenance is taken up with a lease from its first report, and the witness
        // counts that lease from the registration: the one must not come after the other.
        let left_running = |(id, volume): (&VolumeId, &super::state::Volume)| {
            volume.phase == super::Phase::Unread && self.run.held.contains_key(id)
        };
        let unread = self.kept && self.volumes.iter().any(left_running);
        let ready = !unread && (read || waited) || mutant::on(Mutant::M47);
        if let Some(nonce) = self.link.challenge.filter(|_| ready) {
            self.register(now, nonce, out);
        }
    }

    /// Whether the registration was sent so long ago that nobody will answer it.
    fn is_registration_lost(&self, now: Instant) -> bool {
        let limit = self.config.params.suspect_after() * REGISTERED_WITHIN;
        let sent = self.link.sent.front().filter(|_| !self.link.registered);
        sent.is_some_and(|(_, at)| now.since(*at) >= limit)
    }

    /// A recovering witness decides by what the nodes have: when that changes, it is told in a new registration.
    pub(super) fn report_again(&mut self, out: &mut Out) {
        if self.link.registered && self.view.recovering.is_some() {
            self.close_witness(out);
        }
    }
}
