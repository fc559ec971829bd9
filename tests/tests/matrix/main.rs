//! The failure matrix of `docs/SAFETY.md` on real processes: one test a row, named by its number.
//!
//! Each test brings up a cluster of the programs that ship, has a client append without pause, breaks something,
//! and checks the stated outcome and proof. At the end of every test the checker compares what was acknowledged
//! with what is on the disks, and looks for two writers at once.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so by ending")]

mod controller;
mod full_disk;
mod kills;
mod lab;
mod links;
mod machines;
mod operators;
mod placement;
mod resources;
mod several;
mod site;
mod standby;
mod stay;
mod topology;
mod volumes;
mod witness;
