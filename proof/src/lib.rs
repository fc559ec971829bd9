//! The production core under an adversary.
//!
//! Nothing here but `picket-core`: a build with the known-wrong rules in it costs seconds. [`world`] is a simulated
//! world around the production cores; [`sim`] puts random faults into it; [`model`] puts chosen faults at every place
//! between two steps.

pub mod model;
pub mod sim;
pub mod world;

use picket_core::message::Request;

/// Whether a node asks the witness for a volume with this, alone or in one message with its fence's outcome.
fn asks_for_a_volume(request: &Request) -> bool {
    match request {
        Request::Acquire(_) => true,
        Request::ReportFence(report) => !report.acquire.is_empty(),
        _ => false,
    }
}
