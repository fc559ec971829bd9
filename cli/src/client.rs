//! The way to the local daemon: gRPC over its Unix socket.
//!
//! Contract: an answer comes back as such; no answer is [`Fault::Unreachable`], never taken for a "no".

use crate::exit::Fault;
use core::time::Duration;
use picket_proto::MESSAGE_BYTES_MAX;
use picket_proto::v1::control_client::ControlClient;
use std::path::{Path, PathBuf};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

/// Where the daemon listens unless it was told otherwise.
pub const SOCKET: &str = "/run/picket/picketd.sock";

/// How long a connection may take. The socket is local: a daemon that lives accepts at once, and one that is
/// stopped would never.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// How long a question about how things are may take. A daemon that takes longer has lost its lease by then.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// The daemon.
#[derive(Clone, Debug)]
pub struct Daemon {
    socket: PathBuf,
    client: ControlClient<Channel>,
}

impl Daemon {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there, or this user may not connect.
    pub async fn connect(socket: &Path) -> Result<Self, Fault> {
        let unreachable = |why: String| Fault::Unreachable { socket: socket.to_owned(), why };
        let Some(path) = socket.to_str() else {
            return Err(unreachable("the path is not UTF-8".to_owned()));
        };
        let endpoint =
            Endpoint::from_shared(format!("unix:{path}")).map_err(|error| unreachable(reason(&error)))?;
        let channel = endpoint.connect_timeout(CONNECT_MAX).connect().await;
        let channel = channel.map_err(|error| unreachable(reason(&error)))?;
        let client = ControlClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Ok(Self { socket: socket.to_owned(), client })
    }

    /// The generated client, for calls.
    pub const fn calls(&mut self) -> &mut ControlClient<Channel> {
        &mut self.client
    }

    /// What a failed call means.
    #[must_use]
    pub fn fault(&self, status: &Status) -> Fault {
        let socket = self.socket.clone();
        let why = format!("{} ({:?})", status.message(), status.code());
        match status.code() {
            Code::PermissionDenied
            | Code::Unauthenticated
            | Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::NotFound
            | Code::AlreadyExists
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::ResourceExhausted => Fault::NotAccepted { socket, why },
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss => Fault::Unreachable { socket, why },
        }
    }

    /// Makes a call that only looks; it is given up after a few seconds. `$name` is the method.
    pub(crate) async fn look<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, Fault> {
        match tokio::time::timeout(LOOK_MAX, call).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(self.fault(&status)),
            Err(_) => Err(Fault::Unreachable {
                socket: self.socket.clone(),
                why: format!("no answer within {} s", LOOK_MAX.as_secs()),
            }),
        }
    }

    /// The status, without events.
    ///
    /// # Errors
    /// The daemon does not answer.
    pub async fn status(&mut self, events_max: u32) -> Result<picket_proto::v1::Status, Fault> {
        let mut client = self.client.clone();
        self.look(client.status(picket_proto::v1::StatusRequest { events_max })).await
    }
}

/// The innermost reason of a transport error: the outer ones only say "transport error".
fn reason(error: &tonic::transport::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
