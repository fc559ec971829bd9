use super::Command;
use crate::config::Commands;
use crate::driver::Wake;
use crate::time::now;
use crate::volume::drbd::tool;
use crate::volume::postgresql::server;
use crate::volume::{About, Order, Teller, VolumeDriver};
use core::time::Duration;
use picket_core::evidence::Generation;
use picket_core::ids::{GenerationId, NodeId, NodeSet, VolumeId};
use picket_core::node::{CommandId, CommandOutcome, Input, Role, VolumeAction, VolumeReport};
use picket_core::time::Instant;
use picket_host::process::{Captured, Descendants, Finished, Outcome};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tokio::sync::{mpsc, watch};

/// A volume made of files: `role`, `frozen`, and a log of what was done.
struct Volume {
    dir: tempfile::TempDir,
    orders: mpsc::Sender<Order>,
    told: mpsc::Receiver<Wake>,
    heard: watch::Sender<NodeSet>,
}

const STATUS: &str = "echo role=$(cat role); [ -e frozen ] && echo frozen=yes || echo frozen=no";

fn script(dir: &std::path::Path, name: &str, body: &str) -> Vec<String> {
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\ncd {}\n{body}\n", dir.display())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    vec![path.to_str().unwrap().to_owned()]
}

fn about(has_barrier: bool, heard: watch::Receiver<NodeSet>) -> About {
    let names = [(NodeId(1), "n1"), (NodeId(2), "n2"), (NodeId(3), "n3")];
    About {
        id: VolumeId(5),
        name: "data".to_owned(),
        me: NodeId(1),
        members: NodeSet::only(NodeId(1)).with(NodeId(2)),
        names: names.into_iter().map(|(id, name)| (id, name.to_owned())).collect::<BTreeMap<_, _>>(),
        state_dir: "/nonexistent".into(),
        heard,
        fenced: watch::channel(NodeSet::EMPTY).1,
        recorded: watch::channel(picket_core::node::Recorded::default()).1,
        gaps: crate::volume::Gaps::default(),
        has_barrier,
    }
}

fn volume(has_barrier: bool, change: impl FnOnce(&std::path::Path, &mut Commands)) -> Volume {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("role"), "secondary").unwrap();
    let make = |name: &str, body: &str| script(dir.path(), name, body);
    let mut commands = Commands {
        promote: make("promote", "env | grep ^PICKET_ | sort > env; echo primary > role"),
        demote: make("demote", "rm -f frozen; echo secondary > role"),
        freeze: Some(make("freeze", "touch frozen")),
        thaw: Some(make("thaw", "rm frozen")),
        status: make("status", STATUS),
        drop_peer: None,
        require_peer: None,
        monitor_interval: Duration::from_secs(3600),
        timeout: Duration::from_secs(20),
    };
    change(dir.path(), &mut commands);
    let (heard, hears) = watch::channel(NodeSet::only(NodeId(2)).with(NodeId(3)));
    let (orders, queue) = mpsc::channel(8);
    let (into, told) = mpsc::channel(64);
    let driver = Box::new(Command::new(commands, about(has_barrier, hears)));
    tokio::spawn(driver.live(queue, Teller::new(VolumeId(5), into)));
    Volume { dir, orders, told, heard }
}

impl Volume {
    async fn order(&self, command: u64, action: VolumeAction) {
        self.orders.send(Order { command: CommandId(command), action }).await.unwrap();
    }

    async fn next(&mut self) -> Input {
        match self.told.recv().await.unwrap() {
            Wake::Input(input) => *input,
            other @ Wake::Ask(_) => panic!("{other:?}"),
        }
    }

    async fn report(&mut self) -> VolumeReport {
        match self.next().await {
            Input::Volume { volume, report } => {
                assert_eq!(volume, VolumeId(5));
                report
            }
            other => panic!("{other:?}"),
        }
    }

    /// The next outcome, and the newest report before it.
    async fn done(&mut self) -> (CommandOutcome, Option<VolumeReport>) {
        let mut newest = None;
        loop {
            match self.next().await {
                Input::Volume { report, .. } => newest = Some(report),
                Input::VolumeDone { outcome, .. } => return (outcome, newest),
                other => panic!("{other:?}"),
            }
        }
    }
}

fn demote() -> VolumeAction {
    VolumeAction::Demote { deadline: now() + Duration::from_secs(20) }
}

