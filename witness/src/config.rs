//! The configuration file: read whole before a port is bound, every error told at once with its place.
//!
//! ```toml
//! listen = "0.0.0.0:7410"
//! state = "/var/lib/picket-witness"
//!
//! [tls]
//! ca = "/etc/picket/ca.pem"
//! cert = "/etc/picket/witness.pem"
//! key = "/etc/picket/witness.key"
//!
//! [[cluster]]
//! name = "east"
//! profile = "fast"             # or lan-aggressive, wan, slow-watchdog
//! # timing.lease = "2500ms"    # a profile's timing may be changed; the inequalities must hold
//! node = [{ name = "n1", id = 1 }, { name = "n2", id = 2 }]
//! volume = [{ name = "pg", id = 1, members = ["n1", "n2"] }]
//! ```

use core::net::SocketAddr;
use core::time::Duration;
use picket_core::error::Names;
use picket_core::ids::{ConfigDigest, NodeId, NodeSet, VolumeId};
use picket_core::params::{Params, Profile};
use picket_host::config::{
    Diagnostics, Source, Table, Unique, integer, list_of, name, one_of, path, socket_address,
};
use picket_host::logging::{Detail, Output};
use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;
mod timing;

/// What the witness was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its store's directory; nothing else may work on it.
    pub state: PathBuf,
    /// Whom it believes and who it is.
    pub tls: Tls,
    /// How it logs.
    pub log: Log,
    /// Under `[lab]`: nothing real is protected, and status says so.
    pub lab: bool,
    /// Whom it serves, in the order of the file.
    pub clusters: Vec<Cluster>,
}

/// The files of its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate authorities of the clusters, PEM.
    pub ca: PathBuf,
    /// Its own certificate, PEM.
    pub cert: PathBuf,
    /// The private key of that certificate, PEM.
    pub key: PathBuf,
}

/// How it logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// How much.
    pub detail: Detail,
    /// Where to.
    pub output: Output,
}

/// One cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its name, as its certificates have it.
    pub name: String,
    /// The timings' profile, before what was changed.
    pub profile: Profile,
    /// The timings; every inequality holds.
    pub params: Params,
    /// The members, in the order of the file.
    pub nodes: Vec<Node>,
    /// The volumes, in the order of the file.
    pub volumes: Vec<Volume>,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its number.
    pub id: NodeId,
    /// Its name, as its certificate has it.
    pub name: String,
}

/// One volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its number.
    pub id: VolumeId,
    /// Its name.
    pub name: String,
    /// Who has a replica.
    pub members: NodeSet,
}

impl Cluster {
    /// The fingerprint that every node of the cluster must come to as well.
    #[must_use]
    pub fn digest(&self) -> ConfigDigest {
        let members: Vec<_> = self.nodes.iter().map(|node| (node.id, node.name.as_str())).collect();
        let volumes: Vec<_> = self
            .volumes
            .iter()
            .map(|volume| picket_proto::Volume { id: volume.id, name: &volume.name, members: volume.members })
            .collect();
        picket_proto::digest(&members, &volumes, &self.params)
    }

    /// The member of that name.
    #[must_use]
    pub fn node_named(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().find(|node| node.name == name).map(|node| node.id)
    }

    /// The name of a member; its number if it is none.
    #[must_use]
    pub fn node_name(&self, id: NodeId) -> String {
        self.nodes.iter().find(|node| node.id == id).map_or_else(|| id.to_string(), |node| node.name.clone())
    }

    /// The names of a set of members, in the order of their numbers.
    #[must_use]
    pub fn node_names(&self, set: NodeSet) -> Vec<String> {
        set.iter().map(|id| self.node_name(id)).collect()
    }

    /// Every member.
    #[must_use]
    pub fn members(&self) -> NodeSet {
        self.nodes.iter().map(|node| node.id).collect()
    }
}

impl Names for Cluster {
    fn node(&self, id: NodeId) -> String {
        self.node_name(id)
    }

    fn volume(&self, id: VolumeId) -> String {
        let found = self.volumes.iter().find(|volume| volume.id == id);
        found.map_or_else(|| format!("volume {id}"), |volume| volume.name.clone())
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(path: &Path) -> Result<Self, Diagnostics> {
        Self::parse(&Source::read(path)?)
    }

    /// Reads a text.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(source: &Source) -> Result<Self, Diagnostics> {
        let document = source.document();
        let root = document.root();
        let listen = root.required("listen", socket_address());
        let state = root.required("state", path());
        let tls = root.table_required("tls").and_then(|table| tls(&table));
        let log = log(&root);
        let lab = root.table("lab").is_some();
        let mut names = Unique::new();
        let clusters: Option<Vec<Cluster>> = root
            .tables_required("cluster")
            .iter()
            .map(|table| cluster(table, &mut names))
            // Every table is read, also after a wrong one.
            .collect::<Vec<_>>()
            .into_iter()
            .collect();
        let config =
            (|| Some(Self { listen: listen?, state: state?, tls: tls?, log, lab, clusters: clusters? }))();
        document.finish(config)
    }
}

