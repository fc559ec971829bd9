//! RECOVERY: the store may lack history, so that nothing is granted until every member has reported.
//!
//! ```text
//!  new store, or a node has seen more ─► RECOVERY ─ all members reported ──────────► claims agree ─► in service
//!                                           │     └ Adopt, then L+G+W+G ────────────►      │
//!                                           └───────────── claims contradict: a person ◄───┘
//! ```
//! Entering ends every session, so that the reports are of now. Renewals are not answered meanwhile: a node's
//! fail-safe goes on as if the witness were away. An adoption counts like a confirmation by hand for the members
//! that have not reported when it is given, and for nobody else: it waits as long, none of them may be heard, and who
//! had reported must still be there when it counts.
//!
//! [`claims::resolve`] takes the maxima of one volume; all volumes leave RECOVERY together.

mod claims;

use super::event::{Alarm, Event};
use super::turn::Turn;
use super::{Register, Witness, lease, session};
use crate::error::Refusal;
use crate::ids::{NodeId, NodeSet, PermitId, VolumeId};
use crate::message::{OperatorAnswer, ReplicaReport, Seen};
use crate::mutant::{Mutant, on};
use crate::params::EPOCH_JUMP;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Takes note of what a node has seen of any store. True: it has seen something that this store cannot answer for.
/// What is seen while the witness recovers is taken in by that recovery.
pub(super) fn notice(witness: &mut Witness, seen: Seen) -> bool {
    let record = &mut witness.record;
    if seen == Seen::default() || on(Mutant::M19) {
        return false;
    }
    if seen.store != record.store && !record.absorbed.contains_key(&seen.store) {
        // A store that was never heard of has seen something even at its first change.
        record.absorb(seen.store, seen.commit);
        return !record.recovery;
    }
    let known = record.absorbed.get(&seen.store).filter(|_| seen.store != record.store);
    let more = seen.commit > known.copied().unwrap_or(record.commit);
    if seen.store == record.store {
        record.commit = seen.commit.max(record.commit);
    } else {
        record.absorb(seen.store, seen.commit);
    }
    more && !record.recovery
}

/// Whether a report names something newer than the register.
pub(super) fn knows_more(witness: &Witness, reports: &[ReplicaReport]) -> bool {
    let newer = |report: &ReplicaReport| {
        witness.record.volumes.get(&report.volume).is_some_and(|register| {
            report.max_epoch > register.epoch
                || report.held > Some(register.epoch)
                || report.isr_version > register.isr_version
                || report.overridden.is_some_and(|claim| claim.epoch > register.epoch)
        })
    };
    // With M40 nothing durable tells of a lost history.
    reports.iter().any(newer) && !on(Mutant::M19) && !on(Mutant::M40)
}

/// Enters RECOVERY, unless in it already, and ends every session but `keep`, whose report is being taken.
pub(super) fn enter(witness: &mut Witness, turn: &mut Turn, cause: Option<NodeId>, keep: Option<NodeId>) {
    if witness.record.recovery {
        return;
    }
    witness.record.recovery = true;
    turn.event(Event::RecoveryBegun { node: cause });
    let others: Vec<NodeId> = witness.sessions.keys().copied().filter(|node| Some(*node) != keep).collect();
    for node in others {
        session::end(witness, turn, node);
    }
}

/// Members that have not reported in a session of now.
pub(super) fn missing(witness: &Witness) -> NodeSet {
    let reported = |node: &NodeId| witness.sessions.get(node).is_some_and(|session| session.report.is_some());
    witness.config.members.iter().filter(|node| !reported(node)).collect()
}

/// An operator ends the waiting for members that have not reported.
pub(super) fn adopt(
    witness: &mut Witness,
    turn: &mut Turn,
    source: Option<NodeId>,
) -> Result<OperatorAnswer, Refusal> {
    if !witness.record.recovery {
        return Err(Refusal::WrongState { expected: "a witness in RECOVERY".into() });
    }
    if source.is_some_and(|source| !witness.config.is_member(source)) {
        return Err(Refusal::NotMember);
    }
    witness.adopt_source = source;
    if missing(witness).is_empty() {
        finish(witness, turn, true);
        let contradict =
            || Refusal::WrongState { expected: "claims that agree, or whose data counts".into() };
        return if witness.record.recovery { Err(contradict()) } else { Ok(OperatorAnswer::Done) };
    }
    let heard = missing_but_heard(witness);
    if !heard.is_empty() {
        witness.adopt_source = None;
        let by = heard.iter().map(|node| witness.heard_by(node)).fold(NodeSet::EMPTY, NodeSet::union);
        return Err(Refusal::SeenAlive { by });
    }
    let effective_in = witness.attestation_wait();
    witness.timers.adoption = Some(turn.now + effective_in);
    witness.adopts_without = missing(witness);
    // No permit is behind an adoption.
    Ok(OperatorAnswer::Confirmed { permit: PermitId(0), effective_in })
}

