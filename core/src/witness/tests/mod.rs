//! Tests of the witness machine: one rule each, the table of every state and input, and random runs.

mod adoptions;
mod bench;
mod bounds;
mod checks;
mod claims;
mod clocks;
mod drill;
mod fencing;
mod grants;
mod invariants;
mod longer;
mod membership;
mod recovery;
mod runs;
mod sessions;
mod stalls;
mod starts;
mod stripping;
mod table;
