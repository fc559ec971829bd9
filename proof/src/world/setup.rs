//! What a simulated cluster consists of, and the configurations of its production machines.

use picket_core::ids::{NodeId, NodeSet, VolumeId};
use picket_core::node::{self, Barrier, LossAction};
use picket_core::params::{Params, Profile};
use picket_core::quorum::QuorumMode;
use picket_core::topology::{Device, DeviceKind, FencePlan, Level};
use picket_core::witness;
use std::collections::BTreeMap;
use std::time::Duration;

/// A cluster.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The timings.
    pub profile: Profile,
    /// Timings that no profile has, instead of the profile's.
    pub timing: Option<Params>,
    /// Those that an operator changes them to, machine by machine.
    pub later: Option<Params>,
    /// The configuration that an operator changes to, machine by machine, does not have the first volume.
    pub drops: bool,
    /// The machines, node 1 first.
    pub machines: Vec<MachineSetup>,
    /// The volumes, volume 1 first.
    pub volumes: Vec<VolumeSetup>,
    /// Heartbeat paths between each two nodes.
    pub paths: u8,
    /// How long a machine that has just booted waits for all members.
    pub cold_start: Duration,
    /// How the quorum check counts.
    pub quorum: QuorumMode,
    /// How much the witness's clock gains, in millionths.
    pub witness_drift_ppm: i64,
    /// How often the client of a volume writes, in milliseconds.
    pub write_every_ms: u64,
}

/// A machine.
#[derive(Clone, Debug)]
pub struct MachineSetup {
    /// It has a watchdog that counts.
    pub watchdog: bool,
    /// Its clocks and watchdog go on while it is paused from outside.
    pub pause_visible: bool,
    /// How much its clock gains, in millionths.
    pub drift_ppm: i64,
    /// How the others fence it.
    pub fencing: FencePlan,
}

/// A volume.
#[derive(Clone, Debug)]
pub struct VolumeSetup {
    /// Who has a replica.
    pub members: NodeSet,
    /// What a node does when it may hold it no longer.
    pub loss_action: LossAction,
    /// The barrier suffices for a lease proof of a machine that can be paused unseen.
    pub barrier_suffices: bool,
}

/// The longest that a driver may take; fault-free it takes milliseconds.
const DRIVER_TIMEOUT: Duration = Duration::from_secs(3);

impl Setup {
    /// So many equal nodes with one volume on all of them, one power device each.
    #[must_use]
    pub fn simple(nodes: u8) -> Self {
        let machine = MachineSetup {
            watchdog: true,
            pause_visible: true,
            drift_ppm: 0,
            fencing: plan(&[&[DeviceKind::Power]]),
        };
        let members = (1..=nodes).map(NodeId).collect();
        let volume = VolumeSetup { members, loss_action: LossAction::Fastboot, barrier_suffices: false };
        Self {
            profile: Profile::Fast,
            timing: None,
            later: None,
            drops: false,
            machines: vec![machine; usize::from(nodes)],
            volumes: vec![volume],
            paths: 2,
            cold_start: Duration::from_secs(5),
            quorum: QuorumMode::None,
            witness_drift_ppm: 0,
            write_every_ms: 50,
        }
    }

    /// The timings.
    #[must_use]
    pub fn params(&self) -> Params {
        self.timing.unwrap_or_else(|| self.profile.params())
    }

    /// Every node.
    #[must_use]
    pub fn members(&self) -> NodeSet {
        (1..=u8::try_from(self.machines.len()).unwrap_or(u8::MAX)).map(NodeId).collect()
    }

    /// Every volume, with who has a replica.
    pub fn volumes(&self) -> impl Iterator<Item = (VolumeId, &VolumeSetup)> {
        (1..).map(VolumeId).zip(&self.volumes)
    }

    /// What the witness is told, before or after the timings are changed.
    #[must_use]
    pub fn witness(&self, changed: bool) -> witness::Config {
        let (params, digest) = crate::timed(self.params(), self.later, changed);
        witness::Config {
            members: self.members(),
            volumes: self.volumes().map(|(id, volume)| (id, volume.members)).collect(),
            digest,
            params,
        }
    }

    /// What a node is told, before or after the timings are changed.
    #[must_use]
    pub fn node(&self, me: NodeId, changed: bool) -> node::Config {
        let (params, digest) = crate::timed(self.params(), self.later, changed);
        let members = self.members();
        let machine = &self.machines[usize::from(me.0) - 1];
        let others = || members.without(me).iter();
        let plan = |node: NodeId| self.machines[usize::from(node.0) - 1].fencing.clone();
        node::Config {
            me,
            members,
            digest,
            params,
            paths: others().map(|peer| (peer, self.paths)).collect(),
            volumes: self.node_volumes(me, changed),
            fencing: others().map(|peer| (peer, plan(peer))).collect(),
            watchdog: machine.watchdog && self.params().watchdog.is_some(),
            pause_visible: machine.pause_visible,
            cold_start: self.cold_start,
            quorum: self.quorum,
        }
    }

    fn node_volumes(&self, me: NodeId, changed: bool) -> BTreeMap<VolumeId, node::VolumeConfig> {
        self.volumes()
            .filter(|(_, volume)| volume.members.contains(me))
            .skip(usize::from(self.drops && changed))
            .map(|(id, volume)| {
                let config = node::VolumeConfig {
                    members: volume.members,
                    driver: 1,
                    loss_action: volume.loss_action,
                    barrier: Barrier::Replication,
                    barrier_suffices: volume.barrier_suffices,
                    demote_timeout: DRIVER_TIMEOUT,
                    promote_timeout: DRIVER_TIMEOUT,
                };
                (id, config)
            })
            .collect()
    }
}

/// A plan of these levels.
#[must_use]
pub fn plan(levels: &[&[DeviceKind]]) -> FencePlan {
    let device = |kind: &DeviceKind| Device {
        kind: *kind,
        timeout: Duration::from_secs(2),
        retries: 1,
        delay: Duration::ZERO,
    };
    FencePlan {
        levels: levels.iter().map(|kinds| Level { devices: kinds.iter().map(device).collect() }).collect(),
    }
}
