//! Row 13 of the failure matrix: the holder's daemon is stopped, and nothing else of the machine.

use super::{ActError, expect_proof};
use crate::demo::cluster::PICKETD;
use crate::demo::report::ActReport;
use crate::demo::stage::{Fault, Stage};

pub(super) async fn play(stage: &mut Stage) -> Result<ActReport, ActError> {
    let (holder, other) = stage.pair().await?;
    stage.display.tell(&format!(
        "{holder}'s daemon gets SIGSTOP. The volume's server runs on and would take writes for ever: the most dangerous \
kind of half-dead. Nobody pets the watchdog now, and {other} hears nothing: whichever is first, watchdog or fence, \
kills {holder}, and only then {other} starts."
    ));
    let fault = Fault::now();
    stage.cluster.machine(&holder)?.freeze(PICKETD).await?;
    let report = stage.scene().takeover(&other, fault).await?;
    expect_proof(&report, &["FENCED", "NEWER-BOOT", "LEASE"])?;
    let proof = report.proof.clone().unwrap_or_default();
    stage.display.good(&format!("{other} has the volume; the proof was {proof}."));
    Ok(report)
}
