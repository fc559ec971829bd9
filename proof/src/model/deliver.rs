//! Deliveries: one message, command or report at a time.

use super::host::{Host, VolumeAction2};
use super::net::{Ghost, Kind, WITNESS};
use super::thaws::ThawFault;
use super::volumes::act;
use super::words;
use super::world::World;
use picket_core::ids::NodeId;
use picket_core::message::FromWitness;
use picket_core::node::{CommandOutcome, Input};
use picket_core::witness;
use std::collections::VecDeque;

impl World {
    pub(super) fn listens(&self, id: NodeId) -> bool {
        self.hosts.get(&id).is_some_and(Host::daemon_runs)
    }

    /// Delivers one thing. False: nothing can arrive before time passes.
    pub(super) fn deliver(&mut self) -> bool {
        if let Some((id, input)) = self.inbox.pop_front() {
            if self.listens(id) {
                self.feed(id, input);
            } else if self.hosts.get(&id).is_some_and(|host| host.daemon.is_some()) {
                // A stopped process reads it when it runs again.
                self.inbox_later(id, input);
            }
            return true;
        }
        let mut ids: Vec<NodeId> = self.hosts.keys().copied().collect();
        if self.reversed {
            ids.reverse();
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
        if self.witness_runs() && self.net.flows(id, WITNESS) {
            let message = self.net.witness.get_mut(&id).and_then(|stream| stream.up.pop_front());
            if let Some(message) = message {
                self.witness_takes(witness::Input::Message { node: id, message });
                return true;
            }
        }
        if self.listens(id) && self.net.flows(WITNESS, id) {
            let message = self.net.witness.get_mut(&id).and_then(|stream| stream.down.pop_front());
            if let Some(message) = message {
                self.witness_says(id, message);
                return true;
            }
        }
        false
    }

    fn witness_says(&mut self, id: NodeId, message: FromWitness) {
        let run = self.hosts.get(&id).and_then(|host| host.run.as_ref());
        self.watch.refusals(self.now, id, run, &message);
        self.watch.authorities(self.now, id, &message);
        self.feed(id, Input::Witness(message));
    }

    pub(super) fn deliver_peer(&mut self, to: NodeId) -> bool {
        if !self.listens(to) {
            return false;
        }
        let from = self
            .net
            .peers
            .iter()
            .find(|((from, at), queue)| *at == to && !queue.is_empty() && self.net.flows(*from, to))
            .map(|((from, _), _)| *from);
        let Some(from) = from else { return false };
        let message = self.net.peers.get_mut(&(from, to)).and_then(VecDeque::pop_front);
        if let Some((_, message)) = message {
            self.watch.acknowledgements(self.now, to, &message);
            self.feed(to, Input::Peer { from, message });
        }
        true
    }

    /// What arrives although its stream ended.
    pub(super) fn deliver_ghost(&mut self, ghost: Ghost) {
        match ghost {
            Ghost::Up(id, message) => self.witness_takes(witness::Input::Message { node: id, message }),
            Ghost::Down(id, message) if self.listens(id) => self.witness_says(id, message),
            Ghost::Peer(from, to, message) if self.listens(to) && self.net.passes(from, to, Kind::Stream) => {
                self.watch.acknowledgements(self.now, to, &message);
                self.feed(to, Input::Peer { from, message });
            }
            Ghost::Down(..) | Ghost::Peer(..) => {}
        }
    }

    /// A promotion is done whose daemon has ended since it was ordered.
    pub(super) fn orphan_done(&mut self, id: NodeId) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&id).filter(|host| host.runs() && host.paused_until.is_none())
        else {
            return;
        };
        let Some((_, volume, action)) = host.orphan.take_if(|(at, ..)| *at <= now) else { return };
        let done = act(host, volume, action, now);
        self.tell(|| words::of_driver(id, volume, action, Some(&done)));
        if let VolumeAction2::Promote { epoch, .. } = action {
            super::properties::check_promoted(self, volume, id, epoch);
        }
    }

    /// A driver carries out its next command.
    pub(super) fn carry_out(&mut self, id: NodeId) -> bool {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&id) else { return false };
        if !host.runs() || host.paused_until.is_some() || host.driver_until.is_some() {
            return false;
        }
        if let Some(does) = self.late_thaw_goes_on(id) {
            return does;
        }
        let Some(host) = self.hosts.get_mut(&id) else { return false };
        let clock = host.clock(now);
        let Some((volume, command, action)) = host.next_command() else { return false };
        if let Some(takes) = host.begins(clock, (volume, command, action)) {
            host.driver_until = Some(now + takes);
            self.tell(|| words::of_long_promotion(id, volume));
            return true;
        }
        let thaw_fault = host.thaw_fails(now, action);
        if thaw_fault == Some(ThawFault::Late) {
            self.begin_late_thaw(id, volume, command, action);
            return true;
        }
        let hangs = action == VolumeAction2::Demote && core::mem::take(&mut host.stop_hangs);
        let done = match action {
            _ if hangs => None,
            // Done means that the peer has all before it, which one that cannot be reached does not.
            VolumeAction2::Require(peer) if !self.takes(volume, id, peer) => {
                Some(CommandOutcome::Failed("the peer is not connected".into()))
            }
            _ => self.hosts.get_mut(&id).map(|host| act(host, volume, action, now)),
        };
        self.tell(|| words::of_driver(id, volume, action, done.as_ref()));
        match action {
            VolumeAction2::Require(peer) => self.catch_up(volume, id, peer),
            VolumeAction2::Promote { epoch, .. } => {
                super::properties::check_promoted(self, volume, id, epoch)
            }
            VolumeAction2::Demote
            | VolumeAction2::Freeze
            | VolumeAction2::Thaw { .. }
            | VolumeAction2::Drop(_) => {}
        }
        if let Some(outcome) = done {
            self.report_one(id, volume);
            if thaw_fault.is_none() {
                self.inbox.push_back((id, Input::VolumeDone { volume, command, outcome }));
            }
        }
        true
    }
}
