//! Heartbeats between nodes, over UDP.

use crate::ids::{BootId, Epoch, NodeId, NodeSet, Nonce, VolumeId};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// One heartbeat. It is authenticated and its sender is named by the transport.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Beat {
    /// The sender.
    pub from: NodeId,
    /// The sender's boot.
    pub boot: BootId,
    /// The sender's daemon start; drawn at random at each.
    pub run: Nonce,
    /// Strictly growing within a run, over all paths together.
    pub seq: u64,
    /// The newest beat that the sender had from the receiver, as `(run, seq)`. It proves to the receiver that
    /// this beat is younger than that one, and that the sender hears it.
    pub echo: Option<(Nonce, u64)>,
    /// The nodes that the sender hears on any path.
    pub hears: NodeSet,
    /// What the sender holds.
    pub holds: Vec<(VolumeId, Epoch)>,
}
