//! Row 1 of the failure matrix: the holder crashes.

use super::{ActError, expect_proof};
use crate::demo::report::ActReport;
use crate::demo::stage::{Fault, Stage};

pub(super) async fn play(stage: &mut Stage) -> Result<ActReport, ActError> {
    let (holder, other) = stage.pair().await?;
    stage.display.tell(&format!(
        "Somebody pulls the plug of {holder}. To {other} that is only silence, and silence is not death: it asks the \
witness for a permit, has {holder}'s power switch turned off, reads it back, and only then takes over."
    ));
    let fault = Fault::now();
    stage.cluster.machine(&holder)?.power_off().await?;
    let report = stage.scene().takeover(&other, fault).await?;
    expect_proof(&report, &["FENCED"])?;
    stage.display.good(&format!("{other} has the volume; the proof was a confirmed fence."));
    Ok(report)
}
