//! How a command ends: an exit status, and why.

use picket_proto::v1::{Outcome, Refused, outcome};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// How a command ended, as its exit status. `--help` names the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Failed, or something that was looked at is not as it should be.
    Failed,
    /// The daemon does not answer, so nothing is known.
    Unreachable,
    /// Picket refused; nothing was changed.
    Refused,
    /// Begun and not over yet; the status tells its end.
    Underway,
    /// The operator did not type what had to be typed; nothing was changed.
    NotTyped,
}

/// The exit statuses for `--help`. 2 is the command line's own.
pub const EXIT_HELP: &str = "Exit status:
  0  done
  1  failed, or what was looked at is not as it should be
  2  wrong command line
  3  the daemon does not answer; nothing is known
  4  refused; nothing was changed
  5  begun and not over yet: look at 'picket status'
  6  what had to be typed was not typed; nothing was changed";

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Unreachable => 3,
            Self::Refused => 4,
            Self::Underway => 5,
            Self::NotTyped => 6,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command could not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Nobody answers on the control socket.
    #[error("no daemon answers at {}: {why}\nIs picketd running here? Another socket: --socket", socket.display())]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// What was seen.
        why: String,
    },
    /// The daemon does not let this user in, or does not speak this version.
    #[error("the daemon at {} does not accept the request: {why}", socket.display())]
    NotAccepted {
        /// The socket.
        socket: PathBuf,
        /// Its words.
        why: String,
    },
    /// The typed words were not the ones that were asked for.
    #[error("expected {expected:?} to be typed, got {typed:?}; nothing was changed")]
    NotTyped {
        /// What was asked for.
        expected: String,
        /// What was typed.
        typed: String,
    },
    /// Something that the command needs is not there.
    #[error("{0}")]
    Missing(String),
    /// A file is wrong; every error in it.
    #[error("{0}")]
    File(String),
    /// Refused before it was asked, for a reason that stands in the status.
    #[error("refused: {0}")]
    Refused(String),
    /// The output cannot be written, or the input not read.
    #[error("terminal: {0}")]
    Terminal(#[from] io::Error),
    /// An answer cannot be shown as JSON.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The demonstration could not be played.
    #[error(transparent)]
    Demo(#[from] crate::demo::DemoError),
}

impl Fault {
    /// The exit status that says it.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::NotAccepted { .. } | Self::Refused(_) => Exit::Refused,
            Self::NotTyped { .. } => Exit::NotTyped,
            Self::Missing(_) | Self::File(_) | Self::Terminal(_) | Self::Json(_) | Self::Demo(_) => {
                Exit::Failed
            }
        }
    }
}

/// What an outcome means for the exit status, and its line. An outcome without a result says nothing, which is
/// not success.
#[must_use]
pub fn of_outcome(answer: &Outcome) -> (Exit, String) {
    match &answer.result {
        Some(outcome::Result::Done(done)) => {
            let later = done.effective_in_ms.filter(|ms| *ms > 0);
            let later = later.map_or_else(String::new, |ms| format!(" (takes effect in {ms} ms)"));
            let text = if done.text.is_empty() { "done" } else { &done.text };
            (Exit::Done, format!("{text}{later}"))
        }
        Some(outcome::Result::Refused(Refused { word, text })) => {
            // A text that begins with its word needs it no second time.
            let word = if text.starts_with(word) { String::new() } else { format!(" [{word}]") };
            (Exit::Refused, format!("refused: {text}{word}"))
        }
        Some(outcome::Result::Underway(underway)) => {
            (Exit::Underway, format!("not over yet: {}", underway.text))
        }
        None => (Exit::Failed, "the daemon's answer is empty; look at the status".to_owned()),
    }
}

#[cfg(test)]
mod tests;
