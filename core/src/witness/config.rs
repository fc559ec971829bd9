//! What a witness machine is told once: who belongs to the cluster, which volumes there are, and the timings.

use crate::ids::{ConfigDigest, NodeId, NodeSet, VolumeId};
use crate::params::Params;
use alloc::collections::BTreeMap;
use core::time::Duration;

/// The configuration of one cluster, as its witness has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Config {
    /// Every member.
    pub members: NodeSet,
    /// The replicated volumes, each with the nodes that have a replica.
    pub volumes: BTreeMap<VolumeId, NodeSet>,
    /// Fingerprint of what witness and nodes must agree on.
    pub digest: ConfigDigest,
    /// The timings; validated before.
    pub params: Params,
}

impl Config {
    /// Whether the node is a member. Numbers that no node can have are none.
    #[must_use]
    pub const fn is_member(&self, node: NodeId) -> bool {
        node.0 <= NodeSet::MAX_NODES && self.members.contains(node)
    }

    /// How long after a confirmation by hand it counts: lease, guard and watchdog have done their work by then,
    /// and another guard covers the witness's own timer.
    #[must_use]
    pub fn attestation_wait(&self) -> Duration {
        let watchdog = self.params.watchdog.map_or(Duration::ZERO, |w| w.effective);
        self.params.lease_and_guard() + watchdog + self.params.guard
    }
}
