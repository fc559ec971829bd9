//! A record: what a client appended, and which primary took it in which epoch.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{ClientId, Epoch, NodeId};

/// The largest payload, in bytes. Small enough that one frame is one write, large enough for a block.
pub const PAYLOAD_MAX: usize = 64 * 1024;

/// One record of the log. Its checksum stands in the frame that holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Place in the log, from 1.
    pub seq: u64,
    /// Of the primary that took it.
    pub epoch: Epoch,
    /// The primary that took it.
    pub node: NodeId,
    /// Who wrote it.
    pub client: ClientId,
    /// The writer's own number; a repeated append carries the same one.
    pub client_seq: u64,
    /// When the primary took it, CLOCK_BOOTTIME in nanoseconds. The end of the interval is in the
    /// acceptance log: it is not known when the record is written.
    pub received_ns: u64,
    /// The data.
    pub payload: Bytes,
}

/// Names a place in the log together with everything before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// Place in the log; 0 is before the first record.
    pub seq: u64,
    /// Of the record there.
    pub epoch: Epoch,
    /// Of the record there.
    pub crc: u32,
    /// Over place, epoch and checksum of this record and of all before it: equal chains, equal logs.
    pub chain: u64,
}

impl Point {
    /// The place after this one.
    #[must_use]
    pub fn then(&self, epoch: Epoch, crc: u32) -> Point {
        let seq = self.seq + 1;
        let mut chain = self.chain;
        for word in [seq, epoch.0, u64::from(crc)] {
            chain = mix(chain ^ word);
        }
        Point { seq, epoch, crc, chain }
    }
}

/// The finaliser of splitmix64: every input bit changes every output bit.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
