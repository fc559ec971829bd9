//! One server: its settings, its start and its end.

use super::files::{Directory, program, remove_if_there};
use super::names::Names;
use super::processes::{Finder, Process, Processes};
use super::sql::{self, Session};
use super::turns::Turns;
use crate::config::PostgreSql;
use crate::time::now;
use crate::volume::one_line;
use core::time::Duration;
use picket_core::ids::{NodeId, NodeSet};
use picket_core::time::Instant;
use picket_host::process::{Finished, Leftovers, Outcome, Program, run};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// `pg_ctl start` and the like only hand over and return.
const SHORT: Duration = Duration::from_secs(10);

/// How long before the end of a stop the server is no more asked but killed.
const KILL_TAKES: Duration = Duration::from_millis(500);

/// The barrier of a server that this node was granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Barrier {
    /// The replicas that each commit must wait for, as the core has it; none: nobody told in this run.
    pub(super) allowed: Option<NodeSet>,
    /// What is seen in force; none: nobody knows.
    pub(super) in_force: Option<Names>,
    /// Of those, the replicas that are known to have all that was acknowledged before they were required.
    pub(super) synced: NodeSet,
    /// The replica that is being made required: it counts only once it has everything.
    pub(super) joining: Option<NodeId>,
}

/// A server and what is known of its cluster.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) conf: PostgreSql,
    pub(super) directory: Directory,
    pub(super) processes: Finder,
    /// The members' names, which are the replicas' names too.
    pub(super) names: BTreeMap<NodeId, String>,
    pub(super) me: NodeId,
    pub(super) barrier: Mutex<Barrier>,
    pub(super) turns: Turns,
    written: Mutex<Written>,
}

/// The settings that change, as they were written last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) names: Names,
    /// Whom a replica follows.
    pub(super) source: Option<NodeId>,
}

impl Server {
    pub(super) fn new(conf: PostgreSql, names: BTreeMap<NodeId, String>, me: NodeId) -> Self {
        let directory = Directory { data: conf.data_directory.clone() };
        let processes = Finder::new(&conf.data_directory);
        let written = Mutex::new(Written { names: Names::BLOCKED, source: None });
        let (barrier, turns) = (Mutex::default(), Turns::default());
        Self { conf, directory, processes, names, me, barrier, turns, written }
    }

