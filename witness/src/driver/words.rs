//! What the machines say, in an operator's words: names instead of numbers.

use crate::codes as c;
use crate::config::Cluster;
use core::time::Duration;
use picket_core::error::Names;
use picket_core::evidence::FenceOutcome;
use picket_core::ids::{NodeId, VolumeId};
use picket_core::message::{FenceReason, OperatorAnswer, OperatorRequest, Subject};
use picket_core::witness::{Alarm, Event, PermitEnd};
use picket_host::logging::EventCode;

fn seconds(length: Duration) -> String {
    format!("{}.{:03} s", length.as_secs(), length.subsec_millis())
}

/// An event's code and its text.
pub(super) fn event(cluster: &Cluster, event: &Event) -> (&'static EventCode, String) {
    (code(event), volume_text(cluster, event).or_else(|| node_text(cluster, event)).unwrap_or_default())
}

const fn code(event: &Event) -> &'static EventCode {
    match event {
        Event::NodeHeard { .. } => &c::NODE_HEARD,
        Event::NodeSilent { .. } => &c::NODE_SILENT,
        Event::NewBoot { .. } => &c::NEW_BOOT,
        Event::SessionRefused { .. } => &c::SESSION_REFUSED,
        Event::Granted { .. } => &c::GRANTED,
        Event::Waiting { .. } => &c::WAITING,
        Event::InSync { .. } => &c::IN_SYNC,
        Event::Released { .. } => &c::RELEASED,
        Event::SuccessorGone { .. } => &c::SUCCESSOR_GONE,
        Event::LeaseExpired { .. } => &c::LEASE_EXPIRED,
        Event::DeclaredFailed { .. } => &c::DECLARED_FAILED,
        Event::Permitted { .. } => &c::PERMITTED,
        Event::PermitEnded { .. } => &c::PERMIT_ENDED,
        Event::OperatorAsked { .. } => &c::OPERATOR_ASKED,
        Event::Confirmed { .. } => &c::CONFIRMED,
        Event::ConfirmationVoid { .. } => &c::CONFIRMATION_VOID,
        Event::AdoptionVoid { .. } => &c::ADOPTION_VOID,
        Event::HeldOff { .. } => &c::HELD_OFF,
        Event::Cleared { .. } => &c::CLEARED,
        Event::MaintenanceBegun { .. } => &c::MAINTENANCE_BEGUN,
        Event::MaintenanceEnded { .. } => &c::MAINTENANCE_ENDED,
        Event::Drift { .. } => &c::DRIFT,
        Event::RecoveryBegun { .. } => &c::RECOVERY_BEGUN,
        Event::RecoveryEnded { .. } => &c::RECOVERY_ENDED,
        Event::Retired => &c::RETIRED,
    }
}

/// What happened to a volume or to the store; nothing if it happened to a node.
fn volume_text(cluster: &Cluster, event: &Event) -> Option<String> {
    let (v, n) = (|id: &VolumeId| cluster.volume(*id), |id: &NodeId| cluster.node(*id));
    Some(match event {
        Event::Granted { volume, node, epoch, proof, isr } => {
            let (volume, node, isr) = (v(volume), n(node), cluster.nodes(*isr));
            format!("{volume} granted to {node}: epoch {epoch}, proof {}, in sync: {isr}", proof.word())
        }
        Event::Waiting { volume, node, refusal } => {
            format!("{} is not granted to {} yet: {}", v(volume), n(node), refusal.told(cluster))
        }
        Event::InSync { volume, isr, version } => {
            format!("{} is in sync on {} (version {version})", v(volume), cluster.nodes(*isr))
        }
        Event::Released { volume, node, epoch } => {
            format!("{} released by {}: epoch {epoch} ended", v(volume), n(node))
        }
        Event::SuccessorGone { volume, node } => {
            format!("{} was handed over to {}, which did not take it in time", v(volume), n(node))
        }
        Event::LeaseExpired { volume, node, proves } => {
            let proves = if *proves { "it is proven inactive" } else { "that proves nothing for it" };
            format!("lease of {} on {} expired; {proves}", n(node), v(volume))
        }
        Event::RecoveryBegun { node: None } => {
            "RECOVERY, the store is new: no grants until every member reported or an operator adopts".into()
        }
        Event::RecoveryBegun { node: Some(node) } => {
            format!("RECOVERY, {} has seen more than this store has: no grants", n(node))
        }
        Event::RecoveryEnded { adopted: true } => "recovery is over: an operator adopted".into(),
        Event::RecoveryEnded { adopted: false } => "recovery is over: every member has reported".into(),
        Event::Retired => "the store is retired and serves nobody any more".into(),
        Event::NodeHeard { .. }
        | Event::NodeSilent { .. }
        | Event::NewBoot { .. }
        | Event::SessionRefused { .. }
        | Event::DeclaredFailed { .. }
        | Event::Permitted { .. }
        | Event::PermitEnded { .. }
        | Event::OperatorAsked { .. }
        | Event::Confirmed { .. }
        | Event::ConfirmationVoid { .. }
        | Event::AdoptionVoid { .. }
        | Event::HeldOff { .. }
        | Event::Cleared { .. }
        | Event::MaintenanceBegun { .. }
        | Event::MaintenanceEnded { .. }
        | Event::Drift { .. } => return None,
    })
}

