//! Every kind of fault that a configuration can have, with what is told of it.

use super::{LAB, changed, parse};
use crate::testing;

const LEDGER: &str = "driver = \"ledger\"\nledger.socket = \"/lab/n1/ledger.sock\"";
const COMMAND: &str =
    "driver = \"command\"\n[volume.command]\npromote = [\"/p\"]\ndemote = [\"/d\"]\nstatus = [\"/s\"]\n";
const POSTGRESQL: &str = "driver = \"postgresql\"\n[volume.postgresql]\ndata_directory = \"/pg/data\"\n\
    bin_directory = \"/pg/bin\"\nreplication_user = \"picket\"\n\
    replica = [{ node = \"n1\", address = \"10.0.0.1:5432\" }, { node = \"n2\", address = \"10.0.0.2:5432\" }, \
    { node = \"n3\", address = \"10.0.0.3:5432\" }]\n";
const EAST: &str = "name = \"east\"";
const PATH: &str = "{ network = \"hb0\", local = \"127.0.0.1:7102\", remote = \"127.0.0.1:7202\" }";

fn members(count: u8) -> String {
    let member = |id| {
        format!(
            "[[member]]\nname = \"m{id}\"\nid = {id}\npeer_address = \"127.0.0.1:74{id}\"\npaths = [{{ network = \"a\", local = \"127.0.0.1:1{id}\", remote = \"127.0.0.1:2{id}\" }}]\n"
        )
    };
    (4..4 + count).map(member).collect()
}

/// What is replaced in the good file, and by what.
fn cases() -> Vec<(&'static str, String)> {
    [members_and_paths(), cluster_and_node(), volumes(), postgresql(), fencing(), the_rest()].concat()
}

fn members_and_paths() -> Vec<(&'static str, String)> {
    vec![
        ("name = \"n2\"\nid = 2", "name = \"n2\"\nid = 0".into()),
        ("name = \"n2\"\nid = 2", "name = \"n2\"\nid = 17".into()),
        ("name = \"n2\"\nid = 2", "name = \"n2\"\nid = \"two\"".into()),
        ("name = \"n2\"\nid = 2", "name = \"n2\"".into()),
        ("name = \"n2\"\nid = 2", "name = \"n2\"\nid = 1".into()),
        ("name = \"n2\"\nid = 2", "name = \"n1\"\nid = 2".into()),
        ("name = \"n2\"\nid = 2", "name = \"n 2\"\nid = 2".into()),
        ("name = \"n2\"\nid = 2", "name = \"n2\"\nname = \"n2\"\nid = 2".into()),
        ("name = \"n2\"\nid = 2", "name = \"n2\nid = 2".into()),
        ("127.0.0.1:7422", "127.0.0.1".into()),
        ("127.0.0.1:7422", "127.0.0.1:0".into()),
        ("127.0.0.1:7422", "127.0.0.1:70000".into()),
        ("127.0.0.1:7421", "host.example:7421".into()),
        (PATH, format!("{PATH},\n  {PATH}")),
        (
            PATH,
            (0..9)
                .map(|n| {
                    format!(
                        "{{ network = \"x{n}\", local = \"127.0.0.1:5{n}\", remote = \"127.0.0.1:6{n}\" }}"
                    )
                })
                .collect::<Vec<_>>()
                .join(",\n"),
        ),
        (PATH, PATH.replace("7102\"", "7102\", prio = 900")),
        ("[[volume]]", format!("{}[[volume]]", members(14))),
    ]
}

