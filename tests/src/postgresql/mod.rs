//! Real PostgreSQL servers under real daemons, on machines in network namespaces.
//!
//! Idea: one server is made by hand, as the guide says; everything else is picketd's: it promotes it, copies the
//! other one, fails over and back. A client for each node inserts numbers without pause into whatever lets it, from
//! the desk, which no cut reaches. So also a server that should have been stopped would acknowledge its writes.
//!
//! What is judged after each fault, when all is well again: every number that was acknowledged is on both servers,
//! and the acknowledgements of two timelines, each of which one node wrote, never overlap.

mod client;
mod rig;
mod rows;
mod servers;

pub use client::{Ack, Clients};
pub use rig::PgRig;
pub use rows::{PgRow, play};
pub use servers::Servers;
