//! What operators type, and the demonstration that runs everything on one host.

pub mod demo;
