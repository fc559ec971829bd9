//! Leases: who is heard, whose authority is renewed, and whose clock may be trusted.
//!
//! The witness counts L+G from its own processing of a renewal, while the node counts L from before it sent the
//! request, so that the witness's end is never the earlier one. Only volatile timers change here: a renewal is not
//! stored, and after a restart every lease counts as fresh.

use super::Witness;
use super::clock::Clock;
use super::event::Event;
use super::session::Beaten;
use super::turn::Turn;
use crate::error::Refusal;
use crate::ids::{Epoch, NodeId, VolumeId};
use crate::message::{Heartbeat, Holder, Reply};
use crate::mutant::{Mutant, on};
use crate::time::Duration;
use alloc::vec::Vec;

/// The node spoke on its session.
pub(super) fn heard(witness: &mut Witness, turn: &mut Turn, node: NodeId) {
    let until = turn.now + witness.config.params.suspect_after();
    if witness.timers.heard.insert(node, until).is_none() {
        turn.event(Event::NodeHeard { node });
    }
}

/// Renews what the node holds. A recovering witness does not answer: it can neither renew nor refuse, and the
/// node's own fail-safe must be able to work.
pub(super) fn heartbeat(witness: &mut Witness, turn: &mut Turn, node: NodeId, heartbeat: &Heartbeat) {
    let until = turn.now + witness.config.params.suspect_after();
    let hears = heartbeat.hears.intersection(witness.config.members).without(node);
    if let Some(session) = witness.sessions.get_mut(&node) {
        session.beat = Some(Beaten { until, hears });
    }
    judge_clock(witness, turn, node, heartbeat.clock);
    if witness.record.recovery {
        return;
    }
    let (mut volumes, mut refused) = (Vec::new(), Vec::new());
    for (volume, epoch) in heartbeat.holds.iter().copied() {
        match may_renew(witness, node, volume, epoch) {
            Ok(()) => {
                begin(witness, turn, volume);
                // A node names what it activated without a witness only when it counts a lease of ours for it.
                if let Some(register) = witness.record.volumes.get_mut(&volume) {
                    register.overridden = false;
                }
                volumes.push((volume, epoch));
            }
            Err(refusal) => refused.push((volume, refusal)),
        }
    }
    let hears = witness.hears();
    witness.send(turn, node, Reply::Renewed { volumes, refused, hears });
}

/// A lease counts from now on.
pub(super) fn begin(witness: &mut Witness, turn: &Turn, volume: VolumeId) {
    let until = turn.now + span(witness);
    witness.timers.leases.insert(volume, until);
}

/// How long a lease lasts for the witness.
pub(super) fn span(witness: &Witness) -> Duration {
    let params = &witness.config.params;
    if on(Mutant::M2) { params.lease } else { params.lease_and_guard() }
}

fn may_renew(witness: &Witness, node: NodeId, volume: VolumeId, epoch: Epoch) -> Result<(), Refusal> {
    witness.may_act(node)?;
    let register = witness.register(volume)?;
    register_is_held(witness, register, node, epoch)
}

/// Whether the node holds the volume with this epoch, in its present boot, and the grant was not revoked.
pub(super) fn register_is_held(
    witness: &Witness,
    register: &super::Register,
    node: NodeId,
    epoch: Epoch,
) -> Result<(), Refusal> {
    let holder = register.holder;
    let present = witness.sessions.get(&node).and_then(|session| session.boot);
    if holder.is_none_or(|holder| holder.node != node || Some(holder.boot) != present) {
        return Err(Refusal::NotHolder { holder: holder.map(|holder| holder.node) });
    }
    if register.epoch != epoch {
        return Err(Refusal::EpochMismatch { held: register.epoch, asked: epoch });
    }
    // The register still names the node because nothing proves it inactive, but its authority is gone.
    if register.revoked { Err(Refusal::NotHolder { holder: None }) } else { Ok(()) }
}

/// Whether the end of the holder's lease proves that it is inactive.
pub(super) fn proves(witness: &Witness, volume: VolumeId, holder: Holder) -> bool {
    let Some(known) = witness.record.nodes.get(&holder.node) else { return false };
    let promise = known.self_fence;
    let by_hand = witness.record.volumes.get(&volume).is_some_and(|register| register.overridden);
    let end_is_certain = promise.lease_proves()
        || promise.watchdog_counts && (known.barrier_suffices.contains(&volume) || on(Mutant::M18));
    witness.config.params.watchdog.is_some()
        && known.boot == Some(holder.boot)
        && known.maintenance.is_none()
        && !known.drifts
        && !by_hand
        && end_is_certain
}

/// Judges the node's clock by what its heartbeat says of it. A heartbeat without a clock says nothing.
fn judge_clock(witness: &mut Witness, turn: &mut Turn, node: NodeId, clock: Duration) {
    if clock.is_zero() {
        return;
    }
    let jitter = witness.config.params.heartbeat;
    let Some(session) = witness.sessions.get_mut(&node) else { return };
    let Some(outside) = Clock::read(&mut session.clock, turn.now, clock, jitter) else { return };
    if let Some(known) = witness.record.nodes.get_mut(&node)
        && known.drifts != outside
    {
        known.drifts = outside;
        turn.event(Event::Drift { node, outside });
    }
}
