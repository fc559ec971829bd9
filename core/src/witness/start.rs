//! A start of the witness. Every lease and every permit of an earlier run counts as fresh, for its full time: how
//! much of it had passed died with that run.

use super::timers::Timers;
use super::{Config, Record, SCHEMA, Wake, Witness, lease, permit};
use crate::ids::{NodeSet, StoreId};
use crate::mutant::{Mutant, on};
use crate::params::FENCE_LOOP_WINDOW;
use crate::time::Instant;
use alloc::collections::BTreeMap;
use alloc::vec;

/// Builds the machine from what is on the disk.
pub(super) fn start(config: Config, stored: Option<Record>, store: StoreId, now: Instant) -> Witness {
    let (record, unsaved) = complete(&config, stored, store);
    let mut witness = Witness {
        config,
        record,
        unsaved,
        sessions: BTreeMap::new(),
        timers: Timers::default(),
        wake: Wake { stepped_at: now, awake_since: now, drained_at: now },
        adopt_source: None,
        adopts_without: NodeSet::EMPTY,
        adopted_from: BTreeMap::new(),
        diverged: NodeSet::EMPTY,
    };
    if !witness.record.retired {
        arm(&mut witness, now);
    }
    witness
}

/// The record with an entry for each configured node and volume. A volume that has none, and a store that is not
/// the one that was written, have no history: they go through RECOVERY.
fn complete(config: &Config, stored: Option<Record>, store: StoreId) -> (Record, bool) {
    let fresh = Record { schema: SCHEMA, store, recovery: true, ..Record::default() };
    let mut record = stored.clone().unwrap_or(fresh);
    if record.store != store {
        record.absorb(record.store, record.commit);
        record.store = store;
        record.recovery = true;
    }
    for volume in config.volumes.keys() {
        record.recovery |= !record.volumes.contains_key(volume);
        record.volumes.entry(*volume).or_default();
    }
    for node in config.members.iter() {
        record.nodes.entry(node).or_default();
    }
    record.schema = SCHEMA;
    record.lease_and_guard = record.lease_and_guard.max(config.params.lease_and_guard());
    let unsaved = stored.as_ref() != Some(&record);
    (record, unsaved)
}

fn arm(witness: &mut Witness, now: Instant) {
    let leases = witness.record.lease_and_guard;
    let current = witness.config.params.lease_and_guard();
    let silence = witness.config.params.suspect_after();
    let wait = witness.attestation_wait();
    let timers = &mut witness.timers;
    timers.longer_leases_until = (leases > current).then(|| now + leases);
    for (volume, register) in &witness.record.volumes {
        if register.holder.is_some() && !on(Mutant::M3) {
            timers.leases.insert(*volume, now + leases);
        }
        if register.successor.is_some() {
            timers.successors.insert(*volume, now + silence);
        }
    }
    for (node, known) in &witness.record.nodes {
        match known.permit.map(|live| (live, live.asked)) {
            Some((live, None)) => {
                timers.permits.insert(*node, now + live.lives);
            }
            Some((_, Some(asked))) if asked.confirmed => {
                timers.confirmations.insert(*node, now + wait);
            }
            Some((_, Some(_))) | None => {}
        }
        if let Some(length) = known.maintenance {
            timers.maintenance.insert(*node, now + length);
        }
        if known.fences > 0 {
            let fences =
                usize::try_from(known.fences).unwrap_or(usize::MAX).min(crate::params::FENCE_LOOP_LIMIT + 1);
            timers.fences.insert(*node, vec![now + FENCE_LOOP_WINDOW; fences]);
        }
    }
    witness.timers.blind_until = Some(now + permit::blind_for(witness, leases.max(lease::span(witness))));
}
