//! The grant rule: who may have a volume, and what proves that nobody else has it.
//!
//! [`judge`] is the whole rule, in one place, for every way in: a request, a deadline, a fence report. A request
//! that lacks only a proof stays pending and is judged again at each step.

use super::event::Event;
use super::session::Waiting;
use super::turn::{Turn, Verdict};
use super::{Register, Witness, lease};
use crate::error::Refusal;
use crate::evidence::Proof;
use crate::ids::{AttemptId, BootId, NodeId, NodeSet, VolumeId};
use crate::message::{Acquire, Granted, Holder, Reply, Subject};
use crate::mutant::{Mutant, on};
use alloc::format;

/// Takes a request up. It takes the place of an older one for the same volume.
pub(super) fn ask(witness: &mut Witness, node: NodeId, acquire: Acquire) {
    if let Some(session) = witness.sessions.get_mut(&node) {
        session.acquires.insert(acquire.volume, Waiting::new(acquire));
    }
}

/// Ends the pending requests of an attempt. A successor that gives up lets the others try.
pub(super) fn withdraw(witness: &mut Witness, node: NodeId, attempt: AttemptId) {
    let Some(session) = witness.sessions.get_mut(&node) else { return };
    session.fences.retain(|_, fence| fence.request.attempt != attempt);
    session.acquires.retain(|volume, acquire| {
        let stays = acquire.request.attempt != attempt;
        if !stays {
            give_up(&mut witness.record.volumes, &mut witness.timers.successors, *volume, node);
        }
        stays
    });
}

fn give_up(
    registers: &mut alloc::collections::BTreeMap<VolumeId, Register>,
    timers: &mut alloc::collections::BTreeMap<VolumeId, crate::time::Instant>,
    volume: VolumeId,
    node: NodeId,
) -> bool {
    let expected = registers.get_mut(&volume).filter(|register| register.successor == Some(node));
    expected.is_some_and(|register| {
        register.successor = None;
        timers.remove(&volume);
        true
    })
}

/// Judges every pending request once. Says whether that may have changed what others wait for.
///
/// Requests of nodes that are not heard rest: their grant would only have to be taken away again.
pub(super) fn settle(witness: &mut Witness, turn: &mut Turn) -> bool {
    let mut changed = false;
    for node in witness.hears().iter() {
        let Some(session) = witness.sessions.get_mut(&node) else { continue };
        for (volume, mut waiting) in core::mem::take(&mut session.acquires) {
            let subject = Subject::Acquire { volume, attempt: waiting.request.attempt };
            match judge(witness, node, &waiting.request) {
                Verdict::Yes(proof) => {
                    give(witness, turn, node, &waiting.request, proof);
                    changed = true;
                }
                Verdict::Pending(refusal) => {
                    if waiting.told.as_ref() != Some(&refusal) {
                        waiting.told = Some(refusal.clone());
                        turn.event(Event::Waiting { volume, node, refusal: refusal.clone() });
                        witness.send(turn, node, Reply::Pending { subject, refusal });
                    }
                    if let Some(session) = witness.sessions.get_mut(&node) {
                        session.acquires.insert(volume, waiting);
                    }
                }
                Verdict::Refuse(refusal) => {
                    let (registers, successors) =
                        (&mut witness.record.volumes, &mut witness.timers.successors);
                    changed |= give_up(registers, successors, volume, node);
                    witness.send(turn, node, Reply::Refused { subject, refusal });
                }
            }
        }
    }
    changed
}

/// The whole grant rule.
pub(super) fn judge(witness: &Witness, node: NodeId, acquire: &Acquire) -> Verdict<Proof> {
    let register = match witness.register(acquire.volume) {
        Ok(register) => register,
        Err(refusal) => return Verdict::Refuse(refusal),
    };
    if !witness.volume_members(acquire.volume).contains(node) {
        return Verdict::Refuse(Refusal::NotMember);
    }
    if let Some(missing) = witness.recovering() {
        return Verdict::Pending(Refusal::Recovering { missing });
    }
    let Some(boot) = witness.sessions.get(&node).and_then(|session| session.boot) else {
        return Verdict::Refuse(Refusal::NotRegistered);
    };
    if let Err(refusal) = witness.may_act(node) {
        // A permit ends; what a boot declared about itself does not.
        return match refusal {
            Refusal::TargetOfPermit { .. } => Verdict::Pending(refusal),
            lasting => Verdict::Refuse(lasting),
        };
    }
    if witness.record.nodes.get(&node).is_none_or(|known| known.held_off) {
        return Verdict::Refuse(Refusal::HeldOff);
    }
    if let Err(refusal) = data_fits(register, node, acquire) {
        return Verdict::Refuse(refusal);
    }
    match register.holder {
        None => released(register, node),
        Some(holder) if holder.node == node => own(register, holder, boot, acquire),
        Some(holder) => other(witness, acquire.volume, holder),
    }
}

/// Whether the replica has every acknowledged write.
fn data_fits(register: &Register, node: NodeId, acquire: &Acquire) -> Result<(), Refusal> {
    if !register.isr.contains(node) && !on(Mutant::M10) {
        return Err(Refusal::NotInSync { isr: register.isr });
    }
    if !acquire.complete {
        return Err(Refusal::Incomplete);
    }
    let (recorded, offered) = (register.generation, acquire.generation.current);
    if acquire.generation.descends_from(recorded) {
        Ok(())
    } else {
        Err(Refusal::DataMismatch { recorded, offered })
    }
}

