//! A whole cluster: machines, witness, network, and the writes of its clients.

use super::host::{Agent, BOOT_TIME, Host, VolumeAction2};
use super::net::{BREAKS_AFTER, Kind, Net, WITNESS, WitnessStream};
use super::replica::Replica;
use picket_core::evidence::SelfFence;
use picket_core::ids::{ConfigDigest, NodeId, NodeSet, Nonce, PathId, SessionId, StoreId, VolumeId};
use picket_core::message::{FenceReason, FromWitness, OperatorRequest, Reply};
use picket_core::node::{
    self, Barrier, CommandOutcome, Effect, Input, LossAction, Node, Role, VolumeConfig, VolumeReport,
};
use picket_core::params::{Params, Watchdog};
use picket_core::quorum::QuorumMode;
use picket_core::ready::{self, Store};
use picket_core::time::{Duration, Instant};
use picket_core::topology::{Device, DeviceKind, DeviceVerdict, FencePlan, Level, PowerAction};
use picket_core::witness::{self, Witness};
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;

/// What a family of runs has in common.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How many nodes.
    pub nodes: u8,
    /// How many volumes; volume v is first held by node v, counted round.
    pub volumes: u16,
    /// What machines promise of their own end.
    pub self_fence: SelfFence,
    /// What is done when authority is lost.
    pub loss_action: LossAction,
    /// Each node has a power device for each other.
    pub devices: bool,
}

/// A hundredth of the profile `fast`, and shorter leases; every inequality holds.
#[must_use]
pub fn timings() -> Params {
    let micros = Duration::from_micros;
    Params {
        heartbeat: micros(10_000),
        misses: 2,
        watchdog: Some(Watchdog { effective: micros(10_000), pet: micros(1000) }),
        lease: micros(50_000),
        freeze_before: micros(8000),
        guard: micros(2000),
        lateness: micros(400),
        freeze_time: micros(3000),
        start_within: micros(20_000),
    }
}

/// A state of the cluster.
#[derive(Clone)]
pub struct World {
    /// What the family has in common.
    pub setup: Setup,
    /// The time of the witness and of the world.
    pub now: Instant,
    /// The machines.
    pub hosts: BTreeMap<NodeId, Host>,
    /// The witness process.
    pub witness: Option<Box<Witness>>,
    /// Its durable record.
    pub record: Option<witness::Record>,
    /// It is started at this instant.
    pub witness_at: Option<Instant>,
    witness_tick: Instant,
    /// The network.
    pub net: Net,
    /// Inputs for daemons that have arrived.
    pub inbox: VecDeque<(NodeId, Input)>,
    /// How the next fence agents end; empty: they do what they should.
    pub agent_faults: VecDeque<AgentFault>,
    /// Acknowledged writes, by volume.
    pub acknowledged: BTreeMap<VolumeId, Vec<u16>>,
    next_write: u16,
    fresh: u128,
    /// Something that must not be.
    pub violations: Vec<String>,
    /// What happened, for people; kept only where it is asked for.
    pub told: Option<Vec<String>>,
}

/// How a fence agent fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AgentFault {
    /// It cannot tell, and did nothing.
    UnknownIdle,
    /// It cannot tell, and acts later.
    UnknownLate,
    /// It says that it failed.
    Fails,
    /// It takes as long as it may.
    Slow,
}

struct WitnessDisk<'a>(&'a mut Option<witness::Record>);

