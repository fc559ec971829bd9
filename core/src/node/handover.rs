//! Moving a volume to another node, and stopping the daemon.
//!
//! The holder asks the other node first whether it could take the volume now. Only then does it demote, release
//! with the other as the successor, and the other, which has been asking for the grant since it said yes, gets it
//! with the release as the proof. Cut at any step, the volume has one holder, or none and both may ask.

use super::standby::LATE;
use super::state::{Handover, Node, OperatorTicket, Out, Phase, Stop, Volume};
use super::{Effect, NodeAnswer};
use crate::error::Refusal;
use crate::ids::{Epoch, NodeId, NodeSet, RequestId, VolumeId};
use crate::message::PeerBody;
use crate::mutant::{self, Mutant};
use crate::time::Instant;
use alloc::vec::Vec;

impl Node {
    /// The holder offers a volume to another node.
    pub(super) fn offer(
        &mut self,
        now: Instant,
        id: VolumeId,
        to: NodeId,
        asked_by: Option<NodeId>,
        out: &mut Out,
    ) -> Result<(), Refusal> {
        if to == self.config.me {
            return Err(Refusal::AlreadyThere);
        }
        let request = self.next_request();
        let give_up_at = now + self.config.params.suspect_after();
        let Some(volume) = self.volumes.get_mut(&id) else {
            return Err(Refusal::NoSuchVolume { volume: id });
        };
        let Phase::Active(held) = volume.phase else {
            let holder =
                volume.register.as_ref().and_then(|register| register.holder).map(|holder| holder.node);
            return Err(Refusal::NotHolder { holder });
        };
        if !self.link.registered {
            return Err(Refusal::NotRegistered);
        }
        volume.handover = Some(Handover { to, asked_by, request, give_up_at });
        self.tell(to, PeerBody::HandoverOffer { request, volume: id, epoch: held.epoch }, out);
        Ok(())
    }

    /// Whether this node could take the volume over from its holder now.
    pub(super) fn could_take(
        &self,
        now: Instant,
        from: NodeId,
        id: VolumeId,
        epoch: Epoch,
    ) -> Result<(), Refusal> {
        let (Some(volume), Some(disk)) = (self.volumes.get(&id), self.disk.volumes.get(&id)) else {
            return Err(Refusal::NoSuchVolume { volume: id });
        };
        if disk.max_epoch > epoch {
            return Err(Refusal::EpochMismatch { held: disk.max_epoch, asked: epoch });
        }
        if volume.phase != Phase::Secondary || self.stop.is_some() {
            return Err(Refusal::WrongState {
                expected: "a secondary replica of a daemon that is not stopping".into(),
            });
        }
        if self.run.failed {
            return Err(Refusal::DeclaredFailed);
        }
        if self.disk.standby {
            return Err(Refusal::Standby);
        }
        let Some(report) = &volume.report else { return Err(Refusal::Incomplete) };
        if !report.complete {
            return Err(Refusal::Incomplete);
        }
        if !report.connected.contains(from) {
            return Err(Refusal::NotConnected);
        }
        let Some(register) = &volume.register else { return Err(Refusal::NotRegistered) };
        if !register.isr.contains(self.config.me) {
            return Err(Refusal::NotInSync { isr: register.isr });
        }
        if !self.link.registered {
            return Err(Refusal::NotRegistered);
        }
        if now < self.quarantine_until() {
            return Err(Refusal::Quarantined);
        }
        match self.promise_about(now, id) {
            Some(promise) => Err(Refusal::Promised { to: promise.to }),
            None => Ok(()),
        }
    }

    /// From now on the grant is asked for, so that the release finds the request waiting.
    pub(super) fn expect_handover(&mut self, now: Instant, id: VolumeId) {
        let until = now + self.config.params.suspect_after() * 4;
        if let Some(volume) = self.volumes.get_mut(&id) {
            volume.expecting_until = Some(until);
        }
    }

    pub(super) fn handover_answered(
        &mut self,
        now: Instant,
        from: NodeId,
        request: RequestId,
        id: VolumeId,
        ready: Result<(), Refusal>,
        out: &mut Out,
    ) {
        let Some(volume) = self.volumes.get_mut(&id) else { return };
        let Some(handover) = volume.handover.filter(|open| open.to == from && open.request == request) else {
            return;
        };
        match (ready, volume.phase) {
            (Ok(()), Phase::Active(held)) if self.link.registered => {
                self.stop_volume(now, id, held, Some(handover.to), out);
            }
            (Ok(()), _) => self.handover_refused(id, Refusal::NotRegistered, out),
            (Err(refusal), _) => self.handover_refused(id, refusal, out),
        }
    }

