//! `picket stop`: what becomes of the volumes; and who takes none because a peer's volumes stay with it.

use super::{ANSWER_MAX, Desk, done, outcome, refused, underway};
use crate::config::OnStop;
use core::time::Duration;
use picket_core::node::{NodeAnswer, NodeRequest, Status as NodeStatus};
use picket_proto::v1;
use tonic::Status;

/// A stop that leaves volumes running is bridged by a maintenance of this length, unless the request says else.
const MAINTENANCE: Duration = Duration::from_secs(600);

/// What becomes of the volumes at a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    KeepRunning { length: Duration },
    SwitchOver,
    Stay,
}

impl Stop {
    /// What was asked for, else what the configuration says.
    pub(super) fn asked(request: &v1::StopRequest, on_stop: OnStop) -> Self {
        use v1::stop_request::Mode;
        let length =
            if request.length_ms == 0 { MAINTENANCE } else { Duration::from_millis(request.length_ms) };
        match (request.mode(), on_stop) {
            (Mode::KeepRunning, _) => Self::KeepRunning { length },
            (Mode::Handover, _) | (Mode::Unspecified, OnStop::SwitchOver) => Self::SwitchOver,
            (Mode::Stay, _) | (Mode::Unspecified, OnStop::Stay) => Self::Stay,
        }
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::KeepRunning { .. } => "stop, volumes keep running",
            Self::SwitchOver => "stop, volumes are handed over",
            Self::Stay => "stop, volumes stay",
        }
    }
}

impl Desk {
    /// Stops the daemon. What was begun is brought to its end, also when who asked is gone.
    pub(super) async fn stop(&self, stop: Stop) -> Result<v1::Outcome, Status> {
        let desk = self.clone();
        let stopped = tokio::spawn(async move { desk.stop_now(stop).await }).await;
        stopped.map_err(|error| Status::internal(error.to_string()))?
    }

    async fn stop_now(&self, stop: Stop) -> Result<v1::Outcome, Status> {
        let request = match stop {
            Stop::KeepRunning { length } => NodeRequest::StopKeepRunning { length },
            Stop::SwitchOver | Stop::Stay => NodeRequest::StopHandOver,
        };
        if stop == Stop::Stay
            && let Err(why) = self.stay.leave(&self.peers).await
        {
            let text = format!("{why}; nothing was stopped; 'picket stop --switch-over' hands over instead");
            return Ok(refused("CANNOT_STAY", text));
        }
        let answer = self.ask(request, ANSWER_MAX).await?;
        let held = self.held_names(stop);
        if answer == NodeAnswer::Done {
            // A daemon that is ending already needs no second word.
            let _ = self.end.try_send(());
            return Ok(done(format!("stopped{held}"), None));
        }
        match (answer, stop) {
            (NodeAnswer::Unfinished(why), Stop::Stay) => Ok(underway(format!("{why}{held}"))),
            (answer, _) => Ok(outcome(&self.config, answer)),
        }
    }

    fn held_names(&self, stop: Stop) -> String {
        let asked = self.stay.asked();
        if stop != Stop::Stay || asked.is_empty() {
            return String::new();
        }
        let names: Vec<_> = asked.into_iter().map(|node| self.config.node_name(node)).collect();
        let names = names.join(", ");
        format!("; until it is back, {names} may take no volume ('picket node online NODE' lets NODE)")
    }

    /// Why this node, or a peer for its sake, takes no volume: at most one line of each.
    pub(super) fn takes_none(&self, status: &NodeStatus) -> Vec<(&'static str, String, String)> {
        let mut lines = Vec::new();
        let names = |nodes: Vec<_>| {
            let names: Vec<_> = nodes.into_iter().map(|node| self.config.node_name(node)).collect();
            Some(names.join(", ")).filter(|names| !names.is_empty())
        };
        let held_for = names(self.stay.held_for());
        if let Some(peers) = &held_for {
            let me = &self.config.name;
            let text = format!(
                "{me} takes no volume until {peers}, stopped with volumes that stay, is back; \
                 if it never comes back, 'picket node online {me}'"
            );
            lines.push(("HELD_FOR_PEER", peers.clone(), text));
        }
        if let Some(peers) = names(self.stay.asked()) {
            let text = format!("{peers} may take no volume until this node has its own again");
            lines.push(("PEERS_HELD", self.config.name.clone(), text));
        }
        // Who is held is on standby, which is one thing to people.
        let told = self.stands_by(status).filter(|(word, _, _)| held_for.is_none() || *word != "STANDBY");
        lines.extend(told);
        lines
    }
}
