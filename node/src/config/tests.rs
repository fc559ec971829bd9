use super::{Config, OnStop, VolumeDriver, WatchdogKind};
use crate::testing;
use core::time::Duration;
use picket_core::ids::{NodeId, VolumeId};
use picket_core::node::{Barrier, LossAction};
use picket_core::topology::DeviceKind;
use picket_host::config::Source;

mod kinds;
mod resources;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(&Source::from_text("picketd.toml", text)).map_err(|errors| errors.to_string())
}

/// The good text with one place changed.
fn changed(from: &str, to: &str) -> String {
    let text = testing::text("n1");
    assert!(text.contains(from), "{from:?} is not in the text");
    text.replacen(from, to, 1)
}

fn errors(from: &str, to: &str) -> Vec<String> {
    let errors = parse(&changed(from, to)).expect_err(to);
    errors.lines().map(str::to_owned).collect()
}

/// The one error of the changed text, without its place; the place's line must hold `marker`.
fn error(from: &str, to: &str, marker: &str) -> String {
    let text = changed(from, to);
    let errors = parse(&text).expect_err(to);
    assert_eq!(errors.lines().count(), 1, "{errors}");
    let rest = errors.strip_prefix("picketd.toml:").unwrap();
    let (place, told) = rest.split_once(": ").unwrap();
    let line: usize = place.split(':').next().unwrap().parse().unwrap();
    let found = text.lines().nth(line - 1).unwrap();
    assert!(found.contains(marker), "{errors}\npoints at {found:?}");
    told.to_owned()
}

const LAB: &str = "[lab]\nboot_id_file = \"/lab/n1/run/boot_id\"\n";

#[test]
fn a_good_file_gives_everything() {
    let config = parse(&testing::text("n1")).unwrap();
    assert_eq!((config.me, config.name.as_str(), config.cluster.as_str()), (NodeId(1), "n1", "east"));
    assert_eq!(config.listen.to_string(), "127.0.0.1:7421");
    assert_eq!(config.members[&NodeId(2)].paths.len(), 2);
    assert_eq!(config.members[&NodeId(2)].paths[1].prio, 2);
    let volume = &config.volumes[&VolumeId(1)];
    assert_eq!((volume.loss_action, volume.barrier), (LossAction::Fastboot, Barrier::Replication));
    assert_eq!(volume.members, [NodeId(1), NodeId(2), NodeId(3)]);
    assert!(matches!(volume.driver, VolumeDriver::Ledger { .. }));
    assert_eq!(config.watchdog.kind, WatchdogKind::None);
    assert_eq!(config.control.socket.to_str(), Some("/lab/n1/run/picketd.sock"));
    let core = config.core(false);
    assert_eq!((core.paths[&NodeId(2)], core.members.len(), core.watchdog), (2, 3, false));
}

#[test]
fn volumes_are_handed_over_at_a_stop_unless_the_file_says_that_they_stay() {
    assert_eq!(parse(&testing::text("n1")).unwrap().on_stop, OnStop::SwitchOver);
    for stop in [OnStop::SwitchOver, OnStop::Stay] {
        let text = changed("[cluster]", &format!("on_stop = \"{}\"\n[cluster]", stop.word()));
        assert_eq!(parse(&text).unwrap().on_stop, stop);
    }
    let told = error("[cluster]", "on_stop = \"leave\"\n[cluster]", "on_stop");
    assert!(told.contains("switch-over") && told.contains("stay"), "{told}");
}

#[test]
fn every_node_and_the_witness_come_to_the_same_fingerprint() {
    let (n1, n2) = (parse(&testing::text("n1")).unwrap(), parse(&testing::text("n2")).unwrap());
    assert_eq!(n1.digest(), n2.digest());
    let witness = "listen = \"127.0.0.1:1\"\nstate = \"/w\"\n[tls]\nca = \"/a\"\ncert = \"/b\"\nkey = \"/c\"\n[[cluster]]\n\
        name = \"east\"\nnode = [{ name = \"n1\", id = 1 }, { name = \"n2\", id = 2 }, { name = \"n3\", id = 3 }]\n\
        volume = [{ name = \"data\", id = 1 }]\n";
    let witness = picket_witness::config::Config::parse(&Source::from_text("witness.toml", witness)).unwrap();
    assert_eq!(witness.clusters[0].digest(), n1.digest());
    let slower = parse(&changed("name = \"east\"", "name = \"east\"\ntiming.heartbeat = \"110ms\"")).unwrap();
    assert_ne!(slower.digest(), n1.digest());
}

