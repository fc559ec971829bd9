//! Row 18 of the failure matrix, last line: no device answers, no watchdog counts; a person confirms.

use super::{ActError, expect_proof};
use crate::demo::cluster::{AfterBite, ClusterSpec, FenceLevel, LabError, Watchdog};
use crate::demo::machine::Machine;
use crate::demo::report::ActReport;
use crate::demo::stage::{Fault, LIMIT, Scene, Stage, VOLUME};
use crate::exit::{Exit, of_outcome};
use core::time::Duration;
use picket_proto::v1::{ConfirmRequest, StatusPending};
use tokio::io::{AsyncBufReadExt, BufReader};

/// How long the dead power switch is tried.
const SWITCH_TIMEOUT: Duration = Duration::from_millis(800);

pub(super) async fn play(stage: &mut Stage) -> Result<ActReport, ActError> {
    stage.display.tell(
        "Another cluster: its machines have no watchdog, and the power switch hangs on the same feed as the machine. When \
the feed fails, no device can say whether the machine is off, and no lease proves it.",
    );
    let spec = ClusterSpec {
        fence: vec![FenceLevel::Process { timeout: SWITCH_TIMEOUT }, FenceLevel::Meatware],
        watchdog: Watchdog::None,
        after_bite: AfterBite::StayOff,
        ..stage.cluster.spec().clone()
    };
    let subdir = format!("meatware{}", stage.others.len() + 1);
    stage.start_another(ClusterSpec { dir: spec.dir.as_ref().map(|dir| dir.join(subdir)), ..spec }).await?;
    let Some((cluster, writers)) = stage.others.last() else {
        return Err(LabError::Nothing("other cluster".to_owned()).into());
    };
    let scene = Scene { cluster, client: writers.client() };
    let holder = cluster.wait_in_service(VOLUME, LIMIT).await?;
    let other = cluster.spec().node_names().find(|name| *name != holder);
    let other = other.ok_or_else(|| LabError::Nothing("other node".to_owned()))?;
    let fault = Fault::now();
    fail_feed(cluster.machine(&holder)?).await?;
    let pending = pending(&scene, &holder, &other).await?;
    stage.display.good(&format!("{other} blocks and asks: OPERATOR INTERVENTION REQUIRED to reset {holder}"));
    let challenge = typed(stage, &holder, &pending).await?;
    let mut daemon = cluster.daemon(&other).await?;
    let request = ConfirmRequest { node: holder.clone(), challenge };
    let answer = daemon.calls().confirm(request).await.map_err(|status| daemon.fault(&status))?.into_inner();
    match of_outcome(&answer) {
        (Exit::Done | Exit::Underway, text) => stage.display.good(&text),
        (exit, text) => return Err(ActError::Wrong(format!("the confirmation ended with {exit:?}: {text}"))),
    }
    let report = scene.takeover(&other, fault).await?;
    expect_proof(&report, &["OPERATOR"])?;
    stage.display.good(&format!("{other} has the volume; the proof was the operator's word."));
    Ok(report)
}

/// The machine's power and its switch's are one.
async fn fail_feed(machine: &Machine) -> Result<(), LabError> {
    machine.switch_answers(false).await?;
    Ok(machine.power_off().await?)
}

/// Waits until the node shows a request that can be confirmed.
async fn pending(scene: &Scene<'_>, holder: &str, other: &str) -> Result<StatusPending, ActError> {
    let what = format!("a request at {other} to confirm that {holder} is off");
    let find = |view: &crate::demo::cluster::View| {
        let pending = &view.node(other)?.pending;
        pending.iter().find(|pending| pending.target == holder && pending.heard_by.is_empty()).cloned()
    };
    let view = scene.cluster.wait_for(what, LIMIT, |view| find(view).is_some()).await?;
    find(&view).ok_or_else(|| LabError::Nothing("request".to_owned()).into())
}

/// What the operator types: at the terminal with `--interactive`, else by this program.
async fn typed(stage: &Stage, holder: &str, pending: &StatusPending) -> Result<String, ActError> {
    if !stage.interactive {
        stage.display.tell(&format!(
            "The operator has looked: {holder} is dark. They type: picket confirm {holder}, and {}",
            pending.challenge
        ));
        return Ok(pending.challenge.clone());
    }
    stage.display.tell(&format!(
        "You are the operator. You have looked: {holder} is dark. To say so, type {}",
        pending.challenge
    ));
    let mut line = String::new();
    BufReader::new(tokio::io::stdin()).read_line(&mut line).await?;
    Ok(line.trim().to_owned())
}
