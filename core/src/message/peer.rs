//! What nodes tell each other over gRPC. Messages go one way; an answer is a message of its own that repeats the
//! question's number.

use crate::error::Refusal;
use crate::ids::{BootId, Epoch, NodeId, Nonce, RequestId, VolumeId};
use crate::time::Duration;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A message from one node to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerMessage {
    /// The sender's boot.
    pub boot: BootId,
    /// The sender's daemon start.
    pub run: Nonce,
    /// What it says.
    pub body: PeerBody,
}

/// What nodes say to each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PeerBody {
    /// The witness does not answer me; promise not to take this volume for a lease of mine and a guard.
    FailsafeLease {
        /// Repeated in the answer; never used twice within a run.
        request: RequestId,
        /// The volume.
        volume: VolumeId,
        /// The epoch that the asker holds it with.
        epoch: Epoch,
        /// How long the asker's lease lasts once it is promised: while timings are changed, not every node has the same.
        lease: Duration,
    },
    /// The answer to [`PeerBody::FailsafeLease`].
    FailsafeAnswer {
        /// The question's number.
        request: RequestId,
        /// The asker's run, so that an answer to an earlier run is not taken for this one's.
        run: Nonce,
        /// The volume.
        volume: VolumeId,
        /// The epoch in the question.
        epoch: Epoch,
        /// Promised, or why not.
        promise: Result<(), Refusal>,
    },
    /// The holder wants to hand the volume over: could you take it now?
    HandoverOffer {
        /// Repeated in the answer.
        request: RequestId,
        /// The volume.
        volume: VolumeId,
        /// The epoch that the asker holds it with.
        epoch: Epoch,
    },
    /// The answer to [`PeerBody::HandoverOffer`].
    HandoverAnswer {
        /// The question's number.
        request: RequestId,
        /// The volume.
        volume: VolumeId,
        /// Ready, or why not.
        ready: Result<(), Refusal>,
    },
    /// An operator asked another node than the holder to have this volume moved; it passes the wish on.
    MoveRequest {
        /// The volume.
        volume: VolumeId,
        /// Where to.
        to: NodeId,
    },
    /// The answer to [`PeerBody::MoveRequest`] when the move does not take place.
    MoveRefused {
        /// The volume.
        volume: VolumeId,
        /// Where it should have gone.
        to: NodeId,
        /// Why not.
        refusal: Refusal,
    },
    /// Pass this release on to the witness: I cannot reach it. The sender is verified inactive.
    RelayRelease {
        /// What is released.
        release: SignedRelease,
    },
}

/// A release that somebody else may carry to the witness. The transport checks the signature against the
/// releasing node's certificate on both hops.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SignedRelease {
    /// The volume.
    pub volume: VolumeId,
    /// The epoch that ends.
    pub epoch: Epoch,
    /// The boot that held it.
    pub boot: BootId,
    /// Signature and certificate, made and checked by the transport; empty inside the core.
    pub signature: Vec<u8>,
}
