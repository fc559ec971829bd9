//! The lab: whole sites on one host, made of real processes and real sockets.

pub mod links;
pub mod machine;
