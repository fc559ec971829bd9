//! What happens in a run, in sentences. What nodes and the witness tell is worded as in [`crate::world::prose`].

use super::host::VolumeAction2;
use super::world::AgentFault;
use picket_core::ids::{NodeId, VolumeId};
use picket_core::node::{CommandOutcome, ResetReason};
use picket_core::topology::PowerAction;
use picket_core::witness::Alarm;

/// What a driver was told to do.
fn of_action(volume: VolumeId, action: VolumeAction2) -> String {
    match action {
        VolumeAction2::Promote { epoch, required, .. } => {
            format!("to promote volume {volume}, epoch {epoch}, with nodes {required} required")
        }
        VolumeAction2::Demote => format!("to stop volume {volume}"),
        VolumeAction2::Freeze => format!("to freeze volume {volume}"),
        VolumeAction2::Thaw { .. } => format!("to thaw volume {volume}"),
        VolumeAction2::Drop(peer) => format!("to wait for node {peer} no more on volume {volume}"),
        VolumeAction2::Require(peer) => format!("to wait for node {peer} on volume {volume}"),
    }
}

/// A driver has done what it was told, or not; no outcome: it hangs.
pub(super) fn of_driver(
    node: NodeId,
    volume: VolumeId,
    action: VolumeAction2,
    done: Option<&CommandOutcome>,
) -> String {
    let told = of_action(volume, action);
    match done {
        Some(CommandOutcome::Done) => format!("the driver of node {node} was told {told}: done"),
        Some(CommandOutcome::Failed(text) | CommandOutcome::Unknown(text)) => {
            format!("the driver of node {node} was told {told}, and does not: {text}")
        }
        None => format!("the driver of node {node} was told {told}, and hangs"),
    }
}

/// A driver begins a promotion that takes long.
pub(super) fn of_long_promotion(node: NodeId, volume: VolumeId) -> String {
    format!("the driver of node {node} begins to promote volume {volume}, which takes long")
}

/// A driver gives a promotion up for a freeze.
pub(super) fn of_ended_promotion(node: NodeId, volume: VolumeId) -> String {
    format!("the driver of node {node} is told to freeze volume {volume}, and ends its promotion")
}

/// What becomes of a thaw that is not done in time.
pub(super) fn of_late_thaw(node: NodeId, volume: VolumeId, what: &str) -> String {
    format!("the driver of volume {volume} on node {node} {what}")
}

/// A fence agent starts.
pub(super) fn of_agent(
    fencer: NodeId,
    target: NodeId,
    action: PowerAction,
    fault: Option<AgentFault>,
) -> String {
    let does = match action {
        PowerAction::Off => "switch off",
        PowerAction::On => "switch on",
    };
    let fails = fault.map_or(String::new(), |fault| format!(", which {fault}"));
    format!("node {fencer} starts an agent to {does} node {target}{fails}")
}

/// A daemon ends its machine.
pub(super) fn of_reset(node: NodeId, power_off: bool, reason: &ResetReason) -> String {
    let does = if power_off { "switches itself off" } else { "resets itself" };
    let why = match reason {
        ResetReason::AuthorityLost { volume } => format!("it has lost its authority over volume {volume}"),
        ResetReason::NotVerifiedInactive { volume } => {
            format!("it cannot see volume {volume} inactive in time")
        }
        ResetReason::StopFailed { volume } => format!("it cannot stop volume {volume}"),
    };
    format!("node {node} {does}: {why}")
}

/// The witness alarms.
pub(super) fn of_alarm(alarm: &Alarm) -> String {
    match alarm {
        Alarm::OffButSpeaks { node, permit, .. } => {
            format!("the witness alarms: node {node} was confirmed off under permit {permit}, and speaks")
        }
        Alarm::Contradiction { volume, claims } => {
            format!("the witness alarms: nodes {claims} claim volume {volume}, and their claims contradict")
        }
        Alarm::Broken { invariant, volume } => {
            format!("the witness alarms: a rule of its own is broken for volume {volume}: {invariant}")
        }
    }
}
