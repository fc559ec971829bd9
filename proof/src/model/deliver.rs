//! Deliveries: one message, command or report at a time.

use super::host::{Host, VolumeAction2};
use super::net::{Kind, WITNESS};
use super::volumes::act;
use super::world::World;
use picket_core::ids::NodeId;
use picket_core::node::Input;
use picket_core::witness;
use std::collections::VecDeque;

impl World {
    /// Whether the next step delivers something.
    #[must_use]
    pub fn has_deliveries(&self) -> bool {
        !self.inbox.is_empty()
            || self
                .hosts
                .values()
                .any(|host| !host.commands.is_empty() && host.runs() && host.paused_until.is_none())
            || self.hosts.keys().any(|id| self.stream_ready(*id))
    }

    pub(super) fn stream_ready(&self, id: NodeId) -> bool {
        let Some(stream) = self.net.witness.get(&id) else { return false };
        let up =
            self.net.passes(id, WITNESS, Kind::Stream) && !stream.up.is_empty() && self.witness.is_some();
        let down = self.net.passes(WITNESS, id, Kind::Stream) && !stream.down.is_empty() && self.listens(id);
        up || down
    }

    pub(super) fn listens(&self, id: NodeId) -> bool {
        self.hosts.get(&id).is_some_and(Host::daemon_runs)
    }

    pub(super) fn deliver(&mut self) -> bool {
        let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
        if let Some((id, input)) = self.inbox.pop_front() {
            if self.listens(id) {
                self.feed(id, input);
            } else if self.hosts.get(&id).is_some_and(|host| host.daemon.is_some()) {
                // A stopped process reads it when it runs again.
                self.inbox_later(id, input);
            }
            return true;
        }
        ids.iter().any(|id| self.deliver_witness(*id) || self.deliver_peer(*id) || self.carry_out(*id))
    }

    pub(super) fn inbox_later(&mut self, id: NodeId, input: Input) {
        // Heartbeats beyond a socket's buffer are lost; one of each kind is kept, which is the oldest.
        if let Some(host) = self.hosts.get_mut(&id) {
            host.held_back(input);
        }
    }

    pub(super) fn deliver_witness(&mut self, id: NodeId) -> bool {
        if self.witness.is_some() && self.net.passes(id, WITNESS, Kind::Stream) {
            let message = self.net.witness.get_mut(&id).and_then(|stream| stream.up.pop_front());
            if let Some(message) = message {
                self.witness_takes(witness::Input::Message { node: id, message });
                return true;
            }
        }
        if self.listens(id) && self.net.passes(WITNESS, id, Kind::Stream) {
            let message = self.net.witness.get_mut(&id).and_then(|stream| stream.down.pop_front());
            if let Some(message) = message {
                self.feed(id, Input::Witness(message));
                return true;
            }
        }
        false
    }

    pub(super) fn deliver_peer(&mut self, to: NodeId) -> bool {
        if !self.listens(to) {
            return false;
        }
        let from = self
            .net
            .peers
            .iter()
            .find(|((from, at), queue)| {
                *at == to && !queue.is_empty() && self.net.passes(*from, to, Kind::Stream)
            })
            .map(|((from, _), _)| *from);
        let Some(from) = from else { return false };
        let message = self.net.peers.get_mut(&(from, to)).and_then(VecDeque::pop_front);
        if let Some((_, message)) = message {
            self.feed(to, Input::Peer { from, message });
        }
        true
    }

    /// A driver carries out its next command.
    pub(super) fn carry_out(&mut self, id: NodeId) -> bool {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&id) else { return false };
        if !host.runs() || host.paused_until.is_some() {
            return false;
        }
        let Some((volume, command, action)) = host.commands.pop_front() else { return false };
        let hangs = action == VolumeAction2::Demote && core::mem::take(&mut host.stop_hangs);
        let done = if hangs { None } else { Some(act(host, volume, action, now)) };
        self.tell(|| format!("n{id}: volume {volume} {action:?}: {done:?}"));
        if let VolumeAction2::Require(peer) = action {
            self.catch_up(volume, id, peer);
        }
        if let Some(outcome) = done {
            self.report_one(id, volume);
            self.inbox.push_back((id, Input::VolumeDone { volume, command, outcome }));
        }
        true
    }
}
