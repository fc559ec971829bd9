//! A whole witness in this process, on loopback, with real TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod door;
mod program;
mod serving;
mod site;
mod standard;
