//! What can go wrong with a lab machine.

use std::io;
use std::path::PathBuf;

/// Why a machine cannot be started, steered or ended.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// A file or socket of the machine failed.
    #[error("cannot {what} {path}: {error}")]
    File {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// The system refused something that is no file.
    #[error("cannot {what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        error: io::Error,
    },
    /// The description of the machine cannot be used.
    #[error("machine description: {0}")]
    Spec(String),
    /// The supervisor ended, or said something else, before it was ready.
    #[error("the supervisor of {machine} did not become ready: {why}")]
    NotReady {
        /// The machine.
        machine: String,
        /// What was seen instead.
        why: String,
    },
    /// The supervisor refused a control command.
    #[error("{machine}: {command}: {why}")]
    Refused {
        /// The machine.
        machine: String,
        /// What was asked.
        command: String,
        /// Why not.
        why: String,
    },
}

impl MachineError {
    /// For `map_err` on a file operation.
    pub(super) fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::File { what, path, error }
    }

    /// For `map_err` on a system call.
    pub(super) fn system<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::System { what, error: error.into() }
    }
}
