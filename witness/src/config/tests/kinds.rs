//! Every kind of fault that a witness's configuration can have, with what is told of it.

use super::{GOOD, parse};

const TLS: &str = "ca = \"/etc/picket/ca.pem\"";
const WEST: &str = "name = \"west\"";
const TIMING: &str = "lease = \"4s\", guard = \"150ms\"";
const N2: &str = "name = \"n2\"\nid = 2";
const PG: &str = "name = \"pg\"\nid = 1";
const MEMBERS: &str = "members = [\"n2\", \"n1\"]";

/// What is replaced in the good file, and by what.
fn cases() -> Vec<(&'static str, String)> {
    [the_program(), clusters(), timings(), nodes(), volumes()].concat()
}

fn the_program() -> Vec<(&'static str, String)> {
    vec![
        ("listen = \"127.0.0.1:7410\"", String::new()),
        ("127.0.0.1:7410", "w1.example:7410".into()),
        ("127.0.0.1:7410", "127.0.0.1:70000".into()),
        ("listen = \"127.0.0.1:7410\"", "listen = 7410".into()),
        ("listen = \"127.0.0.1:7410\"", "listen = \"127.0.0.1:7410\"\nlissen = \"x\"".into()),
        ("listen = \"127.0.0.1:7410\"", "listen = \"127.0.0.1:7410\"\nlisten = \"127.0.0.1:7411\"".into()),
        ("\"127.0.0.1:7410\"", "\"127.0.0.1:7410".into()),
        ("/var/lib/picket-witness", "var/lib/picket-witness".into()),
        (TLS, String::new()),
        (TLS, "ca = \"ca.pem\"".into()),
        (TLS, format!("{TLS}\npassword = \"x\"")),
        (
            "[tls]\nca = \"/etc/picket/ca.pem\"\ncert = \"/etc/picket/witness.pem\"\nkey = \"/etc/picket/witness.key\"",
            String::new(),
        ),
        ("[tls]", "[log]\ndetail = \"loud\"\n[tls]".into()),
        ("[tls]", "[log]\nfile = \"witness.log\"\n[tls]".into()),
        ("[tls]", "tls = \"/etc/picket\"\n[tls_]".into()),
    ]
}

fn clusters() -> Vec<(&'static str, String)> {
    vec![
        (WEST, String::new()),
        (WEST, "name = \"east\"".into()),
        (WEST, "name = \"the west\"".into()),
        (WEST, "name = \"\"".into()),
        (WEST, format!("{WEST}\nprofle = \"wan\"")),
        ("profile = \"wan\"", "profile = \"quick\"".into()),
        ("profile = \"wan\"", "profile = 3".into()),
    ]
}

fn timings() -> Vec<(&'static str, String)> {
    [
        "lease = \"4\"",
        "lease = 4",
        "lease = \"2h\"",
        "lease = \"0s\"",
        "lease = \"1s\", guard = \"150ms\"",
        "lease = \"4s\", guard = \"1ms\"",
        "lease = \"4s\", freeze_before = \"4s\"",
        "misses = 1",
        "misses = 101",
        "leese = \"4s\"",
        "pet = \"20ms\", no_watchdog = true",
        "no_watchdog = \"yes\"",
        "watchdog = \"3s\"",
    ]
    .map(|timing| (TIMING, timing.to_owned()))
    .to_vec()
}

fn nodes() -> Vec<(&'static str, String)> {
    let many = |count: u8| {
        (3..=count).map(|id| format!("[[cluster.node]]\nname = \"m{id}\"\nid = {id}\n")).collect::<String>()
    };
    vec![
        (N2, "name = \"n2\"\nid = 0".into()),
        (N2, "name = \"n2\"\nid = 17".into()),
        (N2, "name = \"n2\"\nid = 1".into()),
        (N2, "name = \"n1\"\nid = 2".into()),
        (N2, "name = \"n2\"".into()),
        (N2, "id = 2".into()),
        (N2, "name = \"n/2\"\nid = 2".into()),
        (N2, format!("{N2}\naddress = \"192.0.2.2\"")),
        ("[[cluster.volume]]", format!("{}[[cluster.volume]]", many(17))),
        ("node = [{ name = \"n1\", id = 3 }]", "node = []".into()),
        ("node = [{ name = \"n1\", id = 3 }]", String::new()),
    ]
}

fn volumes() -> Vec<(&'static str, String)> {
    vec![
        (PG, "name = \"pg\"\nid = 0".into()),
        (PG, "name = \"pg\"\nid = 65536".into()),
        (PG, "name = \"pg\"".into()),
        (PG, "id = 1".into()),
        (PG, format!("{PG}\n{MEMBERS}\n[[cluster.volume]]\nname = \"pg\"\nid = 2")),
        (PG, format!("{PG}\n{MEMBERS}\n[[cluster.volume]]\nname = \"db\"\nid = 1")),
        (MEMBERS, "members = []".into()),
        (MEMBERS, "members = [\"n3\"]".into()),
        (MEMBERS, "members = [\"n1\", \"n1\"]".into()),
        (MEMBERS, "members = \"n1\"".into()),
        (MEMBERS, "members = [1]".into()),
        ("volume = [{ name = \"pg\", id = 7 }]", "volume = []".into()),
        ("volume = [{ name = \"pg\", id = 7 }]", String::new()),
    ]
}

/// The cases, each with what is told of it.
fn told() -> String {
    let one = |(from, to): (&str, String)| {
        assert!(GOOD.contains(from), "{from:?} is in the good file");
        let short: String = to.chars().take(100).collect();
        let errors = parse(&GOOD.replacen(from, &to, 1))
            .map_or_else(|errors| errors.join("\n  => "), |_| "no error".into());
        format!("{short}\n  => {errors}\n")
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
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/tests/kinds.txt"), told())
        .expect("written");
}