impl Store<(), witness::Record> for WitnessDisk<'_> {
    type Error = Infallible;

    fn persist(&mut self, (): &(), record: &witness::Record) -> Result<(), Infallible> {
        *self.0 = Some(record.clone());
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// How long a fence agent may run, in the plan.
const AGENT_TIMEOUT: Duration = Duration::from_millis(8);

impl World {
    /// All machines have just booted, the witness is new.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let now = Instant::BOOT + Duration::from_secs(100);
        let ids = 1..=setup.nodes;
        let volumes = || (1..=setup.volumes).map(VolumeId);
        let host = |id: u8| Host {
            id: NodeId(id),
            powered: true,
            booted_at: Some(now),
            boots: 1,
            runs: 0,
            daemon: None,
            daemon_at: None,
            stalled_until: None,
            paused_until: None,
            lag: Duration::ZERO,
            disk: node::Disk::default(),
            run: None,
            volumes: volumes().map(|volume| (volume, Replica::new())).collect(),
            commands: VecDeque::new(),
            agents: Vec::new(),
            pet_stop: None,
            tick_at: now,
            stop_hangs: false,
            held: VecDeque::new(),
        };
        Self {
            hosts: ids.map(|id| (NodeId(id), host(id))).collect(),
            witness: None,
            record: None,
            witness_at: Some(now),
            witness_tick: now,
            net: Net::default(),
            inbox: VecDeque::new(),
            agent_faults: VecDeque::new(),
            acknowledged: volumes().map(|volume| (volume, Vec::new())).collect(),
            next_write: 0,
            fresh: 1,
            violations: Vec::new(),
            told: None,
            now,
            setup,
        }
    }

    /// Every node.
    #[must_use]
    pub fn members(&self) -> NodeSet {
        (1..=self.setup.nodes).map(NodeId).collect()
    }

    fn witness_config(&self) -> witness::Config {
        let volumes = (1..=self.setup.volumes).map(|id| (VolumeId(id), self.members())).collect();
        witness::Config { members: self.members(), volumes, digest: ConfigDigest(1), params: timings() }
    }

    fn node_config(&self, me: NodeId) -> node::Config {
        let volume = VolumeConfig {
            members: self.members(),
            loss_action: self.setup.loss_action,
            barrier: Barrier::Replication,
            barrier_suffices: false,
            demote_timeout: Duration::from_millis(30),
            promote_timeout: Duration::from_millis(30),
        };
        let others = self.members().without(me);
        let device =
            Device { kind: DeviceKind::Power, timeout: AGENT_TIMEOUT, retries: 0, delay: Duration::ZERO };
        let plan = FencePlan { levels: vec![Level { devices: vec![device] }] };
        node::Config {
            me,
            members: self.members(),
            digest: ConfigDigest(1),
            params: timings(),
            paths: others.iter().map(|peer| (peer, 1)).collect(),
            volumes: (1..=self.setup.volumes).map(|id| (VolumeId(id), volume.clone())).collect(),
            fencing: others.iter().filter(|_| self.setup.devices).map(|peer| (peer, plan.clone())).collect(),
            watchdog: self.setup.self_fence.watchdog_counts,
            pause_visible: self.setup.self_fence.pause_visible,
            cold_start: Duration::from_millis(100),
            quorum: QuorumMode::None,
        }
    }

    fn fresh(&mut self) -> Nonce {
        self.fresh =
            self.fresh.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Nonce(self.fresh >> 16)
    }

    /// For people, where it is asked for.
    pub fn tell(&mut self, text: impl FnOnce() -> String) {
        let at = self.now.since(Instant::BOOT + Duration::from_secs(100));
        if let Some(told) = &mut self.told {
            told.push(format!("{:>8.1} ms  {}", at.as_secs_f64() * 1000.0, text()));
        }
    }

    /// Does one thing: delivers what has arrived, or lets time pass to the next thing that is due.
    pub fn step(&mut self) {
        if !self.deliver() {
            self.pass_time();
        }
        self.report_changes();
        super::properties::check(self);
    }

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

    fn stream_ready(&self, id: NodeId) -> bool {
        let Some(stream) = self.net.witness.get(&id) else { return false };
        let up =
            self.net.passes(id, WITNESS, Kind::Stream) && !stream.up.is_empty() && self.witness.is_some();
        let down = self.net.passes(WITNESS, id, Kind::Stream) && !stream.down.is_empty() && self.listens(id);
        up || down
    }

    fn listens(&self, id: NodeId) -> bool {
        self.hosts.get(&id).is_some_and(Host::daemon_runs)
    }

    fn deliver(&mut self) -> bool {
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

    fn inbox_later(&mut self, id: NodeId, input: Input) {
        // Heartbeats beyond a socket's buffer are lost; one of each kind is kept, which is the oldest.
        if let Some(host) = self.hosts.get_mut(&id) {
            host.held_back(input);
        }
    }

    fn deliver_witness(&mut self, id: NodeId) -> bool {
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

    fn deliver_peer(&mut self, to: NodeId) -> bool {
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
    fn carry_out(&mut self, id: NodeId) -> bool {
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

    /// Gives a daemon an input and does what it wants.
    pub fn feed(&mut self, id: NodeId, input: Input) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&id) else { return };
        let effects = host.step(now, input);
        for effect in effects {
            self.effect(id, effect);
        }
    }

    fn effect(&mut self, id: NodeId, effect: Effect) {
        match effect {
            Effect::Witness(message) => {
                if let Some(stream) = self.net.witness.get_mut(&id) {
                    stream.up.push_back(message);
                }
            }
            Effect::CloseWitness => self.break_stream(id, false),
            Effect::Beat { to, beat } => {
                if self.net.passes(id, to, Kind::Beats)
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
                if let Some(host) = self.hosts.get_mut(&id) {
                    host.commands.push_back((volume, command, action.into()));
                }
            }
            Effect::Device(order) => self.start_agent(id, order),
            Effect::Reset { power_off, reason } => {
                self.tell(|| format!("n{id}: resets itself: {reason:?}"));
                super::properties::check_reset(self, id);
                self.kill(id, !power_off);
            }
            Effect::Event(event) => self.tell(|| format!("n{id}: {event:?}")),
            Effect::Answer { .. } => {}
        }
    }

    fn start_agent(&mut self, id: NodeId, order: picket_core::topology::DeviceOrder) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&id) else { return };
        if host.clock(now) >= order.start_before {
            self.inbox
                .push_back((id, Input::DeviceDone { order: order.order, verdict: DeviceVerdict::TooLate }));
            return;
        }
        let fault = if order.action == PowerAction::Off { self.agent_faults.pop_front() } else { None };
        let ms = Duration::from_millis;
        let (acts, ends, verdict) = match fault {
            None => (Some(ms(3)), ms(4), DeviceVerdict::ConfirmedOff),
            Some(AgentFault::UnknownIdle) => (None, AGENT_TIMEOUT, DeviceVerdict::Unknown),
            Some(AgentFault::UnknownLate) => (Some(ms(25)), AGENT_TIMEOUT, DeviceVerdict::Unknown),
            Some(AgentFault::Fails) => (None, ms(2), DeviceVerdict::Failed),
            Some(AgentFault::Slow) => {
                (Some(AGENT_TIMEOUT - ms(1)), AGENT_TIMEOUT, DeviceVerdict::ConfirmedOff)
            }
        };
        let (target, action) = (order.target, order.action);
        host.agents.push(Agent {
            order: order.order,
            target,
            action,
            acts_at: acts.map(|after| now + after),
            ends_at: now + ends,
            verdict,
        });
        self.tell(|| format!("n{id}: fence agent for n{target}: {action:?}, {fault:?}"));
    }

    /// The machine loses its power, or its kernel.
    pub fn kill(&mut self, id: NodeId, reboots: bool) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&id) else { return };
        host.dies();
        host.powered = reboots;
        host.booted_at = reboots.then(|| now + BOOT_TIME);
        // No last word is sent: the far end of each stream finds out by itself.
        if let Some(stream) = self.net.witness.get_mut(&id) {
            stream.up.clear();
            stream.down.clear();
            stream.obstructed.get_or_insert(now);
        }
        self.net.peers.retain(|(from, to), _| *from != id && *to != id);
        self.inbox.retain(|(to, _)| *to != id);
        self.tell(|| format!("n{id}: dead{}", if reboots { ", reboots" } else { ", off" }));
    }

    /// Makes a dead machine run.
    pub fn power_on(&mut self, id: NodeId) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&id) else { return };
        if !host.powered {
            host.powered = true;
            host.booted_at = Some(now + BOOT_TIME);
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
        host.daemon_at = Some(now + back);
        host.commands.clear();
        host.agents.clear();
        host.held.clear();
        host.volumes.values_mut().for_each(|replica| replica.told = None);
        self.inbox.retain(|(to, _)| *to != id);
        self.break_stream(id, true);
    }

    fn start_daemon(&mut self, id: NodeId) {
        let config = self.node_config(id);
        let now = self.now;
        let run_id = Nonce(self.fresh().0 & 0xFFFF_FFFF);
        let Some(host) = self.hosts.get_mut(&id) else { return };
        host.daemon_at = None;
        host.runs += 1;
        let clock = host.clock(now);
        let disk = Some(host.disk.clone()).filter(|disk| disk.schema != 0);
        host.daemon = Some(Box::new(Node::new(config, disk, host.run.clone(), host.boot(), run_id, clock)));
        host.tick_at = clock;
        self.tell(|| format!("n{id}: daemon starts"));
    }

    /// The witness process dies and is started again.
    pub fn kill_witness(&mut self, back: Duration) {
        self.witness = None;
        self.witness_at = Some(self.now + back);
        let ids: Vec<NodeId> = self.net.witness.keys().copied().collect();
        for id in ids {
            self.break_stream(id, false);
        }
    }

    /// A stream ends at both ends. With `by_node` the node's end needs no telling.
    fn break_stream(&mut self, id: NodeId, by_node: bool) {
        let Some(stream) = self.net.witness.remove(&id) else { return };
        if let Some(session) = stream.session
            && self.witness.is_some()
        {
            self.witness_takes(witness::Input::Disconnected { session });
        }
        if !by_node {
            self.inbox.push_back((id, Input::WitnessGone));
        }
    }

    fn witness_takes(&mut self, input: witness::Input) {
        let (now, fresh) = (self.now, self.fresh());
        let Some(witness) = &mut self.witness else { return };
        let ready = witness.step(now, input, fresh);
        let Ok(released) = ready::commit(&mut WitnessDisk(&mut self.record), vec![((), ready)]);
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
                witness::Effect::Event(event) => self.tell(|| format!("witness: {event:?}")),
                witness::Effect::Alarm(alarm) => self.tell(|| format!("witness: ALARM {alarm:?}")),
            }
        }
    }

    fn witness_sends(&mut self, node: NodeId, message: FromWitness) {
        let Some(stream) = self.net.witness.get_mut(&node) else { return };
        if matches!(message.body, Reply::Challenge { .. }) {
            stream.session = Some(message.session);
        }
        if stream.session == Some(message.session) {
            stream.down.push_back(message);
        }
    }

    /// An operator asks at the witness.
    pub fn operator(&mut self, request: OperatorRequest) {
        self.witness_takes(witness::Input::Operator { ticket: 1, request });
    }

    // --- time

    fn pass_time(&mut self) {
        let next = self.next_instant();
        self.now = next.max(self.now);
        self.due_hosts();
        self.due_streams();
        if self.witness_at.is_some_and(|at| at <= self.now) {
            self.witness_at = None;
            let store = self.record.as_ref().map_or(StoreId(77), |record| record.store);
            let config = self.witness_config();
            self.witness = Some(Box::new(Witness::new(config, self.record.clone(), store, self.now)));
            self.witness_takes(witness::Input::Tick);
            self.tell(|| "witness starts".into());
        }
        if self.witness.is_some() && self.witness_tick <= self.now {
            self.witness_takes(witness::Input::Tick);
        }
        self.write_everywhere();
    }

    fn next_instant(&self) -> Instant {
        let effective = timings().watchdog.map(|watchdog| watchdog.effective);
        let mut next = self.now + timings().heartbeat;
        let mut consider = |at: Option<Instant>| next = next.min(at.unwrap_or(Instant::NEVER));
        for host in self.hosts.values() {
            let world = |at: Instant| at + host.lag;
            consider(host.booted_at);
            consider(host.daemon_at);
            consider(host.stalled_until);
            consider(host.paused_until);
            if host.daemon_runs() {
                consider(Some(world(host.tick_at)));
            }
            if host.paused_until.is_none() && self.setup.self_fence.watchdog_counts {
                consider(host.watchdog_at(effective).map(world));
            }
            for agent in &host.agents {
                consider(agent.acts_at);
                consider(Some(agent.ends_at));
            }
        }
        consider(self.witness_at);
        consider(Some(self.witness_tick).filter(|_| self.witness.is_some()));
        for stream in self.net.witness.values() {
            consider(stream.obstructed.map(|since| since + BREAKS_AFTER));
        }
        next.max(self.now + Duration::from_nanos(1))
    }

    fn due_hosts(&mut self) {
        let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
        for id in ids {
            self.due_power(id);
            self.due_agents(id);
            self.due_daemon(id);
        }
    }

    fn due_power(&mut self, id: NodeId) {
        let now = self.now;
        let counts = self.setup.self_fence.watchdog_counts;
        let effective = timings().watchdog.map(|watchdog| watchdog.effective).filter(|_| counts);
        let Some(host) = self.hosts.get_mut(&id) else { return };
        if host.booted_at.is_some_and(|at| at <= now) {
            host.booted_at = None;
            host.boots += 1;
            host.daemon_at = Some(now);
        }
        if host.paused_until.is_some_and(|at| at <= now) {
            host.paused_until = None;
        }
        let fires = host.paused_until.is_none()
            && host.watchdog_at(effective).is_some_and(|at| at <= host.clock(now));
        if fires {
            self.tell(|| format!("n{id}: the watchdog fires"));
            super::properties::check_reset(self, id);
            self.kill(id, true);
        }
    }

    fn due_agents(&mut self, id: NodeId) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&id) else { return };
        let mut acts = Vec::new();
        for agent in &mut host.agents {
            if agent.acts_at.is_some_and(|at| at <= now) {
                agent.acts_at = None;
                acts.push((agent.target, agent.action));
            }
        }
        let ended: Vec<Agent> = host
            .agents
            .iter()
            .copied()
            .filter(|agent| agent.ends_at <= now && agent.acts_at.is_none())
            .collect();
        // One that ended without a verdict may still act: its device has the command.
        host.agents.retain(|agent| agent.ends_at > now || agent.acts_at.is_some());
        for (target, action) in acts {
            match action {
                PowerAction::Off => self.kill(target, false),
                PowerAction::On => self.power_on(target),
            }
        }
        for agent in ended {
            self.inbox.push_back((id, Input::DeviceDone { order: agent.order, verdict: agent.verdict }));
        }
    }

    fn due_daemon(&mut self, id: NodeId) {
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
        let Some(host) = self.hosts.get_mut(&id) else { return };
        if host.daemon_runs() && host.tick_at <= host.clock(now) {
            self.feed(id, Input::Tick);
        }
        self.connect(id);
    }

    /// A stopped daemon runs again. Its petting thread was stopped with it, perhaps between looking at the clock
    /// and petting: it pets, looks again, is late, and resets.
    fn wakes(&mut self, id: NodeId) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&id) else { return };
        host.stalled_until = None;
        let late =
            host.pet_stop.is_some_and(|stop| stop < host.clock(now)) && self.setup.self_fence.watchdog_counts;
        let held: Vec<Input> = host.release_held();
        if late && !super::late_pet_goes_unnoticed() {
            self.tell(|| format!("n{id}: a late pet is noticed"));
            super::properties::check_reset(self, id);
            self.kill(id, true);
            return;
        }
        if late && let Some(host) = self.hosts.get_mut(&id) {
            host.pet_stop = Some(host.clock(now));
        }
        for input in held {
            self.inbox.push_back((id, input));
        }
        self.feed(id, Input::Tick);
    }

    fn connect(&mut self, id: NodeId) {
        let may = self.witness.is_some() && self.net.connects(id, WITNESS, Kind::Stream) && self.listens(id);
        if may && !self.net.witness.contains_key(&id) {
            let run = self.hosts.get(&id).map_or(0, |host| host.runs);
            self.net.witness.insert(id, WitnessStream { run, ..WitnessStream::default() });
            self.witness_takes(witness::Input::Connected { node: id });
        }
    }

    fn due_streams(&mut self) {
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
    }

    // --- volumes

    /// Whether two replicas reach each other.
    #[must_use]
    pub fn replicates(&self, a: NodeId, b: NodeId) -> bool {
        let up =
            |id: NodeId| self.hosts.get(&id).is_some_and(|host| host.runs() && host.paused_until.is_none());
        up(a) && up(b) && self.net.connects(a, b, Kind::Data)
    }

    fn replica(&self, id: NodeId, volume: VolumeId) -> Option<&Replica> {
        self.hosts.get(&id)?.volumes.get(&volume)
    }

    fn replica_mut(&mut self, id: NodeId, volume: VolumeId) -> Option<&mut Replica> {
        self.hosts.get_mut(&id)?.volumes.get_mut(&volume)
    }

    /// Whether a peer takes a primary's writes: it has promised no newer one.
    #[must_use]
    pub fn takes(&self, volume: VolumeId, primary: NodeId, peer: NodeId) -> bool {
        let (Some(from), Some(to)) = (self.replica(primary, volume), self.replica(peer, volume)) else {
            return false;
        };
        self.replicates(primary, peer) && to.role == Role::Secondary && to.max_epoch <= from.epoch
    }

    /// A connected secondary gets all that the primary has.
    fn catch_up(&mut self, volume: VolumeId, primary: NodeId, peer: NodeId) {
        let Some(from) = self.replica(primary, volume).filter(|from| from.role == Role::Primary).cloned()
        else {
            return;
        };
        if !self.takes(volume, primary, peer) {
            return;
        }
        if let Some(to) = self.replica_mut(peer, volume) {
            to.max_epoch = from.epoch;
            to.log = from.log;
            to.generation = from.generation;
            to.complete = true;
        }
    }

    /// Every client writes to whatever takes writes, and replicas that are behind catch up.
    fn write_everywhere(&mut self) {
        let volumes: Vec<VolumeId> = self.acknowledged.keys().copied().collect();
        let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
        for volume in volumes {
            for id in &ids {
                let writes = self.replica(*id, volume).is_some_and(Replica::takes_writes);
                let runs = self.hosts.get(id).is_some_and(|host| host.runs() && host.paused_until.is_none());
                if writes && runs {
                    self.write(volume, *id);
                    for peer in &ids {
                        if peer != id {
                            self.catch_up(volume, *id, *peer);
                        }
                    }
                }
            }
        }
    }

    fn write(&mut self, volume: VolumeId, id: NodeId) {
        self.next_write += 1;
        let number = self.next_write;
        let Some(replica) = self.replica_mut(id, volume) else { return };
        replica.log.push(number);
        let required = replica.required;
        let lost: NodeSet = required.iter().filter(|peer| !self.takes(volume, id, *peer)).collect();
        for peer in required.minus(lost).iter() {
            self.catch_up(volume, id, peer);
        }
        if let Some(replica) = self.replica_mut(id, volume) {
            replica.lost = lost;
        }
        if lost.is_empty() {
            super::properties::check_acknowledged(self, volume, id);
            if let Some(acknowledged) = self.acknowledged.get_mut(&volume) {
                acknowledged.push(number);
            }
        }
    }

    fn report(&self, id: NodeId, volume: VolumeId) -> Option<VolumeReport> {
        let replica = self.replica(id, volume)?;
        let others = || self.hosts.keys().copied().filter(|peer| *peer != id);
        let connected = others().filter(|peer| self.replicates(id, *peer)).collect();
        let same = |peer: &NodeId| {
            self.replica(*peer, volume)
                .is_some_and(|p| p.complete && p.generation.current == replica.generation.current)
        };
        let complete_peers = others().filter(|peer| self.takes(volume, id, *peer)).filter(same).collect();
        Some(VolumeReport {
            role: replica.role,
            frozen: replica.frozen,
            complete: replica.complete,
            generation: replica.generation.clone(),
            connected,
            complete_peers,
            required: replica.required,
            lost: replica.lost,
        })
    }

    fn report_one(&mut self, id: NodeId, volume: VolumeId) {
        let Some(report) = self.report(id, volume) else { return };
        let listens = self.hosts.get(&id).is_some_and(|host| host.daemon.is_some());
        let Some(replica) = self.replica_mut(id, volume) else { return };
        if listens && replica.told.as_ref() != Some(&report) {
            replica.told = Some(report.clone());
            self.inbox.push_back((id, Input::Volume { volume, report }));
        }
    }

    fn report_changes(&mut self) {
        let all: Vec<(NodeId, VolumeId)> =
            self.hosts.keys().flat_map(|id| self.acknowledged.keys().map(|volume| (*id, *volume))).collect();
        for (id, volume) in all {
            self.report_one(id, volume);
        }
    }

    /// Runs until then.
    pub fn run_until(&mut self, until: Instant) {
        while self.now < until && self.violations.is_empty() {
            self.step();
        }
    }

    /// Whether a fence that an operator asks for is one.
    #[must_use]
    pub const fn operator_reason() -> FenceReason {
        FenceReason::Operator
    }

    /// The session that a node's stream is on, for people.
    #[must_use]
    pub fn session_of(&self, id: NodeId) -> Option<SessionId> {
        self.net.witness.get(&id).and_then(|stream| stream.session)
    }
}

