//! The machine without anything around it.

mod bench;
mod doubts;
mod random;
mod stories;
mod table;
