//! A whole cluster: machines, witness, network, and the writes of its clients.

use super::host::Host;
use super::net::Net;
use super::replica::Replica;
use picket_core::evidence::SelfFence;
use picket_core::ids::{ConfigDigest, NodeId, NodeSet, Nonce, SessionId, VolumeId};
use picket_core::node::{self, Barrier, Input, LossAction, VolumeConfig};
use picket_core::params::{Params, Watchdog};
use picket_core::quorum::QuorumMode;
use picket_core::ready::Store;
use picket_core::time::{Duration, Instant};
use picket_core::topology::{Device, DeviceKind, FencePlan, Level};
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
    pub(super) witness_tick: Instant,
    /// The network.
    pub net: Net,
    /// Inputs for daemons that have arrived.
    pub inbox: VecDeque<(NodeId, Input)>,
    /// How the next fence agents end; empty: they do what they should.
    pub agent_faults: VecDeque<AgentFault>,
    /// Acknowledged writes, by volume.
    pub acknowledged: BTreeMap<VolumeId, Vec<u16>>,
    pub(super) next_write: u16,
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

pub(super) struct WitnessDisk<'a>(pub(super) &'a mut Option<witness::Record>);

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
pub(super) const AGENT_TIMEOUT: Duration = Duration::from_millis(8);

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

    pub(super) fn witness_config(&self) -> witness::Config {
        let volumes = (1..=self.setup.volumes).map(|id| (VolumeId(id), self.members())).collect();
        witness::Config { members: self.members(), volumes, digest: ConfigDigest(1), params: timings() }
    }

    pub(super) fn node_config(&self, me: NodeId) -> node::Config {
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

    pub(super) fn fresh(&mut self) -> Nonce {
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

    /// Runs until then.
    pub fn run_until(&mut self, until: Instant) {
        while self.now < until && self.violations.is_empty() {
            self.step();
        }
    }

    /// The session that a node's stream is on, for people.
    #[must_use]
    pub fn session_of(&self, id: NodeId) -> Option<SessionId> {
        self.net.witness.get(&id).and_then(|stream| stream.session)
    }
}
