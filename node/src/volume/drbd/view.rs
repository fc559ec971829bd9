//! What the kernel has told of one resource so far, and what that means.
//!
//! ```text
//! exists … exists -      the full state; nothing is believed before its end
//! create, change         more of it, or other values
//! destroy                what it names is gone
//! ```
//! The stream ends with its program. A new one begins with a new, empty view: what was known may be over.

use super::events::{Line, Object, Verb};
use picket_core::node::Role;
use std::collections::BTreeMap;

/// One resource, as the kernel tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The full state has been told.
    pub whole: bool,
    /// The resource is configured in the kernel.
    pub exists: bool,
    role: String,
    suspended: String,
    /// Its volumes by number.
    pub disks: BTreeMap<u32, Disk>,
    /// Its connections by the peer.
    pub peers: BTreeMap<Key, Peer>,
}

/// What names a connection: the peer's node number, which with DRBD 8.4, that has one connection at most, is always the same.
/// Not its name as well: 8.4 tells none while the connection stands alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(pub String);

/// A local disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// The device's number.
    pub minor: Option<u32>,
    /// DRBD's word: `UpToDate`, `Consistent`, `Inconsistent`, `Outdated`, `Diskless`, …
    pub state: String,
}

/// A connection and what is at its other end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// The peer's name in the configuration; DRBD 8.4 does not know it and tells none, or "peer".
    pub name: Option<String>,
    /// DRBD's word: `Connected`, `Connecting`, `StandAlone`, …
    pub connection: String,
    /// The peer's role.
    pub role: String,
    /// The peer's disks by volume: state, replication, and how much of a resync is done.
    pub disks: BTreeMap<u32, PeerDisk>,
}

/// A peer's disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerDisk {
    /// DRBD's word, as for a local disk.
    pub state: String,
    /// `Established`, `SyncSource`, `SyncTarget`, `Off`, …
    pub replication: String,
    /// Per cent of a resync, as it is printed.
    pub done: Option<String>,
}

impl View {
    /// Takes a line about `resource`; whether something changed.
    pub fn take(&mut self, resource: &str, line: &Line) -> bool {
        if line.object == Object::End {
            return !core::mem::replace(&mut self.whole, true);
        }
        if line.word("name") != Some(resource) || line.verb == Verb::Helper {
            return false;
        }
        let before = self.clone();
        match line.object {
            Object::Resource => self.take_resource(line),
            Object::Connection => self.take_connection(line),
            Object::Device => self.take_device(line),
            Object::PeerDevice => self.take_peer_device(line),
            Object::Path | Object::Helper | Object::End => {}
        }
        before != *self
    }

    fn take_resource(&mut self, line: &Line) {
        if line.verb == Verb::Destroy {
            *self = Self { whole: self.whole, ..Self::default() };
            return;
        }
        self.exists = true;
        set(&mut self.role, line.word("role"));
        set(&mut self.suspended, line.word("suspended"));
    }

    fn take_connection(&mut self, line: &Line) {
        let key = key(line);
        if line.verb == Verb::Destroy {
            self.peers.remove(&key);
            return;
        }
        let peer = self.peers.entry(key).or_default();
        if let Some(name) = line.word("conn-name").filter(|name| !name.is_empty()) {
            peer.name = Some(name.to_owned());
        }
        set(&mut peer.connection, line.word("connection"));
        set(&mut peer.role, line.word("role"));
    }

    fn take_device(&mut self, line: &Line) {
        let Some(volume) = line.number("volume") else { return };
        if line.verb == Verb::Destroy {
            self.disks.remove(&volume);
            return;
        }
        let disk = self.disks.entry(volume).or_default();
        disk.minor = line.number("minor").or(disk.minor);
        set(&mut disk.state, line.word("disk"));
    }

    fn take_peer_device(&mut self, line: &Line) {
        let Some(volume) = line.number("volume") else { return };
        // Its connection was told as gone before: 8.4 goes on telling what its handler says of the peer's disk.
        let Some(peer) = self.peers.get_mut(&key(line)) else { return };
        if line.verb == Verb::Destroy {
            peer.disks.remove(&volume);
            return;
        }
        let disk = peer.disks.entry(volume).or_default();
        set(&mut disk.state, line.word("peer-disk"));
        if line.word("replication").is_some_and(|word| word != disk.replication) {
            disk.done = None; // that was of another resync
        }
        set(&mut disk.replication, line.word("replication"));
        if let Some(done) = line.word("done") {
            disk.done = Some(done.to_owned());
        }
    }

