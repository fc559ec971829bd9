//! Plays one case on a cluster that is well, and leaves it well.

use super::case::{Blow, Case, DIRECTIONS, How, Whom};
use super::expect::{Expect, expect};
use crate::Failure;
use crate::rig::{LIMIT, Rig, program};
use core::fmt;
use core::time::Duration;
use picket::demo::cluster::{
    ClusterSpec, LossAction, PICKETD, View, WITNESS, WITNESSD, ledger_program, node_name,
};
use picket::demo::links::{Kind, Kinds};
use picket::demo::{Fault, Scene, VOLUME};
use picket_core::params::Profile;

/// Everything between two nodes but their power switches.
const CABLES: &[Kind] = &[Kind::Heartbeat(0), Kind::Heartbeat(1), Kind::Peer, Kind::Replication];

/// Beyond a lease and its guard: by then nothing is left of what held before the fault.
const BEYOND_LEASE: Duration = Duration::from_millis(500);

/// How long nothing must be acknowledged once everything is inactive. A slow host can only make this miss something.
const SILENCE: Duration = Duration::from_millis(300);

/// A slow process is stopped for so long, and then runs for [`PULSE_RUNS`].
const PULSE_STOPPED: Duration = Duration::from_millis(120);

/// See [`PULSE_STOPPED`]; together they are shorter than what any timing takes for silence.
const PULSE_RUNS: Duration = Duration::from_millis(40);

/// How many writes show that the service runs.
const RUNS: u64 = 30;

/// How a case ended that did not end as it should.
#[derive(Debug)]
pub enum Played {
    /// The checker found something.
    Violation(Failure),
    /// Something did not follow, or not in time.
    Unexpected(Failure),
}

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violation(why) => write!(f, "VIOLATION: {why}"),
            Self::Unexpected(why) => write!(f, "{why}"),
        }
    }
}

/// The cluster that cases are played on: two nodes with all protections, on the default timings. The loss action
/// leaves the machines up: the barrier alone must hold, not a reset. A cold start is not waited for for long.
///
/// # Errors
/// The program is not there.
pub fn spec() -> Result<ClusterSpec, Failure> {
    Ok(ClusterSpec {
        loss_action: LossAction::Osu,
        client_pace: Some(Duration::from_millis(2)),
        cold_start: Duration::from_secs(2),
        ..ClusterSpec::new(2, program()?)
    })
}

/// Plays it.
///
/// # Errors
/// What was not as it should be. The cluster is not to be used again then.
pub async fn play(rig: &mut Rig, case: Case) -> Result<(), Played> {
    let holder = node_name(usize::from(case.holder));
    rig.hold_on(&holder).await.map_err(Played::Unexpected)?;
    let settled = faulty(rig, case, &holder).await;
    let healed = rig.heal().await.map_err(|why| format!("after the fault: {why}"));
    rig.judge().await.map_err(Played::Violation)?;
    settled.map_err(Played::Unexpected)?;
    healed.map_err(|why| Played::Unexpected(why.into()))
}

async fn faulty(rig: &Rig, case: Case, holder: &str) -> Result<(), Failure> {
    let names = Names { holder: holder.to_owned(), other: rig.other(holder)? };
    let fault = Fault::now();
    if case.blow_first() {
        strike(rig, case, &names).await?;
    }
    cut(rig, case, &names);
    if !case.blow_first() {
        strike(rig, case, &names).await?;
    }
    let expected = expect(case);
    let settled = settle(rig, expected, &names, fault);
    let settled = match case.blow {
        Some(Blow { how: How::Slow, whom }) => tokio::select! {
            settled = settled => settled,
            never = pulses(rig, whom, &names) => never,
        },
        Some(_) | None => settled.await,
    };
    settled.map_err(|why| format!("expected {expected:?}: {why}").into())
}

struct Names {
    holder: String,
    other: String,
}

impl Names {
    fn machine(&self, whom: Whom) -> &str {
        match whom {
            Whom::Holder | Whom::HolderLedger => &self.holder,
            Whom::Other | Whom::OtherLedger => &self.other,
            Whom::Witness => WITNESS,
        }
    }
}

fn program_of(whom: Whom) -> String {
    match whom {
        Whom::Holder | Whom::Other => PICKETD.to_owned(),
        Whom::Witness => WITNESSD.to_owned(),
        Whom::HolderLedger | Whom::OtherLedger => ledger_program(VOLUME),
    }
}

