//! The thin shell around a [`Session`]: one UDP socket, the clock, and a wait for both.
//!
//! It decides nothing: which datagram counts, what is sent again and when all is over, the machine
//! says. For ipmi-rs, whose commands are used above, it is a connection like any other.

use super::session::fault::Fault;
use super::session::login::Login;
use super::session::message::Question;
use super::session::wire::PACKET_MAX;
use super::session::{Event, Session};
use core::time::Duration;
use ipmi_rs::connection::{IpmiConnection, Message, Request, RequestTargetAddress, Response};
use picket_host::clock::boottime;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use zeroize::Zeroizing;

/// How often the network may say that nobody listens before a login believes it: one such message
/// can be invented or belong to a controller that is just starting.
const REFUSALS_MAX: u32 = 3;

/// Tells whoever waits for a controller to stop waiting, for good.
#[derive(Debug)]
pub(super) struct Stop {
    wake: OwnedFd,
    told: AtomicBool,
}

impl Stop {
    /// Nobody has been told yet.
    pub(super) fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { wake, told: AtomicBool::new(false) })
    }

    /// Tells all, now and later.
    pub(super) fn tell(&self) {
        self.told.store(true, Ordering::SeqCst);
        // Fails only if it was told very often already.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    /// Whether it was told.
    pub(super) fn is_told(&self) -> bool {
        self.told.load(Ordering::SeqCst)
    }
}

/// A session on a socket of its own.
pub(super) struct Connection {
    socket: UdpSocket,
    session: Session,
    stop: Arc<Stop>,
    /// Until when the next answer is waited for, on the boot clock.
    until: Duration,
    /// What the network said of a packet of ours, last.
    network: Option<io::Error>,
    refusals: u32,
    asked: Option<(u8, u8)>,
}

impl Connection {
    /// Logs in.
    ///
    /// # Errors
    /// What stands between us and the controller. It holds no session of ours then, where it lets
    /// itself be told so within `farewell`.
    pub(super) fn open(
        address: SocketAddr,
        login: Login,
        stop: &Arc<Stop>,
        until: Duration,
        farewell: Duration,
    ) -> Result<Self, Fault> {
        let network = |error: io::Error| Fault::Network(plain(&error));
        let any: IpAddr =
            if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).map_err(network)?;
        // From here on the kernel hands in only what comes from the controller's address and port.
        socket.connect(address).map_err(network)?;
        socket.set_nonblocking(true).map_err(network)?;
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice())
            .map_err(|error| Fault::Network(format!("no random numbers: {error}")))?;
        let mut session = Session::new(login, seed);
        session.start(boottime(), until);
        let stop = Arc::clone(stop);
        let mut connection = Self { socket, session, stop, until, network: None, refusals: 0, asked: None };
        let fault = match connection.run(true) {
            Event::Open => return Ok(connection),
            Event::Failed(fault) => fault,
            Event::Answer(_) | Event::Closed => Fault::NotOpen,
        };
        let network = connection.network.take();
        connection.close(farewell);
        Err(match (fault, network) {
            (Fault::Silent, Some(error)) => Fault::Network(plain(&error)),
            (fault, _) => fault,
        })
    }

    /// Until when the next answer is waited for.
    pub(super) fn answer_by(&mut self, until: Duration) {
        self.until = until;
    }

    /// Ends the session at the controller, waiting for its word no longer than `within`. Nothing is
    /// waited for if there is nothing to end.
    pub(super) fn close(mut self, within: Duration) {
        let now = boottime();
        let waits = self.session.needs_close();
        self.session.close(now, now + within);
        if waits {
            let _ = self.run(false);
        } else {
            self.transmit();
        }
    }

    /// Waits until something came of what was asked. Bounded by the session's own deadline.
    fn run(&mut self, heeds_stop: bool) -> Event {
        loop {
            self.transmit();
            if let Some(event) = self.session.event() {
                return event;
            }
            if heeds_stop && self.stop.is_told() {
                return Event::Failed(Fault::Interrupted);
            }
            if heeds_stop && self.refusals >= REFUSALS_MAX && !self.session.is_open() {
                return Event::Failed(Fault::Silent);
            }
            let Some(deadline) = self.session.deadline() else { return Event::Failed(Fault::NotOpen) };
            let now = boottime();
            if now >= deadline {
                self.session.tick(now);
                continue;
            }
            match self.wait(deadline - now, heeds_stop) {
                Ok(true) => self.receive(),
                Ok(false) => {}
                Err(error) => return Event::Failed(Fault::Network(plain(&error))),
            }
        }
    }

    fn transmit(&mut self) {
        while let Some(packet) = self.session.transmit() {
            if let Err(error) = self.socket.send(&packet) {
                self.note(error);
            }
        }
    }

    fn receive(&mut self) {
        // One byte more than a packet may have, so that a longer one is seen to be too long.
        let mut datagram = [0; PACKET_MAX + 1];
        match self.socket.recv(&mut datagram) {
            Ok(len) => {
                let datagram = datagram.get(..len).unwrap_or_default();
                self.session.receive(datagram, boottime());
            }
            Err(error) => self.note(error),
        }
    }

    /// Remembers what the network says. It is no answer: what is on its way is sent again all the same.
    fn note(&mut self, error: io::Error) {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => return,
            io::ErrorKind::ConnectionRefused => self.refusals += 1,
            _ => {}
        }
        self.network = Some(error);
    }

    /// Whether there is a datagram, or word from the network, after `most`.
    fn wait(&self, most: Duration, heeds_stop: bool) -> io::Result<bool> {
        let most = Timespec::try_from(most).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&self.stop.wake, PollFlags::IN)];
        let heeded = if heeds_stop { 2 } else { 1 };
        match poll(fds.get_mut(..heeded).unwrap_or_default(), Some(&most)) {
            Ok(_) => Ok(!fds[0].revents().is_empty()),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl IpmiConnection for Connection {
    type SendError = Fault;
    type RecvError = Fault;
    type Error = Fault;

    fn send(&mut self, request: &mut Request) -> Result<(), Fault> {
        let behind = match request.target() {
            RequestTargetAddress::Bmc(_) => None,
            RequestTargetAddress::BmcOrIpmb(address, channel, _) => Some((address.0, channel.value())),
        };
        let question = Question {
            netfn: request.netfn_raw(),
            lun: request.target().lun().value(),
            cmd: request.cmd(),
            data: request.data().to_vec(),
            behind,
        };
        self.asked = Some((question.netfn, question.cmd));
        self.session.ask(question, boottime(), self.until);
        Ok(())
    }

    fn recv(&mut self) -> Result<Response, Fault> {
        let (netfn, cmd) = self.asked.take().ok_or(Fault::NotOpen)?;
        match self.run(true) {
            Event::Answer(answer) => {
                // The machine has matched netfn, command and number; an answer has its code at least.
                let message = Message::new_raw(netfn | 1, cmd, answer);
                Response::new(message, 0).ok_or(Fault::Lost)
            }
            Event::Failed(fault) => Err(fault),
            Event::Open | Event::Closed => Err(Fault::NotOpen),
        }
    }

    fn send_recv(&mut self, request: &mut Request) -> Result<Response, Fault> {
        self.send(request)?;
        self.recv()
    }
}

/// The system's words without its number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
