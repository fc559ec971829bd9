//! `[[resource]]`: what runs above a volume.
//!
//! ```toml
//! [[resource]]
//! tag = "fs"
//! volume = "pg"                                   # it stands directly on this volume
//! kind = "command"
//! command.start = ["/usr/local/sbin/fs", "start"] # and stop, status
//! stop_timeout = "20s"                            # and start_timeout, monitor_timeout
//!
//! [[resource]]
//! tag = "ip"
//! after = ["fs"]                                  # it stands on these resources, all above one volume
//! kind = "command"
//! command.start = ["/usr/local/sbin/ip", "start"]
//! command.stop = ["/usr/local/sbin/ip", "stop"]
//! command.status = ["/usr/local/sbin/ip", "status"]
//! monitor_interval = "10s"                        # "0s": never
//! on_fail = "restart"                             # or fence, block, stop
//! start_on_fail = "block"                         # the same for a start, and monitor_on_fail for a look
//! fail_threshold = 3
//! fail_expiry = "10min"                           # "0s": failures are remembered until they are cleaned up
//!
//! [[resource]]
//! tag = "address"
//! after = ["fs"]
//! kind = "ocf:heartbeat:IPaddr2"                  # its program is below ocf_root, a key of the file as a whole
//! parameters = { ip = "192.0.2.10", cidr_netmask = "24" }
//! promotable = false                              # true: it is promoted when it was started
//! secrets = { password = "/etc/picket/ip.secret" } # parameters whose values stand in files
//!
//! [[resource]]
//! tag = "db"
//! after = ["fs"]
//! kind = "systemd:postgresql.service"             # asked for at systemd_bus, a key of the file as a whole
//! ```

use super::timing::{length, length_or_none};
use super::{Config, Volume};
use crate::resource::ocf::{Agent, ROOT};
use crate::resource::plan::{OnFail, Plan, RESOURCES_MAX, Rules};
use crate::resource::systemd::{BUS, Unit};
use core::time::Duration;
use picket_core::ids::{NodeId, VolumeId};
use picket_core::node::ANSWER_WITHIN;
use picket_host::config::{Reader, Table, Unique, integer, list_of, name, one_of, path, string};
use picket_host::process::KILL_WAIT_MAX;
use std::collections::BTreeMap;
use std::path::PathBuf;

mod agents;
mod kinds;
mod units;

/// A start, a stop and a look, unless the file says else.
const ACTION_TIMEOUT: Duration = Duration::from_secs(20);

/// How often a resource is looked at, unless the file says else.
const MONITOR_INTERVAL: Duration = Duration::from_secs(10);

/// How often a resource may fail until it is not restarted here, unless the file says else.
const THRESHOLD: u32 = 3;

/// What a stop of a tree takes besides its stops: a start or a look that is killed first, twice over.
const STOP_SLACK: Duration = KILL_WAIT_MAX.saturating_mul(2);

/// What runs above a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// What it is, for people: an address, a directory, a unit.
    pub id: String,
    /// What brings it into service.
    pub kind: ResourceKind,
    /// When, and what its failures lead to.
    pub rules: Rules,
}

/// What brings a resource into service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    /// A resource agent of the Open Cluster Framework.
    Ocf(Agent),
    /// A unit of systemd.
    Systemd(Unit),
    /// Programs of the user.
    Command(Service),
}

impl ResourceKind {
    /// What it is, for people.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::Ocf(agent) => agent.title(),
            Self::Systemd(unit) => unit.title(),
            Self::Command(_) => "command".to_owned(),
        }
    }
}

/// The programs of a resource, each with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Brings it into service; what it starts stays.
    pub start: Vec<String>,
    /// Takes it out of service.
    pub stop: Vec<String>,
    /// Exits with 0 when it is in service, with 3 when it is not.
    pub status: Vec<String>,
}

impl Config {
    /// How long the resources above a volume may take until the volume can be demoted.
    #[must_use]
    pub fn stop_within(&self, volume: VolumeId) -> Duration {
        if self.resources.get(&volume).is_none_or(Vec::is_empty) {
            return Duration::ZERO;
        }
        self.plan(volume).longest_stop() + STOP_SLACK
    }

    /// What runs above a volume: what stands on what, and the rules.
    #[must_use]
    pub fn plan(&self, volume: VolumeId) -> Plan {
        plan(self.resources.get(&volume).map_or(&[][..], Vec::as_slice))
    }
}

/// What the tables are read against.
pub(super) struct Around<'a> {
    pub(super) volumes: &'a BTreeMap<VolumeId, Volume>,
    pub(super) me: Option<NodeId>,
}

/// What the file as a whole says for resources.
struct Roots {
    /// Where agents are.
    agents: PathBuf,
    /// The bus of the service manager.
    bus: String,
}

/// One table, before it has a place.
struct Read<'d, 's> {
    table: Table<'d, 's>,
    tag: String,
    id: Option<String>,
    volume: Option<VolumeId>,
    after: Vec<String>,
    kind: Option<ResourceKind>,
    rules: Rules,
}

