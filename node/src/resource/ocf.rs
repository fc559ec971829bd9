//! Resource agents of the Open Cluster Framework, as they are: `ROOT/resource.d/PROVIDER/NAME`.
//!
//! One instance of a resource runs, on the node where its volume is active. A promotable one is promoted as a part of
//! its start and demoted as a part of its stop; as there are no others to tell, nobody is sent `notify`.
//!
//! Exit statuses of a look: 0 runs, 7 does not run, 8 runs promoted, 9 failed while promoted, 190 and 191 run and are
//! degraded; 2 to 6 say that it cannot run on this node. A start and a stop are done with 0 alone, a stop also with 7.

use super::act::Run;
use super::tree::{Outcome, Verb};
use core::fmt;
use core::time::Duration;
use picket_host::clock::boottime;
use picket_host::process::{Finished, Program};
use picket_host::secrets::{Secret, read_secret};
use std::collections::BTreeMap;
use std::path::PathBuf;

pub mod metadata;
#[cfg(test)]
mod tests;

/// Where agents are, unless the file says else.
pub const ROOT: &str = "/usr/lib/ocf";

/// A resource that an agent brings into service.
#[derive(Clone, PartialEq, Eq)]
pub struct Agent {
    /// Where all agents are.
    pub root: PathBuf,
    /// Who made it.
    pub provider: String,
    /// Its name.
    pub name: String,
    /// What it is told.
    pub parameters: BTreeMap<String, String>,
    /// What it is told that stands in files which only their owner can read; read anew for each action.
    pub secrets: BTreeMap<String, PathBuf>,
    /// It is promoted when it was started.
    pub promotable: bool,
}

/// Shows no values of parameters: they may hold secrets.
impl fmt::Debug for Agent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Agent")
            .field("path", &self.path())
            .field("parameters", &self.parameters.keys().collect::<Vec<_>>())
            .field("secrets", &self.secrets)
            .field("promotable", &self.promotable)
            .finish()
    }
}

const SUCCESS: i32 = 0;
const UNFIT: core::ops::RangeInclusive<i32> = 2..=6;
const NOT_RUNNING: i32 = 7;
const RUNNING_PROMOTED: i32 = 8;
const FAILED_PROMOTED: i32 = 9;
const DEGRADED: i32 = 190;
const DEGRADED_PROMOTED: i32 = 191;

