//! The rows that are played, and what must follow.

use super::rooms::{NETWORKS, Rooms};
use crate::Failure;
use crate::rig::{LIMIT, Rig};
use picket::demo::cluster::{View, WITNESS};
use picket::demo::{Fault, Scene, VOLUME};

/// Writes that take longer, at the client's pace of one in 2 ms, than any lease lasts by itself.
const LONGER_THAN_A_LEASE: u64 = 1800;

/// How many writes show that the service runs.
const RUNS: u64 = 50;

/// A row of the failure matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// Row 1: the active machine loses its power.
    KillActive,
    /// Row 4: both cables of the holder are pulled.
    IsolateHolder,
    /// Row 4, with a power switch that does not answer.
    IsolateHolderAndSwitch,
    /// Row 5: both cables of the standby are pulled.
    IsolateStandby,
    /// Row 6, one direction: what the witness says does not reach the holder.
    HolderDeafToWitness,
    /// Row 7: what the holder says does not reach the standby.
    StandbyDeafToHolder,
    /// One of two heartbeat paths is lost, in one direction after the other.
    OnePath,
    /// The network that carries everything is lost between the nodes; the other one lives.
    MainNetwork,
    /// Row 12: everything is cut.
    All,
    /// A condition: the cable to what a node pings is pulled, at one node and then at both.
    Gateway,
}

impl Row {
    /// Every row.
    pub const EVERY: [Self; 10] = [
        Self::KillActive,
        Self::IsolateHolder,
        Self::IsolateHolderAndSwitch,
        Self::IsolateStandby,
        Self::HolderDeafToWitness,
        Self::StandbyDeafToHolder,
        Self::OnePath,
        Self::MainNetwork,
        Self::All,
        Self::Gateway,
    ];

    /// Whether it needs nodes that ping the gateway.
    #[must_use]
    pub const fn pings(self) -> bool {
        matches!(self, Self::Gateway)
    }
}

struct Play<'p> {
    rig: &'p Rig,
    rooms: &'p Rooms,
    holder: String,
    other: String,
    fault: Fault,
}

/// Plays one row on a cluster that is well, heals everything, and has the checker judge.
///
/// # Errors
/// What did not follow, or what the checker found.
pub async fn play(rig: &mut Rig, rooms: &Rooms, row: Row) -> Result<(), Failure> {
    let holder = rig.serves().await?;
    let other = rig.other(&holder)?;
    let play = Play { rig, rooms, holder, other, fault: Fault::now() };
    let followed = play.row(row).await;
    rooms.heal()?;
    let healed = rig.heal().await;
    rig.judge().await?;
    followed?;
    healed
}

