//! Telling that a unit may have changed, as soon as the manager does.

use super::bus::Watch;
use crate::backoff::Backoff;
use tokio::sync::mpsc;

/// Stirs `place` whenever the unit's state changes, its manager comes or goes, or the bus does. Never ends by itself
/// but when nobody listens any more. What the unit is then, is for a look to find out.
pub(in crate::resource) async fn watch(unit: super::Unit, place: usize, stirs: mpsc::Sender<usize>) {
    let mut backoff = Backoff::default();
    // At the start somebody looks anyway.
    let mut unseen = false;
    loop {
        match Watch::open(&unit.bus, &unit.name).await {
            Ok(mut watch) => {
                backoff.reset();
                if unseen && stirs.send(place).await.is_err() {
                    return;
                }
                loop {
                    let told = watch.changed().await;
                    if stirs.send(place).await.is_err() {
                        return;
                    }
                    if let Err(trouble) = told {
                        tracing::debug!(unit = unit.name, why = trouble.text(), "it is watched anew");
                        break;
                    }
                }
            }
            Err(trouble) => {
                tracing::debug!(unit = unit.name, why = trouble.text(), "it cannot be watched");
            }
        }
        if stirs.is_closed() {
            return;
        }
        unseen = true;
        // Nobody tells when there is a bus again.
        tokio::time::sleep(backoff.wait()).await;
    }
}
