//! Configuration files.

use crate::must;
use crate::target::{Answer, Broken, Target};
use picket_core::ids::NodeSet;
use picket_core::topology::DeviceKind;
use picket_host::config::{Diagnostics, Source};
use std::collections::BTreeSet;

/// The witness's file.
pub const WITNESS: Target = Target {
    name: "witness-config",
    about: "witness.toml: every error has its line, what is wrong and what was expected; what passes is consistent",
    seeds: || {
        vec![include_bytes!("../../../packaging/examples/witness.toml").to_vec(), FULL.as_bytes().to_vec()]
    },
    words: WORDS,
    check: check_witness,
};

/// The node's file.
pub const NODE: Target = Target {
    name: "node-config",
    about: "picketd.toml: the same, and an agent's options are lines",
    seeds: || {
        vec![include_bytes!("../../../packaging/examples/picketd.toml").to_vec(), LAB.as_bytes().to_vec()]
    },
    words: WORDS,
    check: check_node,
};

const FULL: &str = r#"listen = "[::1]:7443"
state = "/s"
log = { detail = "debug", file = "/l" }
tls = { ca = "/a", cert = "/b", key = "/c" }
[lab]
[[cluster]]
name = "east"
profile = "lan-aggressive"
timing = { heartbeat = "20ms", misses = 3, lease = "300ms", no_watchdog = true, start_within = "1us" }
node = [{ name = "n1", id = 1 }, { name = "n16", id = 16 }]
volume = [{ name = "pg", id = 65535, members = ["n1"] }]
"#;

const LAB: &str = r#"[node]
name = "n1"
state_dir = "/lab/n1/state"
run_dir = "/lab/n1/run"
[cluster]
name = "east"
heartbeat_key = "/lab/heartbeat.key"
timing.lease = "2500ms"
[[member]]
name = "n1"
id = 1
peer_address = "127.0.0.1:7421"
[[member]]
name = "n2"
id = 2
peer_address = "[::1]:7422"
paths = [{ network = "hb0", local = "127.0.0.1:1", remote = "127.0.0.1:2" }]
[witness]
addresses = ["127.0.0.1:7443"]
[tls]
ca = "/lab/ca.pem"
cert = "/lab/n1.pem"
key = "/lab/n1.key"
[[volume]]
name = "data"
id = 1
driver = "command"
command = { promote = ["/p"], demote = ["/d"], status = ["/s"], timeout = "5s" }
[[fence.n2.level]]
kind = "meatware"
[lab]
boot_id_file = "/lab/n1/run/boot_id"
"#;

const WORDS: &[&str] = &[
    "[[",
    "]]",
    "[",
    "]",
    "{",
    "}",
    "=",
    "\"",
    "'",
    "\"\"\"",
    "#",
    "\n",
    ",",
    ".",
    "-",
    "_",
    "name",
    "id",
    "cluster",
    "node",
    "volume",
    "members",
    "member",
    "timing",
    "lease",
    "heartbeat",
    "guard",
    "watchdog",
    "fence",
    "level",
    "device",
    "agent",
    "kind",
    "\"gate\"",
    "\"meatware\"",
    "options",
    "secrets",
    "port",
    "\"100ms\"",
    "\"0s\"",
    "\"1h\"",
    "\"9999999h\"",
    "0",
    "1",
    "16",
    "17",
    "-1",
    "65536",
    "9223372036854775808",
    "0x10",
    "1_0",
    "nan",
    "inf",
    "true",
    "false",
    "1979-05-27",
    "\\u0000",
    "\\n",
    "lab",
    "driver",
    "\"command\"",
    "\"ledger\"",
    "profile",
    "\"wan\"",
    "\u{fc}",
    "\u{feff}",
    "\r\n",
    "alert",
    "quorum",
    "mode",
    "\"tcp_remote\"",
    "hosts",
    "log",
    "paths",
];

