//! What a relayed release is signed over, and how signature and certificates travel.
//!
//! The signing itself is the transport's. The bytes name the cluster, the node and every fact of the release, so
//! that a signature fits this release only; both hops check it against the certificate of the releasing node.

use crate::v1;
use picket_core::ids::NodeId;
use picket_core::message::SignedRelease;
use prost::Message as _;

/// The purpose that a release is signed for; a signature for another purpose does not verify.
pub const PURPOSE: &str = "picket release 1";

/// More certificates than a node and two authorities above it are never sent.
const CHAIN_MAX: usize = 3;

/// What the releasing node signs: length and name of the cluster, node, volume, epoch, boot; numbers most
/// significant byte first. The signature in the release is no part of it.
#[must_use]
pub fn signed_bytes(cluster: &str, node: NodeId, release: &SignedRelease) -> Vec<u8> {
    let mut bytes = (cluster.len() as u64).to_be_bytes().to_vec();
    bytes.extend_from_slice(cluster.as_bytes());
    bytes.push(node.0);
    bytes.extend_from_slice(&release.volume.0.to_be_bytes());
    bytes.extend_from_slice(&release.epoch.0.to_be_bytes());
    bytes.extend_from_slice(&release.boot.0.to_be_bytes());
    bytes
}

/// A signature with the signer's certificates, as [`SignedRelease::signature`] has them.
#[must_use]
pub fn pack(signature: Vec<u8>, chain: Vec<Vec<u8>>) -> Vec<u8> {
    v1::ReleaseSignature { signature, chain }.encode_to_vec()
}

/// Signature and certificates of a release; nothing if the bytes are not what [`pack`] makes.
#[must_use]
pub fn unpack(packed: &[u8]) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let v1::ReleaseSignature { signature, chain } = v1::ReleaseSignature::decode(packed).ok()?;
    (!signature.is_empty() && (1..=CHAIN_MAX).contains(&chain.len())).then_some((signature, chain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use picket_core::ids::{BootId, Epoch, VolumeId};

    fn release(volume: u16, epoch: u64, boot: u128) -> SignedRelease {
        SignedRelease {
            volume: VolumeId(volume),
            epoch: Epoch(epoch),
            boot: BootId(boot),
            signature: vec![1],
        }
    }

    #[test]
    fn every_fact_is_signed() {
        let base = signed_bytes("c", NodeId(1), &release(1, 2, 3));
        for other in [
            signed_bytes("d", NodeId(1), &release(1, 2, 3)),
            signed_bytes("c", NodeId(2), &release(1, 2, 3)),
            signed_bytes("c", NodeId(1), &release(2, 2, 3)),
            signed_bytes("c", NodeId(1), &release(1, 3, 3)),
            signed_bytes("c", NodeId(1), &release(1, 2, 4)),
        ] {
            assert_ne!(base, other);
        }
        let unsigned = SignedRelease { signature: vec![], ..release(1, 2, 3) };
        assert_eq!(base, signed_bytes("c", NodeId(1), &unsigned));
    }

    #[test]
    fn signature_and_chain_travel_together() {
        let packed = pack(vec![1, 2], vec![vec![3], vec![4]]);
        assert_eq!(unpack(&packed), Some((vec![1, 2], vec![vec![3], vec![4]])));
        assert_eq!(unpack(&pack(vec![], vec![vec![3]])), None);
        assert_eq!(unpack(&pack(vec![1], vec![])), None);
        assert_eq!(unpack(&pack(vec![1], vec![vec![3]; 4])), None);
        assert_eq!(unpack(b"\xff\xff\xff"), None);
    }
}
