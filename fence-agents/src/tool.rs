//! Running another program: `xl`, `ssh`, `ping`, a password script.
//!
//! Contract: it gets an environment of its own, is killed with all that it started at the deadline,
//! and also when we die. A deadline that passed says nothing about what the program achieved.

use crate::deadline::Deadline;
use crate::input::SECONDS_MAX;
use core::time::Duration;
use picket_host::clock;
use picket_host::process::{self, Descendants, Finished, Outcome, Program};

#[cfg(test)]
mod tests;

/// Where programs are looked up that are named without a path.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The program of this name or path, speaking plain English, so that its answers can be read.
#[must_use]
pub fn program(name: &str) -> Program {
    Program::new(name).env("PATH", PATH).env("LC_ALL", "C")
}

/// Runs it to its end or to the deadline.
#[must_use]
pub fn run(program: Program, deadline: Deadline) -> Finished {
    // "Never" means that our caller ends us, and with us the program; a week is later than that.
    let left = deadline.remaining().unwrap_or(Duration::from_secs_f64(SECONDS_MAX));
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(process::run(program, clock::boottime() + left)),
        Err(error) => Finished {
            outcome: Outcome::NotStarted { reason: format!("no event loop: {error}") },
            descendants: Descendants::Gone,
            stdout: process::Captured::default(),
            stderr: process::Captured::default(),
            took: Duration::ZERO,
        },
    }
}

/// Characters of a program's own words that go into a message.
const SAID_CHARS_MAX: usize = 300;

/// How it ended and what it complained of, on one line.
#[must_use]
pub fn told(finished: &Finished) -> String {
    let said = finished.stderr.text();
    let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line.chars().filter(|c| !c.is_control()).take(SAID_CHARS_MAX).collect();
    if short.is_empty() { finished.outcome.to_string() } else { format!("{}: {short}", finished.outcome) }
}

/// Its whole standard output, if it ended well. One that was cut off is no answer.
///
/// # Errors
/// What stands against taking it as an answer.
pub fn answer(finished: &Finished) -> Result<String, String> {
    if finished.outcome != (Outcome::Exited { code: 0 }) {
        return Err(told(finished));
    }
    if finished.stdout.dropped_bytes > 0 {
        return Err("its answer is too long".to_owned());
    }
    String::from_utf8(finished.stdout.bytes.clone()).map_err(|_| "its answer is no text".to_owned())
}
