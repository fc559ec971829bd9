//! The outermost tables, and what must fit between them.

use super::fencing::{self, Agents};
use super::timing::{self, length, length_or_none};
use super::{
    Alert, Asked, Config, Control, Log, OnStop, Quorum, Tls, Witness, conditions, machine, members,
    resources, volumes,
};
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use picket_core::params::Profile;
use picket_core::quorum::QuorumMode;
use picket_host::config::{
    Diagnostics, HostPort, Source, Table, host_port, list_of, name, one_of, path, string,
};
use picket_host::logging::{Detail, Output};
use std::path::{Path, PathBuf};

/// How long a machine that has just booted waits for all members, unless the file says else.
const COLD_START: Duration = Duration::from_secs(60);

/// How often fence devices are tested, unless the file says else; `0s` is never.
const TEST_INTERVAL: Duration = Duration::from_secs(600);

/// How long an alert's program may run, unless the file says else.
const ALERT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where agents are installed, unless the file says else.
const AGENT_DIRS: [&str; 4] = ["/usr/sbin", "/usr/local/sbin", "/usr/lib/picket", "/sbin"];

pub(super) fn parse(source: &Source) -> Result<Config, Diagnostics> {
    let document = source.document();
    let config = config(&document.root());
    document.finish(config)
}

fn config(root: &Table<'_, '_>) -> Option<Config> {
    let mut warnings = Vec::new();
    let lab = machine::lab(root);
    let is_lab = root.has("lab");
    let node = root.table_required("node").map(|table| node(&table, is_lab, &mut warnings));
    let me_name = node.as_ref().and_then(|node| node.name.clone());
    let members = members::read(root, me_name.as_deref(), &mut warnings);
    let known = members.clone().unwrap_or_default();
    let me = known.iter().find(|(_, member)| Some(&member.name) == me_name.as_ref()).map(|(id, _)| *id);
    if let (Some(table), Some(name), None, Some(_)) = (root.table("node"), &me_name, me, &members) {
        table.wrong("name", format!("{name:?} is no member"), "the name of a [[member]]");
    }
    let cluster = root.table_required("cluster").map(|table| cluster(&table));
    let params = cluster.as_ref().and_then(|cluster| cluster.params);
    let watchdog = machine::watchdog(root, params.as_ref(), is_lab, &mut warnings);
    let witness = root.table_required("witness").and_then(|table| witness(&table));
    let tls = root.table_required("tls").and_then(|table| tls(&table));
    let volumes = volumes::read(root, &known);
    let own = volumes.clone().unwrap_or_default();
    let resources = resources::read(root, &resources::Around { volumes: &own, me }, &mut warnings);
    let conditions = conditions::read(root, &own);
    let dirs = AGENT_DIRS.iter().map(PathBuf::from).collect();
    let agent_dirs = root.or("agent_dirs", list_of(path()), dirs);
    let start_within = params.map(|params| params.start_within);
    let agents = Agents { dirs: &agent_dirs, lab: is_lab, start_within };
    let fencing = fencing::read(root, &known, me, &agents, &mut warnings);
    let alert = root.table("alert").map(|table| alert(&table));
    let log = log(root);
    let listen = me.and_then(|me| known.get(&me)).map(|member| listen(root, &member.peer_address));
    let (node, cluster) = (node?, cluster?);
    Some(Config {
        name: node.name?,
        me: me?,
        cluster: cluster.name?,
        profile: cluster.profile,
        params: cluster.params?,
        heartbeat_key: cluster.heartbeat_key?,
        cold_start: cluster.cold_start,
        quorum: cluster.quorum?,
        members: members?,
        listen: listen??,
        witness: witness?,
        tls: tls?,
        state_dir: node.state_dir,
        run_dir: node.run_dir,
        control: node.control,
        watchdog: watchdog?,
        pause_visible: node.pause_visible,
        volumes: volumes?,
        resources,
        conditions,
        fencing,
        on_stop: node.on_stop,
        test_interval: node.test_interval,
        agent_dirs,
        alert: alert.flatten(),
        log,
        lab: lab?,
        warnings,
    })
}

struct NodeTable {
    name: Option<String>,
    state_dir: PathBuf,
    run_dir: PathBuf,
    control: Control,
    pause_visible: bool,
    on_stop: OnStop,
    test_interval: Option<Duration>,
}

fn node(table: &Table<'_, '_>, lab: bool, warnings: &mut Vec<String>) -> NodeTable {
    let node_name = table.required("name", name());
    let state_dir = table.or("state_dir", path(), PathBuf::from("/var/lib/picket"));
    let run_dir = table.or("run_dir", path(), PathBuf::from("/run/picket"));
    if !lab && !run_dir.starts_with("/run") {
        let what = format!("{} outlives a boot of the machine", run_dir.display());
        table.wrong("run_dir", what, "a directory below /run, or a [lab]");
    }
    if run_dir == state_dir {
        table.wrong("state_dir", "it is the run directory too", "two directories");
    }
    let socket = table.or("control_socket", path(), run_dir.join("picketd.sock"));
    let group = table.optional("control_group", string());
    let pause_visible = machine::pause_visible(table, lab, warnings);
    let interval = table.or("fence_test_interval", length_or_none(), TEST_INTERVAL);
    let test_interval = Some(interval).filter(|interval| !interval.is_zero());
    let control = Control { socket, group };
    let stops = [OnStop::SwitchOver, OnStop::Stay].map(|stop| (stop.word(), stop));
    let on_stop = table.or("on_stop", one_of(stops), OnStop::default());
    NodeTable { name: node_name, state_dir, run_dir, control, pause_visible, on_stop, test_interval }
}

