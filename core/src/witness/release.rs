//! Releases: the holder's own word that it is verified inactive, given by itself or carried by a peer.
//!
//! A release is bound to the epoch and to the boot, so that a late or repeated one ends nothing else. It is taken
//! during a live permit as well: a surrender proves inactivity and does not end the permit.

use super::Witness;
use super::event::Event;
use super::turn::Turn;
use crate::error::Refusal;
use crate::ids::{BootId, Epoch, NodeId, VolumeId};
use crate::message::{Holder, Reply, SignedRelease, Subject};
use crate::mutant::{Mutant, on};

/// The node releases what it holds.
pub(super) fn release(
    witness: &mut Witness,
    turn: &mut Turn,
    node: NodeId,
    volume: VolumeId,
    epoch: Epoch,
    successor: Option<NodeId>,
) {
    let Some(boot) = witness.sessions.get(&node).and_then(|session| session.boot) else { return };
    let done = apply(witness, turn, volume, epoch, Holder { node, boot });
    if matches!(done, Ok(true)) {
        expect(witness, turn, node, volume, successor);
    }
    answer(witness, turn, node, (volume, epoch), done);
}

/// A peer carries the release of a holder that cannot reach the witness; its signature was checked before.
pub(super) fn relay(
    witness: &mut Witness,
    turn: &mut Turn,
    carrier: NodeId,
    holder: NodeId,
    release: &SignedRelease,
) {
    let (volume, epoch, boot): (_, _, BootId) = (release.volume, release.epoch, release.boot);
    let done = apply(witness, turn, volume, epoch, Holder { node: holder, boot });
    answer(witness, turn, carrier, (volume, epoch), done);
}

fn answer(
    witness: &mut Witness,
    turn: &mut Turn,
    node: NodeId,
    (volume, epoch): (VolumeId, Epoch),
    done: Result<bool, Refusal>,
) {
    let body = match done {
        Ok(_) => Reply::Released { volume, epoch },
        Err(refusal) => Reply::Refused { subject: Subject::Release { volume }, refusal },
    };
    witness.send(turn, node, body);
}

/// Records the release; false: it was recorded before.
fn apply(
    witness: &mut Witness,
    turn: &mut Turn,
    volume: VolumeId,
    epoch: Epoch,
    releaser: Holder,
) -> Result<bool, Refusal> {
    let reported = forget_report(witness, volume, epoch, releaser);
    let held = witness.register(volume)?.epoch;
    let register = witness.record.volumes.get_mut(&volume).ok_or(Refusal::NoSuchVolume { volume })?;
    if register.holder.is_none() && held == epoch || register.holder != Some(releaser) && reported {
        return Ok(false);
    }
    if register.holder != Some(releaser) {
        return Err(Refusal::NotHolder { holder: register.holder.map(|holder| holder.node) });
    }
    if held != epoch && !on(Mutant::M17) {
        return Err(Refusal::EpochMismatch { held, asked: epoch });
    }
    register.holder = None;
    register.revoked = false;
    register.overridden = false;
    register.attempt = None;
    witness.timers.leases.remove(&volume);
    turn.event(Event::Released { volume, node: releaser.node, epoch: held });
    Ok(true)
}

/// While the witness recovers, the report of a session must not claim what was released after it.
fn forget_report(witness: &mut Witness, volume: VolumeId, epoch: Epoch, releaser: Holder) -> bool {
    let Some(session) = witness.sessions.get_mut(&releaser.node) else { return false };
    if session.boot != Some(releaser.boot) {
        return false;
    }
    let mut claims = session.report.iter_mut().flatten().filter(|report| report.volume == volume);
    claims.any(|report| report.held.take_if(|held| *held == epoch).is_some())
}

/// Keeps the volume for the successor of a handover, for as long as silence would take to be seen.
fn expect(witness: &mut Witness, turn: &Turn, node: NodeId, volume: VolumeId, successor: Option<NodeId>) {
    let Some(successor) =
        successor.filter(|successor| *successor != node && witness.config.is_member(*successor))
    else {
        return;
    };
    let until = turn.now + witness.config.params.suspect_after();
    if let Some(register) = witness.record.volumes.get_mut(&volume)
        && register.isr.contains(successor)
    {
        register.successor = Some(successor);
        witness.timers.successors.insert(volume, until);
    }
}
