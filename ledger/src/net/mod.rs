//! Connections: they read frames, turn them into events for the one loop, and decide nothing.

pub(crate) mod client_port;
pub(crate) mod control_port;
pub(crate) mod peer_port;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::engine::{ConnId, Event};
use crate::wire::{Garbage, RejectCounts, decode};

/// What every connection needs.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) rejected: Arc<RejectCounts>,
    pub(crate) end: CancellationToken,
    /// Connections, so that the end of the server can wait for theirs.
    pub(crate) connections: TaskTracker,
    next_conn: Arc<AtomicU64>,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        events: mpsc::Sender<Event>,
        rejected: Arc<RejectCounts>,
        end: CancellationToken,
    ) -> Shared {
        let (config, next_conn) = (Arc::new(config), Arc::new(AtomicU64::new(1)));
        Shared { config, events, rejected, end, connections: TaskTracker::new(), next_conn }
    }

    pub(crate) fn conn_id(&self) -> ConnId {
        ConnId(self.next_conn.fetch_add(1, Ordering::Relaxed))
    }

    /// Hands an event to the loop; false: the loop has ended, and so should the caller.
    pub(crate) async fn tell(&self, event: Event) -> bool {
        self.events.send(event).await.is_ok()
    }
}

/// Why nothing more comes from a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Closed {
    #[error("closed by the other side")]
    Eof,
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Garbage(#[from] Garbage),
    #[error("silent for too long")]
    Silent,
    #[error("ended by us")]
    Ended,
}

/// Reads messages off a stream. `next` loses nothing when it is cancelled.
pub(crate) struct FrameReader<R> {
    from: R,
    buf: BytesMut,
    max: usize,
}

impl FrameReader<TcpStream> {
    /// Goes on reading from one half; the other is for writing.
    pub(crate) fn split(self) -> (FrameReader<OwnedReadHalf>, OwnedWriteHalf) {
        let (read, write) = self.from.into_split();
        (FrameReader { from: read, buf: self.buf, max: self.max }, write)
    }
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(from: R, max: usize) -> Self {
        FrameReader { from, buf: BytesMut::with_capacity(16 * 1024), max }
    }

    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> Result<T, Closed> {
        loop {
            if let Some(message) = decode(&mut self.buf, self.max)? {
                return Ok(message);
            }
            if self.from.read_buf(&mut self.buf).await? == 0 {
                return Err(Closed::Eof);
            }
        }
    }
}

/// After a failed accept. Out of descriptors is the usual reason, and no event tells that one is free
/// again; without the pause the failure would come back at once, for ever.
pub(crate) async fn accept_failed(error: &std::io::Error) {
    tracing::warn!(%error, "accept failed");
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
}
