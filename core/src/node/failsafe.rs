//! Going on without a witness.
//!
//! A holder whose renewals are not answered asks every other member of the in-sync set, in the maximal view. Each
//! promises not to take the volume for a lease and a guard; when all have promised, the lease counts from when
//! they were asked. A refused renewal is an answer: no peer may extend that lease.

use super::state::{FenceStage, Node, Out, Phase, Round};
use super::{Event, Promise};
use crate::error::Refusal;
use crate::ids::{Epoch, NodeId, NodeSet, Nonce, RequestId, VolumeId};
use crate::message::PeerBody;
use crate::mutant::{self, Mutant};
use crate::time::{Duration, Instant};
use alloc::vec::Vec;

/// So many questions of a volume may be open at once; an answer that takes longer than this many heartbeats would
/// extend the lease by next to nothing.
const ROUNDS_MAX: usize = 4;

/// Nobody is promised more than this: a takeover would wait for it.
pub(super) const LEASE_MAX: Duration = Duration::from_secs(600);

impl Node {
    /// The nodes that must promise before the volume's lease may go on without a witness.
    fn must_promise(&self, id: VolumeId) -> NodeSet {
        let Some(disk) = self.disk.volumes.get(&id) else { return NodeSet::EMPTY };
        let view = if mutant::on(Mutant::M13) { disk.isr } else { disk.maximal_isr() };
        view.without(self.config.me)
    }

    /// With each heartbeat, while the witness is lost.
    pub(super) fn ask_peers_for_leases(&mut self, now: Instant, out: &mut Out) {
        // With M37 a refusal is taken for no answer.
        let refused = mutant::on(Mutant::M37) && self.volumes.values().any(|volume| volume.refused.is_some());
        if !self.is_witness_lost(now) && !refused || self.run.failed {
            return;
        }
        let ids: Vec<_> = self.volumes.keys().copied().collect();
        for id in ids {
            self.ask_peers_for_lease(now, id, out);
        }
    }

    fn ask_peers_for_lease(&mut self, now: Instant, id: VolumeId, out: &mut Out) {
        let missing = self.must_promise(id);
        let solo = self.is_solo(id);
        let request = self.next_request();
        let Some(volume) = self.volumes.get_mut(&id) else { return };
        let asks = matches!(volume.phase, Phase::Active(_) | Phase::Frozen(_)) || !mutant::on(Mutant::M83);
        let Some(held) = volume.phase.held().filter(|_| asks) else { return };
        let refused = volume.refused.is_some() && !mutant::on(Mutant::M37);
        if solo || refused || missing.is_empty() || now >= held.lease_until {
            return;
        }
        if volume.rounds.len() == ROUNDS_MAX {
            volume.rounds.remove(0);
        }
        volume.rounds.push(Round { request, sent_at: now, missing });
        let lease = self.config.params.lease;
        for peer in missing.iter() {
            self.tell(peer, PeerBody::FailsafeLease { request, volume: id, epoch: held.epoch, lease }, out);
        }
    }

