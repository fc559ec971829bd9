use super::*;
use picket_proto::v1::{
    StatusEvent, StatusFence, StatusMember, StatusPath, StatusPending, StatusQuorum, StatusWatchdog,
    StatusWitness, Unprotected,
};

fn volume(tag: &str, id: u32) -> StatusVolume {
    StatusVolume {
        local: "n1".into(),
        tag: tag.into(),
        id,
        state: "ISP".into(),
        prio: 1,
        primary: "n1".into(),
        role: "PRIMARY".into(),
        phase: "HOLDER".into(),
        epoch: 7,
        holder: "n1".into(),
        isr: vec!["n1".into(), "n2".into()],
        lease_left_ms: Some(1900),
        complete: true,
        failover: true,
        ..StatusVolume::default()
    }
}

fn status() -> Status {
    Status {
        schema: 1,
        lab: true,
        at: "2026-01-31T12:34:56.789Z".into(),
        cluster: "east".into(),
        node: "n1".into(),
        profile: "fast".into(),
        uptime_ms: 61_000,
        volumes: vec![volume("pg", 1)],
        ..Status::default()
    }
}

fn shown(status: &Status) -> String {
    lines(status, Paint::new(false)).join("\n")
}

#[test]
fn the_tree_has_the_columns_that_operators_know() {
    let text = shown(&status());
    let at = text.find("LOCAL").expect("the tree");
    let mut tree = text[at..].lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(tree.next().unwrap(), ["LOCAL", "TAG", "ID", "STATE", "PRIO", "PRIMARY"]);
    assert_eq!(tree.next().unwrap(), ["n1", "pg", "1", "ISP", "1", "n1"]);
}

#[test]
fn what_is_unprotected_is_said_before_everything_else() {
    let mut status = status();
    status.unprotected.push(Unprotected {
        word: "CANNOT_FENCE".into(),
        subject: "n2".into(),
        text: "login refused".into(),
        since: "2026-01-31T03:10:00.000Z".into(),
    });
    let text = shown(&status);
    let line = "CANNOT_FENCE n2: login refused since 2026-01-31T03:10:00.000Z";
    assert!(text.find(line).unwrap() < text.find("LOCAL").unwrap(), "{text}");
    assert!(!text.contains("Everything is protected"));
}

fn resource(tag: &str, needs: &[&str]) -> StatusResource {
    StatusResource {
        local: "n1".into(),
        tag: tag.into(),
        id: "command".into(),
        volume: "pg".into(),
        needs: needs.iter().map(|&needed| needed.into()).collect(),
        state: "ISP".into(),
        prio: 1,
        primary: "n1".into(),
        threshold: 3,
        ..StatusResource::default()
    }
}

#[test]
fn a_tree_shows_everything_once_with_what_it_needs_below_it() {
    let mut status = status();
    status.resources = vec![
        resource("fs", &["pg"]),
        resource("ip", &["fs"]),
        resource("db", &["fs"]),
        resource("app", &["ip", "db"]),
    ];
    let order: Vec<(usize, &str)> =
        tree::order(&status).into_iter().map(|(depth, node)| (depth, node.tag)).collect();
    assert_eq!(order, [(0, "app"), (1, "ip"), (2, "fs"), (3, "pg"), (1, "db")]);
    let text = shown(&status);
    assert!(text.contains("n1     app       command  ISP    1     n1"), "{text}");
    assert!(text.contains("n1           pg  1        ISP    1     n1"), "{text}");
}

#[test]
fn what_is_wrong_with_a_resource_is_said_below_the_tree() {
    let mut status = status();
    let mut ip = resource("ip", &["pg"]);
    (ip.state, ip.held, ip.failures, ip.text) =
        ("OSF".into(), "EXHAUSTED".into(), 3, "start exited with 1: no such device".into());
    let mut looked_at = resource("db", &["pg"]);
    looked_at.doing = "LOOKING".into();
    status.resources = vec![ip, looked_at];
    let text = shown(&status);
    assert!(text.contains("  ip: EXHAUSTED 3 of 3 failures: start exited with 1: no such device"), "{text}");
    assert!(!text.contains("LOOKING"), "{text}");
}

