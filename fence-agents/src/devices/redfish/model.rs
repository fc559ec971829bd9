//! What we read of Redfish's resources, and nothing more.
//!
//! Contract: only the `PowerState` of a whole, well-formed `ComputerSystem` that says it is the one
//! that was asked for makes a power state. `On` and `Off` are those; every other word, `PoweringOff`
//! as well as `null`, is unknown.

use crate::device::State;
pub use crate::net::shown;
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[cfg(test)]
mod tests;

/// A reference to a resource.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Link {
    /// Its path.
    #[serde(rename = "@odata.id", default)]
    pub path: String,
}

/// The service root.
#[derive(Debug, Deserialize)]
pub struct Root {
    /// The computer systems.
    #[serde(rename = "Systems", default)]
    pub systems: Option<Link>,
    /// What stands beside them.
    #[serde(rename = "Links", default)]
    pub links: RootLinks,
}

/// Links of the service root.
#[derive(Debug, Default, Deserialize)]
pub struct RootLinks {
    /// Where sessions are made.
    #[serde(rename = "Sessions", default)]
    pub sessions: Option<Link>,
}

/// A collection, or a page of one.
#[derive(Debug, Deserialize)]
pub struct Collection {
    /// The members on this page.
    #[serde(rename = "Members")]
    pub members: Vec<Link>,
    /// The next page.
    #[serde(rename = "Members@odata.nextLink", default)]
    pub next: Option<String>,
}

/// A computer system.
#[derive(Clone, Debug, Deserialize)]
pub struct System {
    /// Where it says that it stands.
    #[serde(rename = "@odata.id", default)]
    pub path: Option<String>,
    /// What it says that it is.
    #[serde(rename = "@odata.type", default)]
    pub kind: Option<String>,
    /// Its identifier among its siblings.
    #[serde(rename = "Id", default)]
    pub id: Option<String>,
    #[serde(rename = "Name", default)]
    name: Option<String>,
    #[serde(rename = "HostName", default)]
    host_name: Option<String>,
    #[serde(rename = "AssetTag", default)]
    asset_tag: Option<String>,
    /// Its serial number.
    #[serde(rename = "SerialNumber", default)]
    pub serial: Option<String>,
    /// Its UUID.
    #[serde(rename = "UUID", default)]
    pub uuid: Option<String>,
    #[serde(rename = "PowerState", default)]
    power_state: Option<String>,
    #[serde(rename = "Actions", default)]
    actions: Actions,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Actions {
    #[serde(rename = "#ComputerSystem.Reset", default)]
    reset: Option<Reset>,
}

/// The reset action of a system.
#[derive(Clone, Debug, Deserialize)]
pub struct Reset {
    /// Where it is asked for.
    pub target: String,
    /// What it takes, if it says so here.
    #[serde(rename = "ResetType@Redfish.AllowableValues", default)]
    pub allowed: Option<Vec<String>>,
    /// Where it says what it takes, otherwise.
    #[serde(rename = "@Redfish.ActionInfo", default)]
    pub info: Option<String>,
}

/// What an action takes.
#[derive(Debug, Deserialize)]
pub struct ActionInfo {
    /// Its parameters.
    #[serde(rename = "Parameters", default)]
    pub parameters: Vec<Parameter>,
}

/// A parameter of an action.
#[derive(Debug, Deserialize)]
pub struct Parameter {
    /// Its name.
    #[serde(rename = "Name")]
    pub name: String,
    /// The values that it takes.
    #[serde(rename = "AllowableValues", default)]
    pub allowed: Option<Vec<String>>,
}

/// How far something is that takes its time.
#[derive(Debug, Default, Deserialize)]
pub struct Task {
    /// Its path.
    #[serde(rename = "@odata.id", default)]
    pub path: Option<String>,
    /// Where to ask for its outcome.
    #[serde(rename = "TaskMonitor", default)]
    pub monitor: Option<String>,
    #[serde(rename = "TaskState", default)]
    state: Option<String>,
    #[serde(rename = "TaskStatus", default)]
    status: Option<String>,
    #[serde(rename = "Messages", default)]
    messages: Vec<Message>,
}

/// What came of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskOutcome {
    /// Not over.
    Running,
    /// Over, and nothing was wrong.
    Done,
    /// Over without success, and why.
    Failed(String),
}

#[derive(Debug, Default, Deserialize)]
struct ErrorDocument {
    #[serde(default)]
    error: ErrorBody,
}

#[derive(Debug, Default, Deserialize)]
struct ErrorBody {
    #[serde(default)]
    message: String,
    #[serde(rename = "@Message.ExtendedInfo", default)]
    extended: Vec<Message>,
}

#[derive(Debug, Default, Deserialize)]
struct Message {
    #[serde(rename = "MessageId", default)]
    id: String,
    #[serde(rename = "Message", default)]
    text: String,
}

