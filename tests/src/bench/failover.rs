//! Fail-over and switch-over: how long the clients of a volume wait, from the fault to the first write that the
//! survivor acknowledges.
//!
//! Each round is a real fault on real processes; before the next one everything is healed, in service and in sync,
//! and at the end the checker judges all that was ever acknowledged.

use super::table::{Row, Unit};
use crate::Failure;
use crate::rig::{LIMIT, Rig, program};
use core::time::Duration;
use picket::demo::cluster::{ClusterSpec, View};
use picket::demo::{Fault, Scene, VOLUME};
use picket_core::params::Profile;
use picket_proto::v1::MoveRequest;
use picket_proto::v1::outcome::Result as Outcome;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The active machine loses its power; a device proves it.
    Fence,
    /// The active machine is cut from everything; its lease proves it.
    Lease,
    /// An operator moves the volume.
    Switch,
}

/// What is measured, and the median that is aimed at, in milliseconds.
pub const ACTS: [(Profile, Act, u64); 5] = [
    (Profile::Fast, Act::Fence, 900),
    (Profile::Fast, Act::Lease, 2500),
    (Profile::Fast, Act::Switch, 150),
    (Profile::LanAggressive, Act::Fence, 500),
    (Profile::LanAggressive, Act::Switch, 150),
];

/// How often a switch-over is asked for before a round is given up.
const ASKED_MAX: usize = 5;

/// So many rounds of one act.
///
/// # Errors
/// Something did not follow, or the checker found something.
pub async fn failover(profile: Profile, act: Act, target: u64, rounds: usize) -> Result<Row, Failure> {
    let pace = Some(Duration::from_millis(1));
    let spec = ClusterSpec { profile, client_pace: pace, ..ClusterSpec::new(2, program()?) };
    let mut rig = Rig::start(spec).await?;
    let mut values = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        values.push(round(&rig, act).await?);
        rig.heal().await?;
    }
    rig.judge().await?;
    rig.end().await?;
    let word = match act {
        Act::Fence => "the active machine dies, a device proves it",
        Act::Lease => "the active machine is cut off, its lease proves it",
        Act::Switch => "switch-over by an operator",
    };
    Ok(Row { what: format!("{}: {word}", profile.name()), unit: Unit::Ms, values, target: Some(target) })
}

async fn round(rig: &Rig, act: Act) -> Result<u64, Failure> {
    let holder = rig.serves().await?;
    let other = rig.other(&holder)?;
    quarantine_over(rig, &other).await?;
    let scene = Scene { cluster: &rig.cluster, client: rig.client()? };
    let fault = match act {
        Act::Fence => {
            let fault = Fault::now();
            rig.cluster.machine(&holder)?.power_off().await?;
            fault
        }
        Act::Lease => {
            let fault = Fault::now();
            rig.cluster.links().cut_all_of(&holder);
            fault
        }
        Act::Switch => switch(rig, &holder, &other).await?,
    };
    let report = scene.takeover(&other, fault).await?;
    report.outage_ms.ok_or_else(|| "the outage was not measured".into())
}

/// A node that has just come back, as the survivor of the round before has, takes nothing over before the time of a
/// lease is over: that is not what is measured.
async fn quarantine_over(rig: &Rig, node: &str) -> Result<(), Failure> {
    let able = |view: &View| view.volume(node, VOLUME).is_some_and(|volume| volume.why_word != "QUARANTINED");
    rig.cluster.wait_for("the quarantine over", LIMIT, able).await?;
    Ok(())
}

/// Asks until it is done. Counted is from the request that was granted.
async fn switch(rig: &Rig, holder: &str, other: &str) -> Result<Fault, Failure> {
    let mut said = String::new();
    for _ in 0..ASKED_MAX {
        let mut daemon = rig.cluster.daemon(holder).await.map_err(|fault| format!("{fault:?}"))?;
        let wait_ms = u64::try_from(LIMIT.as_millis()).unwrap_or(u64::MAX);
        let request = MoveRequest { tag: VOLUME.to_owned(), node: other.to_owned(), wait_ms };
        let fault = Fault::now();
        let outcome = daemon.calls().r#move(request).await?.into_inner();
        match outcome.result {
            Some(Outcome::Done(_)) => return Ok(fault),
            other => said = format!("{other:?}"),
        }
    }
    Err(format!("the volume was not moved: {said}").into())
}
