use super::*;

mod kinds;

const GOOD: &str = r#"
listen = "127.0.0.1:7410"
state = "/var/lib/picket-witness"
[tls]
ca = "/etc/picket/ca.pem"
cert = "/etc/picket/witness.pem"
key = "/etc/picket/witness.key"
[[cluster]]
name = "east"
[[cluster.node]]
name = "n1"
id = 1
[[cluster.node]]
name = "n2"
id = 2
[[cluster.volume]]
name = "pg"
id = 1
members = ["n2", "n1"]
[[cluster]]
name = "west"
profile = "wan"
timing = { lease = "4s", guard = "150ms" }
node = [{ name = "n1", id = 3 }]
volume = [{ name = "pg", id = 7 }]
"#;

fn parse(text: &str) -> Result<Config, Vec<String>> {
    Config::parse(&Source::from_text("w.toml", text))
        .map_err(|all| all.problems.iter().map(ToString::to_string).collect())
}

#[test]
fn a_good_file_is_read() {
    let config = parse(GOOD).expect("good");
    assert_eq!(config.clusters.len(), 2);
    let (east, west) = (&config.clusters[0], &config.clusters[1]);
    assert_eq!(east.params, Profile::Fast.params());
    assert_eq!(east.volumes[0].members, NodeSet::only(NodeId(1)).with(NodeId(2)));
    assert_eq!(west.params.lease, Duration::from_secs(4));
    assert_eq!(west.params.heartbeat, Profile::Wan.params().heartbeat);
    assert_eq!(west.volumes[0].members, NodeSet::only(NodeId(3)));
    assert_eq!(east.node_named("n2"), Some(NodeId(2)));
    assert_ne!(east.digest(), west.digest());
    assert!(!config.lab);
}

#[test]
fn every_error_is_told_at_once_with_its_place() {
    let bad = GOOD
        .replace("127.0.0.1:7410", "localhost")
        .replace("id = 2\n", "id = 17\n")
        .replace("\"n2\", \"n1\"", "\"n3\"")
        .replace("lease = \"4s\"", "leese = \"4s\"")
        .replace("name = \"west\"", "name = \"east\"");
    let problems = parse(&bad).expect_err("bad");
    let starts = ["w.toml:2:10:", "w.toml:15:6:", "w.toml:19:11:", "w.toml:21:8:", "w.toml:23:12:"];
    for start in starts {
        assert!(problems.iter().any(|problem| problem.starts_with(start)), "{start} in {problems:#?}");
    }
}

#[test]
fn a_broken_inequality_is_refused_with_its_numbers() {
    let problems = parse(&GOOD.replace("guard = \"150ms\"", "guard = \"10ms\"")).expect_err("guard");
    assert!(problems[0].contains("G ≥ 2ρL/(1−ρ) + lateness"), "{problems:#?}");
    assert!(problems[0].contains("G = 10 ms"), "{problems:#?}");
}

#[test]
fn a_watchdog_is_given_whole_or_not_at_all() {
    let none = GOOD.replace("lease = \"4s\"", "lease = \"4s\", no_watchdog = true");
    assert_eq!(parse(&none).expect("good").clusters[1].params.watchdog, None);
    let both = GOOD.replace("lease = \"4s\"", "no_watchdog = true, pet = \"20ms\"");
    assert!(parse(&both).expect_err("both")[0].contains("one or the other"));
    let half = GOOD
        .replace("profile = \"wan\"", "profile = \"lan-aggressive\"")
        .replace("lease = \"4s\", guard = \"150ms\"", "pet = \"20ms\"");
    assert!(parse(&half).expect_err("half")[0].contains("both or none"));
}

#[test]
fn a_file_without_clusters_is_refused() {
    let cut = GOOD.split("[[cluster]]").next().expect("head");
    assert!(parse(cut).expect_err("no cluster")[0].contains("cluster"));
}

#[test]
fn more_nodes_or_volumes_than_can_be_are_refused() {
    let volumes: String =
        (1..=101).map(|id| format!("[[cluster.volume]]\nname = \"v{id}\"\nid = {id}\n")).collect();
    let head = GOOD.split("[[cluster.volume]]").next().expect("head");
    let problems = parse(&format!("{head}{volumes}")).expect_err("too many");
    assert!(problems[0].contains("101 volumes") && problems[0].contains("at most 100"), "{problems:#?}");
}
