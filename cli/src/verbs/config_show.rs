//! `picket config show`: what is in force, and which of it the file does not say.

use super::config_check::Kind;
use crate::exit::{Exit, Fault};
use crate::render::paint::Tone;
use crate::session::Session;
use core::time::Duration;
use picket_host::config::Source;
use picket_node::config::{Config, WatchdogKind};
use picket_proto::SCHEMA;
use serde_json::json;
use std::fs;
use std::path::Path;

/// One setting: its key in the file, and its value.
struct Setting {
    key: String,
    value: String,
    in_file: bool,
}

pub(super) fn run(file: &Path, session: &mut Session) -> Result<Exit, Fault> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).map_err(|error| Fault::File(format!("{name}: {error}")))?;
    if Kind::of(&text) == Kind::Witness {
        return Err(Fault::Missing(format!("{name}: a witness's file; this shows a node's")));
    }
    let config = Config::parse(&Source::from_text(&name, text.clone()));
    let config = config.map_err(|diagnostics| Fault::File(diagnostics.to_string()))?;
    let table = text.parse::<toml::Table>().map_err(|error| Fault::File(format!("{name}: {error}")))?;
    let settings: Vec<Setting> = settings(&config)
        .into_iter()
        .map(|(key, value)| Setting { in_file: has(&table, &key), key, value })
        .collect();
    if session.json {
        let settings: Vec<_> = settings
            .iter()
            .map(|setting| json!({ "key": setting.key, "value": setting.value, "in_file": setting.in_file }))
            .collect();
        writeln!(session.out, "{}", json!({ "schema": SCHEMA, "file": name, "settings": settings }))?;
        return Ok(Exit::Done);
    }
    for setting in settings {
        let mark = if setting.in_file { "" } else { "  # not in the file" };
        let mark = session.paint.text(Tone::Faint, mark);
        writeln!(session.out, "{} = {}{mark}", setting.key, setting.value)?;
    }
    for warning in &config.warnings {
        writeln!(session.out, "{}", session.paint.text(Tone::Warn, &format!("# {warning}")))?;
    }
    Ok(Exit::Done)
}

/// Whether the file says it: each part of the key is looked up.
fn has(table: &toml::Table, key: &str) -> bool {
    let mut parts = key.split('.');
    let Some(mut value) = parts.next().and_then(|part| at(table, part)) else { return false };
    for part in parts {
        match value.as_table().and_then(|table| at(table, part)) {
            Some(inner) => value = inner,
            None => return false,
        }
    }
    true
}

/// `key`, or `list[which]`, where the item is found by its name, else by its number.
fn at<'t>(table: &'t toml::Table, part: &str) -> Option<&'t toml::Value> {
    let Some((list, which)) = part.split_once('[') else { return table.get(part) };
    let (list, which) = (table.get(list)?.as_array()?, which.strip_suffix(']')?);
    let named = |item: &&toml::Value| item.get("name").and_then(toml::Value::as_str) == Some(which);
    list.iter().find(named).or_else(|| list.get(which.parse::<usize>().ok()?))
}

fn settings(config: &Config) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut add = |key: &str, value: String| all.push((key.to_owned(), value));
    add("node.name", text(&config.name));
    add("node.state_dir", path(&config.state_dir));
    add("node.run_dir", path(&config.run_dir));
    add("node.control_socket", path(&config.control.socket));
    add("node.control_group", config.control.group.as_deref().map_or_else(none, text));
    add("node.pause_visible", config.pause_visible.to_string());
    add("node.on_stop", text(config.on_stop.word()));
    add("node.fence_test_interval", length(config.test_interval.unwrap_or(Duration::ZERO)));
    add("cluster.name", text(&config.cluster));
    add("cluster.profile", text(config.profile.name()));
    add("cluster.heartbeat_key", path(&config.heartbeat_key));
    add("cluster.cold_start_timeout", length(config.cold_start));
    let params = &config.params;
    add("cluster.timing.heartbeat", length(params.heartbeat));
    add("cluster.timing.misses", params.misses.to_string());
    add("cluster.timing.lease", length(params.lease));
    add("cluster.timing.freeze_before", length(params.freeze_before));
    add("cluster.timing.guard", length(params.guard));
    add("listen", text(&config.listen.to_string()));
    add("tls.ca", path(&config.tls.ca));
    add("tls.cert", path(&config.tls.cert));
    add("tls.key", path(&config.tls.key));
    witness_and_watchdog(config, &mut all);
    members(config, &mut all);
    all
}

fn witness_and_watchdog(config: &Config, all: &mut Vec<(String, String)>) {
    let mut add = |key: &str, value: String| all.push((key.to_owned(), value));
    let addresses: Vec<String> = config.witness.addresses.iter().map(|at| text(&at.to_string())).collect();
    add("witness.addresses", format!("[{}]", addresses.join(", ")));
    add("witness.server_name", config.witness.server_name.as_deref().map_or_else(none, text));
    let kind = match &config.watchdog.kind {
        WatchdogKind::Device { path: device, .. } => {
            add("watchdog.device", path(device));
            "device"
        }
        WatchdogKind::Lab { socket } => {
            add("watchdog.device", path(socket));
            "lab"
        }
        WatchdogKind::SelfReset => "self-reset",
        WatchdogKind::None => "none",
    };
    add("watchdog.kind", text(kind));
    add("watchdog.effective", length(config.watchdog.effective));
    add("watchdog.counts", config.watchdog.counts.map_or_else(none, |counts| counts.to_string()));
}

fn members(config: &Config, all: &mut Vec<(String, String)>) {
    for (id, volume) in &config.volumes {
        let members: Vec<String> = volume.members.iter().map(|id| text(&config.node_name(*id))).collect();
        let mut add = |key: &str, value: String| all.push((format!("volume[{}].{key}", volume.name), value));
        add("id", id.to_string());
        add("members", format!("[{}]", members.join(", ")));
        add("loss_action", text(&format!("{:?}", volume.loss_action).to_lowercase()));
        add("promote_timeout", length(volume.promote_timeout));
        add("demote_timeout", length(volume.demote_timeout));
    }
    for (id, levels) in &config.fencing {
        let node = config.node_name(*id);
        for (level, devices) in levels.iter().enumerate() {
            let titles: Vec<String> = devices.iter().map(|device| text(&device.title())).collect();
            all.push((format!("fence.{node}.level[{level}]"), titles.join(" and ")));
        }
    }
}

fn text(text: &str) -> String {
    format!("{text:?}")
}

fn path(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

fn none() -> String {
    "none".to_owned()
}

fn length(length: Duration) -> String {
    format!("{length:?}")
}

#[cfg(test)]
mod tests;
