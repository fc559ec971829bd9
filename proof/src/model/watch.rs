//! What the properties remember of the past.

use picket_core::ids::{Epoch, NodeId, NodeSet, PermitId, VolumeId};
use picket_core::message::{FromWitness, PeerBody, PeerMessage, Reply};
use picket_core::node::Run;
use picket_core::time::Instant;
use picket_core::witness::Record;
use std::collections::BTreeMap;

/// What the properties remember of the past.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// When the present witness process started.
    pub started: Option<Instant>,
    /// Who was promoted with each epoch.
    pub promoted: BTreeMap<(VolumeId, Epoch), NodeId>,
    /// Renewals that a node was told are refused: for which epoch, and when it heard of it first.
    pub refused: BTreeMap<(NodeId, VolumeId), (Epoch, Instant)>,
    /// An operator took it on himself that acknowledged writes may be lost.
    pub overridden: bool,
    /// And no witness has heard of it yet.
    pub unrecorded: bool,
    /// When a node was told last that it may go on with a volume.
    pub authority: BTreeMap<(NodeId, VolumeId), Instant>,
    /// Nodes that an operator wants on standby.
    pub to_stand_by: NodeSet,
    /// Those of them that have said that they stand by.
    pub standby: NodeSet,
    /// The newest permit of any target that was looked at.
    pub permits: PermitId,
    /// The witness's store was put back, and no recovery has begun since.
    pub put_back: bool,
}

impl Watch {
    /// A witness process starts.
    pub fn witness_started(&mut self, now: Instant, record: Option<&Record>) {
        self.started = Some(now);
        // One that was restored may give the same numbers again.
        self.permits = record.map(|record| record.permits).unwrap_or_default();
    }

    /// A daemon takes up what its predecessor left running under a maintenance.
    pub fn adopted(&mut self, now: Instant, node: NodeId, volumes: impl Iterator<Item = VolumeId>) {
        self.authority.extend(volumes.map(|volume| ((node, volume), now)));
    }

    /// Takes note of who is told by the witness that it may go on.
    pub fn authorities(&mut self, now: Instant, node: NodeId, message: &FromWitness) {
        match &message.body {
            Reply::Granted(granted) => {
                self.authority.insert((node, granted.register.volume), now);
            }
            Reply::Renewed { volumes, .. } => {
                self.authority.extend(volumes.iter().map(|(volume, _)| ((node, *volume), now)));
            }
            _ => {}
        }
    }

    /// Takes note of who is told by a peer that it may go on without the witness.
    pub fn acknowledgements(&mut self, now: Instant, node: NodeId, message: &PeerMessage) {
        if let PeerBody::FailsafeAnswer { volume, promise: Ok(()), .. } = &message.body {
            self.authority.insert((node, *volume), now);
        }
    }

    /// Takes note of refused renewals as they arrive, and of renewed ones. What the node holds by its record may be on
    /// its way into service: the refusal is of that grant, and not of one that it was promoted with before.
    pub fn refusals(&mut self, now: Instant, node: NodeId, run: Option<&Run>, message: &FromWitness) {
        let Reply::Renewed { volumes, refused, .. } = &message.body else { return };
        for (volume, _) in volumes {
            self.refused.remove(&(node, *volume));
        }
        for (volume, _) in refused {
            let held = run.and_then(|run| run.held.get(volume)).map(|held| held.epoch);
            let mut before = self.promoted.iter().filter(|((v, _), by)| v == volume && **by == node);
            let promoted = before.next_back().map(|((_, epoch), _)| *epoch);
            if let Some(epoch) = held.or(promoted) {
                let first = self.refused.entry((node, *volume)).or_insert((epoch, now));
                if first.0 != epoch {
                    *first = (epoch, now);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