fn check_witness(input: &[u8]) -> Result<Answer, Broken> {
    let text = String::from_utf8_lossy(input);
    let config = match picket_witness::config::Config::parse(&Source::from_text("f.toml", text.clone())) {
        Ok(config) => config,
        Err(errors) => return told(&text, &errors),
    };
    must!(!config.clusters.is_empty(), "a witness without a cluster");
    let names: BTreeSet<_> = config.clusters.iter().map(|cluster| &cluster.name).collect();
    must!(names.len() == config.clusters.len(), "two clusters of one name");
    for cluster in &config.clusters {
        let broken = cluster.params.validate();
        must!(broken.is_ok(), "accepted timings break {broken:?}");
        let ids: BTreeSet<_> = cluster.nodes.iter().map(|node| node.id).collect();
        must!(ids.len() == cluster.nodes.len() && ids.len() == cluster.members().iter().count(), "{ids:?}");
        must!(ids.iter().all(|id| (1..=NodeSet::MAX_NODES).contains(&id.0)), "{ids:?}");
        for volume in &cluster.volumes {
            let is_inside = volume.members.is_subset(cluster.members()) && !volume.members.is_empty();
            must!(is_inside, "volume {} has the members {:?}", volume.name, volume.members);
        }
        let _ = cluster.digest();
    }
    Ok(Answer::new(format!("good: {} clusters, lab {}", config.clusters.len(), config.lab)))
}

fn check_node(input: &[u8]) -> Result<Answer, Broken> {
    let text = String::from_utf8_lossy(input);
    let config = match picket_node::config::Config::parse(&Source::from_text("f.toml", text.clone())) {
        Ok(config) => config,
        Err(errors) => return told(&text, &errors),
    };
    let broken = config.params.validate();
    must!(broken.is_ok(), "accepted timings break {broken:?}");
    must!(config.members.contains_key(&config.me), "node {} is no member", config.me);
    for (id, volume) in &config.volumes {
        let is_inside = volume.members.iter().all(|member| config.members.contains_key(member));
        must!(is_inside && !volume.members.is_empty(), "volume {id} has the members {:?}", volume.members);
    }
    for (target, levels) in &config.fencing {
        must!(*target != config.me, "the node fences itself");
        let devices = || levels.iter().flatten();
        must!(levels.iter().all(|level| !level.is_empty()), "a level without a device");
        must!(devices().any(|device| device.kind != DeviceKind::Gate), "nothing but gates");
        for device in devices() {
            let is_line = |text: &String| !text.contains(['\n', '\r', '\0']);
            let options = device.options.iter().all(|(key, value)| is_line(key) && is_line(value));
            must!(options, "an option is more than one line: {:?}", device.options);
            must!(
                device.secrets.keys().all(|key| is_line(key) && !key.contains('=')),
                "{:?}",
                device.secrets
            );
            must!(device.options.keys().all(|key| !key.contains('=')), "{:?}", device.options);
        }
    }
    let core = [config.core(true), config.core(false)];
    must!(core.iter().all(|core| core.me == config.me), "the core's node is another one");
    let _ = config.digest();
    Ok(Answer::new(format!("good: {} volumes, {} fenced", config.volumes.len(), config.fencing.len())))
}

/// What must hold for every list of errors.
fn told(text: &str, errors: &Diagnostics) -> Result<Answer, Broken> {
    let lines = text.matches('\n').count() + 1;
    let mut words = BTreeSet::new();
    must!(!errors.problems.is_empty(), "refused without a reason");
    for problem in &errors.problems {
        let shown = problem.to_string();
        must!((1..=lines).contains(&problem.line) && problem.column > 0, "no such place: {shown}");
        let line = text.split('\n').nth(problem.line - 1).unwrap_or_default();
        must!(problem.column <= line.chars().count() + 1, "column {} of {line:?}", problem.column);
        must!(!problem.what.is_empty() && !problem.expected.is_empty(), "half an error: {shown}");
        let is_plain = !shown.contains(|c: char| c.is_control());
        must!(is_plain, "an error that is more than a line of text: {shown:?}");
        words.insert(format!("{}; {}", problem.what, problem.expected.chars().take(40).collect::<String>()));
    }
    let places: Vec<_> = errors.problems.iter().map(|problem| (problem.line, problem.column)).collect();
    must!(places.is_sorted(), "not in the order of the file: {places:?}");
    Ok(Answer::all(&words))
}
