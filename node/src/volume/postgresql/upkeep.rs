//! What is done without an order, one thing at a time and never beside one: keeping a replica running and
//! following, putting right what an order left half done, and taking up a server that was left running.

use super::barrier::enforce;
use super::follow::{self, Verdict};
use super::look::Seen;
use super::names::Names;
use super::orders::keep_log_for_others;
use super::server::{Server, blocking};
use super::sql::View;
use super::timeline::Place;
use super::{CHORE_AGAIN, Keeper, ORPHAN_LOOKS, PATIENCE};
use crate::time::now;
use core::time::Duration;
use picket_core::ids::{NodeId, NodeSet};
use picket_core::node::Recorded;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::timeout;

/// How long bringing a barrier into force may take before it is tried anew.
const ENFORCE_MAX: Duration = Duration::from_secs(5);

/// How long the replicas of a server that is taken up may need to show that they have everything. Who does not is
/// taken out of the in-sync set, and comes back.
const SYNCED_MAX: Duration = Duration::from_secs(2);

/// How long an end may take that nobody ordered.
const STOP_MAX: Duration = Duration::from_secs(20);

/// One thing to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Chore {
    /// Starts the replica.
    Start(Option<NodeId>),
    /// Ends a server that is not as it must be; it is started again as a replica.
    End(&'static str),
    /// Has the replica follow another one.
    Follow(Option<NodeId>),
    /// Gives up what is kept for other replicas.
    DropSlots,
    /// Brings the replica's control file to where its replay is.
    Check,
    /// Finds out whether the replica can follow.
    Examine { from: NodeId, system: u64, mine: Place },
    /// Makes the replica anew.
    Rebuild { from: NodeId, rewind: bool },
    /// Takes up a server that was left running: with the barrier that it has.
    Adopt(Names),
    /// Brings the barrier into force again.
    Enforce(NodeSet),
    /// Forgets that the data is nobody's copy: an in-sync set is recorded, and copies have that word too.
    Forget,
    /// Puts `standby.signal` back, which an order that was broken off did not.
    PutBack,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Kept {
    Done,
    Checked,
    Judged(Verdict),
    Rebuilt,
}

impl Server {
    /// An order is broken off. A replica that was about to be required is not, and the barrier is in no known state.
    pub(super) fn abandon(&self) {
        self.barrier(|barrier| {
            if let Some(peer) = barrier.joining.take() {
                barrier.allowed = barrier.allowed.map(|allowed| allowed.without(peer));
            }
            barrier.in_force = None;
        });
    }
}

impl Keeper {
    /// The next thing to be done.
    pub(super) fn next_chore(&mut self, seen: &Seen) -> Option<Chore> {
        match seen {
            // One that does not stay up is not started again and again without a pause.
            Seen::Stopped { unfit: false } if now() < self.start_at => None,
            Seen::Stopped { unfit: false } => {
                (self.checked, self.start_at) = (false, now() + CHORE_AGAIN);
                Some(Chore::Start(self.holder()))
            }
            Seen::Stopped { unfit: true } => {
                let recorded = *self.about.recorded.borrow();
                let from = self.holder().filter(|_| recorded.current)?;
                Some(Chore::Rebuild { from, rewind: false })
            }
            // One that was found frozen says nothing, and nothing is known of what it may do when it runs.
            Seen::Frozen if self.last.is_none() || !self.is_known() => {
                Some(Chore::End("it was found frozen"))
            }
            Seen::Frozen | Seen::Blind(_) => None,
            Seen::Orphans => (self.orphans >= ORPHAN_LOOKS).then_some(Chore::End("its postmaster has ended")),
            Seen::Up(view) if view.recovery => self.chore_of_replica(view),
            Seen::Up(view) => self.chore_of_primary(view),
        }
    }

    fn is_known(&self) -> bool {
        self.server.barrier(|barrier| barrier.allowed.is_some())
    }

    fn chore_of_replica(&self, view: &View) -> Option<Chore> {
        // Whatever it was before, it is nobody's barrier now.
        self.server.barrier(|barrier| *barrier = super::server::Barrier::default());
        if !self.is_ours(view) {
            return Some(Chore::End("it was not started by picketd"));
        }
        if view.names != Names::BLOCKED.text(&self.server.names) {
            return Some(Chore::End("it was writable and has become a replica by itself"));
        }
        let written = self.server.written().source;
        match self.holder() {
            Some(holder) if written != Some(holder) => return Some(Chore::Follow(Some(holder))),
            _ => {}
        }
        if !self.server.directory.has_signal() {
            return Some(Chore::PutBack);
        }
        if view.original && !self.about.recorded.borrow().isr.is_empty() {
            return Some(Chore::Forget);
        }
        if view.idle_slots {
            return Some(Chore::DropSlots);
        }
        if view.receiver.is_some_and(|receiver| receiver.streams) {
            return None;
        }
        if !self.checked {
            return Some(Chore::Check);
        }
        let recorded = *self.about.recorded.borrow();
        let from = self.holder().filter(|_| recorded.current)?;
        let idle = self.idle_since.is_some_and(|since| now().since(since) >= PATIENCE);
        let mine = self.known.place(view);
        idle.then_some(Chore::Examine { from, system: view.system, mine })
    }

    fn chore_of_primary(&self, view: &View) -> Option<Chore> {
        if !self.is_ours(view) {
            // The core orders its end: it was granted to nobody here.
            return None;
        }
        if !self.server.directory.has_signal() {
            return Some(Chore::PutBack);
        }
        let barrier = self.server.barrier(|barrier| *barrier);
        let Some(allowed) = barrier.allowed else {
            return Some(match Names::parse(&view.names, &self.server.names) {
                Some(names) if !names.blocked => Chore::Adopt(names),
                // It was about to be promoted, or is somebody else's: nothing says what its commits may wait for.
                _ => Chore::End("its barrier is not known"),
            });
        };
        if view.original && !self.about.recorded.borrow().isr.is_empty() {
            return Some(Chore::Forget);
        }
        barrier.in_force.is_none().then_some(Chore::Enforce(allowed))
    }
}

/// Does it.
pub(super) async fn work(
    server: Arc<Server>,
    recorded: watch::Receiver<Recorded>,
    chore: Chore,
) -> Result<Kept, String> {
    let data = server.conf.data_directory.display();
    match chore {
        Chore::Start(source) => server.start(source).await?,
        Chore::End(why) => {
            tracing::warn!(server = %data, why, "the server is ended, and starts as a replica");
            if !server.stop(now() + STOP_MAX).await? {
                return Err("processes of the server are left".to_owned());
            }
        }
        Chore::Follow(source) => follow::follow(&server, source).await?,
        Chore::DropSlots => follow::drop_slots(&server).await?,
        Chore::Check => {
            follow::checkpoint_replica(&server).await?;
            return Ok(Kept::Checked);
        }
        Chore::Examine { from, system, mine } => {
            return follow::examine(&server, from, system, mine).await.map(Kept::Judged);
        }
        Chore::Rebuild { from, rewind } => {
            follow::rebuild(&server, &recorded, from, rewind).await?;
            return Ok(Kept::Rebuilt);
        }
        Chore::Adopt(names) => adopt(&server, names).await?,
        Chore::Enforce(required) => {
            let probe = timeout(ENFORCE_MAX, enforce(&server, required)).await;
            probe.map_err(|_| "the barrier does not come into force".to_owned())??;
        }
        Chore::Forget => {
            let this = server.clone();
            blocking("forget what the data was", move || this.directory.clear_original()).await?;
        }
        Chore::PutBack => {
            let this = server.clone();
            blocking("put standby.signal back", move || this.directory.put_signal()).await?;
        }
    }
    Ok(Kept::Done)
}

/// Takes a running server up with the barrier that it shows. Nothing is known of how far that is in force, nor of
/// what its replicas have.
async fn adopt(server: &Arc<Server>, names: Names) -> Result<(), String> {
    server.found(names);
    keep_log_for_others(server, &server.connect().await?).await?;
    let probe = timeout(ENFORCE_MAX, enforce(server, names.required)).await;
    let probe = probe.map_err(|_| "the barrier does not come into force".to_owned())??;
    let synced = match probe {
        Some(probe) => timeout(SYNCED_MAX, probe.acknowledged()).await == Ok(Ok(())),
        None => true,
    };
    server.barrier(|barrier| {
        barrier.allowed = Some(names.required);
        barrier.synced = if synced { names.required } else { NodeSet::EMPTY };
    });
    Ok(())
}
