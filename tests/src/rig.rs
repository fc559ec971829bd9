//! A lab cluster that many faults are played on, one after the other.
//!
//! Contract: between two faults everything is healed, in service and in sync, and the checker has compared
//! everything that any client was ever acknowledged with what is on the disks. Each node is written to all the time, by
//! the client that fails over and by one of its own, so that two nodes that take writes at once are seen. A cluster on
//! which something was not as it should be is not used again; its files are kept.

use crate::Failure;
use core::time::Duration;
use picket::demo::cluster::{
    Cluster, ClusterSpec, PICKETD, View, WITNESS, WITNESSD, Writers, ledger_program,
};
use picket::demo::machine::control::{PowerState, ProgramState};
use picket::demo::{Scene, VOLUME};
use picket_ledger::client::{Ack, Appender};
use picket_proto::v1::{MoveRequest, NodeRequest};
use std::path::{Path, PathBuf};
use tokio::runtime::{Handle, RuntimeFlavor};

/// How long anything may take that must happen: twenty times what it takes on an idle machine.
pub const LIMIT: Duration = Duration::from_secs(45);

/// A node that was fenced too often is held off until it is cleared; it shows within this time whether that is why
/// a cluster does not come back.
const COMES_BACK: Duration = Duration::from_secs(15);

/// How often a switch-over is asked for: a node that has just come back refuses until its quarantine is over.
const MOVES_MAX: usize = 40;

/// How long a switch-over that was asked for may take before it is asked for again.
const MOVE_TAKES: Duration = Duration::from_millis(500);

/// How many writes show that the service runs.
const RUNS: u64 = 30;

/// A cluster and its clients.
pub struct Rig {
    /// The cluster.
    pub cluster: Cluster,
    /// Absent only while [`Rig::judge`] compares.
    writers: Option<Writers>,
    /// What former clients were acknowledged.
    acks: Vec<Ack>,
}

impl Rig {
    /// Starts a cluster and waits until all is well on it.
    ///
    /// # Errors
    /// It cannot be started or is not well in time.
    pub async fn start(spec: ClusterSpec) -> Result<Self, Failure> {
        let cluster = Cluster::start(spec).await?;
        let writers = Some(cluster.writers(VOLUME)?);
        let rig = Self { cluster, writers, acks: Vec::new() };
        rig.cluster.wait_healthy(LIMIT).await?;
        rig.serves().await?;
        Ok(rig)
    }

    /// The client that appends without pause and fails over.
    ///
    /// # Errors
    /// A judgement broke off before.
    pub fn client(&self) -> Result<&Appender, Failure> {
        Ok(self.writers()?.client())
    }

    /// All clients.
    ///
    /// # Errors
    /// A judgement broke off before.
    pub fn writers(&self) -> Result<&Writers, Failure> {
        self.writers.as_ref().ok_or_else(|| "the clients were stopped and could not be started again".into())
    }

    /// Waits until the volume is in service and writes go on; says on which node.
    ///
    /// # Errors
    /// It is not in time.
    pub async fn serves(&self) -> Result<String, Failure> {
        let holder = self.cluster.wait_in_service(VOLUME, LIMIT).await?;
        Scene { cluster: &self.cluster, client: self.client()? }.writes_go_on("in service", RUNS).await?;
        Ok(holder)
    }

    /// The node that is not `holder`, of two.
    ///
    /// # Errors
    /// There is none.
    pub fn other(&self, holder: &str) -> Result<String, Failure> {
        self.cluster.spec().node_names().find(|name| name != holder).ok_or_else(|| "no other node".into())
    }

    /// Brings the volume to this node, if it is not there.
    ///
    /// # Errors
    /// It did not come.
    pub async fn hold_on(&self, node: &str) -> Result<(), Failure> {
        let there = |view: &View| view.in_service(VOLUME).as_deref() == Some(node);
        for _ in 0..MOVES_MAX {
            if there(&self.cluster.view().borrow()) {
                return Ok(());
            }
            let mut daemon = self.cluster.daemon(node).await.map_err(|fault| format!("{fault:?}"))?;
            // Refused while the quarantine lasts, with the reason, and left undone if it comes before the node can
            // act on it: asked for again then.
            let wait_ms = u64::try_from(MOVE_TAKES.as_millis()).unwrap_or(u64::MAX);
            let request = MoveRequest { tag: VOLUME.to_owned(), node: node.to_owned(), wait_ms };
            let _ = daemon.calls().r#move(request).await?;
            if self.cluster.wait_for("the volume moved", MOVE_TAKES, there).await.is_ok() {
                self.cluster.wait_healthy(LIMIT).await?;
            }
        }
        Err(format!("the volume did not come to {node}\n{}", *self.cluster.view().borrow()).into())
    }

