//! A cluster with PostgreSQL, its clients, and what brings it back to health.

use super::client::{Clients, never_two, nothing_is_lost};
use super::servers::Servers;
use crate::Failure;
use crate::netns::Rooms;
use crate::rig::{LIMIT, program};
use core::time::Duration;
use picket::demo::cluster::{Cluster, ClusterSpec, LossAction, View};
use picket::demo::machine::control::{PowerState, ProgramState};
use picket_proto::v1::{MoveRequest, NodeRequest};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// The volume's name.
pub(super) const DATABASE: &str = "db";

/// How many writes show that the service runs.
const RUNS: u64 = 30;

/// How long a switch-over that was asked for may take before it is asked for again.
const MOVE_TAKES: Duration = Duration::from_secs(3);

/// How often a switch-over is asked for: a node that has just come back refuses until its quarantine is over.
const MOVES_MAX: usize = 15;

/// A cluster, its servers and its clients.
pub struct PgRig {
    /// The cluster.
    pub cluster: Cluster,
    /// The clients.
    pub clients: Clients,
    pub(super) servers: Servers,
    desks: Vec<(String, IpAddr)>,
}

impl PgRig {
    /// Starts everything; returns when the database is in service and both servers are in sync.
    ///
    /// # Errors
    /// It cannot be started, or does not come.
    pub async fn start(rooms: &Rooms) -> Result<Self, Failure> {
        let places = rooms.places();
        let nodes = ["n1", "n2"].map(str::to_owned);
        let of = nodes.iter().filter_map(|name| places.get_key_value(name));
        let servers = Servers::make(of)?;
        let desks: Vec<_> =
            nodes.iter().filter_map(|name| Some((name.clone(), places.get(name)?.desk))).collect();
        let spec = ClusterSpec {
            volumes: vec![DATABASE.to_owned()],
            drivers: BTreeMap::from([(DATABASE.to_owned(), servers.drivers())]),
            loss_action: LossAction::Osu,
            places,
            ..ClusterSpec::new(2, program()?)
        };
        let cluster = Cluster::start(spec).await?;
        let clients = Clients::start(&desks);
        let rig = Self { cluster, clients, servers, desks };
        match rig.comes_up().await {
            Ok(()) => Ok(rig),
            Err(error) => {
                let (lab, database) = rig.keep().await?;
                Err(format!("{error}\n  files: {} {}", lab.display(), database.display()).into())
            }
        }
    }

    async fn comes_up(&self) -> Result<(), Failure> {
        self.cluster.wait_healthy(LIMIT).await?;
        self.serves().await.map(drop)
    }

    /// Waits until the database is in service and writes go on; says where.
    ///
    /// # Errors
    /// It is not in time.
    pub async fn serves(&self) -> Result<String, Failure> {
        let holder = self.cluster.wait_in_service(DATABASE, LIMIT).await?;
        self.clients.go_on(RUNS, LIMIT).await?;
        Ok(holder)
    }

    /// The node that is not `holder`.
    #[must_use]
    pub fn other(&self, holder: &str) -> String {
        self.desks.iter().map(|(name, _)| name).find(|name| *name != holder).cloned().unwrap_or_default()
    }

    /// Brings the database to this node.
    ///
    /// # Errors
    /// It did not come.
    pub async fn move_to(&self, node: &str) -> Result<(), Failure> {
        let there = |view: &View| view.in_service(DATABASE).as_deref() == Some(node);
        for _ in 0..MOVES_MAX {
            let mut daemon = self.cluster.daemon(node).await.map_err(|fault| format!("{fault:?}"))?;
            let wait_ms = u64::try_from(MOVE_TAKES.as_millis()).unwrap_or(u64::MAX);
            let request = MoveRequest { tag: DATABASE.to_owned(), node: node.to_owned(), wait_ms };
            let _ = daemon.calls().r#move(request).await?;
            if self.cluster.wait_for("the database moved", MOVE_TAKES, there).await.is_ok() {
                return Ok(());
            }
        }
        Err(format!("the database did not come to {node}\n{}", *self.cluster.view().borrow()).into())
    }

    /// Undoes every fault and waits until both servers are in sync again.
    ///
    /// # Errors
    /// They are not in time.
    pub async fn heal(&self) -> Result<(), Failure> {
        for (name, _) in &self.desks {
            let machine = self.cluster.machine(name)?;
            machine.switch_answers(true).await?;
            let status = machine.until(|status| status.power != PowerState::GoingOff).await?;
            if status.power == PowerState::Off {
                machine.power_on().await?;
            }
            for program in status.programs.iter().filter(|it| it.state == ProgramState::Frozen) {
                // It may go off meanwhile, by its watchdog or a fence, and comes back by itself then.
                let _ = machine.thaw(&program.name).await;
            }
        }
        self.cluster.wait_healthy(LIMIT).await?;
        self.serves().await?;
        for (name, _) in &self.desks {
            let Ok(mut daemon) = self.cluster.daemon(name).await else { continue };
            for (held, _) in &self.desks {
                let _ = daemon.calls().clear(NodeRequest { node: held.clone() }).await;
            }
        }
        Ok(())
    }

    /// Compares what was acknowledged with what is on both servers, and looks for two writers at once.
    ///
    /// # Errors
    /// What was found.
    pub async fn judge(&self) -> Result<usize, Failure> {
        // What is acknowledged from here on need not be on the replica when it is read.
        let acks = self.clients.acks();
        self.clients.go_on(1, LIMIT).await?;
        for (name, address) in &self.desks {
            nothing_is_lost(&acks, name, *address).await?;
        }
        never_two(&acks)?;
        Ok(acks.len())
    }

    /// Ends it; the files go.
    ///
    /// # Errors
    /// Something cannot be ended or removed.
    pub async fn end(self) -> Result<(), Failure> {
        drop(self.clients);
        Ok(self.cluster.end().await?.remove()?)
    }

    /// Ends it and keeps the files; says where they are.
    ///
    /// # Errors
    /// Something cannot be ended.
    pub async fn keep(self) -> Result<(PathBuf, PathBuf), Failure> {
        let Self { mut cluster, clients, servers, .. } = self;
        drop(clients);
        cluster.keep_files();
        let lab = cluster.dir().to_owned();
        cluster.end().await?;
        Ok((lab, servers.keep()))
    }
}