    pub(super) fn barrier<T>(&self, change: impl FnOnce(&mut Barrier) -> T) -> T {
        change(&mut self.barrier.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn written(&self) -> Written {
        *self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the settings; a server that runs reads them when it is told to.
    pub(super) fn write(&self, change: impl FnOnce(&mut Written)) -> io::Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut written);
        self.directory.write_conf(&self.text(*written))
    }

    /// A server was found running with this barrier.
    pub(super) fn found(&self, names: Names) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).names = names;
    }

    /// The member whose replica has this name.
    pub(super) fn member(&self, name: &str) -> Option<NodeId> {
        self.names.iter().find(|(_, known)| *known == name).map(|(node, _)| *node)
    }

    fn text(&self, written: Written) -> String {
        let conf = &self.conf;
        let timeout_ms = conf.replication_timeout.as_millis();
        let source = written
            .source
            .and_then(|source| self.conninfo(source, self.names.get(&self.me)?, None))
            .unwrap_or_default();
        let mut text =
            String::from("# Written by picketd, anew at each change and each start. Do not edit.\n");
        let lines = [
            ("include", conf.config_file.display().to_string()),
            ("port", conf.port.to_string()),
            ("unix_socket_directories", conf.socket_directory.display().to_string()),
            ("hot_standby", "on".to_owned()),
            // A server that is ahead of its holder can then be rewound.
            ("wal_log_hints", "on".to_owned()),
            ("full_page_writes", "on".to_owned()),
            ("recovery_target_timeline", "latest".to_owned()),
            ("primary_slot_name", slot(self.me)),
            ("primary_conninfo", source),
            ("wal_retrieve_retry_interval", "500ms".to_owned()),
            ("wal_receiver_status_interval", "1s".to_owned()),
            ("wal_receiver_timeout", format!("{timeout_ms}ms")),
            ("wal_sender_timeout", format!("{timeout_ms}ms")),
            ("synchronous_standby_names", written.names.text(&self.names)),
        ];
        for (key, value) in lines {
            let equals = if key == "include" { "" } else { "= " };
            text.push_str(&format!("{key} {equals}'{}'\n", value.replace('\'', "''")));
        }
        text
    }

    /// How another member's server is reached; to a database, or to replicate. `name` is what it is told, and only a
    /// replica itself has the name that the barrier waits for: what a tool has received makes no commit safe.
    pub(super) fn conninfo(&self, node: NodeId, name: &str, database: Option<&str>) -> Option<String> {
        let address = self.conf.addresses.get(&node)?;
        let timeout_ms = self.conf.replication_timeout.as_millis().to_string();
        let passfile = self.conf.passfile.as_ref().map(|path| path.display().to_string());
        let mut words = vec![
            ("host", address.host.clone()),
            ("port", address.port.to_string()),
            ("user", self.conf.replication_user.clone()),
            ("application_name", name.to_owned()),
            ("connect_timeout", "2".to_owned()),
            ("tcp_user_timeout", timeout_ms),
        ];
        words.extend(passfile.map(|path| ("passfile", path)));
        words.extend(database.map(|database| ("dbname", database.to_owned())));
        let more = self.conf.connection_options.iter().map(|(key, value)| (key.as_str(), value.clone()));
        let quoted = |(key, value): (&str, String)| {
            format!("{key}='{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
        };
        let all: Vec<_> = words.into_iter().chain(more).map(quoted).collect();
        Some(all.join(" "))
    }

    /// A program of PostgreSQL's, run as the server's user, to its end or the deadline.
    pub(super) async fn tool(&self, name: &str, words: &[&str], deadline: Instant) -> Result<String, String> {
        let finished = run(self.program(name, words), deadline.elapsed()).await;
        well_ended(name, &finished)
    }

    fn program(&self, name: &str, words: &[&str]) -> Program {
        program(&self.conf.bin_directory, name, &self.conf.os_user, &self.directory).args(words)
    }

    /// Starts it as a replica of `source`, and of nobody's if that is not known. It is a replica whatever it was.
    pub(super) async fn start(self: &Arc<Self>, source: Option<NodeId>) -> Result<(), String> {
        let this = self.clone();
        let original = !self.directory.was_ours() && self.was_primary().await?;
        blocking("prepare the start", move || {
            this.clear_lock()?;
            if original {
                this.directory.set_original()?;
            }
            this.directory.put_signal()?;
            this.write(|written| *written = Written { names: Names::BLOCKED, source })
        })
        .await?;
        self.barrier(|barrier| *barrier = Barrier::default());
        let (data, log) =
            (self.conf.data_directory.display().to_string(), self.conf.log_file.display().to_string());
        let options = format!("-c config_file={}", self.directory.conf().display());
        let words = ["start", "-W", "-s", "-D", &data, "-l", &log, "-o", &options];
        let program = self
            .program("pg_ctl", &words)
            // The daemon is never to be killed for memory; the server's backends may be.
            .env("PG_OOM_ADJUST_FILE", "/proc/self/oom_score_adj")
            .env("PG_OOM_ADJUST_VALUE", "0")
            .leftovers(Leftovers::Leave);
        well_ended("pg_ctl start", &run(program, (now() + SHORT).elapsed()).await).map(drop)
    }

    /// Removes the locks of a server that has ended, so that a number that is another process's by now, or that of a
    /// process that nobody has taken note of, does not keep the server down.
    pub(super) fn clear_lock(&self) -> io::Result<()> {
        if !self.processes.find()?.is_empty() {
            return Err(io::Error::other("the server runs already"));
        }
        remove_if_there(&self.conf.data_directory.join("postmaster.pid"))?;
        let lock = self.conf.socket_directory.join(format!(".s.PGSQL.{}.lock", self.conf.port));
        let text = std::fs::read_to_string(&lock).unwrap_or_default();
        // Its second line is the data directory: another server's is not touched.
        if text.lines().nth(1).is_some_and(|line| line == self.conf.data_directory.to_string_lossy()) {
            remove_if_there(&lock)?;
        }
        Ok(())
    }

    /// Its data was written here, not copied from another server.
    async fn was_primary(&self) -> Result<bool, String> {
        let data = self.conf.data_directory.display().to_string();
        let said = self.tool("pg_controldata", &["-D", &data], now() + SHORT).await?;
        let state = said.lines().find_map(|line| line.strip_prefix("Database cluster state:")).map(str::trim);
        Ok(matches!(state, Some("shut down" | "in production" | "shutting down")))
    }

    /// Ends it: asked first, so that the replicas get all of its log, then without asking. A frozen one is not
    /// asked, as it would have to run for that. True: every process is seen to have ended.
    pub(super) async fn stop(self: &Arc<Self>, deadline: Instant) -> Result<bool, String> {
        let this = self.clone();
        let stopped = blocking("stop the server", move || {
            let begun = now();
            let kill_at = deadline - KILL_TAKES;
            let found = this.processes.find()?;
            // Never another process than the postmaster: a backend would take the first signal as the order to
            // acknowledge what it waits for.
            if let Some(postmaster) = this.postmaster(&found).filter(|postmaster| !postmaster.stopped) {
                // Half of the time for a clean end, which waits for a checkpoint; then without one.
                let (polite, hard) = (begun + kill_at.since(begun) / 2, kill_at);
                for (signal, until) in [(Signal::INT, polite), (Signal::QUIT, hard)] {
                    this.processes.signal(postmaster, signal)?;
                    if this.processes.wait_gone(until)? {
                        return Ok(true);
                    }
                }
            }
            this.processes.kill(deadline)
        })
        .await;
        if stopped == Ok(true) {
            self.barrier(|barrier| *barrier = Barrier::default());
        }
        stopped
    }

    /// The process that all others of the server come from; none: it is not there, or others are left of it.
    pub(super) fn postmaster(&self, found: &Processes) -> Option<Process> {
        let mut roots = found.roots();
        let (root, more) = (roots.next()?, roots.next());
        let file = std::fs::read_to_string(self.conf.data_directory.join("postmaster.pid")).ok()?;
        let pid: i32 = file.lines().next()?.trim().parse().ok()?;
        (more.is_none() && root.pid == pid).then_some(root)
    }

    /// A connection for one job.
    pub(super) async fn connect(&self) -> Result<Session, String> {
        sql::connect(&self.conf, None).await
    }
}

/// The slot that keeps the log for a replica.
pub(super) fn slot(node: NodeId) -> String {
    format!("picket_{node}")
}

/// The standard output of a program that ended well.
///
/// # Errors
/// How it ended else.
pub fn well_ended(name: &str, finished: &Finished) -> Result<String, String> {
    match finished.outcome {
        Outcome::Exited { code: 0 } if finished.stdout.dropped_bytes > 0 => {
            Err(format!("{name}: its answer is too long"))
        }
        Outcome::Exited { code: 0 } => Ok(finished.stdout.text()),
        _ => Err(format!("{name} {}: {}", finished.outcome, one_line(&finished.stderr.text()))),
    }
}

/// What may wait for a disk or for processes is not done on the threads that everything shares.
pub(super) async fn blocking<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| format!("cannot {what}: {error}")),
        Err(error) => Err(format!("cannot {what}: {error}")),
    }
}
