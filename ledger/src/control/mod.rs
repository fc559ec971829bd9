//! The control connection: how a node daemon drives a server.

mod client;
pub mod wire;

pub use client::{Client, ControlError, Notice, Notices};
