//! TLS on sockets: accepting, connecting, and what tonic needs of both.

use super::{Credentials, Error, identity_of, role_text};
use crate::cert::{Identity, Role};
use crate::config::HostPort;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::ServerName;
use std::io;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

/// The longest TLS handshake. Over a bad line it takes a few round trips; who needs longer than
/// this holds a place that others need.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// Handshakes at one time. Many clusters reconnect at once after a witness's restart; beyond this,
/// connections wait in the kernel's queue.
const HANDSHAKES_AT_ONCE_MAX: usize = 256;

/// Accepted connections that the server has not taken yet.
const ACCEPTED_MAX: usize = 64;

/// A pause after `accept` itself failed: nearly always a lack of descriptors, and asking again at
/// once would only burn the processor.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Accepts TLS connections for ever. Each handshake runs on its own, so that a silent client holds
/// up nobody; one that fails is logged and forgotten. Ends soon after the stream was
/// dropped; connections that were taken from it live on.
#[must_use]
pub fn accept(
    listener: TcpListener,
    config: Arc<ServerConfig>,
) -> ReceiverStream<io::Result<server::TlsStream<TcpStream>>> {
    let (sender, receiver) = mpsc::channel(ACCEPTED_MAX);
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(config);
        let places = Arc::new(Semaphore::new(HANDSHAKES_AT_ONCE_MAX));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = sender.closed() => return,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            };
            let (acceptor, sender) = (acceptor.clone(), sender.clone());
            tokio::spawn(async move {
                let _place = place;
                let shaken = stream.set_nodelay(true).map(|()| acceptor.accept(stream));
                let shaken = match shaken {
                    Ok(handshake) => {
                        timeout(HANDSHAKE_MAX, handshake).await.unwrap_or_else(|_| Err(too_slow()))
                    }
                    Err(error) => Err(error),
                };
                match shaken {
                    Ok(stream) => {
                        let _ = sender.send(Ok(stream)).await;
                    }
                    Err(error) => tracing::info!(%peer, %error, "refused a connection"),
                }
            });
        }
    });
    ReceiverStream::new(receiver)
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no TLS handshake within {HANDSHAKE_MAX:?}"))
}

/// Who sent a request, by the certificate of its connection.
///
/// # Errors
/// The connection did not come through [`accept`], or its certificate names nobody.
pub fn peer_identity<T>(request: &tonic::Request<T>) -> Result<Identity, Error> {
    let chain = request.peer_certs().ok_or(Error::NoCertificate)?;
    identity_of(&chain)
}

/// Whom a client wants to reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Exactly this one; its certificate need not name the address.
    Identity(Identity),
    /// Anybody of this role whose certificate names the address.
    Role(Role),
}

/// Connects to one server over TLS, for `Endpoint::connect_with_connector`. The endpoint's own
/// address is not used; its scheme must be `http`, since tonic shall not add a second TLS.
#[derive(Debug, Clone)]
pub struct Connector {
    config: Arc<ClientConfig>,
    address: HostPort,
    expect: Expect,
}

impl Connector {
    /// A connector to the server at `address`.
    ///
    /// # Errors
    /// TLS refuses our certificate or key.
    pub fn new(credentials: &Credentials, address: HostPort, expect: Expect) -> Result<Self, Error> {
        Ok(Self { config: credentials.client_config()?, address, expect })
    }

    /// Connects once. The name is resolved anew each time.
    ///
    /// # Errors
    /// No connection, no handshake within [`HANDSHAKE_MAX`], or somebody else is there.
    pub async fn connect(&self) -> io::Result<client::TlsStream<TcpStream>> {
        let stream = TcpStream::connect((self.address.host.as_str(), self.address.port)).await?;
        stream.set_nodelay(true)?;
        let name = match &self.expect {
            Expect::Identity(identity) => identity.server_name(),
            Expect::Role(_) => self.address.host.clone(),
        };
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        let handshake = TlsConnector::from(self.config.clone()).connect(name, stream);
        let stream = timeout(HANDSHAKE_MAX, handshake).await.unwrap_or_else(|_| Err(too_slow()))?;
        self.check(stream.get_ref().1.peer_certificates().unwrap_or_default()).map_err(io::Error::other)?;
        Ok(stream)
    }

    fn check(&self, chain: &[rustls_pki_types::CertificateDer<'_>]) -> Result<(), Error> {
        let found = identity_of(chain)?;
        let (is_expected, expected) = match &self.expect {
            Expect::Identity(expected) => (found == *expected, expected.to_string()),
            Expect::Role(role) => (found.role() == *role, role_text(*role)),
        };
        if is_expected { Ok(()) } else { Err(Error::OtherIdentity { found, expected }) }
    }
}

impl tower::Service<http::Uri> for Connector {
    type Response = TokioIo<client::TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { Ok(TokioIo::new(connector.connect().await?)) })
    }
}

/// A gRPC channel that connects when first used, and again whenever the connection was lost.
/// `connect_timeout` bounds each attempt as a whole.
///
/// # Errors
/// TLS refuses our certificate or key, or the address cannot stand in a URI.
pub fn channel(
    credentials: &Credentials,
    address: &HostPort,
    expect: Expect,
    connect_timeout: Duration,
) -> Result<Channel, Error> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"));
    let endpoint =
        endpoint.map_err(|error| Error::Unparsable(error.to_string()))?.connect_timeout(connect_timeout);
    Ok(endpoint.connect_with_connector_lazy(Connector::new(credentials, address.clone(), expect)?))
}
