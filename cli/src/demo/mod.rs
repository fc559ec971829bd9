//! The demonstration, and the lab that it is played in: whole sites on one host, made of real processes and
//! real sockets.

pub mod acts;
pub mod cluster;
mod display;
mod error;
pub mod links;
pub mod machine;
mod play;
pub mod report;
mod stage;
mod stall;

pub use display::Display;
pub use error::DemoError;
pub use play::Demo;
pub use stage::{Fault, LIMIT, Scene, Stage, VOLUME};
