//! Row 3 of the failure matrix: the replication link is cut.

use super::ActError;
use crate::demo::links::{Kind, Kinds};
use crate::demo::report::ActReport;
use crate::demo::stage::{Fault, LIMIT, Stage, VOLUME};
use crate::exit::{Exit, of_outcome};
use picket_proto::v1::MoveRequest;

/// So many writes by the holder alone.
const WRITES: u64 = 500;

pub(super) async fn play(stage: &mut Stage) -> Result<ActReport, ActError> {
    let (holder, other) = stage.pair().await?;
    stage.display.tell(&format!(
        "The replication between {holder} and {other} breaks; heartbeats and the witness live. {holder} freezes for a \
moment, has the witness record that {other} is behind from now on, and goes on alone. Nobody is fenced: nobody is \
lost. (Fencing by reflex here is how two nodes kill each other.)"
    ));
    let boots = boots(stage, &holder, &other)?;
    let fault = Fault::now();
    stage.cluster.links().cut_both(&holder, &other, Kinds::Only(&[Kind::Replication]));
    let what = format!("{holder} alone in the in-sync set, and in service");
    stage
        .cluster
        .wait_for(what, LIMIT, |view| {
            view.volume(&holder, VOLUME).is_some_and(|volume| volume.solo)
                && view.in_service(VOLUME).as_deref() == Some(&holder)
        })
        .await?;
    stage.scene().writes_go_on("by the holder alone", WRITES).await?;
    let report = ActReport { outage_ms: Some(stage.scene().outage_ms(fault)), ..ActReport::default() };
    stage.display.good(&format!("{holder} goes on alone."));
    let refusal = refused(stage, &other).await?;
    stage.display.good(&format!("{other} must not take over now, and says: {refusal}"));
    if self::boots(stage, &holder, &other)? != boots {
        return Err(ActError::Wrong("a machine was booted: somebody was fenced".to_owned()));
    }
    Ok(report)
}

fn boots(stage: &Stage, holder: &str, other: &str) -> Result<[String; 2], ActError> {
    let boot = |name: &str| {
        Ok::<_, ActError>(stage.cluster.machine(name)?.boot_id().map_err(super::LabError::from)?.to_string())
    };
    Ok([boot(holder)?, boot(other)?])
}

/// What the other says when it is asked to take over.
async fn refused(stage: &Stage, other: &str) -> Result<String, ActError> {
    let mut daemon = stage.cluster.daemon(other).await?;
    let request = MoveRequest { tag: VOLUME.to_owned(), node: other.to_owned(), wait_ms: 0 };
    let answer = daemon.calls().r#move(request).await.map_err(|status| daemon.fault(&status))?.into_inner();
    match of_outcome(&answer) {
        (Exit::Refused, text) => Ok(text),
        (exit, text) => Err(ActError::Wrong(format!("a move to {other} ended with {exit:?}: {text}"))),
    }
}
