//! The simulator: many worlds, each with its own seed, cluster and faults.
//!
//! [`schedule`] what goes wrong · [`run`] one seed · [`coverage`] what was met · [`shrink`] making a failure small ·
//! [`scenario`] what must follow, written as text, and [`play`] that plays it.

pub mod coverage;
pub mod play;
pub mod run;
pub mod scenario;
pub mod schedule;
pub mod shrink;

#[cfg(test)]
mod tests;
