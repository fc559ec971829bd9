//! Stopping and starting the whole site: what one node does of it, and what it remembers.
//!
//! ```text
//!   whoever is asked            every node, itself too
//!   ───────────────             ─────────────────────────────────────────────────────────
//!   stop:  check   ───────────► may it be stopped now, as far as that node knows?
//!          hold    ───────────► from now on it takes no volume, until it is started: those first that hold nothing
//!          release ───────────► what it holds goes out of service, and the witness has recorded that
//!   start: start   ───────────► it may take volumes again
//! ```
//! Idea: a node on standby asks for no volume, also after a boot. When all are, a holder that stops finds nobody to hand
//! over to, and releases: nobody is missed, so nobody is fenced, and replication goes on until the last write.
//!
//! Contract: what stops the site is on disk before a node says that it is held; a node that an operator had put on
//! standby before stays so when the site is started.

use crate::config::Config;
use crate::control::{done, outcome, refused};
use crate::driver::{self, Snapshot, Wake, ask};
use crate::remembered;
use crate::resource::Trees;
use crate::resource::tree::State as ResourceState;
use picket_core::node::{NodeAnswer, NodeRequest, Phase};
use picket_host::files::RealFiles;
use picket_host::small_state::SmallState;
use picket_proto::v1;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::mpsc;

/// Tells the file from others.
const KIND: [u8; 4] = *b"PKST";

/// The form of its record.
const SCHEMA: u16 = 1;

/// What a node does of a stop or a start of the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Says whether the site could be stopped now.
    Check {
        /// Also when not every replica is in sync.
        degraded: bool,
    },
    /// Takes no volume any more.
    Hold,
    /// Takes out of service what it holds.
    Release,
    /// May take volumes again.
    Start,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// The site is stopped, as far as this node was told.
    stopped: bool,
    /// This node was on standby before.
    was_standby: bool,
}

#[derive(Debug)]
struct Kept {
    file: SmallState,
    record: Record,
}

/// This node's part.
#[derive(Clone, Debug)]
pub struct Site {
    config: Arc<Config>,
    queue: mpsc::Sender<Wake>,
    trees: Arc<OnceLock<Trees>>,
    kept: Arc<Mutex<Kept>>,
}

impl Site {
    /// With what was remembered. A record that cannot be read counts as none: the node's standby is the core's to
    /// remember.
    #[must_use]
    pub fn new(config: Arc<Config>, queue: mpsc::Sender<Wake>, trees: Arc<OnceLock<Trees>>) -> Self {
        let file = SmallState::new(Arc::new(RealFiles), &path(&config.state_dir), KIND, SCHEMA);
        let record = remembered::load(&file).unwrap_or_else(|error| {
            tracing::warn!(%error, "whether the site was stopped is forgotten; the node's standby is not");
            None
        });
        let record: Record = record.unwrap_or_default();
        Self { config, queue, trees, kept: Arc::new(Mutex::new(Kept { file, record })) }
    }

