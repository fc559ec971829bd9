//! Who may ask.

use super::Desk;
use super::service::Service;
use crate::config::Control;
use picket_proto::MESSAGE_BYTES_MAX;
use picket_proto::v1::control_server::ControlServer;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::service::InterceptorLayer;
use tonic::transport::Server;
use tonic::transport::server::UdsConnectInfo;
use tonic::{Request, Status};

#[cfg(test)]
mod tests;

/// The bound socket.
#[derive(Debug)]
pub struct Listening {
    listener: UnixListener,
    group: Option<u32>,
}

/// Binds the socket, in place of one that an earlier daemon left: the lock on the state directory has shown that
/// no other daemon runs.
///
/// # Errors
/// The directory or the group does not exist, or the socket cannot be bound.
pub fn listen(control: &Control) -> io::Result<Listening> {
    let path = &control.socket;
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("control socket {}: {error}", path.display()))
    };
    let group = match &control.group {
        Some(name) => Some(group_id(name)?),
        None => None,
    };
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(named(error)),
    }
    let listener = UnixListener::bind(path).map_err(named)?;
    if let Some(group) = group {
        chown(path, None, Some(group)).map_err(named)?;
    }
    let mode = if group.is_some() { 0o660 } else { 0o600 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(named)?;
    Ok(Listening { listener, group })
}

fn group_id(name: &str) -> io::Result<u32> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    let groups = fs::read_to_string("/etc/group")?;
    let found = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    });
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no group {name:?}")))
}

impl Listening {
    /// Serves until it is over, then answers what was asked before.
    ///
    /// # Errors
    /// The transport failed.
    pub async fn serve(self, desk: Desk, over: impl Future<Output = ()>) -> Result<(), String> {
        let service = ControlServer::new(Service { desk })
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let group = self.group;
        Server::builder()
            .layer(InterceptorLayer::new(move |request: Request<()>| let_in(request, group)))
            .add_service(service)
            .serve_with_incoming_shutdown(UnixListenerStream::new(self.listener), over)
            .await
            .map_err(|error| error.to_string())
    }
}

fn let_in(request: Request<()>, group: Option<u32>) -> Result<Request<()>, Status> {
    let credentials = request.extensions().get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
    let Some(credentials) = credentials else {
        return Err(Status::unauthenticated("the socket does not tell who asks"));
    };
    let own = rustix::process::geteuid().as_raw();
    let is_member =
        group.is_some_and(|group| credentials.gid() == group || has_group(credentials.pid(), group));
    if credentials.uid() == 0 || credentials.uid() == own || is_member {
        Ok(request)
    } else {
        Err(Status::permission_denied(format!("user {} may not ask here", credentials.uid())))
    }
}

/// Whether a process has the group among its further ones. One that cannot be read has not.
fn has_group(pid: Option<i32>, group: u32) -> bool {
    let Some(pid) = pid else { return false };
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return false };
    is_in_group(&status, group)
}

/// Whether `/proc/<pid>/status` has the group in its line of further ones. A line without its end may name another group.
#[must_use]
pub fn is_in_group(status: &str, group: u32) -> bool {
    let mut lines = status.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let groups = lines.find_map(|line| line.strip_prefix("Groups:"));
    groups.is_some_and(|groups| groups.split_whitespace().any(|id| id == group.to_string()))
}

/// Who asks, for the record.
pub(super) fn who<T>(request: &Request<T>) -> String {
    let credentials = request.extensions().get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
    match credentials {
        Some(credentials) => match credentials.pid() {
            Some(pid) => format!("user {} (process {pid})", credentials.uid()),
            None => format!("user {}", credentials.uid()),
        },
        None => "somebody unknown".to_owned(),
    }
}