/// What happened to a node; nothing if it happened to a volume or to the store.
fn node_text(cluster: &Cluster, event: &Event) -> Option<String> {
    let n = |id: &NodeId| cluster.node(*id);
    Some(match event {
        Event::NodeHeard { node } => format!("{} is heard", n(node)),
        Event::NodeSilent { node } => format!("{} is silent", n(node)),
        Event::NewBoot { node, boot } => format!("{} has booted: {boot}", n(node)),
        Event::SessionRefused { node, refusal } => format!("{} refused: {}", n(node), refusal.told(cluster)),
        Event::DeclaredFailed { node, boot } => {
            format!("{} says that it cannot stop what it holds and resets itself (boot {boot})", n(node))
        }
        Event::Permitted { permit, target, boot: _, fencer, reason, keep_off } => {
            let why = match reason {
                FenceReason::Silent => "it is silent",
                FenceReason::Operator => "an operator asked",
                FenceReason::Drill => "an operator tries it out",
            };
            let off = if *keep_off { "; it stays off" } else { "" };
            format!("permit {permit}: {} may fence {}, because {why}{off}", n(fencer), n(target))
        }
        Event::PermitEnded { permit, target, end } => {
            format!("permit {permit} over {} is over: {}", n(target), permit_end(*end))
        }
        Event::OperatorAsked { target, permit, challenge } => {
            let who = n(target);
            format!(
                "OPERATOR INTERVENTION REQUIRED to reset {who}: permit {permit}, challenge {challenge:06}"
            )
        }
        Event::Confirmed { target, permit, effective_in } => {
            format!("{} confirmed off (permit {permit}); counts in {}", n(target), seconds(*effective_in))
        }
        Event::ConfirmationVoid { target, heard_by } => {
            let by = if heard_by.is_empty() { "the witness".into() } else { cluster.nodes(*heard_by) };
            format!("the confirmation that {} is off is void: heard by {by}", n(target))
        }
        Event::AdoptionVoid { heard, gone } if gone.is_empty() => {
            format!("the adoption is void: {} did not report and is heard", cluster.nodes(*heard))
        }
        Event::AdoptionVoid { gone, .. } => {
            format!(
                "the adoption is void: {} had reported and is not connected any more",
                cluster.nodes(*gone)
            )
        }
        Event::HeldOff { node } => format!("{} was fenced too often and is held off", n(node)),
        Event::Cleared { node } => format!("{} is cleared and may come back", n(node)),
        Event::MaintenanceBegun { node, length } => {
            format!("maintenance of {} for {}: no failover, no fence", n(node), seconds(*length))
        }
        Event::MaintenanceEnded { node } => format!("maintenance of {} is over", n(node)),
        Event::Drift { node, outside: true } => {
            format!("the clock of {} runs out of bounds: its leases prove nothing", n(node))
        }
        Event::Drift { node, outside: false } => format!("the clock of {} is within bounds again", n(node)),
        Event::Granted { .. }
        | Event::Waiting { .. }
        | Event::InSync { .. }
        | Event::Released { .. }
        | Event::SuccessorGone { .. }
        | Event::LeaseExpired { .. }
        | Event::RecoveryBegun { .. }
        | Event::RecoveryEnded { .. }
        | Event::Retired => return None,
    })
}

