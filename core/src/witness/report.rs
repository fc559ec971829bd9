//! Fence reports: an outcome counts only for the permit, the boot and the fencer that it was reported for.

use super::event::PermitEnd;
use super::turn::Turn;
use super::{FencedBoot, Register, Witness, grant, insync, lease, permit};
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

/// Takes the fenced node out of the sets of what the reporter holds, as the reporter itself may ask for: it has what is
/// recorded there.
///
/// Of what somebody else holds, or nobody, nothing is changed. The fenced node may be the last one that has the recorded
/// data, and then serves when it is back; a grant that follows leaves it out if it has to.
fn strip(witness: &mut Witness, turn: &mut Turn, reporter: NodeId, target: NodeId) {
    if witness.record.recovery || witness.may_act(reporter).is_err() && !on(Mutant::M43) {
        return;
    }
    let holds = |register: &Register| {
        let named = register.holder.is_some_and(|holder| holder.node == reporter);
        let held = lease::register_is_held(witness, register, reporter, register.epoch).is_ok();
        held || named && on(Mutant::M43) || register.isr.contains(reporter) && on(Mutant::M93)
    };
    let held: Vec<VolumeId> = witness.in_service().filter(|(_, r)| holds(r)).map(|(v, _)| v).collect();
    for volume in held {
        insync::take_out(witness, turn, volume, target);
    }
}
