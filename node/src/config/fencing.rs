//! `[[fence.NODE.level]]`: how each peer is fenced.
//!
//! A level is one device, or a list of `device` tables that must all succeed. Options go to the agent's standard
//! input; a secret is named by the file that holds it.

use super::timing::{length, length_or_none};
use super::{ActionMap, FenceDevice, Member, TestDepth};
use core::time::Duration;
use picket_core::ids::NodeId;
use picket_core::topology::{DeviceKind, FencePlan};
use picket_fence::registry;
use picket_host::config::{Table, integer, list_of, one_of, path, string};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;

/// One try of an agent, unless the file says else.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Devices of one level: a machine has no more power feeds.
const DEVICES_MAX: usize = 8;

/// The only agent by name that a lab machine may use; all others may reach real machines.
const LAB_AGENT: &str = "fence_picket_process";

/// Where the reader of a level looks, and what it may use.
pub(super) struct Agents<'a> {
    /// Where agents are looked up that are named without a path.
    pub(super) dirs: &'a [PathBuf],
    /// Under `[lab]`.
    pub(super) lab: bool,
    /// How soon after the request for its permit a fence must begin.
    pub(super) start_within: Option<Duration>,
}

/// Reads the levels of all peers.
pub(super) fn read(
    root: &Table<'_, '_>,
    members: &BTreeMap<NodeId, Member>,
    me: Option<NodeId>,
    agents: &Agents<'_>,
    warnings: &mut Vec<String>,
) -> BTreeMap<NodeId, Vec<Vec<FenceDevice>>> {
    let mut fencing = BTreeMap::new();
    for (name, table) in root.named_tables("fence") {
        let found = members.iter().find(|(_, member)| member.name == name).map(|(id, _)| *id);
        if found.is_none() && !members.is_empty() {
            table.wrong_table(format!("{name:?} is no member"), "the name of a member");
        }
        if found.is_some() && found == me {
            table.wrong_table("a node does not fence itself", "levels for the other members");
        }
        let levels = levels(&table, &name, agents);
        if let Some((known, _)) = levels.as_ref().and_then(|levels| same_plug(&fencing, levels)) {
            let name = members.get(&known).map_or("", |member| &member.name);
            let what = format!("the same device and plug as a level of {name:?}");
            table.wrong_table(what, "a plug of its own for each machine");
        }
        fencing.extend(found.zip(levels));
    }
    for (id, member) in members {
        if Some(*id) != me && !fencing.contains_key(id) && !root.has("fence") {
            warnings.push(format!("{} cannot be fenced: it has no fence level", member.name));
        }
    }
    fencing
}

/// A machine read before that one of these levels would switch off too.
fn same_plug<'f>(
    fencing: &'f BTreeMap<NodeId, Vec<Vec<FenceDevice>>>,
    levels: &[Vec<FenceDevice>],
) -> Option<(NodeId, &'f FenceDevice)> {
    let mut others =
        fencing.iter().flat_map(|(id, levels)| levels.iter().flatten().map(move |device| (*id, device)));
    others.find(|(_, other)| {
        levels.iter().flatten().any(|device| {
            device.kind == DeviceKind::Power
                && (&device.agent, &device.args, &device.options)
                    == (&other.agent, &other.args, &other.options)
        })
    })
}

fn levels(node: &Table<'_, '_>, name: &str, agents: &Agents<'_>) -> Option<Vec<Vec<FenceDevice>>> {
    let tables = node.tables_required("level");
    if tables.len() > FencePlan::LEVELS_MAX {
        node.wrong("level", format!("{} levels", tables.len()), format!("at most {}", FencePlan::LEVELS_MAX));
    }
    let mut levels = Some(Vec::new());
    for table in &tables {
        let level = level(table, name, agents);
        levels = levels.zip(level).map(|(mut levels, level)| {
            levels.push(level);
            levels
        });
    }
    let levels = levels.filter(|levels| !levels.is_empty())?;
    begins_in_time(node, &levels, agents);
    let proves = levels.iter().flatten().any(|device| device.kind != DeviceKind::Gate);
    if !proves {
        node.wrong(
            "level",
            "every level is a gate, which proves nothing",
            "a level of kind power or meatware",
        );
    }
    Some(levels)
}

/// A permit is for a fence that begins at once. One whose first device waits longer than that never begins.
fn begins_in_time(node: &Table<'_, '_>, levels: &[Vec<FenceDevice>], agents: &Agents<'_>) {
    let delay = levels.iter().flatten().next().map_or(Duration::ZERO, |device| device.delay);
    let Some(within) = agents.start_within.filter(|within| delay >= *within) else { return };
    let what = format!("the first device waits {} ms, and no fence would ever begin", delay.as_millis());
    let expected = format!("a delay of less than {} ms (start_within)", within.as_millis());
    node.wrong("level", what, expected);
}

fn level(table: &Table<'_, '_>, name: &str, agents: &Agents<'_>) -> Option<Vec<FenceDevice>> {
    if !table.has("device") {
        return Some(vec![device(table, name, agents)?]);
    }
    let tables = table.tables_required("device");
    if tables.len() > DEVICES_MAX {
        table.wrong("device", format!("{} devices", tables.len()), format!("at most {DEVICES_MAX}"));
    }
    let devices: Vec<_> = tables.iter().map(|table| device(table, name, agents)).collect();
    devices.into_iter().collect()
}

