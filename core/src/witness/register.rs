//! Boot order: a boot id becomes current only when it echoes the nonce that was sent on its connection.
//!
//! Boot ids are random, so "newer" has to be proven. A later connection of the node voids older nonces; a
//! superseded boot is remembered and refused for ever, and so is one that was confirmed off.

use super::event::{Alarm, Event};
use super::turn::Turn;
use super::{SUPERSEDED_MAX, Witness, lease, meatware, recovery, session};
use crate::error::Refusal;
use crate::ids::{BootId, NodeId, VolumeId};
use crate::message::{Register, Reply, Seen};
use crate::mutant::{Mutant, on};
use alloc::format;
use alloc::vec::Vec;

/// A node wants its session to count.
pub(super) fn register(witness: &mut Witness, turn: &mut Turn, node: NodeId, seen: Seen, register: Register) {
    if let Err(refusal) = admit(witness, turn, node, &register) {
        session::refuse(witness, turn, node, refusal);
        return;
    }
    let boot = register.boot;
    become_current(witness, turn, node, boot);
    promises(witness, turn, node, &register);
    if let Some(session) = witness.sessions.get_mut(&node) {
        session.boot = Some(boot);
        session.nonce = None;
    }
    let unseen = recovery::notice(witness, seen);
    if unseen || recovery::knows_more(witness, &register.replicas) {
        recovery::enter(witness, turn, Some(node), Some(node));
    }
    if witness.record.recovery
        && let Some(session) = witness.sessions.get_mut(&node)
    {
        session.report = Some(register.replicas);
    }
    lease::heard(witness, turn, node);
    turn.newcomers = turn.newcomers.with(node);
    let (registers, recovering) = (witness.registers(), witness.recovering());
    witness.send(turn, node, Reply::Registered { registers, recovering });
    recovery::try_to_end(witness, turn);
}

fn admit(witness: &mut Witness, turn: &mut Turn, node: NodeId, register: &Register) -> Result<(), Refusal> {
    let expected = witness.sessions.get(&node).and_then(|session| session.nonce);
    if expected != Some(register.nonce) && !on(Mutant::M24) {
        return Err(Refusal::WrongNonce);
    }
    let (ours, theirs) = (witness.config.digest, register.config);
    if ours != theirs {
        // It cannot be let in, but it is there: it answered this connection's challenge.
        lease::heard(witness, turn, node);
        return Err(Refusal::StaleConfig { ours, theirs });
    }
    let boot = register.boot;
    let Some(known) = witness.record.nodes.get(&node) else { return Err(Refusal::NotMember) };
    if known.superseded.contains(&boot) && !on(Mutant::M24) {
        return Err(Refusal::StaleBoot { boot });
    }
    let is_new = known.boot.is_some_and(|current| current != boot);
    if is_new && known.superseded.len() >= SUPERSEDED_MAX {
        let expected = format!("a node with fewer than {SUPERSEDED_MAX} former boots: give it a new id");
        return Err(Refusal::WrongState { expected });
    }
    match known.fenced {
        Some(fenced) if fenced.boot == boot => {
            turn.alarm(Alarm::OffButSpeaks { node, boot, permit: fenced.permit });
            Err(Refusal::StaleBoot { boot })
        }
        Some(_) | None => Ok(()),
    }
}

fn become_current(witness: &mut Witness, turn: &mut Turn, node: NodeId, boot: BootId) {
    if on(Mutant::M15) {
        for register in witness.record.volumes.values_mut() {
            if let Some(holder) = &mut register.holder
                && holder.node == node
            {
                holder.boot = BootId(!holder.boot.0);
            }
        }
    }
    let Some(known) = witness.record.nodes.get_mut(&node) else { return };
    if known.boot == Some(boot) {
        return;
    }
    known.superseded.extend(known.boot.replace(boot));
    known.superseded.remove(&boot);
    known.fenced = None;
    if !on(Mutant::M28) {
        known.failed = None;
    }
    turn.event(Event::NewBoot { node, boot });
    meatware::target_booted(witness, turn, node);
}

/// Records what the machine promises about its own end. Under a maintenance the daemon may stop with its watchdog
/// closed, so that nothing the machine promises counts before it registers after the maintenance. What it promises now
/// it did not keep before: the end of a lease proves something only if the lease began under the promise.
fn promises(witness: &mut Witness, turn: &Turn, node: NodeId, register: &Register) {
    let Some(known) = witness.record.nodes.get_mut(&node) else { return };
    let mut self_fence = register.self_fence;
    self_fence.watchdog_counts &= known.maintenance.is_none();
    let barrier_suffices = register
        .replicas
        .iter()
        .filter(|replica| replica.barrier_suffices)
        .map(|replica| replica.volume)
        .collect();
    let same = known.self_fence == self_fence && known.barrier_suffices == barrier_suffices;
    (known.self_fence, known.barrier_suffices) = (self_fence, barrier_suffices);
    if same || on(Mutant::M49) {
        return;
    }
    let held = |(id, register): (&VolumeId, &super::Register)| {
        register.holder.filter(|holder| holder.node == node).map(|_| *id)
    };
    let held: Vec<_> = witness.record.volumes.iter().filter_map(held).collect();
    held.into_iter().for_each(|volume| lease::begin(witness, turn, volume));
}