    fn handover_refused(&mut self, id: VolumeId, refusal: Refusal, out: &mut Out) {
        let handover = self.volumes.get_mut(&id).and_then(|volume| volume.handover.take());
        let Some(handover) = handover else { return };
        self.move_refused(id, handover.to, &refusal, out);
        if let Some(asker) = handover.asked_by {
            self.tell(asker, PeerBody::MoveRefused { volume: id, to: handover.to, refusal }, out);
        }
    }

    /// Tells the people who asked here for that move.
    pub(super) fn move_refused(&mut self, id: VolumeId, target: NodeId, refusal: &Refusal, out: &mut Out) {
        let is_it = |ticket: &OperatorTicket| matches!(ticket, OperatorTicket::Move { volume, to, .. } if *volume == id && *to == target);
        let tickets: Vec<_> =
            self.operators.iter().filter(|(_, ticket)| is_it(ticket)).map(|(ticket, _)| *ticket).collect();
        for ticket in tickets {
            self.operators.remove(&ticket);
            out.push(Effect::Answer { ticket, answer: NodeAnswer::Refused(refusal.clone()) });
        }
    }

    /// An offer that is not answered is taken back.
    pub(super) fn settle_handover(&mut self, now: Instant, id: VolumeId, out: &mut Out) {
        let handover = self.volumes.get(&id).and_then(|volume| volume.handover);
        if handover.is_some_and(|handover| now >= handover.give_up_at) {
            self.handover_refused(id, Refusal::NotConnected, out);
        }
    }

    /// A daemon that stops hands over what it holds, or else releases it.
    pub(super) fn settle_stop(&mut self, now: Instant, out: &mut Out) {
        let Some(stop) = self.stop else { return };
        let ids: Vec<_> = self.volumes.keys().copied().collect();
        for id in &ids {
            self.stop_one(now, *id, out);
        }
        let idle = self.is_idle();
        if !stop.answered && (idle || now >= stop.give_up_at) {
            // From here on nothing is asked for any more: the daemon is about to end.
            self.stop = (!mutant::on(Mutant::M45)).then_some(Stop { answered: true, ..stop });
            let answer = if idle { NodeAnswer::Done } else { NodeAnswer::Unfinished(LATE.into()) };
            out.push(Effect::Answer { ticket: stop.ticket, answer });
        }
    }

    /// Nothing is held, and the witness knows; nothing is asked for, and no grant is on its way.
    pub(super) fn is_idle(&self) -> bool {
        let idle = |volume: &Volume| {
            matches!(volume.phase, Phase::Secondary | Phase::Unread)
                && volume.releasing.is_none()
                && volume.attempt.is_none()
        };
        self.link.withdrawn.is_none() && self.volumes.values().all(idle)
    }

    fn stop_one(&mut self, now: Instant, id: VolumeId, out: &mut Out) {
        let Some(volume) = self.volumes.get(&id) else { return };
        let Phase::Active(held) = volume.phase else { return };
        if volume.handover.is_some_and(|handover| now < handover.give_up_at) {
            return;
        }
        if !self.offer_to_next(now, id, out) {
            self.stop_volume(now, id, held, None, out);
        }
    }

    /// Whoever was offered a volume before may be offered it again.
    pub(super) fn offer_anew(&mut self) {
        for volume in self.volumes.values_mut() {
            volume.offered = NodeSet::EMPTY;
            volume.offer_after = Instant::BOOT;
        }
    }

    /// Offers an active volume to a peer that could take it, as far as is seen here, and was not offered it yet.
    /// Says whether there was one.
    pub(super) fn offer_to_next(&mut self, now: Instant, id: VolumeId, out: &mut Out) -> bool {
        let Some(volume) = self.volumes.get(&id) else { return false };
        let isr = volume.register.as_ref().map(|register| register.isr).unwrap_or_default();
        let able = volume.report.as_ref().map(|report| report.complete_peers.intersection(report.connected));
        let heard: NodeSet = isr.iter().filter(|peer| self.is_heard(now, *peer)).collect();
        let next = heard.intersection(able.unwrap_or_default()).minus(volume.offered).iter().next();
        let Some(to) = next else { return false };
        if let Some(volume) = self.volumes.get_mut(&id) {
            volume.offered = volume.offered.with(to);
        }
        self.offer(now, id, to, None, out).is_ok()
    }
}
