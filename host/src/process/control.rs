//! A supervisor's socket, from our side.

use super::Leftovers;
use super::remains::Remains;
use crate::sys::supervisor::{KIND_GONE, KIND_MAIN, MESSAGE_BYTES};
use core::ops::Deref;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::io::unix::AsyncFd;

/// Our end. Dropped before the program was seen to end, it is handed on to [`Remains`]; without those it is closed, and
/// the supervisor kills.
pub(super) struct Control {
    socket: Arc<AsyncFd<OwnedFd>>,
    remains: Option<(Remains, Leftovers)>,
}

impl Control {
    pub(super) fn new(socket: AsyncFd<OwnedFd>, remains: Option<Remains>, leftovers: Leftovers) -> Self {
        Self { socket: Arc::new(socket), remains: remains.map(|remains| (remains, leftovers)) }
    }

    /// Nothing is left that has to be followed.
    pub(super) fn ended(&mut self) {
        self.remains = None;
    }

    /// Nobody will see the end.
    pub(super) fn lost(&mut self) {
        if let Some((remains, _)) = self.remains.take() {
            remains.lose();
        }
    }
}

impl Deref for Control {
    type Target = AsyncFd<OwnedFd>;

    fn deref(&self) -> &Self::Target {
        &self.socket
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if let Some((remains, leftovers)) = self.remains.take() {
            remains.follow(self.socket.clone(), leftovers);
        }
    }
}

/// What the supervisor says.
pub(super) enum Message {
    /// The program itself ended, with this wait status.
    Main(i32),
    /// Nothing of it is left.
    Gone,
    /// It says nothing more.
    Closed,
}

pub(super) async fn receive(control: &AsyncFd<OwnedFd>) -> Message {
    loop {
        let Ok(mut ready) = control.readable().await else { return Message::Closed };
        let mut bytes = [0_u8; MESSAGE_BYTES];
        let read = ready.try_io(|socket| {
            let (_, length) = rustix::net::recv(socket.get_ref(), &mut bytes, RecvFlags::DONTWAIT)?;
            Ok(length)
        });
        match read {
            Ok(Ok(MESSAGE_BYTES)) => {
                let [a, b, c, d, e, f, g, h] = bytes;
                match u32::from_ne_bytes([a, b, c, d]) {
                    KIND_MAIN => return Message::Main(i32::from_ne_bytes([e, f, g, h])),
                    KIND_GONE => return Message::Gone,
                    _ => return Message::Closed,
                }
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(_) => return Message::Closed,
            Err(_would_block) => {}
        }
    }
}

/// Our end of a socket, and the supervisor's.
pub(super) fn control_socket() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    Ok((ours, theirs))
}
