//! The production core under an adversary.
//!
//! Nothing here but `picket-core`: a build with the known-wrong rules in it costs seconds. [`world`] is a simulated
//! world around the production cores; [`sim`] puts random faults into it; [`model`] puts chosen faults at every place
//! between two steps.

pub mod model;
pub mod sim;
pub mod world;
