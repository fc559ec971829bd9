//! Time: what becomes due.

use super::host::Agent;
use super::net::{BREAKS_AFTER, Kind, WITNESS, WitnessStream};
use super::world::World;
use picket_core::ids::NodeId;
use picket_core::node::Input;
use picket_core::time::{Duration, Instant};
use picket_core::topology::PowerAction;
use picket_core::witness::{self, Witness};

impl World {
    pub(super) fn pass_time(&mut self) {
        let next = self.next_instant();
        self.now = next.max(self.now);
        self.due_hosts();
        self.due_streams();
        if self.witness_at.is_some_and(|at| at <= self.now) {
            self.witness_at = None;
            let config = self.setup.witness_config(self.changed.contains(&WITNESS));
            self.witness = Some(Box::new(Witness::new(config, self.record.clone(), self.store, self.now)));
            self.watch.witness_started(self.now, self.record.as_ref());
            self.witness_takes(witness::Input::Tick);
            self.tell(|| "the witness starts".into());
        }
        if self.witness_stalled_until.is_some_and(|at| at <= self.now) {
            self.witness_wakes();
        }
        if self.witness_runs() && self.witness_tick <= self.now {
            self.witness_takes(witness::Input::Tick);
        }
        self.write_everywhere();
    }

    pub(super) fn next_instant(&self) -> Instant {
        let dog = self.setup.watchdog();
        let mut next = self.now + self.setup.params.heartbeat;
        let mut consider = |at: Option<Instant>| next = next.min(at.unwrap_or(Instant::NEVER));
        for host in self.hosts.values() {
            consider(host.booted_at);
            consider(host.paused_until);
            // A paused machine gets to nothing before its pause ends, however long it has been due.
            if host.paused_until.is_none() {
                consider(host.daemon_at);
                consider(host.stalled_until);
                consider(host.ends_at);
            }
            consider(host.torn_at);
            consider(host.driver_until);
            consider(host.late_thaw_at());
            consider(host.blind_until);
            consider(host.orphan.map(|(at, ..)| at));
            if host.daemon_runs() {
                consider(Some(host.world(host.tick_at)));
            }
            if host.paused_until.is_none() {
                consider(host.watchdog_at(dog).map(|at| host.world(at)));
            }
            for agent in &host.agents {
                consider(agent.acts_at);
                consider(Some(agent.ends_at).filter(|_| !agent.reported));
            }
        }
        consider(self.witness_at);
        consider(self.witness_stalled_until);
        consider(Some(self.witness_tick).filter(|_| self.witness_runs()));
        for stream in self.net.witness.values() {
            consider(stream.obstructed.map(|since| since + BREAKS_AFTER));
        }
        self.net.held.iter().for_each(|(_, _, until)| consider(Some(*until)));
        self.net.ghosts.iter().for_each(|(at, _)| consider(Some(*at)));
        next.max(self.now + Duration::from_nanos(1))
    }

    pub(super) fn due_hosts(&mut self) {
        let mut ids: Vec<NodeId> = self.hosts.keys().copied().collect();
        if self.reversed {
            ids.reverse();
        }
        for id in ids {
            self.due_power(id);
            self.orphan_done(id);
            self.due_agents(id);
            self.due_daemon(id);
        }
    }

    pub(super) fn due_power(&mut self, id: NodeId) {
        let now = self.now;
        let dog = self.setup.watchdog();
        let Some(host) = self.hosts.get_mut(&id) else { return };
        if host.booted_at.is_some_and(|at| at <= now) {
            host.booted_at = None;
            host.boots += 1;
            host.daemon_at = Some(now);
        }
        let resumed = host.paused_until.take_if(|at| *at <= now).is_some() && host.stalled_until.is_none();
        let arrived = if resumed { host.release_held() } else { Vec::new() };
        self.inbox.extend(arrived.into_iter().map(|input| (id, input)));
        host.driver_until.take_if(|at| *at <= now);
        host.blind_until.take_if(|at| *at <= now);
        if host.torn_at.is_some_and(|at| at <= now) {
            self.torn_pet(id);
        }
        let Some(host) = self.hosts.get_mut(&id) else { return };
        let fires =
            host.paused_until.is_none() && host.watchdog_at(dog).is_some_and(|at| at <= host.clock(now));
        if fires {
            self.tell(|| format!("the watchdog of node {id} fires"));
            super::properties::check_reset(self, id);
            self.kill(id, true);
        }
    }

