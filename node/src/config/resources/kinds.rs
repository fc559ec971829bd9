//! `kind`: what brings a resource into service, and the keys that belong to it.

use super::{ResourceKind, Roots, Service, agents, argv, units};
use crate::resource::ocf::Agent;
use crate::resource::systemd::Unit;
use picket_host::config::{Table, boolean, string};

/// As it is written.
enum Named {
    Command,
    Ocf { provider: String, name: String },
    Systemd { name: String },
}

impl Named {
    fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix("systemd:") {
            return units::is_name(name).then(|| Self::Systemd { name: name.to_owned() });
        }
        let is_name = |part: &&str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(allowed)
        };
        match text.split(':').collect::<Vec<&str>>().as_slice() {
            ["command"] => Some(Self::Command),
            ["ocf", provider, name] if is_name(provider) && is_name(name) => {
                Some(Self::Ocf { provider: (*provider).to_owned(), name: (*name).to_owned() })
            }
            _ => None,
        }
    }

    const fn keys(&self) -> &'static [&'static str] {
        match self {
            Self::Command => &["command"],
            Self::Ocf { .. } => &["parameters", "secrets", "promotable"],
            Self::Systemd { .. } => &[],
        }
    }
}

const KEYS: [&str; 4] = ["command", "parameters", "secrets", "promotable"];

pub(super) fn read(table: &Table<'_, '_>, roots: &Roots) -> Option<ResourceKind> {
    let expected = "\"command\", an agent as \"ocf:PROVIDER:NAME\", or a unit as \"systemd:NAME.service\"";
    let reader =
        string().check(expected, |text| Named::parse(&text).ok_or_else(|| format!("found {text:?}")));
    let named = table.required("kind", reader)?;
    for other in KEYS.iter().filter(|key| table.has(key) && !named.keys().contains(*key)) {
        table.wrong(other, "it belongs to another kind", "only what belongs to the kind that is named");
    }
    match named {
        Named::Ocf { provider, name } => Some(ResourceKind::Ocf(Agent {
            root: roots.agents.clone(),
            provider,
            name,
            parameters: agents::parameters(table),
            secrets: agents::secrets(table),
            promotable: table.or("promotable", boolean(), false),
        })),
        Named::Systemd { name } => Some(ResourceKind::Systemd(Unit { bus: roots.bus.clone(), name })),
        Named::Command => {
            let commands = table.table_required("command")?;
            let start = commands.required("start", argv());
            let stop = commands.required("stop", argv());
            let status = commands.required("status", argv());
            Some(ResourceKind::Command(Service { start: start?, stop: stop?, status: status? }))
        }
    }
}
