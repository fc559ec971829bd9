//! Heartbeats on UDP: a compact form of its own, authenticated with the cluster's key.
//!
//! ```text
//! magic "PKT" · version 1 · from u8 · boot 16 · run 16 · seq u64 · hears u32
//! · echo: 0, or 1 · run 16 · seq u64 · count u8 · count × (volume u16 · epoch u64) · tag 32
//! ```
//! Numbers are most significant byte first. The tag is HMAC-SHA256 with the key over `picket-beat`, the length of
//! the cluster's name, the name, and everything before the tag; so a datagram of another cluster fails even
//! under a shared key. Replays are not seen here: a beat proves its age by what it echoes.
//!
//! Contract: [`open`] reads nothing before the tag is verified, accepts exactly what [`seal`] writes, and never
//! panics.

use crate::{COUNT_MAX, VOLUMES_MAX};
use core::fmt;
use picket_core::ids::{BootId, Epoch, NodeId, NodeSet, Nonce, VolumeId};
use picket_core::message::Beat;
use ring::hmac;

#[cfg(test)]
mod tests;

/// The largest datagram in bytes: it passes every usual path in one piece.
pub const DATAGRAM_MAX: usize = 1200;

/// How many bytes a cluster's key has.
pub const KEY_BYTES: usize = 32;

const MAGIC: &[u8; 4] = b"PKT\x01";
const TAG_BYTES: usize = 32;
const FIXED_BYTES: usize = MAGIC.len() + 1 + 16 + 16 + 8 + 4;
const ECHO_BYTES: usize = 1 + 16 + 8;
const HELD_BYTES: usize = 2 + 8;
const _: () = assert!(FIXED_BYTES + ECHO_BYTES + 1 + VOLUMES_MAX * HELD_BYTES + TAG_BYTES <= DATAGRAM_MAX);
const _: () = assert!(VOLUMES_MAX <= u8::MAX as usize);

/// A cluster's key for heartbeats. It cannot be printed.
#[derive(Clone)]
pub struct BeatKey(hmac::Key);

impl BeatKey {
    /// From the bytes of the key file.
    #[must_use]
    pub fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }
}

impl fmt::Debug for BeatKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BeatKey(…)")
    }
}

/// Why a datagram is no heartbeat of this cluster. Nothing of it was used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeatError {
    /// Shorter than the shortest beat or longer than the longest.
    #[error("a datagram of {came} bytes")]
    Length {
        /// Its length.
        came: usize,
    },
    /// It does not start like a beat of a version that is spoken here.
    #[error("not a heartbeat of a known version")]
    Version,
    /// The tag is wrong: another key, another cluster, or changed on the way.
    #[error("not authentic: another key, another cluster, or changed on the way")]
    NotAuthentic,
    /// Authentic, and still not what `seal` writes: the sender is broken.
    #[error("authentic but malformed: {field}")]
    Malformed {
        /// The field that cannot be.
        field: &'static str,
    },
}

/// The datagram for a beat. Of `holds`, no more than [`VOLUMES_MAX`] are written: a cluster has no more.
#[must_use]
pub fn seal(key: &BeatKey, cluster: &str, beat: &Beat) -> Vec<u8> {
    let mut out = Vec::with_capacity(DATAGRAM_MAX);
    out.extend_from_slice(MAGIC);
    out.push(beat.from.0);
    out.extend_from_slice(&beat.boot.0.to_be_bytes());
    out.extend_from_slice(&beat.run.0.to_be_bytes());
    out.extend_from_slice(&beat.seq.to_be_bytes());
    let hears = beat.hears.iter().fold(0_u32, |mask, node| mask | 1 << node.0);
    out.extend_from_slice(&hears.to_be_bytes());
    match beat.echo {
        None => out.push(0),
        Some((run, seq)) => {
            out.push(1);
            out.extend_from_slice(&run.0.to_be_bytes());
            out.extend_from_slice(&seq.to_be_bytes());
        }
    }
    debug_assert!(beat.holds.len() <= VOLUMES_MAX, "a cluster has at most {VOLUMES_MAX} volumes");
    let holds = &beat.holds[..beat.holds.len().min(VOLUMES_MAX)];
    // At most VOLUMES_MAX, which the assertion above keeps within a byte.
    out.push(u8::try_from(holds.len()).unwrap_or(u8::MAX));
    for (volume, epoch) in holds {
        out.extend_from_slice(&volume.0.to_be_bytes());
        out.extend_from_slice(&epoch.0.to_be_bytes());
    }
    let tag = sign(key, cluster, &out);
    out.extend_from_slice(tag.as_ref());
    out
}

