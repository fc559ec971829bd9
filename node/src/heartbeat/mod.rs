//! Heartbeats: UDP on every path, sealed with the cluster's key.
//!
//! Contract: what comes out of a socket reaches the loop only if it is a sealed heartbeat of this cluster, from a
//! peer, on a socket where a path to that peer ends. Everything else is counted by its reason and dropped; that a
//! heartbeat is not a replay is judged by the core. Sending never blocks: a datagram that does not fit into the
//! socket's buffer is lost, as on any network.

use crate::config::{Config, HeartbeatPath};
use core::fmt;
use picket_core::ids::{NodeId, PathId};
use picket_core::message::Beat;
use picket_proto::beat::{self, BeatError, BeatKey, DATAGRAM_MAX};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

#[cfg(test)]
mod tests;

/// Why a datagram was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refused {
    /// Too short or too long.
    Length,
    /// Another version, or something else altogether.
    Version,
    /// Another key, another cluster, or changed on the way.
    NotAuthentic,
    /// Authentic and malformed.
    Malformed,
    /// It says that it comes from this node.
    OwnName,
    /// It says that it comes from a node that is no member.
    Stranger,
    /// No path to its sender ends on this socket.
    WrongPath,
}

impl Refused {
    /// The word for logs and counters.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Version => "version",
            Self::NotAuthentic => "not-authentic",
            Self::Malformed => "malformed",
            Self::OwnName => "own-name",
            Self::Stranger => "stranger",
            Self::WrongPath => "wrong-path",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How many datagrams were refused, by reason.
#[derive(Debug, Default)]
pub struct Counts(Mutex<BTreeMap<Refused, u64>>);

impl Counts {
    /// Counts one more; returns how many there are now.
    fn add(&self, reason: Refused) -> u64 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(reason).or_default();
        *count += 1;
        *count
    }

    /// How many were refused for this reason.
    #[must_use]
    pub fn of(&self, reason: Refused) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&reason).copied().unwrap_or_default()
    }
}

/// A path as the receiver knows it.
#[derive(Clone, Copy, Debug)]
struct PathEnd {
    peer: NodeId,
    path: PathId,
    remote: SocketAddr,
}

/// One socket and the paths that end on it.
#[derive(Debug)]
struct Port {
    socket: UdpSocket,
    local: SocketAddr,
    ends: Vec<PathEnd>,
}

/// Judges datagrams; shared by the receivers of all sockets.
#[derive(Debug)]
struct Judge {
    key: BeatKey,
    cluster: String,
    me: NodeId,
    members: Vec<NodeId>,
    counts: Arc<Counts>,
}

/// All sockets, bound.
#[derive(Debug)]
pub struct Heartbeats {
    ports: Vec<Port>,
    judge: Arc<Judge>,
}

/// Sends heartbeats.
#[derive(Debug)]
pub struct Sender {
    key: BeatKey,
    cluster: String,
    paths: BTreeMap<NodeId, Vec<(Arc<UdpSocket>, SocketAddr)>>,
}

/// The receiving half of one socket.
#[derive(Debug)]
pub struct Receiver {
    socket: UdpSocket,
    local: SocketAddr,
    ends: Vec<PathEnd>,
    judge: Arc<Judge>,
}

/// The buffer of a socket: a stalled loop finds what came in some seconds of every peer's heartbeats.
const BUFFER_BYTES: usize = 256 * 1024;

impl Heartbeats {
    /// Binds a socket for each local address; paths that share one share the socket. An address that the machine
    /// does not have yet (a network that is down) is bound all the same.
    ///
    /// # Errors
    /// An address is in use, or the kernel gives no socket.
    pub fn bind(config: &Config, key: BeatKey) -> io::Result<Self> {
        let mut ports: Vec<Port> = Vec::new();
        for (peer, member) in config.peers() {
            for (path, number) in member.paths.iter().zip(0_u8..) {
                let end = PathEnd { peer, path: PathId(number), remote: path.remote };
                match ports.iter_mut().find(|port| port.local == path.local) {
                    Some(port) => port.ends.push(end),
                    None => {
                        let socket = bind(path)?;
                        ports.push(Port { socket, local: path.local, ends: vec![end] });
                    }
                }
            }
        }
        let judge = Judge {
            key,
            cluster: config.cluster.clone(),
            me: config.me,
            members: config.members.keys().copied().collect(),
            counts: Arc::new(Counts::default()),
        };
        Ok(Self { ports, judge: Arc::new(judge) })
    }

