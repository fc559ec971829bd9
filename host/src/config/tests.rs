use super::{
    Document, HostPort, Reader, Source, Unique, boolean, duration, duration_within, host_port, integer,
    ip_address, list_of, name, one_of, parse_duration, path, socket_address, string,
};
use core::time::Duration;
use std::path::Path;

/// The messages of a file that is read by `read`.
fn messages(text: &str, read: impl FnOnce(&Document<'_>)) -> String {
    let source = Source::from_text("node.toml", text);
    let document = source.document();
    read(&document);
    document.finish(Some(())).err().map(|diagnostics| diagnostics.to_string()).unwrap_or_default()
}

fn one<T: 'static>(value: &str, reader: Reader<T>) -> Result<T, String> {
    let source = Source::from_text("f", format!("key = {value}"));
    let document = source.document();
    let read = document.root().required("key", reader);
    document.finish(read).map_err(|diagnostics| diagnostics.to_string())
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Loss {
    Freeze,
    Fastboot,
}

fn loss() -> Reader<Loss> {
    one_of([("freeze", Loss::Freeze), ("fastboot", Loss::Fastboot)])
}

fn read_everything(document: &Document<'_>) {
    let root = document.root();
    root.required("cluster", name());
    root.or("heartbeat", duration(), Duration::from_millis(100));
    root.optional("on_loss", loss());
    root.required("witness", host_port());
    if let Some(tls) = root.table_required("tls") {
        tls.required("key", path());
        tls.or("verify", boolean(), true);
    }
    let mut names = Unique::new();
    for node in root.tables_required("node") {
        let name = node.required("name", name());
        names.add(&node, "name", name.as_ref());
        node.required("address", list_of(socket_address()));
        node.or("votes", integer(0..=7_u8), 1);
    }
}

const GOOD: &str = r#"
cluster = "c1"
heartbeat = "25ms"
on_loss = "freeze"
witness = "w.example.org:7443"
[tls]
key = "/etc/picket/n1.key"
[[node]]
name = "n1"
address = ["10.0.0.1:7000", "[fd00::1]:7000"]
[[node]]
name = "n2"
address = ["10.0.0.2:7000"]
votes = 0
"#;

#[test]
fn a_good_file_has_no_messages() {
    assert_eq!(messages(GOOD, read_everything), "");
}

#[test]
fn all_errors_are_told_at_once_in_the_order_of_their_places() {
    let text = r#"
cluster = "c 1"
hartbeat = "25ms"
on_loss = "frezze"
witness = "w.example.org"

[tls]
ky = "/etc/picket/n1.key"
verify = "yes"

[[node]]
name = "n1"
address = ["10.0.0.1:7000", "10.0.0.1", 5]

[[node]]
name = "n1"
votes = 8
colour = "red"
"#;
    let expected = r#"node.toml:2:11: cluster: found "c 1"; expected a name of 1 to 63 letters, digits, "-", "_" or ".", starting with a letter or digit
node.toml:3:1: hartbeat: unknown key; expected the nearest known key "heartbeat"
node.toml:4:11: on_loss: found "frezze"; expected one of "freeze", "fastboot"
node.toml:5:11: witness: found "w.example.org"; expected a host and port such as "witness.example.org:7443" or "192.0.2.1:7443"
node.toml:7:1: tls.key: missing; expected an absolute path
node.toml:8:1: tls.ky: unknown key; expected the nearest known key "key"
node.toml:9:10: tls.verify: found "yes"; expected true or false
node.toml:13:29: node[0].address[1]: found "10.0.0.1"; expected an IP address and port such as "192.0.2.1:7000" or "[2001:db8::1]:7000"
node.toml:13:41: node[0].address[2]: found 5; expected an IP address and port such as "192.0.2.1:7000" or "[2001:db8::1]:7000"
node.toml:15:1: node[1].address: missing; expected a list, each an IP address and port such as "192.0.2.1:7000" or "[2001:db8::1]:7000"
node.toml:16:8: node[1].name: "n1" is already on line 12; expected a value that no other table has
node.toml:17:9: node[1].votes: found 8; expected a whole number from 0 to 7
node.toml:18:1: node[1].colour: unknown key; expected one of address, name, votes"#;
    assert_eq!(messages(text, read_everything), expected);
}

#[test]
fn an_empty_file_misses_everything_that_is_required() {
    let expected = r#"node.toml:1:1: cluster: missing; expected a name of 1 to 63 letters, digits, "-", "_" or ".", starting with a letter or digit
node.toml:1:1: witness: missing; expected a host and port such as "witness.example.org:7443" or "192.0.2.1:7443"
node.toml:1:1: tls: missing; expected a table [tls]
node.toml:1:1: node: missing; expected at least one table [[node]]"#;
    assert_eq!(messages("", read_everything), expected);
}

#[test]
fn things_of_the_wrong_shape_are_told_by_their_kind() {
    let expected = r#"node.toml:1:5: a: found a table; expected a list of tables [[a]]
node.toml:2:5: b: found 3; expected a table [b]
node.toml:3:6: c[0]: found a string; expected a table [c]
node.toml:4:5: d: found an array; expected a text that is not empty
node.toml:5:5: e: found 1.5; expected a whole number from 1 to 2
node.toml:6:5: f: found "x"; expected a list, each true or false"#;
    let text = "a = {}\nb = 3\nc = [\"x\"]\nd = []\ne = 1.5\nf = \"x\"\n";
    let found = messages(text, |document| {
        let root = document.root();
        root.tables("a");
        root.table("b");
        root.tables("c");
        root.required("d", string());
        root.required("e", integer(1..=2_u8));
        root.required("f", list_of(boolean()));
    });
    assert_eq!(
        found,
        expected.replace("found a string", "found \"x\"").replace("found 1.5", "found a float")
    );
}

#[test]
fn errors_of_syntax_are_told_together_and_alone() {
    let text = "cluster = \nheartbeat = \"x\nwitness = \"w:1\"\nwitness = \"w:2\"\n";
    let found = messages(text, read_everything);
    let places: Vec<&str> = found.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(
        places,
        ["node.toml:1:11:", "node.toml:2:15:", "node.toml:4:1:"].map(|p| p.trim_end_matches(':')),
        "{found}"
    );
    assert!(!found.contains("missing"), "{found}");
    assert!(found.lines().all(|line| line.contains("; expected ")), "{found}");
}

#[test]
fn columns_count_characters() {
    let found = messages("\"ключ\" = \"значение\"\n\"ü\" = { \"ß\" = 1 }", |document| {
        document.root().table("ü");
    });
    let expected = "node.toml:1:1: \"ключ\": unknown key; expected one of ü\n\
                    node.toml:2:9: \"ü\".\"ß\": unknown key; expected no key here";
    assert_eq!(found, expected);
}

#[test]
fn a_cross_field_error_stands_at_its_key() {
    let found = messages("[lease]\nlength = \"2s\"\n", |document| {
        let lease = document.root().table_required("lease").unwrap();
        lease.required("length", duration());
        lease.optional("guard", duration());
        lease.wrong("length", "2s is below 2W = 3s", "at least 3s");
        lease.wrong("guard", "no guard", "one");
        lease.wrong_table("it is odd", "an even one");
    });
    let expected = "node.toml:1:1: lease.guard: no guard; expected one\n\
                    node.toml:1:1: lease: it is odd; expected an even one\n\
                    node.toml:2:10: lease.length: 2s is below 2W = 3s; expected at least 3s";
    assert_eq!(found, expected);
}

#[test]
fn tables_by_name_are_read_with_their_names() {
    let text = "[volume.data]\nsize = 1\n[volume.\"log 2\"]\nsise = 2\n";
    let found = messages(text, |document| {
        let volumes = document.root().named_tables("volume");
        assert_eq!(volumes.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["data", "log 2"]);
        for (_, volume) in volumes {
            volume.or("size", integer(0..=9_u32), 0);
        }
    });
    assert_eq!(
        found,
        "node.toml:4:1: volume.\"log 2\".sise: unknown key; expected the nearest known key \"size\""
    );
}

#[test]
fn a_table_that_nobody_asks_for_is_unknown_as_a_whole() {
    let found = messages("[lab]\nwatchdog = \"x\"\n", |document| drop(document.root()));
    assert_eq!(found, "node.toml:1:2: lab: unknown key; expected no key here");
}

#[test]
fn a_file_that_cannot_be_read_is_one_problem() {
    let error = Source::read(Path::new("/nonexistent/node.toml")).unwrap_err();
    let expected = "/nonexistent/node.toml: cannot read it: No such file or directory (os error 2); expected a readable TOML file";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn no_value_without_a_problem_is_still_refused() {
    let source = Source::from_text("f", "");
    assert!(source.document().finish(None::<()>).is_err());
}

#[test]
fn durations_are_exact() {
    let table = [
        ("100ms", Some(100_000_000)),
        ("1.5s", Some(1_500_000_000)),
        ("2s", Some(2_000_000_000)),
        ("0s", Some(0)),
        ("2min", Some(120_000_000_000)),
        ("1m", Some(60_000_000_000)),
        ("1h", Some(3_600_000_000_000)),
        ("250us", Some(250_000)),
        ("0.25us", Some(250)),
        ("7ns", Some(7)),
        ("0.5ns", None),
        ("", None),
        ("s", None),
        ("5", None),
        ("-1s", None),
        ("1 s", None),
        ("1.s", None),
        (".5s", None),
        ("1.5.5s", None),
        ("1e3s", None),
        ("1S", None),
        ("999999999999h", None),
    ];
    for (text, nanos) in table {
        assert_eq!(parse_duration(text), nanos.map(Duration::from_nanos), "{text}");
    }
}

#[test]
fn ranges_of_durations_are_told() {
    let reader = || duration_within(Duration::from_millis(10)..=Duration::from_secs(1));
    assert_eq!(one("\"10ms\"", reader()), Ok(Duration::from_millis(10)));
    let expected =
        Err("f:1:7: key: found \"2s\"; expected a duration with its unit, such as \"1s\", from 10ms to 1s"
            .to_owned());
    assert_eq!(one("\"2s\"", reader()), expected);
}

#[test]
fn integers_know_their_range_and_radix() {
    assert_eq!(one("0x1f", integer(0..=31_u8)), Ok(31));
    assert_eq!(one("1_000", integer(0..=2000_u16)), Ok(1000));
    assert_eq!(one("-5", integer(-5..=5_i64)), Ok(-5));
    for wrong in ["32", "-1", "99999999999999999999", "1.0", "\"1\""] {
        assert!(one(wrong, integer(0..=31_u8)).is_err(), "{wrong}");
    }
}

#[test]
fn hosts_and_addresses() {
    let host = |host: &str, port| Ok(HostPort { host: host.to_owned(), port });
    assert_eq!(one("\"w.example.org:7443\"", host_port()), host("w.example.org", 7443));
    assert_eq!(one("\"[fd00::1]:1\"", host_port()), host("fd00::1", 1));
    assert_eq!(one("\"10.0.0.1:1\"", host_port()), host("10.0.0.1", 1));
    assert_eq!(one("\"[fd00::1]:1\"", host_port()).map(|h| h.to_string()), Ok("[fd00::1]:1".to_owned()));
    for wrong in ["w", "w:", ":1", "w:0", "w:70000", "w w:1", "fd00::1:1", "[w]:1", "a..b:1"] {
        assert!(one(&format!("\"{wrong}\""), host_port()).is_err(), "{wrong}");
    }
    assert!(one("\"fd00::1\"", ip_address()).is_ok());
    assert!(one("\"fd00::1:70000:g\"", ip_address()).is_err());
    assert!(one("\"relative\"", path()).is_err());
}

#[test]
fn a_check_tells_its_own_expectation() {
    let even = || {
        integer(0..=100_u8).check("an even number", |number| {
            if number % 2 == 0 { Ok(number / 2) } else { Err(format!("{number} is odd")) }
        })
    };
    assert_eq!(one("8", even()), Ok(4));
    assert_eq!(one("7", even()), Err("f:1:7: key: 7 is odd; expected an even number".to_owned()));
    assert_eq!(one("8", even().map(|half| half + 1)), Ok(5));
    let list = one("[2, 3, \"x\"]", list_of(even())).unwrap_err();
    let expected = "f:1:11: key[1]: 3 is odd; expected an even number\n\
                    f:1:14: key[2]: found \"x\"; expected a whole number from 0 to 100";
    assert_eq!(list, expected);
    assert_eq!(one("\"fastboot\"", loss()), Ok(Loss::Fastboot));
    assert_eq!(one("\"freeze\"", loss()), Ok(Loss::Freeze));
}
