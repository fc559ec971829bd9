//! Units against what the service manager says of them.

use crate::resource::plan::Rules;
use crate::resource::systemd::Unit;
use crate::resource::systemd::inspect::{Unseen, inspect};
use picket_host::config::{Reader, Table, string};

/// What was found out for all units.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Nobody answers: one question more would take as long again, and one warning is enough.
    silent: bool,
}

/// Kinds of units that are something that runs; the manager makes the others by itself.
const KINDS: [&str; 7] = ["service", "socket", "mount", "automount", "swap", "target", "timer"];

/// The longest name that the manager takes.
const NAME_BYTES_MAX: usize = 255;

pub(super) fn bus() -> Reader<String> {
    string().check("the address of a bus, for example \"unix:path=/run/dbus/system_bus_socket\"", |text| {
        let known = zbus::Address::try_from(text.as_str());
        known.map(|_| text.clone()).map_err(|_| format!("found {text:?}"))
    })
}

pub(super) fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '\\' | '@');
    let known = name.rsplit_once('.').is_some_and(|(name, kind)| !name.is_empty() && KINDS.contains(&kind));
    // "name@.service" is a template, of which nothing can be started.
    known && name.len() <= NAME_BYTES_MAX && name.chars().all(allowed) && !name.contains("@.")
}

/// What keeps the unit from being used is told at its place; what will surprise somebody is a warning.
pub(super) fn check(
    table: &Table<'_, '_>,
    unit: &Unit,
    rules: &Rules,
    asked: &mut Asked,
    warnings: &mut Vec<String>,
) {
    if asked.silent {
        return;
    }
    let line = table.line_of("kind");
    let mut warn = |text: String| warnings.push(format!("line {line}: {}: {text}", unit.name));
    let about = match inspect(unit) {
        Ok(about) => about,
        // It may come later: a daemon that would not start without a bus would lose its volumes with it.
        Err(Unseen::NoAnswer(why)) => {
            asked.silent = true;
            warn(format!("no service manager could be asked about it at {}: {why}", unit.bus));
            return;
        }
        Err(Unseen::Refused(why)) => {
            table.wrong("kind", format!("{}: {why}", unit.name), "a unit that the service manager knows");
            return;
        }
    };
    if about.load != "loaded" {
        let what = format!("{} is {}", unit.name, about.load);
        table.wrong("kind", what, "a unit that the service manager has loaded");
        return;
    }
    if matches!(about.file_state.as_str(), "enabled" | "enabled-runtime") {
        warn(format!(
            "it is {}, so that it starts without its volume; systemctl disable it",
            about.file_state
        ));
    }
    if let Some(own) = about.stop_timeout.filter(|own| *own >= rules.stop_timeout) {
        warn(format!(
            "its processes are killed {own:?} after a stop began, and this node is reset after {:?}: \
             stop_timeout above TimeoutStopSec",
            rules.stop_timeout
        ));
    }
    if matches!(about.kill_mode.as_str(), "process" | "none") {
        let mode = &about.kill_mode;
        warn(format!("KillMode={mode} leaves processes behind, and a stop that does so has failed"));
    }
}