#[test]
fn a_circle_hides_nothing_and_ends() {
    let mut status = status();
    status.resources = vec![resource("one", &["two"]), resource("two", &["one"])];
    assert_eq!(tree::order(&status).len(), 3);
}

#[test]
fn why_a_volume_is_not_active_is_said_with_its_word() {
    let mut status = status();
    let volume = &mut status.volumes[0];
    (volume.why, volume.why_word) = ("n1 is not in the in-sync set".into(), "NOT_IN_SYNC".into());
    assert!(shown(&status).contains("pg: n1 is not in the in-sync set [NOT_IN_SYNC]"));
}

#[test]
fn marks_that_change_what_a_state_means_are_shown() {
    let mut status = status();
    let volume = &mut status.volumes[0];
    (volume.solo, volume.frozen, volume.overridden) = (true, true, true);
    (volume.exclusive_only, volume.failover) = (true, false);
    let text = shown(&status);
    for mark in ["solo", "frozen", "OVERRIDDEN", "exclusive only", "no failover"] {
        assert!(text.contains(mark), "{mark} in {text}");
    }
}

#[test]
fn every_section_is_there_with_what_matters() {
    let mut status = status();
    status.paths.push(StatusPath {
        machine: "n2".into(),
        network: "UDP".into(),
        addresses: "10.0.0.1/10.0.0.2".into(),
        state: "DEAD".into(),
        prio: 1,
        ..StatusPath::default()
    });
    status.members.push(StatusMember {
        node: "n2".into(),
        state: "SUSPECT".into(),
        held_off: true,
        standby: Some(true),
        ..StatusMember::default()
    });
    status.members.push(StatusMember {
        node: "n3".into(),
        standby: Some(true),
        held_for: vec!["n1".into()],
        ..StatusMember::default()
    });
    status.members.push(StatusMember { node: "n4".into(), ..StatusMember::default() });
    status.quorum = Some(StatusQuorum {
        mode: "majority".into(),
        verdict: "QUORATE".into(),
        votes: 2,
        needed: 2,
        reason: String::new(),
    });
    status.witness =
        Some(StatusWitness { address: "w:1".into(), error: "refused".into(), ..StatusWitness::default() });
    status.pending.push(StatusPending {
        target: "n2".into(),
        challenge: "1234".into(),
        heard_by: vec!["n3".into()],
        ..StatusPending::default()
    });
    status.fences.push(StatusFence { target: "n2".into(), test: "FAILED".into(), ..StatusFence::default() });
    status.watchdog = Some(StatusWatchdog { armed: true, petted: false, ..StatusWatchdog::default() });
    status.events.push(StatusEvent {
        level: "CRIT".into(),
        number: 1407,
        name: "operator-needed".into(),
        ..StatusEvent::default()
    });
    let text = shown(&status);
    for part in [
        "10.0.0.1/10.0.0.2  DEAD",
        "never",
        "SUSPECT",
        "picket clear",
        "QUORATE, 2 votes of 2 needed",
        "NOT CONNECTED, answered never: refused",
        "OPERATOR INTERVENTION REQUIRED",
        "picket confirm n2",
        "still heard by n3",
        "FAILED",
        "about to be reset",
        "[P1407 operator-needed]",
    ] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
    let line = |node: &str| {
        let mut members = text.lines().skip_while(|line| !line.starts_with("MEMBER"));
        members.find(|line| line.starts_with(node)).expect("a line of it")
    };
    assert!(line("n2").contains("STANDBY: takes no volume until 'picket node online'"), "{text}");
    assert!(line("n3").contains("HELD for n1") && line("n3").contains("'picket node online n3'"), "{text}");
    assert!(!line("n3").contains("STANDBY") && !line("n4").contains("STANDBY"), "{text}");
}

#[test]
fn colours_do_not_shift_columns() {
    let plain = lines(&status(), Paint::new(false));
    let coloured = lines(&status(), Paint::new(true));
    let stripped: Vec<String> = coloured
        .iter()
        .map(|line| {
            let parts = line.split('\u{1b}').enumerate();
            parts.map(|(at, part)| if at == 0 { part } else { part.split_once('m').unwrap().1 }).collect()
        })
        .collect();
    assert_eq!(stripped, plain);
    assert_ne!(coloured, plain);
}
