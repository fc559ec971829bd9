//! What people ask of a node.

use super::state::Held;
use super::state::{Node, OperatorTicket, Out, Phase, Stop, Volume};
use super::{Effect, Event, FenceWish, NodeAnswer, NodeRequest, Promotion, Role, VolumeAction};
use crate::error::Refusal;
use crate::ids::{Epoch, IsrVersion, NodeId, NodeSet, VolumeId};
use crate::message::{OperatorAnswer, OperatorRequest, Override, PeerBody, Request};
use crate::mutant::{self, Mutant};
use crate::params::EPOCH_JUMP;
use crate::time::{Duration, Instant};
use alloc::vec::Vec;

/// How long an operator's request may take; a move waits for a demote and a promote.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// The witness's answers come at once or not at all.
const WITNESS_ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// An override without a witness lasts a day at most.
const OVERRIDE_LONGEST: Duration = Duration::from_secs(24 * 3600);

impl Node {
    pub(super) fn take_operator(&mut self, now: Instant, ticket: u64, request: NodeRequest, out: &mut Out) {
        let begun = match request {
            NodeRequest::Move { volume, to } => self.begin_move(now, ticket, volume, to, out),
            NodeRequest::Fence { target, wish } => self.begin_fence(now, ticket, target, wish, out),
            NodeRequest::Unfence { target } => self.unfence(ticket, target, out),
            NodeRequest::Override { volume, dead, length } => {
                self.begin_override(now, ticket, volume, dead, length, out)
            }
            NodeRequest::Standby(on) => {
                self.set_standby(now, ticket, on, out);
                Ok(())
            }
            NodeRequest::Release => self.begin_release(now, ticket),
            NodeRequest::StopHandOver => {
                self.stop = Some(Stop { ticket, give_up_at: now + ANSWER_WITHIN, answered: false });
                self.offer_anew();
                Ok(())
            }
            NodeRequest::StopKeepRunning { length } => self.begin_keep_running(now, ticket, length, out),
            NodeRequest::Witness(request) => self.pass_on(now, ticket, request, out),
        };
        if let Err(refusal) = begun {
            out.push(Effect::Answer { ticket, answer: NodeAnswer::Refused(refusal) });
        }
    }

    fn begin_move(
        &mut self,
        now: Instant,
        ticket: u64,
        id: VolumeId,
        to: NodeId,
        out: &mut Out,
    ) -> Result<(), Refusal> {
        let Some(config) = self.config.volumes.get(&id) else {
            return Err(Refusal::NoSuchVolume { volume: id });
        };
        if !config.members.contains(to) {
            return Err(Refusal::NotMember);
        }
        if to == self.config.me && self.disk.standby {
            return Err(Refusal::Standby);
        }
        let holder = self.holder_of(id).map(|holder| holder.node);
        match holder {
            Some(node) if node == to => return Err(Refusal::AlreadyThere),
            Some(node) if node == self.config.me => self.offer(now, id, to, None, out)?,
            Some(node) if self.is_heard(now, node) => {
                self.tell(node, PeerBody::MoveRequest { volume: id, to }, out)
            }
            Some(_) | None => return Err(Refusal::NotHolder { holder }),
        }
        let give_up_at = now + ANSWER_WITHIN;
        self.operators.insert(ticket, OperatorTicket::Move { volume: id, to, give_up_at });
        Ok(())
    }

    fn begin_fence(
        &mut self,
        now: Instant,
        ticket: u64,
        target: NodeId,
        wish: FenceWish,
        out: &mut Out,
    ) -> Result<(), Refusal> {
        if !self.config.members.contains(target) || target == self.config.me {
            return Err(Refusal::NotMember);
        }
        if !self.config.fencing.get(&target).is_some_and(crate::topology::FencePlan::can_fence) {
            return Err(Refusal::WrongState { expected: "a fence device for that node".into() });
        }
        if now < self.quarantine_until() {
            return Err(Refusal::Quarantined);
        }
        if self.has_promised_to(now, target) {
            return Err(Refusal::Promised { to: target });
        }
        let under_way = self.fence_under_way(target);
        if under_way.is_some_and(|other| other != wish) {
            return Err(Refusal::WrongState { expected: "the end of the other fence of that node".into() });
        }
        let give_up_at = now + ANSWER_WITHIN;
        self.operators.insert(ticket, OperatorTicket::Fence { target, give_up_at });
        if under_way.is_none() {
            self.ask_to_fence(now, target, true, wish, out);
        }
        Ok(())
    }

