//! What travels over TCP: to peers and to clients.
//!
//! A frame is `length · crc · body`, little-endian; the crc covers the body, which is one message in
//! postcard's encoding. Anything else on a port ends that connection with a counted reason, and does
//! nothing more.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ids::{ClientId, Epoch, Generation, GenerationId, NodeId};
use crate::record::Point;

/// Of both protocols.
pub(crate) const SCHEMA: u16 = 1;
/// The largest frame on a peer port: a batch of records, which may exceed its aim by one record.
pub(crate) const PEER_FRAME_MAX: usize = 1024 * 1024;
/// The largest frame on a client port: one record of the largest payload.
pub(crate) const CLIENT_FRAME_MAX: usize = 80 * 1024;
const HEAD: usize = 8;

/// Why a connection was closed as unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Garbage {
    /// A length above the bound of the port.
    #[error("a frame longer than the bound")]
    TooLong,
    /// The checksum does not match.
    #[error("a frame with a wrong checksum")]
    BadChecksum,
    /// The body is no message.
    #[error("a frame that is no message")]
    NotAMessage,
    /// The other side speaks another schema.
    #[error("another schema")]
    OtherSchema,
    /// A message that may not come at this point.
    #[error("a message out of place")]
    OutOfPlace,
    /// Nothing came in time, before the greeting.
    #[error("no greeting in time")]
    NoGreeting,
    /// The peer is not the configured node.
    #[error("not a configured peer")]
    UnknownPeer,
}

/// Counts rejected connections per port and reason.
#[derive(Debug, Default)]
pub(crate) struct RejectCounts(Mutex<BTreeMap<String, u64>>);

impl RejectCounts {
    pub(crate) fn count(&self, port: &str, why: Garbage) {
        let name = serde_json::to_value(why).ok();
        let name = name.as_ref().and_then(|v| v.as_str()).unwrap_or("unknown");
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(format!("{port}:{name}")).or_default() += 1;
        tracing::warn!(port, %why, "connection rejected");
    }

    pub(crate) fn get(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Encodes one message as a frame.
pub(crate) fn encode<T: Serialize>(message: &T) -> Result<Bytes, postcard::Error> {
    let body = postcard::to_stdvec(message)?;
    let mut out = BytesMut::with_capacity(HEAD + body.len());
    out.put_u32_le(u32::try_from(body.len()).unwrap_or(u32::MAX));
    out.put_u32_le(crc32c::crc32c(&body));
    out.put_slice(&body);
    Ok(out.freeze())
}

/// Takes one message off the front of `buf`; `None` if it is not whole yet.
pub(crate) fn decode<T: DeserializeOwned>(buf: &mut BytesMut, max: usize) -> Result<Option<T>, Garbage> {
    let Some(mut head) = buf.get(..HEAD) else { return Ok(None) };
    let (len, crc) = (head.get_u32_le() as usize, head.get_u32_le());
    if len > max {
        return Err(Garbage::TooLong);
    }
    let Some(body) = buf.get(HEAD..HEAD + len) else {
        buf.reserve(HEAD + len - buf.len());
        return Ok(None);
    };
    if crc32c::crc32c(body) != crc {
        return Err(Garbage::BadChecksum);
    }
    let message = postcard::from_bytes(body).map_err(|_| Garbage::NotAMessage)?;
    buf.advance(HEAD + len);
    Ok(Some(message))
}

/// From the side that dialled: a primary's stream, or an idle link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToReplica {
    Hello {
        schema: u16,
        node: NodeId,
    },
    Ping,
    /// The sender is Primary and offers its stream.
    Attach {
        epoch: Epoch,
        generation: Generation,
        last: Point,
    },
    /// Which record is at `seq`?
    Probe {
        epoch: Epoch,
        seq: u64,
    },
    /// Go back to `common`, the last record that both have; `required`: nothing was acknowledged
    /// without this replica.
    Resync {
        epoch: Epoch,
        common: u64,
        required: bool,
    },
    /// The next records, as they stand in the log.
    Records {
        epoch: Epoch,
        raw: Bytes,
    },
    /// The replica has now everything: it holds this generation. `required`: nothing is acknowledged
    /// without it from now on.
    InStep {
        epoch: Epoch,
        generation: Generation,
        required: bool,
    },
    /// The sender is Primary no more.
    Detach {
        epoch: Epoch,
    },
}

/// From the side that was dialled: a replica, or a link that says why it is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToPrimary {
    Hello {
        schema: u16,
        node: NodeId,
        max_epoch: Epoch,
    },
    Pong,
    Attached {
        epoch: Epoch,
        generation: Generation,
        complete: bool,
        last: Point,
    },
    /// Replication is taken only from the highest epoch known here, and never by a Primary.
    AttachRefused {
        epoch: Epoch,
        max_epoch: Epoch,
        is_primary: bool,
    },
    ProbeIs {
        epoch: Epoch,
        seq: u64,
        point: Option<Point>,
    },
    Resyncing {
        epoch: Epoch,
        common: u64,
    },
    /// Both sides wrote; nothing was changed.
    Diverged {
        epoch: Epoch,
        tail: u64,
        generation: Generation,
    },
    /// Everything up to `seq` is durable here.
    Ack {
        epoch: Epoch,
        seq: u64,
    },
    InStep {
        epoch: Epoch,
        generation: GenerationId,
    },
    /// What prevented an attachment may be gone: offer the stream again.
    AttachAgain,
}

