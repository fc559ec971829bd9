//! DRBD's own programs: what they are asked, and how it ended.

use crate::config::DrbdConfig;
use crate::time::now;
use crate::volume::one_line;
use core::time::Duration;
use picket_core::node::CommandOutcome;
use picket_core::time::Instant;
use picket_host::process::{Finished, KILL_WAIT_MAX, Leftovers, Outcome, Program, Remains, SYSTEM_PATH, run};
use std::process::Stdio;
use std::sync::Arc;
use tokio::sync::{Mutex, MutexGuard, oneshot};

/// The longest that a question without a deadline of its own may take. It needs milliseconds, on a starved machine seconds;
/// what is told meanwhile is what was read before.
const QUESTION_MAX: Duration = Duration::from_secs(20);

/// How long the end of a start is waited for: a large disk's metadata are read, and a peer's threads end first.
const START_MAX: Duration = Duration::from_secs(120);

/// Asks DRBD about one resource.
#[derive(Clone, Debug)]
pub(super) struct Tool {
    config: DrbdConfig,
    starting: Arc<Mutex<()>>,
    /// Programs that were given up.
    remains: Remains,
}

impl Tool {
    pub(super) fn new(config: DrbdConfig) -> Self {
        Self { config, starting: Arc::default(), remains: Remains::default() }
    }

    /// `drbdadm VERB… RESOURCE`, until the deadline.
    pub(super) async fn adm(&self, words: &[&str], deadline: Instant) -> Result<String, CommandOutcome> {
        let program = self.program(words).remains(&self.remains);
        answer(words, &run(program, deadline.elapsed()).await)
    }

    fn program(&self, words: &[&str]) -> Program {
        Program::new(&self.config.drbdadm)
            .args(words.iter().copied())
            .arg(&self.config.resource)
            .env("PATH", SYSTEM_PATH)
            .env("LC_ALL", "C")
            .leftovers(Leftovers::Kill)
    }

    /// Waits for the end of programs that were given up: what one of them still does comes after its opposite. But not
    /// for ever, and not for all of the time that is left. True: all were seen to end.
    pub(super) async fn alone(&self, deadline: Instant) -> bool {
        let within = (deadline.since(now()) / 2).min(KILL_WAIT_MAX);
        self.remains.gone_within(within).await
    }

    /// `drbdadm VERB RESOURCE` for what starts threads in the kernel (`up`, `adjust`, `connect`): one at a time, each to
    /// its end. The kernel of 8.4 does not bear that the program is killed meanwhile: it refuses the resource until the
    /// machine boots. So not even this daemon's end kills it. Not begun when it is later than `valid_until`, or if nobody
    /// waits for it any more.
    pub(super) async fn start(
        &self,
        verb: &'static str,
        valid_until: Instant,
    ) -> Result<String, CommandOutcome> {
        let (tell, told) = oneshot::channel();
        let tool = self.clone();
        tokio::spawn(async move {
            let _alone = tool.starting.lock().await;
            if tell.is_closed() {
                return;
            }
            let late = format!("drbdadm {verb} was valid until {valid_until:?}, it is later");
            let ran = if now() < valid_until {
                tool.run_to_its_end(verb).await
            } else {
                Err(CommandOutcome::Failed(late))
            };
            // Whoever asked may have been overtaken meanwhile.
            let _ = tell.send(ran);
        });
        told.await
            .unwrap_or_else(|_| Err(CommandOutcome::Unknown(format!("drbdadm {verb}: nobody saw its end"))))
    }

    async fn run_to_its_end(&self, verb: &str) -> Result<String, CommandOutcome> {
        let mut command = tokio::process::Command::new(&self.config.drbdadm);
        command
            .args([verb, self.config.resource.as_str()])
            .env_clear()
            .env("PATH", SYSTEM_PATH)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .kill_on_drop(false);
        let text = |what: String| format!("drbdadm {verb}: {what}");
        match tokio::time::timeout(START_MAX, command.output()).await {
            Ok(Ok(output)) => {
                let said = one_line(&String::from_utf8_lossy(&output.stderr));
                match output.status.code() {
                    Some(0) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
                    Some(code) => Err(CommandOutcome::Failed(text(format!("exited with {code}: {said}")))),
                    None => Err(CommandOutcome::Unknown(text(format!("{}: {said}", output.status)))),
                }
            }
            Ok(Err(error)) => Err(CommandOutcome::Failed(text(format!("not started: {error}")))),
            Err(_) => Err(CommandOutcome::Unknown(text(format!(
                "has not ended within {START_MAX:?}; it is left alone"
            )))),
        }
    }

    /// Whether nothing is being started just now; while the answer is held, nothing will be.
    pub(super) fn try_still(&self) -> Option<MutexGuard<'_, ()>> {
        self.starting.try_lock().ok()
    }

    /// Waits until nothing is being started, not longer than until the deadline.
    pub(super) async fn still(&self, deadline: Instant) -> Result<MutexGuard<'_, ()>, CommandOutcome> {
        let left = deadline.since(now());
        tokio::time::timeout(left, self.starting.lock()).await.map_err(|_| {
            CommandOutcome::Unknown("DRBD is being started and has not come to an end".to_owned())
        })
    }

    /// A short question.
    pub(super) async fn ask(&self, words: &[&str]) -> Result<String, CommandOutcome> {
        let deadline = now() + QUESTION_MAX;
        answer(words, &run(self.program(words), deadline.elapsed()).await)
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

/// What `drbdadm` printed, if it ended well.
///
/// # Errors
/// How it ended; whether it did something is unknown where it was not seen to exit.
pub fn answer(words: &[&str], finished: &Finished) -> Result<String, CommandOutcome> {
    let text =
        format!("drbdadm {} {}: {}", words.join(" "), finished.outcome, one_line(&finished.stderr.text()));
    match finished.outcome {
        Outcome::Exited { code: 0 } if finished.stdout.dropped_bytes > 0 => {
            Err(CommandOutcome::Failed(format!("drbdadm {}: its answer is too long", words.join(" "))))
        }
        Outcome::Exited { code: 0 } => Ok(finished.stdout.text()),
        Outcome::Exited { .. } | Outcome::NotStarted { .. } => Err(CommandOutcome::Failed(text)),
        Outcome::Signaled { .. } | Outcome::TimedOut { .. } | Outcome::Lost { .. } => {
            Err(CommandOutcome::Unknown(text))
        }
    }
}
