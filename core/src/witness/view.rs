//! What others are shown: the view that every member is pushed when it changes, and the two advisory questions.

use super::turn::Turn;
use super::{Witness, meatware};
use crate::ids::{NodeId, NodeSet};
use crate::message::{Check, CheckAnswer, PermitView, QuorumVerdict, Reply, View, WitnessVerdict};
use crate::quorum::{Vote, Votes, majority};
use crate::time::Instant;

/// Everything that every member may want to know. Without a time, what remains of a wait is given as zero, so that
/// two views differ only by what happened.
pub(super) fn view(witness: &Witness, now: Option<Instant>) -> View {
    let mut view = View {
        registers: witness.registers(),
        hears: witness.hears(),
        recovering: witness.recovering(),
        ..View::default()
    };
    for (node, known) in &witness.record.nodes {
        if let Some(live) = known.permit {
            view.permits.push(PermitView { permit: live.id, target: *node, fencer: live.fencer });
            view.pending.extend(meatware::pending(witness, *node, live, now));
        }
        let only = |is: bool| if is { NodeSet::only(*node) } else { NodeSet::EMPTY };
        view.maintenance = view.maintenance.union(only(known.maintenance.is_some()));
        view.held_off = view.held_off.union(only(known.held_off));
        view.failed = view.failed.union(only(known.failed.is_some()));
    }
    view
}

/// Pushes what changed since `before` to every registered session, and everything to those that are new.
pub(super) fn push(witness: &Witness, turn: &mut Turn, before: &View) {
    let changed = view(witness, None) != *before;
    if !changed && turn.newcomers.is_empty() {
        return;
    }
    let all = view(witness, Some(turn.now));
    let mut delta = all.clone();
    delta.registers.retain(|register| !before.registers.contains(register));
    for (node, session) in &witness.sessions {
        if session.boot.is_none() {
            continue;
        }
        if turn.newcomers.contains(*node) {
            witness.send(turn, *node, Reply::View(all.clone()));
        } else if changed {
            witness.send(turn, *node, Reply::View(delta.clone()));
        }
    }
}

/// Answers an advisory question.
pub(super) fn answer_check(witness: &Witness, turn: &mut Turn, node: NodeId, check: Check) {
    let answer = match check {
        Check::Quorum => CheckAnswer::Quorum(quorum(witness, node)),
        Check::Witness { peer } => {
            CheckAnswer::Witness { peer, verdict: peer_check(witness, peer, turn.now) }
        }
    };
    witness.send(turn, node, Reply::Checked(answer));
}

/// Whether the node belongs to a majority of members and witness, counted by whom the witness hears.
pub(super) fn quorum(witness: &Witness, node: NodeId) -> QuorumVerdict {
    let held_off = witness.record.nodes.get(&node).is_none_or(|known| known.held_off);
    if held_off || witness.may_act(node).is_err() {
        return QuorumVerdict::Quarantined;
    }
    let hears = witness.hears();
    let reaches = hears.contains(node);
    let here = if reaches { hears } else { NodeSet::only(node) };
    let members = witness.config.members;
    match majority(Votes { members, here, unknown: NodeSet::EMPTY, witness: Some(reaches) }) {
        Vote::Won => QuorumVerdict::Quorate,
        Vote::Lost | Vote::Pending => QuorumVerdict::NoQuorum,
    }
}

/// What the witness knows of a peer.
pub(super) fn peer_check(witness: &Witness, peer: NodeId, now: Instant) -> WitnessVerdict {
    let Some(known) = witness.record.nodes.get(&peer) else { return WitnessVerdict::Unknown };
    if witness.diverged.contains(peer) {
        return WitnessVerdict::Diverged;
    }
    if witness.record.recovery {
        return WitnessVerdict::Unknown;
    }
    let Some(boot) = known.boot else { return WitnessVerdict::Unknown };
    let held = witness.in_service().filter(|(_, register)| {
        register.holder.is_some_and(|holder| (holder.node, holder.boot) == (peer, boot))
    });
    let left = held.filter_map(|(volume, _)| witness.lease_left(volume, now)).min();
    let silent = witness.timers.blind_until.is_none() && !witness.hears().contains(peer);
    match (known.fenced.filter(|fenced| fenced.boot == boot), left) {
        (Some(fenced), _) => WitnessVerdict::Fenced { permit: fenced.permit },
        (None, Some(lease_left)) if witness.hears().contains(peer) => {
            WitnessVerdict::AliveHolds { lease_left }
        }
        (None, None) if witness.hears().contains(peer) => WitnessVerdict::AliveIdle,
        (None, None) if silent => WitnessVerdict::Expired,
        (None, Some(_) | None) => WitnessVerdict::Unknown,
    }
}
