//! A whole site on one host: a witness, machines, the cables between them, and an observer.
//!
//! The end-to-end tests, the bench and the demonstration are built on it. Everything is real: the programs that
//! ship, as processes, over sockets, with mutual TLS and files; only the hardware is played
//! ([`machine`](super::machine), [`links`](super::links)).
//!
//! ```text
//!   ClusterSpec ──start──▶ Cluster ─┬─ machine("n1"), machine(WITNESS)  power, programs: kill, freeze, stop
//!                                   ├─ links()                          cut and heal, one direction at a time
//!                                   ├─ wait_for(what, limit, |view| …)  events, never sleeps
//!                                   ├─ daemon("n1")                     what an operator would type
//!                                   ├─ writers(), check()               clients that write, and the verdict
//!                                   └─ end()                            nothing is left behind
//! ```
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use core::time::Duration;
//! use picket::demo::cluster::{Cluster, ClusterSpec};
//! let cluster = Cluster::start(ClusterSpec::new(2, "target/debug/picket")).await?;
//! let limit = Duration::from_secs(20);
//! let holder = cluster.wait_in_service("v1", limit).await?;
//! cluster.machine(&holder)?.power_off().await?;
//! cluster.wait_for("another holder", limit, |view| view.in_service("v1").is_some_and(|node| node != holder)).await?;
//! cluster.end().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Contract: nodes are `n1` to `n16`, volumes carry the names of the spec, and every node has a replica of each.
//! Every connection between two machines goes over [`Cluster::links`]; the test's own client reaches each machine
//! directly, also one that is cut off from everything: the worst case. Dropping a cluster kills its machines.
//! Machines may also run in [places](Place) of their own, as network namespaces.

mod addresses;
mod config;
mod error;
mod files;
mod observe;
mod run;
mod spec;
mod view;
mod writers;

pub use crate::demo::machine::AfterBite;
pub use error::LabError;
pub use picket_node::config::OnStop;
pub use run::{Cluster, Ended};
pub use spec::{ClusterSpec, FenceLevel, LossAction, Place, Watchdog};
pub use view::{Occurred, View, wall_ms};
pub use writers::Writers;

/// The machine on which the witness runs.
pub const WITNESS: &str = "witness";

/// The node daemon, as a machine's program.
pub const PICKETD: &str = "picketd";

/// The witness, as its machine's program.
pub const WITNESSD: &str = "picket-witness";

/// The server of a volume, as a machine's program.
#[must_use]
pub fn ledger_program(volume: &str) -> String {
    format!("ledger-{volume}")
}

/// The name of the node with this number, from 1.
#[must_use]
pub fn node_name(number: usize) -> String {
    format!("n{number}")
}

#[cfg(test)]
mod tests;
