//! Understanding what a status program says. Strict: what is not understood is an error, never a default.

use super::About;
use picket_core::evidence::Generation;
use picket_core::ids::{GenerationId, NodeSet};
use picket_core::node::{Role, VolumeReport};
use std::collections::BTreeMap;

/// What a status program said.
#[derive(Debug)]
pub(super) struct Said {
    role: Role,
    frozen: bool,
    /// Only with a declared barrier.
    replica: Option<Replica>,
}

#[derive(Debug)]
struct Replica {
    complete: bool,
    generation: Generation,
    connected: NodeSet,
    complete_peers: NodeSet,
    required: NodeSet,
    lost: NodeSet,
}

impl Said {
    /// The report; `otherwise` gives what is said of a replica without a barrier.
    pub(super) fn report(self, otherwise: impl FnOnce() -> VolumeReport) -> VolumeReport {
        let (role, frozen) = (self.role, self.frozen);
        match self.replica {
            Some(replica) => VolumeReport {
                role,
                frozen,
                complete: replica.complete,
                generation: replica.generation,
                connected: replica.connected,
                complete_peers: replica.complete_peers,
                required: replica.required,
                lost: replica.lost,
            },
            None => VolumeReport { role, frozen, ..otherwise() },
        }
    }
}

const ALWAYS: [&str; 2] = ["role", "frozen"];
const WITH_BARRIER: [&str; 7] =
    ["complete", "generation", "history", "connected", "complete_peers", "required", "lost"];

pub(super) fn parse(text: &str, about: &About) -> Result<Said, String> {
    let mut values = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (key, value) = line.split_once('=').ok_or_else(|| format!("status: not key=value: {line:?}"))?;
        let known = ALWAYS.contains(&key) || about.has_barrier && WITH_BARRIER.contains(&key);
        if !known {
            return Err(format!("status: unknown key {key:?}"));
        }
        if values.insert(key, value).is_some() {
            return Err(format!("status: {key} twice"));
        }
    }
    let need = |key: &str| values.get(key).copied().ok_or_else(|| format!("status: no {key}"));
    let role = match need("role")? {
        "primary" => Role::Primary,
        "secondary" => Role::Secondary,
        other => return Err(format!("status: role={other:?}; expected primary or secondary")),
    };
    let frozen = values.get("frozen").map_or(Ok(false), |value| truth("frozen", value))?;
    let replica = if about.has_barrier {
        Some(Replica {
            complete: truth("complete", need("complete")?)?,
            generation: Generation {
                current: generation(need("generation")?)?,
                history: history(need("history")?)?,
            },
            connected: nodes(about, need("connected")?)?,
            complete_peers: nodes(about, need("complete_peers")?)?,
            required: nodes(about, need("required")?)?,
            lost: nodes(about, need("lost")?)?,
        })
    } else {
        None
    };
    Ok(Said { role, frozen, replica })
}

fn truth(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "yes" => Ok(true),
        "no" => Ok(false),
        other => Err(format!("status: {key}={other:?}; expected yes or no")),
    }
}

fn generation(value: &str) -> Result<GenerationId, String> {
    let digits = !value.is_empty() && value.chars().all(|c| c.is_ascii_hexdigit());
    let parsed = u128::from_str_radix(value, 16).ok().filter(|_| digits);
    parsed
        .map(GenerationId)
        .ok_or_else(|| format!("status: generation {value:?}; expected up to 32 hexadecimal digits"))
}

fn history(value: &str) -> Result<Vec<GenerationId>, String> {
    let all: Result<Vec<_>, _> = value.split(',').filter(|part| !part.is_empty()).map(generation).collect();
    let all = all?;
    if all.len() > Generation::HISTORY_MAX {
        return Err(format!("status: {} former generations; at most {}", all.len(), Generation::HISTORY_MAX));
    }
    Ok(all)
}

fn nodes(about: &About, value: &str) -> Result<NodeSet, String> {
    let mut set = NodeSet::EMPTY;
    for name in value.split([' ', ',']).filter(|name| !name.is_empty()) {
        let found = about.names.iter().find(|(id, known)| *known == name && about.members.contains(**id));
        let (id, _) = found.ok_or_else(|| format!("status: {name:?} has no replica"))?;
        set = set.with(*id);
    }
    Ok(set)
}
