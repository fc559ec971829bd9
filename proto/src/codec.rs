//! How messages become bytes: as protocol buffers, through buffers of the size that our messages have.
//!
//! The library's own codec keeps 8 KiB for each direction of each call for as long as it lasts. A session lasts for months
//! and its messages have some hundred bytes, so that most of what a session cost the witness was empty. A longer message
//! makes its buffer grow.

use prost::Message;
use std::marker::PhantomData;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::ProstCodec;

/// Bytes that a buffer begins with: several heartbeats, one view of a small cluster.
const BUFFER_BYTES: usize = 512;

/// Bytes of waiting messages that are handed on at once; the library's own value.
const YIELD_BYTES: usize = 32 * 1024;

/// The codec of every call of `picket.v1`.
#[derive(Debug)]
pub struct SmallCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for SmallCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for SmallCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = <ProstCodec<T, U> as Codec>::Encoder;
    type Decoder = <ProstCodec<T, U> as Codec>::Decoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::new(BUFFER_BYTES, YIELD_BYTES))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<T, U>::raw_decoder(BufferSettings::new(BUFFER_BYTES, YIELD_BYTES))
    }
}
