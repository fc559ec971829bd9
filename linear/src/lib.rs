//! Linearizability of the witness's registers, seen from outside.
//!
//! Idea: the witness promises that a volume's register changes by compare-and-swap only, one change after the other,
//! and that what it answered is durable. So every history of requests and answers must be explained by *some* order of
//! single steps that keeps to real time: a step lies between its request and its answer. Clients talk to the real
//! program over real mutual TLS with the node daemon's own session code, while the program is killed, stopped and
//! slowed down; what they asked, when, and what they were told is recorded, and a checker looks for such an order.
//!
//! ```text
//!  client n1 ─┐                       ┌─ kill -9, start again
//!  client n2 ─┼─ mutual TLS ─ witness ┼─ SIGSTOP, SIGCONT
//!  client n3 ─┤     (program)   store └─ slow or failing syncs, an older copy of the store
//!  operator ──┘  every request and answer ─► history ─► check: is there an order?
//! ```
//! Contract: the checker finds an order if there is one; "it took too long" is told apart, and is no success. The
//! specification in [`register`] is written down here once more, and leans on none of the witness's code.

pub mod back;
pub mod check;
pub mod client;
pub mod deep;
pub mod history;
pub mod process;
pub mod reader;
pub mod register;
pub mod rng;
pub mod run;
pub mod site;
