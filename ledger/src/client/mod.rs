//! The client: appends numbered records without pause, to whichever server takes them.
//!
//! It keeps a connection open to every server and is told by each when it takes writes, so a failover
//! costs it neither a timeout nor a polling step. What was sent and not acknowledged is sent again, with
//! the same number, to the server that takes writes now; the servers know a repeated number. Every
//! acknowledgement is kept in memory and in a file, line by line, before the next append.

mod driver;
mod link;
mod outage;

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::clock::boottime_ns;
use crate::ids::{ClientId, Epoch, NodeId};
use crate::record::PAYLOAD_MAX;
pub use outage::Outage;

/// Appends under way at a time, at most: below what a server lets wait.
pub const WINDOW_MAX: usize = 1024;

/// What to append, and where.
#[derive(Clone, Debug)]
pub struct AppenderConfig {
    /// Names this writer; a new one per run, because the numbers start at 1.
    pub client: ClientId,
    /// The client ports of all servers.
    pub servers: Vec<SocketAddr>,
    /// Gets one line per acknowledgement; created, or added to.
    pub journal: PathBuf,
    /// Size of a record's payload, in bytes.
    pub payload_bytes: usize,
    /// Appends under way at a time; 1: each waits for the one before.
    pub window: usize,
    /// A connection that is silent for so long is given up.
    pub silence: Duration,
    /// Stop appending after so many records.
    pub limit: Option<u64>,
    /// Begin appends at this interval at most, to leave the processor to others; without one, as fast as they
    /// are acknowledged.
    pub pace: Option<Duration>,
}

impl AppenderConfig {
    /// One append at a time, 64 bytes each, without end, as a new writer.
    ///
    /// # Errors
    /// The kernel gave no random bytes.
    pub fn new(servers: Vec<SocketAddr>, journal: PathBuf) -> io::Result<AppenderConfig> {
        Ok(AppenderConfig {
            client: ClientId::random()?,
            servers,
            journal,
            payload_bytes: 64,
            window: 1,
            silence: Duration::from_secs(1),
            limit: None,
            pace: None,
        })
    }
}

/// One acknowledged append. Times are CLOCK_BOOTTIME in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The writer.
    pub client: ClientId,
    /// The writer's number.
    pub client_seq: u64,
    /// Place in the log.
    pub seq: u64,
    /// Of the server that acknowledged.
    pub epoch: Epoch,
    /// The server that acknowledged.
    pub node: NodeId,
    /// When the append was first sent.
    pub sent_ns: u64,
    /// When the acknowledging server took it.
    pub received_ns: u64,
    /// When that server decided to acknowledge.
    pub acked_ns: u64,
    /// When the acknowledgement came here.
    pub seen_ns: u64,
    /// The record was there already.
    pub repeated: bool,
}

/// Reads the acknowledgements that an appender kept. A last line cut short by a crash is left out.
///
/// # Errors
/// The file cannot be read, or a line before the last is no acknowledgement.
pub fn load_acks(path: &Path) -> io::Result<Vec<Ack>> {
    let mut acks = Vec::new();
    let mut reader = io::BufReader::new(File::open(path)?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        if !line.ends_with('\n') {
            break;
        }
        let ack = serde_json::from_str(&line).map_err(|e| {
            let what = format!("{}: line {}: {e}", path.display(), acks.len() + 1);
            io::Error::new(io::ErrorKind::InvalidData, what)
        })?;
        acks.push(ack);
        line.clear();
    }
    Ok(acks)
}

/// The acknowledgements so far; shared between the appending task and those who look.
pub(crate) struct Acks {
    list: Mutex<Vec<Ack>>,
    count: watch::Sender<u64>,
}

impl Acks {
    fn add(&self, ack: Ack) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).push(ack);
        self.count.send_modify(|n| *n += 1);
    }
}

/// A running appender.
pub struct Appender {
    started_ns: u64,
    acks: Arc<Acks>,
    end: CancellationToken,
    /// A dropped appender stops.
    _guard: DropGuard,
    task: JoinHandle<io::Result<()>>,
}

impl Appender {
    /// Starts; must be called in a runtime.
    ///
    /// # Errors
    /// The journal cannot be opened, or the configuration asks for more than the bounds.
    pub fn start(config: AppenderConfig) -> io::Result<Appender> {
        if config.payload_bytes > PAYLOAD_MAX || config.window == 0 || config.window > WINDOW_MAX {
            let what = format!(
                "expected a payload up to {PAYLOAD_MAX} and a window of 1 to {WINDOW_MAX}, found {} and {}",
                config.payload_bytes, config.window
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let journal = OpenOptions::new().append(true).create(true).open(&config.journal)?;
        let acks = Arc::new(Acks { list: Mutex::default(), count: watch::Sender::new(0) });
        let end = CancellationToken::new();
        let task = tokio::spawn(driver::run(config, journal, Arc::clone(&acks), end.clone()));
        let _guard = end.clone().drop_guard();
        Ok(Appender { started_ns: boottime_ns(), acks, end, _guard, task })
    }

    /// All acknowledgements so far, in the order in which they came.
    #[must_use]
    pub fn acks(&self) -> Vec<Ack> {
        self.acks.list.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many acknowledgements came so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        *self.acks.count.borrow()
    }

    /// Waits until at least `count` acknowledgements have come.
    ///
    /// # Errors
    /// The appender ended before.
    pub async fn reach(&self, count: u64) -> io::Result<()> {
        let mut watch = self.acks.count.subscribe();
        tokio::select! {
            reached = watch.wait_for(|n| *n >= count) => {
                reached.map(|_| ()).map_err(|_| io::ErrorKind::BrokenPipe.into())
            }
            () = self.end.cancelled() => Err(io::Error::other("the appender ended")),
        }
    }

    /// The outage since the fault at `fault_ns` (CLOCK_BOOTTIME), as it stands now.
    #[must_use]
    pub fn outage_since(&self, fault_ns: u64) -> Outage {
        let list = self.acks.list.lock().unwrap_or_else(PoisonError::into_inner);
        Outage::since(&list, fault_ns.max(self.started_ns), boottime_ns())
    }

    /// Waits until the appender ended by itself: its limit is reached, or it cannot go on.
    ///
    /// # Errors
    /// Why it cannot go on.
    pub async fn done(&mut self) -> io::Result<()> {
        (&mut self.task).await.map_err(io::Error::other)?
    }

    /// Stops and gives all acknowledgements. Appends under way have an unknown outcome.
    ///
    /// # Errors
    /// Why the appender had ended before: the journal could not be written, or a server refused for good.
    pub async fn stop(self) -> io::Result<Vec<Ack>> {
        self.end.cancel();
        self.task.await.map_err(io::Error::other)??;
        Ok(std::mem::take(&mut *self.acks.list.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}
