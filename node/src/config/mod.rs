//! The configuration file `picketd.toml`: read whole before a port is bound, every error told at once with its
//! place.
//!
//! ```toml
//! [node]
//! name = "n1"
//! state_dir = "/var/lib/picket"                   # and run_dir = "/run/picket"
//! control_socket = "/run/picket/picketd.sock"     # control_group = "picket": who may ask besides root
//! on_stop = "switch-over"                         # or stay: what becomes of volumes when the daemon is stopped
//! fence_test_interval = "10min"                   # how often fence devices are tested without harm; "0s": never
//!
//! [cluster]
//! name = "east"
//! profile = "fast"                                # or lan-aggressive, wan, slow-watchdog
//! heartbeat_key = "/etc/picket/heartbeat.key"     # 64 hexadecimal digits, mode 0600
//! cold_start_timeout = "60s"
//! quorum = "majority"                             # or tcp_remote, storage, none
//! # timing.lease = "2500ms"                       # a profile's timing may be changed; as on the witness
//! ```
//! The members are listed as `[[member]]`, each with the paths that lead from this node to it:
//!
//! ```toml
//! [[member]]
//! name = "n1"
//! id = 1
//! peer_address = "10.0.0.1:7420"                  # here this node listens for its peers
//!
//! [[member]]
//! name = "n2"
//! id = 2
//! peer_address = "10.0.0.2:7420"
//! paths = [
//!   { network = "hb0", local = "10.0.0.1:7410", remote = "10.0.0.2:7410", prio = 1 },
//!   { network = "hb1", local = "10.1.0.1:7410", remote = "10.1.0.2:7410", prio = 2 },
//! ]
//!
//! [witness]
//! addresses = ["192.0.2.1:7443"]
//! server_name = "w1"                              # the witness's name in its certificate
//!
//! [tls]
//! ca = "/etc/picket/ca.pem"
//! cert = "/etc/picket/n1.pem"
//! key = "/etc/picket/n1.key"
//!
//! [watchdog]
//! kind = "device"                                 # or self-reset, none; under [lab] also lab
//! device = "/dev/watchdog0"
//! effective = "1s"                                # as measured on this machine
//!
//! [[volume]]
//! name = "pg"
//! id = 1
//! members = ["n1", "n2"]
//! driver = "ledger"                               # or command, drbd (drbd.resource = "r0")
//! ledger.socket = "/run/ledger.sock"
//! loss_action = "fastboot"                        # or freeze, osu, fastkill
//!
//! [[fence.n2.level]]
//! agent = "fence_ipmilan"                         # one device; several as [[fence.n2.level.device]]
//! timeout = "20s"                                 # and retries, delay
//! test = "full"                                   # or monitor, none: what is tested each node.fence_test_interval
//! actions = { off = "off", on = "on" }            # the agent's words; on = "none": it is not to power on
//! options = { ip = "10.9.0.2", username = "admin" }
//! secrets = { password = "/etc/picket/n2.password" }
//!
//! [[fence.n2.level]]
//! kind = "meatware"
//! ```

use core::net::SocketAddr;
use core::time::Duration;
use picket_core::ids::{ConfigDigest, NodeId, VolumeId};
use picket_core::node::{Barrier, LossAction};
use picket_core::params::{Params, Profile};
use picket_core::quorum::QuorumMode;
use picket_host::config::{Diagnostics, HostPort, Source};
use picket_host::logging::{Detail, Output};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

mod conditions;
mod device;
mod drbd;
mod fencing;
mod lookup;
mod machine;
mod members;
mod names;
mod postgresql;
mod read;
mod resources;
#[cfg(test)]
mod tests;
mod timing;
mod volumes;

pub use conditions::Condition;
pub use device::{ActionMap, FenceDevice, TestDepth};
pub use drbd::DrbdConfig;
pub use postgresql::{PostgreSql, Rejoin};
pub use resources::{Resource, ResourceKind, Service};