fn cluster_and_node() -> Vec<(&'static str, String)> {
    vec![
        ("state_dir = \"/lab/n1/state\"", "state_dir = \"lab/n1/state\"".into()),
        ("state_dir = \"/lab/n1/state\"", "state_dir = \"/lab/n1/run\"".into()),
        ("state_dir = \"/lab/n1/state\"", "state_dir = 7".into()),
        ("state_dir = \"/lab/n1/state\"", "state_dir = \"/lab/n1/state\"\nstatedir = \"/x\"".into()),
        ("[cluster]\nname = \"east\"\nheartbeat_key = \"/lab/heartbeat.key\"", String::new()),
        (EAST, format!("{EAST}\nprofile = \"quick\"")),
        (EAST, format!("{EAST}\ncold_start_timeout = \"soon\"")),
        (EAST, format!("{EAST}\ncold_start_timeout = \"2h\"")),
        (EAST, format!("{EAST}\ncold_start_timeout = 5")),
        (EAST, format!("{EAST}\ntcp_remote = {{ hosts = [\"192.0.2.1:7\"] }}")),
        (EAST, format!("{EAST}\nquorum = \"tcp_remote\"\ntcp_remote = {{ hosts = [] }}")),
        (EAST, format!("{EAST}\nquorum = \"storage\"\nstorage = {{ directories = [] }}")),
        (EAST, format!("{EAST}\nquorum = \"storage\"\nstorage = {{ directories = [\"mnt/a\"] }}")),
        (EAST, format!("{EAST}\nquorum = \"storage\"\nstorage = {{ hosts = [\"192.0.2.1:7\"] }}")),
        (EAST, format!("{EAST}\ntiming.pet = \"10ms\"\nprofile = \"lan-aggressive\"")),
        (EAST, format!("{EAST}\ntiming.misses = 1")),
        (EAST, format!("{EAST}\ntiming.heartbeet = \"1s\"")),
        ("addresses = [\"127.0.0.1:7443\"]", "addresses = []".into()),
        ("addresses = [\"127.0.0.1:7443\"]", "addresses = \"127.0.0.1:7443\"".into()),
        ("addresses = [\"127.0.0.1:7443\"]", "addresses = [\"w1\"]".into()),
        ("ca = \"/lab/ca.pem\"", String::new()),
    ]
}

fn volumes() -> Vec<(&'static str, String)> {
    vec![
        (LEDGER, format!("{LEDGER}\nmembers = []")),
        (LEDGER, format!("{LEDGER}\nmembers = [\"n1\", \"n1\"]")),
        (LEDGER, "driver = \"tape\"".into()),
        (LEDGER, "driver = \"ledger\"".into()),
        (LEDGER, format!("{LEDGER}\n[volume.command]\npromote = [\"/p\"]\n")),
        (LEDGER, format!("{COMMAND}freeze = [\"/f\"]\n")),
        (LEDGER, COMMAND.replace("promote = [\"/p\"]", "promote = []")),
        (LEDGER, COMMAND.replace("promote = [\"/p\"]", "promote = \"/p\"")),
        (LEDGER, format!("{LEDGER}\ndemote_timeout = \"0s\"")),
        ("[[volume]]\nname = \"data\"\nid = 1", "[[volume]]\nname = \"data\"\nid = 0".into()),
        (LAB, format!("[[volume]]\nname = \"data\"\nid = 2\n{LEDGER}\n{LAB}")),
        (
            LAB,
            (2..102)
                .map(|n| format!("[[volume]]\nname = \"v{n}\"\nid = {n}\n{LEDGER}\n"))
                .collect::<String>()
                + LAB,
        ),
    ]
}

fn postgresql() -> Vec<(&'static str, String)> {
    let changed = |from: &str, to: &str| (LEDGER, POSTGRESQL.replacen(from, to, 1));
    vec![
        (LEDGER, POSTGRESQL.replace("driver", "vm_pause = \"barrier-suffices\"\ndriver")),
        (LEDGER, "driver = \"postgresql\"".into()),
        changed("data_directory = \"/pg/data\"\n", ""),
        changed("/pg/data", "/pg data"),
        changed("/pg/bin", "bin"),
        changed("replication_user = \"picket\"", "replication_user = \"picket;\""),
        changed("replication_user = \"picket\"", "replication_user = \"picket\"\nport = 0"),
        changed("replication_user = \"picket\"", "replication_user = \"picket\"\nrejoin = \"force\""),
        changed("replication_user = \"picket\"", "replication_user = \"picket\"\npassword = \"x\""),
        changed(
            "replication_user = \"picket\"",
            "replication_user = \"picket\"\nconnection_options = { password = \"x\" }",
        ),
        changed(
            "replication_user = \"picket\"",
            "replication_user = \"picket\"\nconnection_options = { \"ssl mode\" = \"x\" }",
        ),
        changed("node = \"n2\"", "node = \"n4\""),
        changed("node = \"n2\"", "node = \"n1\""),
        changed("10.0.0.2:5432", "10.0.0.2"),
        changed(", { node = \"n2\", address = \"10.0.0.2:5432\" }", ""),
    ]
}

