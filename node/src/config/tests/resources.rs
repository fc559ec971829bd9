//! `[[resource]]`: trees in order, and every mistake at its place.

use super::{LAB, changed, parse};
use core::time::Duration;
use picket_core::ids::VolumeId;

const KIND: &str = "kind = \"command\"\ncommand = { start = [\"/s\"], stop = [\"/t\"], status = [\"/u\"] }\n";

fn with(resources: &str) -> String {
    changed(LAB, &format!("{resources}{LAB}"))
}

fn resource(tag: &str, below: &str) -> String {
    format!("[[resource]]\ntag = \"{tag}\"\n{below}\n{KIND}")
}

/// What is told, without the file's name: `line:column: key: what; expected …`.
fn told(resources: &str) -> Vec<String> {
    let text = with(resources);
    let first = text.lines().position(|line| line == "[[resource]]").unwrap();
    let errors = parse(&text).expect_err(resources);
    let place = |line: &str| {
        let rest = line.strip_prefix("picketd.toml:").unwrap();
        let (place, told) = rest.split_once(": ").unwrap();
        let line: usize = place.split(':').next().unwrap().parse().unwrap();
        format!("{}: {told}", line - first - 1)
    };
    errors.lines().map(place).collect()
}

#[test]
fn a_tree_is_put_in_an_order_in_which_it_can_be_started() {
    let text = [
        resource(
            "app",
            "after = [\"ip\", \"db\"]\non_fail = \"fence\"\nfail_threshold = 5\nfail_expiry = \"10min\"",
        ),
        resource("db", "after = [\"fs\"]\nstop_timeout = \"30s\"\nmonitor_interval = \"0s\""),
        resource("ip", "after = [\"fs\"]\nid = \"10.0.0.9/24\""),
        resource("fs", "volume = \"data\"\nstop_timeout = \"5s\""),
    ];
    let config = parse(&with(&text.concat())).unwrap();
    let tree = &config.resources[&VolumeId(1)];
    let tags: Vec<&str> = tree.iter().map(|resource| resource.rules.tag.as_str()).collect();
    assert_eq!(tags, ["fs", "db", "ip", "app"]);
    assert_eq!((tree[3].rules.needs.clone(), tree[3].rules.threshold), (vec![2, 1], 5));
    assert_eq!(tree[3].rules.expiry, Some(Duration::from_secs(600)));
    assert_eq!(
        (tree[0].rules.monitor_interval, tree[1].rules.monitor_interval),
        (Some(Duration::from_secs(10)), None)
    );
    assert_eq!((tree[2].id.as_str(), tree[0].id.as_str()), ("10.0.0.9/24", "command"));
    // What the core waits for: the longest chain of stops, two kills, and the driver's own time.
    let core = config.core(false).volumes[&VolumeId(1)].demote_timeout;
    assert_eq!(core, Duration::from_secs(5 + 30 + 20 + 2 * 2 + 10));
}

#[test]
fn what_is_not_there_is_told_at_its_place() {
    assert_eq!(
        told(&resource("ip", "volume = \"dota\"")),
        ["2: resource[0].volume: \"dota\" is no volume; expected the name of a [[volume]]"]
    );
    assert_eq!(
        told(&resource("ip", "after = [\"fs\"]")),
        ["2: resource[0].after: \"fs\" is no resource; expected tags of [[resource]] tables"]
    );
    assert_eq!(
        told(&resource("ip", "")),
        ["0: resource[0]: it stands on nothing; expected volume = \"…\" or after = [\"…\"]"]
    );
    assert_eq!(
        told(&resource("data", "volume = \"data\"")),
        [
            "1: resource[0].tag: \"data\" is a volume's name; expected a name that neither a volume nor a resource has"
        ]
    );
}

#[test]
fn circles_are_told_with_their_way_and_whatever_stands_on_them_is_not() {
    let text = [
        resource("a", "after = [\"c\"]"),
        resource("b", "after = [\"a\"]"),
        resource("c", "after = [\"b\"]"),
        resource("above", "after = [\"c\"]"),
        resource("self", "after = [\"self\"]"),
    ];
    let told = told(&text.concat());
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("it needs itself: a after c after b after a"), "{told:?}");
    assert!(told[1].contains("it needs itself: self after self"), "{told:?}");
}