    fn unfence(&mut self, ticket: u64, target: NodeId, out: &mut Out) -> Result<(), Refusal> {
        let levels = self.config.fencing.get(&target).map_or(0, |plan| plan.levels.len());
        if levels == 0 {
            return Err(Refusal::WrongState { expected: "a fence device for that node".into() });
        }
        for level in 0..u8::try_from(levels).unwrap_or(u8::MAX) {
            self.power_on(target, level, out);
        }
        out.push(Effect::Answer { ticket, answer: NodeAnswer::Done });
        Ok(())
    }

    fn begin_keep_running(
        &mut self,
        now: Instant,
        ticket: u64,
        length: Duration,
        out: &mut Out,
    ) -> Result<(), Refusal> {
        self.may_leave_running()?;
        let request = OperatorRequest::Maintenance { node: self.config.me, length };
        if !self.say(now, Request::Operator { ticket, request }, out) {
            return Err(Refusal::NotRegistered);
        }
        let (session, give_up_at) = (self.link.session, now + WITNESS_ANSWER_WITHIN);
        self.operators.insert(ticket, OperatorTicket::KeepRunning { session, give_up_at });
        Ok(())
    }

    /// Only what is in service with its authority can be left running: what is on its way into service or out of it
    /// needs its daemon to come there.
    fn may_leave_running(&self) -> Result<(), Refusal> {
        let rests = |(id, volume): (&VolumeId, &Volume)| match volume.phase {
            Phase::Unread | Phase::Secondary => true,
            Phase::Active(_) => volume.refused.is_none() || self.is_solo(*id),
            Phase::Promoting(_) | Phase::Frozen(_) | Phase::Stopping(_) | Phase::Failed => false,
        };
        if mutant::on(Mutant::M56) || self.volumes.iter().all(rests) {
            return Ok(());
        }
        Err(Refusal::WrongState {
            expected: "every volume in service, or out of it, and not on its way".into(),
        })
    }

    fn pass_on(
        &mut self,
        now: Instant,
        ticket: u64,
        request: OperatorRequest,
        out: &mut Out,
    ) -> Result<(), Refusal> {
        if !self.say(now, Request::Operator { ticket, request }, out) {
            return Err(Refusal::NotRegistered);
        }
        let (session, give_up_at) = (self.link.session, now + WITNESS_ANSWER_WITHIN);
        self.operators.insert(ticket, OperatorTicket::Witness { session, give_up_at });
        Ok(())
    }

    pub(super) fn witness_answered(&mut self, ticket: u64, answer: OperatorAnswer, out: &mut Out) {
        let Some(open) = self.operators.remove(&ticket) else { return };
        let answer = match (open, answer) {
            (OperatorTicket::KeepRunning { .. }, OperatorAnswer::Done) => {
                if self.may_leave_running().is_ok() {
                    self.run.keeps_running = true;
                    out.run = true;
                    // The daemon ends with it: what the witness has recorded must not be forgotten.
                    out.disk |= self.seen_owed;
                    NodeAnswer::Done
                } else {
                    NodeAnswer::Unfinished("a volume is on its way out of service by now".into())
                }
            }
            (_, answer) => NodeAnswer::Witness(answer),
        };
        out.push(Effect::Answer { ticket, answer });
    }

    pub(super) fn settle_operators(&mut self, now: Instant, out: &mut Out) {
        let tickets: Vec<_> = self.operators.iter().map(|(ticket, open)| (*ticket, *open)).collect();
        for (ticket, open) in tickets {
            if let Some(answer) = self.operator_answer(now, open) {
                self.operators.remove(&ticket);
                out.push(Effect::Answer { ticket, answer });
            }
        }
    }

