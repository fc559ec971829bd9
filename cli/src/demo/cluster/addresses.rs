//! Who listens where.
//!
//! Every lab takes a /24 of its own out of 127.0.0.0/8, all of which is loopback on Linux: `127.a.b.<node>`. So
//! ports are fixed and can be written into configurations before anybody listens, and several labs run side by
//! side. A socket that is kept bound marks the net as taken.
//!
//! Machines in places of their own have the addresses of those, and the same ports.

use super::error::LabError;
use super::spec::Place;
use super::{WITNESS, node_name};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

/// The host number that marks a net as taken.
const MARK: u8 = 254;
/// The host number of the witness.
const WITNESS_HOST: u8 = 200;
const MARK_PORT: u16 = 7400;
const HEARTBEAT_PORT: u16 = 7410;
const PEER_PORT: u16 = 7420;
const WITNESS_PORT: u16 = 7443;
const VOLUME_PORT: u16 = 7500;

/// How many nets are tried: with a thousand labs running, ten tries would still fail only once in a quintillion.
const TRIES_MAX: usize = 10;

/// Who listens where in one lab.
#[derive(Debug)]
pub(super) enum Net {
    /// A net of its own on loopback.
    Loopback {
        /// The second and third number of its addresses.
        prefix: [u8; 2],
        /// Marks it as taken.
        _mark: TcpListener,
    },
    /// Machines in places of their own.
    Placed(BTreeMap<String, Place>),
}

impl Net {
    pub(super) fn of(places: &BTreeMap<String, Place>) -> Result<Self, LabError> {
        if places.is_empty() { Self::take() } else { Ok(Self::Placed(places.clone())) }
    }

    pub(super) fn take() -> Result<Self, LabError> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for _ in 0..TRIES_MAX {
            let mut random = [0_u8; 2];
            getrandom::fill(&mut random)
                .map_err(|error| LabError::net("draw an address")(io::Error::other(error.to_string())))?;
            // 127.0.x.x is where people's own services are, and where the cables' proxies listen.
            let prefix = [random[0].max(1), random[1]];
            match TcpListener::bind(at(prefix, MARK, MARK_PORT)) {
                Ok(mark) => return Ok(Self::Loopback { prefix, _mark: mark }),
                Err(error) => last = error,
            }
        }
        Err(LabError::net("find a free net in 127.0.0.0/8")(last))
    }

    /// Where a node has this port, in this network.
    fn node(&self, number: usize, network: usize, port: u16) -> SocketAddr {
        match self {
            // The spec allows 16 nodes.
            Self::Loopback { prefix, .. } => at(*prefix, u8::try_from(number).unwrap_or(u8::MAX), port),
            Self::Placed(places) => placed(places, &node_name(number), network, port),
        }
    }

    pub(super) fn heartbeat(&self, number: usize, path: u8) -> SocketAddr {
        self.node(number, usize::from(path), HEARTBEAT_PORT + u16::from(path))
    }

    pub(super) fn peer(&self, number: usize) -> SocketAddr {
        self.node(number, 0, PEER_PORT)
    }

    /// Where the observer reaches the witness.
    pub(super) fn witness(&self) -> SocketAddr {
        match self {
            Self::Loopback { prefix, .. } => at(*prefix, WITNESS_HOST, WITNESS_PORT),
            Self::Placed(places) => SocketAddr::new(desk(places, WITNESS), WITNESS_PORT),
        }
    }

    /// Where nodes reach it: one address a network.
    pub(super) fn witness_networks(&self) -> Vec<SocketAddr> {
        match self {
            Self::Loopback { .. } => vec![self.witness()],
            Self::Placed(places) => {
                let networks = places.get(WITNESS).map_or(0, |place| place.networks.len());
                (0..networks).map(|network| placed(places, WITNESS, network, WITNESS_PORT)).collect()
            }
        }
    }

    /// Where it listens: in all of them.
    pub(super) fn witness_listens(&self) -> SocketAddr {
        match self {
            Self::Loopback { .. } => self.witness(),
            Self::Placed(_) => SocketAddr::new(unspecified(self.witness().ip()), WITNESS_PORT),
        }
    }

    /// Where clients of a volume come; `volume` counts from 0.
    pub(super) fn clients(&self, number: usize, volume: usize) -> SocketAddr {
        let port = VOLUME_PORT + 2 * port_of(volume);
        match self {
            Self::Loopback { .. } => self.node(number, 0, port),
            Self::Placed(places) => SocketAddr::new(desk(places, &node_name(number)), port),
        }
    }

    /// Where the other replicas of a volume come; `volume` counts from 0.
    pub(super) fn replication(&self, number: usize, volume: usize) -> SocketAddr {
        self.node(number, 0, VOLUME_PORT + 2 * port_of(volume) + 1)
    }
}

fn port_of(volume: usize) -> u16 {
    // The spec allows 100 volumes.
    u16::try_from(volume).unwrap_or(0)
}

fn at(prefix: [u8; 2], host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, prefix[0], prefix[1], host)), port)
}

fn placed(places: &BTreeMap<String, Place>, name: &str, network: usize, port: u16) -> SocketAddr {
    let networks = places.get(name).map_or(&[][..], |place| &place.networks);
    // More paths than networks share them; the spec refuses a place without one.
    let ip = networks.get(network % networks.len().max(1)).copied();
    SocketAddr::new(ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), port)
}

fn desk(places: &BTreeMap<String, Place>, name: &str) -> IpAddr {
    places.get(name).map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |place| place.desk)
}

const fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}