/// Reads a document.
///
/// # Errors
/// It is not whole, or something else, in one line.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    // Parts that we do not read are not looked at by the reader: all of it must be text all the same.
    let text = std::str::from_utf8(bytes).map_err(|_| "the document is no text".to_owned())?;
    if !text.trim_start().starts_with('{') {
        return Err("the document is no JSON object".to_owned());
    }
    serde_json::from_str(text)
        .map_err(|error| format!("the document cannot be read: {}", shown(&error.to_string())))
}

/// What the device says about a failure, as `: text`, or nothing.
#[must_use]
pub fn complaint(bytes: &[u8]) -> String {
    let document: ErrorDocument = serde_json::from_slice(bytes).unwrap_or_default();
    let first = document.error.extended.into_iter().find(|message| !message.text.is_empty());
    let text = first.map_or(document.error.message, |message| message.text);
    if text.is_empty() { text } else { format!(": {}", shown(&text)) }
}

/// Whether the device says that it holds as many sessions as it can.
#[must_use]
pub fn is_session_limit(bytes: &[u8]) -> bool {
    let document: ErrorDocument = serde_json::from_slice(bytes).unwrap_or_default();
    document.error.extended.iter().any(|message| message.id.contains("SessionLimitExceeded"))
}

/// Whether two paths name the same resource; a `/` at the end makes no difference.
#[must_use]
pub fn same_path(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

/// A path on the device that we talk to: from the root, without a host, without line breaks.
#[must_use]
pub fn is_local_path(path: &str) -> bool {
    path.starts_with('/') && !path.starts_with("//") && path.bytes().all(|byte| byte.is_ascii_graphic())
}

impl System {
    /// Whether any of its names is `plug`, in any case.
    #[must_use]
    pub fn is_called(&self, plug: &str) -> bool {
        let names = [&self.id, &self.name, &self.host_name, &self.asset_tag, &self.serial, &self.uuid];
        names.into_iter().flatten().any(|name| !name.is_empty() && name.eq_ignore_ascii_case(plug))
    }

    /// Checks that this is the system at `path`, with this UUID and serial number where they are given.
    ///
    /// # Errors
    /// It is another one, in one line.
    pub fn identified(&self, path: &str, uuid: Option<&str>, serial: Option<&str>) -> Result<(), String> {
        if self.kind.as_deref().is_some_and(|kind| !kind.starts_with("#ComputerSystem.")) {
            let kind = shown(self.kind.as_deref().unwrap_or_default());
            return Err(format!("{path} is no computer system but {kind}; check systems_uri"));
        }
        match &self.path {
            Some(own) if same_path(own, path) => {}
            Some(own) => return Err(format!("asked for {path}, the device answers about {}", shown(own))),
            None => return Err(format!("asked for {path}, the device does not say about what it answers")),
        }
        for (option, wanted, found) in [("uuid", uuid, &self.uuid), ("serial", serial, &self.serial)] {
            let Some(wanted) = wanted else { continue };
            let found = found.as_deref().unwrap_or("none");
            if !found.eq_ignore_ascii_case(wanted) {
                return Err(format!(
                    "{path} is another machine: its {option} is {}, not {wanted}; check ip and {option}",
                    shown(found)
                ));
            }
        }
        Ok(())
    }

    /// The power state that it reports.
    #[must_use]
    pub fn power(&self) -> State {
        match self.power_state.as_deref() {
            Some("On") => State::On,
            Some("Off") => State::Off,
            Some(other) => State::Unknown(format!("PowerState is {}", shown(other))),
            None => State::Unknown("the device reports no PowerState".to_owned()),
        }
    }

    /// Its reset action.
    #[must_use]
    pub const fn reset(&self) -> Option<&Reset> {
        self.actions.reset.as_ref()
    }
}

impl Task {
    /// How far it is. A state that we do not know is running: the power state decides in the end.
    #[must_use]
    pub fn outcome(&self) -> TaskOutcome {
        let state = self.state.as_deref().unwrap_or_default();
        let failed = match state {
            "Completed" => self.status.as_deref().is_some_and(|status| status != "OK" && status != "Warning"),
            "Exception" | "Killed" | "Cancelled" | "Cancelling" | "Interrupted" | "Suspended" => true,
            _ => return TaskOutcome::Running,
        };
        if !failed {
            return TaskOutcome::Done;
        }
        let message = self.messages.iter().map(|message| message.text.as_str()).find(|text| !text.is_empty());
        TaskOutcome::Failed(shown(&format!("{state}: {}", message.unwrap_or("no message"))))
    }

    /// Whether the document is about a task at all.
    #[must_use]
    pub const fn is_one(&self) -> bool {
        self.state.is_some()
    }
}
