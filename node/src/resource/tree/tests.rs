//! The machine without anything around it.

mod bench;
mod random;
mod stories;
mod table;
