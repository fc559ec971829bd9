use crate::volume::drbd::conf::{Version, lines, problems};
use std::path::Path;

/// What drbdadm 9.22 dumped of the generated lines with two hosts, for the kernel's 8.4 and for 9: recorded.
const EIGHT: &str = include_str!("dump-8.4.txt");
const NINE: &str = include_str!("dump-9.txt");

const HOSTS: &str = "on n1 { disk /dev/vdb; }\n on n2 { disk /dev/vdb; }\n";

/// The generated lines with hosts.
fn resource(version: Version, run_dir: &str) -> String {
    let hosts = match version {
        Version::Eight => HOSTS.to_owned(),
        Version::Nine => HOSTS.replace("disk", "node-id 1; disk"),
    };
    lines("r0", Path::new(run_dir), version).replacen("{\n", &format!("{{\n{hosts}"), 1)
}

fn found(text: &str) -> Vec<String> {
    problems(text, "r0", &["n1", "n2"], Path::new("/run/picket")).unwrap()
}

#[test]
fn what_is_generated_is_accepted() {
    for version in [Version::Eight, Version::Nine] {
        let text = resource(version, "/run/picket");
        assert_eq!(found(&text), Vec::<String>::new(), "{text}");
    }
    for dump in [EIGHT, NINE] {
        assert_eq!(found(dump), Vec::<String>::new(), "{dump}");
    }
    let text = resource(Version::Eight, "/run/other");
    assert_eq!(problems(&text, "r0", &["n1", "n2"], Path::new("/run/other")).unwrap(), Vec::<String>::new());
    assert_eq!(found(&text).len(), 1, "it would look for the daemon elsewhere");
}

#[test]
fn each_thing_that_would_undo_the_guarantee_is_found() {
    let good = resource(Version::Eight, "/run/picket");
    let cases = [
        ("protocol C;", "protocol B;", "net.protocol"),
        ("fencing resource-and-stonith;", "fencing resource-only;", "disk.fencing"),
        ("fencing resource-and-stonith;", "", "disk.fencing is \"dont-care\""),
        ("on-io-error call-local-io-error;", "on-io-error pass_on;", "disk.on-io-error"),
        ("on-io-error call-local-io-error;", "", "disk.on-io-error is \"detach\""),
        ("/usr/sbin/picket-drbd-fence-peer", "/usr/lib/drbd/crm-fence-peer.sh", "handlers.fence-peer"),
        ("/usr/sbin/picket-drbd-fence-peer", "/bin/true; picket-drbd-fence-peer", "handlers.fence-peer"),
        ("fence-peer \"/usr", "later \"/usr", "handlers.fence-peer is \"\""),
        ("local-io-error \"echo", "later \"echo", "handlers.local-io-error"),
        ("protocol C;", "protocol C; allow-two-primaries;", "net.allow-two-primaries is \"yes\""),
        ("protocol C;", "protocol C; allow-two-primaries yes;", "net.allow-two-primaries"),
        ("after-sb-0pri disconnect", "after-sb-0pri discard-zero-changes", "net.after-sb-0pri"),
        ("after-sb-1pri disconnect", "after-sb-1pri discard-secondary", "net.after-sb-1pri"),
        ("after-sb-2pri disconnect", "after-sb-2pri violently-as0p", "net.after-sb-2pri"),
        ("  handlers {", "  startup { become-primary-on both; }\n  handlers {", "startup.become-primary-on"),
        ("on n2 {", "on other {", "on n2"),
    ];
    for (from, to, expected) in cases {
        assert!(good.contains(from), "{from}");
        let wrong = found(&good.replace(from, to));
        assert!(wrong.len() == 1 && wrong[0].contains(expected), "{to}: {wrong:?}");
    }
    let nine = NINE;
    for auto in ["", "auto-promote yes;"] {
        let wrong = found(&nine.replace("auto-promote      no;", auto));
        assert!(wrong.len() == 1 && wrong[0].contains("auto-promote"), "{wrong:?}");
    }
}

#[test]
fn what_a_connection_or_a_volume_says_otherwise_is_found() {
    let cases = [
        ("connection { host n1; host n2; net { protocol A; } }", "connection.net.protocol is \"A\""),
        ("connection { net { fencing dont-care; } }", "connection.net.fencing is \"dont-care\""),
        ("connection { net { allow-two-primaries; } }", "connection.net.allow-two-primaries is \"yes\""),
        ("connection { net { after-sb-1pri discard-secondary; } }", "connection.net.after-sb-1pri"),
        ("volume 0 { disk { on-io-error detach; } }", "volume 0.disk.on-io-error is \"detach\""),
        ("disk { fencing resource-only; }", "disk.fencing is \"resource-only\""),
        // The first of two: the last one is the right one.
        ("net { protocol B; }", "net.protocol is \"B\""),
    ];
    for (more, expected) in cases {
        let wrong = found(&NINE.replacen("r0 {", &format!("r0 {{ {more}"), 1));
        assert!(wrong.len() == 1 && wrong[0].contains(expected), "{more}: {wrong:?}");
    }
    let good = "connection { host n1; host n2; net { protocol C; ping-timeout 5; } }";
    assert_eq!(found(&NINE.replacen("r0 {", &format!("r0 {{ {good}"), 1)), Vec::<String>::new());
}

#[test]
fn several_volumes_are_refused() {
    let disk = "disk /dev/vdb; meta-disk internal;";
    let hosts = format!(
        "on n1 {{ volume 0 {{ {disk} }} volume 1 {{ {disk} }} }} on n2 {{ volume 0 {{ {disk} }} }}\n"
    );
    let text =
        lines("r0", Path::new("/run/picket"), Version::Eight).replacen("{\n", &format!("{{\n{hosts}"), 1);
    let wrong = found(&text);
    assert!(wrong.len() == 1 && wrong[0].contains("several volumes"), "{wrong:?}");
}

#[test]
fn what_is_no_dump_is_an_error() {
    for text in [
        "",
        "resource r1 { net { protocol C; } }",
        "resource r0 { net {",
        "}",
        "resource r0 { a \"b",
        "resource r0 { a }",
        // No name of DRBD's has a slash: it would be taken for a section of a section.
        "resource r0/net { protocol C; }",
        "resource r0 { net/protocol C; }",
        "resource r0 { \u{1b}[2J { protocol A; } }",
    ] {
        assert!(problems(text, "r0", &[], Path::new("/run/picket")).is_err(), "{text:?}");
    }
}