/// Carries out a command on a replica.
fn act(host: &mut Host, volume: VolumeId, action: VolumeAction2, now: Instant) -> CommandOutcome {
    let clock = host.clock(now);
    let id = host.id;
    let Some(replica) = host.volumes.get_mut(&volume) else {
        return CommandOutcome::Failed("no such volume".into());
    };
    let refuse = |text: &str| CommandOutcome::Failed(text.into());
    match action {
        VolumeAction2::Promote { epoch, required, valid_until } => {
            if clock >= valid_until {
                return refuse("too late");
            }
            if epoch <= replica.max_epoch || !replica.complete {
                return refuse("an older epoch, or incomplete");
            }
            replica.role = Role::Primary;
            replica.epoch = epoch;
            replica.max_epoch = epoch;
            replica.frozen = false;
            replica.required = required;
            replica.lost = NodeSet::EMPTY;
        }
        VolumeAction2::Demote => {
            replica.role = Role::Secondary;
            replica.frozen = false;
            replica.required = NodeSet::EMPTY;
            replica.lost = NodeSet::EMPTY;
        }
        VolumeAction2::Freeze => replica.frozen = true,
        VolumeAction2::Thaw { valid_until } => {
            if clock >= valid_until {
                return refuse("too late");
            }
            replica.frozen = false;
        }
        VolumeAction2::Drop(peer) => {
            replica.required = replica.required.without(peer);
            replica.lost = replica.lost.without(peer);
            replica.new_generation(id);
        }
        VolumeAction2::Require(peer) => replica.required = replica.required.with(peer),
    }
    CommandOutcome::Done
}
