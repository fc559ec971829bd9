//! Connections to devices: TCP or a Unix socket, bare or under TLS, with a deadline on every wait.
//!
//! Contract:
//! - [`Link::until`] holds for all that follows it, however slowly the other side drips: what is left
//!   of it is set before each system call. Past it there is only [`io::ErrorKind::TimedOut`].
//! - Even where the caller's timeout is the only one, no single wait is longer than [`SILENCE_MAX`]:
//!   a device that died in the middle of an answer never says so, and must be asked anew.
//! - A reason is one line that names the cause and the cure.

use crate::deadline::Deadline;
use crate::device::DeviceError;
use core::time::Duration;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType};
use rustix::net::{connect, recv, socket_with};
use rustls::{ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;

pub mod tls;

/// The longest wait for a byte. Management controllers that are busy think for ten seconds and more;
/// one that says nothing for this long is gone, and only a new connection can tell.
pub const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A text of the other side is shown up to so many characters: what it says fits a line.
const SHOWN_CHARS_MAX: usize = 200;

/// The kernel takes a timeout of zero as "none": wait at least this long.
const TIMEOUT_LEAST: Duration = Duration::from_micros(1);

/// A text of the other side as part of a line of ours.
#[must_use]
pub fn shown(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN_CHARS_MAX).collect()
}

/// A connection to a device.
#[derive(Debug)]
pub struct Link {
    stream: Stream,
}

#[derive(Debug)]
enum Stream {
    Bare(Timed),
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

impl Link {
    /// Connects to a TCP port. `cure` names the options to look at if that fails.
    ///
    /// # Errors
    /// The name has no address, nobody listens there, or not until `deadline`.
    pub fn tcp(host: &str, port: u16, deadline: Deadline, cure: &str) -> Result<Self, DeviceError> {
        let unknown =
            |why: String| DeviceError::NoAnswer(format!("{host} has no address ({why}); check {cure}"));
        let addresses = (host, port).to_socket_addrs().map_err(|error| unknown(error.to_string()))?;
        let addresses: Vec<_> = addresses.collect();
        let mut last = None;
        for (address, following) in addresses.iter().zip((1..=addresses.len()).rev()) {
            // An address that swallows packets must not use up the time of those after it.
            let share = |left: Duration| left / u32::try_from(following).unwrap_or(u32::MAX);
            match left(deadline)
                .and_then(|left| TcpStream::connect_timeout(address, share(left).max(TIMEOUT_LEAST)))
            {
                Ok(stream) => {
                    // A few bytes to and fro: waiting to fill a packet would only delay them.
                    let _ = stream.set_nodelay(true);
                    return Ok(Self::bare(Socket::Tcp(stream), deadline));
                }
                Err(error) => last = Some(error),
            }
        }
        let Some(error) = last else { return Err(unknown("the name has none".to_owned())) };
        let why = match error.kind() {
            io::ErrorKind::ConnectionRefused => "nothing listens there: connection refused".to_owned(),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                "no answer within login_timeout".to_owned()
            }
            _ => error.to_string(),
        };
        Err(DeviceError::NoAnswer(format!("cannot connect to {host} port {port} ({why}); check {cure}")))
    }

    /// Connects to a Unix socket. A listener that no longer accepts lets `connect` block; the send
    /// timeout ends that too.
    ///
    /// # Errors
    /// There is no such socket, nobody listens there, or not until `deadline`.
    pub fn unix(path: &Path, deadline: Deadline) -> io::Result<Self> {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        set_socket_timeout(&socket, Timeout::Send, Some(left(deadline)?))?;
        connect(&socket, &SocketAddrUnix::new(path)?).map_err(|error| in_time(error.into()))?;
        Ok(Self::bare(Socket::Unix(socket.into()), deadline))
    }

    /// Over a stream that is connected already.
    #[must_use]
    pub fn over(stream: UnixStream, deadline: Deadline) -> Self {
        Self::bare(Socket::Unix(stream), deadline)
    }

    fn bare(socket: Socket, deadline: Deadline) -> Self {
        Self { stream: Stream::Bare(Timed { socket, deadline }) }
    }

    /// The same connection under TLS, its other side checked.
    ///
    /// # Errors
    /// The other side is not who it must be, speaks no TLS that we do, or not in time.
    pub fn secured(self, tls: &tls::Tls, host: &str) -> Result<Self, DeviceError> {
        let Stream::Bare(timed) = self.stream else { return Ok(self) };
        Ok(Self { stream: Stream::Tls(Box::new(tls.handshake(timed, host)?)) })
    }

    /// Sets until when everything that follows must be over.
    pub fn until(&mut self, deadline: Deadline) {
        self.timed().deadline = deadline;
    }

    /// Whether the other side has neither closed it nor sent anything since the last answer. A kept
    /// connection that is not quiet must not be used again: what comes would be taken for the answer
    /// to the next question.
    #[must_use]
    pub fn is_quiet(&mut self) -> bool {
        if let Stream::Tls(stream) = &mut self.stream {
            let read_already = stream.conn.reader().read(&mut [0]);
            if !read_already.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                return false;
            }
        }
        self.timed().is_silent()
    }

    fn timed(&mut self) -> &mut Timed {
        match &mut self.stream {
            Stream::Bare(timed) => timed,
            Stream::Tls(stream) => &mut stream.sock,
        }
    }
}

impl Read for Link {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Bare(timed) => timed.read(into),
            Stream::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Bare(timed) => timed.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Bare(timed) => timed.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

/// A socket whose every wait ends at the deadline.
#[derive(Debug)]
pub struct Timed {
    socket: Socket,
    deadline: Deadline,
}

impl Timed {
    /// Whether there is nothing to read, not even the end.
    fn is_silent(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let peeked = match &self.socket {
            Socket::Tcp(stream) => recv(stream, &mut [0_u8][..], flags),
            Socket::Unix(stream) => recv(stream, &mut [0_u8][..], flags),
        };
        matches!(peeked, Err(Errno::AGAIN))
    }
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Read for Timed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = Some(left(self.deadline)?);
        let read = match &mut self.socket {
            Socket::Tcp(stream) => stream.set_read_timeout(left).and_then(|()| stream.read(into)),
            Socket::Unix(stream) => stream.set_read_timeout(left).and_then(|()| stream.read(into)),
        };
        read.map_err(in_time)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = Some(left(self.deadline)?);
        let written = match &mut self.socket {
            Socket::Tcp(stream) => stream.set_write_timeout(left).and_then(|()| stream.write(bytes)),
            Socket::Unix(stream) => stream.set_write_timeout(left).and_then(|()| stream.write(bytes)),
        };
        written.map_err(in_time)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A socket timeout is reported as "would block"; people shall read what it is.
fn in_time(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

/// The time left for one wait; an error once there is none.
fn left(deadline: Deadline) -> io::Result<Duration> {
    let left = deadline.at_most(SILENCE_MAX);
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left.max(TIMEOUT_LEAST)) }
}
