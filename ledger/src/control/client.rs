//! The node daemon's side of the control connection.
//!
//! One task owns the socket. It connects, subscribes, and connects again when the server went away;
//! every state it learns of comes out of [`Notices`]. A command that was under way when the connection
//! broke has an unknown outcome, and says so: the caller looks at the status that the next
//! [`Notice::Connected`] brings.
//!
//! Contract: notices only ever go forward. What an answer says is in the notices before the answer is
//! given, and a status that is older than one already told is not told.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::wire::{Command, LINE_MAX, Line, Refusal, Request, SCHEMA, Status};
use crate::ids::{Epoch, NodeId};

/// Commands that may wait for the socket: a daemon has a few outstanding.
const COMMANDS_MAX: usize = 64;
/// Notices that may wait for the daemon; then the socket is read no further, and the server cuts the
/// subscription, whereupon a new connection brings the whole status.
const NOTICES_MAX: usize = 256;
/// Between attempts to connect. No event tells that a server listens again.
const RECONNECT: Duration = Duration::from_millis(20);

/// Why a command has no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The server refused; nothing was done but what the refusal says.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// There is no connection: the command was not sent.
    #[error("not connected to the volume server")]
    NotConnected,
    /// The connection broke after the command was sent: it may have been done.
    #[error("connection to the volume server lost, outcome unknown")]
    OutcomeUnknown,
    /// The client's task is gone.
    #[error("control client ended")]
    Ended,
}

/// What the server, or its absence, tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Connected, or connected again, to a server in this state.
    Connected(Box<Status>),
    /// Something changed; this is the state after it.
    Changed(Box<Status>),
    /// The connection is lost. That says nothing about the server.
    Lost,
}

/// The stream of notices.
pub struct Notices(mpsc::Receiver<Notice>);

impl Notices {
    /// The next one; `None` when the [`Client`] was dropped.
    pub async fn next(&mut self) -> Option<Notice> {
        self.0.recv().await
    }

    /// The next one if it is there already.
    pub fn try_next(&mut self) -> Option<Notice> {
        self.0.try_recv().ok()
    }
}

type Answer = oneshot::Sender<Result<Box<Status>, ControlError>>;

/// A handle on one server; clones share the connection, which ends with the last of them.
#[derive(Clone)]
pub struct Client {
    commands: mpsc::Sender<(Command, Answer)>,
}

impl Client {
    /// Starts the task that keeps the connection to the socket at `path`; must be called in a runtime.
    /// Notices must be read: unread ones hold up the answers.
    #[must_use]
    pub fn open(path: PathBuf) -> (Client, Notices) {
        let (commands, queue) = mpsc::channel(COMMANDS_MAX);
        let (out, notices) = mpsc::channel(NOTICES_MAX);
        tokio::spawn(keep(path, queue, out));
        (Client { commands }, Notices(notices))
    }

    /// Sends one command and waits for its answer: the status after it.
    ///
    /// # Errors
    /// The server refused, or there is no (longer a) connection.
    pub async fn send(&self, command: Command) -> Result<Box<Status>, ControlError> {
        let (answer, answered) = oneshot::channel();
        self.commands.send((command, answer)).await.map_err(|_| ControlError::Ended)?;
        answered.await.map_err(|_| ControlError::Ended)?
    }

    /// See [`Command::Status`].
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn status(&self) -> Result<Box<Status>, ControlError> {
        self.send(Command::Status).await
    }

    /// See [`Command::Promote`].
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn promote(
        &self,
        epoch: Epoch,
        deadline_boottime_ns: u64,
        required: Option<BTreeSet<NodeId>>,
    ) -> Result<Box<Status>, ControlError> {
        self.send(Command::Promote { epoch, deadline_boottime_ns, required }).await
    }

    /// See [`Command::Demote`].
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn demote(&self) -> Result<Box<Status>, ControlError> {
        self.send(Command::Demote).await
    }

    /// See [`Command::Freeze`].
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn freeze(&self) -> Result<Box<Status>, ControlError> {
        self.send(Command::Freeze).await
    }

    /// See [`Command::Thaw`].
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn thaw(&self) -> Result<Box<Status>, ControlError> {
        self.send(Command::Thaw).await
    }

    /// See [`Command::DropPeer`].
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn drop_peer(&self, peer: NodeId) -> Result<Box<Status>, ControlError> {
        self.send(Command::DropPeer { peer }).await
    }

    /// See [`Command::RequirePeer`].
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn require_peer(&self, peer: NodeId) -> Result<Box<Status>, ControlError> {
        self.send(Command::RequirePeer { peer }).await
    }

    /// See [`Command::DiscardLocal`].
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn discard_local(&self) -> Result<Box<Status>, ControlError> {
        self.send(Command::DiscardLocal).await
    }

