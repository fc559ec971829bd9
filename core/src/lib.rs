//! The safety protocol of Picket, as pure state machines.
//!
//! Nothing here does I/O, owns a clock or draws random numbers: each machine takes `now` and an input and answers
//! with a [`ready::Ready`]. The same code runs in the daemons, in the model checker and in the simulator.
//!
//! # The invariants
//! 1. A volume is never writable on two nodes at once.
//! 2. An acknowledged write is never lost by a promotion.
//! 3. An epoch belongs to one holder; a node's durable epochs only grow.
//! 4. At most one permit per target is live, and none outlives the boot that it is for.
//! 5. A node fences only under a permit, and gets one only over a node whose data it has itself.
//! 6. A node that is verified inactive is never reset by its own watchdog.
//!
//! # Map
//! [`ids`], [`time`], [`params`]: newtypes, instants, timings and their inequalities. [`message`]: what travels.
//! [`ready`]: persist first, then speak, then act. [`evidence`], [`error`], [`mutant`]: proofs, refusals, and the
//! known-wrong rules that the checkers must find. [`witness`] and [`node`]: the two machines.
//! [`detector`], [`quorum`], [`topology`]: what both lean on.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod detector;
pub mod error;
pub mod evidence;
pub mod ids;
pub mod message;
pub mod mutant;
pub mod node;
pub mod params;
pub mod quorum;
pub mod ready;
pub mod time;
pub mod topology;
pub mod witness;
