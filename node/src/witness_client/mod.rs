//! The session with the witness: one connection, kept hot, made anew at once when it ends.
//!
//! ```text
//!   connect to the next address ─► stream ─► messages both ways ─► end ─► wait 20 … 500 ms, jittered ─┐
//!        ▲                                                                                            │
//!        └────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//! Contract: one task owns the connection, so that messages of an old connection never come after a new one began;
//! between them the loop is told that the witness is gone. What is to be sent on a connection that has ended, or
//! that takes no more, is dropped with the whole connection: the core asks again on the next. A connection on which
//! requests stay without any answer is given up, since a cut line may not say that it is cut. A witness that recovers
//! answers no renewal, and who has reported is not to leave it: there the transport's own pings tell a cut line.

use crate::backoff::Backoff;
use crate::config::Config;
use crate::driver::Wake;
use crate::time::now;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use picket_core::ids::SessionId;
use picket_core::message::{FromWitness, Reply, ToWitness, View};
use picket_core::node::Input;
use picket_host::cert::{Identity, Role};
use picket_host::config::HostPort;
use picket_host::tls::{Connector, Credentials, Expect};
use picket_proto::v1::witness_client::WitnessClient;
use picket_proto::{MESSAGE_BYTES_MAX, VERSION_KEY, from_wire, to_wire, v1, version_told};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

/// Messages that wait for the connection. The core gives a connection up at 256 unanswered requests.
const OUTGOING_MAX: usize = 256;

/// A connection that is not made within this is tried elsewhere.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// What people are told of the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkStatus {
    /// The address in use, or tried last.
    pub address: String,
    /// A stream is open.
    pub connected: bool,
    /// The version of the witness's software, as it says; empty: not connected.
    pub version: String,
    /// Why not.
    pub error: String,
}

/// The loop's end of the session.
#[derive(Clone, Debug)]
pub struct Link {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    current: Mutex<Option<Current>>,
    close: Notify,
    status: Mutex<LinkStatus>,
    /// When the oldest request without any answer since was sent; zero: there is none.
    asked_at: AtomicU64,
}

#[derive(Debug)]
struct Current {
    /// The session, once the witness has named it.
    session: Option<SessionId>,
    outgoing: mpsc::Sender<v1::ToWitness>,
}

