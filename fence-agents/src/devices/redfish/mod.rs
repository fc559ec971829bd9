//! `redfish`: a management controller with the DMTF Redfish interface.
//!
//! Power is asked for by the action `ComputerSystem.Reset` (`ForceOff`, `On`), only with a value that
//! the controller says it takes, and is read back as the system's `PowerState`. What the action itself
//! answers, also a task's success, proves nothing; a task's failure ends the waiting.
//!
//! Contract: the system is the one that the options name. Only the whole document of that very system
//! with `PowerState` `Off` is off.

use self::client::{Auth, Client};
use self::model::{ActionInfo, Collection, Reset, Root, System, Task, TaskOutcome};
use self::session::local_part;
use crate::deadline::Deadline;
use crate::device::{Device, DeviceError, Limits, Outlet, Power, State};
use crate::input::Options;
use crate::parting::Farewell;
use core::time::Duration;
use picket_host::clock;
use std::collections::BTreeMap;
use std::sync::Arc;

pub mod client;
pub mod http;
pub mod model;
mod open;
pub mod session;
#[cfg(test)]
mod tests;

pub use open::KIND;

/// Pages of the collection of systems that are read. Controllers with several systems have a few on
/// one page.
const PAGES_MAX: usize = 16;

/// Systems that are looked at to find one by its name. The largest chassis have some 60 nodes.
const SYSTEMS_MAX: usize = 256;

/// How long one look at a task may take: the power state matters more.
const TASK_LOOK: Duration = Duration::from_secs(5);

/// One controller.
pub(crate) struct Redfish {
    client: Client,
    root: String,
    systems_uri: Option<String>,
    uuid: Option<String>,
    serial: Option<String>,
    /// The machine that the options are about, for `monitor`.
    plugs: Vec<String>,
    /// Whether somebody wrote that name for this device, so that it must be the system's.
    plug_is_own: bool,
    warnings: Vec<String>,
    /// Where the systems were found.
    known: BTreeMap<String, String>,
    /// Where to ask what came of the last action, if it takes its time.
    task: Option<String>,
}

impl Redfish {
    /// The paths of all systems.
    fn systems(&mut self, limits: Limits) -> Result<Vec<String>, DeviceError> {
        let (root, _) = self.client.get::<Root>(&self.root, limits)?;
        let missing = || DeviceError::Refused(format!("{} names no Systems; check redfish_uri", self.root));
        let mut next = Some(root.systems.ok_or_else(missing)?.path);
        let mut paths = Vec::new();
        for _ in 0..PAGES_MAX {
            let Some(page) = next else { break };
            let (page, _) = self.client.get::<Collection>(local(&page)?, limits)?;
            paths.extend(page.members.into_iter().map(|member| member.path));
            next = page.next;
        }
        if next.is_some() || paths.len() > SYSTEMS_MAX {
            return Err(DeviceError::Refused(format!("more than {SYSTEMS_MAX} systems; set systems_uri")));
        }
        paths.iter().try_for_each(|path| local(path).map(|_| ()))?;
        Ok(paths)
    }

    /// Where the system called `plug` is: what `systems_uri` says; else the one with this name; else,
    /// if nobody wrote a name for this device, the only one. A chassis that for a while lists only one
    /// of its systems must not have that one fenced for another.
    fn locate(&mut self, plug: &str, limits: Limits) -> Result<String, DeviceError> {
        if let Some(path) = self.systems_uri.as_ref().or_else(|| self.known.get(plug)) {
            return Ok(path.clone());
        }
        let paths = self.systems(limits)?;
        let path = match paths.as_slice() {
            [] => return Err(DeviceError::NoAnswer("the device has no computer system".to_owned())),
            [only] if !self.plug_is_own => only.clone(),
            [_, ..] => self.among(&paths, plug, limits)?,
        };
        self.known.insert(plug.to_owned(), path.clone());
        Ok(path)
    }