/// What the node daemon was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This node's name, as its certificate has it.
    pub name: String,
    /// This node.
    pub me: NodeId,
    /// The cluster's name, as the certificates have it.
    pub cluster: String,
    /// The timings' profile, before what was changed.
    pub profile: Profile,
    /// The timings; every inequality holds.
    pub params: Params,
    /// The file of the key of the heartbeats.
    pub heartbeat_key: PathBuf,
    /// How long a machine that has just booted waits for all members before it asks for a fence.
    pub cold_start: Duration,
    /// The quorum check.
    pub quorum: Quorum,
    /// Every member, this node included.
    pub members: BTreeMap<NodeId, Member>,
    /// Where this node listens for its peers.
    pub listen: SocketAddr,
    /// The witness.
    pub witness: Witness,
    /// The files of this node's identity.
    pub tls: Tls,
    /// What survives a crash of the machine.
    pub state_dir: PathBuf,
    /// What a boot of the machine empties.
    pub run_dir: PathBuf,
    /// Where operators' programs ask.
    pub control: Control,
    /// The machine's watchdog.
    pub watchdog: WatchdogConfig,
    /// Whether the machine's clocks and watchdog go on while it is paused from outside.
    pub pause_visible: bool,
    /// All volumes of the cluster.
    pub volumes: BTreeMap<VolumeId, Volume>,
    /// What runs above each volume, in an order in which it can be started.
    pub resources: BTreeMap<VolumeId, Vec<Resource>>,
    /// What this node looks at to know whether volumes should be here.
    pub conditions: Vec<Condition>,
    /// How peers are fenced: levels of devices.
    pub fencing: BTreeMap<NodeId, Vec<Vec<FenceDevice>>>,
    /// What becomes of this node's volumes when the daemon is stopped.
    pub on_stop: OnStop,
    /// How often the fence devices are tested; absent: never.
    pub test_interval: Option<Duration>,
    /// Where agents are looked up that are named without a path.
    pub agent_dirs: Vec<PathBuf>,
    /// What is run for events.
    pub alert: Option<Alert>,
    /// How it logs.
    pub log: Log,
    /// Nothing real is protected.
    pub lab: Option<Lab>,
    /// What works and should not stay so; one line each.
    pub warnings: Vec<String>,
}

/// What becomes of a node's volumes when its daemon is stopped, unless the stop itself says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnStop {
    /// Other nodes take them.
    #[default]
    SwitchOver,
    /// They go out of service; no other node takes them, and this one does when it is back.
    Stay,
}

impl OnStop {
    /// As the file has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::SwitchOver => "switch-over",
            Self::Stay => "stay",
        }
    }
}

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name, as its certificate has it.
    pub name: String,
    /// Where it stands, for people who have to go there; may be empty.
    pub site: String,
    /// Where it listens for its peers.
    pub peer_address: HostPort,
    /// The heartbeat paths from this node to it; none for this node itself.
    pub paths: Vec<HeartbeatPath>,
}

/// A heartbeat path to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatPath {
    /// The name of the network.
    pub network: String,
    /// From where this node sends, and where it listens.
    pub local: SocketAddr,
    /// Where the peer listens.
    pub remote: SocketAddr,
    /// For people; 1 is first.
    pub prio: u32,
}

/// The quorum check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// How it counts.
    pub mode: QuorumMode,
    /// For `tcp_remote` and `storage`: a majority of what must answer.
    pub asked: Asked,
    /// How often they are asked.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// What a quorum check asks besides members and witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Hosts that take a TCP connection; none, where the check asks nobody.
    Hosts(Vec<HostPort>),
    /// Directories on shared storage, in which each node writes a file of its own and reads it back.
    Directories(Vec<PathBuf>),
}

impl Asked {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Hosts(hosts) => hosts.len(),
            Self::Directories(directories) => directories.len(),
        }
    }

    /// Whether nobody is asked.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Where it is reached; tried in turn.
    pub addresses: Vec<HostPort>,
    /// Its name in its certificate; absent: any witness whose certificate names the address.
    pub server_name: Option<String>,
}

/// The files of this node's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate of the authority, PEM.
    pub ca: PathBuf,
    /// This node's certificate, PEM.
    pub cert: PathBuf,
    /// The private key of that certificate, PEM.
    pub key: PathBuf,
}

/// Where operators' programs ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The socket.
    pub socket: PathBuf,
    /// A group whose members may ask besides root and the daemon's own user.
    pub group: Option<String>,
}

/// The machine's watchdog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchdogConfig {
    /// What it is.
    pub kind: WatchdogKind,
    /// W as measured on this machine: from the last pet to the machine being dead.
    pub effective: Duration,
    /// p: how often it is petted.
    pub pet: Duration,
    /// What the user says about whether it counts for the lease proof.
    pub counts: Option<bool>,
}

/// What kind of watchdog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchdogKind {
    /// The kernel's device.
    Device {
        /// Its file.
        path: PathBuf,
        /// What the device is set to, in whole seconds; absent: the effective time, rounded down.
        timeout_s: Option<u32>,
    },
    /// The petting thread itself resets the machine through the kernel. Dies with the kernel, so it never counts.
    SelfReset,
    /// The watchdog of a lab machine.
    Lab {
        /// Its socket.
        socket: PathBuf,
    },
    /// None.
    None,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// The nodes that have a replica, in the order of preference.
    pub members: Vec<NodeId>,
    /// What drives it.
    pub driver: VolumeDriver,
    /// What to do when authority is lost.
    pub loss_action: LossAction,
    /// What keeps a write from being acknowledged before every in-sync replica has it.
    pub barrier: Barrier,
    /// Lease expiry may count although the machine can be paused unseen.
    pub barrier_suffices: bool,
    /// How long a demote may take.
    pub demote_timeout: Duration,
    /// How long a promote may take.
    pub promote_timeout: Duration,
}