    /// A petting thread that was stopped between its look at the clock and its pet pets now, and is stopped again
    /// with all of the daemon before it looks at the clock once more.
    fn torn_pet(&mut self, id: NodeId) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&id) else { return };
        host.torn_at = None;
        host.tears = false;
        host.pet_stop = Some(host.clock(now));
        self.tell(|| format!("node {id} pets its watchdog once and is stopped again"));
    }

    pub(super) fn due_agents(&mut self, id: NodeId) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&id) else { return };
        let mut acts = Vec::new();
        for agent in &mut host.agents {
            if agent.acts_at.is_some_and(|at| at <= now) {
                agent.acts_at = None;
                acts.push(*agent);
            }
        }
        let (ended, left): (Vec<Agent>, Vec<Agent>) =
            host.agents.iter().copied().partition(|agent| agent.ends_at <= now && !agent.reported);
        let told = ended.iter().map(|agent| Agent { reported: true, ..*agent });
        // One that ended without a verdict may still act: its device has the command.
        host.agents = left.into_iter().chain(told).filter(|a| !a.reported || a.acts_at.is_some()).collect();
        for agent in acts {
            match agent.action {
                PowerAction::Off => {
                    super::permits::check_fence(self, id, &agent);
                    self.kill(agent.target, false);
                }
                PowerAction::On => self.power_on(agent.target),
            }
        }
        for agent in ended {
            self.inbox.push_back((id, Input::DeviceDone { order: agent.order, verdict: agent.verdict }));
        }
    }

    pub(super) fn due_daemon(&mut self, id: NodeId) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&id) else { return };
        if !host.runs() || host.paused_until.is_some() {
            return;
        }
        if host.daemon_at.is_some_and(|at| at <= now) {
            self.start_daemon(id);
            return;
        }
        if host.stalled_until.is_some_and(|at| at <= now) {
            self.wakes(id);
        }
        self.end_stopped(id);
        let Some(host) = self.hosts.get_mut(&id) else { return };
        if host.daemon_runs() && host.tick_at <= host.clock(now) {
            self.feed(id, Input::Tick);
        }
        self.connect(id);
    }

    /// A stopped daemon runs again. Where its petting thread was stopped between looking at the clock and petting, it
    /// pets, looks again, and resets if it is so late that the watchdog cannot be what it was taken for.
    pub(super) fn wakes(&mut self, id: NodeId) {
        let now = self.now;
        let dog = self.setup.watchdog();
        let Some(host) = self.hosts.get_mut(&id) else { return };
        host.stalled_until = None;
        host.torn_at = None;
        let clock = host.clock(now);
        let torn = dog.filter(|_| core::mem::take(&mut host.tears));
        let allowed = host.daemon.as_ref().map_or(Instant::BOOT, |daemon| daemon.pet_until(clock));
        let held: Vec<Input> = host.release_held();
        if torn.is_some_and(|dog| clock > allowed + dog) {
            self.tell(|| format!("node {id} notices a late pet and resets itself"));
            super::properties::check_reset(self, id);
            self.kill(id, true);
            return;
        }
        if torn.is_some()
            && let Some(host) = self.hosts.get_mut(&id)
        {
            host.pet_stop = Some(clock);
        }
        for input in held {
            self.inbox.push_back((id, input));
        }
        self.feed(id, Input::Tick);
    }

    pub(super) fn connect(&mut self, id: NodeId) {
        let may = self.witness.is_some() && self.net.connects(id, WITNESS, Kind::Stream) && self.listens(id);
        if may && !self.net.witness.contains_key(&id) {
            let run = self.hosts.get(&id).map_or(0, |host| host.runs);
            self.net.witness.insert(id, WitnessStream { run, ..WitnessStream::default() });
            self.witness_takes(witness::Input::Connected { node: id });
        }
    }

    pub(super) fn due_streams(&mut self) {
        let now = self.now;
        let ids: Vec<NodeId> = self.net.witness.keys().copied().collect();
        for id in ids {
            let connects = self.net.connects(id, WITNESS, Kind::Stream);
            let host = self.hosts.get(&id);
            let up = host.is_some_and(|host| host.runs() && host.paused_until.is_none());
            let Some(stream) = self.net.witness.get_mut(&id) else { continue };
            let same = host.is_some_and(|host| host.daemon.is_some() && host.runs == stream.run);
            if connects && up && same {
                stream.obstructed = None;
                continue;
            }
            let since = *stream.obstructed.get_or_insert(now);
            // A machine that came back has forgotten the stream and says so.
            if connects && up && !same || now >= since + BREAKS_AFTER {
                self.break_stream(id, false);
            }
        }
        let old = |at: &Instant| now.since(*at) < BREAKS_AFTER;
        self.net.peers.values_mut().for_each(|queue| queue.retain(|(at, _)| old(at)));
        self.net.held.retain(|(_, _, until)| *until > now);
        let (due, later) = core::mem::take(&mut self.net.ghosts).into_iter().partition(|(at, _)| *at <= now);
        self.net.ghosts = later;
        let due: Vec<_> = due;
        due.into_iter().for_each(|(_, ghost)| self.deliver_ghost(ghost));
    }
}

#[cfg(test)]
mod tests;
