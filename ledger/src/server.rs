//! A server: its ports, its connections, and the thread of the one loop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, ConfigError};
use crate::engine::{EVENTS_MAX, Ended, Engine, Event};
use crate::net::{Shared, client_port, control_port, peer_port};
use crate::store::{Store, StoreError};
use crate::wire::RejectCounts;

/// Why a server did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The configuration cannot work.
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    /// A port or socket cannot be used.
    #[error("cannot listen on {what}: {source}")]
    Listen {
        /// Which.
        what: String,
        /// The system's word.
        source: io::Error,
    },
    /// The data cannot be used; while running: a write failed, so the server ended.
    #[error("store: {0}")]
    Store(#[from] StoreError),
    /// No thread for the loop.
    #[error("cannot start the loop: {0}")]
    Thread(io::Error),
    /// The loop ended without saying why.
    #[error("the loop is gone")]
    LoopGone,
}

/// The ports of a server, bound. Bound apart from the start so that servers on free ports can be told
/// of each other first.
pub struct Ports {
    /// Where clients come.
    pub clients: TcpListener,
    /// Where peers come.
    pub peers: TcpListener,
}

impl Ports {
    /// Binds both.
    ///
    /// # Errors
    /// An address cannot be bound.
    pub async fn bind(clients: SocketAddr, peers: SocketAddr) -> Result<Ports, ServerError> {
        Ok(Ports { clients: listen(clients).await?, peers: listen(peers).await? })
    }
}

async fn listen(addr: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(addr).await.map_err(|source| ServerError::Listen { what: addr.to_string(), source })
}

/// A running server. Dropped, it ends like a killed process would, but for its files being closed.
pub struct Server {
    end: CancellationToken,
    ended: oneshot::Receiver<Ended>,
    tasks: JoinSet<()>,
    connections: TaskTracker,
}

/// How long the end of the server waits for its connections: an answer to a reader that does not read
/// must not keep it alive.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

impl Server {
    /// Starts on bound ports, as Secondary. The addresses in `config` are then only words.
    ///
    /// # Errors
    /// The configuration cannot work, the data cannot be used, the control socket cannot be bound.
    pub fn start(config: Config, ports: Ports) -> Result<Server, ServerError> {
        config.check()?;
        let store = Store::open(&config.data_dir, config.node, config.log_bytes_max)?;
        let control = bind_control(&config)?;
        let rejected = Arc::new(RejectCounts::default());
        let (events, queue) = mpsc::channel::<Event>(EVENTS_MAX);
        let end = CancellationToken::new();
        let engine = Engine::new(config.clone(), store, Arc::clone(&rejected));
        let (tell, ended) = oneshot::channel();
        thread::Builder::new()
            .name("ledger-loop".to_owned())
            .spawn(move || {
                // Nobody who asks any more needs no answer.
                let _ = tell.send(engine.run(queue));
            })
            .map_err(ServerError::Thread)?;
        let peers = config.peers.clone();
        let shared = Shared::new(config, events, rejected, end.clone());
        let connections = shared.connections.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(client_port::serve(shared.clone(), ports.clients));
        tasks.spawn(peer_port::serve(shared.clone(), ports.peers));
        tasks.spawn(control_port::serve(shared.clone(), control));
        for peer in peers {
            tasks.spawn(peer_port::dial(shared.clone(), peer));
        }
        Ok(Server { end, ended, tasks, connections })
    }

    /// Waits for the end: a `shutdown` command, or a failed disk.
    ///
    /// # Errors
    /// The disk failed.
    pub async fn wait(mut self) -> Result<(), ServerError> {
        let ended = (&mut self.ended).await;
        self.close().await;
        match ended {
            Ok(Ended::Shutdown) => Ok(()),
            Ok(Ended::Store(error)) => Err(error.into()),
            Err(_) => Err(ServerError::LoopGone),
        }
    }

    async fn close(&mut self) {
        self.end.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.connections.close();
        if tokio::time::timeout(FAREWELL_MAX, self.connections.wait()).await.is_err() {
            tracing::warn!(left = self.connections.len(), "connections still open at the end");
        }
    }

    /// Ends it without a word to anyone, and waits until its data is free again.
    pub async fn kill(mut self) {
        self.close().await;
        // The loop ends when the last connection has dropped its way to it.
        let _ = (&mut self.ended).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

fn bind_control(config: &Config) -> Result<UnixListener, ServerError> {
    control_port::bind(&config.control_socket)
        .map_err(|source| ServerError::Listen { what: config.control_socket.display().to_string(), source })
}

/// Runs a server until it is told to end.
///
/// # Errors
/// It could not start, or its disk failed.
pub async fn serve(config: Config) -> Result<(), ServerError> {
    config.check()?;
    let ports = Ports::bind(config.listen_clients, config.listen_peers).await?;
    tracing::info!(node = %config.node, clients = %config.listen_clients, peers = %config.listen_peers, "serving");
    Server::start(config, ports)?.wait().await
}
