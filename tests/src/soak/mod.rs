//! A long run under load: does a busy machine on a bad network take a living node for dead?
//!
//! ```text
//!   burners on every core ┐
//!   loss and jitter       ├─▶ a quiet time: nothing may move ─▶ a fault: how long until writes go on ─▶ healed ─┐
//!   a client that writes  ┘        ▲                                                                            │
//!                                  └───────────────────────── judged ◀──────────────────────────────────────────┘
//! ```
//! Every takeover, fence or reset in a quiet time is false. A takeover after a fault is compared with the time that
//! the rules promise, from what the profile says and what this machine's device and volume really took.

mod burn;
mod fault;
mod quiet;
mod report;

pub use burn::{Burners, burn};
pub use fault::{Kind, Takeover, takeover};
pub use quiet::{False, quiet};
pub use report::{Report, percentile};
