//! A node that an operator put on standby: it takes no volume.
//!
//! The decision is the node's own and durable before it is acknowledged. Such a node is a member like any other: it
//! beats, gives evidence, promises, replicates, and counts for the quorum. It only never asks to hold a volume
//! ([`Node::wants`]), takes none over, and offers what it holds to its peers, as a move does. What nobody can take
//! stays in service, and is offered again; or, as an operator may ask for besides, goes out of service.

use super::state::{Node, OperatorTicket, Out, Phase, Volume};
use super::{ANSWER_WITHIN, Effect, Event, NodeAnswer};
use crate::error::Refusal;
use crate::ids::NodeSet;
use crate::mutant::{self, Mutant};
use crate::time::{Duration, Instant};
use alloc::vec::Vec;

/// How long a volume that nobody could take is kept before it is offered again: what hinders a peer, a resync or a
/// daemon's restart, takes seconds at least.
const OFFER_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// What is said when the time for an answer is over, to whoever waits for the end of what is held.
pub(super) const LATE: &str = "something is still held, or its release is not recorded";

impl Node {
    pub(super) fn set_standby(&mut self, now: Instant, ticket: u64, on: bool, out: &mut Out) {
        if self.disk.standby != on {
            self.disk.standby = on;
            out.disk |= !mutant::on(Mutant::M54);
            out.event(Event::Standby { on });
        }
        self.offer_anew();
        if on {
            let give_up_at = now + ANSWER_WITHIN;
            self.operators.insert(ticket, OperatorTicket::Standby { give_up_at });
        } else {
            out.push(Effect::Answer { ticket, answer: NodeAnswer::Done });
        }
    }

    pub(super) fn begin_release(&mut self, now: Instant, ticket: u64) -> Result<(), Refusal> {
        if !self.disk.standby {
            return Err(Refusal::WrongState { expected: "a node on standby".into() });
        }
        if !self.link.registered {
            return Err(Refusal::NotRegistered);
        }
        self.operators.insert(ticket, OperatorTicket::Release { give_up_at: now + ANSWER_WITHIN });
        Ok(())
    }

    /// Takes out of service what is in service, while the witness is there to record it.
    fn settle_out_of_service(&mut self, now: Instant, out: &mut Out) {
        if !self.link.registered {
            return;
        }
        let ids: Vec<_> = self.volumes.keys().copied().collect();
        for id in ids {
            if let Some(Phase::Active(held)) = self.volumes.get(&id).map(|volume| volume.phase) {
                self.stop_volume(now, id, held, None, out);
            }
        }
    }

    /// The answer to who asked for the release; none: it is not known yet.
    pub(super) fn release_answer(&self, now: Instant, give_up_at: Instant) -> Option<NodeAnswer> {
        let late = (now >= give_up_at).then(|| NodeAnswer::Unfinished(LATE.into()));
        self.ended_answer().or(late)
    }

    /// Nothing is held any more, or the node does not stand by any more.
    fn ended_answer(&self) -> Option<NodeAnswer> {
        if !self.disk.standby {
            return Some(NodeAnswer::Unfinished("the node was put online again".into()));
        }
        self.is_idle().then_some(NodeAnswer::Done)
    }

    /// Hands over what is held here, where somebody can take it.
    pub(super) fn settle_standby(&mut self, now: Instant, out: &mut Out) {
        if !self.disk.standby || self.stop.is_some() {
            return;
        }
        if self.operators.values().any(|open| matches!(open, OperatorTicket::Release { .. })) {
            self.settle_out_of_service(now, out);
            return;
        }
        let ids: Vec<_> = self.volumes.keys().copied().collect();
        for id in ids {
            let Some(volume) = self.volumes.get(&id) else { continue };
            let active = matches!(volume.phase, Phase::Active(_));
            if !active || volume.handover.is_some() || now < volume.offer_after {
                continue;
            }
            if !self.offer_to_next(now, id, out)
                && let Some(volume) = self.volumes.get_mut(&id)
            {
                volume.offered = NodeSet::EMPTY;
                volume.offer_after = now + OFFER_AGAIN_AFTER;
            }
        }
    }

    /// The answer to who asked for the standby; none: it is not known yet.
    pub(super) fn standby_answer(&self, now: Instant, give_up_at: Instant) -> Option<NodeAnswer> {
        self.ended_answer().or_else(|| self.kept_answer(now)).or_else(|| self.release_answer(now, give_up_at))
    }

    /// What is held stays, because nobody can take it now.
    fn kept_answer(&self, now: Instant) -> Option<NodeAnswer> {
        let stays = |volume: &Volume| {
            matches!(volume.phase, Phase::Active(_)) && volume.handover.is_none() && now < volume.offer_after
        };
        let is_held = |volume: &Volume| volume.phase.held().is_some();
        let is_settled = |volume: &Volume| volume.releasing.is_none() && (!is_held(volume) || stays(volume));
        let held = self.volumes.iter().filter(|(_, volume)| is_held(volume));
        let all = self.volumes.values().all(is_settled);
        all.then(|| NodeAnswer::Kept(held.map(|(id, _)| *id).collect()))
    }
}
