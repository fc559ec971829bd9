//! `[[member]]`: who belongs to the cluster, and how this node reaches each.

use super::{HeartbeatPath, Member};
use picket_core::ids::{NodeId, NodeSet};
use picket_host::config::{Table, Unique, host_port, integer, name, socket_address, string};
use std::collections::BTreeMap;

/// Paths to one peer: more would only send the same heartbeat more often.
const PATHS_MAX: usize = 8;

/// Reads all members; `me` is this node's name.
pub(super) fn read(
    root: &Table<'_, '_>,
    me: Option<&str>,
    warnings: &mut Vec<String>,
) -> Option<BTreeMap<NodeId, Member>> {
    let (mut names, mut ids) = (Unique::new(), Unique::new());
    let tables = root.tables_required("member");
    if tables.len() > usize::from(NodeSet::MAX_NODES) {
        let what = format!("{} members", tables.len());
        root.wrong("member", what, format!("at most {}", NodeSet::MAX_NODES));
    }
    let mut read = Vec::new();
    for table in &tables {
        let member_name = table.required("name", name());
        let id = table.required("id", integer(1..=NodeSet::MAX_NODES));
        let peer_address = table.required("peer_address", host_port());
        let site = table.or("site", string(), String::new());
        names.add(table, "name", member_name.as_ref());
        ids.add(table, "id", id.as_ref());
        read.push((table, member_name, id, peer_address, site));
    }
    // Without this node among them nobody knows which of them needs no paths; that is told elsewhere.
    let is_here = read.iter().any(|(_, name, ..)| name.as_deref() == me);
    let mut members = BTreeMap::new();
    for (table, member_name, id, peer_address, site) in read {
        let is_me = member_name.as_deref() == me || !is_here && !table.has("paths");
        let paths = paths(table, is_me, member_name.as_deref(), warnings);
        let member = (|| {
            Some((
                NodeId(id?),
                Member { name: member_name?, site, peer_address: peer_address?, paths: paths? },
            ))
        })();
        members.extend(member);
    }
    (!members.is_empty() && members.len() == tables.len()).then_some(members)
}

fn paths(
    member: &Table<'_, '_>,
    is_me: bool,
    peer: Option<&str>,
    warnings: &mut Vec<String>,
) -> Option<Vec<HeartbeatPath>> {
    let tables = member.tables("paths");
    if is_me {
        if member.has("paths") {
            member.wrong(
                "paths",
                "there are paths from this node to itself",
                "paths of the other members only",
            );
        }
        return Some(Vec::new());
    }
    if tables.is_empty() {
        member.wrong("paths", "no heartbeat path leads there", "two paths or more");
        return None;
    }
    if tables.len() > PATHS_MAX {
        member.wrong("paths", format!("{} paths", tables.len()), format!("at most {PATHS_MAX}"));
    }
    if let (1, Some(peer)) = (tables.len(), peer) {
        warnings.push(format!("only one heartbeat path leads to {peer}; one broken cable makes it silent"));
    }
    let mut networks = Unique::new();
    let mut ends: Vec<HeartbeatPath> = Vec::new();
    for (table, number) in tables.iter().zip(1_u32..) {
        let network = table.required("network", name());
        networks.add(table, "network", network.as_ref());
        let local = table.required("local", socket_address());
        let remote = table.required("remote", socket_address());
        let prio = table.or("prio", integer(1..=99_u32), number);
        let Some((network, (local, remote))) = network.zip(local.zip(remote)) else { continue };
        if local.is_ipv4() != remote.is_ipv4() {
            table.wrong(
                "remote",
                format!("{remote} cannot be reached from {local}"),
                "two addresses of one family",
            );
        }
        for (key, address) in [("local", local), ("remote", remote)] {
            if address.port() == 0 || key == "remote" && address.ip().is_unspecified() {
                table.wrong(key, format!("{address} is not one place"), "an address with a port");
            }
        }
        if ends.iter().any(|other| other.local == local && other.remote == remote) {
            table.wrong_table(format!("{local} to {remote} is there already"), "different paths");
        }
        ends.push(HeartbeatPath { network, local, remote, prio });
    }
    (ends.len() == tables.len()).then_some(ends)
}
