//! The third-site witness: many clusters on one server.
//!
//! One driver loop around the clusters' machines takes everything that happens, has what was decided made durable,
//! and only then lets it be said. The rest carries: the service between the network and the loop, the store
//! between the loop and the disk.
//!
//! ```text
//!  nodes, operators ─TLS─► service ─bounded queue─► driver ─► picket_core::witness (one per cluster)
//!                            ▲                        │
//!                            └──── bounded outboxes ◄─┴─► records ─► store (one sync for many)
//! ```
#![forbid(unsafe_code)]

pub mod claims;
pub mod codes;
pub mod config;
pub mod driver;
mod records;
mod run;
pub mod server;
pub mod service;
pub mod store;

pub use records::{Error as RecordsError, Records};
pub use run::run;

/// The software's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