/// What drives a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeDriver {
    /// The ledger's server.
    Ledger {
        /// Its control socket.
        socket: PathBuf,
    },
    /// Programs of the user.
    Command(Box<Commands>),
    /// A DRBD resource.
    Drbd(Box<DrbdConfig>),
    /// A PostgreSQL server.
    PostgreSql(Box<PostgreSql>),
}

impl Volume {
    /// Another number whenever something else is driven; how it is driven may change under a volume that is held. The
    /// name counts, which tells a user's program what it is about.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let what = match &self.driver {
            VolumeDriver::Ledger { socket } => format!("ledger {}", socket.display()),
            VolumeDriver::Command(commands) => format!("command {:?}", commands.status),
            VolumeDriver::Drbd(drbd) => format!("drbd {}", drbd.resource),
            VolumeDriver::PostgreSql(server) => format!("postgresql {}", server.data_directory.display()),
        };
        picket_proto::fnv1a(format!("{} {what}", self.name).as_bytes())
    }
}

/// The programs of the command driver, each with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commands {
    /// Makes it active.
    pub promote: Vec<String>,
    /// Makes it inactive.
    pub demote: Vec<String>,
    /// Suspends all I/O; absent: cannot be done.
    pub freeze: Option<Vec<String>>,
    /// Lifts a freeze.
    pub thaw: Option<Vec<String>>,
    /// Says what it is.
    pub status: Vec<String>,
    /// Writes need not wait for a peer any more.
    pub drop_peer: Option<Vec<String>>,
    /// Writes must wait for a peer.
    pub require_peer: Option<Vec<String>>,
    /// How often `status` is run; there is no event that tells of a change.
    pub monitor_interval: Duration,
    /// How long each program but promote and demote may run.
    pub timeout: Duration,
}

/// What is run for events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Names of events; empty: every event of WARN and above.
    pub events: Vec<String>,
    /// How long it may run.
    pub timeout: Duration,
}

/// How it logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// How much.
    pub detail: Detail,
    /// Where to.
    pub output: Output,
}

/// A machine made of processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lab {
    /// The file with the boot id.
    pub boot_id_file: PathBuf,
    /// The machine's power switch.
    pub power_socket: Option<PathBuf>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(path: &Path) -> Result<Self, Diagnostics> {
        Self::parse(&Source::read(path)?)
    }

    /// Reads a text.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(source: &Source) -> Result<Self, Diagnostics> {
        read::parse(source)
    }

    /// The fingerprint that the witness must come to as well.
    #[must_use]
    pub fn digest(&self) -> ConfigDigest {
        let members: Vec<_> = self.members.iter().map(|(id, member)| (*id, member.name.as_str())).collect();
        let volumes: Vec<_> = self
            .volumes
            .iter()
            .map(|(id, volume)| picket_proto::Volume {
                id: *id,
                name: &volume.name,
                members: volume.members.iter().copied().collect(),
            })
            .collect();
        picket_proto::digest(&members, &volumes, &self.params)
    }

    /// What the machine of the core is told. `watchdog_counts`: an armed watchdog counts for the lease proof.
    #[must_use]
    pub fn core(&self, watchdog_counts: bool) -> picket_core::node::Config {
        let volumes = self.own_volumes().map(|(id, volume)| {
            let config = picket_core::node::VolumeConfig {
                members: volume.members.iter().copied().collect(),
                driver: volume.fingerprint(),
                loss_action: volume.loss_action,
                barrier: volume.barrier,
                barrier_suffices: volume.barrier_suffices,
                demote_timeout: volume.demote_timeout + self.stop_within(id),
                promote_timeout: volume.promote_timeout,
            };
            (id, config)
        });
        let paths = self.peers().map(|(id, peer)| (id, u8::try_from(peer.paths.len()).unwrap_or(u8::MAX)));
        picket_core::node::Config {
            me: self.me,
            members: self.members.keys().copied().collect(),
            digest: self.digest(),
            params: self.params,
            paths: paths.collect(),
            volumes: volumes.collect(),
            fencing: self.fencing.iter().map(|(id, levels)| (*id, device::plan(levels))).collect(),
            watchdog: watchdog_counts,
            pause_visible: self.pause_visible,
            cold_start: self.cold_start,
            quorum: self.quorum.mode,
        }
    }
}
