//! What operators ask for: nodes out of sets, nodes cleared, nodes under maintenance, stores retired.

use super::event::Event;
use super::turn::Turn;
use super::{Witness, insync, meatware, recovery, session};
use crate::error::Refusal;
use crate::ids::{NodeId, NodeSet, VolumeId};
use crate::message::{OperatorAnswer, OperatorRequest};
use crate::time::Duration;

/// Takes an operator's request and passes the answer to `tell`; who may ask what was checked by the transport.
pub(super) fn operator(
    witness: &mut Witness,
    turn: &mut Turn,
    request: OperatorRequest,
    tell: impl FnOnce(&mut Witness, &mut Turn, OperatorAnswer),
) {
    let ends = match request {
        OperatorRequest::Maintenance { node, length } if length.is_zero() => Some(node),
        _ => None,
    };
    let done = if witness.record.retired {
        Err(wrong_state("a witness in service: this store was retired"))
    } else {
        carry_out(witness, turn, request)
    };
    tell(witness, turn, done.unwrap_or_else(OperatorAnswer::Refused));
    // Last, because the session that ends with the maintenance may be the one that carries the answer.
    if let Some(node) = ends {
        end_maintenance(witness, turn, node);
    }
}

fn carry_out(
    witness: &mut Witness,
    turn: &mut Turn,
    request: OperatorRequest,
) -> Result<OperatorAnswer, Refusal> {
    match request {
        OperatorRequest::Adopt { source } => recovery::adopt(witness, turn, source),
        OperatorRequest::Retire => {
            retire(witness, turn);
            Ok(OperatorAnswer::Done)
        }
        OperatorRequest::Evict { node, volume } | OperatorRequest::ForceStale { node, volume } => {
            take_out(witness, turn, node, volume)
        }
        OperatorRequest::Clear { node } => {
            let known = witness.record.nodes.get_mut(&node).ok_or(Refusal::NotMember)?;
            known.held_off = false;
            known.fences = 0;
            witness.timers.fences.remove(&node);
            turn.event(Event::Cleared { node });
            Ok(OperatorAnswer::Done)
        }
        OperatorRequest::ConfirmMeatware { node, challenge } => {
            meatware::confirm(witness, turn, node, challenge)
        }
        OperatorRequest::DenyMeatware { node } => meatware::deny(witness, turn, node),
        OperatorRequest::Maintenance { node, length } => maintain(witness, turn, node, length),
    }
}

fn wrong_state(expected: &str) -> Refusal {
    Refusal::WrongState { expected: expected.into() }
}

/// Another witness takes over: this store serves nobody any more. Each session is refused at its next message.
fn retire(witness: &mut Witness, turn: &mut Turn) {
    witness.record.retired = true;
    witness.timers = super::Timers::default();
    for session in witness.sessions.values_mut() {
        session.beat = None;
        session.acquires.clear();
        session.fences.clear();
    }
    turn.event(Event::Retired);
}

fn take_out(
    witness: &mut Witness,
    turn: &mut Turn,
    node: NodeId,
    volume: VolumeId,
) -> Result<OperatorAnswer, Refusal> {
    if let Some(missing) = witness.recovering() {
        return Err(Refusal::Recovering { missing });
    }
    let register = witness.register(volume)?;
    if !witness.config.is_member(node) {
        return Err(Refusal::NotMember);
    }
    if !register.isr.contains(node) {
        return Err(Refusal::NotInSync { isr: register.isr });
    }
    if register.holder.is_some_and(|holder| holder.node == node) {
        return Err(wrong_state("a node that does not hold the volume"));
    }
    if register.isr == NodeSet::only(node) {
        return Err(wrong_state("another node that has the data"));
    }
    insync::take_out(witness, turn, volume, node);
    Ok(OperatorAnswer::Done)
}

/// Declares a maintenance, or ends it.
///
/// During it the daemon may stop with its watchdog closed properly while volumes keep running. The end of a lease
/// proves nothing from now on, and not after the maintenance either, before the node has registered anew.
fn maintain(
    witness: &mut Witness,
    turn: &mut Turn,
    node: NodeId,
    length: Duration,
) -> Result<OperatorAnswer, Refusal> {
    let known = witness.record.nodes.get_mut(&node).ok_or(Refusal::NotMember)?;
    if length.is_zero() {
        return Ok(OperatorAnswer::Done);
    }
    if let Some(live) = known.permit {
        return Err(Refusal::TargetOfPermit { permit: live.id });
    }
    known.maintenance = Some(length);
    known.self_fence.watchdog_counts = false;
    witness.timers.maintenance.insert(node, turn.now + length);
    turn.event(Event::MaintenanceBegun { node, length });
    Ok(OperatorAnswer::Done)
}

/// The maintenance is over. The session ends with it: a new registration tells whether the watchdog is armed.
pub(super) fn end_maintenance(witness: &mut Witness, turn: &mut Turn, node: NodeId) {
    let Some(known) = witness.record.nodes.get_mut(&node) else { return };
    if known.maintenance.take().is_some() {
        witness.timers.maintenance.remove(&node);
        session::end(witness, turn, node);
        turn.event(Event::MaintenanceEnded { node });
    }
}
