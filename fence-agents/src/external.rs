//! The older `external/*` interface of cluster-glue, for those who still configure its plugins.
//!
//! ```text
//!   …/external/picket-xen  OPERATION [HOST]      parameters in the environment
//!
//!   gethosts            the machines, a line each          list, or what is configured
//!   on, off, reset      power, of HOST                     on, off, reboot: the same verified actions
//!   status              can the *device* be used?          monitor
//!   getconfignames      what must be configured
//!   getinfo-…           descriptions; getinfo-xml the parameters
//! ```
//! Contract: exit 0 means what it means in the agents: `off` and `reset` only after the machine was
//! seen off. Everything else is 1. A host that is not among the configured ones is refused.
//!
//! Parameters are read under our names and under those of the plugin that is replaced
//! ([`DeviceKind::external_options`]). A plugin's parameters may hold a password, which then stands
//! in the environment: that is this interface's way, and a reason to leave it.

use crate::action::Action;
use crate::agent;
use crate::caller::Caller;
use crate::exit::Exit;
use crate::input::{InputError, Options};
use crate::metadata;
use crate::options::OptionSpec;
use crate::registry::{self, DEVICES, DeviceKind};
use crate::report::{Reporter, Severity};
use std::io::{self, Write};
use std::path::Path;

#[cfg(test)]
mod tests;

/// The folder by whose name the interface is recognised.
pub const FOLDER: &str = "external";

/// What stands before a device's name, beside the plugins of others.
pub const PREFIX: &str = "picket-";

/// Options that the operation gives, never the environment: an `action` that happens to stand there
/// must not turn one operation into another.
const NOT_FROM_ENVIRONMENT: [&str; 5] = ["action", "plug", "help", "version", "disable_timeout"];

/// The plugin's name, if the program was called as one: `…/external/picket-xen`.
#[must_use]
pub fn plugin_name(called: &str) -> Option<&str> {
    let path = Path::new(called);
    let folder = path.parent()?.file_name()?;
    if folder == FOLDER { path.file_name()?.to_str() } else { None }
}

/// The device that a plugin's name means: `picket-xen`, or the name of the plugin that it replaces.
#[must_use]
pub fn find(plugin: &str) -> Option<&'static DeviceKind> {
    if let Some(device) = plugin.strip_prefix(PREFIX).or_else(|| plugin.strip_prefix("picket_")) {
        return registry::find(device);
    }
    DEVICES.iter().copied().find(|kind| kind.external_names.contains(&plugin))
}

/// The name of a device's link.
#[must_use]
pub fn link_name(kind: &DeviceKind) -> String {
    format!("{PREFIX}{}", kind.name.replace('_', "-"))
}

/// What surrounds a run.
pub struct Plugin<'a> {
    /// The operation and its host.
    pub words: &'a [String],
    /// The environment.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// Where the answer goes.
    pub out: &'a mut dyn Write,
    /// Whether messages also go to the system log.
    pub system_log: bool,
}

/// Runs one operation.
///
/// # Errors
/// The answer cannot be written; counts as [`Exit::Failed`].
pub fn run(kind: &'static DeviceKind, plugin: Plugin<'_>) -> io::Result<Exit> {
    let words: Vec<&str> = plugin.words.iter().map(String::as_str).collect();
    let report = Reporter::local(&link_name(kind));
    match words.as_slice() {
        ["getconfignames"] => {
            for name in config_names(kind) {
                writeln!(plugin.out, "{name}")?;
            }
            Ok(Exit::Success)
        }
        ["getinfo-devid" | "getinfo-devname"] => {
            writeln!(plugin.out, "{}", kind.shortdesc).map(|()| Exit::Success)
        }
        ["getinfo-devdescr"] => writeln!(plugin.out, "{}", kind.longdesc).map(|()| Exit::Success),
        // There is no such page that we could promise to keep.
        ["getinfo-devurl"] => writeln!(plugin.out, "man:{}(8)", kind.agent_name()).map(|()| Exit::Success),
        ["getinfo-xml"] => {
            let parameters = kind.all_options().filter(is_parameter);
            metadata::plugin_parameters(parameters, kind, plugin.out).map(|()| Exit::Success)
        }
        ["gethosts"] => gethosts(kind, plugin),
        ["status"] => act(kind, Action::Monitor, None, plugin),
        ["on", host] => act(kind, Action::On, Some(host), plugin),
        ["off", host] => act(kind, Action::Off, Some(host), plugin),
        ["reset", host] => act(kind, Action::Reboot, Some(host), plugin),
        ["on" | "off" | "reset"] => {
            report.say(Severity::Error, "which host? on, off and reset need one");
            Ok(Exit::Failed)
        }
        _ => {
            report.say(Severity::Error, &format!("unknown operation: {}", words.join(" ")));
            Ok(Exit::Failed)
        }
    }
}