    /// Undoes every fault and waits until all is well.
    ///
    /// # Errors
    /// It is not well in time: also a finding.
    pub async fn heal(&self) -> Result<(), Failure> {
        self.cluster.links().heal_everything();
        for name in self.cluster.spec().node_names().chain([WITNESS.to_owned()]) {
            self.repair(&name).await?;
        }
        if self.cluster.wait_healthy(COMES_BACK).await.is_err() {
            // So many faults may have a node held off, as it should; the operator lets it come back.
            self.clear().await?;
            self.cluster.wait_healthy(LIMIT).await?;
        }
        self.serves().await?;
        self.clear().await
    }

    async fn repair(&self, name: &str) -> Result<(), Failure> {
        let machine = self.cluster.machine(name)?;
        machine.switch_answers(true).await?;
        let status = machine.until(|status| status.power != PowerState::GoingOff).await?;
        if status.paused {
            machine.resume().await?;
        }
        if status.power == PowerState::Off {
            machine.power_on().await?;
            return Ok(());
        }
        for program in &status.programs {
            // It may go off meanwhile, by its watchdog or a fence, and comes back by itself then.
            let done = match program.state {
                ProgramState::Frozen => machine.thaw(&program.name).await,
                ProgramState::Ended => machine.start_program(&program.name).await,
                ProgramState::Running | ProgramState::Restarting => Ok(()),
            };
            if let Err(error) = done {
                let status = machine.until(|status| status.power != PowerState::GoingOff).await?;
                if status.power == PowerState::On && status.program(&program.name).is_some_and(is_still_down)
                {
                    return Err(error.into());
                }
                machine.power_on().await?;
            }
        }
        Ok(())
    }

    /// Forgets the fences of all nodes.
    async fn clear(&self) -> Result<(), Failure> {
        for node in self.cluster.spec().node_names() {
            let Ok(mut daemon) = self.cluster.daemon(&node).await else { continue };
            for held in self.cluster.spec().node_names() {
                // One daemon that reaches the witness is enough.
                let _ = daemon.calls().clear(NodeRequest { node: held }).await;
            }
        }
        Ok(())
    }

    /// Compares all that was ever acknowledged with what is on the disks, and looks for two writers at once.
    ///
    /// # Errors
    /// What the checker found; or that it could not compare.
    pub async fn judge(&mut self) -> Result<(), Failure> {
        let primary = self.cluster.wait_in_service(VOLUME, LIMIT).await?;
        if let Some(writers) = self.writers.take() {
            self.acks.extend(writers.stop().await?);
        }
        let report = apart(|| self.cluster.check(VOLUME, &primary, &self.acks))?;
        if !report.ok() {
            return Err(format!("VIOLATION: the checker found: {report:?}").into());
        }
        self.writers = Some(self.cluster.writers(VOLUME)?);
        Ok(())
    }

    /// How many acknowledgements were judged so far.
    #[must_use]
    pub fn judged(&self) -> usize {
        self.acks.len()
    }

    /// Ends it; the files go.
    ///
    /// # Errors
    /// Something cannot be ended or removed.
    pub async fn end(self) -> Result<(), Failure> {
        drop(self.writers);
        Ok(self.cluster.end().await?.remove()?)
    }

    /// Ends it and keeps the files; says where they are.
    ///
    /// # Errors
    /// Something cannot be ended.
    pub async fn keep(self) -> Result<PathBuf, Failure> {
        let Self { mut cluster, writers, .. } = self;
        cluster.keep_files();
        let dir = cluster.dir().to_owned();
        drop(writers);
        cluster.end().await?;
        Ok(dir)
    }
}

/// Work that takes its time, not on a thread that carries what nodes say to each other: they would take each other for
/// dead.
fn apart<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

fn is_still_down(program: &picket::demo::machine::control::ProgramStatus) -> bool {
    matches!(program.state, ProgramState::Frozen | ProgramState::Ended)
}

/// The programs of a machine, the node's daemon or the witness first.
#[must_use]
pub fn programs(machine: &str) -> Vec<String> {
    if machine == WITNESS {
        vec![WITNESSD.to_owned()]
    } else {
        vec![PICKETD.to_owned(), ledger_program(VOLUME)]
    }
}

/// The `picket` program that was built beside this one.
///
/// # Errors
/// It is not there.
pub fn program() -> Result<PathBuf, Failure> {
    let exe = std::env::current_exe()?;
    let found =
        exe.ancestors().skip(1).take(2).map(|dir: &Path| dir.join("picket")).find(|path| path.is_file());
    found.ok_or_else(|| {
        format!("no picket beside {}: build it with `cargo build --release`", exe.display()).into()
    })
}
