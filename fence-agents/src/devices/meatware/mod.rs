//! `meatware`: a person resets the machine and says so.
//!
//! For use under Pacemaker or by hand. (Picket's own daemon does not use this agent: there the
//! witness keeps the pending request and judges the confirmation against leases and permits. This
//! agent knows neither; it trusts the person.)
//!
//! ```text
//!  off ─▶ request in the spool, CRIT in the log ─▶ wait ─┬─ confirmed ─▶ Off
//!                                                        ├─ denied ────▶ failed at once
//!                                                        └─ timeout ───▶ failed, request withdrawn
//! ```
//!
//! Contract: `Off` is said only for the very request that was confirmed with its challenge typed.
//! A confirmation never outlives the agent that waits for it: whether one waits is told by a lock
//! on the request that the kernel drops with the agent. Several agents that wait for one machine
//! share one request. Waiting is for news from the spool directory, without polling.

pub mod audit;
pub mod confirm;
mod news;
pub mod spool;

use crate::deadline::Deadline;
use crate::device::{Device, DeviceError, Limits, Outlet, Power, State};
use crate::input::{InputError, Options};
use crate::options::OptionSpec;
use crate::registry::DeviceKind;
use crate::report::{Reporter, Severity};
use audit::{Actor, Event};
use core::time::Duration;
use news::News;
use spool::{Answer, Pending, Spool, SpoolError};
use std::collections::BTreeMap;
use std::path::PathBuf;

#[cfg(test)]
mod tests;

/// Where requests wait for a person. Under `/run`: after a restart of this host no agent waits.
pub const SPOOL_DIR: &str = "/run/picket/meatware";

/// Where it is written who confirmed what. Kept over restarts.
pub const AUDIT_FILE: &str = "/var/log/picket/meatware-audit.log";

/// The `meatware` device.
pub const KIND: DeviceKind = DeviceKind {
    name: "meatware",
    shortdesc: "Fence agent that asks a person to reset the machine",
    longdesc: "Asks an operator to reset the machine by hand, and waits until the operator confirms that this was \
done: with 'picket-fence confirm -c NODE', or 'meatclient -c NODE', on this host. What it shows must be typed \
again. With --deny the operator refuses, and fencing fails at once.\n\n\
Confirm only after the machine was powered off or reset, seen with your own eyes: nothing else checks it, and \
a wrong confirmation can destroy data. While heard_check_command names the machine, which by default \
means that it is a member of Pacemaker's partition on this host, a confirmation is refused.\n\n\
It cannot read a power state, so status always fails. Give hostlist, or list fails and Pacemaker needs its own \
host list. Set power_timeout, and under Pacemaker pcmk_off_timeout and pcmk_reboot_timeout, to the time \
that a person may need.",
    options: &[
        OptionSpec::text("hostlist", "Machines that may be fenced so, separated by spaces or commas"),
        OptionSpec::text("spool_dir", "Directory of the pending requests").default(SPOOL_DIR),
        OptionSpec::text("heard_check_command", "Shell command that names the machines that are still heard")
            .default("crm_node -p"),
        OptionSpec::text("audit_file", "File that records requests and confirmations").default(AUDIT_FILE),
    ],
    // A person needs minutes. Pacemaker's own timeout replaces it anyhow.
    defaults: &[("power_timeout", "600")],
    powers_on: false,
    reads_state: false,
    open,
    ..DeviceKind::BASE
};

fn open(options: &Options) -> Result<Box<dyn Device>, InputError> {
    let hosts = options.get("hostlist").unwrap_or_default();
    let hosts: Vec<String> =
        hosts.split([',', ' ', '\t', ';']).filter(|host| !host.is_empty()).map(str::to_owned).collect();
    for host in hosts.iter().chain(&options.plugs().unwrap_or_default()) {
        spool::check_node(host).map_err(|error| InputError::Unusable(error.to_string()))?;
    }
    let quiet = options.truth("quiet")?.unwrap_or(false);
    Ok(Box::new(Meatware {
        hosts,
        spool: Spool::at(PathBuf::from(options.need("spool_dir")?)),
        audit_file: PathBuf::from(options.need("audit_file")?),
        heard_check: one_line(options.need("heard_check_command")?)?,
        report: Reporter::new(&KIND.agent_name(), quiet, false),
        news: None,
        pending: BTreeMap::new(),
    }))
}

/// The request's file has a line for each field.
fn one_line(command: &str) -> Result<String, InputError> {
    let fits = !command.contains(['\n', '\r']);
    let wrong = || InputError::Unusable("heard_check_command has more than one line".to_owned());
    if fits { Ok(command.to_owned()) } else { Err(wrong()) }
}

