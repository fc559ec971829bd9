//! What is left of programs that nobody waits for any more.
//!
//! Idea: a run that is dropped has its program killed, but it dies later: soon, or, when it sleeps in the kernel, after
//! what it sleeps for was done. Whoever begins the opposite meanwhile would see it undone. So the end of such a program
//! is still followed here, and can be waited for.

use super::Leftovers;
use super::control::{Message, receive};
use core::time::Duration;
use rustix::net::Shutdown;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Programs that were given up and have not been seen to end. Copies are the same.
#[derive(Clone, Debug, Default)]
pub struct Remains(watch::Sender<Seen>);

/// Tells of each change.
#[derive(Debug)]
pub struct Changes(watch::Receiver<Seen>);

impl Changes {
    /// The next change. Never, once the programs' owner is gone.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            core::future::pending::<()>().await;
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Programs of which something may be there.
    there: usize,
    /// Something ended of which nobody saw the end.
    lost: bool,
}

impl Remains {
    /// Whether something may be there, or has ended unseen and nobody was told.
    #[must_use]
    pub fn any(&self) -> bool {
        let seen = *self.0.borrow();
        seen.there > 0 || seen.lost
    }

    /// Whether something is there whose end is still to be seen.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.0.borrow().there > 0
    }

    /// Who is to be told when one more was given up, or has ended.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes(self.0.subscribe())
    }

    /// Waits until nothing is there. False: the end of something was not seen, which is said once.
    pub async fn gone(&self) -> bool {
        // The sender is ours: it does not end.
        let _ = self.0.subscribe().wait_for(|seen| seen.there == 0).await;
        let mut lost = false;
        self.0.send_if_modified(|seen| {
            lost = core::mem::take(&mut seen.lost);
            false
        });
        !lost
    }

    /// The same, for so long at most. False: nobody knows of something that it ended.
    pub async fn gone_within(&self, within: Duration) -> bool {
        tokio::time::timeout(within, self.gone()).await.unwrap_or(false)
    }

    /// Something ended, and nobody saw it.
    pub(super) fn lose(&self) {
        self.0.send_modify(|seen| seen.lost = true);
    }

    /// Follows a program to its end, which is ordered here.
    pub(super) fn follow(&self, control: Arc<AsyncFd<OwnedFd>>, leftovers: Leftovers) {
        // Without a runtime nothing runs on: the process ends, and its programs with it.
        let Ok(runtime) = Handle::try_current() else { return };
        self.0.send_modify(|seen| seen.there += 1);
        let remains = self.clone();
        runtime.spawn(async move {
            // The supervisor takes the end of our words for the order to kill; it can still speak.
            let _ = rustix::net::shutdown(control.get_ref(), Shutdown::Write);
            let ended = follow_to_the_end(&control, leftovers).await;
            remains.0.send_modify(|seen| {
                seen.there -= 1;
                seen.lost |= !ended;
            });
        });
    }
}

/// Whether everything was seen to end, but for what was to stay.
async fn follow_to_the_end(control: &AsyncFd<OwnedFd>, leftovers: Leftovers) -> bool {
    let mut ended_well = false;
    loop {
        match receive(control).await {
            Message::Main(status) => ended_well = status == 0,
            Message::Gone => return true,
            // It ended before it was to be killed, and what it started stays.
            Message::Closed => return ended_well && leftovers == Leftovers::Leave,
        }
    }
}
