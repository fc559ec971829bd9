//! Fuzzing of everything that reads bytes from outside.
//!
//! Idea: a *target* is a room that reads what others wrote (a socket, a file, a pipe) and a property that holds for
//! every input: not only that nothing panics, but that what is accepted can be told again unchanged, that nothing
//! changed passes as authentic, that damage is named. The engine mutates a corpus of good inputs, which the product's
//! own code makes, and keeps each mutant that is answered in a new way; so that it goes deeper without being told how.
//!
//! Contract: a run is a function of its seed and of the number of inputs; the input that breaks a property (or
//! panics, or takes too long) is kept as a file and can be played again alone.

pub mod engine;
pub mod mutate;
pub mod rng;
pub mod scratch;
pub mod target;
pub mod targets;

pub use target::{Answer, Broken, Target};

// The samples of the wire's own tests, which the targets share, name it from the root of their crate.
use picket_proto::COUNT_MAX;
