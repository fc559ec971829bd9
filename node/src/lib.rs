//! The node daemon: heartbeats, volumes, fences, and one loop around the core that decides.
//!
//! ```text
//!            heartbeat (UDP)   peer, witness_client (gRPC)   control (unix socket)
//!                   │                    │                        │
//!                   ▼                    ▼                        ▼
//!   volume ◄──► driver: the one loop ── picket_core::node::Node ──► store
//!   (resource)      │
//!   fencer ◄──►     │
//!                   └──► watchdog (its own thread), reset, events (log, alerts)
//! ```
//! All policy is in the core. The rooms here carry: each takes what it is given at once, tells what became of it,
//! and never holds up the loop. [`daemon`] puts them together.

pub mod backoff;
pub mod condition;
pub mod config;
pub mod control;
pub mod daemon;
pub mod driver;
pub mod event;
pub mod events;
pub mod fencer;
pub mod heartbeat;
pub mod peer;
pub mod quorum;
mod remembered;
pub mod reset;
pub mod resource;
mod run;
pub mod site;
pub mod stay;
pub mod store;
#[cfg(test)]
mod testing;
pub mod time;
pub mod volume;
pub mod watchdog;
pub mod witness_client;

pub use daemon::Daemon;
pub use run::run;

/// The software's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
