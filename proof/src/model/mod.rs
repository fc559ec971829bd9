//! The model checker: systematic injection of faults into whole clusters that run the production core.
//!
//! A cluster of [`world::World`] runs deterministically: messages are delivered one at a time, and time moves to
//! the next deadline when nothing is left to deliver. The adversary may inject a fault between any two steps. A
//! *family* bounds which faults it has and how many; [`explore`] tries every place for every fault, or, where
//! that is too much, as many as its bound on states allows, and says which of the two it was. Timings are a
//! hundredth of those of daemons but keep every inequality, so that a run is short.

mod alarms;
pub mod authority;
pub mod catching;
pub mod deep;
mod deliver;
mod effects;
pub mod ending;
pub mod explore;
pub mod families;
pub mod faults;
mod grants;
pub mod host;
pub mod net;
mod passing;
mod permits;
pub mod properties;
pub mod replica;
pub mod setup;
pub mod thaws;
mod volumes;
pub mod watch;
mod words;
pub mod world;