impl Link {
    /// Sends on the connection that the message belongs to, if it is still there.
    pub fn send(&self, message: ToWitness) {
        let mut current = self.shared.current.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = current.as_ref().filter(|open| open.session == Some(message.session)) else {
            return;
        };
        if open.outgoing.try_send(to_wire(&message)).is_err() {
            *current = None;
            self.shared.close.notify_one();
            return;
        }
        let at = u64::try_from(now().elapsed().as_nanos()).unwrap_or(u64::MAX);
        let _ = self.shared.asked_at.compare_exchange(0, at, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Ends the connection; a new one is made.
    pub fn close(&self) {
        *self.shared.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.shared.close.notify_one();
    }

    /// What people are told.
    #[must_use]
    pub fn status(&self) -> LinkStatus {
        self.shared.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Keeps the session open; to be run until the daemon ends.
pub struct Keeper {
    shared: Arc<Shared>,
    credentials: Arc<Credentials>,
    addresses: Vec<HostPort>,
    expect: Expect,
    /// Requests without any answer for so long end a connection.
    silence: Duration,
    into: mpsc::Sender<Wake>,
}

/// The loop's end and the task.
#[must_use]
pub fn link(config: &Config, credentials: Arc<Credentials>, into: mpsc::Sender<Wake>) -> (Link, Keeper) {
    let status = LinkStatus {
        address: config.witness.addresses.first().map(ToString::to_string).unwrap_or_default(),
        ..LinkStatus::default()
    };
    let shared = Arc::new(Shared {
        current: Mutex::new(None),
        close: Notify::new(),
        status: Mutex::new(status),
        asked_at: AtomicU64::new(0),
    });
    let named = config.witness.server_name.as_deref().and_then(|name| Identity::witness(name).ok());
    let keeper = Keeper {
        shared: shared.clone(),
        credentials,
        addresses: config.witness.addresses.clone(),
        expect: named.map_or(Expect::Role(Role::Witness), Expect::Identity),
        silence: config.params.suspect_after() * 2,
        into,
    };
    (Link { shared }, keeper)
}

impl Keeper {
    /// Connects for ever, to the addresses in turn.
    pub async fn run(self) {
        let mut backoff = Backoff::default();
        for address in self.addresses.iter().cycle() {
            self.tell(|status| status.address = address.to_string());
            match self.connect(address).await {
                Ok((stream, outgoing)) => {
                    // One that refuses, or says nothing, is asked again less and less often.
                    if self.session(stream, outgoing).await {
                        backoff.reset();
                    }
                }
                Err(error) => self.tell(|status| {
                    status.connected = false;
                    status.error = error;
                }),
            }
            if self.into.is_closed() {
                return;
            }
            tokio::time::sleep(backoff.wait()).await;
        }
    }

    async fn connect(
        &self,
        address: &HostPort,
    ) -> Result<(Streaming<v1::FromWitness>, mpsc::Sender<v1::ToWitness>), String> {
        let connector = Connector::new(&self.credentials, address.clone(), self.expect.clone());
        let connector = connector.map_err(|error| error.to_string())?;
        let endpoint =
            Endpoint::from_shared(format!("http://{address}")).map_err(|error| error.to_string())?;
        let endpoint = endpoint
            .connect_timeout(CONNECT_MAX)
            .http2_keep_alive_interval(self.silence)
            .keep_alive_timeout(self.silence)
            .keep_alive_while_idle(true);
        let opened = async {
            let channel: Channel =
                endpoint.connect_with_connector(connector).await.map_err(|error| told(&error))?;
            let mut client = WitnessClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX);
            let (outgoing, waiting) = mpsc::channel(OUTGOING_MAX);
            let mut request = tonic::Request::new(ReceiverStream::new(waiting));
            if let Ok(version) = crate::VERSION.parse() {
                request.metadata_mut().insert(VERSION_KEY, version);
            }
            let answer = client.session(request).await.map_err(|status| status.message().to_owned())?;
            let version = answer.metadata().get(VERSION_KEY).and_then(|value| value.to_str().ok());
            let version = version_told(version);
            self.tell(|status| status.version = version);
            Ok((answer.into_inner(), outgoing))
        };
        // The stream has headers only when a witness's loop has taken it.
        let limit = CONNECT_MAX * 2;
        tokio::time::timeout(limit, opened)
            .await
            .unwrap_or_else(|_| Err(format!("no session within {limit:?}")))
    }

    /// Carries one connection to its end. Returns whether the witness took this node in.
    async fn session(
        &self,
        stream: Streaming<v1::FromWitness>,
        outgoing: mpsc::Sender<v1::ToWitness>,
    ) -> bool {
        self.shared.asked_at.store(0, Ordering::SeqCst);
        *self.shared.current.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Current { session: None, outgoing });
        self.tell(|status| {
            status.connected = true;
            status.error.clear();
        });
        let (registered, why) = self.read(stream).await;
        *self.shared.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.tell(|status| {
            status.connected = false;
            status.version.clear();
            status.error = why;
        });
        // In the same queue as the messages: nothing of this connection comes after it.
        let _ = self.into.send(Input::WitnessGone.into()).await;
        registered
    }

    async fn read(&self, mut stream: Streaming<v1::FromWitness>) -> (bool, String) {
        let (mut registered, mut recovers) = (false, false);
        let mut look = tokio::time::interval(self.silence / 4);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let message = tokio::select! {
                message = stream.message() => message,
                () = self.shared.close.notified() => {
                    if self.shared.current.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
                        // What was to be closed is an earlier connection.
                        continue;
                    }
                    return (registered, "closed here".to_owned());
                },
                _ = look.tick() => {
                    if !recovers && self.is_silent() {
                        return (registered, format!("no answer to anything for {:?}", self.silence));
                    }
                    continue;
                },
            };
            let message = match message {
                Ok(Some(message)) => message,
                Ok(None) => return (registered, "the witness closed the session".to_owned()),
                Err(status) => return (registered, status.message().to_owned()),
            };
            self.shared.asked_at.store(0, Ordering::SeqCst);
            let message: FromWitness = match from_wire(message) {
                Ok(message) => message,
                Err(error) => return (registered, format!("not understood: {error}")),
            };
            registered |= matches!(message.body, Reply::Registered { .. });
            recovers = told_to_recover(&message.body).unwrap_or(recovers);
            self.name_session(message.session);
            if self.into.send(Input::Witness(message).into()).await.is_err() {
                return (registered, "the daemon ends".to_owned());
            }
        }
    }

    /// The first message of a connection names its session.
    fn name_session(&self, session: SessionId) {
        let mut current = self.shared.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = current.as_mut() {
            open.session = Some(session);
        }
    }

    fn is_silent(&self) -> bool {
        let asked_at = self.shared.asked_at.load(Ordering::SeqCst);
        let now = u64::try_from(now().elapsed().as_nanos()).unwrap_or(u64::MAX);
        asked_at > 0
            && now.saturating_sub(asked_at) > u64::try_from(self.silence.as_nanos()).unwrap_or(u64::MAX)
    }

    fn tell(&self, change: impl FnOnce(&mut LinkStatus)) {
        change(&mut self.shared.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Whether the witness recovers, if that is told.
fn told_to_recover(body: &Reply) -> Option<bool> {
    match body {
        Reply::Registered { recovering, .. } | Reply::View(View { recovering, .. }) => {
            Some(recovering.is_some())
        }
        _ => None,
    }
}

/// An error with what stands behind it.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    // A chain of errors is short; the bound keeps a loop in it from hanging us.
    for _ in 0..8 {
        let Some(inner) = source else { break };
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
