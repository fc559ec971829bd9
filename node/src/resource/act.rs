//! Runs one action of one resource, and says how it ended.
//!
//! Contract: it ends soon after its deadline, or after it was given up, and everything that the action started is
//! gone then; only what a start that was done has left behind stays. A timeout is a failure, never an answer.

use super::tree::{Outcome, Verb};
use crate::config::{Resource, ResourceKind};
use core::time::Duration;
use picket_host::clock::boottime;
use picket_host::process::{KILL_WAIT_MAX, Program, Remains};

pub mod command;
mod program;

pub(crate) use program::last_line;
pub(super) use program::{Run, run as run_program, with};

#[cfg(test)]
pub(super) mod tests;

/// What an action is told of where it runs.
#[derive(Clone, Debug)]
pub struct Place {
    /// This node's name.
    pub node: String,
    /// The volume's name.
    pub volume: String,
    /// The names of all nodes with a replica of the volume.
    pub members: Vec<String>,
}

/// What is said of a resource of which an action is still there that should have ended.
const STILL_THERE: &str = "an action that was given up has not been seen to end";

/// Runs an action to its end. `given_up`: it is to end at once, and has failed then. What is still there of it or of one
/// before it stands in `remains`: while there is any, nothing says that the resource does not run.
pub async fn act(
    resource: Resource,
    place: Place,
    verb: Verb,
    timeout: Duration,
    given_up: impl Future<Output = ()>,
    remains: Remains,
) -> Outcome {
    let alone = match verb {
        Verb::Stop => remains.gone_within(KILL_WAIT_MAX).await,
        Verb::Monitor | Verb::Start => !remains.any(),
    };
    let outcome = carry_out(resource, place, verb, timeout, given_up, &remains).await;
    match (verb, &outcome) {
        _ if alone && !remains.any() => outcome,
        (Verb::Monitor, Outcome::NotRunning) => Outcome::Unknown(STILL_THERE.to_owned()),
        (Verb::Stop, Outcome::Done | Outcome::NotRunning) => Outcome::Failed(STILL_THERE.to_owned()),
        _ => outcome,
    }
}

async fn carry_out(
    resource: Resource,
    place: Place,
    verb: Verb,
    timeout: Duration,
    given_up: impl Future<Output = ()>,
    remains: &Remains,
) -> Outcome {
    let deadline = boottime() + timeout;
    let tag = resource.rules.tag.clone();
    let program = |path: &str, action: &str| -> Program {
        let program = Program::new(path);
        // A look that is stuck undoes nothing.
        let program = if verb == Verb::Monitor { program } else { program.remains(remains) };
        program
            .env("PATH", picket_host::process::SYSTEM_PATH)
            .env("PICKET_ACTION", action)
            .env("PICKET_RESOURCE", &tag)
            .env("PICKET_VOLUME", &place.volume)
            .env("PICKET_NODE", &place.node)
            .env("PICKET_MEMBERS", place.members.join(" "))
    };
    match &resource.kind {
        ResourceKind::Ocf(agent) => {
            let base = |path: &std::path::Path, action: &str| program(&path.to_string_lossy(), action);
            agent.run(verb, base, (&tag, &place.node), deadline, given_up).await
        }
        ResourceKind::Systemd(unit) => unit.run(verb, deadline, given_up).await,
        ResourceKind::Command(service) => command::run(service, verb, program, deadline, given_up).await,
    }
}
