//! What was acknowledged, which of it a log lacks, and what nobody logged.

use std::collections::{BTreeMap, HashSet};

use super::{Found, Lost, Name, Replica};
use crate::client::Ack;
use crate::ids::{Epoch, NodeId};
use crate::store::accept::AcceptEntry;

/// Somebody was told that a write is safe, or said so.
struct Claim {
    name: Name,
    seq: u64,
    /// Clients do not know it.
    crc: Option<u32>,
    acked_by: NodeId,
    epoch: Epoch,
}

/// All that was acknowledged, by the servers' logs and by the clients' journals.
pub(super) struct Claims {
    each: Vec<Claim>,
    writes: u64,
}

impl Claims {
    pub(super) fn of(replicas: &BTreeMap<NodeId, Replica>, acks: &[Ack]) -> Claims {
        let mut seen: HashSet<(Name, u64, Option<u32>)> = HashSet::new();
        let mut each = Vec::new();
        let mut add = |claim: Claim| {
            if seen.insert((claim.name, claim.seq, claim.crc)) {
                each.push(claim);
            }
        };
        for (node, replica) in replicas {
            for entry in &replica.accepted {
                if let AcceptEntry::Accepted { seq, record_crc, epoch, client, client_seq, .. } = entry {
                    let (name, crc) = ((*client, *client_seq), Some(*record_crc));
                    add(Claim { name, seq: *seq, crc, acked_by: *node, epoch: *epoch });
                }
            }
        }
        for ack in acks {
            let name = (ack.client, ack.client_seq);
            add(Claim { name, seq: ack.seq, crc: None, acked_by: ack.node, epoch: ack.epoch });
        }
        let names: HashSet<Name> = each.iter().map(|claim| claim.name).collect();
        Claims { each, writes: names.len() as u64 }
    }

    /// How many different writes.
    pub(super) fn writes(&self) -> u64 {
        self.writes
    }

    /// What this replica does not hold as it was acknowledged.
    pub(super) fn missing_in(&self, replica: &Replica) -> Vec<Lost> {
        let mut names: HashSet<Name> = HashSet::new();
        let mut missing = Vec::new();
        for Claim { name, seq, crc, acked_by, epoch } in &self.each {
            let first_look = names.insert(*name);
            let found = match replica.places.get(name) {
                // Named once, although both the server and the client have it.
                None if !first_look => continue,
                None => Found::Nothing,
                Some((at, _)) if at != seq => Found::ElsewhereAt(*at),
                Some((_, held)) if crc.is_some_and(|crc| crc != *held) => Found::OtherContent,
                Some(_) => continue,
            };
            let (client, client_seq) = *name;
            missing.push(Lost { client, client_seq, seq: *seq, acked_by: *acked_by, epoch: *epoch, found });
        }
        missing
    }
}

/// A server logs before it acknowledges, so every acknowledgement must be in its log.
pub(super) fn unlogged(replicas: &BTreeMap<NodeId, Replica>, acks: &[Ack]) -> Vec<Ack> {
    let mut logged: HashSet<(NodeId, Epoch, Name, u64)> = HashSet::new();
    for (node, replica) in replicas {
        for entry in &replica.accepted {
            if let AcceptEntry::Accepted { epoch, client, client_seq, acked_ns, .. } = entry {
                logged.insert((*node, *epoch, (*client, *client_seq), *acked_ns));
            }
        }
    }
    let is_logged =
        |ack: &&Ack| logged.contains(&(ack.node, ack.epoch, (ack.client, ack.client_seq), ack.acked_ns));
    acks.iter().filter(|ack| !is_logged(ack)).copied().collect()
}
