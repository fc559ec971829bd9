//! `[[volume]]`: what is replicated, what drives it, and what happens when authority over it is lost.

use super::timing::length;
use super::{Commands, Member, Volume, VolumeDriver, drbd, postgresql};
use core::time::Duration;
use picket_core::ids::{NodeId, VolumeId};
use picket_core::node::{Barrier, LossAction};
use picket_host::config::{Table, Unique, integer, list_of, name, one_of, path, string};
use std::collections::BTreeMap;

/// Promote and demote, unless the file says else.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// Status, freeze and the like, unless the file says else: shorter than the core waits for them.
const SHORT_TIMEOUT: Duration = Duration::from_secs(3);

/// How often a status program runs, unless the file says else.
const MONITOR_INTERVAL: Duration = Duration::from_secs(2);

/// Reads all volumes.
pub(super) fn read(
    root: &Table<'_, '_>,
    members: &BTreeMap<NodeId, Member>,
) -> Option<BTreeMap<VolumeId, Volume>> {
    let (mut names, mut ids) = (Unique::new(), Unique::new());
    let tables = root.tables_required("volume");
    if tables.len() > picket_proto::VOLUMES_MAX {
        let what = format!("{} volumes", tables.len());
        root.wrong("volume", what, format!("at most {}", picket_proto::VOLUMES_MAX));
    }
    let mut volumes = BTreeMap::new();
    for table in &tables {
        let id = table.required("id", integer(1..=u16::MAX));
        ids.add(table, "id", id.as_ref());
        let read = volume(table, members, &mut names);
        volumes.extend(id.map(VolumeId).zip(read));
    }
    (!volumes.is_empty() && volumes.len() == tables.len()).then_some(volumes)
}

fn volume(table: &Table<'_, '_>, members: &BTreeMap<NodeId, Member>, names: &mut Unique) -> Option<Volume> {
    let volume_name = table.required("name", name());
    names.add(table, "name", volume_name.as_ref());
    let replicas = replicas(table, members);
    let driver = driver(table, members, replicas.as_deref());
    let own = match &driver {
        Some(VolumeDriver::Ledger { .. } | VolumeDriver::Drbd(_) | VolumeDriver::PostgreSql(_)) => {
            Barrier::Replication
        }
        Some(VolumeDriver::Command(_)) | None => Barrier::None,
    };
    let barriers = [("replication", Barrier::Replication), ("none", Barrier::None)];
    let barrier = table.or("barrier", one_of(barriers), own);
    check_barrier(table, driver.as_ref(), barrier);
    let actions = [
        ("freeze", LossAction::Freeze),
        ("osu", LossAction::Osu),
        ("fastboot", LossAction::Fastboot),
        ("fastkill", LossAction::Fastkill),
    ];
    let loss_action = table.or("loss_action", one_of(actions), LossAction::Fastboot);
    if loss_action == LossAction::Freeze && !can_freeze(driver.as_ref()) {
        table.wrong(
            "loss_action",
            "the volume cannot be frozen",
            "command.freeze and command.thaw, or another action",
        );
    }
    let pauses = [("refuse", false), ("barrier-suffices", true)];
    let barrier_suffices = table.or("vm_pause", one_of(pauses), false);
    if barrier_suffices && barrier != Barrier::Replication {
        table.wrong(
            "vm_pause",
            "the volume has no barrier in its replication, so a machine that was paused could complete a write",
            "\"refuse\", or barrier = \"replication\"",
        );
    }
    if barrier_suffices && matches!(driver, Some(VolumeDriver::PostgreSql(_))) {
        let what = "a commit that does not wait for the replicas would pass PostgreSQL's barrier";
        table.wrong("vm_pause", what, "\"refuse\"");
    }
    let demote_timeout = table.or("demote_timeout", length(), COMMAND_TIMEOUT);
    let promote_timeout = table.or("promote_timeout", length(), COMMAND_TIMEOUT);
    Some(Volume {
        name: volume_name?,
        members: replicas?,
        driver: driver?,
        loss_action,
        barrier,
        barrier_suffices,
        demote_timeout,
        promote_timeout,
    })
}