fn is_parameter(spec: &OptionSpec) -> bool {
    !NOT_FROM_ENVIRONMENT.contains(&spec.name) || spec.name == "plug"
}

/// What must be configured, by the names that users of the replaced plugin know.
fn config_names(kind: &'static DeviceKind) -> Vec<&'static str> {
    let required = kind.all_options().filter(|spec| spec.required && is_parameter(spec));
    let required = required.filter(|spec| spec.default.is_none() && spec.name != "plug");
    required.map(|spec| spec.name).collect()
}

fn options(kind: &'static DeviceKind, variable: &dyn Fn(&str) -> Option<String>) -> Options {
    Options::from_lookup(kind, |spec| {
        if NOT_FROM_ENVIRONMENT.contains(&spec.name) {
            return None;
        }
        let theirs = kind.external_options.iter().filter(|(_, ours)| *ours == spec.name);
        let names = std::iter::once(spec.name).chain(spec.old).chain(theirs.map(|(theirs, _)| *theirs));
        names.filter_map(variable).find(|value| !value.is_empty())
    })
}

/// The hosts that are configured, with the name that each has at the device.
fn configured(kind: &DeviceKind, variable: &dyn Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let plug_names =
        kind.external_options.iter().filter(|(_, ours)| *ours == "plug").map(|(theirs, _)| *theirs);
    let names = ["hostlist"].into_iter().chain(plug_names).chain(["plug", "port"]);
    let list = names.filter_map(variable).find(|value| !value.trim().is_empty()).unwrap_or_default();
    let entries = list.split([',', ' ', '\t', ';', '\n']).filter(|entry| !entry.is_empty());
    let pair = |entry: &str| match entry.split_once(':') {
        // A path is a configuration file, which the device reads from the same list itself.
        Some((host, plug)) if !plug.starts_with('/') => (host.to_owned(), plug.to_owned()),
        Some((host, _)) => (host.to_owned(), host.to_owned()),
        None => (entry.to_owned(), entry.to_owned()),
    };
    entries.map(pair).collect()
}

fn gethosts(kind: &'static DeviceKind, plugin: Plugin<'_>) -> io::Result<Exit> {
    let hosts = configured(kind, plugin.variable);
    if !hosts.is_empty() {
        for (host, _) in hosts {
            writeln!(plugin.out, "{host}")?;
        }
        return Ok(Exit::Success);
    }
    let options = options(kind, plugin.variable);
    let separator = options.get("separator").unwrap_or(",").to_owned();
    let mut listed = Vec::new();
    let exit = agent::perform(kind, Action::List, options, Caller::Anyone, plugin.system_log, &mut listed)?;
    for line in String::from_utf8_lossy(&listed).lines() {
        let plug = line.split(&separator).next().unwrap_or_default();
        writeln!(plugin.out, "{plug}")?;
    }
    Ok(exit)
}

fn act(
    kind: &'static DeviceKind,
    action: Action,
    host: Option<&str>,
    plugin: Plugin<'_>,
) -> io::Result<Exit> {
    let mut options = options(kind, plugin.variable);
    if let Some(host) = host {
        let hosts = configured(kind, plugin.variable);
        let plug = match hosts.iter().find(|(name, _)| name == host) {
            Some((_, plug)) => plug.clone(),
            None if hosts.is_empty() => host.to_owned(),
            None => {
                let names: Vec<_> = hosts.into_iter().map(|(name, _)| name).collect();
                let error = InputError::Unusable(format!(
                    "{host} is none of the configured hosts: {}",
                    names.join(" ")
                ));
                Reporter::local(&link_name(kind)).say(Severity::Error, &error.to_string());
                return Ok(Exit::Failed);
            }
        };
        options.set("plug", plug);
    }
    let exit = agent::perform(kind, action, options, Caller::Anyone, plugin.system_log, plugin.out)?;
    // 2 has no meaning here.
    Ok(if exit == Exit::Success { Exit::Success } else { Exit::Failed })
}