#[test]
fn a_resource_stands_on_one_volume() {
    let second =
        "[[volume]]\nname = \"logs\"\nid = 2\ndriver = \"ledger\"\nledger.socket = \"/lab/n1/logs.sock\"\n";
    let text = [
        resource("one", "volume = \"data\""),
        resource("two", "volume = \"logs\""),
        resource("both", "after = [\"one\", \"two\"]"),
        resource("other", "volume = \"data\"\nafter = [\"two\"]"),
    ];
    let text = with(&format!("{second}{}", text.concat()));
    let errors = parse(&text).unwrap_err();
    let told: Vec<_> =
        errors.lines().filter_map(|line| line.split_once(".toml:")).map(|(_, told)| told).collect();
    assert_eq!(told.len(), 2, "{errors}");
    assert!(
        told.iter().all(
            |told| told.contains("\"two\" stands on another volume; expected resources above one volume")
        )
    );
}

#[test]
fn all_mistakes_of_all_resources_are_told_at_once() {
    let text = "[[resource]]\ntag = \"a b\"\nvolume = \"data\"\nkind = \"comand\"\n\
        [[resource]]\ntag = \"ip\"\nvolume = \"data\"\nkind = \"command\"\ncommand = { start = [\"s\"], stop = [] }\n\
        stop_timout = \"5s\"\nstart_timeout = \"5\"\non_fail = \"panic\"\nfail_threshold = 0\n\
        [[resource]]\ntag = \"ip\"\nvolume = \"data\"\n";
    let told = told(text);
    let keys: Vec<&str> = told.iter().filter_map(|line| line.split(": ").nth(1)).collect();
    assert_eq!(
        keys,
        [
            "resource[0].tag",
            "resource[0].kind",
            "resource[1].command.status",
            "resource[1].command.start",
            "resource[1].command.stop",
            "resource[1].stop_timout",
            "resource[1].start_timeout",
            "resource[1].on_fail",
            "resource[1].fail_threshold",
            "resource[2].kind",
            "resource[2].tag",
        ],
        "{told:#?}"
    );
}

#[test]
fn no_more_stand_on_a_volume_than_can_be_stopped_at_once() {
    let many: String = (0..257).map(|number| resource(&format!("r{number}"), "volume = \"data\"")).collect();
    let told = told(&many);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].ends_with(
            "256 resources stand above this volume already; expected at most 256 above one volume"
        )
    );
}

const AGENT: &str = r#"#!/bin/sh
[ "$1" = meta-data ] || exit 3
[ -e "$0.garbage" ] && { echo "<html/>"; exit 0; }
cat <<END
<resource-agent name="Good"><parameters>
<parameter name="ip" required="1"/><parameter name="nic"/><parameter name="password"/>
</parameters><actions>
<action name="start" timeout="35s"/><action name="stop" timeout="45s"/><action name="monitor" timeout="15s"/>
</actions></resource-agent>
END
"#;

#[test]
fn a_secret_that_others_can_read_or_that_nobody_wants_is_told_at_its_place() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = agents();
    let file = dir.path().join("secret");
    std::fs::write(&file, "hush\n").unwrap();
    let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    let of = |more: &str| {
        let text = agent("ip", "ocf:test:Good", &more.replace("FILE", &file.display().to_string()));
        parse(&with_root(&dir, &text))
    };
    let told = |more: &str| {
        let errors = of(more).expect_err(more);
        assert!(!errors.contains("hush"), "{errors}");
        let told = |line: &str| line.split_once(": ").map(|(_, told)| told.to_owned());
        errors.lines().filter_map(told).collect::<Vec<_>>()
    };
    let good = "parameters = { ip = \"192.0.2.7\" }\nsecrets = { password = \"FILE\" }";
    mode(0o600);
    assert_eq!(of(good).map(|config| config.resources.len()), Ok(1));
    mode(0o644);
    let wrong = told(good);
    assert!(wrong.len() == 1 && wrong[0].starts_with("resource[0].secrets.password: "), "{wrong:?}");
    assert!(wrong[0].contains("mode is 0644"), "{wrong:?}");
    mode(0o600);
    assert_eq!(
        told("parameters = { ip = \"a\", password = \"b\" }\nsecrets = { password = \"FILE\" }"),
        ["resource[0].secrets.password: it stands among the parameters too; expected each parameter once"]
    );
    assert_eq!(
        told("parameters = { ip = \"a\" }\nsecrets = { pass = \"FILE\" }"),
        ["resource[0].secrets.pass: ocf:test:Good knows no such parameter; expected ip, nic, password"]
    );
    // What must be told may be a secret.
    assert_eq!(of("secrets = { ip = \"FILE\" }").map(|config| config.resources.len()), Ok(1));
}

