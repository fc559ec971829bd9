//! One look at a server: its processes first, then what it says itself.

use super::processes::Processes;
use super::server::{Server, blocking};
use super::sql::{self, Session, View};
use super::timeline;
use std::sync::Arc;
use tokio::sync::Notify;

/// What was seen.
#[derive(Debug)]
pub(super) enum Seen {
    /// No process of it is left.
    Stopped {
        /// There is nothing that could be started.
        unfit: bool,
    },
    /// Every process is stopped.
    Frozen,
    /// Processes are left whose postmaster has ended.
    Orphans,
    /// It runs and says nothing.
    Blind(String),
    /// What it says.
    Up(Box<View>),
}

/// A look, and the connection that it was taken over, for the next one.
pub(super) struct Looked {
    pub(super) seen: Seen,
    pub(super) eyes: Option<Session>,
    /// The postmaster, to be told of its end.
    pub(super) postmaster: Option<i32>,
}

enum Body {
    Seen(Seen),
    Runs(i32),
}

/// Looks, over `eyes` if it is there. `gone` is told when a new connection ends.
pub(super) async fn look(server: Arc<Server>, eyes: Option<Session>, gone: Arc<Notify>) -> Looked {
    let this = server.clone();
    let body =
        match blocking("look at the processes", move || this.processes.find().map(|f| this.body(&f))).await {
            Ok(body) => body,
            Err(error) => Body::Seen(Seen::Blind(error)),
        };
    let postmaster = match body {
        Body::Seen(seen) => return Looked { seen, eyes: None, postmaster: None },
        Body::Runs(postmaster) => postmaster,
    };
    let eyes = match eyes {
        Some(eyes) => Ok(eyes),
        None => sql::connect(&server.conf, Some(gone)).await,
    };
    let (seen, eyes) = match ask(&server, eyes).await {
        Ok((view, eyes)) => (Seen::Up(view), Some(eyes)),
        Err(error) => (Seen::Blind(error), None),
    };
    Looked { seen, eyes, postmaster: Some(postmaster) }
}

async fn ask(server: &Arc<Server>, eyes: Result<Session, String>) -> Result<(Box<View>, Session), String> {
    let eyes = eyes?;
    let mut view = eyes.view().await?;
    let received = view.receiver.map_or(0, |receiver| receiver.timeline);
    let newest = view.timeline.unwrap_or(view.control_timeline).max(received);
    let this = server.clone();
    let read = move || Ok((this.directory.history(newest), this.directory.is_original()));
    let (text, original) = blocking("read the history", read).await?;
    (view.newest, view.original) = (newest, original);
    view.history = timeline::former(newest, text.as_deref())?;
    Ok((Box::new(view), eyes))
}

impl Server {
    fn body(&self, found: &Processes) -> Body {
        if found.is_empty() {
            let unfit =
                self.directory.is_marked().unwrap_or(true) || self.directory.is_empty().unwrap_or(true);
            return Body::Seen(Seen::Stopped { unfit });
        }
        if found.are_stopped() {
            return Body::Seen(Seen::Frozen);
        }
        self.postmaster(found).map_or(Body::Seen(Seen::Orphans), |postmaster| Body::Runs(postmaster.pid))
    }
}
