//! Permits: nobody fences without one, and one per target is live at most.
//!
//! From its issue the target's authority is gone on every volume: renewals and changes of in-sync sets are refused
//! for ever under its old epochs, and what it asks for waits until the permit is over. That holds for any boot of
//! the target, because an agent that was started for one boot may still hit the next: it must then hit a node that
//! holds nothing.

use super::event::{Event, PermitEnd};
use super::record::PermitRecord;
use super::session::Waiting;
use super::turn::{Turn, Verdict};
use super::{Witness, lease};
use crate::error::Refusal;
use crate::evidence::FenceOutcome;
use crate::ids::{BootId, NodeId, NodeSet, PermitId, VolumeId};
use crate::message::{FenceReason, Permit, Reply, RequestFence, Subject};
use crate::mutant::{Mutant, on};
use crate::params::{FENCE_LOOP_LIMIT, FENCE_LOOP_WINDOW};
use crate::time::Duration;

/// The longest sum of all levels that a permit is given for. A permit keeps its target from holding anything, and
/// no device needs longer than this; an operator's answer is not waited for on this timer.
pub const LEVELS_MAX: Duration = Duration::from_secs(3600);

/// A node cannot stop what it holds. Bound to its boot, not to be taken back, and no proof of anything.
pub(super) fn declare_failed(witness: &mut Witness, turn: &mut Turn, node: NodeId) {
    let Some(boot) = witness.sessions.get(&node).and_then(|session| session.boot) else { return };
    if let Some(known) = witness.record.nodes.get_mut(&node)
        && known.failed.replace(boot) != Some(boot)
    {
        turn.event(Event::DeclaredFailed { node, boot });
    }
}

/// Takes a request up. The attempt that has the live permit is told it again, and its time starts anew, because
/// the fencer counts from what it sent last.
pub(super) fn ask(witness: &mut Witness, turn: &mut Turn, node: NodeId, request: RequestFence) {
    let target = request.target;
    if let Some(live) = witness.record.nodes.get(&target).and_then(|known| known.permit)
        && (live.fencer, live.attempt) == (node, request.attempt)
        && live.asked.is_none()
    {
        witness.timers.permits.insert(target, turn.now + live.lives);
        tell(witness, turn, target, live);
    } else if let Some(session) = witness.sessions.get_mut(&node) {
        if witness.config.is_member(target) {
            session.fences.insert(target, Waiting::new(request));
        } else {
            let subject = Subject::Fence { target, attempt: request.attempt };
            witness.send(turn, node, Reply::Refused { subject, refusal: Refusal::NotMember });
        }
    }
}

/// Judges every pending request once. Says whether a permit was issued.
pub(super) fn settle(witness: &mut Witness, turn: &mut Turn) -> bool {
    let mut issued = false;
    for node in witness.hears().iter() {
        let Some(session) = witness.sessions.get_mut(&node) else { continue };
        for (target, mut waiting) in core::mem::take(&mut session.fences) {
            let subject = Subject::Fence { target, attempt: waiting.request.attempt };
            match judge(witness, node, &waiting.request) {
                Verdict::Yes(boot) => {
                    issue(witness, turn, node, boot, &waiting.request);
                    issued = true;
                }
                Verdict::Pending(refusal) => {
                    if waiting.told.as_ref() != Some(&refusal) {
                        waiting.told = Some(refusal.clone());
                        witness.send(turn, node, Reply::Pending { subject, refusal });
                    }
                    if let Some(session) = witness.sessions.get_mut(&node) {
                        session.fences.insert(target, waiting);
                    }
                }
                Verdict::Refuse(refusal) => {
                    witness.send(turn, node, Reply::Refused { subject, refusal });
                }
            }
        }
    }
    issued
}

/// The whole permit rule. The answer is the boot that may be fenced. A drill never waits: it would come at a time
/// that nobody has chosen.
pub(super) fn judge(witness: &Witness, node: NodeId, request: &RequestFence) -> Verdict<BootId> {
    match weigh(witness, node, request) {
        Verdict::Pending(refusal) if request.reason == FenceReason::Drill => Verdict::Refuse(refusal),
        verdict => verdict,
    }
}

