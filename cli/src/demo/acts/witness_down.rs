//! Row 8 of the failure matrix: the witness is dead, and the service goes on.

use super::ActError;
use crate::demo::cluster::WITNESS;
use crate::demo::report::ActReport;
use crate::demo::stage::{Fault, LIMIT, Stage, VOLUME};
use core::time::Duration;
use picket_host::clock;

/// Writes between two looks at the clock.
const WRITES: u64 = 100;

/// Longer than lease and guard of the profile: who goes on now does so without the witness.
const BEYOND_LEASE: Duration = Duration::from_millis(2600);

pub(super) async fn play(stage: &mut Stage) -> Result<ActReport, ActError> {
    let (holder, other) = stage.pair().await?;
    stage.display.tell(&format!(
        "The witness dies. {holder} asks {other} for its word not to take over for the time of a lease, gets it, and goes \
on, again and again. What is missing now is shown first in every status: no fail-over until the witness is back."
    ));
    let fault = Fault::now();
    stage.cluster.machine(WITNESS)?.power_off().await?;
    let warned = |view: &crate::demo::cluster::View| {
        view.node(&holder)
            .is_some_and(|status| status.unprotected.iter().any(|hole| hole.word == "NO_WITNESS"))
    };
    let view = stage.cluster.wait_for(format!("the warning of {holder}"), LIMIT, warned).await?;
    let text = view.node(&holder).and_then(|status| {
        status.unprotected.iter().find(|hole| hole.word == "NO_WITNESS").map(|hole| hole.text.clone())
    });
    stage.display.good(&format!("{holder} warns: {}", text.unwrap_or_default()));
    while clock::boottime() < Duration::from_nanos(fault.boot_ns) + BEYOND_LEASE {
        stage.scene().writes_go_on("without a witness", WRITES).await?;
    }
    stage.display.good("Writes go on, longer than the last lease that the witness gave.");
    let report = ActReport { outage_ms: Some(stage.scene().outage_ms(fault)), ..ActReport::default() };
    stage.cluster.machine(WITNESS)?.power_on().await?;
    stage.cluster.wait_healthy(LIMIT).await?;
    let holder_now = stage.cluster.wait_in_service(VOLUME, LIMIT).await?;
    if holder_now != holder {
        return Err(ActError::Wrong(format!("the volume went from {holder} to {holder_now}")));
    }
    stage.display.good("The witness is back with its record; nothing moved.");
    Ok(report)
}
