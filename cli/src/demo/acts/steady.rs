//! Nothing breaks: what the rest is compared with.

use super::ActError;
use crate::demo::report::ActReport;
use crate::demo::stage::{Fault, Stage};

/// Enough for every heartbeat and renewal to come many times.
const WRITES: u64 = 1500;

pub(super) async fn play(stage: &mut Stage) -> Result<ActReport, ActError> {
    let (holder, other) = stage.pair().await?;
    stage.display.tell(&format!(
        "A witness and the machines {holder} and {other}, each a few processes on this host with its own power switch and \
watchdog, talk over mutual TLS. {holder} has the volume in service; every write that a client is told to be safe is on both."
    ));
    let from = Fault::now();
    stage.scene().writes_go_on("in peace", WRITES).await?;
    stage.display.good(&format!("{WRITES} writes acknowledged, none waited noticeably."));
    Ok(ActReport { outage_ms: Some(stage.scene().outage_ms(from)), ..ActReport::default() })
}
