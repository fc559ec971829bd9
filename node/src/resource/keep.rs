//! What is remembered of resources over a restart of the daemon. Failures, what is held back, and what was started and
//! not stopped lie in the run directory, so a boot of the machine forgets them; policies lie in the state directory.
//!
//! Nothing of it makes anything count as out of service: what runs is looked at. It only makes a stop due that a look
//! would spare.

use crate::remembered;
use picket_core::ids::VolumeId;
use picket_host::files::RealFiles;
use picket_host::small_state::SmallState;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

/// Tells the file from others.
const KIND: [u8; 4] = *b"PKRS";

/// The form of its record.
const SCHEMA: u16 = 1;

/// Writes the newest of what is to be remembered.
pub(crate) struct Keeper<T> {
    state: SmallState,
    changes: watch::Receiver<T>,
}

/// What was remembered of the resources above a volume, and where to put what is to be.
pub(crate) fn open<T>(dir: &Path, volume: VolumeId) -> (watch::Sender<T>, T, Keeper<T>)
where
    T: Clone + Default + DeserializeOwned,
{
    let path = dir.join(format!("resources-{volume}"));
    let state = SmallState::new(Arc::new(RealFiles), &path, KIND, SCHEMA);
    let found = remembered::load(&state).unwrap_or_else(|error| {
        tracing::warn!(path = %path.display(), %error, "what was remembered of resources is forgotten");
        None
    });
    let kept: T = found.unwrap_or_default();
    let (keeps, changes) = watch::channel(kept.clone());
    (keeps, kept, Keeper { state, changes })
}

impl<T: Clone + Serialize + Send + Sync> Keeper<T> {
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
                tracing::warn!(%error, "resources: what happened is not remembered over a restart of the daemon");
            }
        }
    }
}
