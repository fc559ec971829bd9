//! A cluster, its clients, and the verdict that every test ends with.

use core::time::Duration;
use picket::client::Daemon;
use picket::demo::cluster::{Cluster, ClusterSpec, Ended, LabError, LossAction, View, WITNESS, Writers};
use picket::demo::links::{Kind, Kinds};
use picket::demo::{Fault, Scene};
use picket_proto::v1::{self, StatusVolume};
use std::error::Error;
use std::path::PathBuf;

/// The volume of most tests.
pub(crate) const V1: &str = "v1";

/// Twenty times what anything here takes on an idle machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(40);

/// Several labs share the processors.
pub(crate) const PACE: Duration = Duration::from_millis(2);

/// What tests return; a failure says what was seen instead.
pub(crate) type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// Everything between two nodes but their power switches.
pub(crate) const CABLES: &[Kind] = &[Kind::Heartbeat(0), Kind::Heartbeat(1), Kind::Peer, Kind::Replication];

/// Runs a test's story.
pub(crate) fn play(story: impl Future<Output = Outcome>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    if let Err(error) = runtime.block_on(story) {
        panic!("{error}");
    }
}

/// What was asked for was done.
pub(crate) const fn is_done(outcome: &v1::Outcome) -> bool {
    matches!(outcome.result, Some(v1::outcome::Result::Done(_)))
}

/// The `picket` program, built before the tests.
pub(crate) fn program() -> PathBuf {
    let exe = std::env::current_exe().expect("this test's path");
    let found = exe.ancestors().skip(1).map(|dir| dir.join("picket")).find(|path| path.is_file());
    found.expect("target/…/picket: build it first with `cargo build -p picket`")
}

/// Two nodes with all protections. The loss action leaves the machine up, so that it can be looked at.
pub(crate) fn two() -> ClusterSpec {
    ClusterSpec { loss_action: LossAction::Osu, client_pace: Some(PACE), ..ClusterSpec::new(2, program()) }
}

/// A running cluster that is well, and its clients.
pub(crate) struct Lab {
    pub(crate) cluster: Cluster,
    pub(crate) writers: Writers,
    pub(crate) holder: String,
    pub(crate) other: String,
}

impl Lab {
    /// Brings a cluster up and waits until everything is in sync and writes flow.
    pub(crate) async fn start(spec: ClusterSpec) -> Result<Self, LabError> {
        let cluster = Cluster::start(spec).await?;
        let writers = cluster.writers(V1)?;
        cluster.wait_healthy(LIMIT).await?;
        let holder = cluster.wait_in_service(V1, LIMIT).await?;
        let other = cluster.spec().node_names().find(|name| *name != holder).expect("two nodes at least");
        let lab = Self { cluster, writers, holder, other };
        lab.scene().writes_go_on("at the start", 50).await?;
        Ok(lab)
    }

    /// A node's daemon, as an operator's program reaches it.
    pub(crate) async fn daemon(&self, node: &str) -> Result<Daemon, Box<dyn Error + Send + Sync>> {
        Ok(self.cluster.daemon(node).await.map_err(|fault| format!("{fault:?}"))?)
    }

    pub(crate) fn scene(&self) -> Scene<'_> {
        Scene { cluster: &self.cluster, client: self.writers.client() }
    }

    /// Cuts everything between a node and the witness.
    pub(crate) fn cut_witness(&self, node: &str) {
        self.cluster.links().cut_both(node, WITNESS, Kinds::All);
    }

    /// Cuts everything between two nodes but their power switches.
    pub(crate) fn cut_cables(&self, one: &str, other: &str) {
        self.cluster.links().cut_both(one, other, Kinds::Only(CABLES));
    }

    /// Waits until the volume on the node is as wanted.
    pub(crate) async fn volume(
        &self,
        node: &str,
        what: &str,
        wanted: impl Fn(&StatusVolume) -> bool,
    ) -> Result<StatusVolume, LabError> {
        let what = format!("{V1} on {node}: {what}");
        let view =
            self.cluster.wait_for(what, LIMIT, |view| view.volume(node, V1).is_some_and(&wanted)).await?;
        view.volume(node, V1).cloned().ok_or_else(|| LabError::Nothing(V1.to_owned()))
    }

    /// Waits for an event after the fault.
    pub(crate) async fn event(&self, by: &str, name: &str, fault: Fault) -> Result<View, LabError> {
        self.cluster
            .wait_for(format!("{name} by {by}"), LIMIT, |view| view.first(by, name, fault.wall_ms).is_some())
            .await
    }

    /// The other node takes over; says with which proof.
    pub(crate) async fn takeover(&self, fault: Fault) -> Result<String, LabError> {
        Ok(self.scene().takeover(&self.other, fault).await?.proof.unwrap_or_default())
    }

    /// The holder goes on alone: recorded as such, and writes flow.
    pub(crate) async fn holder_alone(&self) -> Outcome {
        let holder = self.holder.clone();
        self.volume(&holder, "solo", |volume| volume.solo && volume.isr == [holder.clone()]).await?;
        self.scene().writes_go_on("of the holder alone", 50).await?;
        Ok(())
    }

    /// How many fence devices were started since the fault.
    pub(crate) fn fences(&self, fault: Fault) -> usize {
        let view = self.cluster.view().borrow().clone();
        view.events()
            .iter()
            .filter(|event| event.name == "fence-device-started" && event.at_ms >= fault.wall_ms)
            .count()
    }

    /// Asserts that the volume did not move and nobody was fenced since the fault.
    pub(crate) fn nothing_moved(&self, fault: Fault) {
        assert_eq!(self.fences(fault), 0, "somebody was fenced\n{}", *self.cluster.view().borrow());
        let view = self.cluster.view().borrow().clone();
        assert!(view.first(&self.other, "promoted", fault.wall_ms).is_none(), "it moved\n{view}");
    }

    /// Ends everything and judges: nothing acknowledged is lost, nobody was ever active twice.
    pub(crate) async fn judge(self, primary: &str) -> Outcome {
        let Self { cluster, writers, .. } = self;
        let acks = writers.stop().await?;
        let ended: Ended = cluster.end().await?;
        let report = ended.check(V1, primary, &acks)?;
        let verdict = if report.ok() { Ok(()) } else { Err(format!("the checker found: {report:?}").into()) };
        ended.remove()?;
        verdict
    }
}