fn cut(rig: &Rig, case: Case, names: &Names) {
    for (from, to) in DIRECTIONS {
        if case.is_cut(from, to) {
            let with_witness = from == Whom::Witness || to == Whom::Witness;
            let kinds = if with_witness || case.power_is_cut() { Kinds::All } else { Kinds::Only(CABLES) };
            rig.cluster.links().cut(names.machine(from), names.machine(to), kinds);
        }
    }
}

async fn strike(rig: &Rig, case: Case, names: &Names) -> Result<(), Failure> {
    let Some(Blow { how, whom }) = case.blow else { return Ok(()) };
    let (machine, program) = (rig.cluster.machine(names.machine(whom))?, program_of(whom));
    match how {
        How::Kill => machine.stop(&program).await?,
        How::Stop => machine.freeze(&program).await?,
        How::Restart => machine.kill(&program).await?,
        // By pulses, while the fault lasts.
        How::Slow => {}
    }
    Ok(())
}

/// Slows a process for ever. It may be gone now and then: its machine is reset, or it is started again.
async fn pulses(rig: &Rig, whom: Whom, names: &Names) -> Result<(), Failure> {
    let (machine, program) = (rig.cluster.machine(names.machine(whom))?, program_of(whom));
    loop {
        let _ = machine.freeze(&program).await;
        tokio::time::sleep(PULSE_STOPPED).await;
        let _ = machine.thaw(&program).await;
        tokio::time::sleep(PULSE_RUNS).await;
    }
}

/// Waits for what must follow; returns when the fault has lasted long enough.
async fn settle(rig: &Rig, expected: Expect, names: &Names, fault: Fault) -> Result<(), Failure> {
    let scene = Scene { cluster: &rig.cluster, client: rig.client()? };
    let serves = |node: &str| {
        let node = node.to_owned();
        move |view: &View| view.in_service(VOLUME).as_ref() == Some(&node)
    };
    if expected == Expect::AtOther {
        let what = format!("{} takes over", names.other);
        rig.cluster.wait_for(what, LIMIT, serves(&names.other)).await?;
        return Ok(scene.writes_go_on("after the takeover", RUNS).await?);
    }
    // This is how long the fault lasts: whatever outlives a lease shows after it only.
    tokio::time::sleep(Profile::Fast.params().lease_and_guard() + BEYOND_LEASE).await;
    match expected {
        Expect::Stays | Expect::AtHolder => {
            let what = format!("{} in service", names.holder);
            rig.cluster.wait_for(what, LIMIT, serves(&names.holder)).await?;
            scene.writes_go_on("of the holder", RUNS).await?;
            if expected == Expect::Stays { nothing_moved(rig, names, fault) } else { Ok(()) }
        }
        Expect::Somewhere => {
            rig.cluster.wait_in_service(VOLUME, LIMIT).await?;
            Ok(scene.writes_go_on("somewhere", RUNS).await?)
        }
        Expect::Nowhere => silent(rig).await,
        Expect::AtOther | Expect::Anything => Ok(()),
    }
}

fn nothing_moved(rig: &Rig, names: &Names, fault: Fault) -> Result<(), Failure> {
    let view = rig.cluster.view().borrow().clone();
    let fenced = view
        .events()
        .iter()
        .any(|event| event.name == "fence-device-started" && event.at_ms >= fault.wall_ms);
    let moved = view.first(&names.other, "promoted", fault.wall_ms).is_some();
    if fenced || moved {
        return Err(format!("it moved ({moved}) or somebody was fenced ({fenced})\n{view}").into());
    }
    Ok(())
}

async fn silent(rig: &Rig) -> Result<(), Failure> {
    let nowhere = |view: &View| view.is_nowhere(VOLUME);
    rig.cluster.wait_for("the volume nowhere in service", LIMIT, nowhere).await?;
    // By any node, also one that the client that fails over has left.
    let writers = rig.writers()?;
    let before = writers.count();
    tokio::time::sleep(SILENCE).await;
    let after = writers.count();
    if before == after {
        return Ok(());
    }
    Err(format!("{} writes were acknowledged\n{}", after - before, *rig.cluster.view().borrow()).into())
}
