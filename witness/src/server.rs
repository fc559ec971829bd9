//! The witness as a whole: store, loop and service, started and stopped together.

use crate::codes;
use crate::config::Config;
use crate::driver::{Command, Driver, Fatal, Handle, Loaded};
use crate::records::{self, Records};
use crate::service::{Door, Service};
use crate::store::{self, Store};
use core::net::SocketAddr;
use core::time::Duration;
use picket_core::witness::Record;
use picket_host::cert::{Identity, Role};
use picket_host::files::Files;
use picket_host::logging::emit;
use picket_host::tls::{self, Credentials, accept};
use picket_proto::v1::witness_server::WitnessServer;
use picket_proto::{DESCRIPTORS, MESSAGE_BYTES_MAX};
use std::io;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Server;

/// How often a silent connection is asked for a sign of life, and how long it may take. Only memory waits for it: who
/// is missed is told by heartbeats, and a node's new connection ends its former one. Looking after each connection
/// more often would wake an idle witness for nothing.
const KEEPALIVE: Duration = Duration::from_secs(10);
const KEEPALIVE_MAX: Duration = Duration::from_secs(5);

/// Calls on one connection at a time: a session, a watch, and a few questions.
const CALLS_MAX: u32 = 16;

/// How long connections may take to end once the loop has; then they are cut.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why the witness did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The certificate is another's.
    #[error("the certificate names {found}; expected picket://-/witness/<name>")]
    NotAWitness {
        /// Who it names.
        found: Identity,
    },
    /// TLS.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A record in it.
    #[error(transparent)]
    Records(#[from] records::Error),
    /// The address.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The network.
    #[error("cannot start: {0}")]
    Io(#[from] io::Error),
    /// Reflection.
    #[error("the descriptors for reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A running witness.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    driver: Handle,
    ended: oneshot::Receiver<Result<(), Fatal>>,
    service: JoinHandle<Result<(), tonic::transport::Error>>,
}

/// Starts a witness. Returns once it listens; must be called inside a runtime.
///
/// # Errors
/// Why it cannot start; nothing runs then.
pub async fn start(
    config: Config,
    credentials: &Credentials,
    files: Arc<dyn Files>,
) -> Result<Running, StartError> {
    let found = credentials.identity();
    if found.role() != Role::Witness {
        return Err(StartError::NotAWitness { found: found.clone() });
    }
    let tls = credentials.server_config()?;
    let records = Records::new(open(&config, files)?);
    let clusters = load(&config, &records)?;
    let store_id = records.store_id();
    let listen = |source| StartError::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
    let address = listener.local_addr()?;
    let (driver, handle) = Driver::new(&config, clusters, records, store_id);
    let ended = spawn(driver);
    let door = Door::new(config, credentials.trust().clone(), handle.clone());
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<WitnessServer<Service>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .build_v1()?;
    let witness = WitnessServer::new(Service::new(door))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let service = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_MAX))
        .max_concurrent_streams(Some(CALLS_MAX))
        .add_service(witness)
        .add_service(health_service)
        .add_service(reflection)
        .serve_with_incoming(accept(listener, tls));
    emit(&codes::STARTED, format_args!("listening on {address} as {found}, store {store_id}"));
    Ok(Running { address, driver: handle, ended, service: tokio::spawn(service) })
}

fn open(config: &Config, files: Arc<dyn Files>) -> Result<Store, store::Error> {
    let store = Store::open(files, &config.state)?;
    let directory = config.state.display();
    if store.was_created() {
        tracing::warn!("a new store was made in {directory}: every cluster starts in RECOVERY");
    }
    if let Some((path, torn)) = store.torn() {
        tracing::warn!(
            "a change that was cut off before it was acknowledged was dropped from {}: {torn:?}",
            path.display()
        );
    }
    Ok(store)
}

fn load(config: &Config, records: &Records) -> Result<Vec<Loaded>, records::Error> {
    for stored in records.clusters().filter(|name| config.clusters.iter().all(|c| c.name != *name)) {
        tracing::warn!(
            "the store has a record of cluster {stored}, which is not configured; it is kept and not served"
        );
    }
    let load = |cluster: &crate::config::Cluster| {
        let record: Option<Record> = records.load(&cluster.name)?;
        Ok(Loaded { cluster: cluster.clone(), record })
    };
    config.clusters.iter().map(load).collect()
}

/// Starts the loop. A sync blocks the thread that it runs on: nobody could be answered meanwhile anyway.
fn spawn(driver: Driver<Records>) -> oneshot::Receiver<Result<(), Fatal>> {
    let (sender, ended) = oneshot::channel();
    tokio::spawn(async move {
        // Whoever waits may have gone; then the process ends anyway.
        let _ = sender.send(driver.run().await);
    });
    ended
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks it to end after what waits already; [`Running::wait`] sees the end.
    pub async fn stop(&self) {
        // A loop that has ended needs not be asked.
        let _ = self.driver.tell(Command::Stop).await;
    }

    /// Returns when the loop has ended and the connections with it.
    ///
    /// # Errors
    /// Why the loop could not go on. The process must end with it.
    pub async fn wait(&mut self) -> Result<(), Fatal> {
        let ended = match (&mut self.ended).await {
            Ok(ended) => ended,
            Err(_) => Err(Fatal::Timer(io::Error::other("the loop is gone"))),
        };
        // Every session ends with the loop that it speaks to; what is left is cut.
        let _ = tokio::time::timeout(FAREWELL, async {
            self.service.abort();
            let _ = (&mut self.service).await;
        })
        .await;
        ended
    }
}