/// Why a server does not take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ClientRefusal {
    /// This server is not Primary, or stopped to be while the request waited; the outcome of a write
    /// that it had taken is then open.
    #[error("not primary")]
    NotPrimary,
    /// Too many requests wait already; the server says when that is over.
    #[error("too many requests wait")]
    Busy,
    /// The payload exceeds the bound.
    #[error("payload too large")]
    TooLarge,
    /// The volume is full.
    #[error("volume full")]
    Full,
}

/// From a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FromClient {
    Hello { schema: u16, client: ClientId },
    Append { client_seq: u64, payload: Bytes },
    Read { seq: u64 },
    Ping,
}

/// To a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToClient {
    Hello {
        schema: u16,
        node: NodeId,
    },
    /// Pushed at every change, and after the greeting; `Some`: appends are taken, in this epoch.
    Writable {
        epoch: Option<Epoch>,
    },
    Ack {
        client_seq: u64,
        seq: u64,
        epoch: Epoch,
        received_ns: u64,
        acked_ns: u64,
        repeated: bool,
    },
    Refused {
        client_seq: u64,
        why: ClientRefusal,
    },
    /// `record`: the frame body of the record; `None` if nothing acknowledged is there.
    ReadIs {
        seq: u64,
        record: Option<Bytes>,
    },
    ReadRefused {
        seq: u64,
        why: ClientRefusal,
    },
    Pong,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_whole_from_any_cut() {
        let message = FromClient::Append { client_seq: 9, payload: Bytes::from_static(b"some payload") };
        let raw = encode(&message).unwrap();
        for cut in 0..raw.len() {
            let mut buf = BytesMut::from(&raw[..cut]);
            assert_eq!(decode::<FromClient>(&mut buf, CLIENT_FRAME_MAX), Ok(None));
            buf.extend_from_slice(&raw[cut..]);
            assert_eq!(decode(&mut buf, CLIENT_FRAME_MAX), Ok(Some(message.clone())));
            assert!(buf.is_empty());
        }
    }

    #[test]
    fn garbage_is_named() {
        let raw = encode(&FromClient::Read { seq: 300 }).unwrap();
        for at in 4..raw.len() {
            let mut bad = BytesMut::from(&raw[..]);
            bad[at] ^= 1;
            assert_eq!(decode::<FromClient>(&mut bad, CLIENT_FRAME_MAX), Err(Garbage::BadChecksum));
        }
        let mut long = BytesMut::from(&[0xff; 8][..]);
        assert_eq!(decode::<FromClient>(&mut long, CLIENT_FRAME_MAX), Err(Garbage::TooLong));
        let mut other = BytesMut::from(&encode(&(250u8, 1u8)).unwrap()[..]);
        assert_eq!(decode::<FromClient>(&mut other, CLIENT_FRAME_MAX), Err(Garbage::NotAMessage));
    }
}
