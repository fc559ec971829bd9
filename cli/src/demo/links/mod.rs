//! The lab's cables: proxies between machines that can be cut, one direction at a time.
//!
//! Every connection between two machines of the lab goes through a proxy of this process, so that
//! cutting a cable is immediate and needs no rights. A *link* is two machines and a [`Kind`]; it
//! has two *lanes*, one per direction, and everything (cut, loss, delay) belongs to a lane.
//!
//! ```text
//!   n1 ──▶ [front] ══ lane n1→n2 ══▶ [back] ──▶ n2
//!      ◀── [front] ◀══ lane n2→n1 ══ [back] ◀──
//! ```
//!
//! What a cut does:
//! - **UDP**: the lane's packets are dropped, also those under way.
//! - **TCP and Unix streams**: the lane's bytes are held, and with them the end of the stream;
//!   nobody is told anything. The other lane goes on carrying what was sent on it. When the lane is
//!   healed the held bytes go on, as after a cut shorter than TCP's patience; [`Links::reset`]
//!   breaks the connections instead, as after a longer one.
//! - **New connections** need both lanes. The kernel completes the first handshake with the proxy,
//!   so `connect` returns; then nothing comes until both lanes are whole. It is never refused.
//!
//! Packet loss applies to UDP only: on a stream it would show as delay, which is set as such.
//! Everything random comes from the seed, per lane, so that a lane's fate does not depend on how
//! busy the others are.
//!
//! All methods may be called from any thread, but the ones that make a link need a tokio runtime.
//! Links end when [`Links`] is dropped.

mod lane;
mod seed;
mod stream;
mod udp;

pub use lane::{Noise, Tally};

use lane::{Lane, LaneView};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use stream::Target;
use tokio::net::{TcpListener, UdpSocket, UnixListener};
use tokio::task::JoinHandle;

#[cfg(test)]
mod tests;

/// What a link carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Heartbeats on one of several paths (UDP).
    Heartbeat(u8),
    /// gRPC between nodes (TCP).
    Peer,
    /// Replication of volumes (TCP).
    Replication,
    /// gRPC to the witness (TCP).
    Witness,
    /// The way to a machine's power switch (Unix socket or TCP).
    Power,
}

/// Which links between two machines.
#[derive(Clone, Copy, Debug)]
pub enum Kinds<'a> {
    /// All of them, also those that are made later.
    All,
    /// These.
    Only(&'a [Kind]),
}

impl Kinds<'_> {
    fn has(self, kind: Kind) -> bool {
        match self {
            Self::All => true,
            Self::Only(kinds) => kinds.contains(&kind),
        }
    }
}

/// One direction of a link.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LaneKey {
    from: String,
    to: String,
    kind: Kind,
}

/// What holds for lanes that do not exist yet.
#[derive(Debug, Default)]
struct Standing {
    /// Directions that are cut for all kinds.
    cut: BTreeSet<(String, String)>,
    /// Machines of which everything is cut.
    alone: BTreeSet<String>,
    noise: Noise,
}

#[derive(Debug, Default)]
struct Inner {
    lanes: BTreeMap<LaneKey, Lane>,
    standing: Standing,
    tasks: Vec<JoinHandle<()>>,
    sockets: Vec<PathBuf>,
}

/// All links of a lab.
#[derive(Debug)]
pub struct Links {
    seed: u64,
    inner: Mutex<Inner>,
}

