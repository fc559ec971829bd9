//! A machine comes back, becomes a full replica again, and gets the volume by an operator's wish.

use super::ActError;
use crate::demo::cluster::LabError;
use crate::demo::machine::control::PowerState;
use crate::demo::report::ActReport;
use crate::demo::stage::{Fault, LIMIT, Stage, VOLUME};
use crate::exit::{Exit, of_outcome};
use picket_host::clock;
use picket_proto::v1::MoveRequest;
use picket_proto::v1::outcome::Result as Answer;

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
    let fault = move_when_it_may(stage, &back).await?;
    let mut report = stage.scene().takeover(&back, fault).await?;
    // Nobody was silent: what may have been heard of the boot before belongs to another story.
    report.detection_ms = None;
    stage.display.good(&format!("{back} has the volume; {holder} released it, so nobody had to be fenced."));
    Ok(report)
}

/// Asks for the move until the machine's start quarantine is over: it has just booted and may have given its word to
/// a holder before, so it must wait for the time of a lease. The outage counts from the request that was accepted.
async fn move_when_it_may(stage: &Stage, back: &str) -> Result<Fault, ActError> {
    let begun = clock::boottime();
    let mut daemon = stage.cluster.daemon(back).await?;
    loop {
        let fault = Fault::now();
        let request = MoveRequest { tag: VOLUME.to_owned(), node: back.to_owned(), wait_ms: 0 };
        let answer =
            daemon.calls().r#move(request).await.map_err(|status| daemon.fault(&status))?.into_inner();
        let quarantined =
            matches!(&answer.result, Some(Answer::Refused(refused)) if refused.word == "QUARANTINED");
        match of_outcome(&answer) {
            (Exit::Done | Exit::Underway, _) => return Ok(fault),
            (_, _) if quarantined && clock::boottime() < begun + LIMIT => {
                stage.scene().writes_go_on("during the quarantine", WRITES).await?;
            }
            (_, text) => return Err(ActError::Wrong(format!("the move was not done: {text}"))),
        }
    }
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
