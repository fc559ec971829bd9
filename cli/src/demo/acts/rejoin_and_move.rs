//! A machine comes back, becomes a full replica again, and gets the volume by an operator's wish.

use super::ActError;
use crate::demo::cluster::LabError;
use crate::demo::machine::control::PowerState;
use crate::demo::report::ActReport;
use crate::demo::stage::{Fault, LIMIT, Stage, VOLUME};
use crate::exit::{Exit, of_outcome};
use picket_proto::v1::MoveRequest;

/// So many writes before, to have something to lose.
const WRITES: u64 = 200;

pub(super) async fn play(stage: &mut Stage) -> Result<ActReport, ActError> {
    let (holder, back) = stage.pair().await?;
    take_away(stage, &holder, &back).await?;
    stage.display.tell(&format!(
        "{back} is powered on again. It boots as a stale replica: it may not become active before {holder} has sent it \
everything and the witness has recorded it as in sync."
    ));
    stage.cluster.machine(&back)?.power_on().await?;
    stage.cluster.wait_healthy(LIMIT).await?;
    stage
        .display
        .good(&format!("{back} is in sync again. Now an operator types: picket move {VOLUME} {back}"));
    stage.scene().writes_go_on("before the move", WRITES).await?;
    let fault = Fault::now();
    let mut daemon = stage.cluster.daemon(&back).await?;
    let request = MoveRequest { tag: VOLUME.to_owned(), node: back.clone(), wait_ms: 0 };
    let answer = daemon.calls().r#move(request).await.map_err(|status| daemon.fault(&status))?.into_inner();
    let (exit, text) = of_outcome(&answer);
    match exit {
        Exit::Done | Exit::Underway => {}
        Exit::Failed | Exit::Unreachable | Exit::Refused | Exit::NotTyped => {
            return Err(ActError::Wrong(format!("the move was not done: {text}")));
        }
    }
    let mut report = stage.scene().takeover(&back, fault).await?;
    // Nobody was silent: what may have been heard of the boot before belongs to another story.
    report.detection_ms = None;
    stage.display.good(&format!("{back} has the volume; {holder} released it, so nobody had to be fenced."));
    Ok(report)
}

/// Played alone, nobody is away yet.
async fn take_away(stage: &Stage, holder: &str, back: &str) -> Result<(), LabError> {
    let machine = stage.cluster.machine(back)?;
    if machine.status().await?.power == PowerState::Off {
        return Ok(());
    }
    machine.power_off().await?;
    let alone = |isr: &[String]| isr.len() == 1 && isr.first().is_some_and(|node| node == holder);
    let what = format!("{holder} alone in the in-sync set");
    stage
        .cluster
        .wait_for(what, LIMIT, |view| view.volume(holder, VOLUME).is_some_and(|volume| alone(&volume.isr)))
        .await?;
    Ok(())
}