struct Meatware {
    hosts: Vec<String>,
    spool: Spool,
    audit_file: PathBuf,
    heard_check: String,
    report: Reporter,
    news: Option<News>,
    pending: BTreeMap<String, Pending>,
}

impl From<SpoolError> for DeviceError {
    fn from(error: SpoolError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl Meatware {
    fn ask(&mut self, node: &str) -> Result<(), DeviceError> {
        if !self.hosts.is_empty() && !self.hosts.iter().any(|host| host == node) {
            return Err(DeviceError::Refused(format!("{node} is not in hostlist")));
        }
        if self.pending.contains_key(node) {
            return Ok(());
        }
        self.spool.prepare()?;
        if self.news.is_none() {
            // Watched before the request can be seen: no answer can come before the watch.
            self.news = Some(News::of(self.spool.dir()).map_err(|error| self.spool.failed("watch", error))?);
        }
        let pending = self.spool.request(node, &self.audit_file, &self.heard_check)?;
        if pending.is_new() {
            // Recorded before it is called out: a request that cannot be audited must not be answered.
            let recorded =
                audit::append(&self.audit_file, Event::Requested, pending.request(), &Actor::here());
            if let Err(error) = recorded {
                self.spool.withdraw(pending)?;
                return Err(DeviceError::Refused(error.to_string()));
            }
        }
        self.report.say(Severity::Critical, &format!("OPERATOR INTERVENTION REQUIRED to reset {node}"));
        self.report.say(
            Severity::Critical,
            &format!(
                "Power {node} off or reset it by hand, see that it is done, then run on this host: \
picket-fence confirm -c {node} --spool-dir {}",
                self.spool.dir().display()
            ),
        );
        self.pending.insert(node.to_owned(), pending);
        Ok(())
    }
}

impl Device for Meatware {
    fn set(&mut self, plug: &str, wanted: Power, _limits: Limits) -> Result<(), DeviceError> {
        match wanted {
            Power::Off => self.ask(plug),
            Power::On => Err(DeviceError::Unsupported("power on")),
        }
    }

    fn state(&mut self, plug: &str, _limits: Limits) -> State {
        let Some(pending) = self.pending.get(plug) else {
            return State::Unknown("only a person can tell".to_owned());
        };
        match self.spool.answer(pending.request()) {
            Ok(Some(Answer::Confirmed)) => State::Off,
            Ok(Some(Answer::Denied)) => State::Unknown("an operator denied the reset".to_owned()),
            Ok(None) => State::Unknown("no operator has confirmed the reset".to_owned()),
            Err(error) => State::Unknown(error.to_string()),
        }
    }

    fn list(&mut self, _limits: Limits) -> Result<Vec<Outlet>, DeviceError> {
        if self.hosts.is_empty() {
            return Err(DeviceError::Unsupported("list machines without the option hostlist"));
        }
        let unknown = || State::Unknown("only a person can tell".to_owned());
        let outlet = |host: &String| Outlet { plug: host.clone(), alias: String::new(), state: unknown() };
        Ok(self.hosts.iter().map(outlet).collect())
    }

    fn monitor(&mut self, _limits: Limits) -> Result<(), DeviceError> {
        self.spool.prepare()?;
        audit::check(&self.audit_file).map_err(|error| DeviceError::Refused(error.to_string()))
    }

    fn wait(&mut self, _pause: Duration, until: Deadline) -> Result<(), DeviceError> {
        let denied =
            |pending: &Pending| matches!(self.spool.answer(pending.request()), Ok(Some(Answer::Denied)));
        if let Some(pending) = self.pending.values().find(|pending| denied(pending)) {
            let node = &pending.request().node;
            return Err(DeviceError::Refused(format!("an operator denied the reset of {node}")));
        }
        match &self.news {
            Some(news) => news.wait(until).map_err(|error| self.spool.failed("watch", error).into()),
            None => Err(DeviceError::Refused("nothing was asked, so nothing can be waited for".to_owned())),
        }
    }

    fn close(&mut self) {
        for (node, pending) in std::mem::take(&mut self.pending) {
            let open = matches!(self.spool.answer(pending.request()), Ok(None));
            let request = pending.request().clone();
            match self.spool.withdraw(pending) {
                Ok(true) if open => {
                    // The agent's outcome stands whether or not this line can be written.
                    let _ = audit::append(&self.audit_file, Event::Expired, &request, &Actor::here());
                }
                Ok(_) => {}
                Err(error) => self.report.say(Severity::Warning, &format!("{node}: {error}")),
            }
        }
    }
}
