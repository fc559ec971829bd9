//! The production core under an adversary.
//!
//! The library needs nothing but `picket-core`: a build with the known-wrong rules in it costs seconds. [`world`] is a simulated
//! world around the production cores; [`sim`] puts random faults into it; [`model`] puts chosen faults at every place
//! between two steps.

mod grants;
pub mod model;
pub mod sim;
pub mod world;
pub mod wrong_rules;

use picket_core::ids::ConfigDigest;
use picket_core::message::Request;
use picket_core::params::Params;

/// The timings before or after an operator changes the configuration, and its fingerprint.
fn timed(before: Params, later: Option<Params>, changed: bool) -> (Params, ConfigDigest) {
    (later.filter(|_| changed).unwrap_or(before), ConfigDigest(1 + u64::from(changed)))
}

/// Whether a node asks the witness for a volume with this, alone or in one message with its fence's outcome.
fn asks_for_a_volume(request: &Request) -> bool {
    match request {
        Request::Acquire(_) => true,
        Request::ReportFence(report) => !report.acquire.is_empty(),
        _ => false,
    }
}