#[test]
fn each_action_has_its_own_consequence_and_a_stop_only_one() {
    use crate::resource::plan::OnFail;
    let more = "volume = \"data\"\non_fail = \"block\"\nstart_on_fail = \"stop\"\nstop_on_fail = \"fence\"";
    let config = parse(&with(&resource("fs", more))).unwrap();
    let rules = &config.resources[&VolumeId(1)][0].rules;
    assert_eq!((rules.on_fail, rules.on_start_fail), (OnFail::Block, OnFail::Stop));
    assert_eq!(
        told(&resource("fs", "volume = \"data\"\nstop_on_fail = \"block\"")),
        [
            "3: resource[0].stop_on_fail: what was not stopped may still run, so that nothing but a fence is of use; \
             expected \"fence\""
        ]
    );
}

#[test]
fn a_chain_of_stops_that_nobody_waits_for_is_told_with_its_place() {
    let tree = |stop: &str| {
        let fs = resource("fs", "volume = \"data\"\nstop_timeout = \"20s\"");
        let ip = resource("ip", "after = [\"fs\"]\nstop_timeout = \"1s\"");
        with(&[fs, ip, resource("app", &format!("after = [\"fs\"]\nstop_timeout = \"{stop}\""))].concat())
    };
    let about = |text: &str| -> Vec<String> {
        let config = parse(text).unwrap();
        config.warnings.into_iter().filter(|line| line.contains("wait for")).collect()
    };
    // 20 s + 26 s + two kills + the volume's own 10 s are a minute.
    assert_eq!(about(&tree("26s")), [""; 0]);
    let text = tree("27s");
    let line = text.lines().position(|line| line == "tag = \"app\"").unwrap() + 1;
    let expected = format!(
        "line {line}: stopping app, fs and demoting data may take 61s, and picket move and picket stop wait for 60s: \
         lower stop_timeouts, or a lower demote_timeout"
    );
    assert_eq!(about(&text), [expected]);
}

#[tokio::test]
#[ignore = "needs dbus-daemon; ./tests/run unit runs it"]
async fn units_are_looked_up_and_told_at_their_place() {
    use crate::resource::systemd::tests::standin::StandIn;
    let mut standin = StandIn::start(&["web.service", "gone.service"]).await;
    standin.load("gone.service", "masked");
    let asked = async |standin: &StandIn, kind: &str| {
        let text = format!("systemd_bus = \"{}\"\n{}", standin.address, with(&agent("web", kind, "")));
        // It blocks until the manager answers, which runs here.
        tokio::task::spawn_blocking(move || parse(&text)).await.unwrap()
    };
    let config = asked(&standin, "systemd:web.service").await.unwrap();
    assert_eq!(config.resources[&VolumeId(1)][0].id, "systemd:web.service");
    let about = |config: &crate::config::Config| -> Vec<String> {
        let of = |line: &&String| line.contains("web.service");
        config.warnings.iter().filter(of).map(|line| line.split_once(": ").unwrap().1.to_owned()).collect()
    };
    let killed = "web.service: its processes are killed 90s after a stop began, and this node is reset after 20s: \
                  stop_timeout above TimeoutStopSec";
    assert_eq!(about(&config), [killed]);
    standin.unwise("web.service");
    let config = asked(&standin, "systemd:web.service").await.unwrap();
    assert_eq!(
        about(&config),
        [
            "web.service: it is enabled, so that it starts without its volume; systemctl disable it",
            killed,
            "web.service: KillMode=process leaves processes behind, and a stop that does so has failed",
        ]
    );
    let masked = asked(&standin, "systemd:gone.service").await.unwrap_err();
    let expected =
        "resource[0].kind: gone.service is masked; expected a unit that the service manager has loaded";
    assert!(masked.trim_end().ends_with(expected), "{masked}");
    let unknown = asked(&standin, "systemd:none.service").await.unwrap_err();
    let expected = "Unit none.service not loaded.; expected a unit that the service manager knows";
    assert!(unknown.trim_end().ends_with(expected), "{unknown}");
    // Nobody to ask is no error: the daemon must start, and be told later.
    standin.end_bus();
    let config = asked(&standin, "systemd:web.service").await.unwrap();
    assert!(
        about(&config)[0].starts_with("web.service: no service manager could be asked"),
        "{:?}",
        about(&config)
    );
}

#[test]
fn what_is_no_unit_is_told_without_asking() {
    for kind in
        ["systemd:", "systemd:web", "systemd:web@.service", "systemd:../web.service", "systemd:.service"]
    {
        let text = with(&agent("web", kind, ""));
        let errors = parse(&text).expect_err(kind);
        assert!(errors.contains("systemd:NAME.service") && errors.lines().count() == 1, "{errors}");
    }
    let text = format!("systemd_bus = \"/run/bus\"\n{}", with(&resource("ip", "volume = \"data\"")));
    assert!(parse(&text).expect_err("no address").contains("expected the address of a bus"));
}

