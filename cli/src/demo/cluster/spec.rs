//! What a lab cluster is made of.

use super::error::LabError;
use super::{WITNESS, node_name};
use crate::demo::machine::AfterBite;
use core::time::Duration;
use picket_core::ids::NodeSet;
use picket_core::params::Profile;
use picket_node::config::OnStop;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// One level of how each node is fenced by the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FenceLevel {
    /// The machine's power switch.
    Process {
        /// How long one try may take.
        timeout: Duration,
    },
    /// A person.
    Meatware,
    /// What stands below `[[fence.TARGET.level]]`, for each target; `SWITCH` is where its power switch is reached.
    Lines(BTreeMap<String, String>),
}

/// A machine's watchdog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watchdog {
    /// One that kills the machine; counts for the lease proof.
    Counts,
    /// One that kills the machine, and of which the configuration says that it does not count.
    CountsNot,
    /// None.
    None,
}

/// What a node does when it loses its authority over a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossAction {
    /// Stays frozen.
    Freeze,
    /// Stops what stands above.
    Osu,
    /// Resets the machine, which boots again.
    Fastboot,
    /// Resets the machine, which stays off.
    Fastkill,
}

impl LossAction {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Freeze => "freeze",
            Self::Osu => "osu",
            Self::Fastboot => "fastboot",
            Self::Fastkill => "fastkill",
        }
    }
}

/// Where a machine runs that has a network of its own, and what connects it to the others. The cables of
/// [`Links`](crate::demo::links::Links) carry nothing then but the lines to the power switches: whoever made the
/// networks cuts them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What enters it: a program and its arguments, which a program and its arguments follow. Not empty.
    pub enter: Vec<String>,
    /// Its address in each network. The first one carries everything, each one a heartbeat path and a way to the
    /// witness. Not empty.
    pub networks: Vec<IpAddr>,
    /// Where the observer and clients come, also while every network is cut.
    pub desk: IpAddr,
}

/// A lab cluster. [`ClusterSpec::new`] is one with all protections; the fields may be changed.
#[derive(Clone, Debug)]
pub struct ClusterSpec {
    /// The cluster's name.
    pub name: String,
    /// How many nodes; 2 to 16.
    pub nodes: usize,
    /// The timings.
    pub profile: Profile,
    /// Timings that differ from the profile, as lines of the configuration: `("lease", "\"3s\"")`.
    pub timing: Vec<(String, String)>,
    /// How each node is fenced by the others, in order. Empty: not at all.
    pub fence: Vec<FenceLevel>,
    /// How often the nodes test their fence devices; `None`: as often as the daemon does unless told.
    pub fence_test_interval: Option<Duration>,
    /// What becomes of a node's volumes when its daemon is stopped.
    pub on_stop: OnStop,
    /// The machines' watchdogs.
    pub watchdog: Watchdog,
    /// What a machine does after its watchdog has bitten.
    pub after_bite: AfterBite,
    /// What a node does when it loses its authority.
    pub loss_action: LossAction,
    /// The volumes, by name; each node has a replica of each.
    pub volumes: Vec<String>,
    /// More tables for each node's configuration, such as resources; `NODE` in it is the node's name.
    pub more: String,
    /// Volumes that are no ledgers: the lines of the configuration that say what drives them, for each node in order.
    /// Whatever serves them is the driver's matter.
    pub drivers: BTreeMap<String, Vec<String>>,
    /// Heartbeat paths between two nodes; 1 to 8.
    pub paths: u8,
    /// How long a machine that has just booted waits for the others before it asks for a fence.
    pub cold_start: Duration,
    /// Milliseconds after which a daemon that ended is started again; `None`: it stays ended.
    pub restart_after_ms: Option<u64>,
    /// How long the volume servers wait for a silent peer, in milliseconds.
    pub peer_timeout_ms: u64,
    /// Clients begin appends at this interval at most; without one, as fast as they are acknowledged.
    pub client_pace: Option<Duration>,
    /// Whether the daemons log details.
    pub debug: bool,
    /// Seed of the cables' loss and jitter.
    pub seed: u64,
    /// Where everything lies; kept at the end. `None`: a new directory that [`Cluster::end`](super::Cluster::end)
    /// removes.
    pub dir: Option<PathBuf>,
    /// Where each machine runs, by name, the witness's too. Empty: all on this host's loopback, joined by cables.
    pub places: BTreeMap<String, Place>,
    /// The program that plays all programs (see [`multicall`](crate::multicall)).
    pub program: PathBuf,
    /// Words after the program that make it one, before `run-as`; for test programs.
    pub words: Vec<String>,
}

impl ClusterSpec {
    /// Nodes with a watchdog that counts, a power switch, one volume `v1` and two heartbeat paths, on the default
    /// timings.
    #[must_use]
    pub fn new(nodes: usize, program: impl Into<PathBuf>) -> Self {
        Self {
            name: "lab".to_owned(),
            nodes,
            profile: Profile::Fast,
            timing: Vec::new(),
            fence: vec![FenceLevel::Process { timeout: Duration::from_secs(5) }],
            fence_test_interval: None,
            on_stop: OnStop::SwitchOver,
            watchdog: Watchdog::Counts,
            after_bite: AfterBite::PowerOn { delay_ms: 500 },
            loss_action: LossAction::Fastboot,
            volumes: vec!["v1".to_owned()],
            more: String::new(),
            drivers: BTreeMap::new(),
            paths: 2,
            cold_start: Duration::from_secs(10),
            restart_after_ms: Some(200),
            peer_timeout_ms: 300,
            client_pace: None,
            debug: false,
            seed: 1,
            dir: None,
            places: BTreeMap::new(),
            program: program.into(),
            words: Vec::new(),
        }
    }

    /// The nodes' names.
    pub fn node_names(&self) -> impl Iterator<Item = String> + use<> {
        (1..=self.nodes).map(node_name)
    }

    /// Refuses what could not run.
    ///
    /// # Errors
    /// [`LabError::Spec`] with what is wrong.
    pub fn check(&self) -> Result<(), LabError> {
        let wrong = |what: String| Err(LabError::Spec(what));
        if !(2..=usize::from(NodeSet::MAX_NODES)).contains(&self.nodes) {
            return wrong(format!("{} nodes, 2 to {} are possible", self.nodes, NodeSet::MAX_NODES));
        }
        if !(1..=8).contains(&self.paths) {
            return wrong(format!("{} heartbeat paths, 1 to 8 are possible", self.paths));
        }
        if self.volumes.is_empty() || self.volumes.len() > picket_proto::VOLUMES_MAX {
            return wrong(format!(
                "{} volumes, 1 to {} are possible",
                self.volumes.len(),
                picket_proto::VOLUMES_MAX
            ));
        }
        if let Some((volume, _)) = self.drivers.iter().find(|(_, lines)| lines.len() != self.nodes) {
            return wrong(format!("the drivers of {volume} are not as many as the nodes"));
        }
        if !self.places.is_empty() {
            let mut machines = self.node_names().chain([WITNESS.to_owned()]);
            let usable = |place: &Place| !place.enter.is_empty() && !place.networks.is_empty();
            if let Some(name) = machines.find(|name| !self.places.get(name).is_some_and(usable)) {
                return wrong(format!("{name} has no place, or one without an entry or a network"));
            }
        }
        if !self.program.exists() {
            return wrong(format!("{}: no such program", self.program.display()));
        }
        Ok(())
    }
}