const fn permit_end(end: PermitEnd) -> &'static str {
    match end {
        PermitEnd::Reported(FenceOutcome::ConfirmedOff) => "CONFIRMED_OFF",
        PermitEnd::Reported(FenceOutcome::Unknown) => "UNKNOWN, which proves nothing",
        PermitEnd::Reported(FenceOutcome::NotStarted) => "NOT_STARTED",
        PermitEnd::TimedOut => "no report came in time, which proves nothing",
        PermitEnd::Attested => "an operator attested that the machine is off",
        PermitEnd::Denied => "an operator said that the machine is not off",
        PermitEnd::TargetBooted => "the machine booted again",
    }
}

/// An alarm's text.
pub(super) fn alarm(cluster: &Cluster, alarm: &Alarm) -> String {
    match alarm {
        Alarm::OffButSpeaks { node: id, boot, permit } => {
            let who = cluster.node(*id);
            format!(
                "{who} was confirmed off under permit {permit}, and boot {boot} still speaks; it stays refused until \
                 the machine boots again: switch it off, then on, and find out who or what confirmed it"
            )
        }
        Alarm::Contradiction { volume: id, claims } => {
            let (volume, claims) = (cluster.volume(*id), cluster.nodes(*claims));
            format!("the claims of {claims} to {volume} contradict each other; a person must decide")
        }
        Alarm::Broken { invariant, volume: id } => {
            format!("{}: broken invariant: {invariant}", cluster.volume(*id))
        }
    }
}

/// What an operator asks. The challenge is no secret: whoever may answer has been shown it.
pub(super) fn request(cluster: &Cluster, request: &OperatorRequest) -> String {
    let (v, n) = (|id: &VolumeId| cluster.volume(*id), |id: &NodeId| cluster.node(*id));
    match request {
        OperatorRequest::Adopt { source: None } => "adopt".to_owned(),
        OperatorRequest::Adopt { source: Some(node) } => format!("adopt with the data of {}", n(node)),
        OperatorRequest::Retire => "retire the store".to_owned(),
        OperatorRequest::Evict { node, volume } => format!("evict {} from {}", n(node), v(volume)),
        OperatorRequest::Clear { node } => format!("clear {}", n(node)),
        OperatorRequest::ForceStale { node, volume } => format!("{} is stale on {}", v(volume), n(node)),
        OperatorRequest::ConfirmMeatware { node, challenge } => {
            format!("confirm that {} is off, challenge {challenge:06}", n(node))
        }
        OperatorRequest::DenyMeatware { node } => format!("deny that {} is off", n(node)),
        OperatorRequest::Maintenance { node, length } if length.is_zero() => {
            format!("end the maintenance of {}", n(node))
        }
        OperatorRequest::Maintenance { node, length } => {
            format!("maintenance of {} for {}", n(node), seconds(*length))
        }
    }
}

/// What an operator is told.
pub(super) fn answer(cluster: &Cluster, answer: &OperatorAnswer) -> String {
    match answer {
        OperatorAnswer::Done => "done".to_owned(),
        OperatorAnswer::Confirmed { permit, effective_in } => {
            format!("confirmed (permit {permit}), counts in {}", seconds(*effective_in))
        }
        OperatorAnswer::Refused(refusal) => format!("refused: {}", refusal.told(cluster)),
    }
}

/// What a request is about.
pub(super) fn subject(cluster: &Cluster, subject: &Subject) -> String {
    match subject {
        Subject::Session => "session".to_owned(),
        Subject::Acquire { volume: id, attempt: _ } => format!("grant of {}", cluster.volume(*id)),
        Subject::InSync { volume: id } => format!("in-sync set of {}", cluster.volume(*id)),
        Subject::Release { volume: id } => format!("release of {}", cluster.volume(*id)),
        Subject::Fence { target, attempt: _ } => format!("fence of {}", cluster.node(*target)),
        Subject::Permit { permit } => format!("permit {permit}"),
    }
}
