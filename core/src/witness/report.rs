//! Fence reports: an outcome counts only for the permit, the boot and the fencer that it was reported for.

use super::event::PermitEnd;
use super::turn::Turn;
use super::{FencedBoot, Register, Witness, grant, insync, permit};
use crate::error::Refusal;
use crate::evidence::FenceOutcome;
use crate::ids::{NodeId, VolumeId};
use crate::message::{Reply, ReportFence, Subject};
use crate::mutant::{Mutant, on};
use alloc::vec::Vec;

/// A fencer says how its fence ended. What it asks for in the same breath is judged in the same step.
pub(super) fn report(witness: &mut Witness, turn: &mut Turn, node: NodeId, report: ReportFence) {
    let permit = report.permit;
    let body = match accept(witness, turn, node, &report) {
        Ok(()) => Reply::FenceRecorded { permit },
        Err(refusal) => Reply::Refused { subject: Subject::Permit { permit }, refusal },
    };
    witness.send(turn, node, body);
    for acquire in report.acquire {
        grant::ask(witness, node, acquire);
    }
}

fn accept(witness: &mut Witness, turn: &mut Turn, node: NodeId, report: &ReportFence) -> Result<(), Refusal> {
    let (target, permit, boot) = (report.target, report.permit, report.target_boot);
    let Some(known) = witness.record.nodes.get(&target) else { return Err(Refusal::NotMember) };
    let same_fence = known.fenced.is_some_and(|fenced| (fenced.permit, fenced.boot) == (permit, boot));
    let live = known.permit.is_some_and(|live| {
        (live.id, live.fencer) == (permit, node) && (live.target_boot == boot || on(Mutant::M16))
    });
    if !live && !on(Mutant::M20) {
        // Reported before, and the answer was lost?
        return if same_fence { Ok(()) } else { Err(Refusal::NoSuchPermit { permit }) };
    }
    let confirmed = match report.outcome {
        FenceOutcome::ConfirmedOff => true,
        FenceOutcome::Unknown => on(Mutant::M9),
        FenceOutcome::NotStarted => false,
    };
    permit::end(witness, turn, target, PermitEnd::Reported(report.outcome));
    let proven = FencedBoot { boot, permit, attested: false };
    if confirmed && permit::proven_off(witness, turn, target, proven) {
        strip(witness, turn, node, target);
    }
    Ok(())
}

/// Takes the fenced node out of the sets that the reporter is in itself, where another node holds the volume: what that
/// one has is what is recorded. A reporter that is to be fenced has no say in what others need.
///
/// Where the fenced node holds the volume, or nobody does, the grant that follows leaves it out if it has to. Before that,
/// nobody knows of another replica that has the recorded data: the fenced one may be the last, and serves when it is back.
fn strip(witness: &mut Witness, turn: &mut Turn, reporter: NodeId, target: NodeId) {
    let is_target = witness.permit_against(reporter).is_some() && !on(Mutant::M43);
    if is_target || witness.record.recovery {
        return;
    }
    let held_by_another = |r: &Register| r.holder.is_some_and(|holder| holder.node != target);
    let shared: Vec<VolumeId> = witness
        .in_service()
        .filter(|(_, r)| r.isr.contains(reporter) && held_by_another(r))
        .map(|(v, _)| v)
        .collect();
    for volume in shared {
        insync::take_out(witness, turn, volume, target);
    }
}
