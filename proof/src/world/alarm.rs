//! What people are alarmed of: what the daemons tell as a warning or more, in the words of their journals
//! (`node/src/event.rs`, `witness/src/codes.rs` without the `witness-`).

use super::World;
use super::net::Place;
use picket_core::evidence::FenceOutcome;
use picket_core::node;
use picket_core::witness;

/// The word of a node's event, if it is an alarm.
fn of_node(event: &node::Event) -> Option<&'static str> {
    use node::Event;
    Some(match event {
        Event::PathDead { .. } => "path-failed",
        Event::PeerSilent { .. } => "peer-silent",
        Event::WitnessLost => "witness-lost",
        Event::WitnessRefused(_) => "witness-refused",
        Event::Failsafe { .. } => "failsafe",
        Event::NotGranted { .. } => "grant-refused",
        Event::GrantReturned { .. } => "grant-returned",
        Event::PromoteFailed { .. } => "promote-failed",
        Event::Frozen { .. } => "frozen",
        Event::StopFailed { .. } => "stop-failed",
        Event::ReplicaRemoved { .. } => "replica-removed",
        Event::Overridden { .. } => "overridden",
        Event::NotPermitted { .. } => "fence-not-permitted",
        Event::FenceEnded { outcome: FenceOutcome::Unknown, .. } => "fence-unconfirmed",
        Event::FenceEnded { outcome: FenceOutcome::NotStarted, .. } => "fence-not-started",
        Event::OperatorNeeded { .. } => "operator-needed",
        Event::Resetting(_) => "resetting",
        Event::Alarm(_) => "alarm",
        _ => return None,
    })
}

/// The word of a witness's event, if it is an alarm.
const fn of_witness(event: &witness::Event) -> Option<&'static str> {
    use witness::Event;
    Some(match event {
        Event::SessionRefused { .. } => "session-refused",
        Event::SuccessorGone { .. } => "successor-gone",
        Event::DeclaredFailed { .. } => "node-declared-failed",
        Event::OperatorAsked { .. } => "operator-intervention-required",
        Event::ConfirmationVoid { .. } => "confirmation-void",
        Event::HeldOff { .. } => "node-held-off",
        Event::Drift { outside: true, .. } => "clock-drift",
        Event::RecoveryBegun { .. } => "recovery-begun",
        _ => return None,
    })
}

const fn of_alarm(alarm: &witness::Alarm) -> &'static str {
    match alarm {
        witness::Alarm::OffButSpeaks { .. } => "off-but-speaks",
        witness::Alarm::Contradiction { .. } => "contradiction",
        witness::Alarm::Broken { .. } => "broken",
    }
}

impl World {
    pub(super) fn note_node_alarm(&mut self, place: Place, event: &node::Event) {
        self.alarms.extend(of_node(event).map(|word| (place, word)));
    }

    pub(super) fn note_witness_event(&mut self, event: &witness::Event) {
        self.alarms.extend(of_witness(event).map(|word| (super::net::WITNESS, word)));
    }

    pub(super) fn note_witness_alarm(&mut self, alarm: &witness::Alarm) {
        self.alarms.insert((super::net::WITNESS, of_alarm(alarm)));
    }
}
