use super::{ALL, Words};
use crate::config::HeartbeatPath;
use crate::testing;
use picket_core::ids::{NodeId, PathId};
use picket_core::node::Event;
use picket_host::logging::check_codes;

#[test]
fn numbers_and_names_are_unique_and_ours() {
    assert_eq!(check_codes(ALL.iter().copied()), Ok(()));
    assert!(ALL.iter().all(|code| (1000..2000).contains(&code.number)));
}

#[test]
fn path_events_read_as_operators_know_them() {
    let mut config = testing::config("n1");
    let path = HeartbeatPath {
        network: "hb0".to_owned(),
        local: "10.0.0.1:7410".parse().unwrap(),
        remote: "10.0.0.2:7410".parse().unwrap(),
        prio: 1,
    };
    config.members.get_mut(&NodeId(2)).unwrap().paths = vec![path];
    let words = Words::new(&config);
    let (peer, path) = (NodeId(2), PathId(0));
    let table = [
        (Event::PathDead { peer, path }, "COMMUNICATION TO n2 BY 10.0.0.1:7410/10.0.0.2:7410 FAILED AT "),
        (Event::PathAlive { peer, path }, "COMMUNICATION TO n2 BY 10.0.0.1:7410/10.0.0.2:7410 RESTORE AT "),
        (Event::PeerSilent { peer }, "COMMUNICATIONS n2 FAILED AT "),
        (
            Event::HeartbeatMissed { peer, path, count: 1, limit: 3 },
            "missed heartbeat 1 of 3 on path 10.0.0.1:7410/10.0.0.2:7410 to n2",
        ),
        (
            Event::OperatorNeeded { target: peer, challenge: 4711 },
            "OPERATOR INTERVENTION REQUIRED to reset n2",
        ),
        (Event::OperatorDone { target: peer, confirmed: true }, "n2 is off: a person confirmed it"),
        (
            Event::OperatorDone { target: peer, confirmed: false },
            "n2 waits for no confirmation any more, and none was seen to count",
        ),
    ];
    for (event, start) in table {
        let told = words.tell(&event);
        assert!(told.text.starts_with(start), "{}", told.text);
        assert_eq!(told.node, "n2");
        assert_ne!(told.code.number, super::ALARM.number);
    }
}
