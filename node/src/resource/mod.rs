//! Resources: what runs above a volume, started bottom up where the volume is active and stopped top down before it
//! leaves.
//!
//! ```text
//!   core ──orders──► room ──orders──► the volume's driver
//!        ◄─reports──  │   ◄─reports──
//!                     ├─ tree: what should run, what does, what is to be done (pure)
//!                     └─ act: runs one action: a program, an OCF agent, a systemd unit
//! ```
//! The room stands between the core and the driver of a volume that has resources. All policy is in [`tree`].
//!
//! Contract towards the core, whose rules stay the only ones:
//! - a demotion is passed on to the driver when every resource is stopped; one whose stop failed, or was not over in
//!   time, answers the core's order as failed, which is the volume's stop failure;
//! - the replica is reported Secondary only when the driver says so *and* nothing runs above it. What could not be
//!   stopped is reported as Primary, so that the core finds a volume that is active without a grant;
//! - a freeze, a thaw and a promotion are passed on at once, whatever the tree does.

pub mod act;
pub mod keep;
pub mod mover;
pub mod ocf;
pub mod plan;
pub mod room;
pub mod systemd;
pub mod tree;

pub use room::{Room, Trees};