#[tokio::test]
async fn without_a_barrier_the_peers_that_are_heard_count_as_connected() {
    let mut volume = volume(false, |_, _| {});
    let report = volume.report().await;
    let peer = NodeSet::only(NodeId(2));
    let expected = VolumeReport {
        role: Role::Secondary,
        frozen: false,
        complete: true,
        generation: Generation::first(GenerationId(1)),
        connected: peer,
        complete_peers: peer,
        required: NodeSet::EMPTY,
        lost: NodeSet::EMPTY,
    };
    assert_eq!(report, expected);
    volume.heard.send(NodeSet::EMPTY).unwrap();
    assert_eq!(volume.report().await.connected, NodeSet::EMPTY);
}

#[tokio::test]
async fn freeze_thaw_and_demote_are_what_the_status_shows() {
    let mut volume = volume(false, |dir, _| fs::write(dir.join("role"), "primary").unwrap());
    assert_eq!(volume.report().await.role, Role::Primary);
    volume.order(1, VolumeAction::Freeze).await;
    let (outcome, report) = volume.done().await;
    assert_eq!((outcome, report.unwrap().frozen), (CommandOutcome::Done, true));
    volume.order(2, VolumeAction::Thaw { valid_until: Instant::BOOT }).await;
    let late = CommandOutcome::Failed("it is too late to thaw".to_owned());
    assert_eq!(volume.done().await, (late, None));
    volume.order(3, VolumeAction::Thaw { valid_until: Instant::NEVER }).await;
    let (outcome, report) = volume.done().await;
    assert_eq!((outcome, report.unwrap().frozen), (CommandOutcome::Done, false));
    volume.order(4, demote()).await;
    let (outcome, report) = volume.done().await;
    assert_eq!((outcome, report.unwrap().role), (CommandOutcome::Done, Role::Secondary));
    volume.order(5, VolumeAction::RequirePeer { peer: NodeId(2) }).await;
    let (outcome, report) = volume.done().await;
    assert_eq!((outcome, report.unwrap().required), (CommandOutcome::Done, NodeSet::only(NodeId(2))));
}

#[tokio::test]
async fn a_program_that_only_says_done_is_not_believed() {
    let mut volume = volume(false, |dir, commands| {
        fs::write(dir.join("role"), "primary").unwrap();
        commands.demote = script(dir, "demote", "exit 0");
    });
    volume.order(1, demote()).await;
    let expected = "demote said done; status says Primary, frozen false".to_owned();
    assert_eq!(volume.done().await.0, CommandOutcome::Unknown(expected));
}

