//! What the properties remember of the past.

use picket_core::ids::{Epoch, NodeId, PermitId, VolumeId};
use picket_core::message::{FromWitness, Reply};
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
    /// The newest permit of any target that was looked at.
    pub permits: PermitId,
}

impl Watch {
    /// A witness process starts.
    pub fn witness_started(&mut self, now: Instant, record: Option<&Record>) {
        self.started = Some(now);
        // One that was restored may give the same numbers again.
        self.permits = record.map(|record| record.permits).unwrap_or_default();
    }

    /// Takes note of refused renewals as they arrive, and of renewed ones.
    pub fn refusals(&mut self, now: Instant, node: NodeId, message: &FromWitness) {
        let Reply::Renewed { volumes, refused, .. } = &message.body else { return };
        for (volume, _) in volumes {
            self.refused.remove(&(node, *volume));
        }
        for (volume, _) in refused {
            let mut epoch = self.promoted.iter().filter(|((v, _), by)| v == volume && **by == node);
            if let Some(((_, epoch), _)) = epoch.next_back() {
                let first = self.refused.entry((node, *volume)).or_insert((*epoch, now));
                if first.0 != *epoch {
                    *first = (*epoch, now);
                }
            }
        }
    }
}
