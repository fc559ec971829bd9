//! Numbers, identifiers, sets, lengths, texts, and lists of anything.

use super::{Fault, TEXT_BYTES_MAX, Wire, WireError};
use crate::v1;
use core::time::Duration;
use picket_core::ids::{
    AttemptId, BootId, CommitIndex, ConfigDigest, Epoch, GenerationId, IsrVersion, NodeId, NodeSet, Nonce,
    PermitId, RequestId, SessionId, StoreId, VolumeId,
};

fn required<T>(field: Option<T>) -> Result<T, WireError> {
    field.ok_or_else(|| WireError::new(Fault::Missing))
}

/// A field that may be absent.
impl<T: Wire<Option<W>>, W> Wire<Option<W>> for Option<T> {
    fn put(&self) -> Option<W> {
        self.as_ref().and_then(Wire::put)
    }
    fn take(wire: Option<W>) -> Result<Self, WireError> {
        wire.map(|wire| T::take(Some(wire))).transpose()
    }
}

impl Wire<Option<u32>> for NodeId {
    fn put(&self) -> Option<u32> {
        Some(self.0.into())
    }
    fn take(wire: Option<u32>) -> Result<Self, WireError> {
        let came = required(wire)?;
        match u8::try_from(came) {
            Ok(id) if (1..=NodeSet::MAX_NODES).contains(&id) => Ok(Self(id)),
            Ok(_) | Err(_) => Err(WireError::new(Fault::OutOfRange {
                came: came.into(),
                min: 1,
                max: NodeSet::MAX_NODES.into(),
            })),
        }
    }
}

impl Wire<Option<u32>> for VolumeId {
    fn put(&self) -> Option<u32> {
        Some(self.0.into())
    }
    fn take(wire: Option<u32>) -> Result<Self, WireError> {
        let came = required(wire)?;
        let out_of_range = Fault::OutOfRange { came: came.into(), min: 0, max: u16::MAX.into() };
        u16::try_from(came).map(Self).map_err(|_| WireError::new(out_of_range))
    }
}

/// Bit n stands for node n; bit 0 and those above the last node stand for none.
const NODE_BITS: u32 = ((1 << NodeSet::MAX_NODES) - 1) << 1;

impl Wire<Option<u32>> for NodeSet {
    fn put(&self) -> Option<u32> {
        Some(self.iter().fold(0, |mask, node| mask | 1 << node.0))
    }
    fn take(wire: Option<u32>) -> Result<Self, WireError> {
        let came = required(wire)?;
        if came & !NODE_BITS != 0 {
            return Err(WireError::new(Fault::NotANodeSet { came }));
        }
        Ok((1..=Self::MAX_NODES).filter(|bit| came & 1 << bit != 0).map(NodeId).collect())
    }
}

macro_rules! plain {
    ($($inner:ty),*) => {$(
        impl Wire<Option<$inner>> for $inner {
            fn put(&self) -> Option<$inner> {
                Some(*self)
            }
            fn take(wire: Option<$inner>) -> Result<Self, WireError> {
                required(wire)
            }
        }
    )*};
}
plain!(bool, u32, u64);

macro_rules! number {
    ($($id:ident),*) => {$(
        impl Wire<Option<u64>> for $id {
            fn put(&self) -> Option<u64> {
                Some(self.0)
            }
            fn take(wire: Option<u64>) -> Result<Self, WireError> {
                required(wire).map(Self)
            }
        }
    )*};
}
number!(AttemptId, ConfigDigest, RequestId, SessionId);

/// The largest value of a number that grows by counting. Whoever takes a larger one as the newest and counts on from
/// it would come to the end of 64 bits; at a million steps a second this one is reached after 146,000 years.
pub const COUNT_MAX: u64 = 1 << 62;

macro_rules! count {
    ($($id:ident),*) => {$(
        impl Wire<Option<u64>> for $id {
            fn put(&self) -> Option<u64> {
                Some(self.0)
            }
            fn take(wire: Option<u64>) -> Result<Self, WireError> {
                let came = required(wire)?;
                if came > COUNT_MAX {
                    return Err(WireError::new(Fault::OutOfRange { came, min: 0, max: COUNT_MAX }));
                }
                Ok(Self(came))
            }
        }
    )*};
}
count!(CommitIndex, Epoch, IsrVersion, PermitId);

fn wide(bytes: &[u8]) -> Result<u128, WireError> {
    let wrong = |_| WireError::new(Fault::WrongLength { came: bytes.len(), expected: size_of::<u128>() });
    bytes.try_into().map(u128::from_be_bytes).map_err(wrong)
}

macro_rules! wide {
    ($($id:ident),*) => {$(
        impl Wire<Option<Vec<u8>>> for $id {
            fn put(&self) -> Option<Vec<u8>> {
                Some(self.0.to_be_bytes().to_vec())
            }
            fn take(wire: Option<Vec<u8>>) -> Result<Self, WireError> {
                wide(&required(wire)?).map(Self)
            }
        }
    )*};
}
wide!(BootId, GenerationId, Nonce, StoreId);

/// A history of generations.
impl Wire<Vec<Vec<u8>>> for Vec<GenerationId> {
    fn put(&self) -> Vec<Vec<u8>> {
        self.iter().map(|id| id.0.to_be_bytes().to_vec()).collect()
    }
    fn take(wire: Vec<Vec<u8>>) -> Result<Self, WireError> {
        list(wire, picket_core::evidence::Generation::HISTORY_MAX, |id| wide(&id).map(GenerationId))
    }
}

/// Lengths beyond 584 years are cut to that; nobody waits longer.
impl Wire<Option<v1::Span>> for Duration {
    fn put(&self) -> Option<v1::Span> {
        Some(v1::Span { nanos: Some(u64::try_from(self.as_nanos()).unwrap_or(u64::MAX)) })
    }
    fn take(wire: Option<v1::Span>) -> Result<Self, WireError> {
        let nanos = required(required(wire)?.nanos).map_err(|error| error.within("nanos"))?;
        Ok(Self::from_nanos(nanos))
    }
}

impl Wire<Option<String>> for String {
    fn put(&self) -> Option<String> {
        Some(self.clone())
    }
    fn take(wire: Option<String>) -> Result<Self, WireError> {
        let text = required(wire)?;
        bounded(text.len(), TEXT_BYTES_MAX).map(|()| text)
    }
}

/// A signature; the only field of free bytes.
impl Wire<Option<Vec<u8>>> for Vec<u8> {
    fn put(&self) -> Option<Self> {
        Some(self.clone())
    }
    fn take(wire: Option<Self>) -> Result<Self, WireError> {
        let bytes = required(wire)?;
        bounded(bytes.len(), super::SIGNATURE_BYTES_MAX).map(|()| bytes)
    }
}

fn bounded(came: usize, max: usize) -> Result<(), WireError> {
    if came > max { Err(WireError::new(Fault::TooLong { came, max })) } else { Ok(()) }
}

/// Every item of a list that is not too long; an error names the item's place.
pub(crate) fn list<W, T>(
    wire: Vec<W>,
    max: usize,
    item: impl Fn(W) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    bounded(wire.len(), max)?;
    let place = |(at, wire)| item(wire).map_err(|error| error.within(&format!("[{at}]")));
    wire.into_iter().enumerate().map(place).collect()
}
