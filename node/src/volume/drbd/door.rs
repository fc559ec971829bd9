//! Where DRBD's handlers ask: one Unix socket for each resource, for root and the daemon's own user only.
//!
//! A handler sends one line, `fence-peer PEER` or the like, and is told `exit N` in one line, when the driver knows.
//! It may wait long: as long as it waits, the kernel keeps the volume's writes suspended.

use super::handler::{Question, REQUEST_BYTES_MAX, socket};
use core::time::Duration;
use rustix::process::geteuid;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

/// Handlers that wait at the same time: the kernel runs one for each connection, and a retry or two.
const ASKING_MAX: usize = 16;

/// How long a handler may take to say what it wants: it says so at once.
const REQUEST_MAX: Duration = Duration::from_secs(5);

/// A handler's question. Dropped without an answer, the handler says that it has none.
#[derive(Debug)]
pub(super) struct Asked {
    /// What it asks.
    pub question: Question,
    /// The peer's name, if DRBD told it.
    pub peer: Option<String>,
    /// The exit status that the kernel is to see.
    pub answer: oneshot::Sender<u8>,
}

/// Binds the socket, in place of one that an earlier daemon left.
///
/// # Errors
/// The directory does not exist, or the socket cannot be bound.
pub(super) fn open(run_dir: &Path, resource: &str) -> io::Result<UnixListener> {
    let path = socket(run_dir, resource);
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("handlers' socket {}: {error}", path.display()))
    };
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(named(error)),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&path).map_err(named)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(named)?;
    Ok(listener)
}

/// Takes handlers' questions until nobody listens to them.
pub(super) async fn serve(listener: UnixListener, into: mpsc::Sender<Asked>) {
    let mut visitors = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if visitors.len() < ASKING_MAX => {
                let Ok((stream, _)) = accepted else { continue };
                visitors.spawn(visit(stream, into.clone()));
            },
            Some(_) = visitors.join_next() => {},
            () = into.closed() => return,
        }
    }
}

async fn visit(stream: UnixStream, into: mpsc::Sender<Asked>) {
    let Ok(user) = stream.peer_cred().map(|peer| peer.uid()) else { return };
    if user != 0 && user != geteuid().as_raw() {
        return;
    }
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader.take(REQUEST_BYTES_MAX));
    let mut line = String::new();
    let read = tokio::time::timeout(REQUEST_MAX, reader.read_line(&mut line)).await;
    if !matches!(read, Ok(Ok(_))) {
        return;
    }
    let Some((question, peer)) = Question::understand(&line) else { return };
    let (answer, answered) = oneshot::channel();
    if into.send(Asked { question, peer, answer }).await.is_err() {
        return;
    }
    let mut rest = [0_u8; 1];
    tokio::select! {
        code = answered => {
            if let Ok(code) = code {
                // A handler that has gone has told the kernel already that it has no result.
                let _ = writer.write_all(format!("exit {code}\n").as_bytes()).await;
            }
        },
        // The handler is gone: nothing waits for this answer any more.
        _ = reader.read(&mut rest) => {},
    }
}
