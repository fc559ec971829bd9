//! Rows 4 and 18 of the failure matrix: the holder is cut off, and its power switch with it.

use super::{ActError, expect_proof};
use crate::demo::report::ActReport;
use crate::demo::stage::{Fault, Stage};

pub(super) async fn play(stage: &mut Stage) -> Result<ActReport, ActError> {
    let (holder, other) = stage.pair().await?;
    stage.display.tell(&format!(
        "Every cable of {holder} is cut, also the one to its power switch: it can neither be asked nor fenced. But the \
client still reaches it! {holder} must stop by itself before {other} starts: its lease is not renewed, it freezes, and \
its watchdog is petted no more. {other} waits until the lease and the watchdog have run out for sure."
    ));
    let fault = Fault::now();
    stage.cluster.links().cut_all_of(&holder);
    let report = stage.scene().takeover(&other, fault).await?;
    expect_proof(&report, &["LEASE"])?;
    stage.display.good(&format!("{other} has the volume; the proof was the end of {holder}'s lease."));
    Ok(report)
}