    fn operator_answer(&self, now: Instant, open: OperatorTicket) -> Option<NodeAnswer> {
        let late = |give_up_at, text: &str| (now >= give_up_at).then(|| NodeAnswer::Unfinished(text.into()));
        match open {
            OperatorTicket::Move { volume, to, give_up_at } => {
                let there = self.holder_of(volume).is_some_and(|holder| holder.node == to);
                let here = to != self.config.me || self.is_active(volume);
                if there && here {
                    Some(NodeAnswer::Done)
                } else {
                    late(give_up_at, "the volume has not arrived")
                }
            }
            OperatorTicket::Standby { give_up_at } => self.standby_answer(now, give_up_at),
            OperatorTicket::Release { give_up_at } => self.release_answer(now, give_up_at),
            OperatorTicket::Fence { give_up_at, .. } => {
                late(give_up_at, "no permit, or the devices are still at work")
            }
            OperatorTicket::Witness { session, give_up_at }
            | OperatorTicket::KeepRunning { session, give_up_at } => {
                if session == self.link.session {
                    late(give_up_at, "the witness has not answered")
                } else {
                    Some(NodeAnswer::Unfinished(
                        "the session with the witness ended before its answer".into(),
                    ))
                }
            }
        }
    }

    /// The volume is in service here.
    #[must_use]
    pub fn is_active(&self, id: VolumeId) -> bool {
        self.volumes.get(&id).is_some_and(|volume| matches!(volume.phase, Phase::Active(_)))
    }

    /// Activates a volume without a witness. It is outside the invariant: the operator asserts that every other
    /// in-sync member is off and stays off until a witness has recorded it.
    fn begin_override(
        &mut self,
        now: Instant,
        ticket: u64,
        id: VolumeId,
        dead: NodeSet,
        length: Duration,
        out: &mut Out,
    ) -> Result<(), Refusal> {
        self.may_override(now, id, dead)?;
        let lease_until = now + length.min(OVERRIDE_LONGEST);
        let Some(disk) = self.disk.volumes.get_mut(&id) else {
            return Err(Refusal::NoSuchVolume { volume: id });
        };
        let jump = if mutant::on(Mutant::M41) { 1 } else { EPOCH_JUMP };
        let epoch = Epoch(disk.max_epoch.0 + jump);
        let isr = NodeSet::only(self.config.me);
        let isr_version = IsrVersion(disk.isr_version.0 + jump);
        disk.max_epoch = epoch;
        disk.isr = isr;
        disk.isr_version = isr_version;
        disk.intents.clear();
        disk.overridden = Some(Override { volume: id, epoch, isr, isr_version });
        let kept = self.held_anew(id, epoch, lease_until);
        self.run.held.insert(id, kept);
        out.disk = true;
        out.run = true;
        out.event(Event::Overridden { volume: id, epoch });
        if let Some(volume) = self.volumes.get_mut(&id) {
            volume.phase = Phase::Promoting(Held { epoch, lease_until });
            volume.attempt = None;
        }
        let valid_until = lease_until - self.config.params.freeze_before;
        let promotion = Promotion { volume: id, epoch, required: NodeSet::EMPTY, valid_until };
        self.command(now, id, VolumeAction::Promote(promotion), out);
        out.push(Effect::Answer { ticket, answer: NodeAnswer::Done });
        Ok(())
    }

    fn may_override(&self, now: Instant, id: VolumeId, dead: NodeSet) -> Result<(), Refusal> {
        let (Some(volume), Some(disk)) = (self.volumes.get(&id), self.disk.volumes.get(&id)) else {
            return Err(Refusal::NoSuchVolume { volume: id });
        };
        let wrong = |expected: &str| Err(Refusal::WrongState { expected: expected.into() });
        if self.link.registered {
            return wrong("no witness: this one answers, and decides");
        }
        if self.disk.standby {
            return Err(Refusal::Standby);
        }
        if volume.phase != Phase::Secondary {
            return wrong("a secondary replica");
        }
        if !disk.isr.contains(self.config.me) {
            return Err(Refusal::NotInSync { isr: disk.isr });
        }
        if !volume.report.as_ref().is_some_and(|report| report.complete && report.role == Role::Secondary) {
            return Err(Refusal::Incomplete);
        }
        let others = disk.maximal_isr().without(self.config.me);
        if !others.is_subset(dead) {
            return wrong("every other in-sync member named as off");
        }
        let heard: NodeSet = dead.iter().filter(|peer| !self.is_silent(now, *peer)).collect();
        if !heard.is_empty() {
            return Err(Refusal::SeenAlive { by: heard });
        }
        if now < self.quarantine_until() {
            return Err(Refusal::Quarantined);
        }
        match self.promise_about(now, id) {
            Some(promise) => Err(Refusal::Promised { to: promise.to }),
            None => Ok(()),
        }
    }
}
