//! How things are shown: tables and trees for people, JSON for programs.

pub mod explain;
pub mod fence_test;
pub mod history;
pub mod json;
pub mod paint;
mod sections;
pub mod status;
pub mod table;
pub mod tree;
mod words;

pub use words::{list, millis, since};
