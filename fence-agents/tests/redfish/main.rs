//! The Redfish agent against controllers that lie, stall, ramble and die: the verdict is never wrong, one
//! line names the cause and the cure, and no session stays behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../agent/mod.rs"]
mod agent;
mod hostile;
mod identity;
mod login;
mod service;
mod trust;
mod verdict;
