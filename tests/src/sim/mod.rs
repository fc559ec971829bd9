//! The simulator: many worlds, each with its own seed, cluster and faults.
//!
//! [`schedule`] what goes wrong · [`run`] one seed · [`coverage`] what was met · [`shrink`] making a failure small.

pub mod coverage;
pub mod run;
pub mod schedule;
pub mod shrink;
