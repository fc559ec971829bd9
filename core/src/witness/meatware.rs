//! Confirmation by hand: a person attests that a machine is off, because no device can.
//!
//! ```text
//!  AskOperator ─► asked ──challenge typed, nobody hears it──► confirmed ──L+G+W+G──► the boot is proven inactive
//!                  │  ▲                                          │
//!                  │  └──────────── the target is heard ─────────┘
//!                  └─ denied, or the machine boots again: the permit ends and proves nothing
//! ```
//! A permit in this state ends by no timer. The wait after the confirmation covers lease, watchdog and guard, so
//! that even a wrong confirmation is safe against a machine that runs and is not paused.

use super::event::{Event, PermitEnd};
use super::record::{Asked, PermitRecord};
use super::turn::Turn;
use super::{FencedBoot, Witness, permit};
use crate::error::Refusal;
use crate::ids::{NodeId, Nonce, PermitId};
use crate::message::{OperatorAnswer, PendingConfirmation, Reply, Subject};
use crate::time::{Duration, Instant};

/// The fence came to the level where an operator must confirm. Asked again, the answer is the same.
pub(super) fn ask(witness: &mut Witness, turn: &mut Turn, node: NodeId, id: PermitId) {
    let found = permit::find(witness, id).filter(|(_, live)| live.fencer == node);
    let Some((target, mut live)) = found else {
        let subject = Subject::Permit { permit: id };
        let refusal = Refusal::NoSuchPermit { permit: id };
        witness.send(turn, node, Reply::Refused { subject, refusal });
        return;
    };
    if live.asked.is_none() {
        let challenge = six_digits(turn.fresh);
        live.asked = Some(Asked { challenge, confirmed: false });
        set(witness, target, live);
        witness.timers.permits.remove(&target);
        turn.event(Event::OperatorAsked { target, permit: id, challenge });
    }
    if let Some(pending) = pending(witness, target, live, Some(turn.now)) {
        witness.send(turn, node, Reply::OperatorAsked(pending));
    }
}

const fn six_digits(fresh: Nonce) -> u32 {
    #[allow(clippy::cast_possible_truncation, reason = "the remainder is below a million")]
    let digits = (fresh.0 % 900_000) as u32;
    100_000 + digits
}

fn set(witness: &mut Witness, target: NodeId, live: PermitRecord) {
    if let Some(known) = witness.record.nodes.get_mut(&target) {
        known.permit = Some(live);
    }
}

/// The confirmation that is waited for, as others see it. Without a time, what remains is given as zero.
pub(super) fn pending(
    witness: &Witness,
    target: NodeId,
    live: PermitRecord,
    now: Option<Instant>,
) -> Option<PendingConfirmation> {
    let asked = live.asked?;
    let due = witness.timers.confirmations.get(&target);
    let left = due.zip(now).map_or(Duration::ZERO, |(due, now)| due.since(now));
    let effective_in = asked.confirmed.then_some(left);
    let heard_by = witness.heard_by(target);
    Some(PendingConfirmation { target, permit: live.id, challenge: asked.challenge, heard_by, effective_in })
}

/// The operator attests that the machine is off.
pub(super) fn confirm(
    witness: &mut Witness,
    turn: &mut Turn,
    target: NodeId,
    challenge: u32,
) -> Result<OperatorAnswer, Refusal> {
    let mut live = waiting(witness, target)?;
    let asked = live.asked.as_mut().filter(|asked| !asked.confirmed).ok_or(Refusal::NothingPending)?;
    if asked.challenge != challenge {
        return Err(Refusal::WrongChallenge);
    }
    if let Some(by) = witness.seen_alive(target, None) {
        return Err(Refusal::SeenAlive { by });
    }
    asked.confirmed = true;
    let effective_in = witness.attestation_wait();
    let permit = live.id;
    set(witness, target, live);
    witness.timers.confirmations.insert(target, turn.now + effective_in);
    turn.event(Event::Confirmed { target, permit, effective_in });
    Ok(OperatorAnswer::Confirmed { permit, effective_in })
}

/// The operator says that the machine is not off.
pub(super) fn deny(
    witness: &mut Witness,
    turn: &mut Turn,
    target: NodeId,
) -> Result<OperatorAnswer, Refusal> {
    waiting(witness, target)?;
    permit::end(witness, turn, target, PermitEnd::Denied);
    Ok(OperatorAnswer::Done)
}

fn waiting(witness: &Witness, target: NodeId) -> Result<PermitRecord, Refusal> {
    let live = witness.record.nodes.get(&target).and_then(|known| known.permit);
    live.filter(|live| live.asked.is_some()).ok_or(Refusal::NothingPending)
}

/// The wait after a confirmation is over: it counts.
pub(super) fn take_effect(witness: &mut Witness, turn: &mut Turn, target: NodeId) {
    let Ok(live) = waiting(witness, target) else { return };
    permit::end(witness, turn, target, PermitEnd::Attested);
    let proven = FencedBoot { boot: live.target_boot, permit: live.id, attested: true };
    permit::proven_off(witness, turn, target, proven);
    witness.send(turn, live.fencer, Reply::FenceRecorded { permit: live.id });
}

/// Whoever is heard is not off: a confirmation that does not count yet is void, and is waited for again.
pub(super) fn void_heard(witness: &mut Witness, turn: &mut Turn) {
    let confirmed: alloc::vec::Vec<NodeId> = witness.timers.confirmations.keys().copied().collect();
    for target in confirmed {
        if !witness.is_heard(target) {
            continue;
        }
        let heard_by = witness.heard_by(target);
        witness.timers.confirmations.remove(&target);
        if let Ok(mut live) = waiting(witness, target) {
            live.asked = live.asked.map(|asked| Asked { confirmed: false, ..asked });
            set(witness, target, live);
        }
        turn.event(Event::ConfirmationVoid { target, heard_by });
    }
}

/// The machine booted again. No agent runs any more under a permit that waits for a person, so that it can end.
pub(super) fn target_booted(witness: &mut Witness, turn: &mut Turn, target: NodeId) {
    if waiting(witness, target).is_ok() {
        permit::end(witness, turn, target, PermitEnd::TargetBooted);
    }
}
