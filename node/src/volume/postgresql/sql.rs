//! What is asked of a server that runs, over its own socket.

use super::timeline::{self, Lsn, Place};
use crate::config::PostgreSql;
use crate::volume::one_line;
use core::time::Duration;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_postgres::types::FromSql;
use tokio_postgres::{Client, NoTls, Row};

/// A server that takes longer for one answer is not seen: half of what a shrink or a freeze may cost at most.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(2);

/// The words in which all that is looked at is asked for; PostgreSQL 13 and newer know them all.
const LOOK: &str = "select pg_is_in_recovery() as recovery, \
  (select system_identifier from pg_control_system()) as system, \
  (select timeline_id from pg_control_checkpoint()) as checkpoint_timeline, \
  (select min_recovery_end_timeline from pg_control_recovery()) as recovery_timeline, \
  case when pg_is_in_recovery() then null else pg_walfile_name(pg_current_wal_lsn()) end as segment, \
  (case when pg_is_in_recovery() then greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) \
   else pg_current_wal_flush_lsn() end)::text as lsn, \
  current_setting('synchronous_standby_names') as names, current_setting('config_file') as config, \
  current_setting('synchronous_commit') as commits, current_setting('fsync') as fsync, \
  (select count(*) from pg_db_role_setting, unnest(setconfig) as one \
   where one ~ '^synchronous_commit=(off|local|remote_write)$') as weak, \
  (select count(*) from pg_replication_slots where slot_type = 'physical' and not active \
   and slot_name ~ '^picket_[0-9]+$') as idle_slots";

const SENDERS: &str = "select pid, application_name, state, sync_priority from pg_stat_replication";

const RECEIVER: &str = "select pid, status, received_tli, coalesce(flushed_lsn, '0/0')::text as flushed \
  from pg_stat_wal_receiver where pid is not null";

/// What a running server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// It is a replica: nothing can be written here.
    pub(super) recovery: bool,
    pub(super) system: u64,
    /// The newest timeline that its control file knows of.
    pub(super) control_timeline: u32,
    /// The timeline that is written; none: a replica.
    pub(super) timeline: Option<u32>,
    /// Its data was nobody's copy when it was taken over.
    pub(super) original: bool,
    /// The newest timeline that it has anything of, and that one's history.
    pub(super) newest: u32,
    pub(super) history: Vec<Place>,
    /// The end of its log, as far as it is on the disk.
    pub(super) lsn: Lsn,
    pub(super) names: String,
    pub(super) config: String,
    /// What cannot be protected, in words.
    pub(super) weak: Option<String>,
    /// Slots for other replicas that nobody uses.
    pub(super) idle_slots: bool,
    pub(super) senders: Vec<Sender>,
    pub(super) receiver: Option<Receiver>,
}

impl View {
    /// Two that stream under one name count as two replicas of the barrier, in the place of another one.
    pub(super) fn twice(&self) -> Option<String> {
        let mut streaming: Vec<_> =
            self.senders.iter().filter(|sender| sender.priority > 0 && sender.streams).collect();
        streaming.sort_by(|one, other| one.name.cmp(&other.name));
        let twice = streaming.windows(2).find(|pair| pair[0].name == pair[1].name)?;
        Some(format!(
            "two replicas stream under the name {:?}: the barrier may miss another one",
            twice[0].name
        ))
    }
}

/// What sends the log to one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sender {
    pub(super) pid: i32,
    pub(super) name: String,
    pub(super) streams: bool,
    pub(super) catches_up: bool,
    pub(super) priority: u32,
}

/// What receives the log from the holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Receiver {
    pub(super) pid: i32,
    pub(super) streams: bool,
    pub(super) timeline: u32,
    pub(super) flushed: Lsn,
}

/// A connection to a server.
#[derive(Debug)]
pub(super) struct Session {
    client: Client,
}

/// Opens one as the superuser; `gone` is told of its end.
///
/// # Errors
/// Why there is none, in a line.
pub(super) async fn connect(server: &PostgreSql, gone: Option<Arc<Notify>>) -> Result<Session, String> {
    let mut config = tokio_postgres::Config::new();
    config.host_path(&server.socket_directory).port(server.port);
    config.user(&server.user).dbname("postgres").application_name("picketd").connect_timeout(ANSWER_MAX);
    // Whatever the user set for sessions in general.
    config.options("-c statement_timeout=0 -c lock_timeout=0");
    let connecting = config.connect(NoTls);
    let (client, connection) = match tokio::time::timeout(ANSWER_MAX, connecting).await {
        Ok(connected) => connected.map_err(|error| told(&error))?,
        Err(_) => return Err("the server does not answer".to_owned()),
    };
    tokio::spawn(async move {
        let _ended = connection.await;
        if let Some(gone) = gone {
            gone.notify_one();
        }
    });
    Ok(Session { client })
}

