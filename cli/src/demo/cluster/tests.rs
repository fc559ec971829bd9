//! What needs no running daemon: the configurations that are written, the addresses, the times. That clusters run
//! is shown by the demonstration and by the end-to-end tests.

use super::addresses::Net;
use super::config::Writer;
use super::files::Files;
use super::*;
use crate::demo::links::Links;
use core::time::Duration;
use picket_core::topology::DeviceKind;
use picket_host::clock::rfc3339;
use picket_proto::v1::{Status, StatusMember, StatusVolume, StatusWitness};
use std::net::{IpAddr, Ipv6Addr};
use std::time::UNIX_EPOCH;

fn spec(nodes: usize) -> ClusterSpec {
    ClusterSpec::new(nodes, std::env::current_exe().unwrap())
}

#[tokio::test]
async fn the_programs_accept_what_is_written_for_them_and_agree() {
    let spec = ClusterSpec {
        fence: vec![FenceLevel::Process { timeout: Duration::from_secs(2) }, FenceLevel::Meatware],
        volumes: vec!["v1".into(), "v2".into()],
        ..spec(3)
    };
    let (files, net, links) = (Files::make(&spec).unwrap(), Net::take().unwrap(), Links::new(spec.seed));
    files.make_secrets(&spec).unwrap();
    let writer = Writer { spec: &spec, files: &files, net: &net, links: &links };
    let witness = picket_witness::config::Config::read(&writer.witness().unwrap()).unwrap();
    let cluster = &witness.clusters[0];
    for number in 1..=3 {
        let node = picket_node::config::Config::read(&writer.node(number).await.unwrap());
        let node = node.unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(node.digest(), cluster.digest(), "node and witness must be configured alike");
        assert_eq!(node.fencing.len(), 2);
        let kinds = |levels: &Vec<Vec<picket_node::config::FenceDevice>>| {
            levels.iter().flatten().map(|device| device.kind).collect::<Vec<_>>()
        };
        assert!(
            node.fencing.values().all(|levels| kinds(levels) == [DeviceKind::Power, DeviceKind::Meatware])
        );
        for volume in 0..2 {
            let file = writer.ledger(number, volume).await.unwrap();
            let ledger = picket_ledger::Config::load(&file).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(ledger.peers.len(), 2);
        }
    }
}

#[tokio::test]
async fn machines_in_places_of_their_own_reach_each_other_there() {
    let place = |host: u16| Place {
        enter: vec!["env".into()],
        networks: (1..=2).map(|network| Ipv6Addr::new(0xfd00, network, 0, 0, 0, 0, 0, host).into()).collect(),
        desk: Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, host).into(),
    };
    let machines = [("n1", 1), ("n2", 2), (WITNESS, 200)];
    let places = machines.iter().map(|(name, host)| ((*name).to_owned(), place(*host))).collect();
    let spec = ClusterSpec { places, ..spec(2) };
    spec.check().unwrap();
    let (files, net, links) = (Files::make(&spec).unwrap(), Net::of(&spec.places).unwrap(), Links::new(1));
    files.make_secrets(&spec).unwrap();
    let writer = Writer { spec: &spec, files: &files, net: &net, links: &links };
    let witness = picket_witness::config::Config::read(&writer.witness().unwrap()).unwrap();
    assert!(witness.listen.ip().is_unspecified() && witness.listen.is_ipv6(), "{}", witness.listen);
    let node = picket_node::config::Config::read(&writer.node(1).await.unwrap());
    let node = node.unwrap_or_else(|errors| panic!("{errors}"));
    let hosts: Vec<&str> = node.witness.addresses.iter().map(|address| address.host.as_str()).collect();
    assert_eq!(hosts, ["fd00:1::c8", "fd00:2::c8"]);
    let ledger = picket_ledger::Config::load(&writer.ledger(1, 0).await.unwrap()).unwrap();
    assert_eq!(ledger.listen_clients.ip(), places_ip("fd00:9::1"));
    assert_eq!(ledger.peers[0].addr.ip(), places_ip("fd00:1::2"));
    let mut homeless = spec;
    homeless.places.remove("n2");
    assert!(homeless.check().is_err());
}

fn places_ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn each_watchdog_is_what_the_daemon_reads() {
    for (watchdog, counts) in
        [(Watchdog::Counts, Some(true)), (Watchdog::CountsNot, Some(false)), (Watchdog::None, None)]
    {
        let spec = ClusterSpec { watchdog, ..spec(2) };
        let (files, net, links) = (Files::make(&spec).unwrap(), Net::take().unwrap(), Links::new(1));
        files.make_secrets(&spec).unwrap();
        let writer = Writer { spec: &spec, files: &files, net: &net, links: &links };
        let node = picket_node::config::Config::read(&writer.node(1).await.unwrap());
        assert_eq!(node.unwrap_or_else(|errors| panic!("{errors}")).watchdog.counts, counts);
    }
}