fn fencing() -> Vec<(&'static str, String)> {
    vec![
        (LAB, format!("{LAB}{}", "[[fence.n2.level]]\nkind = \"meatware\"\n".repeat(10))),
        (
            LAB,
            format!("{LAB}[[fence.n2.level]]\n{}", "[[fence.n2.level.device]]\nagent = \"/a\"\n".repeat(9)),
        ),
        (LAB, format!("{LAB}[[fence.n2.level]]\nagent = \"/opt/fence_picket_stonith_helper\"")),
        (LAB, format!("{LAB}[[fence.n2.level]]\nagent = \"/a\"\nkind = \"poewr\"")),
        (LAB, format!("{LAB}[[fence.n2.level]]\nagent = \"/a\"\noptions = {{ \"a b\" = \"x\" }}")),
        (
            LAB,
            format!(
                "{LAB}[[fence.n2.level]]\nagent = \"/a\"\noptions = {{ ip = \"x\" }}\nsecrets = {{ ip = \"/x\" }}"
            ),
        ),
        (LAB, format!("{LAB}[[fence.n2.level]]\nagent = \"/a\"\nsecrets = {{ password = \"x\" }}")),
        (LAB, format!("{LAB}[[fence.n2.level]]\nagent = \"/a\"\nretries = 10")),
        (LAB, format!("{LAB}[[fence.n2.level]]\nagent = \"/a\"\ntimeout = \"0s\"")),
        (LAB, format!("{LAB}[[fence.n2.level]]")),
    ]
}

fn the_rest() -> Vec<(&'static str, String)> {
    vec![
        (LAB, format!("{LAB}[watchdog]\nkind = \"device\"")),
        (LAB, format!("{LAB}[watchdog]\ndevice = \"/dev/watchdog\"")),
        (LAB, format!("{LAB}[log]\ndetail = \"loud\"")),
        (LAB, format!("{LAB}[alert]\ncommand = []")),
        (LAB, format!("{LAB}[alert]\nevents = [\"fenced\"]")),
    ]
}

/// The cases, each with what is told of it.
fn told() -> String {
    let one = |(from, to): (&str, String)| {
        let short: String = to.chars().take(150).collect();
        let errors = parse(&changed(from, &to)).map_or_else(|errors| errors, |_| "no error".to_owned());
        format!("{short}\n  => {}\n", errors.trim_end().replace('\n', "\n  => "))
    };
    cases().into_iter().map(one).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_kind_of_fault_is_told_with_its_place_and_what_was_expected() {
    let (told, expected) = (told(), include_str!("kinds.txt"));
    for (line, (told, expected)) in told.lines().zip(expected.lines()).enumerate() {
        assert_eq!(told, expected, "kinds.txt:{}", line + 1);
    }
    assert_eq!(told.lines().count(), expected.lines().count());
    assert!(!told.contains("no error"), "{told}");
}

#[test]
#[ignore = "writes the expectation anew; read it before it is committed"]
fn write_the_expectation() {
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/tests/kinds.txt"), told()).unwrap();
}

/// What a daemon compares with what the former one had driven.
#[test]
fn another_name_or_another_thing_that_is_driven_has_another_fingerprint() {
    let of = |text: &str| {
        let config = parse(text).expect(text);
        config.volumes.values().map(super::super::Volume::fingerprint).next().unwrap()
    };
    let good = of(&changed(LEDGER, COMMAND));
    let same = of(&changed(LEDGER, &COMMAND.replace("/p", "/another-way-to-promote")));
    assert_eq!(good, same, "how it is driven may change");
    for other in [
        changed(LEDGER, &COMMAND.replace("/s", "/about-something-else")),
        changed(LEDGER, COMMAND).replace("name = \"data\"", "name = \"more\""),
        changed("/ledger.sock", "/another.sock"),
        testing::text("n1"),
    ] {
        assert_ne!(good, of(&other), "{other}");
    }
    let ledger = of(&testing::text("n1"));
    assert_ne!(ledger, of(&changed("/ledger.sock", "/another.sock")));
}
