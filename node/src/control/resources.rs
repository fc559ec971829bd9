//! Resources, for people: the lines of the status, and what can be asked of them.

use super::status::prio;
use super::{ANSWER_MAX, Desk, done, refused, underway};
use crate::driver::Snapshot;
use crate::resource::room::GONE;
use crate::resource::tree::{Halt, Line, Request, Standing, State, Verb, View};
use picket_proto::{PROTOCOL, SCHEMA, v1};
use tonic::Status;

/// What an operator wants of a resource, or of all above a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Restore { only: bool },
    Remove,
    Cleanup,
}

impl Desk {
    /// Every resource of this node.
    pub(super) fn resource_lines(&self, snapshot: &Snapshot) -> Vec<v1::StatusResource> {
        let Some(trees) = self.trees.get() else { return Vec::new() };
        let mut lines = Vec::new();
        for (id, handle) in trees.all() {
            let Some(configured) = self.config.volumes.get(&id) else { continue };
            let volume = snapshot.status.volumes.iter().find(|volume| volume.volume == id);
            let here = volume.is_some_and(|volume| volume.phase.held().is_some());
            let primary = match volume {
                Some(_) if here => self.config.name.clone(),
                Some(volume) => self.primary(snapshot, volume),
                None => String::new(),
            };
            let resources = self.config.resources.get(&id).map_or(&[][..], Vec::as_slice);
            let view = handle.view.borrow().clone();
            for (line, resource) in view.lines.iter().zip(resources) {
                let mut needs = line.needs.clone();
                if needs.is_empty() {
                    needs.push(configured.name.clone());
                }
                lines.push(v1::StatusResource {
                    local: self.config.name.clone(),
                    tag: line.tag.clone(),
                    id: resource.id.clone(),
                    volume: configured.name.clone(),
                    needs,
                    state: line.word().to_owned(),
                    prio: prio(configured, self.config.me),
                    primary: primary.clone(),
                    doing: line.work.map(doing).unwrap_or_default().to_owned(),
                    failures: line.failures,
                    threshold: line.threshold,
                    held: line.halt.map(held).unwrap_or_default().to_owned(),
                    text: line.text.clone(),
                });
            }
        }
        lines
    }

    /// Volumes that should be on another node, with what is in the way, and the conditions that this one does not meet.
    pub(super) fn displaced(&self) -> Vec<(&'static str, String, String)> {
        let mut lines = Vec::new();
        for (id, handle) in self.trees.get().into_iter().flat_map(|trees| trees.all()) {
            let stranded = handle.view.borrow().stranded.clone();
            lines.extend(stranded.map(|text| ("STRANDED", self.config.volume_name(id), text)));
        }
        for (tag, why) in self.conditions.not_met() {
            let text = format!("{tag} is not met here, so that volumes should be elsewhere: {why}");
            lines.push(("CONDITION", tag, text));
        }
        let misplaced = self.conditions.misplaced().into_iter();
        lines.extend(misplaced.map(|(id, why)| ("MISPLACED", self.config.volume_name(id), why)));
        lines
    }

    /// Asks, and waits until it is so.
    pub(super) async fn resource(&self, tag: &str, wish: Wish) -> v1::Outcome {
        let Some(trees) = self.trees.get() else { return refused("STARTING", "the daemon starts") };
        let volume = self.config.volume_named(tag);
        let found = match volume {
            Some(id) => trees.of(id).map(|handle| (None, handle)),
            None => trees.with(tag).map(|(_, handle)| (Some(tag.to_owned()), handle)),
        };
        let Some((named, handle)) = found else {
            return refused(
                "NO_SUCH_RESOURCE",
                format!("{tag:?} is neither a resource nor a volume with resources here"),
            );
        };
        if wish != Wish::Cleanup && handle.view.borrow().standing != Standing::Active {
            return refused(
                "NOT_HOLDER",
                "the volume is not in service on this node; ask the node where it is",
            );
        }
        let request = match wish {
            Wish::Restore { only } => Request::Restore { tag: named.clone(), only },
            Wish::Remove => Request::Remove { tag: named.clone() },
            Wish::Cleanup => Request::Cleanup { tag: named.clone() },
        };
        let mut view = handle.view.clone();
        let gone = || refused("STOPPED", GONE);
        if handle.ask(request).await.is_err() {
            return gone();
        }
        let ended = async {
            loop {
                if let Some(outcome) = judge(&view.borrow_and_update(), named.as_deref(), wish) {
                    return outcome;
                }
                if view.changed().await.is_err() {
                    return gone();
                }
            }
        };
        let late = || underway(format!("not over within {ANSWER_MAX:?}; its end is in the status"));
        tokio::time::timeout(ANSWER_MAX, ended).await.unwrap_or_else(|_| late())
    }
}