impl Play<'_> {
    async fn row(&self, row: Row) -> Result<(), Failure> {
        let Self { rig, rooms, holder, other, .. } = self;
        match row {
            Row::KillActive => {
                rig.cluster.machine(holder)?.power_off().await?;
                self.taken_over("FENCED").await
            }
            Row::IsolateHolder => {
                self.unplug(holder)?;
                self.taken_over("FENCED").await
            }
            Row::IsolateHolderAndSwitch => {
                rig.cluster.machine(holder)?.switch_answers(false).await?;
                self.unplug(holder)?;
                self.taken_over("LEASE").await?;
                let inactive = |view: &View| {
                    view.volume(holder, VOLUME).is_none_or(|volume| volume.frozen || volume.state != "ISP")
                };
                rig.cluster.wait_for("the old holder inactive", LIMIT, inactive).await?;
                Ok(())
            }
            Row::IsolateStandby => {
                self.unplug(other)?;
                self.alone().await
            }
            Row::HolderDeafToWitness => {
                rooms.deafen(holder, WITNESS)?;
                self.told(holder, "failsafe").await?;
                self.scene()?.writes_go_on("in failsafe", LONGER_THAN_A_LEASE).await?;
                self.drops(holder)?;
                self.nothing_moved()
            }
            Row::StandbyDeafToHolder => {
                rooms.deafen(other, holder)?;
                self.alone().await?;
                self.drops(other)
            }
            Row::OnePath => self.one_path().await,
            Row::MainNetwork => {
                rooms.unplug(other, 0)?;
                self.told(holder, "path-failed").await?;
                self.alone().await
            }
            Row::Gateway => self.gateway().await,
            Row::All => {
                for machine in [holder, other, WITNESS] {
                    self.unplug(machine)?;
                }
                let nowhere = |view: &View| view.is_nowhere(VOLUME);
                rig.cluster.wait_for("the volume nowhere in service", LIMIT, nowhere).await?;
                Ok(())
            }
        }
    }

    /// What a machine sends into its second network is swallowed; only the one that hears less can tell.
    async fn one_path(&self) -> Result<(), Failure> {
        for (mute, hears_less) in [(&self.holder, &self.other), (&self.other, &self.holder)] {
            let from = Fault::now();
            self.rooms.mute(mute, 1)?;
            let told = |view: &View| view.first(hears_less, "path-failed", from.wall_ms).is_some();
            self.rig.cluster.wait_for(format!("path-failed by {hears_less}"), LIMIT, told).await?;
            self.scene()?.writes_go_on("on the other path", LONGER_THAN_A_LEASE).await?;
            self.rooms.heal()?;
            let told = |view: &View| view.first(hears_less, "path-restored", from.wall_ms).is_some();
            self.rig.cluster.wait_for(format!("path-restored by {hears_less}"), LIMIT, told).await?;
        }
        let view = self.rig.cluster.view().borrow().clone();
        let noticed = ["frozen", "replica-removed", "peer-silent"];
        let since = view.events().iter().filter(|event| event.at_ms >= self.fault.wall_ms);
        if let Some(event) = since.into_iter().find(|event| noticed.contains(&event.name.as_str())) {
            return Err(format!("one path of two was lost, and {} told {}", event.by, event.name).into());
        }
        self.nothing_moved()
    }

    /// The volume goes where the gateway answers, stays where it is when it answers nobody, and does not come back by
    /// itself. Nobody is fenced for a ping.
    async fn gateway(&self) -> Result<(), Failure> {
        let (first, second) = (&self.holder, &self.other);
        let at = |node: &str| {
            let node = node.to_owned();
            move |view: &View| view.in_service(VOLUME) == Some(node.clone())
        };
        self.rooms.reaches_gateway(first, false)?;
        self.told(first, "condition-not-met").await?;
        self.rig.cluster.wait_for(format!("the volume on {second}"), LIMIT, at(second)).await?;
        self.scene()?.writes_go_on("where the gateway answers", RUNS).await?;

        self.rooms.reaches_gateway(second, false)?;
        let misplaced = |view: &View| {
            let lines = view.node(second).map(|status| &status.unprotected);
            lines.is_some_and(|lines| lines.iter().any(|line| line.word == "MISPLACED"))
        };
        self.rig.cluster.wait_for("the gateway answers nobody", LIMIT, misplaced).await?;
        self.scene()?.writes_go_on("where the gateway answers nobody", RUNS).await?;

        self.rooms.reaches_gateway(first, true)?;
        self.rig.cluster.wait_for(format!("the volume on {first}"), LIMIT, at(first)).await?;
        let mended = Fault::now();
        self.rooms.reaches_gateway(second, true)?;
        let met = |view: &View| view.first(second, "condition-met", mended.wall_ms).is_some();
        self.rig.cluster.wait_for(format!("condition-met by {second}"), LIMIT, met).await?;
        self.scene()?.writes_go_on("where it is", RUNS).await?;
        let view = self.rig.cluster.view().borrow().clone();
        let moved = view.first(second, "promoted", mended.wall_ms).is_some();
        let since = view.events().iter().filter(|event| event.at_ms >= self.fault.wall_ms);
        let fenced = since.into_iter().any(|event| event.name == "fence-device-started");
        if moved || fenced {
            return Err(format!(
                "it came back by itself ({moved}) or somebody was fenced ({fenced})\n{view}"
            )
            .into());
        }
        Ok(())
    }

    fn unplug(&self, machine: &str) -> Result<(), Failure> {
        (0..NETWORKS).try_for_each(|network| self.rooms.unplug(machine, network))
    }

    fn scene(&self) -> Result<Scene<'_>, Failure> {
        Ok(Scene { cluster: &self.rig.cluster, client: self.rig.client()? })
    }

    async fn told(&self, by: &str, name: &str) -> Result<(), Failure> {
        let told = |view: &View| view.first(by, name, self.fault.wall_ms).is_some();
        self.rig.cluster.wait_for(format!("{name} by {by}"), LIMIT, told).await?;
        Ok(())
    }

    async fn taken_over(&self, proof: &str) -> Result<(), Failure> {
        let report = self.scene()?.takeover(&self.other, self.fault).await?;
        match report.proof.as_deref() {
            Some(was) if was == proof => Ok(()),
            was => Err(format!("taken over with the proof {was:?}, expected {proof}").into()),
        }
    }

    /// The holder goes on alone, recorded as such; nobody is fenced.
    async fn alone(&self) -> Result<(), Failure> {
        let alone = |view: &View| {
            view.volume(&self.holder, VOLUME)
                .is_some_and(|volume| volume.solo && volume.isr == [self.holder.clone()])
        };
        self.rig.cluster.wait_for(format!("{} alone in the in-sync set", self.holder), LIMIT, alone).await?;
        self.scene()?.writes_go_on("of the holder alone", RUNS).await?;
        self.nothing_moved()
    }

    fn drops(&self, machine: &str) -> Result<(), Failure> {
        match self.rooms.dropped(machine)? {
            0 => Err(format!("nothing was dropped on {machine}: the cut did not cut").into()),
            _ => Ok(()),
        }
    }

    fn nothing_moved(&self) -> Result<(), Failure> {
        let view = self.rig.cluster.view().borrow().clone();
        let since = || view.events().iter().filter(|event| event.at_ms >= self.fault.wall_ms);
        let fenced = since().any(|event| event.name == "fence-device-started");
        let moved = since().any(|event| event.name == "promoted" && event.by == self.other);
        if fenced || moved {
            return Err(format!("it moved ({moved}) or somebody was fenced ({fenced})\n{view}").into());
        }
        Ok(())
    }
}