    /// The site was stopped, and not started again here.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.record().stopped
    }

    /// Does one step, and says how it ended.
    pub async fn step(&self, step: Step) -> v1::Outcome {
        let ended = match step {
            Step::Check { degraded } => self.check(degraded).await,
            Step::Hold => self.hold().await,
            Step::Release => self.release().await,
            Step::Start => self.start().await,
        };
        ended.unwrap_or_else(|why| refused("NOT_DONE", why))
    }

    /// An operator put this node online by itself: it has nothing to do with a stop of the site any more.
    ///
    /// # Errors
    /// It cannot be remembered.
    pub async fn forget(&self) -> Result<(), String> {
        if self.is_stopped() { self.remember(Record::default()).await } else { Ok(()) }
    }

    async fn check(&self, degraded: bool) -> Result<v1::Outcome, String> {
        let mut reasons = hindrances(&self.config, &*self.snapshot().await?, degraded);
        let trees = self.trees.get().into_iter().flat_map(Trees::all);
        for (_, handle) in trees {
            let view = handle.view.borrow();
            let stuck = view.lines.iter().filter(|line| line.state == ResourceState::Stuck);
            reasons.extend(stuck.map(|line| format!("{} was not stopped: {}", line.tag, line.text)));
        }
        Ok(if reasons.is_empty() { done("ready", None) } else { refused("NOT_SAFE", reasons.join("; ")) })
    }

    async fn hold(&self) -> Result<v1::Outcome, String> {
        if !self.is_stopped() {
            let was_standby = self.snapshot().await?.status.standby;
            self.remember(Record { stopped: true, was_standby }).await?;
        }
        Ok(outcome(&self.config, self.ask(NodeRequest::Standby(true)).await?))
    }

    async fn release(&self) -> Result<v1::Outcome, String> {
        Ok(outcome(&self.config, self.ask(NodeRequest::Release).await?))
    }

    async fn start(&self) -> Result<v1::Outcome, String> {
        let record = self.record();
        if !record.stopped {
            return Ok(done("it was not stopped", None));
        }
        let text = if record.was_standby {
            "it stays on standby, as it was before"
        } else {
            self.ask(NodeRequest::Standby(false)).await?;
            "online"
        };
        self.remember(Record::default()).await?;
        Ok(done(text, None))
    }

    fn record(&self) -> Record {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).record
    }

    async fn remember(&self, record: Record) -> Result<(), String> {
        let kept = self.kept.clone();
        let write = move || {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let bytes = serde_json::to_vec(&record).map_err(|error| error.to_string())?;
            kept.file.replace(&bytes).map_err(|error| error.to_string())?;
            kept.record = record;
            Ok(())
        };
        tokio::task::spawn_blocking(write).await.map_err(|error| error.to_string())?
    }

    async fn snapshot(&self) -> Result<Box<Snapshot>, String> {
        driver::snapshot(&self.queue).await.ok_or_else(|| "the daemon ends".to_owned())
    }

    /// The core gives up by itself.
    async fn ask(&self, request: NodeRequest) -> Result<NodeAnswer, String> {
        ask(&self.queue, request).await.ok_or_else(|| "the daemon ends".to_owned())
    }
}

fn path(dir: &Path) -> std::path::PathBuf {
    dir.join("site")
}

/// Why the site had better not be stopped now, as far as this node knows.
fn hindrances(config: &Config, snapshot: &Snapshot, degraded: bool) -> Vec<String> {
    let status = &snapshot.status;
    let mut reasons = Vec::new();
    if !status.witness.registered || status.witness.lost {
        reasons.push("the witness does not answer: it could not record what is released".to_owned());
    }
    if status.witness.recovering.is_some() {
        reasons.push("the witness is in RECOVERY".to_owned());
    }
    for fence in &status.fences {
        reasons.push(format!("{} is being fenced", config.node_name(fence.target)));
    }
    for volume in &status.volumes {
        let tag = config.volume_name(volume.volume);
        match volume.phase {
            Phase::Secondary | Phase::Active(_) => {}
            Phase::Unread => reasons.push(format!("{tag}: nobody knows yet what its replica is")),
            Phase::Promoting(_) => reasons.push(format!("{tag} is on its way into service")),
            Phase::Frozen(_) => reasons.push(format!("{tag} is frozen")),
            Phase::Stopping(_) => reasons.push(format!("{tag} is on its way out of service")),
            Phase::Failed => reasons.push(format!("a stop of {tag} failed")),
        }
        if crate::control::is_overridden(volume) {
            reasons
                .push(format!("{tag} was activated outside the guarantee, and no witness has recorded it"));
        }
        let members = config.volumes.get(&volume.volume).map_or(0, |volume| volume.members.len());
        let members = u32::try_from(members).unwrap_or(u32::MAX);
        match &volume.register {
            None => reasons.push(format!("{tag}: the witness has not told what is recorded of it")),
            Some(register) if register.isr.len() < members && !degraded => {
                let isr = config.node_names(register.isr).join(", ");
                reasons.push(format!("{tag}: only {isr} has every acknowledged write"));
            }
            Some(_) => {}
        }
    }
    reasons
}
