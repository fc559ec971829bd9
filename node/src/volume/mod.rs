//! Volumes: what drives them, and what comes back from it.
//!
//! Each volume has a task of its own that owns its driver. Orders go in, each with a number; out come reports,
//! pushed at every change, and one outcome for each order. The task never waits for one order while another is to
//! be begun: a freeze does not stand behind a promote.
//!
//! Contract of a driver:
//! - `Done` is said only when the effect was seen; what is not known is `Unknown`, never `Done` or `Failed`.
//! - A role that cannot be seen is [`Role::Unknown`], never Secondary.
//! - A [`Promotion`](picket_core::node::Promotion) is redeemed with the clock read right before acting.

use crate::config::{Config, Volume, VolumeDriver as Configured};
use core::future::Future;
use core::pin::Pin;
use picket_core::ids::{NodeId, NodeSet, VolumeId};
use picket_core::node::{CommandId, CommandOutcome, Input, Recorded, Role, VolumeAction, VolumeReport};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, watch};

pub mod command;
pub mod drbd;
pub mod ledger;
pub mod postgresql;

/// Orders that wait for a driver: the core gives a volume one at a time, and a newer one in urgent cases.
pub const ORDERS_MAX: usize = 16;

/// One order to a driver.
#[derive(Debug)]
pub struct Order {
    /// Repeated in the outcome.
    pub command: CommandId,
    /// What to do.
    pub action: VolumeAction,
}

/// Where a driver tells.
#[derive(Clone, Debug)]
pub struct Teller {
    volume: VolumeId,
    into: mpsc::Sender<crate::driver::Wake>,
}

impl Teller {
    /// For one volume.
    #[must_use]
    pub const fn new(volume: VolumeId, into: mpsc::Sender<crate::driver::Wake>) -> Self {
        Self { volume, into }
    }

    /// The state, at the start and at each change.
    pub async fn report(&self, report: VolumeReport) {
        // A loop that is gone needs no report.
        let _ = self.into.send(Input::Volume { volume: self.volume, report }.into()).await;
    }

    /// How an order ended.
    pub async fn done(&self, command: CommandId, outcome: CommandOutcome) {
        let _ = self.into.send(Input::VolumeDone { volume: self.volume, command, outcome }.into()).await;
    }
}

/// A driver's whole life.
pub type Life = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What can drive a volume.
pub trait VolumeDriver: Send {
    /// Reports the state, then carries orders out and reports every change, until the orders end. Ending leaves
    /// the volume as it is.
    fn live(self: Box<Self>, orders: mpsc::Receiver<Order>, teller: Teller) -> Life;
}

/// What a driver is told about its volume and the cluster.
#[derive(Clone, Debug)]
pub struct About {
    /// The volume.
    pub id: VolumeId,
    /// Its name.
    pub name: String,
    /// This node.
    pub me: NodeId,
    /// The nodes with a replica.
    pub members: NodeSet,
    /// Names of all members.
    pub names: BTreeMap<NodeId, String>,
    /// Where this node keeps what outlives a boot.
    pub state_dir: PathBuf,
    /// The peers that are heard, for a driver that cannot see its replicas itself.
    pub heard: watch::Receiver<NodeSet>,
    /// The nodes that a fence has confirmed off, and that were not heard since.
    pub fenced: watch::Receiver<NodeSet>,
    /// What is recorded of the volume: whom a replica may follow.
    pub recorded: watch::Receiver<Recorded>,
    /// Where a driver says what it cannot protect.
    pub gaps: Gaps,
    /// Whether the volume has a barrier.
    pub has_barrier: bool,
}

/// What drivers say for the status beside their reports: what they cannot protect, in a line each, and how far a resync is.
#[derive(Clone, Debug, Default)]
pub struct Gaps {
    gaps: Arc<Mutex<BTreeMap<VolumeId, String>>>,
    resyncs: Arc<Mutex<BTreeMap<VolumeId, u32>>>,
}

impl Gaps {
    /// Takes the place of what was said of the volume before; says whether it is news.
    pub fn say(&self, volume: VolumeId, text: Option<String>) -> bool {
        let mut gaps = self.gaps.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match &text {
            Some(text) => gaps.insert(volume, text.clone()),
            None => gaps.remove(&volume),
        };
        before != text
    }

    /// All of it.
    #[must_use]
    pub fn all(&self) -> BTreeMap<VolumeId, String> {
        self.gaps.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many per cent of a resync are done; none: there is none, or it is not known.
    pub fn say_resync(&self, volume: VolumeId, percent: Option<u32>) {
        let mut resyncs = self.resyncs.lock().unwrap_or_else(PoisonError::into_inner);
        match percent {
            Some(percent) => drop(resyncs.insert(volume, percent)),
            None => drop(resyncs.remove(&volume)),
        }
    }

    /// The same, as it was last said.
    #[must_use]
    pub fn resync(&self, volume: VolumeId) -> Option<u32> {
        self.resyncs.lock().unwrap_or_else(PoisonError::into_inner).get(&volume).copied()
    }
}

/// What is told of a replica that cannot be seen any more: what was last said may be over, its data is what it was.
fn unseen(last: &VolumeReport) -> VolumeReport {
    VolumeReport {
        role: Role::Unknown,
        frozen: false,
        connected: NodeSet::EMPTY,
        complete_peers: NodeSet::EMPTY,
        ..last.clone()
    }
}

impl About {
    /// What the configuration says of the volume.
    #[must_use]
    pub fn new(
        config: &Config,
        id: VolumeId,
        volume: &Volume,
        heard: watch::Receiver<NodeSet>,
        fenced: watch::Receiver<NodeSet>,
        recorded: watch::Receiver<Recorded>,
        gaps: Gaps,
    ) -> Self {
        Self {
            id,
            name: volume.name.clone(),
            me: config.me,
            members: volume.members.iter().copied().collect(),
            names: config.members.iter().map(|(id, member)| (*id, member.name.clone())).collect(),
            state_dir: config.state_dir.clone(),
            heard,
            fenced,
            recorded,
            gaps,
            has_barrier: volume.barrier == picket_core::node::Barrier::Replication,
        }
    }

    /// The names of a set of members.
    #[must_use]
    pub fn names_of(&self, set: NodeSet) -> String {
        let names: Vec<_> = set.iter().filter_map(|id| self.names.get(&id).cloned()).collect();
        names.join(" ")
    }
}

/// Letters of others' words that are repeated: more than any message of one line has.
const LINE_CHARS_MAX: usize = 1000;

/// What another program wrote, as one line for people: it can neither begin a line of a log nor drive a terminal.
#[must_use]
pub fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let plain = |letter: char| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter };
    lines.join("; ").chars().map(plain).take(LINE_CHARS_MAX).collect()
}

/// The driver of a volume.
#[must_use]
pub fn driver(configured: &Configured, about: About) -> Box<dyn VolumeDriver> {
    match configured {
        Configured::Ledger { socket } => Box::new(ledger::Ledger::new(socket.clone(), about)),
        Configured::PostgreSql(conf) => Box::new(postgresql::Postgres::new((**conf).clone(), about)),
        Configured::Command(commands) => Box::new(command::Command::new((**commands).clone(), about)),
        Configured::Drbd(drbd) => Box::new(drbd::Drbd::new((**drbd).clone(), about)),
    }
}
