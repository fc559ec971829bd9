//! The wire contract of Picket: what the programs say to each other, and nothing of what they decide.
//!
//! [`v1`] is generated from `picket/v1/*.proto`, checked in, and compared with the schema by a test. Outside of
//! [`convert`] nobody turns wire messages into the core's or back; what does not fit is refused there, with the
//! path of the field. [`beat`] is the heartbeats' own compact form. [`digest()`] is the fingerprint by which node
//! and witness see that they were configured alike. [`relay`] is what a node signs when a peer carries its
//! release to the witness.
#![forbid(unsafe_code)]

pub mod beat;
pub mod codec;
pub mod convert;
mod digest;
pub mod relay;
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)] // generated
#[path = "gen/picket.v1.rs"]
#[rustfmt::skip]
pub mod v1;

pub use convert::{COUNT_MAX, WireError, from_wire, to_wire};
pub use digest::{Volume, digest, fnv1a};

/// The version of the protocol between node and witness and between nodes. Every message states the version that
/// it is written in; another one is refused.
pub const PROTOCOL: u32 = 1;

/// The metadata key under which node and witness tell each other their software's version.
pub const VERSION_KEY: &str = "picket-version";

/// What a person may call a version; longer is cut.
const VERSION_CHARS_MAX: usize = 64;

/// The version that the other side told, for people; empty if it told none.
#[must_use]
pub fn version_told(told: Option<&str>) -> String {
    told.unwrap_or_default().chars().take(VERSION_CHARS_MAX).collect()
}

/// The version of what machine-readable output means: `schema` in every `--json`.
pub const SCHEMA: u32 = 1;

/// The most volumes that a cluster may have: so many that a heartbeat of a node which holds all of them still
/// fits into one datagram of [`beat::DATAGRAM_MAX`] bytes.
pub const VOLUMES_MAX: usize = 100;

/// The largest message that anybody accepts, in bytes: ten times a registration that reports
/// [`VOLUMES_MAX`] volumes with full histories.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// The file descriptor set of `picket.v1`, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptor.bin");
