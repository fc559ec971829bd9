//! Tests of the node machine: one rule each, and the table of every phase and input.

mod bench;
mod bounds;
mod fences;
mod grants;
mod joiners;
mod leases;
mod links;
mod moves;
mod operators;
mod orders;
mod orphans;
mod pace;
mod promises;
mod releases;
mod replicas;
mod restarts;
mod rests;
mod sleeps;
mod standby;
mod stores;
mod stories;
mod table;
mod untaken;
mod waits;
mod without_witness;

use bench::{A, B, Bench, V, ms};
