//! Where the node daemon comes: a unix socket, lines of JSON.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::control::wire::{Command, LINE_MAX, Line, Refusal, Request, SCHEMA, Status};
use crate::engine::{Event, SUBSCRIBER_QUEUE};

/// Lines that may wait for one connection; more slow its own requests down.
const LINES_MAX: usize = 64;
/// Connections at a time: the node daemon, an operator, a test.
const CONTROLS_MAX: usize = 16;

/// Binds the socket for the owner alone. A file that a dead server left is replaced; a live server's
/// is not.
pub(crate) fn bind(path: &Path) -> io::Result<UnixListener> {
    if path.exists() {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another server answers there"));
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Accepts control connections until told to end.
pub(crate) async fn serve(shared: Shared, listener: UnixListener) {
    let places = std::sync::Arc::new(tokio::sync::Semaphore::new(CONTROLS_MAX));
    loop {
        let accepted = tokio::select! {
            () = shared.end.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let Ok(place) = std::sync::Arc::clone(&places).try_acquire_owned() else { continue };
                let task_shared = shared.clone();
                shared.connections.spawn(async move {
                    let _place = place;
                    connection(&task_shared, stream).await;
                });
            }
            Err(e) => super::accept_failed(&e).await,
        }
    }
}

async fn connection(shared: &Shared, stream: UnixStream) {
    let (read, write) = stream.into_split();
    let (lines, queue) = mpsc::channel(LINES_MAX);
    // The end of the server is no reason to drop an answer: the writer ends when all answers are out.
    let writer = tokio::spawn(write_lines(write, queue));
    let cut = CancellationToken::new();
    tokio::select! {
        () = shared.end.cancelled() => {}
        () = cut.cancelled() => {}
        () = read_requests(shared, read, &lines, &cut) => {}
    }
    drop(lines);
    let _ = writer.await;
}

async fn write_lines(mut to: OwnedWriteHalf, mut queue: mpsc::Receiver<Line>) {
    while let Some(line) = queue.recv().await {
        let Ok(mut text) = serde_json::to_vec(&line) else { return };
        text.push(b'\n');
        if to.write_all(&text).await.is_err() {
            return;
        }
    }
}

async fn read_requests(
    shared: &Shared,
    read: OwnedReadHalf,
    lines: &mpsc::Sender<Line>,
    cut: &CancellationToken,
) {
    let mut reader = BufReader::new(read);
    let mut text = Vec::new();
    loop {
        text.clear();
        let limit = LINE_MAX as u64;
        match (&mut reader).take(limit).read_until(b'\n', &mut text).await {
            Ok(n) if n > 0 && text.ends_with(b"\n") => {}
            Ok(n) => {
                if n as u64 == limit {
                    refuse(lines, 0, format!("a line longer than {LINE_MAX} bytes")).await;
                }
                return;
            }
            Err(_) => return,
        }
        match serde_json::from_slice::<Request>(&text) {
            Ok(request) if request.schema == SCHEMA => {
                if !pass_on(shared, request, lines, cut).await {
                    return;
                }
            }
            Ok(request) => {
                let why = format!("schema {SCHEMA} expected, {} found", request.schema);
                refuse(lines, request.id, why).await;
            }
            Err(e) => refuse(lines, 0, e.to_string()).await,
        }
    }
}

async fn refuse(lines: &mpsc::Sender<Line>, id: u64, why: String) {
    let line = Line::Refused { schema: SCHEMA, id, error: Refusal::BadRequest { why } };
    // A reader that is gone misses nothing.
    let _ = lines.send(line).await;
}

async fn pass_on(
    shared: &Shared,
    request: Request,
    lines: &mpsc::Sender<Line>,
    cut: &CancellationToken,
) -> bool {
    let Request { id, command, .. } = request;
    if command == Command::Subscribe {
        let (out, events) = mpsc::channel(SUBSCRIBER_QUEUE);
        if !shared.tell(Event::Subscribe { out }).await {
            return false;
        }
        let (lines, end, cut) = (lines.clone(), shared.end.clone(), cut.clone());
        shared.connections.spawn(pass_events(events, lines, end, cut));
    }
    let (answer, answered) = oneshot::channel();
    if !shared.tell(Event::Command { command, answer }).await {
        return false;
    }
    shared.connections.spawn(pass_answer(id, answered, lines.clone(), shared.end.clone()));
    true
}

async fn pass_answer(
    id: u64,
    answered: oneshot::Receiver<Result<Box<Status>, Refusal>>,
    lines: mpsc::Sender<Line>,
    end: CancellationToken,
) {
    let answered = tokio::select! {
        biased; // the answer to `shutdown` is there when the end comes
        answered = answered => answered,
        () = end.cancelled() => return,
    };
    let line = match answered {
        Ok(Ok(status)) => Line::Done { schema: SCHEMA, id, status },
        Ok(Err(error)) => Line::Refused { schema: SCHEMA, id, error },
        // The server ends without an answer; the closed connection says so.
        Err(_) => return,
    };
    let _ = lines.send(line).await;
}

async fn pass_events(
    mut events: mpsc::Receiver<Box<Status>>,
    lines: mpsc::Sender<Line>,
    end: CancellationToken,
    cut: CancellationToken,
) {
    loop {
        let status = tokio::select! {
            biased; // what was said before the end is passed on
            status = events.recv() => status,
            () = lines.closed() => return,
            () = end.cancelled() => return,
        };
        // Cut off for being slow: only a new connection brings the subscriber the whole status again.
        let Some(status) = status else { return cut.cancel() };
        if lines.send(Line::Event { schema: SCHEMA, status }).await.is_err() {
            return;
        }
    }
}
