//! The fence agents: one library, one small binary under many names.
//!
//! Idea: a device only knows how to ask for power on or off and how to read the power state.
//! Everything that turns this into a fence (delay, set, poll, verify, words, exit status) is in
//! [`action`], once, so that no device can claim a success that nobody has seen.
//!
//! ```text
//!  argv / stdin ──input──▶ Options ──timing──▶ Timing
//!        │ options (one table per device) ──▶ metadata, --help, manual page
//!        ▼
//!     agent ──▶ action ──▶ runner (own thread, deadline) ──▶ devices/…
//!        │         └─ set → poll → verify
//!        └──▶ exit (words, exit status), report (stderr, system log)
//! ```
//!
//! What devices share: [`secret`] (passwords), [`net`] (connections with deadlines, TLS), [`parting`] (what a
//! signal must not leave behind).
//!
//! Contract: the `ClusterLabs` agent interface. Unknown is never off, a timeout is never an answer.
//!
//! A new device is one file in `devices/`, one line in [`registry`] and one golden file.

pub mod action;
pub mod agent;
pub mod caller;
pub mod command;
pub mod deadline;
pub mod device;
pub mod devices;
pub mod exit;
pub mod external;
pub mod gate;
pub mod input;
pub mod metadata;
pub mod net;
pub mod options;
pub mod parting;
pub mod power;
pub mod reach;
pub mod registry;
pub mod report;
pub mod runner;
pub mod secret;
pub mod timing;
pub mod tool;
pub mod uuid;
