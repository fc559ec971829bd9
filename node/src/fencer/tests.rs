use super::history::{ENTRIES_MAX, Entry, History};
use super::{Ended, carry_out};
use crate::config::{ActionMap, FenceDevice, TestDepth};
use crate::time::now;
use core::time::Duration;
use picket_core::ids::NodeId;
use picket_core::time::Instant;
use picket_core::topology::{DeviceKind, DeviceOrder, DeviceVerdict, OrderId, PowerAction};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub(super) struct Agent {
    pub(super) dir: tempfile::TempDir,
    pub(super) device: FenceDevice,
}

pub(super) fn agent(script: &str) -> Agent {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fence_test");
    fs::write(&path, format!("#!/bin/sh\ncd {}\n{script}\n", dir.path().display())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let device = FenceDevice {
        agent: Some(path),
        args: Vec::new(),
        kind: DeviceKind::Power,
        timeout: Duration::from_secs(10),
        retries: 0,
        delay: Duration::ZERO,
        options: BTreeMap::from([("port".to_owned(), "n2".to_owned())]),
        secrets: BTreeMap::new(),
        test: TestDepth::Full,
        actions: ActionMap::default(),
    };
    Agent { dir, device }
}

fn order(timeout: Duration) -> DeviceOrder {
    DeviceOrder {
        order: OrderId(1),
        target: NodeId(2),
        level: 0,
        device: 0,
        action: PowerAction::Off,
        start_before: Instant::NEVER,
        delay: Duration::ZERO,
        timeout,
    }
}

async fn run(agent: &Agent) -> Ended {
    carry_out(&agent.device, "n2", order(Duration::from_secs(10))).await
}

pub(super) fn read(dir: &Path, name: &str) -> Option<String> {
    fs::read_to_string(dir.join(name)).ok()
}

#[tokio::test]
async fn an_agents_exit_code_is_its_verdict() {
    let table = [
        (DeviceKind::Power, "exit 0", DeviceVerdict::ConfirmedOff),
        (DeviceKind::Power, "exit 1", DeviceVerdict::Failed),
        (DeviceKind::Power, "exit 2", DeviceVerdict::Unknown),
        (DeviceKind::Power, "exit 127", DeviceVerdict::Unknown),
        (DeviceKind::Power, "kill -9 $$", DeviceVerdict::Unknown),
        (DeviceKind::Power, "kill -15 $$", DeviceVerdict::Unknown),
        (DeviceKind::Gate, "exit 0", DeviceVerdict::GatePassed),
        (DeviceKind::Gate, "exit 2", DeviceVerdict::GateAbort),
        (DeviceKind::Gate, "exit 1", DeviceVerdict::Failed),
        (DeviceKind::Gate, "kill -9 $$", DeviceVerdict::Failed),
    ];
    for (kind, script, expected) in table {
        let mut agent = agent(script);
        agent.device.kind = kind;
        assert_eq!(run(&agent).await.verdict, expected, "{kind:?}: {script}");
    }
}

#[tokio::test]
async fn only_what_is_configured_as_a_gate_is_told_that_it_is_one() {
    for (kind, expected) in [(DeviceKind::Gate, "gate\n"), (DeviceKind::Power, "\n")] {
        let mut agent = agent("echo \"$PICKET_FENCE_ROLE\" > role");
        agent.device.kind = kind;
        run(&agent).await;
        assert_eq!(read(agent.dir.path(), "role").as_deref(), Some(expected), "{kind:?}");
    }
}

#[tokio::test]
async fn words_do_not_make_a_success() {
    let ended = run(&agent("echo 'Success: Powered OFF'; exit 3")).await;
    assert_eq!(ended.verdict, DeviceVerdict::Unknown);
    assert_eq!(ended.text, "exited with 3: Success: Powered OFF");
    let colours = run(&agent("printf 'a\\033[2Jb'; exit 1")).await;
    assert_eq!(colours.text, "exited with 1: a\u{fffd}[2Jb");
    let garbage = run(&agent("head -c 300000 /dev/urandom; exit 1")).await;
    assert_eq!(garbage.verdict, DeviceVerdict::Failed);
    assert!(garbage.text.chars().count() < 500, "{}", garbage.text.len());
}

#[tokio::test]
async fn options_and_secrets_come_on_standard_input_and_nowhere_else() {
    let mut agent = agent("cat > input; tr '\\0' ' ' < /proc/$$/cmdline > cmdline; env > environment");
    let secret = agent.dir.path().join("password");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&secret).unwrap();
    std::io::Write::write_all(&mut file, b"s3cret\n").unwrap();
    agent.device.options.insert("ip".to_owned(), "10.0.0.9".to_owned());
    agent.device.secrets.insert("password".to_owned(), secret);
    assert_eq!(run(&agent).await.verdict, DeviceVerdict::ConfirmedOff);
    let input = read(agent.dir.path(), "input").unwrap();
    assert_eq!(input, "action=off\nnodename=n2\nip=10.0.0.9\nport=n2\npassword=s3cret\n");
    for name in ["cmdline", "environment"] {
        let text = read(agent.dir.path(), name).unwrap();
        assert!(!text.contains("s3cret") && !text.contains("10.0.0.9"), "{name}: {text}");
    }
}