impl Desk {
    /// The policy of a tree on every node with a replica of its volume, after the change of what is given.
    pub(super) async fn policy(&self, asked: &v1::PolicyRequest) -> Result<v1::PolicyAnswer, Status> {
        let trees = self.trees.get().ok_or_else(|| Status::unavailable("the daemon starts"))?;
        let found = self.config.volume_named(&asked.tag).or_else(|| trees.with(&asked.tag).map(|(id, _)| id));
        let found = found.and_then(|id| Some((id, trees.of(id)?, self.config.volumes.get(&id)?)));
        let unknown = || format!("{:?} is neither a resource nor a volume with resources here", asked.tag);
        let (id, handle, volume) = found.ok_or_else(|| Status::not_found(unknown()))?;
        let mut nodes = Vec::new();
        for member in &volume.members {
            let told = if *member == self.config.me {
                let policy = handle.policy(asked.failover, asked.local_recovery).await;
                policy.map(|policy| (policy.failover, policy.local_recovery)).map_err(ToOwned::to_owned)
            } else {
                let ask = v1::PeerPolicy {
                    protocol: Some(PROTOCOL),
                    volume: Some(u32::from(id.0)),
                    failover: asked.failover,
                    local_recovery: asked.local_recovery,
                };
                let told = self.peers.policy(*member, ask).await;
                told.map(|told| (told.failover(), told.local_recovery()))
            };
            let (node, tag) = (self.config.node_name(*member), volume.name.clone());
            let known = told.as_ref().ok();
            nodes.push(v1::NodePolicy {
                node,
                volume: tag,
                failover: known.map(|(failover, _)| *failover),
                local_recovery: known.map(|(_, local)| *local),
                error: told.err().unwrap_or_default(),
            });
        }
        Ok(v1::PolicyAnswer { schema: SCHEMA, nodes })
    }
}

/// How a wish ended; none: it has not.
fn judge(view: &View, tag: Option<&str>, wish: Wish) -> Option<v1::Outcome> {
    let is_it = |line: &&Line| tag.is_none_or(|tag| line.tag == tag);
    let mut chosen = view.lines.iter().filter(is_it);
    match wish {
        Wish::Cleanup => Some(done("cleaned up", None)),
        Wish::Restore { .. } => {
            if let Some(failed) =
                chosen.clone().find(|line| line.halt.is_some_and(|halt| halt != Halt::Operator))
            {
                return Some(refused("FAILED", format!("{}: {}", failed.tag, failed.text)));
            }
            chosen.all(|line| line.state == State::Running).then(|| done("in service", None))
        }
        Wish::Remove => {
            if let Some(stuck) = view.lines.iter().find(|line| line.state == State::Stuck) {
                return Some(refused("FAILED", format!("{} was not stopped: {}", stuck.tag, stuck.text)));
            }
            chosen
                .all(|line| line.state == State::Stopped && !line.owes_stop)
                .then(|| done("out of service", None))
        }
    }
}

const fn doing(verb: Verb) -> &'static str {
    match verb {
        Verb::Monitor => "LOOKING",
        Verb::Start => "STARTING",
        Verb::Stop => "STOPPING",
    }
}

const fn held(halt: Halt) -> &'static str {
    match halt {
        Halt::Operator => "OPERATOR",
        Halt::Stopped => "STOPPED",
        Halt::Blocked => "BLOCKED",
        Halt::Fence => "FENCE",
        Halt::Exhausted => "EXHAUSTED",
        Halt::Unfit => "UNFIT",
    }
}
