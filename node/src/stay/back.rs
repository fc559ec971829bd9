//! The way back: a node takes its volumes first, then frees who was held for it.

use super::Stay;
use crate::backoff::Backoff;
use crate::peer::Peers;
use core::time::Duration;
use picket_core::ids::{NodeId, VolumeId};
use picket_core::node::{Phase, Status, WhyNot};
use tokio::sync::watch;

/// So long after it is registered a node has its volumes before all others; then whoever can may take them. Far longer
/// than a quarantine and a promotion take, and no longer than an operator's move is waited for.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);

impl Stay {
    /// Goes on with what an earlier run of the daemon left, and frees peers when their time has come; to be run until
    /// the daemon ends.
    pub(crate) async fn run(self, peers: Peers, mut changed: watch::Receiver<u64>) {
        self.go_on_held().await;
        let (mut record, mut leaving) = (self.record.subscribe(), self.leaving.subscribe());
        let mut backoff = Backoff::default();
        loop {
            let somebody = record.wait_for(|record| !record.asked.is_empty()).await.is_ok();
            if !somebody || leaving.wait_for(|leaving| !leaving).await.is_err() {
                return;
            }
            if self.taken(&mut changed).await.is_none() {
                return;
            }
            let asking = self.asking.lock().await;
            if *self.leaving.borrow() {
                continue;
            }
            match self.free_all(&peers).await {
                Ok(()) => backoff.reset(),
                Err(why) => {
                    drop(asking);
                    tracing::debug!(%why, "peers are to be freed");
                    tokio::time::sleep(backoff.wait()).await;
                }
            }
        }
    }

    /// A daemon that died after it had remembered that it is held, or that the site is stopped, may not have come to its
    /// standby.
    pub(super) async fn go_on_held(&self) {
        let _turn = self.turn().await;
        let is_held = !self.record.borrow().held_for.is_empty() || self.site.is_stopped();
        if is_held && let Err(error) = self.stand_by().await {
            tracing::warn!(%error, "this node is held, and is not on standby");
        }
    }

    /// Waits until this node has its volumes, or cannot have them; nothing: the daemon ends.
    async fn taken(&self, changed: &mut watch::Receiver<u64>) -> Option<()> {
        self.until(changed, |status| status.witness.registered).await?;
        let volumes = self.record().volumes;
        let me = self.config.me;
        let settled = |status: &Status| volumes.iter().all(|volume| is_settled(me, status, *volume));
        tokio::time::timeout(TAKEN_WITHIN, self.until(changed, settled)).await.unwrap_or(Some(()))
    }

    async fn until(
        &self,
        changed: &mut watch::Receiver<u64>,
        wanted: impl Fn(&Status) -> bool,
    ) -> Option<()> {
        loop {
            changed.mark_unchanged();
            if wanted(&self.snapshot().await.ok()?.status) {
                return Some(());
            }
            changed.changed().await.ok()?;
        }
    }
}

/// It is in service here or elsewhere, or will not come into service here by waiting.
pub(super) fn is_settled(me: NodeId, status: &Status, volume: VolumeId) -> bool {
    let Some(found) = status.volumes.iter().find(|found| found.volume == volume) else { return true };
    let holder = found.register.as_ref().and_then(|register| register.holder);
    let elsewhere = holder.is_some_and(|holder| holder.node != me);
    let cannot = matches!(
        found.why_not,
        Some(WhyNot::Standby | WhyNot::DeclaredFailed | WhyNot::HeldOff | WhyNot::PromoteFailed { .. })
    );
    matches!(found.phase, Phase::Active(_)) || elsewhere || cannot
}
