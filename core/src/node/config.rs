//! What a node machine is told once: who it is, what it replicates, and how it may fence.

use crate::ids::{ConfigDigest, NodeId, NodeSet, VolumeId};
use crate::params::Params;
use crate::quorum::QuorumMode;
use crate::topology::FencePlan;
use alloc::collections::BTreeMap;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The configuration of a node machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Config {
    /// This node.
    pub me: NodeId,
    /// Every member, this node included.
    pub members: NodeSet,
    /// Fingerprint of what witness and nodes must agree on.
    pub digest: ConfigDigest,
    /// The timings; validated before.
    pub params: Params,
    /// How many heartbeat paths lead to each peer.
    pub paths: BTreeMap<NodeId, u8>,
    /// The replicated volumes of this node.
    pub volumes: BTreeMap<VolumeId, VolumeConfig>,
    /// How each peer is fenced; a peer that is missing cannot be fenced.
    pub fencing: BTreeMap<NodeId, FencePlan>,
    /// An armed watchdog exists that counts for the lease proof; petting is bound to the leases then.
    pub watchdog: bool,
    /// The machine's clocks and watchdog go on while it is paused from outside.
    pub pause_visible: bool,
    /// How long a machine that has just booted waits for all members before it asks for a fence.
    pub cold_start: Duration,
    /// How the quorum check counts, and whether a promotion waits for it.
    pub quorum: QuorumMode,
}

/// The configuration of one volume.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeConfig {
    /// The nodes that have a replica.
    pub members: NodeSet,
    /// What is driven, and by what: a number that is another one whenever this is another.
    pub driver: u64,
    /// What to do when authority is lost.
    pub loss_action: LossAction,
    /// What keeps a write from being acknowledged before every in-sync replica has it.
    pub barrier: Barrier,
    /// Lease expiry may count although the machine can be paused unseen, because the barrier suffices.
    pub barrier_suffices: bool,
    /// How long a demote may take before it counts as failed.
    pub demote_timeout: Duration,
    /// How long a promote may take before it counts as failed.
    pub promote_timeout: Duration,
}

/// What a node does with a volume that it may hold no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossAction {
    /// Keep the volume frozen behind its barrier.
    Freeze,
    /// Stop what stands on the volume and demote it.
    Osu,
    /// Reset the machine.
    Fastboot,
    /// Switch the machine off.
    Fastkill,
}

/// What makes an acknowledged write safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Barrier {
    /// The replication itself suspends writes while a required replica is missing.
    Replication,
    /// There is none: only exclusivity is protected, acknowledged writes are not.
    None,
}
