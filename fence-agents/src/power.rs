//! The power switch of a lab machine: what is said over its socket, and the client for it.
//!
//! One request and one answer, each a line of text, on a Unix stream socket; then the switch
//! closes. Several requests may be sent on one connection, one after the other.
//!
//! ```text
//! request:  status|off|on|reboot [<machine>]\n
//! answer:   on <boot id>\n | off\n | error <why>\n
//! ```
//!
//! `off` is answered only when the switch itself has seen every process of the machine gone, `on`
//! and `reboot` when the new boot has begun. A switch asked under another machine's name answers
//! `error`. While a machine is going down, `status` says `on`.
//!
//! Contract: only the word `off` is off. Silence, an end of file and any other text are errors.

use crate::deadline::Deadline;
use crate::uuid::{UUID_BYTES, Uuid};
use core::str::FromStr;
use core::time::Duration;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

#[cfg(test)]
mod tests;

/// The longest line of the protocol, its end included: a word, a name of at most 255 bytes, and
/// room for an error text.
pub const LINE_BYTES_MAX: usize = 1024;

/// What to do when the kernel takes a timeout of zero as "none": wait at least this long.
const TIMEOUT_LEAST: Duration = Duration::from_micros(1);

/// What identifies one power-on of a machine. Written like the kernel's own boot id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(Uuid);

impl BootId {
    /// A boot id from 16 random bytes.
    #[must_use]
    pub const fn new(bytes: [u8; UUID_BYTES]) -> Self {
        Self(Uuid(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; UUID_BYTES] {
        self.0.0
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BootId {
    type Err = PowerError;

    fn from_str(text: &str) -> Result<Self, PowerError> {
        Uuid::parse(text).map(Self).ok_or_else(|| PowerError::Garbled(text.to_owned()))
    }
}

/// What a switch can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Say the power state.
    Status,
    /// Power off.
    Off,
    /// Power on.
    On,
    /// Power off, then on.
    Reboot,
}

impl Command {
    const fn word(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Off => "off",
            Self::On => "on",
            Self::Reboot => "reboot",
        }
    }
}

/// A command, and for which machine, if the asker says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub command: Command,
    /// The machine that the asker means.
    pub machine: Option<String>,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.command.word())?;
        self.machine.iter().try_for_each(|machine| write!(f, " {machine}"))
    }
}

impl FromStr for Request {
    type Err = PowerError;

    fn from_str(line: &str) -> Result<Self, PowerError> {
        let mut words = line.split_whitespace();
        let command = match words.next() {
            Some("status") => Command::Status,
            Some("off") => Command::Off,
            Some("on") => Command::On,
            Some("reboot") => Command::Reboot,
            Some(_) | None => return Err(PowerError::Garbled(line.to_owned())),
        };
        let machine = words.next().map(str::to_owned);
        if words.next().is_some() {
            return Err(PowerError::Garbled(line.to_owned()));
        }
        Ok(Self { command, machine })
    }
}

/// What a switch answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Powered, in this boot.
    On(BootId),
    /// Off: every process of the machine is gone.
    Off,
    /// Not done, or not known, and why.
    Error(String),
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On(boot) => write!(f, "on {boot}"),
            Self::Off => f.write_str("off"),
            Self::Error(why) => write!(f, "error {}", why.replace('\n', " ")),
        }
    }
}

impl FromStr for Reply {
    type Err = PowerError;

    fn from_str(line: &str) -> Result<Self, PowerError> {
        if line == "off" {
            return Ok(Self::Off);
        }
        match line.split_once(' ') {
            Some(("on", boot)) => Ok(Self::On(boot.parse()?)),
            Some(("error", why)) => Ok(Self::Error(why.to_owned())),
            Some(_) | None => Err(PowerError::Garbled(line.to_owned())),
        }
    }
}

/// Why there is no answer to go by. None of these says anything about the power state.
#[derive(Debug, thiserror::Error)]
pub enum PowerError {
    /// The socket cannot be reached.
    #[error("cannot connect to the power switch: {0}")]
    Connect(#[source] io::Error),
    /// Connected, but no whole answer in time.
    #[error("the power switch did not answer: {0}")]
    Silent(#[source] io::Error),
    /// It closed before a whole line.
    #[error("the power switch closed without an answer")]
    Closed,
    /// A line that is not of this protocol.
    #[error("not of the power switch protocol: {0:?}")]
    Garbled(String),
}

/// Asks the switch at `path` once.
///
/// # Errors
/// Not reachable until `login`, no whole answer until `call`, or an answer that makes no sense.
pub fn ask(path: &Path, request: &Request, login: Deadline, call: Deadline) -> Result<Reply, PowerError> {
    let mut stream = connect_until(path, login.earlier(call)).map_err(PowerError::Connect)?;
    let silent = PowerError::Silent;
    stream.set_write_timeout(left(call).map_err(silent)?).map_err(silent)?;
    stream.write_all(format!("{request}\n").as_bytes()).map_err(|error| silent(in_time(error)))?;
    let mut line = Vec::new();
    // Every read gives at least one byte, so the line's bound also bounds the loop.
    loop {
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            let text = String::from_utf8_lossy(&line[..end]);
            return text.parse();
        }
        if line.len() >= LINE_BYTES_MAX {
            return Err(PowerError::Garbled(String::from_utf8_lossy(&line).into_owned()));
        }
        stream.set_read_timeout(left(call).map_err(silent)?).map_err(silent)?;
        let mut piece = [0; 256];
        match stream.read(&mut piece) {
            Ok(0) => return Err(PowerError::Closed),
            Ok(count) => line.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(silent(in_time(error))),
        }
    }
}

/// A socket timeout is reported as "would block"; people shall read what it is.
fn in_time(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

/// The time left as a socket timeout; an error once there is none.
fn left(deadline: Deadline) -> io::Result<Option<Duration>> {
    match deadline.remaining() {
        Some(left) if left.is_zero() => Err(io::ErrorKind::TimedOut.into()),
        Some(left) => Ok(Some(left.max(TIMEOUT_LEAST))),
        None => Ok(None),
    }
}

/// A listener that no longer accepts lets `connect` block; the send timeout ends that too.
fn connect_until(path: &Path, deadline: Deadline) -> io::Result<UnixStream> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&socket, Timeout::Send, left(deadline)?)?;
    connect(&socket, &SocketAddrUnix::new(path)?).map_err(|error| in_time(error.into()))?;
    Ok(socket.into())
}
