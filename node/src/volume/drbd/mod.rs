//! The driver of a DRBD resource: protocol C, `fencing resource-and-stonith`, one volume.
//!
//! ```text
//!   picketd ── orders ──►  driver  ── drbdadm primary, secondary, … ──►  kernel
//!             ◄─ reports ─    ▲    ◄─ drbdsetup events2 ────────────────    │
//!                             │                                            │ loses a peer: writes suspended
//!                             └── socket ── picket-drbd-fence-peer ◄───────┘
//! ```
//! The barrier is the kernel's own: it suspends a Primary's writes when a peer is lost, and only the handler's answer
//! (or `resume-io`, or the peer's return) lifts that. The driver resumes and answers 4 when the core orders `DropPeer`,
//! which follows an accepted removal from the in-sync set, and never before.
//!
//! - *Promote* cuts off everybody who is not required, and checks the deadline again right before `drbdadm primary`. It
//!   never forces. Where a required peer is missing the kernel asks the handler first, which waits for the removal.
//! - *Freeze* with required peers cuts them off, so that the kernel suspends by itself and lifts that in one step with
//!   their return; alone it is `suspend-io`. `resume-io` overrides the kernel's own suspension, so it is used only while
//!   no peer is required. See docs/adr/0010-drbd-generation.md.
//! - *Generation* is the current UUID with its history, and what the kernel has forgotten of that (`lineage`). A new one is
//!   made when the handler's answer lets writes go on.
//! - Nothing is ever discarded here: a split brain stays disconnected, and is told.

use super::{About, Life, Order, Teller, VolumeDriver};
use crate::config::DrbdConfig;
use tokio::sync::mpsc;

pub mod book;
pub mod check;
pub mod conf;
mod door;
mod driver;
pub mod events;
pub mod generation;
pub mod handler;
mod jobs;
mod lineage;
mod stream;
#[cfg(test)]
mod tests;
pub mod tool;
pub mod view;

/// Drives a DRBD resource.
#[derive(Debug)]
pub struct Drbd {
    config: DrbdConfig,
    about: About,
}

impl Drbd {
    /// For this resource.
    #[must_use]
    pub const fn new(config: DrbdConfig, about: About) -> Self {
        Self { config, about }
    }
}

impl VolumeDriver for Drbd {
    fn live(self: Box<Self>, orders: mpsc::Receiver<Order>, teller: Teller) -> Life {
        Box::pin(driver::live(self.config, self.about, orders, teller))
    }
}
