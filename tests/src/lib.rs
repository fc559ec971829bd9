//! What the programs that test whole clusters share: seeded chance, a cluster that is used again and again, faults.
//!
//! ```text
//!   bin/chaos ─▶ chaos/{case, expect, play, storm, book} ─┐
//!   bin/soak  ─▶ soak/…                                   ├─▶ rig ─▶ picket::demo::cluster (real processes)
//!   bin/netns ─▶ netns/{rooms, rows}                      │
//!   bin/postgresql ─▶ postgresql/…                        │
//!   bin/bench ─▶ bench/…                                  ┘
//! ```

pub mod bench;
pub mod chaos;
pub mod dice;
pub mod netns;
pub mod postgresql;
pub mod rig;
pub mod soak;

/// Why something could not be done or did not happen.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