#[test]
fn all_errors_are_told_at_once() {
    let text = changed("id = 2", "id = 1")
        .replace("profile", "prof")
        .replace("driver = \"ledger\"", "driver = \"tape\"");
    let text = text.replace("name = \"n3\"", "name = \"n 3\"");
    let told = parse(&text).unwrap_err();
    let keys: Vec<_> = told.lines().filter_map(|line| line.split(": ").nth(1)).collect();
    assert_eq!(keys, ["member[1].id", "member[2].name", "volume[0].driver", "volume[0].ledger"], "{told}");
}

#[test]
fn each_timing_inequality_is_told_at_its_key_with_its_numbers() {
    let table = [
        ("timing.heartbeat = \"1ms\"", "heartbeat", "h ≥ 5 ms does not hold: h = 1 ms; expected h ≥ 5 ms"),
        (
            "timing.guard = \"40ms\"",
            "guard",
            "G ≥ 2ρL/(1−ρ) + lateness does not hold: G = 40 ms, 2ρL/(1−ρ) = 24.120 ms with ρ = 0.5 % and L = 2400 ms, \
             lateness = 30 ms; expected G ≥ 2ρL/(1−ρ) + lateness",
        ),
        (
            "timing.freeze_before = \"1180ms\"",
            "freeze_before",
            "F > W + 2p + freeze time does not hold: F = 1180 ms, W = 1000 ms, p = 40 ms, freeze time = 100 ms; \
             expected F > W + 2p + freeze time",
        ),
        (
            "timing.lease = \"2289ms\"",
            "lease",
            "L ≥ 2W(1+ρ) + 2p + 2h does not hold: L = 2289 ms, 2W(1+ρ) + 2p + 2h = 2290 ms with W = 1000 ms, \
             p = 40 ms and h = 100 ms; expected L ≥ 2W(1+ρ) + 2p + 2h",
        ),
        (
            "timing.start_within = \"3s\"",
            "start_within",
            "0 < start_within ≤ L does not hold: start_within = 3000 ms, L = 2400 ms; expected 0 < start_within ≤ L",
        ),
        (
            "timing.misses = 11",
            "misses",
            "L − F > (m+1)·h does not hold: L = 2400 ms, F = 1250 ms, (m+1)·h = 1200 ms; expected L − F > (m+1)·h",
        ),
        (
            "timing.watchdog = \"100ms\"",
            "watchdog",
            "0 < 4p ≤ W does not hold: p = 40 ms, W = 100 ms; expected 0 < 4p ≤ W",
        ),
    ];
    for (line, key, expected) in table {
        let told = error("name = \"east\"", &format!("name = \"east\"\n{line}"), line);
        assert_eq!(told, format!("cluster.timing.{key}: {expected}"));
    }
    let both = errors("name = \"east\"", "name = \"east\"\ntiming = { no_watchdog = true, pet = \"1ms\" }");
    assert!(
        both[0].ends_with("cluster.timing.no_watchdog: there is a watchdog too; expected one or the other"),
        "{both:?}"
    );
}

