//! The acts: what is broken, what must follow, and what is told about it. One file per act.

mod daemon_stopped;
mod isolate_holder;
mod kill_active;
mod meatware;
mod rejoin_and_move;
mod replication_cut;
mod steady;
mod witness_down;

use super::cluster::LabError;
use super::machine::MachineError;
use super::report::ActReport;
use super::stage::{Scene, Stage};
use crate::exit::Fault as CommandFault;
use std::io;

/// Why an act did not end as expected.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// What should have happened did not, or the lab failed.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A machine of the lab failed.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The daemon did not answer an operator.
    #[error("command: {0}")]
    Command(#[from] CommandFault),
    /// Something happened that should not.
    #[error("{0}")]
    Wrong(String),
    /// The operator at the terminal cannot be asked.
    #[error("terminal: {0}")]
    Terminal(#[from] io::Error),
}

/// An act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing breaks.
    Steady,
    /// The active machine loses its power.
    KillActive,
    /// It comes back, and gets the volume again on request.
    RejoinAndMove,
    /// Only the replication between the two breaks.
    ReplicationCut,
    /// The active machine is cut from everything, its power switch included.
    IsolateHolder,
    /// The witness dies and comes back.
    WitnessDown,
    /// The active machine's daemon hangs.
    DaemonStopped,
    /// No watchdog, a dead power switch: a person decides.
    Meatware,
}

/// All acts in the order of the play.
pub const ALL: [Act; 8] = [
    Act::Steady,
    Act::KillActive,
    Act::RejoinAndMove,
    Act::ReplicationCut,
    Act::IsolateHolder,
    Act::WitnessDown,
    Act::DaemonStopped,
    Act::Meatware,
];

impl Act {
    /// Its stable name.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::KillActive => "kill-active",
            Self::RejoinAndMove => "rejoin-and-move",
            Self::ReplicationCut => "replication-cut",
            Self::IsolateHolder => "isolate-holder",
            Self::WitnessDown => "witness-down",
            Self::DaemonStopped => "daemon-stopped",
            Self::Meatware => "meatware",
        }
    }

    /// In words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Steady => "All is well",
            Self::KillActive => "The active machine loses its power",
            Self::RejoinAndMove => "It comes back, resyncs, and takes over on request",
            Self::ReplicationCut => "Only the replication breaks",
            Self::IsolateHolder => "The active machine is cut from everything, its power switch included",
            Self::WitnessDown => "The witness dies and comes back",
            Self::DaemonStopped => "The active machine's daemon hangs",
            Self::Meatware => "No watchdog, a dead power switch: a person decides",
        }
    }

    /// The act of this name.
    #[must_use]
    pub fn named(id: &str) -> Option<Self> {
        ALL.into_iter().find(|act| act.id() == id)
    }

    /// Plays it on a stage where all is well.
    ///
    /// # Errors
    /// It did not end as expected.
    pub async fn play(self, stage: &mut Stage) -> Result<ActReport, ActError> {
        match self {
            Self::Steady => steady::play(stage).await,
            Self::KillActive => kill_active::play(stage).await,
            Self::RejoinAndMove => rejoin_and_move::play(stage).await,
            Self::ReplicationCut => replication_cut::play(stage).await,
            Self::IsolateHolder => isolate_holder::play(stage).await,
            Self::WitnessDown => witness_down::play(stage).await,
            Self::DaemonStopped => daemon_stopped::play(stage).await,
            Self::Meatware => meatware::play(stage).await,
        }
    }
}

impl Stage {
    fn scene(&self) -> Scene<'_> {
        Scene { cluster: &self.cluster, client: self.writers.client() }
    }
}

fn expect_proof(report: &ActReport, wanted: &[&str]) -> Result<(), ActError> {
    match &report.proof {
        Some(proof) if wanted.contains(&proof.as_str()) => Ok(()),
        Some(proof) => {
            Err(ActError::Wrong(format!("the proof was {proof}, expected {}", wanted.join(" or "))))
        }
        None => Err(ActError::Wrong(format!(
            "no grant was told, expected one with proof {}",
            wanted.join(" or ")
        ))),
    }
}