fn weigh(witness: &Witness, node: NodeId, request: &RequestFence) -> Verdict<BootId> {
    let target = request.target;
    if let Some(missing) = witness.recovering() {
        return Verdict::Pending(Refusal::Recovering { missing });
    }
    match witness.may_act(node) {
        Err(Refusal::TargetOfPermit { .. }) if on(Mutant::M88) => {}
        Err(refusal @ Refusal::TargetOfPermit { .. }) => return Verdict::Pending(refusal),
        Err(lasting) => return Verdict::Refuse(lasting),
        Ok(()) => {}
    }
    if witness.record.nodes.get(&node).is_none_or(|known| known.held_off) {
        return Verdict::Refuse(Refusal::HeldOff);
    }
    if request.levels > LEVELS_MAX {
        let expected = "fence levels that end within an hour".into();
        return Verdict::Refuse(Refusal::WrongState { expected });
    }
    let Some(known) = witness.record.nodes.get(&target) else { return Verdict::Refuse(Refusal::NotMember) };
    if let Some(live) = known.permit {
        return Verdict::Pending(Refusal::PermitLive { fencer: live.fencer, permit: live.id });
    }
    if request.reason == FenceReason::Drill {
        return judge_drill(witness, node, target);
    }
    let Some(boot) = known.boot.filter(|boot| at_stake(witness, node, target, *boot)) else {
        return Verdict::Refuse(Refusal::NothingAtStake);
    };
    if known.maintenance.is_some() {
        return Verdict::Pending(Refusal::Maintenance { node: target });
    }
    if known.failed.is_some() || request.reason == FenceReason::Operator {
        return Verdict::Yes(boot);
    }
    if let Some(volume) = solo_elsewhere(witness, target, boot).filter(|_| !on(Mutant::M32)) {
        return Verdict::Pending(Refusal::SoloElsewhere { volume });
    }
    match witness.seen_alive(target, Some(node)) {
        Some(by) => Verdict::Pending(Refusal::SeenAlive { by }),
        None => Verdict::Yes(boot),
    }
}

/// A drill is of a node that is alive, holds nothing and is not about to, and is asked for by a holder: so two
/// nodes can never drill each other, and nothing that is in service is at risk but by the drill's own length.
fn judge_drill(witness: &Witness, node: NodeId, target: NodeId) -> Verdict<BootId> {
    let refuse = |expected: &str| Verdict::Refuse(Refusal::WrongState { expected: expected.into() });
    let has_something = witness.in_service().any(|(_, register)| {
        register.holder.is_some_and(|holder| holder.node == target)
            || register.successor == Some(target)
            || register.isr == NodeSet::only(target)
    });
    let asks = |register: &super::record::Register| {
        let boot = witness.record.nodes.get(&node).and_then(|known| known.boot);
        register.holder.is_some_and(|h| h.node == node && Some(h.boot) == boot) && !register.revoked
    };
    let Some(known) = witness.record.nodes.get(&target).filter(|_| node != target) else {
        return Verdict::Refuse(Refusal::NotMember);
    };
    if has_something {
        return refuse("a drill of a node that holds nothing and is not needed for anything");
    }
    if !witness.in_service().any(|(_, register)| asks(register)) {
        return refuse("a drill that is asked for by a node that holds a volume");
    }
    if known.maintenance.is_some() {
        return Verdict::Refuse(Refusal::Maintenance { node: target });
    }
    match known.boot.filter(|_| known.failed.is_none() && witness.hears().contains(target)) {
        Some(boot) => Verdict::Yes(boot),
        None => refuse("a drill of a node that is alive"),
    }
}

/// Whether the target, in its present boot, holds a volume that the asker has in sync. A boot that is proven
/// inactive holds nothing any more.
fn at_stake(witness: &Witness, node: NodeId, target: NodeId, boot: BootId) -> bool {
    if node == target || witness.record.nodes.get(&target).is_some_and(|known| known.is_fenced(boot)) {
        return false;
    }
    witness.in_service().any(|(_, register)| {
        let holds = register.holder.is_some_and(|h| (h.node, h.boot) == (target, boot));
        register.isr.contains(node) && (holds || on(Mutant::M31))
    })
}

/// A volume that the target holds and that nobody else has in sync.
fn solo_elsewhere(witness: &Witness, target: NodeId, boot: BootId) -> Option<VolumeId> {
    let mut solo = witness.in_service().filter(|(_, register)| {
        register.isr == NodeSet::only(target)
            && register.holder.is_some_and(|h| (h.node, h.boot) == (target, boot))
    });
    solo.next().map(|(volume, _)| volume)
}

