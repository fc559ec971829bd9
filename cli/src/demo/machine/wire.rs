//! The supervisor's sockets: lines in, answers out, decisions elsewhere.

use super::error::MachineError;
use picket_fence::power::LINE_BYTES_MAX;
use std::fs;
use std::io;
use std::path::Path;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

/// Events that wait for the supervisor. It is quick; what comes faster waits in the sockets.
pub(super) const EVENTS_MAX: usize = 64;

/// Which socket a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Socket {
    Power,
    Control,
    Watchdog,
}

/// What the sockets tell the supervisor.
#[derive(Debug)]
pub(super) enum Event {
    /// A line. Dropping `answer` closes the connection without one.
    Line { from: Socket, text: String, answer: oneshot::Sender<String> },
    /// A client of the watchdog has connected; may it stay?
    WatchdogOpened { stays: oneshot::Sender<bool> },
    /// That client has gone.
    WatchdogClosed,
}

/// Binds a socket in place of one that a former supervisor left.
pub(super) fn bind(path: &Path) -> Result<UnixListener, MachineError> {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(MachineError::file("replace", path)(error)),
    }
    UnixListener::bind(path).map_err(MachineError::file("listen on", path))
}

/// Accepts for ever. A connection that cannot be accepted is the client's loss, not ours.
pub(super) async fn serve(listener: UnixListener, from: Socket, events: mpsc::Sender<Event>) {
    while !events.is_closed() {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream, from, events.clone()));
        }
    }
}

async fn talk(stream: UnixStream, from: Socket, events: mpsc::Sender<Event>) {
    if from != Socket::Watchdog {
        // An error ends the connection, which is all the client needs to know.
        let _ = lines(stream, from, &events).await;
        return;
    }
    let (stays, may_stay) = oneshot::channel();
    if events.send(Event::WatchdogOpened { stays }).await.is_err() {
        return;
    }
    if may_stay.await == Ok(true) {
        let _ = lines(stream, from, &events).await;
        let _ = events.send(Event::WatchdogClosed).await;
    } else {
        let mut stream = stream;
        let _ = stream.write_all(b"error busy\n").await;
    }
}

async fn lines(stream: UnixStream, from: Socket, events: &mpsc::Sender<Event>) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    while let Some(text) = line(&mut reader).await? {
        let (answer, answered) = oneshot::channel();
        let event = Event::Line { from, text, answer };
        events.send(event).await.map_err(|_| io::ErrorKind::BrokenPipe)?;
        let answer = answered.await.map_err(|_| io::ErrorKind::BrokenPipe)?;
        writer.write_all(format!("{answer}\n").as_bytes()).await?;
    }
    Ok(())
}

/// One line without its end, or `None` at the end of the stream. A longer line, or one without its
/// end, is an error.
async fn line(reader: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    reader.take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut bytes).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.pop() != Some(b'\n') {
        return Err(io::ErrorKind::InvalidData.into());
    }
    String::from_utf8(bytes).map(Some).map_err(|_| io::ErrorKind::InvalidData.into())
}