fn device(table: &Table<'_, '_>, node: &str, agents: &Agents<'_>) -> Option<FenceDevice> {
    let kinds =
        [("power", DeviceKind::Power), ("gate", DeviceKind::Gate), ("meatware", DeviceKind::Meatware)];
    let kind = table.or("kind", one_of(kinds), DeviceKind::Power);
    let agent = match kind {
        DeviceKind::Meatware => {
            if table.has("agent") {
                table.wrong("agent", "a person is asked, not an agent", "no agent with kind = \"meatware\"");
            }
            Some(None)
        }
        DeviceKind::Power | DeviceKind::Gate => agent(table, agents).map(Some),
    };
    if kind != DeviceKind::Gate && agent.as_ref().is_some_and(|path| is_gate(path.as_deref())) {
        let what = "this agent is a gate and proves nothing";
        table.wrong("agent", what, "kind = \"gate\", and another level that fences");
    }
    let args = table.or("args", list_of(string()), Vec::new());
    let timeout = table.or("timeout", length(), TIMEOUT);
    let retries = table.or("retries", integer(0..=9_u8), 0);
    let delay = table.or("delay", length_or_none(), Duration::ZERO);
    let mut options = options(table);
    let secrets = secrets(table, &options);
    if !options.contains_key("plug") && !options.contains_key("port") {
        options.insert("port".to_owned(), node.to_owned());
    }
    let depths = [("full", TestDepth::Full), ("monitor", TestDepth::Monitor), ("none", TestDepth::None)];
    let test = table.or("test", one_of(depths), TestDepth::Full);
    let actions = actions(table);
    Some(FenceDevice { agent: agent?, args, kind, timeout, retries, delay, options, secrets, test, actions })
}

/// The agent's words for off and on. A reboot is never sent: it would power on before anybody has seen off.
fn actions(table: &Table<'_, '_>) -> ActionMap {
    let mut map = ActionMap::default();
    let Some(given) = table.table("actions") else { return map };
    if let Some(off) = given.optional("off", one_line()) {
        if ["on", "reboot", "cycle", "none"].contains(&off.as_str()) {
            let what = format!("{off:?} does not leave the machine off");
            given.wrong("off", what, "the agent's word for off, seen off");
        }
        map.off = off;
    }
    if let Some(on) = given.optional("on", one_line()) {
        map.on = Some(on).filter(|on| on != "none");
    }
    map
}

/// Our own gate, under whatever folder and spelling.
fn is_gate(agent: Option<&Path>) -> bool {
    agent.and_then(registry::of_program).is_some_and(|device| device.gate.is_some())
}

fn agent(table: &Table<'_, '_>, agents: &Agents<'_>) -> Option<PathBuf> {
    let named = table.required("agent", string())?;
    if named.starts_with('/') {
        return Some(PathBuf::from(named));
    }
    if named.contains('/') {
        table.wrong("agent", format!("{named:?} is a relative path"), "a name, or an absolute path");
        return None;
    }
    if agents.lab && named != LAB_AGENT {
        let what = format!("{named:?} may reach a real machine, and this is a lab");
        table.wrong("agent", what, format!("{LAB_AGENT:?}, or an absolute path"));
        return None;
    }
    let found = agents.dirs.iter().map(|dir| dir.join(&named)).find(|path| path.is_file());
    if found.is_none() {
        let dirs: Vec<_> = agents.dirs.iter().map(|dir| dir.display().to_string()).collect();
        table.wrong(
            "agent",
            format!("{named:?} is in none of {}", dirs.join(", ")),
            "an agent that is installed",
        );
    }
    found
}

/// Names that the daemon gives itself.
const RESERVED: [&str; 3] = ["action", "option", "nodename"];

fn options(table: &Table<'_, '_>) -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    let Some(given) = table.table("options") else { return options };
    for key in given.keys() {
        let Some(value) = given.required(&key, one_line()) else { continue };
        if RESERVED.contains(&key.as_str()) {
            given.wrong(&key, "the daemon gives this option itself", "other options");
        } else if !is_option(&key) {
            given.wrong(&key, format!("{key:?} is no option's name"), "letters, digits, \"-\" and \"_\"");
        } else if is_secret(&key) {
            given.wrong(
                &key,
                "a password does not belong into this file",
                "secrets = { … = \"/path/of/a/file\" }",
            );
        } else {
            options.insert(key, value);
        }
    }
    options
}

fn secrets(table: &Table<'_, '_>, options: &BTreeMap<String, String>) -> BTreeMap<String, PathBuf> {
    let mut secrets = BTreeMap::new();
    let Some(given) = table.table("secrets") else { return secrets };
    for key in given.keys() {
        let Some(file) = given.required(&key, path()) else { continue };
        if options.contains_key(&key) || RESERVED.contains(&key.as_str()) || !is_option(&key) {
            given.wrong(
                &key,
                format!("{key:?} is given elsewhere or is no option's name"),
                "each option once",
            );
        } else {
            secrets.insert(key, file);
        }
    }
    secrets
}

fn one_line() -> picket_host::config::Reader<String> {
    string().check("one line of text", |text| {
        if text.contains(['\n', '\r', '\0']) { Err("it has more than one line".to_owned()) } else { Ok(text) }
    })
}

fn is_option(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// The agents' names for a password itself; `password_script` names a program and may stand here.
fn is_secret(key: &str) -> bool {
    ["passwd", "password", "snmp-priv-passwd", "snmp_priv_passwd"].contains(&key)
}
