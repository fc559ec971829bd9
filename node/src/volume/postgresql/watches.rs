//! Being told when a process ends.

use super::processes::open;
use picket_host::sys::watch;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::io::Interest;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Processes whose end is told.
#[derive(Debug)]
pub(super) struct Watches {
    tell: Arc<Notify>,
    watched: BTreeMap<i32, JoinHandle<()>>,
}

impl Watches {
    pub(super) fn new(tell: Arc<Notify>) -> Self {
        Self { tell, watched: BTreeMap::new() }
    }

    /// Exactly these are watched from now on; one that has ended is told at once.
    pub(super) fn set(&mut self, pids: &[i32]) {
        self.watched.retain(|pid, task| {
            let kept = pids.contains(pid);
            if !kept {
                task.abort();
            }
            kept
        });
        for pid in pids {
            let tell = self.tell.clone();
            self.watched.entry(*pid).or_insert_with(|| tokio::spawn(wait(*pid, tell)));
        }
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        self.watched.values().for_each(JoinHandle::abort);
    }
}

async fn wait(pid: i32, tell: Arc<Notify>) {
    // One that cannot be watched is seen at the next look.
    if let Some(handle) = open(pid).and_then(|handle| watch(handle, Interest::READABLE).ok()) {
        let _ended = handle.readable().await;
    }
    tell.notify_one();
}
