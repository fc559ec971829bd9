//! Picket's small replicated test volume: an append-only log of checksummed records.
//!
//! It is honest about being a test volume: it stores records of a few kilobytes, reads its log into
//! memory at the start, authenticates nobody, and knows nothing of leases. What Picket needs of a volume
//! is real: synchronous replication with a barrier, freeze, durable epochs, data generations, resync with
//! rollback, refusal of diverged replicas.
//!
//! - [`server`]: one per node, in its own process; stopping the node daemon does not stop it.
//! - [`control`]: how the node daemon drives it.
//! - [`client`]: appends without pause and measures outages.
//! - [`checker`]: finds lost acknowledged records, duplicates, damage, and two nodes active at once.

pub mod checker;
pub mod client;
mod clock;
pub mod config;
pub mod control;
mod disk;
mod engine;
pub mod ids;
mod net;
pub mod record;
pub mod server;
mod store;
mod wire;

pub use config::{Config, PeerConfig};
pub use server::serve;
pub use store::StoreError;
pub use store::accept::{AcceptEntry, Activity, Cause};
pub use wire::{ClientRefusal, Garbage};
