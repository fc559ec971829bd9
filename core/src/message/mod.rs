//! What travels: between a node and the witness, between nodes, and as heartbeats.
//!
//! The identity of a sender is never a field here: the transport gives it, from the client certificate or, for
//! heartbeats, from the authentication key and the claimed node.

mod beat;
mod operator;
mod peer;
mod witness;

pub use beat::*;
pub use operator::*;
pub use peer::*;
pub use witness::*;