#[test]
fn members_and_paths_that_cannot_be_are_told() {
    let n2 = "peer_address = \"127.0.0.1:7422\"";
    let paths = |paths: &str| {
        let text = testing::text("n1");
        let start = text.find(n2).unwrap() + n2.len();
        let end = start + text[start..].find("\n\n").unwrap();
        (text[start..end].to_owned(), paths.to_owned())
    };
    let (from, to) = paths("");
    assert_eq!(
        error(&from, &to, "[[member]]"),
        "member[1].paths: no heartbeat path leads there; expected two paths or more"
    );
    let (from, to) = paths("\npaths = [{ network = \"a\", local = \"127.0.0.1:1\", remote = \"[::1]:1\" }]");
    assert_eq!(
        error(&from, &to, "paths ="),
        "member[1].paths[0].remote: [::1]:1 cannot be reached from 127.0.0.1:1; expected two addresses of one family"
    );
    let (from, to) =
        paths("\npaths = [{ network = \"a\", local = \"127.0.0.1:1\", remote = \"0.0.0.0:1\" }]");
    assert_eq!(
        error(&from, &to, "paths ="),
        "member[1].paths[0].remote: 0.0.0.0:1 is not one place; expected an address with a port"
    );
    let (from, to) =
        paths("\npaths = [{ network = \"a\", local = \"127.0.0.1:1\", remote = \"127.0.0.1:2\" }]");
    let one = parse(&changed(&from, &to)).unwrap();
    assert!(
        one.warnings
            .contains(&"only one heartbeat path leads to n2; one broken cable makes it silent".to_owned())
    );
    assert_eq!(
        error("[node]\nname = \"n1\"", "[node]\nname = \"n9\"", "n9"),
        "node.name: \"n9\" is no member; expected the name of a [[member]]"
    );
    assert_eq!(
        error("127.0.0.1:7421\"", "127.0.0.1:7421\"\npaths = []", "paths = []"),
        "member[0].paths: there are paths from this node to itself; expected paths of the other members only"
    );
}

#[test]
fn only_lab_machines_may_be_of_another_kind() {
    let real = |node: &str| testing::text("n1").replace(LAB, "").replace("run_dir = \"/lab/n1/run\"", node);
    let told = parse(&real("run_dir = \"/lab/n1/run\"")).unwrap_err();
    assert!(
        told.ends_with("node.run_dir: /lab/n1/run outlives a boot of the machine; expected a directory below /run, or a [lab]"),
        "{told}"
    );
    let told = parse(&real("run_dir = \"/lab/\\u0000n1/run\"")).unwrap_err();
    assert!(
        told.ends_with("node.run_dir: found \"/lab/\\0n1/run\"; expected an absolute path"),
        "no error is more than a line of text: {told:?}"
    );
    let lab_dog =
        format!("{}\n[watchdog]\nkind = \"lab\"\ndevice = \"/w.sock\"\n", real("run_dir = \"/run/picket\""));
    let told = parse(&lab_dog).unwrap_err();
    assert!(
        told.ends_with("watchdog.kind: this is a lab machine's watchdog, and there is no [lab]; expected \"device\", \"self-reset\" or \"none\""),
        "{told}"
    );
    for kind in ["kind = \"device\"\ndevice = \"/dev/watchdog0\"", "kind = \"self-reset\""] {
        let told = error(LAB, &format!("{LAB}[watchdog]\n{kind}"), "kind");
        assert_eq!(
            told,
            "watchdog.kind: a lab machine would reset the real machine; expected \"lab\" or \"none\" under [lab]"
        );
    }
    let told = error(LAB, &format!("{LAB}[[fence.n2.level]]\nagent = \"fence_ipmilan\""), "agent");
    assert_eq!(
        told,
        "fence.n2.level[0].agent: \"fence_ipmilan\" may reach a real machine, and this is a lab; expected \"fence_picket_process\", or an absolute path"
    );
}

#[test]
fn a_watchdog_must_fit_the_timings() {
    let dog = |rest: &str| format!("{LAB}[watchdog]\nkind = \"lab\"\ndevice = \"/w.sock\"\n{rest}");
    assert_eq!(
        error(LAB, &dog("effective = \"2s\""), "effective"),
        "watchdog.effective: it takes 2s to reset this machine, and the timings allow W = 1s; expected at most 1s, or a profile for slower watchdogs"
    );
    let config = parse(&changed(LAB, &dog("effective = \"500ms\""))).unwrap();
    assert_eq!(
        (config.watchdog.effective, config.watchdog.pet),
        (Duration::from_millis(500), Duration::from_millis(40))
    );
    assert_eq!(
        error(LAB, &format!("{LAB}[watchdog]\nkind = \"none\"\ncounts = true"), "counts"),
        "watchdog.counts: it dies with the kernel, or there is none; expected counts = true only with a real watchdog"
    );
}

