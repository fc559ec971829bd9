//! The simulator: many worlds, each with its own seed, cluster and faults.
//!
//! [`schedule`] random faults, [`aims`] chosen ones · [`run`] one seed · [`many`] many, on several threads ·
//! [`coverage`] what was met · [`deep`] what many runs of the program add up to · [`mutants`] that each known-wrong
//! rule is found · [`shrink`] making a failure small · [`scenario`] what must follow, written as text, [`variants`]
//! the ways to tell it, and [`play`] that plays them.

pub mod aims;
pub mod coverage;
pub mod deep;
pub mod many;
pub mod mutants;
pub mod play;
pub mod run;
pub mod scenario;
pub mod schedule;
pub mod shrink;
pub mod variants;

#[cfg(test)]
mod tests;
