//! Evidence: what is known of a holder, and which of it proves that it is inactive.
//!
//! Three kinds of knowledge are kept apart: a *proof of inactivity* allows a takeover, *seen alive* forbids a
//! fence, and everything else is unknown and allows nothing.

use crate::ids::{BootId, GenerationId, PermitId};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Why a grant could be made: what proves that nobody else is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// The volume had no holder: never granted, or cleanly released.
    Released,
    /// The asking node itself, in the same boot, was the holder.
    SameHolder,
    /// The holder's machine has booted again since.
    NewerBoot {
        /// The boot that is current now.
        boot: BootId,
    },
    /// A device confirmed the holder's machine off.
    Fenced {
        /// The permit under which it was fenced.
        permit: PermitId,
    },
    /// An operator attested that the holder's machine is off, under the meatware rules.
    Attested {
        /// The permit that the confirmation ended.
        permit: PermitId,
    },
    /// The holder's lease and the guard ran out, on a node whose armed watchdog counts.
    LeaseExpired,
}

impl Proof {
    /// The word for tables and machine-readable output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Released => "RELEASED",
            Self::SameHolder => "SAME-HOLDER",
            Self::NewerBoot { .. } => "NEWER-BOOT",
            Self::Fenced { .. } => "FENCED",
            Self::Attested { .. } => "OPERATOR",
            Self::LeaseExpired => "LEASE",
        }
    }
}

/// How a fence of one target ended. Each outcome is bound to the permit and to the target's boot by the report
/// that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FenceOutcome {
    /// Every device of one level was read back as off.
    ConfirmedOff,
    /// All levels ended and none could confirm; the target may be on, off or about to go off.
    Unknown,
    /// No agent was started, and none will be under this permit.
    NotStarted,
}

/// Whether the data that a replica offers is the recorded data or descends from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Generation {
    /// What the replica's data is now.
    pub current: GenerationId,
    /// What it was before, newest first; at most [`Generation::HISTORY_MAX`].
    pub history: Vec<GenerationId>,
}

impl Generation {
    /// DRBD remembers 2 to 30 former generations; more than 32 would only make messages longer.
    pub const HISTORY_MAX: usize = 32;

    /// The generation of data that never changed its identity.
    #[must_use]
    pub const fn first(current: GenerationId) -> Self {
        Self { current, history: Vec::new() }
    }

    /// Whether this data is the recorded data or descends from it.
    #[must_use]
    pub fn descends_from(&self, recorded: GenerationId) -> bool {
        self.current == recorded || self.history.contains(&recorded)
    }

    /// Whether the recorded data is so far back that some more generations have it forgotten.
    #[must_use]
    pub fn nearly_forgets(&self, recorded: GenerationId) -> bool {
        self.history.iter().skip(Self::HISTORY_MAX / 2).any(|former| *former == recorded)
    }
}

/// What a node's machine can promise about its own end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SelfFence {
    /// An armed watchdog that kills the machine whatever its kernel does.
    pub watchdog_counts: bool,
    /// The machine's clocks and watchdog go on while it is paused from outside; false for a guest.
    pub pause_visible: bool,
}

impl SelfFence {
    /// Whether lease expiry is a proof for this node, apart from what a volume's barrier allows.
    #[must_use]
    pub const fn lease_proves(self) -> bool {
        self.watchdog_counts && self.pause_visible
    }
}
