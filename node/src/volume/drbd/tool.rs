//! DRBD's own programs: what they are asked, and how it ended.

use crate::config::DrbdConfig;
use crate::time::now;
use core::time::Duration;
use picket_core::node::CommandOutcome;
use picket_core::time::Instant;
use picket_host::process::{Finished, Leftovers, Outcome, Program, SYSTEM_PATH, run};

/// The longest that a question without a deadline of its own may take: reading a generation needs milliseconds.
const QUESTION_MAX: Duration = Duration::from_secs(3);

/// Asks DRBD about one resource.
#[derive(Clone, Debug)]
pub(super) struct Tool {
    config: DrbdConfig,
}

impl Tool {
    pub(super) const fn new(config: DrbdConfig) -> Self {
        Self { config }
    }

    /// `drbdadm VERB… RESOURCE`, until the deadline.
    pub(super) async fn adm(&self, words: &[&str], deadline: Instant) -> Result<String, CommandOutcome> {
        let program = Program::new(&self.config.drbdadm)
            .args(words.iter().copied())
            .arg(&self.config.resource)
            .env("PATH", SYSTEM_PATH)
            .env("LC_ALL", "C")
            .leftovers(Leftovers::Kill);
        answer(words, run(program, deadline.elapsed()).await)
    }

    /// A short question.
    pub(super) async fn ask(&self, words: &[&str]) -> Result<String, CommandOutcome> {
        self.adm(words, now() + QUESTION_MAX).await
    }

    /// The program that tells of every change, of all resources: about one that is not there yet it would only fail.
    pub(super) fn events(&self) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.config.drbdsetup);
        command
            .args(["events2", "--timestamps", "--statistics", "all"])
            .env_clear()
            .env("PATH", SYSTEM_PATH)
            .env("LC_ALL", "C");
        command
    }
}

fn answer(words: &[&str], finished: Finished) -> Result<String, CommandOutcome> {
    let said = finished.stderr.text();
    let text =
        format!("drbdadm {} {}: {}", words.join(" "), finished.outcome, said.trim().replace('\n', "; "));
    match finished.outcome {
        Outcome::Exited { code: 0 } => Ok(finished.stdout.text()),
        Outcome::Exited { .. } | Outcome::NotStarted { .. } => Err(CommandOutcome::Failed(text)),
        Outcome::Signaled { .. } | Outcome::TimedOut { .. } | Outcome::Lost { .. } => {
            Err(CommandOutcome::Unknown(text))
        }
    }
}
