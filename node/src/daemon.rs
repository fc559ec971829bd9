//! The daemon as a whole: everything bound and read first, then the rooms, then the loop.
//!
//! Threads: the loop has one of its own at realtime priority, with the heartbeats; the petting thread stands above
//! it; the connections to witness and peers share one at a priority below; agents, drivers, operators, log and
//! alerts run at ordinary priority.

use crate::config::{Config, OnStop};
use crate::driver::{Ask, Ended, Wake, ask};
use crate::event::{self, Told};
use crate::events::Events;
use crate::peer::Peers;
use crate::reset::Way;
use crate::stay::Stay;
use crate::store::StoreError;
use crate::watchdog::Petting;
use core::time::Duration;
use picket_core::node::{NodeAnswer, NodeRequest, Orphan};
use picket_host::cert::Identity;
use picket_host::logging::emit;
use picket_host::secrets;
use picket_host::tls;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

mod looping;
mod prepare;
mod start;
#[cfg(test)]
mod tests;
mod watched;

pub use prepare::check;

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket, a thread, a runtime, or the watchdog.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The records.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificates.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The key of the heartbeats.
    #[error("the key of the heartbeats: {0}")]
    Key(#[from] secrets::Error),
    /// The certificate is another's.
    #[error("the certificate names {found}; expected {expected}")]
    OtherIdentity {
        /// Who it names.
        found: Identity,
        /// Who this node is.
        expected: Identity,
    },
    /// A name in the configuration cannot stand in a certificate.
    #[error(transparent)]
    Name(#[from] picket_host::cert::NotAnIdentity),
    /// This boot holds what the configuration does not look after.
    #[error("{}; put it back as it was, and stop the daemon before you change it", told(.0))]
    Held(Vec<Orphan>),
    /// The lab machine's boot id cannot be read.
    #[error("{}: {why}", path.display())]
    BootId {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

fn told(orphans: &[Orphan]) -> String {
    orphans.iter().map(Orphan::to_string).collect::<Vec<_>>().join("; ")
}

fn io(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::Io { what, source }
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    config: Arc<Config>,
    queue: mpsc::Sender<Wake>,
    stopping: Stopping,
    ended: oneshot::Receiver<Ended>,
    outcome: Option<Ended>,
    end_asked: mpsc::Receiver<()>,
    petting: Option<Petting>,
    /// Held for what runs on them.
    runtimes: Runtimes,
}

/// What it takes to stop with volumes that stay.
#[derive(Debug)]
struct Stopping {
    stay: Stay,
    peers: Peers,
    events: Events,
}

/// How long answers that are on their way may take to be read once the loop has ended: far longer than a socket needs.
const FAREWELL: Duration = Duration::from_millis(500);

/// The server of the control socket.
#[derive(Debug)]
struct Answering {
    /// To be dropped when nobody else is to be served.
    over: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Answering {
    /// Lets the answers out that are on their way: that of the request which ended the daemon is one of them.
    async fn end(self) {
        drop(self.over);
        // Who does not read what he asked for is not waited for.
        let _ = tokio::time::timeout(FAREWELL, self.served).await;
    }
}

#[derive(Debug)]
struct Runtimes {
    net: Option<Runtime>,
    rooms: Option<Runtime>,
    answering: Option<Answering>,
}

impl Drop for Runtimes {
    fn drop(&mut self) {
        // What still runs is killed; nobody waits for a connection or an agent here.
        for runtime in [self.net.take(), self.rooms.take()].into_iter().flatten() {
            runtime.shutdown_background();
        }
    }
}

impl Daemon {
    /// Starts everything. Comes back when the loop runs.
    ///
    /// # Errors
    /// What is missing or in use. Nothing is left running then, and the watchdog is as it was.
    pub fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, None)
    }

    /// The same with another end of the machine; for tests in one process.
    pub(crate) fn start_with(config: Config, way: Option<Way>) -> Result<Self, StartError> {
        start::start(prepare::prepare(config)?, way)
    }

    /// Waits until the loop has ended, or somebody asks that the daemon ends; then [`Daemon::end`] is due.
    pub async fn wait(&mut self) {
        if self.outcome.is_some() {
            return;
        }
        tokio::select! {
            ended = &mut self.ended => self.outcome = ended.ok(),
            _ = self.end_asked.recv() => {},
        }
    }

    /// Takes everything out of service: other nodes take it, or it stays, as the configuration says. What cannot stay is
    /// handed over: a peer that is not held would take it anyway.
    pub async fn stop(&self) -> Option<NodeAnswer> {
        let Stopping { stay, peers, events } = &self.stopping;
        if self.config.on_stop == OnStop::Stay
            && let Err(why) = stay.leave(peers).await
        {
            let text = format!("volumes are handed over and do not stay: {why}");
            events.tell(Told::new(event::NOT_STAYING, text));
        }
        ask(&self.queue, NodeRequest::StopHandOver).await
    }

    /// Ends the loop and everything else, and tells how the loop ended; nothing: it broke off. The watchdog is
    /// closed if nothing is held any more, or if what is held is left running under a maintenance that the witness
    /// recorded; else it stays armed, and bites unless a daemon comes back in time.
    pub async fn end(mut self) -> Option<Ended> {
        if self.outcome.is_none() {
            // A loop that has ended meanwhile has told how.
            let _ = self.queue.send(Wake::Ask(Ask::End)).await;
            self.outcome = (&mut self.ended).await.ok();
        }
        let in_order = matches!(self.outcome, Some(Ended::Told { idle, kept }) if idle || kept);
        if let Some(petting) = self.petting.take() {
            if in_order {
                let closed = tokio::task::spawn_blocking(move || petting.close()).await;
                if let Ok(Err(error)) = closed {
                    emit(&event::WATCHDOG_FAILED, format_args!("the watchdog stays armed: {error}"));
                }
            } else {
                emit(&event::WATCHDOG_FAILED, "something is still held: the watchdog stays armed");
            }
        }
        if let Some(answering) = self.runtimes.answering.take() {
            answering.end().await;
        }
        // What a later daemon would find is put aside by it.
        let _ = std::fs::remove_file(&self.config.control.socket);
        self.outcome.take()
    }

    /// The configuration that it runs with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }
}
