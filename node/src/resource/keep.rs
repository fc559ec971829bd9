//! What is remembered of resources over a restart of the daemon: failures, and what is held back. It lies in the
//! run directory, so a boot of the machine forgets it.
//!
//! Nothing of it is needed for safety: what runs is looked at, never remembered.

use super::tree::Kept;
use picket_core::ids::VolumeId;
use picket_host::files::RealFiles;
use picket_host::small_state::SmallState;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

/// Tells the file from others.
const KIND: [u8; 4] = *b"PKRS";

/// The form of its record.
const SCHEMA: u16 = 1;

/// By tag.
pub(crate) type All = BTreeMap<String, Kept>;

/// Writes the newest of what is to be remembered.
pub(crate) struct Keeper {
    state: SmallState,
    changes: watch::Receiver<All>,
}

/// What was remembered of the resources above a volume, and where to put what is to be.
pub(crate) fn open(run_dir: &Path, volume: VolumeId) -> (watch::Sender<All>, All, Keeper) {
    let path = run_dir.join(format!("resources-{volume}"));
    let state = SmallState::new(Arc::new(RealFiles), &path, KIND, SCHEMA);
    let found = match state.load() {
        Ok(Some(record)) => serde_json::from_slice(&record).map_err(|error| error.to_string()),
        Ok(None) => Ok(All::new()),
        Err(error) => Err(error.to_string()),
    };
    let kept = found.unwrap_or_else(|error| {
        tracing::warn!(path = %path.display(), %error, "the failures of resources are forgotten");
        All::new()
    });
    let (keeps, changes) = watch::channel(kept.clone());
    (keeps, kept, Keeper { state, changes })
}

impl Keeper {
    /// Writes until nobody remembers anything any more.
    pub(crate) async fn run(mut self) {
        while self.changes.changed().await.is_ok() {
            let newest = self.changes.borrow_and_update().clone();
            let Ok(record) = serde_json::to_vec(&newest) else { continue };
            let mut state = self.state;
            let written = tokio::task::spawn_blocking(move || {
                let written = state.replace(&record);
                (state, written)
            });
            let Ok((state, written)) = written.await else { return };
            self.state = state;
            if let Err(error) = written {
                tracing::warn!(%error, "the failures of resources are not remembered over a restart");
            }
        }
    }
}
