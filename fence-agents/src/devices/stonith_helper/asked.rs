//! What the cluster on this machine knows: Pacemaker by `crm_node`, Picket by its status.

use crate::deadline::Deadline;
use crate::tool;
use core::time::Duration;
use picket_host::process::Outcome;
use serde_json::Value;

/// How long a cluster's own program may take. A daemon that hangs must not hang the fence.
const ASK_WITHIN: Duration = Duration::from_secs(10);

/// The version of the status that is understood here.
const STATUS_SCHEMA: u64 = 1;

/// An answer of three values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Yes.
    Yes,
    /// No.
    No,
    /// Nobody could say, and why.
    Unknown(String),
}

impl Answer {
    fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// Whom to ask.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    /// For Picket.
    pub(super) status_command: String,
    /// For Pacemaker.
    pub(super) crm_node: String,
}

/// Whether the service is active here: the command ends with 0. Anything else makes a standby.
pub(super) fn is_active(command: &str) -> bool {
    shell(command).outcome == (Outcome::Exited { code: 0 })
}

fn shell(command: &str) -> picket_host::process::Finished {
    tool::run(tool::program("/bin/sh").arg("-c").arg(command), Deadline::after(ASK_WITHIN))
}

impl Sources {
    /// Whether Pacemaker's partition on this node has `target` as a member. Names are compared
    /// without case, as the original does.
    pub(super) fn is_member(&self, target: &str) -> Answer {
        let finished = tool::run(tool::program(&self.crm_node).arg("-p"), Deadline::after(ASK_WITHIN));
        match tool::answer(&finished) {
            Ok(text) => Answer::of(text.split_whitespace().any(|name| name.eq_ignore_ascii_case(target))),
            Err(why) => Answer::Unknown(format!("crm_node -p {why}")),
        }
    }

    /// Whether Pacemaker's partition on this node has quorum.
    pub(super) fn crm_quorum(&self) -> Answer {
        let finished = tool::run(tool::program(&self.crm_node).arg("-q"), Deadline::after(ASK_WITHIN));
        match tool::answer(&finished).as_deref().map(str::trim) {
            Ok("1") => Answer::Yes,
            Ok("0") => Answer::No,
            Ok(_) => Answer::Unknown("crm_node -q said neither 0 nor 1".to_owned()),
            Err(why) => Answer::Unknown(format!("crm_node -q {why}")),
        }
    }

    fn status(&self) -> Result<Value, String> {
        let text =
            tool::answer(&shell(&self.status_command)).map_err(|why| format!("picket status {why}"))?;
        let status: Value =
            serde_json::from_str(&text).map_err(|error| format!("picket status is no JSON: {error}"))?;
        match status.get("schema").and_then(Value::as_u64) {
            Some(STATUS_SCHEMA) => Ok(status),
            other => Err(format!("picket status has schema {other:?}, not {STATUS_SCHEMA}")),
        }
    }

    /// Whether Picket's daemon hears `target`, the witness hears it too, it holds a volume and has
    /// not declared itself failed.
    pub(super) fn is_healthy_holder(&self, target: &str) -> Answer {
        let status = match self.status() {
            Ok(status) => status,
            Err(why) => return Answer::Unknown(why),
        };
        let members = status.get("members").and_then(Value::as_array);
        let member = members.into_iter().flatten().find(|member| text_is(member, "node", target));
        let Some(member) = member else {
            return Answer::Unknown(format!("picket status knows no member {target}"));
        };
        let is = |name: &str| member.get(name).and_then(Value::as_bool);
        let holds = member.get("holds").and_then(Value::as_array).is_some_and(|holds| !holds.is_empty());
        let heard = text_is(member, "state", "ALIVE") && is("witness_hears") == Some(true);
        Answer::of(heard && holds && is("failed") != Some(true))
    }

    /// Whether Picket's daemon says that this node has quorum.
    pub(super) fn picket_quorum(&self) -> Answer {
        match self.status() {
            Ok(status) => match status.get("quorum") {
                Some(quorum) => Answer::of(text_is(quorum, "verdict", "QUORATE")),
                None => Answer::Unknown("picket status says nothing about quorum".to_owned()),
            },
            Err(why) => Answer::Unknown(why),
        }
    }
}

fn text_is(value: &Value, name: &str, expected: &str) -> bool {
    value.get(name).and_then(Value::as_str) == Some(expected)
}
