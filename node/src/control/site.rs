//! `picket site stop` and `picket site start`: the steps of [`crate::site`] on every node, in order.

use super::{ANSWER_MAX, Desk, done, refused, underway};
use crate::config::Config;
use crate::site::Step;
use picket_core::ids::NodeId;
use picket_core::node::Status as NodeStatus;
use picket_proto::{PROTOCOL, v1};
use std::collections::BTreeSet;

/// How a step ended on a node.
enum Ended {
    Done,
    /// Begun, and not over yet.
    Underway(String),
    /// Refused, or the node was not reached.
    Not(String),
}

impl Desk {
    /// Stops the site: everybody is asked first, and nothing is changed if anybody objects.
    pub(super) async fn site_stop(&self, degraded: bool) -> v1::Outcome {
        let everybody = self.everybody();
        let mut objections = Vec::new();
        for node in &everybody {
            match self.site_step(*node, Step::Check { degraded }).await {
                Ended::Done => {}
                Ended::Underway(why) | Ended::Not(why) => objections.push(self.by(*node, &why)),
            }
        }
        if !objections.is_empty() {
            return refused("NOT_SAFE", objections.join("; "));
        }
        if let Err(why) = self.hold_all(everybody.clone()).await {
            return refused("NOT_HELD", why);
        }
        for node in everybody {
            if let Ended::Underway(why) | Ended::Not(why) = self.site_step(node, Step::Release).await {
                let text =
                    format!("{}; the others take no volume until 'picket site start'", self.by(node, &why));
                return underway(text);
            }
        }
        done("out of service on every node, also after boots, until 'picket site start'", None)
    }

    /// Lets every node take volumes again; those that are not reached are named.
    pub(super) async fn site_start(&self) -> v1::Outcome {
        let mut missing = Vec::new();
        for node in self.everybody() {
            if let Ended::Underway(why) | Ended::Not(why) = self.site_step(node, Step::Start).await {
                missing.push(self.by(node, &why));
            }
        }
        if missing.is_empty() {
            return done("every node may take volumes again", None);
        }
        underway(format!("{}; 'picket site start' again when that is mended", missing.join("; ")))
    }

    /// First those that hold nothing, so that nothing is handed over on the way.
    async fn hold_all(&self, mut everybody: Vec<NodeId>) -> Result<(), String> {
        let holders = self.holders().await.unwrap_or_default();
        everybody.sort_by_key(|node| holders.contains(node));
        let mut held = Vec::new();
        for node in everybody {
            match self.site_step(node, Step::Hold).await {
                // What it holds stays until it is released.
                Ended::Done | Ended::Underway(_) => held.push(node),
                Ended::Not(why) => {
                    let mut text = self.by(node, &why);
                    for held in held {
                        if let Ended::Underway(why) | Ended::Not(why) =
                            self.site_step(held, Step::Start).await
                        {
                            text.push_str(&format!("; it stays held: {}", self.by(held, &why)));
                        }
                    }
                    return Err(text);
                }
            }
        }
        Ok(())
    }

    /// Who holds a volume that has a replica here, as the witness tells; nothing: that is not known of each.
    async fn holders(&self) -> Option<BTreeSet<NodeId>> {
        let snapshot = self.snapshot().await.ok().filter(|snapshot| snapshot.status.witness.registered)?;
        let mut holders = BTreeSet::new();
        for volume in &snapshot.status.volumes {
            holders.extend(volume.register.as_ref()?.holder.map(|holder| holder.node));
        }
        Some(holders)
    }

    async fn site_step(&self, node: NodeId, step: Step) -> Ended {
        use v1::outcome::Result as Told;
        let told = if node == self.config.me {
            self.site.step(step).await
        } else {
            match self.peers.site(node, ask(step), ANSWER_MAX).await {
                Ok(told) => told,
                Err(why) => return Ended::Not(format!("not reached: {why}")),
            }
        };
        match told.result {
            Some(Told::Done(_)) => Ended::Done,
            Some(Told::Underway(underway)) => Ended::Underway(underway.text),
            Some(Told::Refused(refused)) => Ended::Not(refused.text),
            None => Ended::Not("it did not say how it ended".to_owned()),
        }
    }

    /// Why this node takes no volume, if an operator said so.
    pub(super) fn stands_by(&self, status: &NodeStatus) -> Option<(&'static str, String, String)> {
        if self.site.is_stopped() {
            let text = "the site was stopped: nothing comes into service until 'picket site start'";
            return Some(("SITE_STOPPED", self.config.cluster.clone(), text.to_owned()));
        }
        status.standby.then(|| ("STANDBY", self.config.name.clone(), standby(&self.config, status)))
    }

    fn everybody(&self) -> Vec<NodeId> {
        self.config.members.keys().copied().collect()
    }

    fn by(&self, node: NodeId, why: &str) -> String {
        format!("{}: {why}", self.config.node_name(node))
    }
}

fn ask(step: Step) -> v1::PeerSite {
    use v1::peer_site::Step as Wire;
    let (wire, degraded) = match step {
        Step::Check { degraded } => (Wire::Check, degraded),
        Step::Hold => (Wire::Hold, false),
        Step::Release => (Wire::Release, false),
        Step::Start => (Wire::Start, false),
    };
    v1::PeerSite { protocol: Some(PROTOCOL), step: wire.into(), degraded }
}

/// What a peer asks; none: no step of this version.
pub(crate) fn asked(ask: &v1::PeerSite) -> Option<Step> {
    use v1::peer_site::Step as Wire;
    match ask.step() {
        Wire::Check => Some(Step::Check { degraded: ask.degraded }),
        Wire::Hold => Some(Step::Hold),
        Wire::Release => Some(Step::Release),
        Wire::Start => Some(Step::Start),
        Wire::Unspecified => None,
    }
}

/// What this node's standby means now.
fn standby(config: &Config, status: &NodeStatus) -> String {
    let kept = status.volumes.iter().filter(|volume| volume.phase.held().is_some());
    let kept: Vec<_> = kept.map(|volume| config.volume_name(volume.volume)).collect();
    let stays = if kept.is_empty() {
        String::new()
    } else {
        format!("; {} stays in service here until another node can take it", kept.join(", "))
    };
    let me = &config.name;
    format!("{me} is on standby and takes no volume ('picket node online {me}'){stays}")
}
