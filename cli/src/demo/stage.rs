//! The stage: the cluster that the acts are played on, the clients that never pause, and what acts need of both.

use super::cluster::{Cluster, ClusterSpec, LabError, PICKETD, View, WITNESS, Writers};
use super::display::Display;
use super::machine::control::{PowerState, ProgramState};
use super::report::ActReport;
use core::time::Duration;
use picket_host::clock;
use picket_ledger::client::Appender;
use std::time::UNIX_EPOCH;
use tokio::task::JoinHandle;

/// The volume of the demonstration.
pub const VOLUME: &str = "v1";

/// How long an act waits for one thing that should happen: twenty times what it takes on an idle machine, because
/// hosts are busy; no act waits so long if all goes well.
pub const LIMIT: Duration = Duration::from_secs(30);

/// How many acknowledgements show that the service runs again.
const RUNS_AGAIN: u64 = 50;

/// The moment of a fault, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// On the clock that the client measures by, in nanoseconds.
    pub boot_ns: u64,
    /// On the clock of the event logs, in milliseconds since 1970.
    pub wall_ms: u64,
}

impl Fault {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        let wall = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        let whole = |value: u128| u64::try_from(value).unwrap_or(u64::MAX);
        Self { boot_ns: whole(clock::boottime().as_nanos()), wall_ms: whole(wall.as_millis()) }
    }
}

/// A cluster being started: kept as a task, so that an interrupt does not leave half of one.
type Starting = JoinHandle<Result<Cluster, LabError>>;

/// The cluster and its clients.
pub struct Stage {
    /// The cluster.
    pub cluster: Cluster,
    /// Its clients.
    pub writers: Writers,
    /// Where the story is told.
    pub display: Display,
    /// Whether questions are asked at the terminal.
    pub interactive: bool,
    /// The start of another cluster that was begun and is not over.
    pub(super) starting: Option<Starting>,
    /// Further clusters, for what needs another configuration, the newest last.
    pub(super) others: Vec<(Cluster, Writers)>,
}

impl Stage {
    /// A stage around a cluster that was just started.
    ///
    /// # Errors
    /// The clients cannot be started.
    pub fn new(cluster: Cluster, display: Display, interactive: bool) -> Result<Self, LabError> {
        let writers = cluster.writers(VOLUME)?;
        Ok(Self { cluster, writers, display, interactive, starting: None, others: Vec::new() })
    }

    /// Starts another cluster beside the first, with clients of its own, and waits until all is well on it. It is
    /// the last of the others then.
    ///
    /// # Errors
    /// It cannot be started, or is not well in time.
    pub async fn start_another(&mut self, spec: ClusterSpec) -> Result<(), LabError> {
        let starting = self.starting.get_or_insert_with(|| tokio::spawn(Cluster::start(spec)));
        let started = starting.await;
        self.starting = None;
        let cluster = started.map_err(|error| LabError::Spec(error.to_string()))??;
        let writers = cluster.writers(VOLUME)?;
        self.others.push((cluster, writers));
        if let Some((cluster, _)) = self.others.last() {
            cluster.wait_healthy(LIMIT).await?;
        }
        Ok(())
    }

    /// The node that has the volume in service, and the other one.
    ///
    /// # Errors
    /// It is in service nowhere in time.
    pub async fn pair(&self) -> Result<(String, String), LabError> {
        let holder = self.cluster.wait_in_service(VOLUME, LIMIT).await?;
        let other = self.cluster.spec().node_names().find(|name| *name != holder);
        Ok((holder, other.ok_or_else(|| LabError::Nothing("other node".to_owned()))?))
    }

    /// Undoes everything that acts do, and waits until all is well and both replicas are in sync.
    ///
    /// # Errors
    /// It was not in time.
    pub async fn heal(&self) -> Result<View, LabError> {
        self.cluster.links().heal_everything();
        let names = self.cluster.spec().node_names().chain([WITNESS.to_owned()]);
        for name in names {
            let machine = self.cluster.machine(&name)?;
            machine.switch_answers(true).await?;
            let status = machine.until(|status| status.power != PowerState::GoingOff).await?;
            if status.power == PowerState::Off {
                machine.power_on().await?;
            } else if status.program(PICKETD).is_some_and(|program| program.state == ProgramState::Frozen) {
                machine.thaw(PICKETD).await?;
            }
        }
        self.cluster.wait_healthy(LIMIT).await
    }
}

/// What an act needs of one cluster and its client.
pub struct Scene<'s> {
    /// The cluster.
    pub cluster: &'s Cluster,
    /// Its client that fails over.
    pub client: &'s Appender,
}

impl Scene<'_> {
    /// Waits until so many more writes are acknowledged.
    ///
    /// # Errors
    /// They were not in time, or the client failed.
    pub async fn writes_go_on(&self, what: &str, count: u64) -> Result<(), LabError> {
        let target = self.client.count() + count;
        match tokio::time::timeout(LIMIT, self.client.reach(target)).await {
            Ok(reached) => reached.map_err(LabError::Client),
            Err(_) => Err(LabError::NotSeen {
                what: format!("{count} more acknowledged writes {what}"),
                limit: LIMIT,
                seen: self.cluster.view().borrow().to_string(),
            }),
        }
    }

    /// Waits until `node` was promoted after the fault and writes go on, and measures.
    ///
    /// # Errors
    /// It was not in time.
    pub async fn takeover(&self, node: &str, fault: Fault) -> Result<ActReport, LabError> {
        let promoted = |view: &View| view.first(node, "promoted", fault.wall_ms).is_some();
        let in_service = |view: &View| view.in_service(VOLUME).as_deref() == Some(node);
        let what = format!("{VOLUME} in service on {node}");
        let view = self.cluster.wait_for(what, LIMIT, |view| promoted(view) && in_service(view)).await?;
        self.writes_go_on("after the takeover", RUNS_AGAIN).await?;
        Ok(self.measured(&view, node, fault))
    }

    /// What the events after a fault say, and what the client saw.
    #[must_use]
    pub fn measured(&self, view: &View, node: &str, fault: Fault) -> ActReport {
        let after = |name: &str| {
            view.first(node, name, fault.wall_ms).map(|event| event.at_ms.saturating_sub(fault.wall_ms))
        };
        let granted = view.first(node, "granted", fault.wall_ms);
        let proof =
            granted.and_then(|event| event.text.rsplit_once("proof ")).map(|(_, word)| word.to_owned());
        ActReport {
            outage_ms: Some(self.outage_ms(fault)),
            detection_ms: after("peer-silent"),
            proof_ms: after("granted"),
            promotion_ms: after("promoted"),
            proof,
            ..ActReport::default()
        }
    }

    /// The longest time without an acknowledgement since the fault, in milliseconds.
    #[must_use]
    pub fn outage_ms(&self, fault: Fault) -> u64 {
        self.client.outage_since(fault.boot_ns).longest_gap_ns / 1_000_000
    }
}