impl Links {
    /// No links yet. Loss and jitter are drawn from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, inner: Mutex::default() }
    }

    /// A TCP link from `from` to `to`, which listens at `target`. Returns the address that `from`
    /// must connect to, on the loopback of the target's family.
    ///
    /// # Errors
    /// No socket is to be had.
    pub async fn tcp(&self, from: &str, to: &str, kind: Kind, target: SocketAddr) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(loopback_of(target)).await?;
        let front = listener.local_addr()?;
        let views = self.views(from, to, kind);
        self.keep(tokio::spawn(stream::serve_tcp(listener, Target::Tcp(target), views)));
        Ok(front)
    }

    /// A link over Unix sockets from `from` to `to`, which listens at `target`. `from` must connect
    /// to `front`; what was there is replaced, and removed at the end.
    ///
    /// # Errors
    /// `front` cannot be made.
    pub fn unix(&self, from: &str, to: &str, kind: Kind, target: &Path, front: &Path) -> io::Result<()> {
        match fs::remove_file(front) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let listener = UnixListener::bind(front)?;
        self.inner().sockets.push(front.to_owned());
        let views = self.views(from, to, kind);
        self.keep(tokio::spawn(stream::serve_unix(listener, Target::Unix(target.to_owned()), views)));
        Ok(())
    }

    /// A UDP link from `from` to `to`, which receives at `target`. Returns the address that `from`
    /// must send to. What `to` sends back to where a packet came from reaches the one that sent
    /// last, over the lane of the other direction.
    ///
    /// # Errors
    /// No socket is to be had.
    pub async fn udp(&self, from: &str, to: &str, kind: Kind, target: SocketAddr) -> io::Result<SocketAddr> {
        let front = UdpSocket::bind(loopback_of(target)).await?;
        let back = UdpSocket::bind(loopback_of(target)).await?;
        let address = front.local_addr()?;
        let views = self.views(from, to, kind);
        self.keep(tokio::spawn(udp::serve(front, back, target, views)));
        Ok(address)
    }

    /// Cuts one direction: what `from` sends to `to`.
    pub fn cut(&self, from: &str, to: &str, kinds: Kinds<'_>) {
        self.change(from, to, kinds, true);
    }

    /// Cuts both directions.
    pub fn cut_both(&self, one: &str, other: &str, kinds: Kinds<'_>) {
        self.cut(one, other, kinds);
        self.cut(other, one, kinds);
    }

    /// Heals one direction; held bytes go on. Does not undo [`Links::cut_all_of`].
    pub fn heal(&self, from: &str, to: &str, kinds: Kinds<'_>) {
        self.change(from, to, kinds, false);
    }

    /// Heals both directions.
    pub fn heal_both(&self, one: &str, other: &str, kinds: Kinds<'_>) {
        self.heal(one, other, kinds);
        self.heal(other, one, kinds);
    }

    /// Cuts every link from and to `machine`, also those that are made later.
    pub fn cut_all_of(&self, machine: &str) {
        let mut inner = self.inner();
        inner.standing.alone.insert(machine.to_owned());
        apply(&mut inner);
    }

    /// Undoes [`Links::cut_all_of`]. Directions that were cut by [`Links::cut`] stay cut.
    pub fn heal_all_of(&self, machine: &str) {
        let mut inner = self.inner();
        inner.standing.alone.remove(machine);
        apply(&mut inner);
    }

    /// Heals everything.
    pub fn heal_everything(&self) {
        let mut inner = self.inner();
        inner.standing.alone.clear();
        inner.standing.cut.clear();
        inner.lanes.values_mut().for_each(|lane| lane.cut_by_name = false);
        apply(&mut inner);
    }

    /// Breaks the connections of these links, in both directions, with a TCP reset.
    pub fn reset(&self, one: &str, other: &str, kinds: Kinds<'_>) {
        let inner = self.inner();
        for (key, lane) in &inner.lanes {
            let between = (key.from == one && key.to == other) || (key.from == other && key.to == one);
            if between && kinds.has(key.kind) {
                lane.reset();
            }
        }
    }

    /// Sets loss, delay and jitter of every lane, also of those that are made later.
    pub fn set_noise(&self, noise: Noise) {
        let mut inner = self.inner();
        inner.standing.noise = noise;
        inner.lanes.values_mut().for_each(|lane| lane.noise = noise);
        apply(&mut inner);
    }

    /// Sets loss, delay and jitter of one direction of links that exist.
    pub fn set_noise_on(&self, from: &str, to: &str, kinds: Kinds<'_>, noise: Noise) {
        let mut inner = self.inner();
        let lanes =
            inner.lanes.iter_mut().filter(|(key, _)| key.from == from && key.to == to && kinds.has(key.kind));
        lanes.for_each(|(_, lane)| lane.noise = noise);
        apply(&mut inner);
    }

    /// Whether what `from` sends to `to` over this kind of link is held or dropped now.
    #[must_use]
    pub fn is_cut(&self, from: &str, to: &str, kind: Kind) -> bool {
        let mut inner = self.inner();
        let key = LaneKey { from: from.to_owned(), to: to.to_owned(), kind };
        lane_of(&mut inner, key, self.seed).view().is_cut()
    }

    /// What has become of all packets (UDP) so far, on all lanes.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let inner = self.inner();
        inner.lanes.values().map(Lane::tally).fold(Tally::default(), |sum, lane| Tally {
            carried: sum.carried + lane.carried,
            lost: sum.lost + lane.lost,
            cut: sum.cut + lane.cut,
        })
    }

    fn change(&self, from: &str, to: &str, kinds: Kinds<'_>, cut: bool) {
        let mut inner = self.inner();
        match kinds {
            Kinds::All => {
                let direction = (from.to_owned(), to.to_owned());
                if cut {
                    inner.standing.cut.insert(direction);
                } else {
                    inner.standing.cut.remove(&direction);
                    let lanes = inner.lanes.iter_mut().filter(|(key, _)| key.from == from && key.to == to);
                    lanes.for_each(|(_, lane)| lane.cut_by_name = false);
                }
            }
            Kinds::Only(kinds) => {
                for kind in kinds {
                    let key = LaneKey { from: from.to_owned(), to: to.to_owned(), kind: *kind };
                    lane_of(&mut inner, key, self.seed).cut_by_name = cut;
                }
                // Healing a part of what was cut as a whole leaves the other parts cut.
                if !cut && inner.standing.cut.remove(&(from.to_owned(), to.to_owned())) {
                    let lanes = inner.lanes.iter_mut().filter(|(key, _)| key.from == from && key.to == to);
                    lanes.for_each(|(key, lane)| lane.cut_by_name = !kinds.contains(&key.kind));
                }
            }
        }
        apply(&mut inner);
    }

    /// The lanes there and back.
    fn views(&self, from: &str, to: &str, kind: Kind) -> [LaneView; 2] {
        let mut inner = self.inner();
        [(from, to), (to, from)].map(|(from, to)| {
            let key = LaneKey { from: from.to_owned(), to: to.to_owned(), kind };
            lane_of(&mut inner, key, self.seed).view()
        })
    }

    fn keep(&self, task: JoinHandle<()>) {
        self.inner().tasks.push(task);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Every change is whole by itself; a panic in between leaves nothing half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        let inner = self.inner();
        inner.tasks.iter().for_each(JoinHandle::abort);
        inner.sockets.iter().for_each(|path| {
            let _ = fs::remove_file(path);
        });
    }
}

fn lane_of(inner: &mut Inner, key: LaneKey, seed: u64) -> &mut Lane {
    let noise = inner.standing.noise;
    let standing = &inner.standing;
    inner.lanes.entry(key).or_insert_with_key(|key| {
        let mut lane = Lane::new(seed::of_lane(seed, &key.from, &key.to, key.kind), noise);
        lane.publish(is_cut_by_standing(standing, key));
        lane
    })
}

fn is_cut_by_standing(standing: &Standing, key: &LaneKey) -> bool {
    standing.alone.contains(&key.from)
        || standing.alone.contains(&key.to)
        || standing.cut.contains(&(key.from.clone(), key.to.clone()))
}

fn apply(inner: &mut Inner) {
    let Inner { lanes, standing, .. } = inner;
    for (key, lane) in lanes {
        lane.publish(is_cut_by_standing(standing, key));
    }
}

/// Any port on the loopback of the same family.
fn loopback_of(target: SocketAddr) -> SocketAddr {
    let ip = match target {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(ip, 0)
}
