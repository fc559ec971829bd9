//! What daemons and the witness want done, and what faults do to processes and machines.

use super::host::Agent;
use super::words;
use super::world::{AgentFault, WitnessDisk, World};
use crate::world::prose;
use picket_core::ids::{BootId, NodeId, Nonce, PathId, PermitId};
use picket_core::message::{FromWitness, OperatorRequest, Reply, Request};
use picket_core::node::{CommandOutcome, Effect, Input, Node, NodeAnswer};
use picket_core::ready;
use picket_core::time::{Duration, Instant};
use picket_core::topology::{DeviceVerdict, PowerAction};
use picket_core::witness;

/// How long after a start that was refused the service manager tries again.
const STARTS_AGAIN: Duration = Duration::from_millis(12);

/// The ticket of a request to stop.
pub(super) const STOP: u64 = 7;

/// The ticket of a request to stop and to leave running what is held.
pub(super) const STOP_AND_LEAVE_RUNNING: u64 = 8;

/// The ticket of a request to stand by.
pub(super) const STAND_BY: u64 = 10;

/// The ticket of a request to release what is held.
pub(super) const RELEASE: u64 = 11;

/// How soon the service manager starts a daemon again that died: well within the watchdog's time.
pub(super) const AT_ONCE: Duration = Duration::from_millis(4);

/// How long the process of a daemon lives after it has said that it may be ended: longer than a heartbeat interval.
const ENDS_AFTER: Duration = Duration::from_millis(12);

