//! What operators ask of the witness. A person's name, address and right are checked and audited by the
//! transport; here is only what is asked.

use crate::error::Refusal;
use crate::ids::{Epoch, IsrVersion, NodeId, NodeSet, PermitId, VolumeId};
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// A request of an operator to the witness.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum OperatorRequest {
    /// End RECOVERY with what has been reported so far.
    Adopt {
        /// For volumes with claims that do not descend from each other: whose data is the volume's.
        source: Option<NodeId>,
    },
    /// Tombstone this witness's store: it serves nobody any more, because another witness takes its place.
    Retire,
    /// Take a node out of a volume's in-sync set. Refused for the holder and for the last one.
    Evict {
        /// The node.
        node: NodeId,
        /// The volume.
        volume: VolumeId,
    },
    /// A node that was fenced too often may come back.
    Clear {
        /// The node.
        node: NodeId,
    },
    /// The node's disk was restored or swapped: what it has is not what the record says. Takes it out of the
    /// in-sync set; refused while it holds the volume.
    ForceStale {
        /// The node.
        node: NodeId,
        /// The volume.
        volume: VolumeId,
    },
    /// The operator attests that the node's machine is off, answering a pending request.
    ConfirmMeatware {
        /// The node.
        node: NodeId,
        /// The challenge as shown.
        challenge: u32,
    },
    /// The operator says that the machine is not off, and ends the pending request.
    DenyMeatware {
        /// The node.
        node: NodeId,
    },
    /// No permit against the node and no takeover from it for so long.
    Maintenance {
        /// The node.
        node: NodeId,
        /// From now on; zero ends it.
        length: Duration,
    },
}

/// The witness's answer to an operator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum OperatorAnswer {
    /// Done and durable.
    Done,
    /// A confirmation was accepted; it takes effect after so long, when even a wrong one is safe.
    Confirmed {
        /// The permit that it will end.
        permit: PermitId,
        /// How long until it counts as a proof.
        effective_in: Duration,
    },
    /// Not done.
    Refused(Refusal),
}

/// A volume's register, as others see it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PendingConfirmation {
    /// Who is to be confirmed off.
    pub target: NodeId,
    /// The permit of the fence that came to this.
    pub permit: PermitId,
    /// What the operator must type.
    pub challenge: u32,
    /// Who hears the target still; it cannot be confirmed off while anybody does. The witness itself is not in
    /// the set.
    pub heard_by: NodeSet,
    /// Set once confirmed: what remains until the confirmation counts.
    pub effective_in: Option<Duration>,
}

/// What an override records once a witness is there again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Override {
    /// The volume that was activated.
    pub volume: VolumeId,
    /// The epoch that was burnt for it.
    pub epoch: Epoch,
    /// The in-sync set that it assumed: the node itself.
    pub isr: NodeSet,
    /// Its version.
    pub isr_version: IsrVersion,
}