    /// The role; Unknown until the full state was told. A resource that is not configured cannot be written.
    #[must_use]
    pub fn role(&self) -> Role {
        match (self.whole, self.exists, self.role.as_str()) {
            (true, true, "Primary") => Role::Primary,
            (true, true, "Secondary") | (true, false, _) => Role::Secondary,
            _ => Role::Unknown,
        }
    }

    /// Whether I/O is suspended by an administrator's word.
    #[must_use]
    pub fn suspended_by_user(&self) -> bool {
        self.suspended.split(',').any(|why| why == "user")
    }

    /// Whether I/O is suspended until a handler or a connection settles what became of a peer.
    #[must_use]
    pub fn suspended_by_fencing(&self) -> bool {
        self.suspended.split(',').any(|why| why == "fencing")
    }

    /// Whether I/O is suspended for any reason.
    #[must_use]
    pub fn suspended(&self) -> bool {
        !matches!(self.suspended.as_str(), "" | "no")
    }

    /// The minor of the resource's one volume; none: not configured, or several.
    #[must_use]
    pub fn minor(&self) -> Option<u32> {
        let mut disks = self.disks.values();
        let only = disks.next()?;
        if disks.next().is_some() { None } else { only.minor }
    }

    /// Whether the local disk may have all of its data. `Consistent` is what a disk is that was up to date and has
    /// met no peer since: whether others went on without it is the witness's to know.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.disks.is_empty()
            && self.disks.values().all(|disk| matches!(disk.state.as_str(), "UpToDate" | "Consistent"))
    }

    /// Whether a replica, here or there, is being brought in sync.
    #[must_use]
    pub fn is_resyncing(&self) -> bool {
        self.resyncs().next().is_some()
    }

    /// How many per cent of it are done, where the kernel tells that by itself (8.4 does not).
    #[must_use]
    pub fn resynced(&self) -> Option<u32> {
        self.resyncs().filter_map(|disk| percent(disk.done.as_deref()?)).min()
    }

    fn resyncs(&self) -> impl Iterator<Item = &PeerDisk> {
        let words = ["SyncSource", "SyncTarget", "PausedSyncS", "PausedSyncT"];
        let disks = self.peers.values().flat_map(|peer| peer.disks.values());
        disks.filter(move |disk| words.contains(&disk.replication.as_str()))
    }

    /// Whether the local disk has all of its data and can be read.
    #[must_use]
    pub fn is_up_to_date(&self) -> bool {
        !self.disks.is_empty() && self.disks.values().all(|disk| disk.state == "UpToDate")
    }
}

impl Peer {
    /// The connection carries writes.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connection == "Connected"
    }

    /// Every write reaches its disk, which has all those before.
    #[must_use]
    pub fn is_up_to_date(&self) -> bool {
        let good = |disk: &PeerDisk| disk.state == "UpToDate" && disk.replication == "Established";
        self.is_connected() && !self.disks.is_empty() && self.disks.values().all(good)
    }

    /// It has no disk that could follow, although it is connected.
    #[must_use]
    pub fn has_lost_its_disk(&self) -> bool {
        self.disks.values().any(|disk| matches!(disk.state.as_str(), "Diskless" | "Detaching" | "Failed"))
    }
}

/// How far a resync is by what `drbdadm status` prints: the least of its `done:12.34`.
#[must_use]
pub fn done(status: &str) -> Option<u32> {
    status.split_ascii_whitespace().filter_map(|word| percent(word.strip_prefix("done:")?)).min()
}

/// Whole per cent: 100 only when all is done.
fn percent(text: &str) -> Option<u32> {
    let digits = text.split('.').next().filter(|whole| whole.bytes().all(|digit| digit.is_ascii_digit()));
    digits?.parse().ok().filter(|percent| *percent <= 100)
}

fn key(line: &Line) -> Key {
    Key(line.word("peer-node-id").or(line.word("conn-name")).unwrap_or_default().to_owned())
}

fn set(field: &mut String, value: Option<&str>) {
    if let Some(value) = value {
        value.clone_into(field);
    }
}