#[test]
fn volumes_that_cannot_be_kept_safe_are_told() {
    let command = |rest: &str| {
        format!(
            "driver = \"command\"\n{rest}\n[volume.command]\npromote = [\"/p\"]\ndemote = [\"/d\"]\nstatus = [\"/s\"]\n"
        )
    };
    let ledger = "driver = \"ledger\"\nledger.socket = \"/lab/n1/ledger.sock\"";
    let config = parse(&changed(ledger, &command(""))).unwrap();
    assert_eq!(config.volumes[&VolumeId(1)].barrier, Barrier::None);
    assert_eq!(
        error(ledger, &command("vm_pause = \"barrier-suffices\""), "vm_pause"),
        "volume[0].vm_pause: the volume has no barrier in its replication, so a machine that was paused could complete a write; expected \"refuse\", or barrier = \"replication\""
    );
    assert_eq!(
        error(ledger, &command("barrier = \"replication\""), "barrier"),
        "volume[0].barrier: a barrier is declared and the programs that move it are missing; expected command.freeze, command.drop_peer and command.require_peer, or barrier = \"none\" (exclusive only)"
    );
    assert_eq!(
        error(ledger, &command("loss_action = \"freeze\""), "loss_action"),
        "volume[0].loss_action: the volume cannot be frozen; expected command.freeze and command.thaw, or another action"
    );
    assert_eq!(
        error(ledger, &format!("{ledger}\nmembers = [\"n1\", \"n4\"]"), "members"),
        "volume[0].members: \"n4\" is no member; expected names of members"
    );
    assert_eq!(
        error(
            ledger,
            "driver = \"command\"\ncommand = { promote = [\"p\"], demote = [\"/d\"], status = [\"/s\"] }",
            "command ="
        ),
        "volume[0].command.promote: \"p\" is not an absolute path; expected a program by its absolute path, and its arguments"
    );
    let sufficient = parse(&changed(ledger, &format!("{ledger}\nvm_pause = \"barrier-suffices\""))).unwrap();
    assert!(sufficient.volumes[&VolumeId(1)].barrier_suffices);
}

#[test]
fn fencing_is_read() {
    let level = |rest: &str| format!("{LAB}{rest}");
    let good = level(
        "[[fence.n2.level]]\nkind = \"gate\"\nagent = \"/g\"\ndelay = \"200ms\"\n[[fence.n2.level]]\n\
         [[fence.n2.level.device]]\nagent = \"/a\"\nargs = [\"process\"]\nretries = 2\ntimeout = \"3s\"\n\
         options = { socket_path = \"/p.sock\" }\nsecrets = { password = \"/s\" }\n\
         [[fence.n2.level.device]]\nagent = \"/b\"\noptions = { plug = \"7\" }\n[[fence.n2.level]]\nkind = \"meatware\"\n",
    );
    let config = parse(&changed(LAB, &good)).unwrap();
    let levels = &config.fencing[&NodeId(2)];
    assert_eq!(levels.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2, 1]);
    assert_eq!(levels[1][0].options["port"], "n2");
    assert!(!levels[1][1].options.contains_key("port"), "a plug is given");
    assert_eq!(levels[1][0].title(), "a process");
    assert_eq!(levels[2][0].kind, DeviceKind::Meatware);
    let plan = &config.core(false).fencing[&NodeId(2)];
    assert_eq!(plan.longest(), Duration::from_millis(200 + 20_000 + 9000 + 20_000 + 20_000));
}