#[tokio::test]
async fn an_agent_finds_the_credentials_of_the_service() {
    for (given, expected) in
        [(Some("/run/credentials/picketd.service"), "/run/credentials/picketd.service\n"), (None, "\n")]
    {
        let agent = agent("echo \"$CREDENTIALS_DIRECTORY\" > credentials");
        let program = super::program(&agent.device, "n2", "off", given.map(Into::into)).unwrap();
        super::run(program, (super::now() + Duration::from_secs(10)).elapsed()).await;
        assert_eq!(read(agent.dir.path(), "credentials").as_deref(), Some(expected));
    }
}

#[tokio::test]
async fn a_secret_that_others_can_read_is_not_used() {
    let mut agent = agent("touch ran");
    let secret = agent.dir.path().join("password");
    fs::write(&secret, "s3cret").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    agent.device.secrets.insert("password".to_owned(), secret);
    let ended = run(&agent).await;
    assert_eq!(ended.verdict, DeviceVerdict::Failed);
    assert!(ended.text.contains("mode is 0644") && !ended.text.contains("s3cret"), "{}", ended.text);
    assert_eq!(read(agent.dir.path(), "ran"), None);
}

#[tokio::test]
async fn an_agent_that_hangs_is_killed_with_all_it_started() {
    let agent = agent(
        "(sleep 1000; touch outlived) & echo $! > child; setsid sh -c 'sleep 1000' & echo $! >> child; wait",
    );
    let ended = carry_out(&agent.device, "n2", order(Duration::from_millis(500))).await;
    assert_eq!(ended.verdict, DeviceVerdict::Unknown);
    assert!(ended.text.starts_with("timed out; all of it was killed"), "{}", ended.text);
    let children = read(agent.dir.path(), "child").unwrap();
    for pid in children.lines() {
        assert!(!PathBuf::from(format!("/proc/{pid}")).exists(), "{pid} is still there");
    }
}

#[tokio::test]
async fn an_order_whose_start_has_passed_starts_nothing() {
    let agent = agent("touch ran");
    let past = DeviceOrder { start_before: now(), ..order(Duration::from_secs(10)) };
    let ended = carry_out(&agent.device, "n2", past).await;
    assert_eq!(ended.verdict, DeviceVerdict::TooLate);
    // The delay counts as well: it is over only after the start has passed.
    let start_before = now() + Duration::from_millis(20);
    let late =
        DeviceOrder { start_before, delay: Duration::from_millis(40), ..order(Duration::from_secs(10)) };
    assert_eq!(carry_out(&agent.device, "n2", late).await.verdict, DeviceVerdict::TooLate);
    assert_eq!(read(agent.dir.path(), "ran"), None);
}

#[tokio::test]
async fn an_agent_that_is_not_there_has_failed() {
    let mut agent = agent("exit 0");
    agent.device.agent = Some(PathBuf::from("/nonexistent/fence_none"));
    assert_eq!(run(&agent).await.verdict, DeviceVerdict::Failed);
}

#[tokio::test]
async fn on_is_told_as_on() {
    let agent = agent("cat > input");
    let on = DeviceOrder { action: PowerAction::On, ..order(Duration::from_secs(10)) };
    let ended = carry_out(&agent.device, "n2", on).await;
    assert_ne!(ended.verdict, DeviceVerdict::ConfirmedOff);
    assert!(read(agent.dir.path(), "input").unwrap().starts_with("action=on\n"));
}

fn entry(target: &str, permit: u64) -> Entry {
    Entry { target: target.to_owned(), permit, ..Entry::default() }
}

#[test]
fn the_history_is_kept_and_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(dir.path());
    let first = history.begin(entry("n2", 0));
    history.end(first, "t".to_owned(), "UNKNOWN", "it hung".to_owned());
    for permit in 1..=3 {
        history.begin(entry("n3", permit));
    }
    let again = History::open(dir.path());
    let about: Vec<_> = again.newest("n2", 10).into_iter().map(|e| (e.outcome, e.text)).collect();
    assert_eq!(about, [("UNKNOWN".to_owned(), "it hung".to_owned())]);
    assert_eq!(again.newest("", 2).iter().map(|e| e.permit).collect::<Vec<_>>(), [3, 2]);
    for permit in 1..ENTRIES_MAX as u64 {
        history.begin(entry("n4", permit));
    }
    let last = history.begin(entry("n4", 0));
    history.end(first, String::new(), "LOST", String::new());
    history.end(last, String::new(), "CONFIRMED_OFF", String::new());
    assert_eq!(history.newest("", usize::MAX).len(), ENTRIES_MAX);
    assert_eq!(history.newest("", 1)[0].outcome, "CONFIRMED_OFF");
    assert!(history.newest("", usize::MAX).iter().all(|entry| entry.outcome != "LOST"));
}

#[test]
fn a_damaged_history_is_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    History::open(dir.path()).begin(entry("n2", 1));
    let path = dir.path().join("fence.history");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(History::open(dir.path()).newest("", 10).is_empty());
    assert!(dir.path().join("fence.damaged").exists());
}