#[test]
fn a_spec_that_cannot_run_is_refused_before_anything_is_made() {
    assert!(spec(2).check().is_ok());
    assert!(spec(1).check().is_err());
    assert!(spec(17).check().is_err());
    assert!(ClusterSpec { paths: 0, ..spec(2) }.check().is_err());
    assert!(ClusterSpec { volumes: Vec::new(), ..spec(2) }.check().is_err());
    assert!(ClusterSpec::new(2, "/nowhere/picket").check().is_err());
}

#[test]
fn two_labs_never_share_a_net() {
    let nets: Vec<Net> = (0..8).map(|_| Net::take().unwrap()).collect();
    let mut witnesses: Vec<_> = nets.iter().map(Net::witness).collect();
    witnesses.sort();
    witnesses.dedup();
    assert_eq!(witnesses.len(), nets.len());
}

#[test]
fn the_temporary_directory_goes_and_a_given_one_stays() {
    let files = Files::make(&spec(2)).unwrap();
    let root = files.root().to_owned();
    assert!(root.join("bin/picketd").is_symlink());
    files.remove().unwrap();
    assert!(!root.exists());
    let dir = tempfile::tempdir().unwrap();
    let given = dir.path().join("lab");
    Files::make(&ClusterSpec { dir: Some(given.clone()), ..spec(2) }).unwrap().remove().unwrap();
    assert!(given.exists());
}

#[test]
fn times_of_the_event_log_are_read_back() {
    for seconds in [0_u64, 951_782_400, 1_769_862_896, 4_102_444_799] {
        let instant = UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 789);
        assert_eq!(wall_ms(&rfc3339(instant)), Some(seconds * 1000 + 789), "{}", rfc3339(instant));
    }
    for wrong in
        ["", "2026-01-31", "2026-01-31T12:34:56Z", "2026-13-31T12:34:56.789Z", "x-01-31T12:34:56.789Z"]
    {
        assert_eq!(wall_ms(wrong), None, "{wrong}");
    }
}

fn holding(node: &str, state: &str, frozen: bool) -> Status {
    let volume = StatusVolume {
        tag: "v1".into(),
        state: state.into(),
        primary: node.into(),
        frozen,
        complete: true,
        isr: vec!["n1".into(), "n2".into()],
        connected: vec!["n2".into()],
        ..StatusVolume::default()
    };
    Status {
        node: node.into(),
        volumes: vec![volume],
        witness: Some(StatusWitness { registered: true, ..StatusWitness::default() }),
        members: vec![StatusMember { node: "n2".into(), state: "ALIVE".into(), ..StatusMember::default() }],
        ..Status::default()
    }
}

fn view(statuses: [Option<Status>; 2]) -> View {
    View { nodes: ["n1".to_owned(), "n2".to_owned()].into_iter().zip(statuses).collect(), ..View::default() }
}

#[test]
fn in_service_is_exactly_one_that_is_not_frozen() {
    let (active, idle) = (|node| Some(holding(node, "ISP", false)), |node| Some(holding(node, "OSU", false)));
    assert_eq!(view([active("n1"), idle("n2")]).in_service("v1").as_deref(), Some("n1"));
    assert_eq!(view([active("n1"), active("n2")]).in_service("v1"), None);
    assert!(!view([active("n1"), active("n2")]).is_nowhere("v1"), "two are not none");
    assert!(view([Some(holding("n1", "ISP", true)), idle("n2")]).is_nowhere("v1"));
    assert_eq!(view([Some(holding("n1", "ISP", true)), idle("n2")]).in_service("v1"), None);
    assert_eq!(view([None, idle("n2")]).in_service("v1"), None);
    assert_eq!(view([active("n1"), None]).in_service("v2"), None);
}

#[test]
fn healthy_needs_every_replica_and_every_connection() {
    let good = view([Some(holding("n1", "ISP", false)), Some(holding("n2", "OSU", false))]);
    assert!(good.all_in_sync("v1", 2) && good.all_connected());
    let mut behind = good.clone();
    behind.nodes.get_mut("n2").unwrap().as_mut().unwrap().volumes[0].complete = false;
    assert!(!behind.all_in_sync("v1", 2));
    let mut silent = good.clone();
    silent.nodes.get_mut("n1").unwrap().as_mut().unwrap().members[0].state = "SUSPECT".into();
    assert!(!silent.all_connected());
    assert!(!view([Some(holding("n1", "ISP", false)), None]).all_connected());
}