    fn among(&mut self, paths: &[String], plug: &str, limits: Limits) -> Result<String, DeviceError> {
        let mut fits: Vec<&String> = paths.iter().filter(|path| last_part(path) == plug).collect();
        if fits.is_empty() {
            for path in paths {
                if self.client.get::<System>(path, limits)?.0.is_called(plug) {
                    fits.push(path);
                }
            }
        }
        let ids = paths.iter().map(|path| last_part(path)).collect::<Vec<_>>().join(", ");
        match fits.as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(DeviceError::Refused(format!(
                "no system is called {plug}; there are {ids}; set plug or systems_uri"
            ))),
            [_, _, ..] => Err(DeviceError::Refused(format!(
                "several systems are called {plug} of {ids}; set systems_uri"
            ))),
        }
    }

    /// The system, checked to be the one meant, its path and `ETag`.
    fn system(
        &mut self,
        plug: &str,
        limits: Limits,
    ) -> Result<(String, System, Option<String>), DeviceError> {
        let path = self.locate(plug, limits)?;
        let (system, tag) = self.client.get::<System>(&path, limits)?;
        system
            .identified(&path, self.uuid.as_deref(), self.serial.as_deref())
            .map_err(DeviceError::Refused)?;
        Ok((path, system, tag))
    }

    /// The values that the reset action takes, if the controller says so anywhere.
    fn allowed(&mut self, reset: &Reset, limits: Limits) -> Result<Option<Vec<String>>, DeviceError> {
        if reset.allowed.is_some() {
            return Ok(reset.allowed.clone());
        }
        let Some(info) = &reset.info else { return Ok(None) };
        let (info, _) = self.client.get::<ActionInfo>(local(info)?, limits)?;
        Ok(info
            .parameters
            .into_iter()
            .find(|parameter| parameter.name == "ResetType")
            .and_then(|p| p.allowed))
    }

    /// The reset action and the value to send for `wanted`.
    fn order(
        &mut self,
        path: &str,
        system: &System,
        wanted: Power,
        limits: Limits,
    ) -> Result<(String, &'static str), DeviceError> {
        let Some(reset) = system.reset() else {
            return Err(DeviceError::Refused(format!(
                "{path} offers no ComputerSystem.Reset; the user may lack the right"
            )));
        };
        let allowed = self.allowed(reset, limits)?;
        let candidates: &[&'static str] = match wanted {
            Power::Off => &["ForceOff"],
            Power::On => &["On", "ForceOn"],
        };
        let offered =
            |value: &str| allowed.as_ref().is_none_or(|allowed| allowed.iter().any(|one| one == value));
        let Some(value) = candidates.iter().copied().find(|value| offered(value)) else {
            let allowed = allowed.unwrap_or_default().join(", ");
            return Err(DeviceError::Refused(format!(
                "{path} does not offer {}, only: {}; the controller cannot fence this machine",
                candidates.join(" or "),
                model::shown(&allowed)
            )));
        };
        Ok((local(&reset.target)?.to_owned(), value))
    }

    fn read(&mut self, plug: &str, limits: Limits) -> Result<State, DeviceError> {
        self.system(plug, limits).map(|(_, system, _)| system.power())
    }

    /// What came of the task. An answer that says nothing about it is none.
    fn look_at_task(&mut self, monitor: &str, limits: Limits) -> Result<TaskOutcome, DeviceError> {
        let answer = self.client.fetch(monitor, limits)?;
        let task: Option<Task> = model::read(&answer.body).ok().filter(Task::is_one);
        Ok(match (answer.status, task) {
            (200..=202, Some(task)) => task.outcome(),
            (202, None) => TaskOutcome::Running,
            // Forgotten by the controller, or busy: the power state decides.
            (200..=299 | 404 | 410, None) => TaskOutcome::Done,
            (503 | 429 | 500, None) => TaskOutcome::Running,
            // Not ours to read: the power state decides.
            (403, None) => TaskOutcome::Done,
            _ => TaskOutcome::Failed(self.client.explained("the task", monitor, &answer).to_string()),
        })
    }
}