/// Reads all trees, each in an order in which it can be started.
pub(super) fn read(
    root: &Table<'_, '_>,
    around: &Around<'_>,
    warnings: &mut Vec<String>,
) -> BTreeMap<VolumeId, Vec<Resource>> {
    let mut tags = Unique::new();
    let roots = Roots {
        agents: root.or("ocf_root", path(), PathBuf::from(ROOT)),
        bus: root.or("systemd_bus", units::bus(), BUS.to_owned()),
    };
    let (mut asked, mut units) = (BTreeMap::new(), units::Asked::default());
    let mut all: Vec<Read<'_, '_>> = Vec::new();
    for table in root.tables("resource") {
        all.extend(resource(table, around, &roots, &mut tags));
    }
    let order = ordered(&all);
    let mut trees: BTreeMap<VolumeId, Vec<Resource>> = BTreeMap::new();
    let mut home: BTreeMap<&str, VolumeId> = BTreeMap::new();
    for read in order.iter().filter_map(|at| all.get(*at)) {
        let Some(volume) = volume_of(read, &home) else { continue };
        home.insert(&read.tag, volume);
        let tree = trees.entry(volume).or_default();
        let place = |needed: &String| tree.iter().position(|resource| resource.rules.tag == *needed);
        let needs = read.after.iter().filter_map(place).collect();
        if tree.len() == RESOURCES_MAX {
            read.table.wrong_table(
                format!("{} resources stand above this volume already", tree.len()),
                format!("at most {RESOURCES_MAX} above one volume"),
            );
        }
        let Some(kind) = read.kind.clone() else { continue };
        let mut rules = read.rules.clone();
        let members = around.volumes.get(&volume).map(|volume| &volume.members);
        let is_here = members.zip(around.me).is_none_or(|(members, me)| members.contains(&me));
        match &kind {
            ResourceKind::Ocf(agent) if is_here => {
                agents::check(&read.table, agent, &mut rules, &mut asked);
            }
            ResourceKind::Systemd(unit) if is_here => {
                units::check(&read.table, unit, &rules, &mut units, warnings);
            }
            ResourceKind::Ocf(_) | ResourceKind::Systemd(_) | ResourceKind::Command(_) => {}
        }
        let id = read.id.clone().unwrap_or_else(|| kind.title());
        tree.push(Resource { id, kind, rules: Rules { needs, ..rules } });
    }
    check_stops(&all, around, &trees, warnings);
    trees
}

fn plan(tree: &[Resource]) -> Plan {
    Plan::new(tree.iter().map(|resource| resource.rules.clone()).collect())
}

/// Tells of trees whose stop may outlast those who wait for it.
fn check_stops(
    all: &[Read<'_, '_>],
    around: &Around<'_>,
    trees: &BTreeMap<VolumeId, Vec<Resource>>,
    warnings: &mut Vec<String>,
) {
    for (id, tree) in trees {
        let Some(volume) = around.volumes.get(id) else { continue };
        let (stops, chain) = plan(tree).longest_chain();
        let whole = stops + STOP_SLACK + volume.demote_timeout;
        let is_here = around.me.is_none_or(|me| volume.members.contains(&me));
        let tags: Vec<&str> = chain
            .iter()
            .filter_map(|place| tree.get(*place))
            .map(|resource| resource.rules.tag.as_str())
            .collect();
        let top = all.iter().find(|read| tags.first() == Some(&read.tag.as_str()));
        if let Some(top) = top.filter(|_| is_here && whole > ANSWER_WITHIN) {
            warnings.push(format!(
                "line {}: stopping {} and demoting {} may take {whole:?}, and picket move and picket stop wait for \
                 {ANSWER_WITHIN:?}: lower stop_timeouts, or a lower demote_timeout",
                top.table.line_of("tag"),
                tags.join(", "),
                volume.name,
            ));
        }
    }
}

fn resource<'d, 's>(
    table: Table<'d, 's>,
    around: &Around<'_>,
    roots: &Roots,
    tags: &mut Unique,
) -> Option<Read<'d, 's>> {
    let tag = table.required("tag", name());
    tags.add(&table, "tag", tag.as_ref());
    if let Some(tag) = &tag
        && around.volumes.values().any(|volume| volume.name == *tag)
    {
        table.wrong(
            "tag",
            format!("{tag:?} is a volume's name"),
            "a name that neither a volume nor a resource has",
        );
    }
    let id = table.optional("id", string());
    let named = table.optional("volume", name());
    let volume = named.as_ref().and_then(|named| {
        let found = around.volumes.iter().find(|(_, volume)| volume.name == *named).map(|(id, _)| *id);
        // With no volume read at all, that is what is told.
        if found.is_none() && !around.volumes.is_empty() {
            table.wrong("volume", format!("{named:?} is no volume"), "the name of a [[volume]]");
        }
        found
    });
    let after = table.or("after", list_of(name()), Vec::new());
    if named.is_none() && after.is_empty() {
        table.wrong_table("it stands on nothing", "volume = \"…\" or after = [\"…\"]");
    }
    let kind = kinds::read(&table, roots);
    let rules = rules(&table, tag.clone().unwrap_or_default());
    Some(Read { table, tag: tag?, id, volume, after, kind, rules })
}

