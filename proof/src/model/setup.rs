//! What the clusters of a family have in common: machines, timings, devices, and how they deviate.

use picket_core::evidence::SelfFence;
use picket_core::ids::{NodeId, NodeSet, VolumeId};
use picket_core::node::{self, Barrier, LossAction, VolumeConfig};
use picket_core::params::{Params, Watchdog};
use picket_core::quorum::QuorumMode;
use picket_core::time::Duration;
use picket_core::topology::{Device, DeviceKind, FencePlan, Level};
use picket_core::witness;

/// The model's clusters have so many nodes at most.
pub const NODES_MAX: usize = 4;

/// How a node can be fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Devices {
    /// Not at all.
    None,
    /// Each node has a power switch for each other.
    Power,
    /// A person is asked.
    Meatware,
}

/// What a family's clusters have in common.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// How many nodes.
    pub nodes: u8,
    /// How many volumes.
    pub volumes: u16,
    /// Volume v is first held by node v, counted round; otherwise node 1 holds them all.
    pub spread: bool,
    /// What machines promise of their own end.
    pub self_fence: SelfFence,
    /// What is done when authority is lost.
    pub loss_action: LossAction,
    /// How a node can be fenced.
    pub devices: Devices,
    /// The timings.
    pub params: Params,
    /// Those that an operator changes them to, machine by machine.
    pub later: Option<Params>,
    /// The configuration that an operator changes to, machine by machine, does not have the volume.
    pub drops: bool,
    /// How long a driver may take for a promotion, and for a demotion.
    pub driver: Duration,
    /// From power-on to a kernel that runs.
    pub boot: Duration,
    /// How long a fence agent may run.
    pub agent: Duration,
    /// How long a daemon is away that an operator stopped.
    pub stopped_for: Duration,
    /// How often a device is tried again.
    pub retries: u8,
    /// Every fence agent takes as long as it may.
    pub slow_agents: bool,
    /// By how many millionths each node's clock runs faster than the witness's, node 1 first; below zero: slower.
    pub drift: [i32; NODES_MAX],
    /// A machine that resets itself hangs; only its watchdog ends it.
    pub reset_hangs: bool,
}

/// A watchdog that counts, on a machine that is never paused unseen.
pub const WATCHED: SelfFence = SelfFence { watchdog_counts: true, pause_visible: true };
/// A guest that may be paused unseen.
pub const GUEST: SelfFence = SelfFence { watchdog_counts: true, pause_visible: false };
/// No watchdog.
pub const BARE: SelfFence = SelfFence { watchdog_counts: false, pause_visible: true };

/// How long a cold start waits for all members.
pub const COLD_START: Duration = ms(100);

pub(super) const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// About a hundredth of the profile `fast`, and shorter leases; every inequality holds.
#[must_use]
pub const fn timings() -> Params {
    let micros = Duration::from_micros;
    Params {
        heartbeat: ms(10),
        misses: 2,
        watchdog: Some(Watchdog { effective: ms(10), pet: ms(1) }),
        lease: ms(50),
        freeze_before: ms(16),
        guard: ms(2),
        lateness: micros(400),
        freeze_time: ms(3),
        start_within: ms(20),
    }
}

/// Leases that last long enough for a daemon to restart and to find out that the witness is lost.
#[must_use]
pub const fn long_leases() -> Params {
    Params { lease: ms(100), guard: ms(3), ..timings() }
}

/// A lease so long, and a petting period so short, that only the guard covers the drift of the clocks.
#[must_use]
pub const fn tight() -> Params {
    let watchdog = Some(Watchdog { effective: ms(10), pet: Duration::from_micros(200) });
    Params { watchdog, lease: ms(300), guard: Duration::from_micros(3500), ..long_leases() }
}

impl Setup {
    /// Two nodes or more, one volume, watchdogs, power switches, `osu`.
    #[must_use]
    pub const fn new(nodes: u8) -> Self {
        Self {
            nodes,
            volumes: 1,
            spread: false,
            self_fence: WATCHED,
            loss_action: LossAction::Osu,
            devices: Devices::Power,
            params: timings(),
            later: None,
            drops: false,
            driver: ms(30),
            boot: ms(30),
            agent: ms(8),
            stopped_for: ms(10),
            retries: 0,
            slow_agents: false,
            drift: [0; NODES_MAX],
            reset_hangs: false,
        }
    }

    /// By how many millionths the node's clock runs faster than the witness's.
    #[must_use]
    pub fn drift_of(&self, node: NodeId) -> i32 {
        let place = usize::from(node.0).checked_sub(1);
        place.and_then(|place| self.drift.get(place)).copied().unwrap_or_default()
    }

    /// Every node.
    #[must_use]
    pub fn members(&self) -> NodeSet {
        (1..=self.nodes).map(NodeId).collect()
    }

    /// The watchdog's time, where there is one.
    #[must_use]
    pub fn watchdog(&self) -> Option<Duration> {
        self.params.watchdog.map(|dog| dog.effective).filter(|_| self.self_fence.watchdog_counts)
    }

    pub(super) fn volume_ids(&self) -> impl Iterator<Item = VolumeId> + use<> {
        (1..=self.volumes).map(VolumeId)
    }

    pub(super) fn witness_config(&self, changed: bool) -> witness::Config {
        let volumes = self.volume_ids().map(|id| (id, self.members())).collect();
        let (params, digest) = crate::timed(self.params, self.later, changed);
        witness::Config { members: self.members(), volumes, digest, params }
    }

    pub(super) fn node_config(&self, me: NodeId, changed: bool) -> node::Config {
        let (params, digest) = crate::timed(self.params, self.later, changed);
        let volume = VolumeConfig {
            members: self.members(),
            driver: 1,
            loss_action: self.loss_action,
            barrier: Barrier::Replication,
            barrier_suffices: false,
            demote_timeout: self.driver,
            promote_timeout: self.driver,
        };
        let others = self.members().without(me);
        let volumes = self.volume_ids().skip(usize::from(self.drops && changed));
        node::Config {
            me,
            members: self.members(),
            digest,
            params,
            paths: others.iter().map(|peer| (peer, 1)).collect(),
            volumes: volumes.map(|id| (id, volume.clone())).collect(),
            fencing: others.iter().filter_map(|peer| Some((peer, self.plan()?))).collect(),
            watchdog: self.self_fence.watchdog_counts,
            pause_visible: self.self_fence.pause_visible,
            cold_start: COLD_START,
            quorum: QuorumMode::None,
        }
    }

    fn plan(&self) -> Option<FencePlan> {
        let kind = match self.devices {
            Devices::None => return None,
            Devices::Power => DeviceKind::Power,
            Devices::Meatware => DeviceKind::Meatware,
        };
        let device = Device { kind, timeout: self.agent, retries: self.retries, delay: Duration::ZERO };
        Some(FencePlan { levels: vec![Level { devices: vec![device] }] })
    }
}