/// Members that have not reported, and are heard.
fn missing_but_heard(witness: &Witness) -> NodeSet {
    if on(Mutant::M61) {
        return NodeSet::EMPTY;
    }
    missing(witness).iter().filter(|node| witness.is_heard(*node)).collect()
}

/// Whoever is heard may hold something, and whose report is gone since may have reported the newest: an adoption that
/// does not count yet is void.
pub(super) fn void_adoption(witness: &mut Witness, turn: &mut Turn) {
    if witness.timers.adoption.is_none() {
        return;
    }
    let (heard, missing) = (missing_but_heard(witness), missing(witness));
    let known = if on(Mutant::M80) { witness.config.members } else { witness.adopts_without };
    let gone = missing.minus(known);
    // Who came after the word has reported as well.
    if !on(Mutant::M87) {
        witness.adopts_without = witness.adopts_without.intersection(missing);
    }
    if !heard.is_empty() || !gone.is_empty() {
        witness.timers.adoption = None;
        witness.adopt_source = None;
        turn.event(Event::AdoptionVoid { heard, gone });
    }
}

/// The wait of an adoption is over.
pub(super) fn adoption_due(witness: &mut Witness, turn: &mut Turn) {
    if witness.record.recovery {
        finish(witness, turn, true);
    }
}

/// Ends RECOVERY if every member has reported and the claims agree.
pub(super) fn try_to_end(witness: &mut Witness, turn: &mut Turn) {
    if witness.record.recovery && missing(witness).is_empty() {
        finish(witness, turn, false);
    }
}

fn finish(witness: &mut Witness, turn: &mut Turn, adopted: bool) {
    let source = witness.adopt_source;
    let mut resolved: BTreeMap<VolumeId, Register> = BTreeMap::new();
    let mut diverged = NodeSet::EMPTY;
    for (volume, members) in witness.config.volumes.clone() {
        let own = witness.record.volumes.get(&volume).cloned().unwrap_or_default();
        match settled(witness, volume, (&own, members), source) {
            Ok(register) => {
                resolved.insert(volume, register);
            }
            Err(claims) => {
                turn.alarm(Alarm::Contradiction { volume, claims });
                diverged = diverged.union(claims);
            }
        }
    }
    witness.diverged = diverged;
    witness.adopt_source = None;
    witness.timers.adoption = None;
    if resolved.len() < witness.config.volumes.len() {
        return;
    }
    witness.adopted_from.clear();
    witness.timers.leases.clear();
    witness.timers.successors.clear();
    for (volume, mut register) in resolved {
        if let Some(holder) = register.holder {
            // A grant that this store did not know of is as dead under a live permit as every other.
            register.revoked |= witness.permit_against(holder.node).is_some();
            // Its holder may have one of longer timings.
            let lasts = lease::span(witness).max(witness.record.lease_and_guard);
            witness.timers.leases.insert(volume, turn.now + lasts);
        }
        witness.record.volumes.insert(volume, register);
    }
    witness.record.permits.0 += EPOCH_JUMP;
    witness.record.recovery = false;
    for session in witness.sessions.values_mut() {
        session.report = None;
    }
    turn.event(Event::RecoveryEnded { adopted });
}

/// The register of one volume. An operator's word counts where the claims contradict each other and nowhere else, and
/// for as long as others still do.
fn settled(
    witness: &mut Witness,
    volume: VolumeId,
    (own, members): (&Register, NodeSet),
    source: Option<NodeId>,
) -> Result<Register, NodeSet> {
    let reports = reports(witness, volume, members);
    let named = source.filter(|source| on(Mutant::M60) && members.contains(*source));
    let mut contradict = match claims::resolve(own, members, &reports, named) {
        Ok(register) => return Ok(register),
        Err(claims) => claims,
    };
    let words = [witness.adopted_from.get(&volume).copied(), source];
    for source in words.into_iter().flatten().filter(|source| members.contains(*source)) {
        match claims::resolve(own, members, &reports, Some(source)) {
            Ok(register) => {
                witness.adopted_from.insert(volume, source);
                return Ok(register);
            }
            Err(claims) => contradict = claims,
        }
    }
    Err(contradict)
}

/// What the members of a volume reported about it. A member that left the volume out knows nothing of it.
fn reports(witness: &Witness, volume: VolumeId, members: NodeSet) -> claims::Reports {
    let mut reports = claims::Reports::new();
    for node in members.iter() {
        let Some(session) = witness.sessions.get(&node) else { continue };
        let (Some(boot), Some(all)) = (session.boot, &session.report) else { continue };
        if let Some(report) = all.iter().find(|report| report.volume == volume) {
            reports.insert(node, (boot, report.clone()));
        }
    }
    reports
}
