//! Every timer of a witness machine. An entry that is due is taken out, so that "no entry" has one meaning: over.

use crate::ids::{NodeId, VolumeId};
use crate::time::{Instant, Instants};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// The volatile times of a witness.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Timers {
    /// Until when a holder's lease and guard last, by volume.
    pub(super) leases: BTreeMap<VolumeId, Instant>,
    /// Until when only the successor of a handover may take the volume.
    pub(super) successors: BTreeMap<VolumeId, Instant>,
    /// Until when a node counts as heard by the witness itself.
    pub(super) heard: BTreeMap<NodeId, Instant>,
    /// When a permit ends for want of a report, by target.
    pub(super) permits: BTreeMap<NodeId, Instant>,
    /// When a confirmation by hand counts, by target.
    pub(super) confirmations: BTreeMap<NodeId, Instant>,
    /// When a maintenance ends.
    pub(super) maintenance: BTreeMap<NodeId, Instant>,
    /// When each fence of a node leaves the window of the loop limit.
    pub(super) fences: BTreeMap<NodeId, Vec<Instant>>,
    /// Until when this witness has not run long enough to have missed anybody.
    pub(super) blind_until: Option<Instant>,
    /// Until when this witness, which was stalled, only reads what came meanwhile.
    pub(super) catching_up_until: Option<Instant>,
    /// Until when leases that were given under longer timings may last.
    pub(super) longer_leases_until: Option<Instant>,
    /// When what an operator adopted counts.
    pub(super) adoption: Option<Instant>,
}

impl Timers {
    /// The earliest of all.
    pub(super) fn next(&self) -> Option<Instant> {
        let Self {
            leases,
            successors,
            heard,
            permits,
            confirmations,
            maintenance,
            fences,
            blind_until,
            catching_up_until,
            longer_leases_until,
            adoption,
        } = self;
        let by_volume = leases.values().chain(successors.values());
        let by_node = [heard, permits, confirmations, maintenance].into_iter().flat_map(BTreeMap::values);
        let single = [blind_until, catching_up_until, longer_leases_until, adoption].into_iter().flatten();
        by_volume.chain(by_node).chain(fences.values().flatten()).chain(single).min().copied()
    }

    /// What a person has said does not count, and what somebody was given does not end, before `until`: what speaks against
    /// it is still to be read.
    pub(super) fn put_off(&mut self, until: Instant) {
        let words = self.confirmations.values_mut().chain(self.adoption.as_mut());
        let given = self.permits.values_mut().chain(self.successors.values_mut());
        words.chain(given).for_each(|at| *at = (*at).max(until));
    }
}

/// Takes the keys out whose time has come, in growing order of the keys.
pub(super) fn due<K: Copy + Ord>(timers: &mut BTreeMap<K, Instant>, now: Instant) -> Vec<K> {
    let keys: Vec<K> = timers.iter().filter(|(_, at)| **at <= now).map(|(key, _)| *key).collect();
    for key in &keys {
        timers.remove(key);
    }
    keys
}

/// Takes the instant out if its time has come.
pub(super) fn due_once(timer: &mut Option<Instant>, now: Instant) -> bool {
    timer.take_if(|at| *at <= now).is_some()
}

impl Instants for Timers {
    fn instants(&mut self, visit: &mut dyn FnMut(&mut Instant)) {
        self.leases.instants(visit);
        self.successors.instants(visit);
        self.heard.instants(visit);
        self.permits.instants(visit);
        self.confirmations.instants(visit);
        self.maintenance.instants(visit);
        self.fences.instants(visit);
        self.blind_until.instants(visit);
        self.catching_up_until.instants(visit);
        self.longer_leases_until.instants(visit);
        self.adoption.instants(visit);
    }
}
