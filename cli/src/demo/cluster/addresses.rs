//! Who listens where.
//!
//! Every lab takes a /24 of its own out of 127.0.0.0/8, all of which is loopback on Linux: `127.a.b.<node>`. So
//! ports are fixed and can be written into configurations before anybody listens, and several labs run side by
//! side. A socket that is kept bound marks the net as taken.

use super::error::LabError;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

/// The host number that marks a net as taken.
const MARK: u8 = 254;
/// The host number of the witness.
const WITNESS: u8 = 200;
const MARK_PORT: u16 = 7400;
const HEARTBEAT_PORT: u16 = 7410;
const PEER_PORT: u16 = 7420;
const WITNESS_PORT: u16 = 7443;
const VOLUME_PORT: u16 = 7500;

/// How many nets are tried: with a thousand labs running, ten tries would still fail only once in a quintillion.
const TRIES_MAX: usize = 10;

/// A net of its own.
#[derive(Debug)]
pub(super) struct Net {
    prefix: [u8; 2],
    _mark: TcpListener,
}

impl Net {
    pub(super) fn take() -> Result<Self, LabError> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for _ in 0..TRIES_MAX {
            let mut random = [0_u8; 2];
            getrandom::fill(&mut random)
                .map_err(|error| LabError::net("draw an address")(io::Error::other(error.to_string())))?;
            // 127.0.x.x is where people's own services are, and where the cables' proxies listen.
            let prefix = [random[0].max(1), random[1]];
            match TcpListener::bind(at(prefix, MARK, MARK_PORT)) {
                Ok(mark) => return Ok(Self { prefix, _mark: mark }),
                Err(error) => last = error,
            }
        }
        Err(LabError::net("find a free net in 127.0.0.0/8")(last))
    }

    fn node(&self, number: usize, port: u16) -> SocketAddr {
        // The spec allows 16 nodes.
        at(self.prefix, u8::try_from(number).unwrap_or(u8::MAX), port)
    }

    pub(super) fn heartbeat(&self, number: usize, path: u8) -> SocketAddr {
        self.node(number, HEARTBEAT_PORT + u16::from(path))
    }

    pub(super) fn peer(&self, number: usize) -> SocketAddr {
        self.node(number, PEER_PORT)
    }

    pub(super) fn witness(&self) -> SocketAddr {
        at(self.prefix, WITNESS, WITNESS_PORT)
    }

    /// Where clients of a volume come; `volume` counts from 0.
    pub(super) fn clients(&self, number: usize, volume: usize) -> SocketAddr {
        self.node(number, VOLUME_PORT + 2 * port_of(volume))
    }

    /// Where the other replicas of a volume come; `volume` counts from 0.
    pub(super) fn replication(&self, number: usize, volume: usize) -> SocketAddr {
        self.node(number, VOLUME_PORT + 2 * port_of(volume) + 1)
    }
}

fn port_of(volume: usize) -> u16 {
    // The spec allows 100 volumes.
    u16::try_from(volume).unwrap_or(0)
}

fn at(prefix: [u8; 2], host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, prefix[0], prefix[1], host)), port)
}
