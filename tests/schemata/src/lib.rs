//! Mutation testing of the core with *mutant schemata*: all small faults that cargo-mutants would put into `core/`, one
//! after the other with a compilation each, are compiled at once, each behind a number; the number of the one that is on
//! is chosen when a test program starts. So a fault costs a run of optimised tests instead of a compilation.
//!
//! [`list`] reads cargo-mutants' list and [`diff`] makes of each entry the file that it would compile. [`weave`] puts
//! those into one text, [`compile`] compiles it and finds what does not compile. [`run`] runs tests with one fault after
//! the other, [`book`] keeps what they said, [`explain`] holds the survivors against the written reasons. [`real`] is
//! cargo-mutants itself: for what has no place in the one text, and to compare.

pub mod book;
pub mod compile;
pub mod diff;
pub mod explain;
pub mod list;
pub mod real;
pub mod run;
pub mod weave;