impl World {
    /// Gives a daemon an input and does what it wants.
    pub fn feed(&mut self, id: NodeId, input: Input) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&id) else { return };
        let alone = host.alone();
        let Ok(effects) = host.step(now, input) else {
            self.tell(|| format!("the daemon of node {id} dies between its two records"));
            return self.kill_daemon(id, AT_ONCE);
        };
        for effect in effects {
            super::properties::check_alone(self, id, &alone, &effect);
            self.effect(id, effect);
        }
    }

    pub(super) fn effect(&mut self, id: NodeId, effect: Effect) {
        match effect {
            Effect::Witness(message) => {
                if matches!(message.body, Request::Register(_)) {
                    self.takes_up(id);
                }
                super::properties::check_asks(self, id, &message.body);
                if let Some(stream) = self.net.witness.get_mut(&id) {
                    stream.up.push_back(message);
                }
            }
            Effect::CloseWitness => self.break_stream(id, false),
            Effect::Beat { to, beat } => {
                if self.net.takes_beat(id, to)
                    && self.hosts.get(&to).is_some_and(|host| host.daemon.is_some())
                {
                    self.inbox.push_back((to, Input::Beat { path: PathId(0), beat }));
                }
            }
            Effect::Peer { to, message } => {
                if self.hosts.get(&to).is_some_and(|host| host.daemon.is_some()) {
                    self.net.peers.entry((id, to)).or_default().push_back((self.now, message));
                }
            }
            Effect::Volume { volume, command, action } => {
                let Some(host) = self.hosts.get_mut(&id) else { return };
                let action = action.into();
                if host.freeze_ends_promotion(volume, action) {
                    // There is nothing left that could be frozen.
                    let outcome = CommandOutcome::Done;
                    self.tell(|| words::of_ended_promotion(id, volume));
                    self.inbox.push_back((id, Input::VolumeDone { volume, command, outcome }));
                } else {
                    host.commands.push_back((volume, command, action));
                }
            }
            Effect::Device(order) => self.start_agent(id, order),
            Effect::Reset { power_off, reason } => {
                self.tell(|| words::of_reset(id, power_off, &reason));
                super::properties::check_reset(self, id);
                super::properties::check_loss(self, id, &reason);
                super::properties::check_taken_up(self, id, &reason);
                self.reset(id, power_off);
            }
            Effect::Event(event) => {
                self.tell_of(|| prose::of_node(id, &event));
                super::alarms::of_node(self, id, &event);
            }
            Effect::Answer { ticket, answer } => self.answered(id, ticket, &answer),
        }
    }

    pub(super) fn start_agent(&mut self, id: NodeId, order: picket_core::topology::DeviceOrder) {
        let now = self.now;
        let (limit, slow) = (self.setup.agent, self.setup.slow_agents);
        let permit = self.permit_for(id, order.target);
        let Some(host) = self.hosts.get_mut(&id) else { return };
        if host.clock(now) >= order.start_before {
            self.inbox
                .push_back((id, Input::DeviceDone { order: order.order, verdict: DeviceVerdict::TooLate }));
            return;
        }
        let off = order.action == PowerAction::Off;
        let fault = if off { self.agent_faults.pop_front() } else { None };
        let ms = Duration::from_millis;
        let slowly = (Some(limit - ms(1)), limit, DeviceVerdict::ConfirmedOff);
        let (acts, ends, verdict) = match fault {
            None if off && slow => slowly,
            None => (Some(ms(3)), ms(4), DeviceVerdict::ConfirmedOff),
            Some(AgentFault::UnknownIdle) => (None, limit, DeviceVerdict::Unknown),
            Some(AgentFault::UnknownLate) => (Some(limit + ms(17)), limit, DeviceVerdict::Unknown),
            Some(AgentFault::Fails) => (None, ms(2), DeviceVerdict::Failed),
            Some(AgentFault::Slow) => slowly,
            Some(AgentFault::TellsLate) => (Some(ms(1)), limit - ms(1), DeviceVerdict::ConfirmedOff),
        };
        let (target, action) = (order.target, order.action);
        host.agents.push(Agent {
            order: order.order,
            target,
            action,
            acts_at: acts.map(|after| now + after),
            ends_at: now + ends,
            verdict,
            reported: false,
            permit,
        });
        self.tell(|| words::of_agent(id, target, action, fault));
        if off {
            super::permits::check_fence_start(self, id, target);
        }
    }

    /// The live permit of the fencer over the target, by the witness's record.
    pub(super) fn permit_for(&self, fencer: NodeId, target: NodeId) -> Option<(PermitId, BootId)> {
        let live = self.record.as_ref()?.nodes.get(&target)?.permit?;
        (live.fencer == fencer).then_some((live.id, live.target_boot))
    }

    /// The machine loses its power, or its kernel.
    pub fn kill(&mut self, id: NodeId, reboots: bool) {
        let (now, boot) = (self.now, self.setup.boot);
        let Some(host) = self.hosts.get_mut(&id) else { return };
        host.dies();
        host.powered = reboots;
        host.booted_at = reboots.then(|| now + boot);
        // What it had sent arrives; no last word is sent: the far end of each stream finds out by itself.
        if let Some(stream) = self.net.witness.get_mut(&id) {
            stream.down.clear();
            stream.obstructed.get_or_insert(now);
        }
        self.net.peers.retain(|(from, to), _| *from != id && *to != id);
        self.inbox.retain(|(to, _)| *to != id);
        self.tell(|| format!("node {id} is dead, and {}", if reboots { "reboots" } else { "off" }));
    }

    /// The daemon ends its machine. Where that hangs, it has at least stopped petting.
    fn reset(&mut self, id: NodeId, power_off: bool) {
        let now = self.now;
        match self.hosts.get_mut(&id) {
            Some(host) if host.reset_hangs => {
                let clock = host.clock(now);
                host.pet_stop = Some(host.pet_stop.map_or(clock, |stop| stop.min(clock)));
            }
            Some(_) | None => self.kill(id, !power_off),
        }
    }

    /// Makes a dead machine run.
    pub fn power_on(&mut self, id: NodeId) {
        let (now, boot) = (self.now, self.setup.boot);
        let Some(host) = self.hosts.get_mut(&id) else { return };
        if !host.powered {
            host.powered = true;
            host.booted_at = Some(now + boot);
        }
    }

    /// The daemon dies; the service manager starts it again.
    pub fn kill_daemon(&mut self, id: NodeId, back: Duration) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&id) else { return };
        if host.daemon.take().is_none() {
            return;
        }
        let clock = host.clock(now);
        host.pet_stop = host.pet_stop.map(|stop| stop.min(clock));
        host.stalled_until = None;
        host.ends_at = None;
        host.said_stopped = false;
        host.daemon_at = Some(now + back);
        host.daemon_dies();
        host.volumes.values_mut().for_each(|replica| replica.told = None);
        self.inbox.retain(|(to, _)| *to != id);
        self.break_stream(id, true);
    }

    pub(super) fn start_daemon(&mut self, id: NodeId) {
        let config = self.setup.node_config(id, self.changed.contains(&id));
        let now = self.now;
        let run_id = Nonce(self.fresh().0 & 0xFFFF_FFFF);
        let Some(host) = self.hosts.get_mut(&id) else { return };
        host.daemon_at = None;
        host.runs += 1;
        let clock = host.clock(now);
        let disk = Some(host.disk.clone()).filter(|disk| disk.schema != 0);
        match Node::new(config, disk, host.run.clone(), host.boot(), run_id, clock) {
            Ok(node) => host.daemon = Some(Box::new(node)),
            Err(_) => {
                // The service manager tries again.
                host.daemon_at = Some(now + STARTS_AGAIN);
                return self.tell(|| format!("the daemon of node {id} refuses to start"));
            }
        }
        host.tick_at = clock;
        self.tell(|| format!("the daemon of node {id} starts"));
    }

    /// A daemon that an operator asked to stop says that it may be ended: its process ends a little later, with its
    /// watchdog closed.
    fn answered(&mut self, id: NodeId, ticket: u64, answer: &NodeAnswer) {
        let at = self.now + ENDS_AFTER;
        if ticket == STAND_BY && matches!(answer, NodeAnswer::Done | NodeAnswer::Kept(_)) {
            self.watch.standby = self.watch.standby.with(id).intersection(self.watch.to_stand_by);
        }
        if ticket == RELEASE && *answer == NodeAnswer::Done {
            super::properties::check_released(self, id);
        }
        if ticket == STOP_AND_LEAVE_RUNNING && *answer == NodeAnswer::Done {
            super::properties::check_left_running(self, id);
        }
        let stops = [STOP, STOP_AND_LEAVE_RUNNING].contains(&ticket) && *answer == NodeAnswer::Done;
        let Some(host) = self.hosts.get_mut(&id).filter(|_| stops) else { return };
        host.ends_at = Some(at);
        host.said_stopped = ticket == STOP;
        host.left_running = ticket == STOP_AND_LEAVE_RUNNING;
        host.taken_up.clear();
        self.tell(|| format!("node {id} says that its daemon may be ended"));
    }

    /// What was left running is taken up for good when the daemon registers: the witness counts a lease from then.
    fn takes_up(&mut self, id: NodeId) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&id) else { return };
        if core::mem::take(&mut host.left_running) {
            self.watch.adopted(now, id, self.setup.volume_ids());
        }
    }

    /// The process of such a daemon ends. The service manager starts it again after a while.
    pub(super) fn end_stopped(&mut self, id: NodeId) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&id).filter(|host| host.ends_at.is_some_and(|at| at <= now))
        else {
            return;
        };
        host.ends_at = None;
        let left_running = host.left_running;
        self.kill_daemon(id, self.setup.stopped_for);
        if let Some(host) = self.hosts.get_mut(&id) {
            host.pet_stop = None;
            host.left_running = left_running;
        }
        self.tell(|| format!("the daemon of node {id} ends"));
    }

    /// The witness process dies and is started again.
    pub fn kill_witness(&mut self, back: Duration) {
        self.witness = None;
        self.witness_at = Some(self.now + back);
        self.witness_stalled_until = None;
        self.witness_held.clear();
        let ids: Vec<NodeId> = self.net.witness.keys().copied().collect();
        for id in ids {
            self.break_stream(id, false);
        }
    }

    /// The witness's process is stopped. What arrives meanwhile waits in its sockets.
    pub fn stall_witness(&mut self, length: Duration) {
        self.witness_stalled_until = self.witness.is_some().then(|| self.now + length);
    }

    pub(super) fn witness_wakes(&mut self) {
        self.witness_stalled_until = None;
        for input in core::mem::take(&mut self.witness_held) {
            self.witness_takes(input);
        }
    }

    /// A stream ends at both ends. With `by_node` the node's end needs no telling.
    pub(super) fn break_stream(&mut self, id: NodeId, by_node: bool) {
        let Some(stream) = self.net.witness.remove(&id) else { return };
        // One that a stopped witness has not accepted yet is not there when it wakes up.
        self.witness_held.retain(|input| *input != witness::Input::Connected { node: id });
        if let Some(session) = stream.session
            && self.witness.is_some()
        {
            self.witness_takes(witness::Input::Disconnected { session });
        }
        if !by_node {
            self.inbox.push_back((id, Input::WitnessGone));
        }
    }

    /// The witness process is there and not stopped.
    pub(super) fn witness_runs(&self) -> bool {
        self.witness.is_some() && self.witness_stalled_until.is_none()
    }

    pub(super) fn witness_takes(&mut self, input: witness::Input) {
        if self.witness_stalled_until.is_some() {
            return self.witness_held.push_back(input);
        }
        let (now, fresh) = (self.now, self.fresh());
        let Some(witness) = &mut self.witness else { return };
        let speaker = super::properties::Speaker::of(&input);
        let ready = witness.step(now, input, fresh);
        let mut written = None;
        let Ok(released) = ready::commit(&mut WitnessDisk(&mut written), vec![((), ready)]);
        let before = written.is_some().then(|| core::mem::replace(&mut self.record, written)).flatten();
        self.witness_tick = witness.deadline().unwrap_or(Instant::NEVER);
        for effect in released.into_iter().flat_map(|(_, effects)| effects) {
            match effect {
                witness::Effect::Send { node, message } => self.witness_sends(node, message),
                witness::Effect::Close { session } => {
                    let at = self.net.witness.iter().find(|(_, stream)| stream.session == Some(session));
                    if let Some(id) = at.map(|(id, _)| *id) {
                        self.break_stream(id, false);
                    }
                }
                witness::Effect::OperatorAnswer { .. } => {}
                witness::Effect::Event(event) => self.tell_of(|| prose::of_witness(&event)),
                witness::Effect::Alarm(alarm) => {
                    self.tell(|| words::of_alarm(&alarm));
                    super::alarms::of_witness(self, &alarm);
                }
            }
        }
        if let Some(before) = before {
            super::properties::check_record(self, &before, speaker);
        }
    }

    pub(super) fn witness_sends(&mut self, node: NodeId, message: FromWitness) {
        let Some(stream) = self.net.witness.get_mut(&node) else { return };
        if matches!(message.body, Reply::Challenge { .. }) {
            stream.session = Some(message.session);
        }
        if stream.session == Some(message.session) {
            stream.down.push_back(message);
        }
    }

    /// What an operator has to type to attest that the node is off.
    #[must_use]
    pub fn challenge(&self, node: NodeId) -> Option<u32> {
        let permit = self.record.as_ref()?.nodes.get(&node)?.permit?;
        permit.asked.map(|asked| asked.challenge)
    }

    /// An operator asks at the witness.
    pub fn operator(&mut self, request: OperatorRequest) {
        self.witness_takes(witness::Input::Operator { ticket: 1, request });
    }
}