struct ClusterTable {
    name: Option<String>,
    profile: Profile,
    params: Option<picket_core::params::Params>,
    heartbeat_key: Option<PathBuf>,
    cold_start: Duration,
    quorum: Option<Quorum>,
}

fn cluster(table: &Table<'_, '_>) -> ClusterTable {
    let profiles = Profile::ALL.map(|profile| (profile.name(), profile));
    let profile = table.or("profile", one_of(profiles), Profile::Fast);
    ClusterTable {
        name: table.required("name", name()),
        profile,
        params: timing::read(table, profile),
        heartbeat_key: table.required("heartbeat_key", path()),
        cold_start: table.or("cold_start_timeout", length_or_none(), COLD_START),
        quorum: quorum(table),
    }
}

fn quorum(table: &Table<'_, '_>) -> Option<Quorum> {
    let modes = [
        ("majority", QuorumMode::Majority),
        ("tcp_remote", QuorumMode::TcpRemote),
        ("storage", QuorumMode::Storage),
        ("none", QuorumMode::None),
    ];
    let mode = table.or("quorum", one_of(modes), QuorumMode::Majority);
    let none = Quorum {
        mode,
        asked: Asked::Hosts(Vec::new()),
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
    };
    let kinds =
        [("tcp_remote", QuorumMode::TcpRemote, "hosts"), ("storage", QuorumMode::Storage, "directories")];
    let mut quorum = Some(none.clone());
    for (key, of, list) in kinds {
        let asked = table.table(key);
        match asked {
            Some(asked) if mode == of => quorum = ask_for(&asked, list, none.clone()),
            Some(asked) => {
                // One error is enough: its keys are known, and of no use.
                asked.keys().iter().for_each(|key| _ = asked.has(key));
                table.wrong(
                    key,
                    format!("{list} are listed that nobody asks"),
                    format!("quorum = \"{key}\""),
                );
                quorum = None;
            }
            None if mode == of => {
                let expected = format!("a table [cluster.{key}] with {list}");
                table.wrong("quorum", format!("no {list} are listed"), expected);
                quorum = None;
            }
            None => {}
        }
    }
    quorum
}

fn ask_for(table: &Table<'_, '_>, list: &str, none: Quorum) -> Option<Quorum> {
    let asked = if none.mode == QuorumMode::Storage {
        table.required(list, list_of(path())).map(Asked::Directories)
    } else {
        table.required(list, list_of(host_port())).map(Asked::Hosts)
    };
    if asked.as_ref().is_some_and(Asked::is_empty) {
        table.wrong(list, "none is listed", "at least one");
    }
    let interval = table.or("interval", length(), none.interval);
    let timeout = table.or("timeout", length(), none.timeout);
    Some(Quorum { asked: asked?, interval, timeout, ..none })
}

fn witness(table: &Table<'_, '_>) -> Option<Witness> {
    let addresses = table.required("addresses", list_of(host_port()));
    if addresses.as_ref().is_some_and(Vec::is_empty) {
        table.wrong("addresses", "no address is listed", "at least one");
    }
    let server_name = table.optional("server_name", name());
    Some(Witness { addresses: addresses?, server_name })
}

fn tls(table: &Table<'_, '_>) -> Option<Tls> {
    let ca = table.required("ca", path());
    let cert = table.required("cert", path());
    let key = table.required("key", path());
    Some(Tls { ca: ca?, cert: cert?, key: key? })
}

fn alert(table: &Table<'_, '_>) -> Option<Alert> {
    let command = table.required(
        "command",
        list_of(string()).check("a program by its absolute path, and its arguments", |argv: Vec<String>| {
            match argv.first() {
                Some(program) if Path::new(program).is_absolute() => Ok(argv),
                Some(program) => Err(format!("{program:?} is not an absolute path")),
                None => Err("the list is empty".to_owned()),
            }
        }),
    );
    let events = table.or(
        "events",
        list_of(string().check("the name of an event", |event| {
            let known = crate::event::ALL.iter().any(|code| code.name == event);
            if known { Ok(event) } else { Err(format!("no event is called {event:?}")) }
        })),
        Vec::new(),
    );
    let timeout = table.or("timeout", length(), ALERT_TIMEOUT);
    Some(Alert { command: command?, events, timeout })
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

/// Where this node listens: its own address among the members, or `listen` if that is a name or another machine's.
fn listen(root: &Table<'_, '_>, own: &HostPort) -> Option<SocketAddr> {
    if let Some(given) = root.optional("listen", picket_host::config::socket_address()) {
        return Some(given);
    }
    match own.host.parse::<IpAddr>() {
        Ok(address) => Some(SocketAddr::new(address, own.port)),
        Err(_) => {
            let what = format!("this node's own peer_address {own} is a name");
            root.wrong("listen", what, "listen = \"<IP address>:<port>\", where this node listens");
            None
        }
    }
}