fn tls(table: &Table<'_, '_>) -> Option<Tls> {
    let ca = table.required("ca", path());
    let cert = table.required("cert", path());
    let key = table.required("key", path());
    Some(Tls { ca: ca?, cert: cert?, key: key? })
}

fn log(root: &Table<'_, '_>) -> Log {
    let mut log = Log { detail: Detail::Normal, output: Output::Stderr };
    if let Some(table) = root.table("log") {
        let details = [
            ("quiet", Detail::Quiet),
            ("normal", Detail::Normal),
            ("debug", Detail::Debug),
            ("trace", Detail::Trace),
        ];
        log.detail = table.or("detail", one_of(details), log.detail);
        log.output = table.optional("file", path()).map_or(Output::Stderr, Output::File);
    }
    log
}

fn cluster(table: &Table<'_, '_>, names: &mut Unique) -> Option<Cluster> {
    let cluster_name = table.required("name", name());
    names.add(table, "name", cluster_name.as_ref());
    let profiles = Profile::ALL.map(|profile| (profile.name(), profile));
    let profile = table.or("profile", one_of(profiles), Profile::Fast);
    let params = timing::read(table, profile);
    let nodes = nodes(table);
    let volumes = volumes(table, &nodes);
    Some(Cluster { name: cluster_name?, profile, params: params?, nodes: nodes.read?, volumes: volumes? })
}

/// The nodes as far as they could be read: what stands elsewhere about a name is judged although its id is wrong.
struct Nodes {
    read: Option<Vec<Node>>,
    names: Option<Vec<String>>,
}

fn nodes(table: &Table<'_, '_>) -> Nodes {
    let (mut names, mut ids) = (Unique::new(), Unique::new());
    let tables = table.tables_required("node");
    if tables.len() > usize::from(NodeSet::MAX_NODES) {
        let what = format!("{} nodes", tables.len());
        table.wrong("node", what, format!("at most {}", NodeSet::MAX_NODES));
    }
    let mut nodes = Vec::new();
    let mut known = Vec::new();
    for node in &tables {
        let node_name = node.required("name", name());
        let id = node.required("id", integer(1..=NodeSet::MAX_NODES));
        names.add(node, "name", node_name.as_ref());
        ids.add(node, "id", id.as_ref());
        known.extend(node_name.clone());
        nodes.extend(node_name.zip(id).map(|(name, id)| Node { id: NodeId(id), name }));
    }
    let each_once =
        |node: &Node| nodes.iter().filter(|it| it.id == node.id || it.name == node.name).count() == 1;
    let whole = !nodes.is_empty() && nodes.len() == tables.len() && nodes.iter().all(each_once);
    let names = (!known.is_empty() && known.len() == tables.len()).then_some(known);
    Nodes { read: whole.then_some(nodes), names }
}

fn volumes(table: &Table<'_, '_>, nodes: &Nodes) -> Option<Vec<Volume>> {
    let (mut names, mut ids) = (Unique::new(), Unique::new());
    let tables = table.tables_required("volume");
    if tables.len() > picket_proto::VOLUMES_MAX {
        let what = format!("{} volumes", tables.len());
        table.wrong("volume", what, format!("at most {}", picket_proto::VOLUMES_MAX));
    }
    let mut volumes = Vec::new();
    for volume in &tables {
        let volume_name = volume.required("name", name());
        let id = volume.required("id", integer(1..=u16::MAX));
        names.add(volume, "name", volume_name.as_ref());
        ids.add(volume, "id", id.as_ref());
        let members = members(volume, nodes);
        let read = (|| Some(Volume { id: VolumeId(id?), name: volume_name?, members: members? }))();
        volumes.extend(read);
    }
    (!volumes.is_empty() && volumes.len() == tables.len()).then_some(volumes)
}

/// The members of a volume; absent: every node.
fn members(volume: &Table<'_, '_>, nodes: &Nodes) -> Option<NodeSet> {
    if !volume.has("members") {
        return nodes.read.as_ref().map(|nodes| nodes.iter().map(|node| node.id).collect());
    }
    let listed = volume.required("members", list_of(name()))?;
    if listed.is_empty() {
        volume.wrong("members", "no node is listed", "at least one");
    }
    for (at, name) in listed.iter().enumerate() {
        if nodes.names.as_ref().is_some_and(|names| !names.contains(name)) {
            volume.wrong("members", format!("{name:?} is no node of this cluster"), "names of its nodes");
        } else if listed[..at].contains(name) {
            volume.wrong("members", format!("{name:?} is listed twice"), "each node once");
        }
    }
    let nodes = nodes.read.as_ref()?;
    Some(nodes.iter().filter(|node| listed.contains(&node.name)).map(|node| node.id).collect())
}

/// The longest time that anything configured may last: an hour is far beyond every sensible timing.
const TIMING_MAX: Duration = Duration::from_secs(3600);
