//! One run of a program, in the words of the tree.

use core::time::Duration;
use picket_host::process::{Captured, Finished, Leftovers, Outcome as Ended, Program, run_unless};
use picket_host::secrets::Secret;

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
    let Finished { outcome, stdout, stderr, took, .. } = finished;
    let said = last_line(&stderr, &stdout, hidden);
    let run = match &outcome {
        Ended::Exited { code } => Run::Exited(*code, said),
        Ended::NotStarted { reason } => Run::NotStarted(reason.clone()),
        Ended::TimedOut { .. } => Run::Unknown(with(format!("{outcome} after {took:.1?}"), &said)),
        Ended::Signaled { .. } | Ended::Lost { .. } => Run::Unknown(with(outcome.to_string(), &said)),
    };
    (run, stdout)
}

/// A text with what the program said, if it said anything.
pub(in crate::resource) fn with(text: String, said: &str) -> String {
    if said.is_empty() { text } else { format!("{text}: {said}") }
}

/// The last line that a program wrote, to standard error if there is one; one line, of printable characters.
pub(crate) fn last_line(stderr: &Captured, stdout: &Captured, hidden: &[Secret]) -> String {
    let last = |captured: &Captured| {
        let mut text = captured.text();
        for secret in hidden.iter().filter_map(Secret::expose_line).filter(|secret| !secret.is_empty()) {
            text = text.replace(secret, "<secret>");
        }
        let line = text.lines().map(str::trim).rfind(|line| !line.is_empty());
        line.map(|line| line.chars().filter(|c| !c.is_control()).take(SAID_CHARS_MAX).collect::<String>())
    };
    last(stderr).or_else(|| last(stdout)).unwrap_or_default()
}
