//! Tests that run several programs, or several machines of the core, together.
//!
//! [`world`] is a simulated world around the production cores; [`sim`] puts random faults into it.

pub mod model;
pub mod sim;
pub mod world;