impl Session {
    /// Asks, within [`ANSWER_MAX`].
    pub(super) async fn rows(&self, text: &str) -> Result<Vec<Row>, String> {
        match tokio::time::timeout(ANSWER_MAX, self.client.query(text, &[])).await {
            Ok(rows) => rows.map_err(|error| told(&error)),
            Err(_) => Err("the server does not answer".to_owned()),
        }
    }

    /// One text.
    pub(super) async fn text(&self, text: &str) -> Result<String, String> {
        let rows = self.rows(text).await?;
        rows.first().ok_or("no row")?.try_get(0).map_err(|error| told(&error))
    }

    /// Runs statements for as long as they take; the caller has a deadline.
    pub(super) async fn run(&self, text: &str) -> Result<(), String> {
        self.client.batch_execute(text).await.map_err(|error| told(&error))
    }

    /// All that is looked at.
    pub(super) async fn view(&self) -> Result<View, String> {
        let rows = self.rows(LOOK).await?;
        let row = rows.first().ok_or("no row")?;
        let mut view = view(row)?;
        if view.recovery {
            let rows = self.rows(RECEIVER).await?;
            view.receiver = rows.first().map(receiver).transpose()?.flatten();
        }
        view.senders = self.senders().await?;
        Ok(view)
    }

    /// What sends to replicas.
    pub(super) async fn senders(&self) -> Result<Vec<Sender>, String> {
        let rows = self.rows(SENDERS).await?;
        rows.iter().map(|row| sender(row).map_err(|error| told(&error))).collect()
    }
}

fn get<'r, T: FromSql<'r>>(row: &'r Row, column: &str) -> Result<T, String> {
    row.try_get(column).map_err(|error| told(&error))
}

fn view(row: &Row) -> Result<View, String> {
    let system: i64 = get(row, "system")?;
    let checkpoint: i32 = get(row, "checkpoint_timeline")?;
    let recovery: i32 = get(row, "recovery_timeline")?;
    let segment: Option<String> = get(row, "segment")?;
    let end: Option<String> = get(row, "lsn")?;
    let (timeline, lsn) = timeline::written(segment.as_deref(), end.as_deref())?;
    Ok(View {
        recovery: get(row, "recovery")?,
        system: system.cast_unsigned(),
        control_timeline: checkpoint.max(recovery).cast_unsigned(),
        timeline,
        original: false,
        newest: 0,
        history: Vec::new(),
        lsn,
        names: get(row, "names")?,
        config: get(row, "config")?,
        weak: weak(row).map_err(|error| told(&error))?,
        idle_slots: get::<i64>(row, "idle_slots")? > 0,
        senders: Vec::new(),
        receiver: None,
    })
}

/// Commits that do not wait for the disks of all replicas are acknowledged unprotected.
fn weak(row: &Row) -> Result<Option<String>, tokio_postgres::Error> {
    let commits: String = row.try_get("commits")?;
    let (fsync, weak): (String, i64) = (row.try_get("fsync")?, row.try_get("weak")?);
    Ok(if !matches!(commits.as_str(), "on" | "remote_apply") {
        Some(format!(
            "synchronous_commit = {commits}: commits are acknowledged before the replicas have them"
        ))
    } else if fsync != "on" {
        Some("fsync is off: a crash of the machine can lose acknowledged commits".to_owned())
    } else if weak > 0 {
        Some(format!(
            "{weak} databases or roles have a synchronous_commit of their own that does not wait for the replicas"
        ))
    } else {
        None
    })
}

fn sender(row: &Row) -> Result<Sender, tokio_postgres::Error> {
    let state: Option<String> = row.try_get("state")?;
    let priority: Option<i32> = row.try_get("sync_priority")?;
    Ok(Sender {
        pid: row.try_get("pid")?,
        name: row.try_get::<_, Option<String>>("application_name")?.unwrap_or_default(),
        streams: state.as_deref() == Some("streaming"),
        catches_up: state.as_deref() == Some("catchup"),
        priority: priority.unwrap_or_default().cast_unsigned(),
    })
}

fn receiver(row: &Row) -> Result<Option<Receiver>, String> {
    let status: Option<String> = get(row, "status")?;
    let (timeline, flushed): (Option<i32>, Option<String>) =
        (get(row, "received_tli")?, get(row, "flushed")?);
    let flushed = timeline::reached(flushed.as_deref())?;
    Ok(timeline.map(|timeline| Receiver {
        pid: row.try_get("pid").unwrap_or_default(),
        streams: status.as_deref() == Some("streaming"),
        timeline: timeline.cast_unsigned(),
        flushed,
    }))
}

/// An error with its cause, in a line.
fn told(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => one_line(&format!("{}: {}", said.severity(), said.message())),
        None => std::error::Error::source(error)
            .map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}")),
    }
}
