//! Reproducible chance, without a crate: SplitMix64 (Steele, Lea, Flood 2014).

use super::Kind;

/// A stream of numbers that its seed determines.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to below `end`; 0 if `end` is 0. The bias is far below what a lab can see.
    pub(super) const fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.next() % end }
    }
}

/// The seed of one lane: FNV-1a over its names, so that it does not depend on the order in which
/// links are made.
pub(super) fn of_lane(seed: u64, from: &str, to: &str, kind: Kind) -> u64 {
    let kind = match kind {
        Kind::Heartbeat(path) => [0, path],
        Kind::Peer => [1, 0],
        Kind::Replication => [2, 0],
        Kind::Witness => [3, 0],
        Kind::Power => [4, 0],
    };
    let names = from.bytes().chain([0]).chain(to.bytes()).chain([0]).chain(kind);
    let hash = names.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    Chance::new(hash ^ seed).next()
}