    /// A peer answered.
    #[expect(
        clippy::too_many_arguments,
        reason = "the fields of one message, taken apart by an exhaustive match"
    )]
    pub(super) fn promised(
        &mut self,
        now: Instant,
        from: NodeId,
        (request, run): (RequestId, Nonce),
        id: VolumeId,
        epoch: Epoch,
        promise: &Result<(), Refusal>,
        out: &mut Out,
    ) {
        if run != self.run_id && !mutant::on(Mutant::M21) {
            return;
        }
        let Some(volume) = self.volumes.get_mut(&id) else { return };
        let Some(index) = volume.rounds.iter().position(|round| round.request == request) else { return };
        if promise.is_err() {
            volume.rounds.remove(index);
            return;
        }
        let round = &mut volume.rounds[index];
        round.missing = round.missing.without(from);
        if !round.missing.is_empty() {
            return;
        }
        let asked_at = round.sent_at;
        volume.rounds.drain(..=index);
        let late = volume.phase.held().is_none_or(|held| now >= held.lease_until);
        if late || volume.refused.is_some() && !mutant::on(Mutant::M37) {
            return;
        }
        if !volume.failsafe {
            volume.failsafe = true;
            out.event(Event::Failsafe { volume: id });
        }
        self.extend_lease(id, epoch, asked_at, out);
    }

    /// A holder asks this node to promise.
    pub(super) fn promise(
        &mut self,
        now: Instant,
        from: NodeId,
        id: VolumeId,
        epoch: Epoch,
        lease: Duration,
        out: &mut Out,
    ) -> Result<(), Refusal> {
        self.may_promise(from, id, epoch)?;
        if lease > LEASE_MAX {
            return Err(Refusal::WrongState { expected: "a lease that can be waited for".into() });
        }
        self.abort_attempt(now, id, out);
        self.abort_asking_to_fence(now, from, out);
        if !mutant::on(Mutant::M6) {
            // Whoever is asked promises for as long as the asker takes it for.
            let asked = if mutant::on(Mutant::M65) { Duration::ZERO } else { lease };
            let lasts = self.config.params.promise(asked);
            self.note_promise(lasts, out);
            let until = now + lasts;
            let told = self.run.promises.iter().any(|p| p.volume == id && p.to == from && now < p.until);
            self.run.promises.retain(|p| now < p.until && (p.volume, p.to) != (id, from));
            self.run.promises.push(Promise { volume: id, to: from, epoch, until });
            out.run = true;
            if !told {
                out.event(Event::Promised { volume: id, to: from });
            }
        }
        Ok(())
    }

    fn may_promise(&self, from: NodeId, id: VolumeId, epoch: Epoch) -> Result<(), Refusal> {
        let (Some(volume), Some(disk)) = (self.volumes.get(&id), self.disk.volumes.get(&id)) else {
            return Err(Refusal::NoSuchVolume { volume: id });
        };
        if disk.max_epoch > epoch {
            return Err(Refusal::EpochMismatch { held: disk.max_epoch, asked: epoch });
        }
        if volume.phase != Phase::Secondary {
            return Err(Refusal::WrongState { expected: "a secondary replica".into() });
        }
        if !volume.report.as_ref().is_some_and(|report| report.connected.contains(from)) {
            return Err(Refusal::NotConnected);
        }
        let fencing = self.fences.values().any(|case| case.stage.permit().is_some());
        if fencing && !mutant::on(Mutant::M36) {
            return Err(Refusal::FenceUnresolved);
        }
        Ok(())
    }

    fn abort_attempt(&mut self, now: Instant, id: VolumeId, out: &mut Out) {
        if !mutant::on(Mutant::M7) {
            self.drop_attempt(now, id, out);
        }
    }

    fn abort_asking_to_fence(&mut self, now: Instant, target: NodeId, out: &mut Out) {
        let asking =
            self.fences.get(&target).is_some_and(|case| matches!(case.stage, FenceStage::Asking { .. }));
        if asking {
            self.drop_fence_request(now, target, out);
        }
    }

    /// A live promise about the volume. It ends early when the epoch it was given for is seen to have been
    /// released: the holder that it protected stepped down by itself.
    pub(super) fn promise_about(&self, now: Instant, id: VolumeId) -> Option<Promise> {
        let register = self.volumes.get(&id).and_then(|volume| volume.register.as_ref());
        let released = |promise: &Promise| {
            register.is_some_and(|register| register.epoch == promise.epoch && register.holder.is_none())
        };
        self.run.promises.iter().copied().find(|p| p.volume == id && now < p.until && !released(p))
    }

    /// A live promise to this node about anything.
    pub(super) fn has_promised_to(&self, now: Instant, node: NodeId) -> bool {
        self.run.promises.iter().any(|promise| promise.to == node && now < promise.until)
    }
}
