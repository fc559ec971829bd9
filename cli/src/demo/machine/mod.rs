//! A lab machine: a set of processes on this host under a supervisor that plays its hardware.
//!
//! ```text
//!  demo ──stdin (life line)──▶ supervisor ──▶ programs ──▶ whatever they start
//!    │                          │  │  │
//!    └── control.sock ──────────┘  │  └── watchdog.sock ◀── petted by a program
//!                                  └───── power.sock ◀──── fence agent
//! ```
//!
//! The supervisor owns what the operating system's own restart cannot forge:
//! - the boot id, drawn anew at every power-on and written to `run/boot_id`;
//! - the run directory, emptied at every power-on, and the state directory, the disk;
//! - the power switch (protocol: [`picket_fence::power`]) and the watchdog ([`watchdog`]).
//!
//! Contract: the machine is off when the supervisor, as reaper of every orphan below it, is told
//! by the kernel that it has no child any more. So also a process that forked twice into a session
//! of its own is gone. If the process that started the supervisor dies, in whatever way, the
//! machine is powered off and the supervisor ends.
//!
//! What it does not play: the clocks of a paused machine run on.

pub mod control;
mod error;
mod handle;
mod program;
mod spec;
mod supervisor;
mod tree;
pub mod watchdog;
mod wire;

pub use error::MachineError;
pub use handle::{Launcher, Machine, control as play_fate};
pub use spec::{AfterBite, MachineSpec, ProgramSpec, WatchdogSpec};
pub use supervisor::{run_supervisor, supervisor_main};

#[cfg(test)]
mod tests;
