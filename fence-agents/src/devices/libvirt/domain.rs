//! Domains as hypervisors tell of them, and what several hypervisors together say about one.
//!
//! Contract of [`verdict`]: a domain that runs anywhere is on. It is off only if every hypervisor
//! answered, at least one has it `shut off`, and none has it in any other state. A domain that is
//! nowhere is unknown: it may be misspelt, or run where nobody looked.

use crate::device::{DeviceError, State};
use crate::uuid::Uuid;
use std::fmt;

#[cfg(test)]
mod tests;

/// What a domain is asked for by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plug {
    /// Its UUID.
    Uuid(Uuid),
    /// Its name.
    Name(String),
}

impl Plug {
    /// What is written as a UUID in its groups is one.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Uuid::parse_grouped(text).map_or_else(|| Self::Name(text.to_owned()), Self::Uuid)
    }

    /// Whether this is the one asked for.
    #[must_use]
    pub fn is(&self, domain: &Domain) -> bool {
        match self {
            Self::Uuid(uuid) => domain.uuid == *uuid,
            Self::Name(name) => domain.name == *name,
        }
    }
}

impl fmt::Display for Plug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(uuid) => write!(f, "{uuid}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// What a domain does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It runs, or could go on at any moment: running, blocked, paused.
    Runs,
    /// Nothing of it is there but its definition.
    ShutOff,
    /// Neither.
    Between(&'static str),
}

/// A domain on one hypervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Its name there.
    pub name: String,
    /// Its UUID.
    pub uuid: Uuid,
    /// Its number there, -1 if it does not run.
    pub id: i32,
    /// What it does.
    pub activity: Activity,
    /// Whether its definition stays when it ends; `None` if the hypervisor cannot tell.
    pub persistent: Option<bool>,
}

/// What one hypervisor says about a domain.
pub type Seen = Result<Option<Domain>, DeviceError>;

/// What all of them say together, each with its name.
#[must_use]
pub fn verdict(plug: &Plug, seen: &[(String, Seen)]) -> State {
    let there = || seen.iter().filter_map(|(host, seen)| Some((host, seen.as_ref().ok()?.as_ref()?)));
    if let Some(why) = ambiguous(plug, seen) {
        return State::Unknown(why);
    }
    if there().any(|(_, domain)| domain.activity == Activity::Runs) {
        return State::On;
    }
    if let Some((_, Err(error))) = seen.iter().find(|(_, seen)| seen.is_err()) {
        return State::Unknown(error.to_string());
    }
    for (host, domain) in there() {
        if let Activity::Between(what) = domain.activity {
            return State::Unknown(format!("{plug} is {what} at {host}"));
        }
    }
    if there().next().is_some() { State::Off } else { State::Unknown(nowhere(plug, seen)) }
}

/// Domains of one name that are not the same one.
pub fn ambiguous(plug: &Plug, seen: &[(String, Seen)]) -> Option<String> {
    let mut there = seen.iter().filter_map(|(host, seen)| Some((host, seen.as_ref().ok()?.as_ref()?)));
    let (first_host, first) = there.next()?;
    let (other_host, other) = there.find(|(_, domain)| domain.uuid != first.uuid)?;
    Some(format!(
        "{plug} is {} at {first_host} and {} at {other_host}: two machines of one name; set plug to the UUID",
        first.uuid, other.uuid
    ))
}

/// The line for a domain that nobody has.
#[must_use]
pub fn nowhere(plug: &Plug, seen: &[(String, Seen)]) -> String {
    let hosts: Vec<&str> = seen.iter().map(|(host, _)| host.as_str()).collect();
    format!(
        "no domain {plug} at {}; that is not off: check plug, name every hypervisor in uri, and define the domain \
         (one that was only created vanishes when it ends)",
        hosts.join(", ")
    )
}