impl Device for Redfish {
    fn set(&mut self, plug: &str, wanted: Power, limits: Limits) -> Result<(), DeviceError> {
        self.task = None;
        let (path, system, _) = self.system(plug, limits)?;
        let (target, value) = self.order(&path, &system, wanted, limits)?;
        let body = format!("{{\"ResetType\":\"{value}\"}}");
        let mut answer = self.client.post(&target, &body, None, limits)?;
        if matches!(answer.status, 412 | 428) {
            // It wants to know that we have seen the newest version.
            let (_, _, tag) = self.system(plug, limits)?;
            answer = self.client.post(&target, &body, Some(tag.as_deref().unwrap_or("*")), limits)?;
        }
        match answer.status {
            200 | 201 | 204 => Ok(()),
            202 => {
                let task: Task = model::read(&answer.body).unwrap_or_default();
                let named = answer.header("location").map(str::to_owned).or(task.monitor).or(task.path);
                let named = named.map(|monitor| local_part(&monitor).to_owned());
                self.task = named.filter(|path| model::is_local_path(path));
                Ok(())
            }
            _ => Err(self.client.explained(value, &target, &answer)),
        }
    }

    fn state(&mut self, plug: &str, limits: Limits) -> State {
        self.read(plug, limits).unwrap_or_else(|error| State::Unknown(error.to_string()))
    }

    fn list(&mut self, limits: Limits) -> Result<Vec<Outlet>, DeviceError> {
        let paths = match &self.systems_uri {
            Some(path) => vec![path.clone()],
            None => self.systems(limits)?,
        };
        let mut outlets = Vec::new();
        for path in paths {
            let (system, _) = self.client.get::<System>(&path, limits)?;
            system.identified(&path, None, None).map_err(DeviceError::Refused)?;
            let alias = system.uuid.clone().unwrap_or_default();
            outlets.push(Outlet { plug: last_part(&path).to_owned(), alias, state: system.power() });
        }
        Ok(outlets)
    }

    /// Login, right machine, power state known, and power off on offer.
    fn monitor(&mut self, limits: Limits) -> Result<(), DeviceError> {
        let mut plugs = self.plugs.clone();
        if plugs.is_empty() {
            if self.systems_uri.is_none() && self.systems(limits)?.len() > 1 {
                return self.list(limits).map(|_| ());
            }
            plugs.push(String::new());
        }
        for plug in plugs {
            let (path, system, _) = self.system(&plug, limits)?;
            if let State::Unknown(why) = system.power() {
                return Err(DeviceError::NoAnswer(format!("{path}: {why}")));
            }
            self.order(&path, &system, Power::Off, limits)?;
        }
        Ok(())
    }

    fn wait(&mut self, pause: Duration, until: Deadline) -> Result<(), DeviceError> {
        clock::pause(until.at_most(pause), "controllers send no news, they must be asked again");
        let Some(monitor) = self.task.clone() else { return Ok(()) };
        let by = until.earlier(Deadline::after(TASK_LOOK));
        match self.look_at_task(&monitor, Limits { login: by, call: by }) {
            Ok(TaskOutcome::Running) => {}
            // A task that cannot be looked at costs time that the power state needs.
            Ok(TaskOutcome::Done) | Err(_) => self.task = None,
            Ok(TaskOutcome::Failed(why)) => {
                self.task = None;
                return Err(DeviceError::Refused(format!("the controller's task failed: {why}")));
            }
        }
        Ok(())
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    fn farewell(&self) -> Option<Farewell> {
        let (session, endpoint) = (Arc::clone(self.client.session()), Arc::clone(self.client.endpoint()));
        Some(Arc::new(move || {
            session.end(&endpoint, None);
        }))
    }

    fn close(&mut self) {
        self.client.close();
    }
}

/// A path that the controller gave us, if it is one at the controller.
fn local(path: &str) -> Result<&str, DeviceError> {
    if model::is_local_path(path) {
        return Ok(path);
    }
    Err(DeviceError::Refused(format!("the device refers to {}, which is no path on it", model::shown(path))))
}

fn last_part(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

/// For options of [`open`].
const fn auth(word: &str) -> Auth {
    match word.as_bytes() {
        b"basic" => Auth::Basic,
        b"session" => Auth::Session,
        _ => Auth::Auto,
    }
}

/// The machines that `plug` names. Other names, such as the node's, are not the controller's.
fn plugs(options: &Options) -> Vec<String> {
    if options.get("plug").is_some() { options.plugs().unwrap_or_default() } else { Vec::new() }
}