    /// See [`Command::Shutdown`].
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn shutdown(&self) -> Result<Box<Status>, ControlError> {
        self.send(Command::Shutdown).await
    }
}

/// Connects again and again until the client is dropped.
async fn keep(path: PathBuf, mut commands: mpsc::Receiver<(Command, Answer)>, notices: mpsc::Sender<Notice>) {
    loop {
        if let Ok(stream) = UnixStream::connect(&path).await {
            let mut session = Session::new(stream, notices.clone());
            let ended = session.run(&mut commands).await;
            session.give_up();
            if ended == End::Client {
                return;
            }
            // Nobody listens to notices: commands may still be wanted.
            let _ = notices.send(Notice::Lost).await;
        }
        let pause = sleep(RECONNECT);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => break,
                command = commands.recv() => match command {
                    Some((_, answer)) => drop(answer.send(Err(ControlError::NotConnected))),
                    None => return,
                },
            }
        }
    }
}

#[cfg(test)]
mod tests;

#[derive(PartialEq, Eq)]
enum End {
    /// The client was dropped.
    Client,
    /// The connection is of no more use.
    Connection,
}

struct Session {
    reader: Lines,
    writer: OwnedWriteHalf,
    notices: mpsc::Sender<Notice>,
    open: HashMap<u64, Answer>,
    next_id: u64,
    /// Of the newest status that was told; none was yet on this connection.
    told: Option<u64>,
}

/// Of the subscription that each connection starts with.
const SUBSCRIBE_ID: u64 = 1;

impl Session {
    fn new(stream: UnixStream, notices: mpsc::Sender<Notice>) -> Session {
        let (read, writer) = stream.into_split();
        let reader = Lines { from: BufReader::new(read), text: Vec::new() };
        Session { reader, writer, notices, open: HashMap::new(), next_id: SUBSCRIBE_ID, told: None }
    }

    async fn run(&mut self, commands: &mut mpsc::Receiver<(Command, Answer)>) -> End {
        if self.request(Command::Subscribe).await.is_err() {
            return End::Connection;
        }
        loop {
            tokio::select! {
                line = self.reader.next() => match line {
                    Ok(line) => self.take(line).await,
                    Err(error) => {
                        tracing::debug!(%error, "control connection lost");
                        return End::Connection;
                    }
                },
                command = commands.recv() => {
                    let Some((command, answer)) = command else { return End::Client };
                    self.open.insert(self.next_id, answer);
                    if self.request(command).await.is_err() {
                        return End::Connection;
                    }
                }
            }
        }
    }

    async fn request(&mut self, command: Command) -> io::Result<()> {
        let request = Request { schema: SCHEMA, id: self.next_id, command };
        self.next_id += 1;
        let mut text = serde_json::to_vec(&request)?;
        text.push(b'\n');
        self.writer.write_all(&text).await
    }

    async fn take(&mut self, line: Line) {
        match line {
            Line::Done { id, status, .. } => {
                self.tell(&status).await;
                self.answer(id, Ok(status));
            }
            Line::Refused { id, error, .. } => self.answer(id, Err(error.into())),
            Line::Event { status, .. } => self.tell(&status).await,
        }
    }

    /// Passes on what is news. The server's answers and events may overtake each other.
    async fn tell(&mut self, status: &Status) {
        let notice = match self.told.replace(self.told.unwrap_or_default().max(status.revision)) {
            None => Notice::Connected(Box::new(status.clone())),
            Some(told) if told < status.revision => Notice::Changed(Box::new(status.clone())),
            Some(_) => return,
        };
        // A dropped stream of notices is the caller's choice.
        let _ = self.notices.send(notice).await;
    }

    fn answer(&mut self, id: u64, outcome: Result<Box<Status>, ControlError>) {
        if let Some(answer) = self.open.remove(&id) {
            let _ = answer.send(outcome);
        }
    }

    fn give_up(&mut self) {
        for (_, answer) in self.open.drain() {
            let _ = answer.send(Err(ControlError::OutcomeUnknown));
        }
    }
}

/// Reads lines; `next` loses nothing when it is cancelled.
struct Lines {
    from: BufReader<OwnedReadHalf>,
    text: Vec<u8>,
}

impl Lines {
    async fn next(&mut self) -> io::Result<Line> {
        let room = LINE_MAX.saturating_sub(self.text.len()) as u64;
        let n = (&mut self.from).take(room).read_until(b'\n', &mut self.text).await?;
        if n == 0 || !self.text.ends_with(b"\n") {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = serde_json::from_slice(&self.text);
        self.text.clear();
        Ok(line?)
    }
}
