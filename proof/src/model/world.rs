//! A whole cluster: machines, witness, network, and the writes of its clients.

use super::host::{Host, rate};
use super::net::Net;
use super::replica::Replica;
use super::setup::Setup;
use super::watch::Watch;
use picket_core::ids::{NodeId, NodeSet, Nonce, StoreId, VolumeId};
use picket_core::node::{self, Input};
use picket_core::ready::Store;
use picket_core::time::{Duration, Instant};
use picket_core::witness::{self, Witness};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;

/// When every run begins: far enough from the boot for nothing to be cut off at it.
#[must_use]
pub fn start() -> Instant {
    Instant::BOOT + Duration::from_secs(100)
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
    /// An older copy of that record.
    pub backup: Option<witness::Record>,
    /// The store that the next witness runs on.
    pub store: StoreId,
    /// It is started at this instant.
    pub witness_at: Option<Instant>,
    pub(super) witness_tick: Instant,
    /// The witness process does not run until then (SIGSTOP).
    pub(super) witness_stalled_until: Option<Instant>,
    /// What came to it meanwhile, but for the messages of streams.
    pub(super) witness_held: VecDeque<witness::Input>,
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
    /// Whose configuration is the later one, also the witness's.
    pub changed: BTreeSet<NodeId>,
    /// Hosts are served in the other order.
    pub reversed: bool,
    /// What the properties remember.
    pub watch: Watch,
    /// How many things have happened in this instant.
    pub(super) at_once: u16,
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
    /// It acts at once and tells as late as it may.
    TellsLate,
}

impl std::fmt::Display for AgentFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::UnknownIdle => "does nothing and cannot tell",
            Self::UnknownLate => "cannot tell, and acts later",
            Self::Fails => "fails",
            Self::Slow => "acts as late as it may",
            Self::TellsLate => "acts at once and tells late",
        })
    }
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

impl World {
    /// All machines have just booted, the witness is new.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let now = start();
        let ids = 1..=setup.nodes;
        let host = |id: u8| Host {
            id: NodeId(id),
            powered: true,
            booted_at: Some(now),
            boots: 1,
            runs: 0,
            daemon: None,
            daemon_at: None,
            ends_at: None,
            said_stopped: false,
            left_running: false,
            taken_up: BTreeMap::new(),
            stalled_until: None,
            paused_until: None,
            lag: Duration::ZERO,
            rate: rate(setup.drift_of(NodeId(id))),
            reset_hangs: setup.reset_hangs,
            tears: false,
            torn_at: None,
            driver_until: None,
            blind_until: None,
            disk: node::Disk::default(),
            epochs_fell: false,
            run: None,
            volumes: setup.volume_ids().map(|volume| (volume, Replica::new())).collect(),
            commands: VecDeque::new(),
            agents: Vec::new(),
            pet_stop: None,
            tick_at: now,
            stop_hangs: false,
            promotes_slowly: false,
            promotes_until_frozen: false,
            promotes_alone: false,
            orphan: None,
            promoting: None,
            dies_between: false,
            thaw_fault: None,
            late_thaw: None,
            held: VecDeque::new(),
        };
        Self {
            hosts: ids.map(|id| (NodeId(id), host(id))).collect(),
            witness: None,
            record: None,
            backup: None,
            store: StoreId(77),
            witness_at: Some(now),
            witness_tick: now,
            witness_stalled_until: None,
            witness_held: VecDeque::new(),
            net: Net::default(),
            inbox: VecDeque::new(),
            agent_faults: VecDeque::new(),
            acknowledged: setup.volume_ids().map(|volume| (volume, Vec::new())).collect(),
            next_write: 0,
            fresh: 1,
            changed: BTreeSet::new(),
            reversed: false,
            at_once: 0,
            watch: Watch::default(),
            violations: Vec::new(),
            told: None,
            now,
            setup,
        }
    }

    /// Every node.
    #[must_use]
    pub fn members(&self) -> NodeSet {
        self.setup.members()
    }

    pub(super) fn fresh(&mut self) -> Nonce {
        self.fresh =
            self.fresh.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Nonce(self.fresh >> 16)
    }

    /// For people, where it is asked for.
    pub fn tell(&mut self, text: impl FnOnce() -> String) {
        self.tell_of(|| Some(text()));
    }

    /// The same for what may not be worth telling.
    pub fn tell_of(&mut self, text: impl FnOnce() -> Option<String>) {
        let at = self.now.since(start());
        if let Some(told) = &mut self.told
            && let Some(text) = text()
        {
            told.push(format!("{:>8.1} ms  {text}", at.as_secs_f64() * 1000.0));
        }
    }

    /// Does one thing: delivers what has arrived, or lets time pass to the next thing that is due.
    pub fn step(&mut self) {
        if self.deliver() {
            self.at_once = self.at_once.saturating_add(1);
        } else {
            self.pass_time();
            self.at_once = 0;
        }
        self.report_changes();
        super::properties::check(self);
    }

    /// Runs until then, or until something is violated.
    pub fn run_until(&mut self, until: Instant) {
        while self.now < until && self.violations.is_empty() {
            self.step();
        }
    }
}
