//! What the passing of time does: every timer that is due, before anything else in a step.

use super::event::{Event, PermitEnd};
use super::timers::{due, due_once};
use super::turn::Turn;
use super::{Witness, lease, meatware, membership, permit, recovery};
use alloc::vec::Vec;

/// Takes every timer out whose time has come, and does what it stands for.
pub(super) fn expire(witness: &mut Witness, turn: &mut Turn) {
    let now = turn.now;
    for node in due(&mut witness.timers.heard, now) {
        turn.event(Event::NodeSilent { node });
    }
    for session in witness.sessions.values_mut() {
        session.beat.take_if(|beat| beat.until <= now);
    }
    due_once(&mut witness.timers.blind_until, now);
    due_once(&mut witness.timers.catching_up_until, now);
    leases(witness, turn);
    for volume in due(&mut witness.timers.successors, now) {
        if let Some(register) = witness.record.volumes.get_mut(&volume)
            && let Some(node) = register.successor.take()
        {
            turn.event(Event::SuccessorGone { volume, node });
        }
    }
    for target in due(&mut witness.timers.permits, now) {
        permit::end(witness, turn, target, PermitEnd::TimedOut);
    }
    for target in due(&mut witness.timers.confirmations, now) {
        meatware::take_effect(witness, turn, target);
    }
    let ended: Vec<_> =
        witness.timers.maintenance.iter().filter(|(_, at)| **at <= now).map(|(n, _)| *n).collect();
    for node in ended {
        membership::end_maintenance(witness, turn, node);
    }
    forget_fences(witness, turn);
    if due_once(&mut witness.timers.adoption, now) {
        recovery::adoption_due(witness, turn);
    }
}

fn leases(witness: &mut Witness, turn: &mut Turn) {
    for volume in due(&mut witness.timers.leases, turn.now) {
        let holder = witness.record.volumes.get(&volume).and_then(|register| register.holder);
        if let Some(holder) = holder {
            let proves = lease::proves(witness, volume, holder);
            turn.event(Event::LeaseExpired { volume, node: holder.node, proves });
        }
    }
    if due_once(&mut witness.timers.longer_leases_until, turn.now) {
        witness.record.lease_and_guard = witness.config.params.lease_and_guard();
    }
}

fn forget_fences(witness: &mut Witness, turn: &Turn) {
    for (node, fences) in &mut witness.timers.fences {
        fences.retain(|until| *until > turn.now);
        if let Some(known) = witness.record.nodes.get_mut(node) {
            known.fences = u32::try_from(fences.len()).unwrap_or(u32::MAX);
        }
    }
    witness.timers.fences.retain(|_, fences| !fences.is_empty());
}
