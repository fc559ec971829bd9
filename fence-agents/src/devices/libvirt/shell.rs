//! A hypervisor by `virsh` on it, through ssh.
//!
//! Contract: a domain is absent only if a whole list of all domains does not have it. What `virsh`
//! prints about one is taken only if every line that matters is there, once, and about that domain.

use super::Hypervisor;
use super::domain::{Activity, Domain, Plug, Seen};
use crate::deadline::Deadline;
use crate::device::{DeviceError, Limits};
use crate::reach::Reach;
use crate::tool;
use crate::uuid::Uuid;
use picket_host::process::Outcome;

#[cfg(test)]
mod tests;

/// ssh's own exit status when it could not connect or log in.
const SSH_FAILED: i32 = 255;

/// A hypervisor by `virsh`.
#[derive(Debug)]
pub struct Virsh {
    name: String,
    reach: Reach,
    program: String,
    /// What `virsh` there must open.
    uri: String,
}

impl Virsh {
    /// `name` is for people, `program` the `virsh` there, `uri` what it opens.
    #[must_use]
    pub const fn new(name: String, reach: Reach, program: String, uri: String) -> Self {
        Self { name, reach, program, uri }
    }

    fn run(&self, words: &[&str], limits: Limits) -> Result<String, DeviceError> {
        // In plain English, so that its answers can be read.
        let mut all = vec!["env", "LC_ALL=C", &self.program, "-q", "-c", &self.uri];
        all.extend(words);
        let finished = tool::run(self.reach.program(&all, limits.login), limits.call);
        let told = |why: String| format!("{}: virsh {}: {why}", self.name, words.join(" "));
        match &finished.outcome {
            Outcome::Exited { code: SSH_FAILED } => Err(DeviceError::NoAnswer(format!(
                "{}: ssh: {}; check ip, username, identity_file and the host's key in known_hosts",
                self.name,
                tool::told(&finished)
            ))),
            _ => tool::answer(&finished).map_err(|why| DeviceError::NoAnswer(told(why))),
        }
    }

    fn told(&self, why: &str) -> DeviceError {
        DeviceError::NoAnswer(format!("{}: {why}", self.name))
    }

    fn info(&self, key: &str, limits: Limits) -> Result<String, DeviceError> {
        self.run(&["dominfo", "--domain", key], limits)
    }
}

impl Hypervisor for Virsh {
    fn name(&self) -> &str {
        &self.name
    }

    fn find(&mut self, plug: &Plug, limits: Limits) -> Seen {
        let (kind, key) = match plug {
            Plug::Uuid(uuid) => ("--uuid", uuid.to_string()),
            Plug::Name(name) => ("--name", name.clone()),
        };
        let list = self.run(&["list", "--all", kind], limits)?;
        if !listed(&list).map_err(|why| self.told(&why))?.contains(&key.as_str()) {
            return Ok(None);
        }
        let domain = about(plug, &self.info(&key, limits)?);
        domain.map(Some).map_err(|why| self.told(&why))
    }

    fn all(&mut self, limits: Limits) -> Result<Vec<Domain>, DeviceError> {
        let list = self.run(&["list", "--all", "--uuid"], limits)?;
        let listed = listed(&list).map_err(|why| self.told(&why))?;
        let info = |uuid| parse(&self.info(uuid, limits)?).map_err(|why| self.told(&why));
        listed.into_iter().map(info).collect()
    }

    fn destroy(&mut self, domain: &Domain, limits: Limits) -> Result<(), DeviceError> {
        self.run(&["destroy", "--domain", &domain.uuid.to_string()], limits).map(drop)
    }

    fn start(&mut self, domain: &Domain, limits: Limits) -> Result<(), DeviceError> {
        self.run(&["start", "--domain", &domain.uuid.to_string()], limits).map(drop)
    }

    fn close(&mut self, _: Deadline) {}
}

/// What `virsh list` prints, a domain a line.
///
/// # Errors
/// It is not a whole list.
pub fn listed(list: &str) -> Result<Vec<&str>, String> {
    if !list.is_empty() && !list.ends_with('\n') {
        return Err("virsh list was cut short".to_owned());
    }
    Ok(list.lines().map(str::trim).filter(|line| !line.is_empty()).collect())
}

/// What `virsh dominfo` prints, if it is about the domain asked for.
///
/// # Errors
/// What is missing or makes no sense in it, or about whom it is.
pub fn about(plug: &Plug, text: &str) -> Result<Domain, String> {
    let domain = parse(text)?;
    if plug.is(&domain) {
        return Ok(domain);
    }
    Err(format!(
        "asked for {plug}, virsh answers about {}; set plug to the UUID",
        crate::net::shown(&domain.name)
    ))
}

/// What `virsh dominfo` prints.
fn parse(text: &str) -> Result<Domain, String> {
    let field = |name: &str| {
        let mut values = text.lines().filter_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim())
        });
        match (values.next(), values.next()) {
            (Some(value), None) => Ok(value),
            (None, _) => Err(format!("virsh dominfo says no {name}")),
            (Some(_), Some(_)) => Err(format!("virsh dominfo says {name} twice")),
        }
    };
    let uuid = Uuid::parse_grouped(field("UUID")?).ok_or("virsh dominfo says a UUID that is none")?;
    let id = match field("Id")? {
        "-" => -1,
        number if number.bytes().all(|digit| digit.is_ascii_digit()) => {
            number.parse().map_err(|_| "virsh dominfo says an Id that is no number")?
        }
        _ => return Err("virsh dominfo says an Id that is no number".to_owned()),
    };
    let activity = match field("State")? {
        // A state without an Id, or the other way round, is no answer.
        "running" | "idle" | "paused" if id >= 0 => Activity::Runs,
        "shut off" if id < 0 => Activity::ShutOff,
        "in shutdown" => Activity::Between("in shutdown"),
        "crashed" => Activity::Between("crashed"),
        "pmsuspended" => Activity::Between("pmsuspended"),
        _ => Activity::Between("in a state that is not known here"),
    };
    let persistent = match field("Persistent")? {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    };
    let domain = Domain { name: field("Name")?.to_owned(), uuid, id, activity, persistent };
    if text.ends_with('\n') { Ok(domain) } else { Err("virsh dominfo was cut short".to_owned()) }
}