#[tokio::test]
async fn exit_codes_are_outcomes() {
    let table = [
        ("echo why >&2; exit 1", CommandOutcome::Failed("demote exited with 1: why".to_owned())),
        ("exit 2", CommandOutcome::Unknown("demote exited with 2: ".to_owned())),
        ("kill -9 $$", CommandOutcome::Unknown("demote ended by signal 9: ".to_owned())),
    ];
    for (body, expected) in table {
        let mut volume = volume(false, |dir, commands| commands.demote = script(dir, "demote", body));
        volume.order(1, demote()).await;
        assert_eq!(volume.done().await.0, expected);
    }
    let mut hanging = volume(false, |dir, commands| commands.demote = script(dir, "demote", "sleep 1000"));
    hanging.order(1, VolumeAction::Demote { deadline: now() + Duration::from_millis(300) }).await;
    let outcome = hanging.done().await.0;
    assert!(
        matches!(&outcome, CommandOutcome::Unknown(text) if text.starts_with("demote timed out")),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_freeze_does_not_stand_behind_another_program_and_ends_it() {
    let mut volume = volume(false, |dir, commands| {
        commands.require_peer = Some(script(dir, "require", "echo $$ > pid; exec sleep 1000"));
    });
    assert_eq!(volume.report().await.role, Role::Secondary);
    volume.order(1, VolumeAction::RequirePeer { peer: NodeId(2) }).await;
    let pid = volume.dir.path().join("pid");
    crate::testing::until("the program", async || pid.exists().then_some(())).await;
    volume.order(2, VolumeAction::Freeze).await;
    assert_eq!(volume.done().await.0, CommandOutcome::Done);
    let pid = fs::read_to_string(pid).unwrap();
    let process = std::path::PathBuf::from(format!("/proc/{}/exe", pid.trim()));
    crate::testing::until("the end of the program", async || (!process.exists()).then_some(())).await;
}

/// A thaw that stops its supervisor, so that it is killed late, as one that sleeps in the kernel; `then` is what it does
/// when it was given up.
fn late_thaw(dir: &std::path::Path, then: &str) -> Vec<String> {
    let body =
        format!("kill -STOP $PPID; echo $PPID > supervisor; until [ -e up ]; do sleep 0.01; done\n{then}");
    script(dir, "late", &body)
}

/// A volume whose thaw is under way when a newer order comes. Returns when that has had time to be done.
async fn overtaken(then: &str, newer: VolumeAction) -> Volume {
    let mut volume = volume(false, |dir, commands| {
        fs::write(dir.join("role"), "primary").unwrap();
        fs::write(dir.join("frozen"), "").unwrap();
        commands.thaw = Some(late_thaw(dir, then));
    });
    assert!(volume.report().await.frozen);
    volume.order(1, VolumeAction::Thaw { valid_until: Instant::NEVER }).await;
    let supervisor = volume.dir.path().join("supervisor");
    let written = || fs::read_to_string(&supervisor).is_ok_and(|text| text.ends_with('\n'));
    crate::testing::until("the thaw", async || written().then_some(())).await;
    volume.order(2, newer).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    fs::write(volume.dir.path().join("up"), "").unwrap();
    volume
}

#[tokio::test]
async fn a_freeze_comes_after_the_end_of_the_thaw_that_it_overtakes() {
    let then = "rm frozen; touch thawed; kill -CONT $PPID; sleep 1000";
    let mut volume = overtaken(then, VolumeAction::Freeze).await;
    let (outcome, report) = volume.done().await;
    assert_eq!((outcome, report.unwrap().frozen), (CommandOutcome::Done, true));
    assert!(volume.dir.path().join("thawed").exists(), "it froze beside the thaw");
    assert!(volume.dir.path().join("frozen").exists());
}

#[tokio::test]
async fn while_what_was_given_up_is_still_there_nothing_says_that_the_volume_is_secondary() {
    let soon = VolumeAction::Demote { deadline: now() + Duration::from_secs(2) };
    let mut volume = overtaken("sleep 1000", soon).await;
    let (outcome, report) = volume.done().await;
    assert!(matches!(&outcome, CommandOutcome::Unknown(text) if text.contains("given up")), "{outcome:?}");
    assert_eq!(report.unwrap().role, Role::Unknown);
    let written = |name| fs::read_to_string(volume.dir.path().join(name)).unwrap().trim().to_owned();
    assert_eq!(written("role"), "secondary", "it was tried all the same");
    // Nothing is opened beside it either.
    let supervisor = rustix::process::Pid::from_raw(written("supervisor").parse().unwrap()).unwrap();
    volume.order(3, VolumeAction::Thaw { valid_until: Instant::NEVER }).await;
    assert!(matches!(volume.done().await.0, CommandOutcome::Failed(_)));
    // What is seen counts again as soon as it has ended.
    rustix::process::kill_process(supervisor, rustix::process::Signal::CONT).unwrap();
    while volume.report().await.role != Role::Secondary {}
}

#[tokio::test]
async fn an_active_volume_is_still_seen_when_nobody_saw_the_end_of_a_program() {
    let told = |role: &str, lost: &str| {
        format!(
            "role={role}\ncomplete=yes\ngeneration=ff\nhistory=\nconnected=\ncomplete_peers=\nrequired=n2\nlost={lost}\n"
        )
    };
    let mut volume = volume(true, |dir, commands| {
        fs::write(dir.join("told"), told("primary", "")).unwrap();
        commands.monitor_interval = Duration::from_millis(20);
        commands.status = script(dir, "status", "cat told");
        commands.require_peer = Some(script(dir, "require", "kill -KILL $PPID; sleep 1000"));
        commands.demote = script(dir, "demote", ":");
    });
    assert_eq!(volume.report().await.role, Role::Primary);
    volume.order(1, VolumeAction::RequirePeer { peer: NodeId(2) }).await;
    assert!(matches!(volume.done().await.0, CommandOutcome::Unknown(_)));
    let tell = |volume: &Volume, role, lost| {
        let (new, file) = (volume.dir.path().join("new"), volume.dir.path().join("told"));
        fs::write(&new, told(role, lost)).unwrap();
        fs::rename(new, file).unwrap();
    };
    tell(&volume, "primary", "n2");
    let lost = NodeSet::only(NodeId(2));
    let report = volume.report().await;
    assert_eq!((report.role, report.lost), (Role::Primary, lost), "writes would hang for ever");
    // What could still change it keeps it from being out of service, until an order has waited for that.
    tell(&volume, "secondary", "n2");
    assert_eq!(volume.report().await.role, Role::Unknown);
    volume.order(2, VolumeAction::Demote { deadline: now() + Duration::from_secs(60) }).await;
    assert!(matches!(volume.done().await.0, CommandOutcome::Unknown(_)));
    volume.order(3, VolumeAction::Demote { deadline: now() + Duration::from_secs(60) }).await;
    assert_eq!(volume.done().await.0, CommandOutcome::Done);
}

#[tokio::test]
async fn a_status_that_is_not_understood_is_unknown_and_never_secondary() {
    for body in [
        "echo role=secondary; exit 1",
        "echo role=Secondary",
        "echo secondary",
        "echo role=secondary; echo role=primary",
        "echo role=secondary; echo colour=red",
        "echo role=secondary; echo frozen=maybe",
        "exit 0",
        "printf 'role=secondary\\377'",
        "kill -9 $$",
    ] {
        let mut volume = volume(false, |dir, commands| commands.status = script(dir, "status", body));
        let report = volume.report().await;
        assert_eq!(report.role, Role::Unknown, "{body}");
        assert!(!report.frozen);
    }
}

#[tokio::test]
async fn with_a_barrier_the_program_tells_everything() {
    let good = "echo role=primary; echo complete=yes; echo generation=ff; echo history=1,2; echo 'connected=n2'; \
                echo complete_peers=n2; echo required=n2; echo lost=";
    let mut barrier = volume(true, |dir, commands| commands.status = script(dir, "status", good));
    let peer = NodeSet::only(NodeId(2));
    let expected = VolumeReport {
        role: Role::Primary,
        frozen: false,
        complete: true,
        generation: Generation {
            current: GenerationId(255),
            history: vec![GenerationId(1), GenerationId(2)],
        },
        connected: peer,
        complete_peers: peer,
        required: peer,
        lost: NodeSet::EMPTY,
    };
    assert_eq!(barrier.report().await, expected);
    for (from, to) in
        [("generation=ff", "generation=xyz"), ("lost=", "lost=n3"), ("echo lost=", ":"), ("=yes", "=1")]
    {
        let body = good.replace(from, to);
        let mut broken = volume(true, |dir, commands| commands.status = script(dir, "status", &body));
        let report = broken.report().await;
        assert_eq!((report.role, report.complete), (Role::Unknown, false), "{to}");
    }
}

#[test]
fn what_a_program_wrote_is_told_in_one_harmless_line_and_half_an_answer_is_none() {
    let captured = |text: &str, dropped_bytes| Captured { bytes: text.as_bytes().to_vec(), dropped_bytes };
    let ended = |code, dropped_bytes| Finished {
        outcome: Outcome::Exited { code },
        descendants: Descendants::Gone,
        stdout: captured("answer\n", dropped_bytes),
        stderr: captured("one\n\u{1b}[2J\u{9b}31mtwo\r\n\n", 0),
        took: Duration::ZERO,
    };
    let failed = ended(9, 0);
    let all = [
        format!("{:?}", super::outcome("demote", &failed)),
        format!("{:?}", tool::answer(&["get-gi"], &failed)),
        format!("{:?}", server::well_ended("psql", &failed)),
    ];
    for told in all {
        let plain = told.contains("one; \u{fffd}[2J\u{fffd}31mtwo") && !told.contains("\\u{");
        assert!(plain, "{told}");
    }
    assert_eq!(tool::answer(&["get-gi"], &ended(0, 0)), Ok("answer\n".to_owned()));
    assert_eq!(server::well_ended("psql", &ended(0, 0)), Ok("answer\n".to_owned()));
    assert!(tool::answer(&["get-gi"], &ended(0, 1)).is_err());
    assert!(server::well_ended("psql", &ended(0, 1)).is_err());
}