/// `ocf_root` with agents of the provider `test`.
fn agents() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let test = dir.path().join("resource.d/test");
    std::fs::create_dir_all(&test).unwrap();
    for name in ["Good", "Bad"] {
        let path = test.join(name);
        std::fs::write(&path, AGENT).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    std::fs::write(test.join("Bad.garbage"), "").unwrap();
    dir
}

fn agent(tag: &str, kind: &str, more: &str) -> String {
    format!("[[resource]]\ntag = \"{tag}\"\nvolume = \"data\"\nkind = \"{kind}\"\n{more}\n")
}

fn with_root(dir: &tempfile::TempDir, resources: &str) -> String {
    format!("ocf_root = \"{}\"\n{}", dir.path().display(), with(resources))
}

#[test]
fn an_agents_advice_is_taken_where_the_file_says_nothing() {
    let dir = agents();
    let good = agent("ip", "ocf:test:Good", "parameters = { ip = \"192.0.2.7\" }\nstop_timeout = \"9s\"");
    let config = parse(&with_root(&dir, &good)).unwrap();
    let resource = &config.resources[&VolumeId(1)][0];
    assert_eq!(resource.id, "ocf:test:Good");
    let rules = &resource.rules;
    let timeouts = (rules.start_timeout, rules.stop_timeout, rules.monitor_timeout);
    assert_eq!(timeouts, (Duration::from_secs(35), Duration::from_secs(9), Duration::from_secs(15)));
}

#[test]
fn agents_that_are_missing_or_told_what_they_do_not_know_are_told_at_their_place() {
    let dir = agents();
    let told = |resource: &str| {
        let errors = parse(&with_root(&dir, resource)).expect_err(resource);
        let told = |line: &str| line.split_once(": ").map(|(_, told)| told.to_owned());
        errors.lines().filter_map(told).collect::<Vec<_>>()
    };
    let path = dir.path().join("resource.d/test/None").display().to_string();
    assert_eq!(
        told(&agent("ip", "ocf:test:None", "")),
        [format!("resource[0].kind: there is no {path}; expected an agent that is installed below ocf_root")]
    );
    assert_eq!(
        told(&agent("ip", "ocf:test:Good", "parameters = { ipp = \"192.0.2.7\" }")),
        [
            "resource[0].parameters: ip is missing; expected what ocf:test:Good must be told",
            "resource[0].parameters.ipp: ocf:test:Good knows no such parameter; expected ip, nic, password",
        ]
    );
    assert_eq!(
        told(&agent("ip", "ocf:test:Good", "parameters = { ip = \"a\" }\npromotable = true")),
        [
            "resource[0].promotable: ocf:test:Good cannot promote; expected an agent that can",
            "resource[0].promotable: ocf:test:Good cannot demote; expected an agent that can",
        ]
    );
    let garbage = told(&agent("ip", "ocf:test:Bad", ""));
    assert!(
        garbage[0].starts_with("resource[0].kind: ocf:test:Bad: meta-data is of a \"html\""),
        "{garbage:?}"
    );
    for kind in ["ocf:test", "ocf:../../bin:sh", "ocf:test:", "lsb:test:Good", ""] {
        assert_eq!(told(&agent("ip", kind, "")).len(), 1, "{kind:?}");
    }
    assert_eq!(
        told(&agent("ip", "ocf:test:Good", "parameters = { ip = \"a\" }\ncommand.start = [\"/s\"]")),
        [
            "resource[0].command: it belongs to another kind; expected only what belongs to the kind that is named"
        ]
    );
}

#[test]
fn conditions_are_read_whole() {
    let good = "[[condition]]\ntag = \"gateway\"\ncommand = [\"/usr/bin/ping\", \"192.0.2.1\"]\n[lab]\n";
    let config = super::parse(&super::changed("[lab]\n", good)).unwrap();
    let [condition] = &config.conditions[..] else { panic!("{:?}", config.conditions) };
    assert_eq!((condition.tag.as_str(), condition.volumes.len(), condition.threshold), ("gateway", 1, 3));
    let wrong = good.replace(
        "tag = \"gateway\"",
        "tag = \"gateway\"\nvolumes = [\"v9\"]\nthreshold = 0\nintervl = \"1s\"",
    );
    let told = super::errors("[lab]\n", &wrong).join("\n");
    for part in ["\"v9\" is no volume", "threshold", "intervl"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let missing = super::errors("[lab]\n", "[[condition]]\ntag = \"gateway\"\n[lab]\n").join("\n");
    assert!(missing.contains("command"), "{missing}");
}
