//! Every pattern of cut links, with every blow at every process, and random storms; on real processes.
//!
//! ```text
//!   case (64 cuts × blows × holder) ─▶ play: place the holder, cut, strike ─▶ what must follow (expect)
//!        ▲                                                                       │ wait for it, by events
//!   book (what was judged)  ◀──────── checker ◀──── heal, all well in time ◀─────┘
//! ```
//! Judged are: safety always (nothing acknowledged is lost, never two writers), availability where the rules
//! promise it, and that everything is well again in time after every fault.

mod book;
mod case;
mod expect;
mod play;
mod storm;

pub use book::Book;
pub use case::{BLOWS, Blow, Case, How, Whom, all, sample};
pub use expect::{Expect, expect};
pub use play::{Played, play, spec};
pub use storm::storm;