#[test]
fn faults_in_fencing_are_told() {
    let level = |rest: &str| format!("{LAB}{rest}");
    let table = [
        (
            "[[fence.n2.level]]\nkind = \"gate\"\nagent = \"/g\"",
            "[[fence.n2.level]]",
            "fence.n2.level: every level is a gate, which proves nothing; expected a level of kind power or meatware",
        ),
        (
            "[[fence.n2.level]]\nagent = \"/usr/sbin/fence_picket_stonith_helper\"",
            "agent",
            "fence.n2.level[0].agent: this agent is a gate and proves nothing; expected kind = \"gate\", and another level that fences",
        ),
        (
            "[[fence.n2.level]]\nagent = \"/a\"\ndelay = \"500ms\"",
            "[[fence.n2.level]]",
            "fence.n2.level: the first device waits 500 ms, and no fence would ever begin; expected a delay of less than 500 ms (start_within)",
        ),
        (
            "[[fence.n9.level]]\nkind = \"meatware\"",
            "n9",
            "fence.n9: \"n9\" is no member; expected the name of a member",
        ),
        (
            "[[fence.n1.level]]\nkind = \"meatware\"",
            "n1",
            "fence.n1: a node does not fence itself; expected levels for the other members",
        ),
        (
            "[[fence.n2.level]]\nkind = \"meatware\"\nagent = \"/a\"",
            "agent",
            "fence.n2.level[0].agent: a person is asked, not an agent; expected no agent with kind = \"meatware\"",
        ),
        (
            "[[fence.n2.level]]\nagent = \"/a\"\noptions = { password = \"x\" }",
            "options",
            "fence.n2.level[0].options.password: a password does not belong into this file; expected secrets = { … = \"/path/of/a/file\" }",
        ),
        (
            "[[fence.n2.level]]\nagent = \"/a\"\noptions = { action = \"on\" }",
            "options",
            "fence.n2.level[0].options.action: the daemon gives this option itself; expected other options",
        ),
        (
            "[[fence.n2.level]]\nagent = \"/a\"\noptions = { ip = \"a\\nport=b\" }",
            "options",
            "fence.n2.level[0].options.ip: it has more than one line; expected one line of text",
        ),
        (
            "[[fence.n2.level]]\nagent = \"a/b\"",
            "agent",
            "fence.n2.level[0].agent: \"a/b\" is a relative path; expected a name, or an absolute path",
        ),
        (
            "agent_dirs = [\"/nowhere\"]\n[[fence.n2.level]]\nagent = \"fence_picket_process\"",
            "agent",
            "fence.n2.level[0].agent: \"fence_picket_process\" is in none of /nowhere; expected an agent that is installed",
        ),
    ];
    for (text, marker, expected) in table {
        let at_top = text.split_once('\n').filter(|(first, _)| first.starts_with("agent_dirs"));
        if let Some((top, rest)) = at_top {
            let whole = format!("{top}\n{}{rest}\n", testing::text("n1"));
            let told = parse(&whole).unwrap_err();
            assert!(told.ends_with(expected), "{told}");
        } else {
            assert_eq!(error(LAB, &level(text), marker), expected);
        }
    }
}

#[test]
fn quorum_and_alerts_are_checked() {
    assert_eq!(
        error("name = \"east\"", "name = \"east\"\nquorum = \"tcp_remote\"", "quorum"),
        "cluster.quorum: no hosts are listed; expected a table [cluster.tcp_remote] with hosts"
    );
    assert_eq!(
        error("name = \"east\"", "name = \"east\"\nquorum = \"storage\"", "quorum"),
        "cluster.quorum: no directories are listed; expected a table [cluster.storage] with directories"
    );
    assert_eq!(
        error("name = \"east\"", "name = \"east\"\nstorage.directories = [\"/mnt/a\"]", "storage"),
        "cluster.storage: directories are listed that nobody asks; expected quorum = \"storage\""
    );
    assert_eq!(
        error("name = \"east\"", "name = \"east\"\nquorum = \"disk\"", "quorum"),
        "cluster.quorum: found \"disk\"; expected one of \"majority\", \"tcp_remote\", \"storage\", \"none\""
    );
    assert_eq!(
        error(LAB, &format!("{LAB}[alert]\ncommand = [\"/a\"]\nevents = [\"fenced\", \"fnced\"]"), "events"),
        "alert.events[1]: no event is called \"fnced\"; expected the name of an event"
    );
}

#[test]
fn the_example_in_the_package_is_good_but_for_what_the_machine_lacks() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/examples/picketd.toml");
    let told = match Config::read(std::path::Path::new(path)) {
        Ok(_) => return,
        Err(errors) => errors.to_string(),
    };
    // The agent of another package may not be installed here.
    assert!(told.lines().all(|line| line.contains("expected an agent that is installed")), "{told}");
}
