//! The in-sync set: compare-and-swap by the holder, and nobody else.
//!
//! Recorded is what the holder's data was before any write under the new set, and it must descend from what was
//! recorded before. Every accepted request takes a new version, also one that changes nothing: the node can tell
//! its answer from an older one.

use super::event::Event;
use super::turn::Turn;
use super::{Witness, lease};
use crate::error::Refusal;
use crate::ids::{NodeId, NodeSet};
use crate::message::{Reply, Subject, UpdateInSync};
use crate::mutant::{Mutant, on};

/// The holder asks for another set.
pub(super) fn update(witness: &mut Witness, turn: &mut Turn, node: NodeId, update: &UpdateInSync) {
    let volume = update.volume;
    if let Err(refusal) = may_update(witness, node, update) {
        witness.send(turn, node, Reply::Refused { subject: Subject::InSync { volume }, refusal });
        return;
    }
    let Some(register) = witness.record.volumes.get_mut(&volume) else { return };
    register.set_isr(update.isr);
    register.generation = update.generation.current;
    let register = register.view(volume);
    turn.event(Event::InSync { volume, isr: register.isr, version: register.isr_version });
    witness.send(turn, node, Reply::InSync { register });
}

fn may_update(witness: &Witness, node: NodeId, update: &UpdateInSync) -> Result<(), Refusal> {
    if let Some(missing) = witness.recovering() {
        return Err(Refusal::Recovering { missing });
    }
    let register = witness.register(update.volume)?;
    // With the mutant a target's request passes, as if its authority had not ended with the permit.
    if on(Mutant::M30) && register.holder.is_some_and(|holder| holder.node == node) {
        // Neither the permit nor the revocation is looked at.
    } else {
        witness.may_act(node)?;
        lease::register_is_held(witness, register, node, update.epoch)?;
    }
    let (held, asked) = (register.isr_version, update.expected);
    if held != asked && !on(Mutant::M12) {
        return Err(Refusal::VersionConflict { held, asked });
    }
    let (recorded, offered) = (register.generation, update.generation.current);
    if !update.generation.descends_from(recorded) {
        return Err(Refusal::DataMismatch { recorded, offered });
    }
    let asked = update.isr;
    if !asked.contains(node) || !asked.is_subset(witness.volume_members(update.volume)) {
        return Err(Refusal::NotAnInSyncSet { asked });
    }
    let unfit = asked.minus(register.isr).iter().any(|joiner| !may_join(witness, joiner));
    if unfit { Err(Refusal::NotAnInSyncSet { asked }) } else { Ok(()) }
}

/// A node comes into a set only while it is heard, in a boot that nobody is about to fence.
fn may_join(witness: &Witness, node: NodeId) -> bool {
    let registered = witness.sessions.get(&node).is_some_and(|session| session.boot.is_some());
    let held_off = witness.record.nodes.get(&node).is_none_or(|known| known.held_off);
    registered && !held_off && witness.hears().contains(node) && witness.may_act(node).is_ok()
}

/// Takes a node out of a volume's set, on behalf of somebody else than the holder. Never the last one.
pub(super) fn take_out(witness: &mut Witness, turn: &mut Turn, volume: crate::ids::VolumeId, node: NodeId) {
    let Some(register) = witness.record.volumes.get_mut(&volume) else { return };
    let isr = register.isr.without(node);
    if isr != register.isr && isr != NodeSet::EMPTY {
        register.set_isr(isr);
        turn.event(Event::InSync { volume, isr, version: register.isr_version });
    }
}
