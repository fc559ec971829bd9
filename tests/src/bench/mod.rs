//! What the benchmark measures, and beside what.
//!
//! ```text
//!   failover   faults on real processes: how long the clients wait        ┐
//!   cost       an idle witness: processor and memory, from /proc          ├─▶ Row ─▶ one table, with ratios
//!   sessions   what a cluster costs it in memory                           │
//!   register   a change of the register, synced; an answer of the witness │
//!   peers      the same fault on others' products, in the same run        ┘
//! ```
//! Nothing is asserted about times; a target is reported as reached or not. What the checker finds is an error all
//! the same: the time of a fail-over that lost a write means nothing.

pub mod cost;
pub mod failover;
pub mod peers;
pub mod register;
pub mod sessions;
mod table;

pub use table::{Row, Table, Unit};
