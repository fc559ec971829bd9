//! There and back for everything, refusals with their paths, and garbage.

mod refused;
mod samples;
mod there_and_back;
