//! Bringing `synchronous_standby_names` into force, and knowing that it is.
//!
//! PostgreSQL reads a changed setting at its own pace: each sender judges by what it has read, and whether a commit
//! waits at all is a flag that the checkpointer sets some time after a reload. A session that shows the new value
//! proves nothing of either. So a wider setting comes into force in two steps:
//!
//! ```text
//!  former setting ──► nothing is acknowledged (NOBODY is required too)
//!                      │ seen: a commit of ours waits, and every sender shows a priority of this setting
//!                      ▼
//!                     FIRST n (the n replicas)
//!                      │ seen: every sender shows a priority of this setting        = in force
//!                      ▼
//!                     our commit, made before the last step, is acknowledged        = each has all before it
//! ```
//! A commit that waits is looked at again only when a replica reports, which one that has everything does once a second.
//! So that nobody waits for that, a record follows each change: it has to be reported.
//!
//! A replica whose sender does not run yet cannot acknowledge anything by a former setting: a sender starts with the
//! newest one. A narrower setting needs no proof: who has not read it yet waits for more, not for less.

use super::names::Names;
use super::server::{Server, blocking};
use super::sql::Session;
use core::time::Duration;
use picket_core::ids::{NodeId, NodeSet};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How often is looked whether a setting is in force; PostgreSQL tells nobody.
const LOOK: Duration = Duration::from_millis(2);

/// A commit of ours that is acknowledged when every required replica has it.
const PROBE: &str = "set synchronous_commit = on; select pg_logical_emit_message(true, 'picket', '')";

/// A record that replicas report, and that waits for nobody. It holds nothing that anybody could miss.
const NUDGE: &str = "set synchronous_commit = local; select pg_logical_emit_message(true, 'picket', '')";

/// A commit that waits for the barrier; it ends with its session if nobody waits for it any more.
pub(super) struct Probe {
    pid: i32,
    waits: JoinHandle<Result<(), String>>,
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.waits.abort();
    }
}

impl Probe {
    async fn begin(server: &Server) -> Result<Self, String> {
        let session = server.connect().await?;
        let pid = session.text("select pg_backend_pid()::text").await?;
        let pid = pid.parse().map_err(|_| "no pid".to_owned())?;
        Ok(Self { pid, waits: tokio::spawn(async move { session.run(PROBE).await }) })
    }

    /// Every replica that was required when the probe began has all that was written before it.
    pub(super) async fn acknowledged(mut self) -> Result<(), String> {
        (&mut self.waits).await.map_err(|error| error.to_string())?
    }

    async fn is_waiting(&self, eyes: &Session) -> Result<bool, String> {
        let text =
            format!("select 1 from pg_stat_activity where pid = {} and wait_event = 'SyncRep'", self.pid);
        Ok(!eyes.rows(&text).await?.is_empty())
    }
}

/// Makes exactly these replicas required, and returns when that is in force; the probe tells when they have all that
/// was written before. To be given up by who has a deadline: the setting is then unknown, and never wider than one
/// of the former and the new one.
pub(super) async fn enforce(server: &Arc<Server>, required: NodeSet) -> Result<Option<Probe>, String> {
    let former = server.barrier(|barrier| barrier.in_force.take());
    let eyes = server.connect().await?;
    let narrower = former.is_some_and(|former| !former.blocked && required.is_subset(former.required));
    let probe = if required.is_empty() || narrower {
        None
    } else {
        bring(server, &eyes, required, true).await?;
        Some(waiting(server, &eyes).await?)
    };
    let names = bring(server, &eyes, required, false).await?;
    server.barrier(|barrier| {
        barrier.in_force = Some(names);
        barrier.synced = barrier.synced.intersection(required);
    });
    if !required.is_empty() {
        eyes.run(NUDGE).await?;
    }
    Ok(probe)
}

/// Writes a setting and waits until every session and sender shows it.
async fn bring(
    server: &Arc<Server>,
    eyes: &Session,
    required: NodeSet,
    blocked: bool,
) -> Result<Names, String> {
    let shown = priorities(server, eyes).await?;
    let names = Names::after(Some(server.written().names), &shown, required, blocked);
    let writer = server.clone();
    blocking("write the settings", move || writer.write(|written| written.names = names)).await?;
    eyes.text("select pg_reload_conf()::text").await?;
    let text = names.text(&server.names);
    loop {
        let value = eyes.text("select current_setting('synchronous_standby_names')").await?;
        let shown = priorities(server, eyes).await?;
        let all = required
            .iter()
            .all(|node| shown.get(&node).is_none_or(|priority| Some(*priority) == names.priority(node)));
        if value == text && all {
            return Ok(names);
        }
        sleep(LOOK).await;
    }
}

/// A commit of ours that is seen to wait. One that was acknowledged at once was made before the setting was in
/// force.
async fn waiting(server: &Server, eyes: &Session) -> Result<Probe, String> {
    loop {
        let probe = Probe::begin(server).await?;
        while !probe.waits.is_finished() {
            if probe.is_waiting(eyes).await? {
                return Ok(probe);
            }
            sleep(LOOK).await;
        }
        probe.acknowledged().await?;
    }
}

/// The priorities of the members' senders, as far as they send.
async fn priorities(server: &Server, eyes: &Session) -> Result<BTreeMap<NodeId, u32>, String> {
    let senders = eyes.senders().await?;
    let known = senders.iter().filter(|sender| sender.streams || sender.catches_up);
    Ok(known.filter_map(|sender| Some((server.member(&sender.name)?, sender.priority))).collect())
}