fn issue(witness: &mut Witness, turn: &mut Turn, fencer: NodeId, boot: BootId, request: &RequestFence) {
    let params = &witness.config.params;
    let lives = if on(Mutant::M38) {
        params.start_within
    } else {
        params.start_within + request.levels + params.guard
    };
    let target = request.target;
    let recent = witness.timers.fences.get(&target).map_or(0, alloc::vec::Vec::len);
    witness.record.permits.0 += 1;
    let permit = PermitRecord {
        id: witness.record.permits,
        target_boot: boot,
        fencer,
        attempt: request.attempt,
        reason: request.reason,
        lives,
        keep_off: recent >= FENCE_LOOP_LIMIT,
        asked: None,
    };
    for register in witness.record.volumes.values_mut() {
        register.revoked |= register.holder.is_some_and(|holder| holder.node == target);
    }
    if let Some(known) = witness.record.nodes.get_mut(&target) {
        known.permit = Some(permit);
    }
    witness.timers.permits.insert(target, turn.now + lives);
    let (permit_id, reason, keep_off) = (permit.id, permit.reason, permit.keep_off);
    turn.event(Event::Permitted { permit: permit_id, target, boot, fencer, reason, keep_off });
    tell(witness, turn, target, permit);
}

fn tell(witness: &Witness, turn: &mut Turn, target: NodeId, permit: PermitRecord) {
    let PermitRecord { id, target_boot, fencer, attempt, keep_off, .. } = permit;
    let body = Reply::Permit(Permit { permit: id, attempt, target, target_boot, keep_off });
    witness.send(turn, fencer, body);
}

/// Who is fenced under this permit, and the permit, while it is live.
pub(super) fn find(witness: &Witness, permit: PermitId) -> Option<(NodeId, PermitRecord)> {
    witness
        .record
        .nodes
        .iter()
        .find_map(|(node, known)| known.permit.filter(|live| live.id == permit).map(|live| (*node, live)))
}

/// Ends the live permit against the target. The agent may have acted, unless it is known that none was started
/// or a person says that the machine is not off; each such fence counts for the loop limit.
pub(super) fn end(witness: &mut Witness, turn: &mut Turn, target: NodeId, how: PermitEnd) {
    let Some(known) = witness.record.nodes.get_mut(&target) else { return };
    let Some(permit) = known.permit.take() else { return };
    witness.timers.permits.remove(&target);
    witness.timers.confirmations.remove(&target);
    turn.event(Event::PermitEnded { permit: permit.id, target, end: how });
    let acted = match how {
        PermitEnd::Reported(FenceOutcome::ConfirmedOff | FenceOutcome::Unknown)
        | PermitEnd::TimedOut
        | PermitEnd::Attested => true,
        PermitEnd::Reported(FenceOutcome::NotStarted) | PermitEnd::Denied | PermitEnd::TargetBooted => false,
    };
    if acted {
        count(witness, turn, target, permit.keep_off);
    }
}

fn count(witness: &mut Witness, turn: &mut Turn, target: NodeId, keep_off: bool) {
    let until = turn.now + FENCE_LOOP_WINDOW;
    let recent = witness.timers.fences.entry(target).or_default();
    recent.push(until);
    if recent.len() > FENCE_LOOP_LIMIT + 1 {
        // One above the limit says all there is to say.
        recent.remove(0);
    }
    let looping = recent.len() > FENCE_LOOP_LIMIT || keep_off;
    let fences = u32::try_from(recent.len()).unwrap_or(u32::MAX);
    if let Some(known) = witness.record.nodes.get_mut(&target) {
        known.fences = fences;
        if looping && !known.held_off {
            known.held_off = true;
            turn.event(Event::HeldOff { node: target });
        }
    }
}

/// A boot was proven inactive. Its session is of the past, and the boot never counts again.
pub(super) fn proven_off(
    witness: &mut Witness,
    turn: &mut Turn,
    target: NodeId,
    proven: super::FencedBoot,
) -> bool {
    let Some(known) = witness.record.nodes.get_mut(&target) else { return false };
    let Some(current) = known.boot else { return false };
    if current != proven.boot && !on(Mutant::M16) {
        // The machine has booted since, which proves as much about that boot, and nothing about this one.
        return false;
    }
    known.fenced = Some(super::FencedBoot { boot: current, ..proven });
    if on(Mutant::M16) {
        return true;
    }
    super::session::end(witness, turn, target);
    if witness.timers.heard.remove(&target).is_some() {
        turn.event(Event::NodeSilent { node: target });
    }
    true
}

/// How long a lease or a permit that an earlier run gave may last, and how long this run must wait before it can
/// have missed anybody.
pub(super) fn blind_for(witness: &Witness, leases: Duration) -> Duration {
    let silence = witness.config.params.suspect_after();
    if on(Mutant::M39) { silence } else { leases.max(lease::span(witness)) + silence }
}
