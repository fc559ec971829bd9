//! `[volume.postgresql]`: where a PostgreSQL server is, and how the replicas reach each other.

use super::timing::length;
use super::{Member, VolumeDriver};
use core::time::Duration;
use picket_core::ids::NodeId;
use picket_host::config::{HostPort, Reader, Table, Unique, host_port, integer, name, one_of, path, string};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How often the server is asked for what PostgreSQL tells nobody of: replicas that come.
const MONITOR_INTERVAL: Duration = Duration::from_millis(250);

/// After this time without a word a replica, or its holder, is gone. Below the two seconds that failing over takes.
const REPLICATION_TIMEOUT: Duration = Duration::from_secs(2);

/// A PostgreSQL server and its replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgreSql {
    /// The data directory.
    pub data_directory: PathBuf,
    /// Where `postgres`, `pg_ctl`, `pg_rewind`, `pg_basebackup`, `pg_controldata` and `psql` are.
    pub bin_directory: PathBuf,
    /// The user's configuration; what is needed here is put on top of it.
    pub config_file: PathBuf,
    /// Where the server's socket is.
    pub socket_directory: PathBuf,
    /// The server's port, which also names its socket.
    pub port: u16,
    /// The user of the system that runs the server.
    pub os_user: String,
    /// The superuser of the database that picketd is on the socket.
    pub user: String,
    /// What the server prints.
    pub log_file: PathBuf,
    /// Where each replica's server is reached by the others.
    pub addresses: BTreeMap<NodeId, HostPort>,
    /// The role that replicates.
    pub replication_user: String,
    /// Its password, in PostgreSQL's own form of such files.
    pub passfile: Option<PathBuf>,
    /// More words for the connection of a replica, for example for TLS.
    pub connection_options: BTreeMap<String, String>,
    /// How often the server is asked.
    pub monitor_interval: Duration,
    /// How long silence may last between a replica and its holder.
    pub replication_timeout: Duration,
    /// What is done with a replica that cannot follow.
    pub rejoin: Rejoin,
}

/// What is done with a replica that holds writes that its holder does not have, or that fell too far behind. Such
/// writes were never acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejoin {
    /// It is rewound; where that cannot be done it is copied anew.
    Clone,
    /// It is rewound; where that cannot be done a person must help.
    Rewind,
    /// A person must help.
    Manual,
}

pub(super) fn read(
    table: &Table<'_, '_>,
    members: &BTreeMap<NodeId, Member>,
    replicas: Option<&[NodeId]>,
) -> Option<VolumeDriver> {
    let data_directory = table.required("data_directory", plain_path());
    let bin_directory = table.required("bin_directory", plain_path());
    let config_file = table.optional("config_file", plain_path());
    let socket_directory = table.or("socket_directory", plain_path(), PathBuf::from("/var/run/postgresql"));
    let port = table.or("port", integer(1..=u16::MAX), 5432);
    let os_user = table.or("os_user", name(), "postgres".to_owned());
    let user = table.or("user", name(), "postgres".to_owned());
    let log_file = table.or("log_file", plain_path(), PathBuf::from("/var/log/postgresql/picket.log"));
    let replication_user = table.required("replication_user", name());
    let passfile = table.optional("passfile", plain_path());
    let monitor_interval = table.or("monitor_interval", length(), MONITOR_INTERVAL);
    let replication_timeout = table.or("replication_timeout", length(), REPLICATION_TIMEOUT);
    let rejoins = [("clone", Rejoin::Clone), ("rewind", Rejoin::Rewind), ("manual", Rejoin::Manual)];
    let rejoin = table.or("rejoin", one_of(rejoins), Rejoin::Clone);
    let connection_options = connection_options(table);
    let addresses = addresses(table, members, replicas);
    let data_directory = data_directory?;
    Some(VolumeDriver::PostgreSql(Box::new(PostgreSql {
        config_file: config_file.unwrap_or_else(|| data_directory.join("postgresql.conf")),
        data_directory,
        bin_directory: bin_directory?,
        socket_directory,
        port,
        os_user,
        user,
        log_file,
        addresses: addresses?,
        replication_user: replication_user?,
        passfile,
        connection_options,
        monitor_interval,
        replication_timeout,
        rejoin,
    })))
}

/// These paths stand in a server's configuration and pass a shell on their way there.
fn plain_path() -> Reader<PathBuf> {
    path().check("an absolute path of letters, digits, and any of /._-+@", |path| {
        let text = path.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
        if text.chars().all(plain) { Ok(path) } else { Err(format!("found {text:?}")) }
    })
}

/// Words that the driver gives itself, or that would put a secret where others can read it.
const OWN_WORDS: [&str; 9] =
    ["host", "hostaddr", "port", "user", "password", "dbname", "application_name", "passfile", "replication"];

fn connection_options(table: &Table<'_, '_>) -> BTreeMap<String, String> {
    let Some(options) = table.table("connection_options") else { return BTreeMap::new() };
    let mut read = BTreeMap::new();
    for key in options.keys() {
        let value = options.required(&key, string());
        if OWN_WORDS.contains(&key.as_str()) {
            let expected = "sslmode, sslrootcert and the like; a password stands in passfile";
            options.wrong(&key, "the driver gives that itself", expected);
        } else if !key.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
            options.wrong(&key, "no word of a connection", "sslmode, sslrootcert and the like");
        }
        read.extend(value.map(|value| (key, value)));
    }
    read
}

fn addresses(
    table: &Table<'_, '_>,
    members: &BTreeMap<NodeId, Member>,
    replicas: Option<&[NodeId]>,
) -> Option<BTreeMap<NodeId, HostPort>> {
    let listed = table.tables_required("replica");
    let mut nodes = Unique::new();
    let mut addresses = BTreeMap::new();
    for replica in &listed {
        let node = replica.required("node", name());
        nodes.add(replica, "node", node.as_ref());
        let address = replica.required("address", host_port());
        let Some(node) = node else { continue };
        let found = members.iter().find(|(id, member)| {
            member.name == node && replicas.is_none_or(|replicas| replicas.contains(id))
        });
        match found {
            Some((id, _)) => addresses.extend(address.map(|address| (*id, address))),
            None if members.is_empty() => {}
            None => {
                replica.wrong("node", format!("{node:?} has no replica"), "names of the volume's members")
            }
        }
    }
    let lacks = |id: &&NodeId| !addresses.contains_key(*id);
    if let Some(id) = replicas.unwrap_or_default().iter().find(lacks).filter(|_| !listed.is_empty()) {
        let name = members.get(id).map(|member| member.name.clone()).unwrap_or_default();
        table.wrong("replica", format!("none for {name}"), "one for each of the volume's members");
        return None;
    }
    (addresses.len() == listed.len() && !listed.is_empty()).then_some(addresses)
}