    /// What was refused so far.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        self.judge.counts.clone()
    }

    /// The sender and the receivers.
    ///
    /// # Errors
    /// The kernel gives no more descriptors.
    pub fn split(self) -> io::Result<(Sender, Vec<Receiver>)> {
        let mut paths: BTreeMap<NodeId, BTreeMap<PathId, (Arc<UdpSocket>, SocketAddr)>> = BTreeMap::new();
        let mut receivers = Vec::new();
        for port in self.ports {
            let sending = Arc::new(port.socket.try_clone()?);
            for end in &port.ends {
                paths.entry(end.peer).or_default().insert(end.path, (sending.clone(), end.remote));
            }
            let (socket, local, ends) = (port.socket, port.local, port.ends);
            receivers.push(Receiver { socket, local, ends, judge: self.judge.clone() });
        }
        let paths = paths.into_iter().map(|(peer, paths)| (peer, paths.into_values().collect())).collect();
        let (key, cluster) = (self.judge.key.clone(), self.judge.cluster.clone());
        Ok((Sender { key, cluster, paths }, receivers))
    }
}

fn bind(path: &HeartbeatPath) -> io::Result<UdpSocket> {
    let open = || {
        let socket = Socket::new(Domain::for_address(path.local), Type::DGRAM, Some(Protocol::UDP))?;
        if path.local.is_ipv4() {
            socket.set_freebind_v4(true)?;
        } else {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
        socket.set_recv_buffer_size(BUFFER_BYTES)?;
        socket.set_nonblocking(true)?;
        socket.bind(&path.local.into())?;
        Ok(UdpSocket::from(socket))
    };
    open().map_err(|error: io::Error| {
        io::Error::new(error.kind(), format!("heartbeat path {} from {}: {error}", path.network, path.local))
    })
}

impl Sender {
    /// Sends on every path to the peer. A path that does not take it just now loses it.
    pub fn send(&self, to: NodeId, beat: &Beat) {
        let Some(paths) = self.paths.get(&to) else { return };
        let datagram = beat::seal(&self.key, &self.cluster, beat);
        for (socket, remote) in paths {
            if let Err(error) = socket.send_to(&datagram, remote) {
                tracing::trace!(%remote, %error, "heartbeat not sent");
            }
        }
    }
}

impl Receiver {
    /// Gives each heartbeat to `deliver` for ever, and the reason of each refusal to `refused` at its first, second,
    /// fourth, eighth … time.
    ///
    /// # Errors
    /// The runtime does not take the socket.
    pub async fn run(
        self,
        deliver: impl Fn(PathId, Beat),
        refused: impl Fn(Refused, SocketAddr, u64),
    ) -> io::Result<()> {
        let socket = tokio::net::UdpSocket::from_std(self.socket)?;
        let mut buffer = [0_u8; DATAGRAM_MAX + 1];
        loop {
            let (length, from) = match socket.recv_from(&mut buffer).await {
                Ok(received) => received,
                Err(error) => {
                    // What the network says about an earlier datagram; the next one may pass.
                    tracing::trace!(local = %self.local, %error, "heartbeat not received");
                    tokio::task::yield_now().await;
                    continue;
                }
            };
            match self.judge.judge(buffer.get(..length).unwrap_or_default(), from, &self.ends) {
                Ok((path, beat)) => deliver(path, beat),
                Err(reason) => {
                    let count = self.judge.counts.add(reason);
                    if count.is_power_of_two() {
                        refused(reason, from, count);
                    }
                }
            }
        }
    }
}

impl Judge {
    fn judge(&self, datagram: &[u8], from: SocketAddr, ends: &[PathEnd]) -> Result<(PathId, Beat), Refused> {
        let beat = beat::open(&self.key, &self.cluster, datagram).map_err(|error| match error {
            BeatError::Length { .. } => Refused::Length,
            BeatError::Version => Refused::Version,
            BeatError::NotAuthentic => Refused::NotAuthentic,
            BeatError::Malformed { .. } => Refused::Malformed,
        })?;
        if beat.from == self.me {
            return Err(Refused::OwnName);
        }
        if !self.members.contains(&beat.from) {
            return Err(Refused::Stranger);
        }
        let mut own = ends.iter().filter(|end| end.peer == beat.from);
        let (first, more) = (own.next().ok_or(Refused::WrongPath)?, own.next().is_some());
        if !more {
            // Only one path can be meant, whatever stands between (a translated address, a relay).
            return Ok((first.path, beat));
        }
        let exact = ends.iter().find(|end| end.peer == beat.from && end.remote == from);
        exact.map(|end| (end.path, beat)).ok_or(Refused::WrongPath)
    }
}