fn rules(table: &Table<'_, '_>, tag: String) -> Rules {
    let some = |length: Duration| Some(length).filter(|length| !length.is_zero());
    let on_fails = [
        ("restart", OnFail::Restart),
        ("fence", OnFail::Fence),
        ("block", OnFail::Block),
        ("stop", OnFail::Stop),
    ];
    let on_fail = table.or("on_fail", one_of(on_fails), OnFail::Restart);
    let of_stop = table.or("stop_on_fail", one_of(on_fails), OnFail::Fence);
    if of_stop != OnFail::Fence {
        let what = "what was not stopped may still run, so that nothing but a fence is of use";
        table.wrong("stop_on_fail", what, "\"fence\"");
    }
    Rules {
        tag,
        needs: Vec::new(),
        start_timeout: table.or("start_timeout", length(), ACTION_TIMEOUT),
        stop_timeout: table.or("stop_timeout", length(), ACTION_TIMEOUT),
        monitor_timeout: table.or("monitor_timeout", length(), ACTION_TIMEOUT),
        monitor_interval: some(table.or("monitor_interval", length_or_none(), MONITOR_INTERVAL)),
        on_fail: table.or("monitor_on_fail", one_of(on_fails), on_fail),
        on_start_fail: table.or("start_on_fail", one_of(on_fails), on_fail),
        threshold: table.or("fail_threshold", integer(1..=1_000_000_u32), THRESHOLD),
        expiry: some(table.or("fail_expiry", length_or_none(), Duration::ZERO)),
    }
}

pub(super) fn argv() -> Reader<Vec<String>> {
    list_of(string()).check("a program by its absolute path, and its arguments", |argv: Vec<String>| {
        match argv.first() {
            Some(program) if program.starts_with('/') => Ok(argv),
            Some(program) => Err(format!("{program:?} is not an absolute path")),
            None => Err("the list is empty".to_owned()),
        }
    })
}

/// The places of all tables, each after those that it needs. What is missing or goes in a circle is told, and left
/// out together with what stands on it.
fn ordered(all: &[Read<'_, '_>]) -> Vec<usize> {
    let mut order = Vec::new();
    let mut left: Vec<usize> = (0..all.len()).collect();
    let find = |tag: &String| all.iter().position(|read| read.tag == *tag);
    for read in all {
        for unknown in read.after.iter().filter(|tag| find(tag).is_none()) {
            read.table.wrong("after", format!("{unknown:?} is no resource"), "tags of [[resource]] tables");
        }
    }
    // Ends: each round places one at least, or is the last.
    loop {
        let (ready, rest): (Vec<usize>, Vec<usize>) = left.iter().partition(|at| {
            let after = all.get(**at).map_or(&[][..], |read| &read.after);
            after.iter().all(|tag| find(tag).is_some_and(|needed| order.contains(&needed)))
        });
        if ready.is_empty() {
            break;
        }
        order.extend(ready);
        left = rest;
    }
    for circle in circles(all, &left) {
        if let Some(read) = circle.first().and_then(|at| all.get(*at)) {
            let tags = circle.iter().chain(circle.first()).filter_map(|at| all.get(*at));
            let tags: Vec<&str> = tags.map(|read| read.tag.as_str()).collect();
            let what = format!("it needs itself: {}", tags.join(" after "));
            read.table.wrong("after", what, "resources that do not stand on each other in a circle");
        }
    }
    order
}

/// One circle for each group of resources that go in one, among those that cannot be placed.
fn circles(all: &[Read<'_, '_>], left: &[usize]) -> Vec<Vec<usize>> {
    let next = |at: usize| -> Option<usize> {
        let after = all.get(at).map_or(&[][..], |read| &read.after);
        after
            .iter()
            .find_map(|tag| left.iter().copied().find(|other| all.get(*other).is_some_and(|o| o.tag == *tag)))
    };
    let mut seen: Vec<usize> = Vec::new();
    let mut circles = Vec::new();
    for start in left {
        let mut way: Vec<usize> = Vec::new();
        let mut at = Some(*start);
        while let Some(place) = at.filter(|place| !seen.contains(place)) {
            seen.push(place);
            way.push(place);
            at = next(place);
        }
        if let Some(from) = at.and_then(|at| way.iter().position(|place| *place == at)) {
            circles.push(way.split_off(from));
        }
    }
    circles
}

/// The volume that a resource stands on: the one that it names, and that of everything that it needs.
fn volume_of(read: &Read<'_, '_>, home: &BTreeMap<&str, VolumeId>) -> Option<VolumeId> {
    let mut volume = read.volume;
    for needed in &read.after {
        let below = home.get(needed.as_str()).copied();
        match (volume, below) {
            (Some(own), Some(below)) if own != below => {
                let what = format!("{needed:?} stands on another volume");
                read.table.wrong("after", what, "resources above one volume");
                return None;
            }
            (None, below) => volume = below,
            (Some(_), _) => {}
        }
    }
    volume
}
