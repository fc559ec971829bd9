//! One run of a program, in the words of the tree.

use core::time::Duration;
use picket_host::process::{Captured, Finished, Leftovers, Outcome as Ended, Program, run_unless};
use picket_host::secrets::Secret;
use zeroize::Zeroizing;

/// Letters of what a program said that are told; the log of the program itself has the rest.
const SAID_CHARS_MAX: usize = 300;

/// How a program ended.
pub(in crate::resource) enum Run {
    /// With this exit status, and what it said last.
    Exited(i32, String),
    /// It never ran.
    NotStarted(String),
    /// In any other way; what it achieved is unknown.
    Unknown(String),
}

/// Runs a program, and tells what it says without what is hidden. Of a start the processes that it leaves behind stay, if it ended well.
pub(in crate::resource) async fn run(
    program: Program,
    (stays, hidden): (bool, &[Secret]),
    deadline: Duration,
    given_up: impl Future<Output = ()>,
) -> (Run, Captured) {
    let leftovers = if stays { Leftovers::Leave } else { Leftovers::Kill };
    let finished = run_unless(program.leftovers(leftovers), deadline, given_up).await;
    (Run::of(&finished, hidden), finished.stdout)
}

impl Run {
    /// How it ended, and what it said without what is hidden.
    pub(in crate::resource) fn of(finished: &Finished, hidden: &[Secret]) -> Self {
        let Finished { outcome, stdout, stderr, took, .. } = finished;
        let said = last_line(stderr, stdout, hidden);
        match outcome {
            Ended::Exited { code } => Self::Exited(*code, said),
            Ended::NotStarted { reason } => Self::NotStarted(reason.clone()),
            Ended::TimedOut { .. } => Self::Unknown(with(format!("{outcome} after {took:.1?}"), &said)),
            Ended::Signaled { .. } | Ended::Lost { .. } => Self::Unknown(with(outcome.to_string(), &said)),
        }
    }
}

/// A text with what the program said, if it said anything.
pub(in crate::resource) fn with(text: String, said: &str) -> String {
    if said.is_empty() { text } else { format!("{text}: {said}") }
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// The last line that a program wrote, to standard error if there is one; one line, of printable characters.
pub(crate) fn last_line(stderr: &Captured, stdout: &Captured, hidden: &[Secret]) -> String {
    let last = |captured: &Captured| {
        let text = captured.text();
        let mut line = text.lines().rev().map(printable).find(|line| !line.trim().is_empty())?;
        // Only now: a letter that is not printed could part a secret in two.
        for secret in hidden.iter().filter_map(Secret::expose_line) {
            let secret = Zeroizing::new(printable(secret));
            if !secret.is_empty() {
                line = line.replace(secret.as_str(), "<secret>");
            }
        }
        Some(line.trim().chars().take(SAID_CHARS_MAX).collect::<String>())
    };
    last(stderr).or_else(|| last(stdout)).unwrap_or_default()
}