impl Agent {
    /// Its program.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.root.join("resource.d").join(&self.provider).join(&self.name)
    }

    /// How it is written in a configuration.
    #[must_use]
    pub fn title(&self) -> String {
        format!("ocf:{}:{}", self.provider, self.name)
    }

    /// The agent with an action to do, as a cluster manager would call it.
    /// What every action is told, `meta-data` too.
    fn base(&self, base: Program, action: &str) -> Program {
        base.arg(action)
            .env("OCF_ROOT", self.root.as_os_str())
            .env("OCF_RA_VERSION_MAJOR", "1")
            .env("OCF_RA_VERSION_MINOR", "1")
            .env("OCF_RESOURCE_TYPE", &self.name)
            .env("OCF_RESOURCE_PROVIDER", &self.provider)
            .env("LC_ALL", "C")
    }

    fn program(&self, base: Program, tag: &str, node: &str, action: &str, timeout: Duration) -> Program {
        let ms = timeout.as_millis().to_string();
        let mut program = self
            .base(base, action)
            .env("OCF_RESOURCE_INSTANCE", tag)
            .env("OCF_RESKEY_CRM_meta_name", action)
            .env("OCF_RESKEY_CRM_meta_on_node", node)
            .env("OCF_RESKEY_CRM_meta_timeout", ms)
            .env("OCF_RESKEY_CRM_meta_interval", "0")
            .env("OCF_RESKEY_crm_feature_set", "3.0.14")
            // Agents write their log lines to standard error then, where we read them.
            .env("HA_LOGFACILITY", "none");
        if self.promotable {
            for (name, value) in [
                ("clone", "0"),
                ("clone_max", "1"),
                ("clone_node_max", "1"),
                ("master_max", "1"),
                ("promoted_max", "1"),
            ] {
                program = program.env(format!("OCF_RESKEY_CRM_meta_{name}"), value);
            }
        }
        for (name, value) in &self.parameters {
            program = program.env(format!("OCF_RESKEY_{name}"), value);
        }
        program
    }

    /// Does one action, each of its steps within the one deadline.
    pub(super) async fn run(
        &self,
        verb: Verb,
        base: impl Fn(&std::path::Path, &str) -> Program,
        (tag, node): (&str, &str),
        deadline: Duration,
        given_up: impl Future<Output = ()>,
    ) -> Outcome {
        if verb == Verb::Monitor
            && let Some((name, why)) = self.untold().into_iter().next()
        {
            return Outcome::Unknown(format!("monitor: {name}: {why}"));
        }
        let mut given_up = core::pin::pin!(given_up);
        let steps: &[&str] = match (verb, self.promotable) {
            (Verb::Monitor, _) => &["monitor"],
            (Verb::Start, false) => &["start"],
            (Verb::Start, true) => &["start", "promote"],
            (Verb::Stop, false) => &["stop"],
            // One that is not promoted need not be demoted, and an agent may call that a mistake.
            (Verb::Stop, true) => {
                match self.step("monitor", false, &base, (tag, node), deadline, &mut given_up).await {
                    Run::Exited(NOT_RUNNING | SUCCESS | DEGRADED, _) => &["stop"],
                    _ => &["demote", "stop"],
                }
            }
        };
        let mut last = Outcome::Done;
        for action in steps {
            let stays = matches!(*action, "start" | "promote");
            let run = self.step(action, stays, &base, (tag, node), deadline, &mut given_up).await;
            last = match self.outcome(action, run) {
                // What was started is there.
                Outcome::Unfit(text) if *action == "promote" => Outcome::Failed(text),
                outcome => outcome,
            };
            if last != Outcome::Done {
                break;
            }
        }
        last
    }

    async fn step(
        &self,
        action: &str,
        stays: bool,
        base: &impl Fn(&std::path::Path, &str) -> Program,
        (tag, node): (&str, &str),
        deadline: Duration,
        given_up: &mut (impl Future<Output = ()> + Unpin),
    ) -> Run {
        let left = deadline.saturating_sub(boottime());
        let mut program = self.program(base(&self.path(), action), tag, node, action, left);
        let mut hidden = Vec::new();
        for (name, file) in &self.secrets {
            let secret = match Self::secret(file) {
                Ok(secret) => secret,
                Err(why) => return Run::NotStarted(why),
            };
            // Its environment is seen by itself and root alone; its arguments would be seen by everybody.
            program = program.env(format!("OCF_RESKEY_{name}"), secret.expose_line().unwrap_or_default());
            hidden.push(secret);
        }
        super::act::run_program(program, (stays, &hidden), deadline, given_up).await.0
    }

    /// A secret that can be told.
    ///
    /// # Errors
    /// Why it cannot, in a line, without any of it.
    fn secret(file: &std::path::Path) -> Result<Secret, String> {
        let secret = read_secret(file).map_err(|error| error.to_string())?;
        let is_line = |line: &str| !line.is_empty() && !line.contains(['\n', '\r', '\0']);
        if secret.expose_line().is_some_and(is_line) {
            Ok(secret)
        } else {
            Err(format!("{}: not one line of text", file.display()))
        }
    }

    /// What of its secrets cannot be told, by the parameter's name.
    #[must_use]
    pub fn untold(&self) -> Vec<(String, String)> {
        let why = |(name, file): (&String, &PathBuf)| Some((name.clone(), Self::secret(file).err()?));
        self.secrets.iter().filter_map(why).collect()
    }

    /// What it means that an action's program ended so; `hidden` is told to nobody.
    #[must_use]
    pub fn judge(&self, action: &str, finished: &Finished, hidden: &[Secret]) -> Outcome {
        self.outcome(action, Run::of(finished, hidden))
    }

    /// What an action's end means.
    fn outcome(&self, action: &str, run: Run) -> Outcome {
        let (code, said) = match run {
            Run::Exited(code, said) => (code, said),
            Run::NotStarted(why) => return Outcome::Unfit(format!("{action}: {why}")),
            Run::Unknown(how) => return Outcome::Failed(format!("{action} {how}")),
        };
        let told = |what: &str| super::act::with(format!("{action} exited with {code} ({what})"), &said);
        match (action, code) {
            ("monitor", RUNNING_PROMOTED | DEGRADED_PROMOTED) => Outcome::Done,
            ("monitor", SUCCESS | DEGRADED) if self.promotable => {
                Outcome::Failed(told("runs, and is not promoted"))
            }
            ("monitor", SUCCESS | DEGRADED) => Outcome::Done,
            ("monitor", NOT_RUNNING) => Outcome::NotRunning,
            ("monitor", FAILED_PROMOTED) => Outcome::Failed(told("failed while promoted")),
            ("stop" | "demote", NOT_RUNNING) | (_, SUCCESS) => Outcome::Done,
            (_, code) if UNFIT.contains(&code) => Outcome::Unfit(told(word(code))),
            (_, NOT_RUNNING) => Outcome::Failed(told("does not run")),
            _ => Outcome::Failed(told("failed")),
        }
    }
}

const fn word(code: i32) -> &'static str {
    match code {
        2 => "wrong parameters",
        3 => "not implemented",
        4 => "no permission",
        5 => "not installed",
        6 => "not configured",
        _ => "failed",
    }
}