fn can_freeze(driver: Option<&VolumeDriver>) -> bool {
    match driver {
        Some(VolumeDriver::Command(commands)) => commands.freeze.is_some() && commands.thaw.is_some(),
        Some(VolumeDriver::Ledger { .. } | VolumeDriver::Drbd(_) | VolumeDriver::PostgreSql(_)) | None => {
            true
        }
    }
}

/// A barrier that nothing makes is refused.
fn check_barrier(table: &Table<'_, '_>, driver: Option<&VolumeDriver>, barrier: Barrier) {
    let Some(VolumeDriver::Command(commands)) = driver else { return };
    let complete =
        commands.drop_peer.is_some() && commands.require_peer.is_some() && commands.freeze.is_some();
    if barrier == Barrier::Replication && !complete {
        table.wrong(
            "barrier",
            "a barrier is declared and the programs that move it are missing",
            "command.freeze, command.drop_peer and command.require_peer, or barrier = \"none\" (exclusive only)",
        );
    }
}

/// The members of a volume in the order of preference; absent: every node.
fn replicas(table: &Table<'_, '_>, members: &BTreeMap<NodeId, Member>) -> Option<Vec<NodeId>> {
    if !table.has("members") {
        return Some(members.keys().copied().collect());
    }
    let listed = table.required("members", list_of(name()))?;
    let mut replicas = Vec::new();
    for name in &listed {
        match members.iter().find(|(_, member)| member.name == *name) {
            Some((id, _)) if replicas.contains(id) => {
                table.wrong("members", format!("{name:?} is listed twice"), "each member once");
            }
            Some((id, _)) => replicas.push(*id),
            // With no member read at all, that is what is told.
            None if members.is_empty() => {}
            None => table.wrong("members", format!("{name:?} is no member"), "names of members"),
        }
    }
    if listed.is_empty() {
        table.wrong("members", "no node is listed", "at least one");
    }
    Some(replicas)
}

fn driver(
    table: &Table<'_, '_>,
    members: &BTreeMap<NodeId, Member>,
    replicas: Option<&[NodeId]>,
) -> Option<VolumeDriver> {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Ledger,
        Command,
        Drbd,
        PostgreSql,
    }
    let kinds = [
        ("ledger", Kind::Ledger),
        ("command", Kind::Command),
        ("drbd", Kind::Drbd),
        ("postgresql", Kind::PostgreSql),
    ];
    let kind = table.required("driver", one_of(kinds))?;
    for (other, _) in kinds.iter().filter(|(word, other)| *other != kind && table.has(word)) {
        table.wrong(other, "it belongs to another driver", "only the table of the driver that is named");
    }
    match kind {
        Kind::Ledger => {
            let ledger = table.table_required("ledger")?;
            Some(VolumeDriver::Ledger { socket: ledger.required("socket", path())? })
        }
        Kind::Command => commands(&table.table_required("command")?),
        Kind::Drbd => drbd::read(&table.table_required("drbd")?),
        Kind::PostgreSql => postgresql::read(&table.table_required("postgresql")?, members, replicas),
    }
}

fn commands(table: &Table<'_, '_>) -> Option<VolumeDriver> {
    let argv = || {
        list_of(string()).check("a program by its absolute path, and its arguments", |argv: Vec<String>| {
            match argv.first() {
                Some(program) if program.starts_with('/') => Ok(argv),
                Some(program) => Err(format!("{program:?} is not an absolute path")),
                None => Err("the list is empty".to_owned()),
            }
        })
    };
    let promote = table.required("promote", argv());
    let demote = table.required("demote", argv());
    let status = table.required("status", argv());
    let freeze = table.optional("freeze", argv());
    let thaw = table.optional("thaw", argv());
    if table.has("freeze") != table.has("thaw") {
        table.wrong_table("one of freeze and thaw is given", "both or none");
    }
    let drop_peer = table.optional("drop_peer", argv());
    let require_peer = table.optional("require_peer", argv());
    let monitor_interval = table.or("monitor_interval", length(), MONITOR_INTERVAL);
    let timeout = table.or("timeout", length(), SHORT_TIMEOUT);
    Some(VolumeDriver::Command(Box::new(Commands {
        promote: promote?,
        demote: demote?,
        freeze,
        thaw,
        status: status?,
        drop_peer,
        require_peer,
        monitor_interval,
        timeout,
    })))
}