/// Nobody holds it. During a handover only the successor may take it, until its time is over.
fn released(register: &Register, node: NodeId) -> Verdict<Proof> {
    match register.successor {
        Some(successor) if successor != node => Verdict::Pending(Refusal::WrongState {
            expected: format!("the end of the handover to node {successor}"),
        }),
        Some(_) | None => Verdict::Yes(Proof::Released),
    }
}

/// The asker itself holds it, in this boot or an earlier one.
fn own(register: &Register, holder: Holder, boot: BootId, acquire: &Acquire) -> Verdict<Proof> {
    if holder.boot != boot {
        return Verdict::Yes(Proof::NewerBoot { boot });
    }
    if register.revoked && register.attempt == Some(acquire.attempt) {
        let expected = "a new attempt: the grant of this one was revoked".into();
        return Verdict::Refuse(Refusal::WrongState { expected });
    }
    Verdict::Yes(Proof::SameHolder)
}

/// Another node holds it. The earliest valid proof wins.
///
/// A maintenance keeps the volume where it is: what would otherwise prove its machine off does not move it. A
/// newer boot does, since then nothing is left running that the maintenance was declared for.
fn other(witness: &Witness, volume: VolumeId, holder: Holder) -> Verdict<Proof> {
    let Holder { node, .. } = holder;
    let proof = inactive(witness, volume, holder);
    let maintained = witness.record.nodes.get(&node).is_some_and(|known| known.maintenance.is_some());
    match proof {
        Some(proof @ Proof::NewerBoot { .. }) => Verdict::Yes(proof),
        _ if maintained => Verdict::Pending(Refusal::Maintenance { node }),
        Some(proof) => Verdict::Yes(proof),
        None => Verdict::Pending(Refusal::NeedsProof {
            holder: node,
            alive: witness.hears().contains(node),
            lease_will_prove: lease::proves(witness, volume, holder),
        }),
    }
}

/// What proves the holder inactive, if anything does.
fn inactive(witness: &Witness, volume: VolumeId, holder: Holder) -> Option<Proof> {
    let known = witness.record.nodes.get(&holder.node)?;
    if let Some(boot) = known.boot
        && boot != holder.boot
    {
        return Some(Proof::NewerBoot { boot });
    }
    let fenced = known.fenced.filter(|fenced| fenced.boot == holder.boot);
    if let Some(fenced) = fenced {
        return Some(fenced.proof());
    }
    if on(Mutant::M29) && known.failed.is_some() {
        return Some(Proof::LeaseExpired);
    }
    let expired = !witness.timers.leases.contains_key(&volume);
    (expired && lease::proves(witness, volume, holder)).then_some(Proof::LeaseExpired)
}

/// Records a grant and tells it. The attempt that the present grant was made for gets the same one again.
fn give(witness: &mut Witness, turn: &mut Turn, node: NodeId, acquire: &Acquire, proof: Proof) {
    let volume = acquire.volume;
    let Some(boot) = witness.sessions.get(&node).and_then(|session| session.boot) else { return };
    let gone = gone(witness, node);
    let Some(register) = witness.record.volumes.get_mut(&volume) else { return };
    let again = proof == Proof::SameHolder
        && register.attempt == Some(acquire.attempt)
        && !register.revoked
        && !on(Mutant::M35);
    if !again {
        let before = register.isr;
        let isr = after_takeover(register, node, gone, proof);
        register.epoch.0 = register.epoch.max(register.floor).0 + 1;
        register.holder = Some(Holder { node, boot });
        register.revoked = false;
        register.overridden = false;
        register.attempt = Some(acquire.attempt);
        register.proof = Some(proof);
        register.successor = None;
        // Whoever is alone in the set has its data recorded anew before it forgets what was recorded. Others of a set
        // may not have come as far.
        let anew = isr == NodeSet::only(node) && acquire.generation.nearly_forgets(register.generation);
        if anew {
            register.generation = acquire.generation.current;
        }
        if isr != before || anew {
            register.set_isr(isr);
        }
        let epoch = register.epoch;
        witness.timers.successors.remove(&volume);
        turn.event(Event::Granted { volume, node, epoch, proof, isr });
    }
    let (register, proof) = (register.view(volume), register.proof.unwrap_or(proof));
    // The node counts from the newest request that was processed; ours has to end after that in any case.
    lease::begin(witness, turn, volume);
    witness.send(turn, node, Reply::Granted(Granted { attempt: acquire.attempt, register, proof }));
}

/// Members other than `node` whose present boot was confirmed off.
fn gone(witness: &Witness, node: NodeId) -> NodeSet {
    let fenced =
        witness.record.nodes.iter().filter(|(_, known)| known.boot.is_some_and(|b| known.is_fenced(b)));
    fenced.map(|(other, _)| *other).collect::<NodeSet>().without(node)
}

/// The in-sync set after a grant: a takeover leaves out the old holder and who was confirmed off, nobody else.
fn after_takeover(register: &Register, node: NodeId, gone: NodeSet, proof: Proof) -> NodeSet {
    let old = register.holder.map_or(NodeSet::EMPTY, |holder| NodeSet::only(holder.node)).without(node);
    match proof {
        Proof::Released | Proof::SameHolder => register.isr,
        Proof::NewerBoot { .. } | Proof::Fenced { .. } | Proof::Attested { .. } | Proof::LeaseExpired => {
            if on(Mutant::M42) { NodeSet::only(node) } else { register.isr.minus(old.union(gone)) }
        }
    }
}