/// The beat of a datagram, if it is one of this cluster.
///
/// # Errors
/// Why it is none.
pub fn open(key: &BeatKey, cluster: &str, datagram: &[u8]) -> Result<Beat, BeatError> {
    let came = datagram.len();
    if !(FIXED_BYTES + 2 + TAG_BYTES..=DATAGRAM_MAX).contains(&came) {
        return Err(BeatError::Length { came });
    }
    if !datagram.starts_with(MAGIC) {
        return Err(BeatError::Version);
    }
    let (signed, tag) = datagram.split_at(came - TAG_BYTES);
    let mut message = prefix(cluster);
    message.extend_from_slice(signed);
    hmac::verify(&key.0, &message, tag).map_err(|_| BeatError::NotAuthentic)?;
    parse(&signed[MAGIC.len()..])
}

fn prefix(cluster: &str) -> Vec<u8> {
    let mut prefix = b"picket-beat".to_vec();
    prefix.extend_from_slice(&(cluster.len() as u64).to_be_bytes());
    prefix.extend_from_slice(cluster.as_bytes());
    prefix
}

fn sign(key: &BeatKey, cluster: &str, bytes: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&key.0);
    context.update(&prefix(cluster));
    context.update(bytes);
    context.sign()
}

fn parse(mut rest: &[u8]) -> Result<Beat, BeatError> {
    let [from] = cut(&mut rest, "from")?;
    let from = NodeId(from);
    if !(1..=NodeSet::MAX_NODES).contains(&from.0) {
        return Err(BeatError::Malformed { field: "from" });
    }
    let boot = BootId(u128::from_be_bytes(cut(&mut rest, "boot")?));
    let run = Nonce(u128::from_be_bytes(cut(&mut rest, "run")?));
    let seq = count(&mut rest, "seq")?;
    let hears = node_set(u32::from_be_bytes(cut(&mut rest, "hears")?))?;
    let echo = match cut(&mut rest, "echo")? {
        [0] => None,
        [1] => {
            let run = Nonce(u128::from_be_bytes(cut(&mut rest, "echo.run")?));
            Some((run, count(&mut rest, "echo.seq")?))
        }
        [_] => return Err(BeatError::Malformed { field: "echo" }),
    };
    let [held] = cut(&mut rest, "count")?;
    if usize::from(held) > VOLUMES_MAX {
        return Err(BeatError::Malformed { field: "count" });
    }
    let mut holds = Vec::with_capacity(held.into());
    for _ in 0..held {
        let volume = VolumeId(u16::from_be_bytes(cut(&mut rest, "holds.volume")?));
        holds.push((volume, Epoch(count(&mut rest, "holds.epoch")?)));
    }
    if rest.is_empty() {
        Ok(Beat { from, boot, run, seq, echo, hears, holds })
    } else {
        Err(BeatError::Malformed { field: "end" })
    }
}

fn node_set(mask: u32) -> Result<NodeSet, BeatError> {
    let set: NodeSet = (1..=NodeSet::MAX_NODES).filter(|bit| mask & 1 << bit != 0).map(NodeId).collect();
    let back = set.iter().fold(0_u32, |mask, node| mask | 1 << node.0);
    if back == mask { Ok(set) } else { Err(BeatError::Malformed { field: "hears" }) }
}

/// A number that grows by counting.
fn count(rest: &mut &[u8], field: &'static str) -> Result<u64, BeatError> {
    let came = u64::from_be_bytes(cut(rest, field)?);
    if came <= COUNT_MAX { Ok(came) } else { Err(BeatError::Malformed { field }) }
}

fn cut<const N: usize>(rest: &mut &[u8], field: &'static str) -> Result<[u8; N], BeatError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(BeatError::Malformed { field })?;
    *rest = tail;
    Ok(*head)
}
