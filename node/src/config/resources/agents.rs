//! Agents against what they say of themselves.

use crate::resource::ocf::Agent;
use crate::resource::ocf::metadata::Metadata;
use crate::resource::plan::Rules;
use picket_host::config::{Table, path, string};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What agents said when they were asked; each is asked once.
pub(super) type Asked = BTreeMap<PathBuf, Result<Metadata, String>>;

/// What every agent must be able to do.
const ACTIONS: [&str; 3] = ["start", "stop", "monitor"];

pub(super) fn parameters(table: &Table<'_, '_>) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    let Some(given) = table.table("parameters") else { return parameters };
    for key in given.keys() {
        check_name(&given, &key);
        if let Some(value) = given.required(&key, string()) {
            parameters.insert(key, value);
        }
    }
    parameters
}

/// The files of parameters that nobody else should see.
pub(super) fn secrets(table: &Table<'_, '_>) -> BTreeMap<String, PathBuf> {
    let mut secrets = BTreeMap::new();
    let Some(given) = table.table("secrets") else { return secrets };
    for key in given.keys() {
        check_name(&given, &key);
        if table.table("parameters").is_some_and(|parameters| parameters.has(&key)) {
            given.wrong(&key, "it stands among the parameters too", "each parameter once");
        }
        if let Some(file) = given.required(&key, path()) {
            secrets.insert(key, file);
        }
    }
    secrets
}

fn check_name(given: &Table<'_, '_>, key: &str) {
    let is_name = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name || key.starts_with("CRM_meta") {
        given.wrong(key, format!("{key:?} is no parameter's name"), "letters, digits and \"_\"");
    }
}

/// Asks the agent, once for all its resources; what was not configured gets what it advises.
pub(super) fn check(table: &Table<'_, '_>, agent: &Agent, rules: &mut Rules, asked: &mut Asked) {
    let path = agent.path();
    if !path.is_file() {
        let what = format!("there is no {}", path.display());
        table.wrong("kind", what, "an agent that is installed below ocf_root");
        return;
    }
    let metadata = match asked.entry(path).or_insert_with(|| Metadata::read(agent)) {
        Ok(metadata) => metadata,
        Err(why) => {
            table.wrong("kind", format!("{}: {why}", agent.title()), "an agent that tells its parameters");
            return;
        }
    };
    let more: &[&str] = if agent.promotable { &["promote", "demote"] } else { &[] };
    for action in ACTIONS.iter().chain(more).filter(|action| !metadata.actions.contains_key(**action)) {
        let key = if agent.promotable { "promotable" } else { "kind" };
        table.wrong(key, format!("{} cannot {action}", agent.title()), "an agent that can");
    }
    let told = [
        ("parameters", agent.parameters.keys().collect::<Vec<_>>()),
        ("secrets", agent.secrets.keys().collect()),
    ];
    for (list, names) in told {
        let Some(given) = table.table(list) else { continue };
        for unknown in names.into_iter().filter(|name| !metadata.parameters.contains_key(*name)) {
            let known: Vec<&str> = metadata.parameters.keys().map(String::as_str).collect();
            given.wrong(unknown, format!("{} knows no such parameter", agent.title()), known.join(", "));
        }
    }
    if let Some(given) = table.table("secrets") {
        for (name, why) in agent.untold() {
            given.wrong(&name, why, "a file with one line that only its owner can read");
        }
    }
    let needed = metadata.parameters.iter().filter(|(_, required)| **required).map(|(name, _)| name);
    for missing in
        needed.filter(|name| !agent.parameters.contains_key(*name) && !agent.secrets.contains_key(*name))
    {
        table.wrong(
            "parameters",
            format!("{missing} is missing"),
            format!("what {} must be told", agent.title()),
        );
    }
    let advised =
        |action: &str| metadata.actions.get(action).copied().flatten().filter(|length| !length.is_zero());
    let timeouts = [
        ("start", "start_timeout", &mut rules.start_timeout),
        ("stop", "stop_timeout", &mut rules.stop_timeout),
        ("monitor", "monitor_timeout", &mut rules.monitor_timeout),
    ];
    for (action, key, timeout) in timeouts {
        if let Some(advised) = advised(action).filter(|_| !table.has(key)) {
            *timeout = advised;
        }
    }
}
