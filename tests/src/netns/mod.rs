//! Rows of the failure matrix on machines with networks of their own, cut as real ones are.
//!
//! ```text
//!            ┌───────── net0 ─────────┐   everything, and heartbeat path 0
//!   [ n1 ] [ n2 ] [ witness ]             a network namespace each
//!            └───────── net1 ─────────┘   heartbeat path 1, the second way to the witness
//!            └───────── desk ─────────┘   the observer and the clients; never cut
//!   [ gateway ] ── lan ── [ n1 ] [ n2 ]    what the nodes ping, and nothing else
//! ```
//! `rooms` makes and cuts the networks: by taking a port down, by a queue that swallows what is sent, by a filter
//! that drops what comes from one machine. `rows` plays the rows and waits for what must follow.
//!
//! Contract: all of it lies in a network and a mount namespace of the test's own, so that nothing of the host's
//! network is touched and nothing stays behind, however it ends.

mod rooms;
mod rows;
mod world;

pub use rooms::{Family, Rooms};
pub use rows::{Row, play};
pub use world::in_own_world;
