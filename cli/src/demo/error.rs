//! Why the demonstration could not be played. An act that ends otherwise than expected is no error: the report
//! says so.

use super::cluster::LabError;
use super::report::ReportError;
use std::io;

/// Why the demonstration could not be played.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The lab failed.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A name that is no act's.
    #[error("no act {0:?}; see picket demo --list")]
    NoSuchAct(String),
    /// The display or the signals failed.
    #[error("terminal: {0}")]
    Terminal(#[from] io::Error),
    /// The result cannot be shown.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// It was interrupted; everything is cleaned up.
    #[error("interrupted; everything is cleaned up")]
    Interrupted,
}
