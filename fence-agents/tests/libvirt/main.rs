//! The libvirt agent against daemons that lie, stall, ramble and die, and against several of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../agent/mod.rs"]
mod agent;
mod daemon;
mod hosts;
#[path = "../redfish/identity.rs"]
mod identity;
mod one;
mod ssh;
mod tls;
