//! Tests of the tests: what counts as a device that could be used, and that a test never meets a fence.

use super::check::{Found, can_be_tested, check};
use super::rounds::Tests;
use super::tests::{Agent, agent, read};
use crate::config::{Config, TestDepth};
use crate::events::{self, Events};
use crate::testing;
use core::time::Duration;
use picket_core::ids::{NodeId, NodeSet};
use picket_core::topology::DeviceKind;
use picket_host::config::Source;
use std::sync::Arc;
use tokio::sync::watch;

const N2: NodeId = NodeId(2);

/// Long enough for every test here, far from its end.
const LIMIT: Duration = Duration::from_secs(60);

/// An agent that notes what it is asked and answers by the case.
fn answering(case: &str) -> Agent {
    agent(&format!("read line; echo \"$line\" >> asked; cat >/dev/null; case $line in {case} esac; exit 9"))
}

async fn checked(agent: &Agent, heard: bool) -> Found {
    check(&agent.device, "n2", || heard, Duration::from_millis(1)).await
}

#[tokio::test]
async fn only_a_device_that_monitors_and_reads_a_state_passes() {
    let table = [
        ("*monitor) exit 0;; *status) exit 0;;", true, true, "ON"),
        ("*monitor) exit 0;; *status) exit 2;;", false, true, "OFF"),
        ("*monitor) exit 0;; *status) exit 1;;", true, false, ""),
        ("*monitor) exit 0;; *status) kill -9 $$;;", true, false, ""),
        ("*monitor) echo login refused >&2; exit 1;; *status) exit 0;;", true, false, ""),
        ("*monitor) exit 2;; *status) exit 0;;", true, false, ""),
    ];
    for (case, heard, passed, state) in table {
        let agent = answering(case);
        let found = checked(&agent, heard).await;
        assert_eq!((found.passed, found.state), (passed, state), "{case}: {}", found.text);
        let asked = read(agent.dir.path(), "asked").unwrap();
        assert!(asked.lines().all(|line| ["action=monitor", "action=status"].contains(&line)), "{asked}");
    }
    let refused = answering("*monitor) echo login refused >&2; exit 1;;");
    assert_eq!(checked(&refused, true).await.text, "monitor exited with 1: login refused");
}

#[tokio::test]
async fn off_of_a_machine_that_is_heard_is_another_machines_plug() {
    let agent = answering("*monitor) exit 0;; *status) exit 2;;");
    let found = checked(&agent, true).await;
    assert!(!found.passed && found.text.contains("another machine"), "{found:?}");
    // Two looks: a machine that just went off is heard for a moment still.
    let asked = read(agent.dir.path(), "asked").unwrap();
    assert_eq!(asked.lines().filter(|line| *line == "action=status").count(), 2);
}

#[tokio::test]
async fn a_device_that_hangs_fails_at_its_timeout() {
    let mut agent = agent("sleep 1000");
    agent.device.timeout = Duration::from_millis(100);
    let found = checked(&agent, true).await;
    assert!(!found.passed, "{found:?}");
}

#[tokio::test]
async fn how_far_a_device_is_tested() {
    let case = "*monitor) exit 0;; *status) exit 1;;";
    let mut agent = answering(case);
    agent.device.test = TestDepth::Monitor;
    assert!(checked(&agent, true).await.passed);
    agent.device.test = TestDepth::Full;
    agent.device.kind = DeviceKind::Gate;
    assert!(checked(&agent, true).await.passed, "a gate has no power state");
    agent.device.test = TestDepth::None;
    assert!(!can_be_tested(&agent.device));
}

struct Room {
    tests: Tests,
    events: Events,
    writer: tokio::task::JoinHandle<()>,
    busy: watch::Sender<usize>,
    _hears: watch::Sender<NodeSet>,
}

fn room(agent: &Agent) -> Room {
    let mut config = Config::parse(&Source::from_text("picketd.toml", testing::text("n1"))).unwrap();
    config.fencing = [(N2, vec![vec![agent.device.clone()]])].into();
    let (events, writer) = events::room(None, "east", "n1");
    let writer = tokio::spawn(writer.run());
    let (busy, is_busy) = watch::channel(0);
    let (hears, heard) = watch::channel(NodeSet::EMPTY);
    let tests = Tests::new(Arc::new(config), events.clone(), heard, is_busy);
    Room { tests, events, writer, busy, _hears: hears }
}

#[tokio::test]
async fn it_is_told_once_when_a_device_begins_and_ceases_to_fail() {
    let agent = answering("*monitor) exit $(cat answer);; *status) exit 0;;");
    let answers = |code: &str| std::fs::write(agent.dir.path().join("answer"), code).unwrap();
    let room = room(&agent);
    let mut words = Vec::new();
    let mut since = Vec::new();
    for code in ["0", "1", "1", "0"] {
        answers(code);
        let found = room.tests.now(N2, "").await;
        assert_eq!(found.len(), 1);
        words.push(found[0].1.word);
        since.push(found[0].1.failing_since.clone());
    }
    assert_eq!(words, ["OK", "FAILED", "FAILED", "OK"]);
    assert!(since[0].is_empty() && !since[1].is_empty() && since[1] == since[2] && since[3].is_empty());
    let Room { tests, events, writer, .. } = room;
    let kept = events.clone();
    drop((tests, events));
    // The writer ends when nobody can tell any more; `kept` reads what it wrote.
    let told = tokio::time::timeout(LIMIT, async {
        loop {
            let told: Vec<_> = kept.newest(10).iter().map(|told| told.code.name).collect();
            if told.len() >= 2 {
                return told;
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(told.await.unwrap(), ["fence-test-failed", "fence-test-passed"]);
    writer.abort();
}

#[tokio::test]
async fn a_test_keeps_out_of_the_way_of_a_fence() {
    let agent = agent("echo $$ > pid; sleep 1000");
    let room = room(&agent);
    let tests = room.tests.clone();
    let testing = tokio::spawn(async move { tests.now(N2, "").await });
    let pid = tokio::time::timeout(LIMIT, async {
        loop {
            if let Some(pid) = read(agent.dir.path(), "pid").and_then(|text| text.trim().parse::<u32>().ok())
            {
                return pid;
            }
            tokio::task::yield_now().await;
        }
    });
    let pid = pid.await.unwrap();
    room.busy.send_replace(1);
    let found = tokio::time::timeout(LIMIT, testing).await.unwrap().unwrap();
    assert_eq!(found[0].1.word, "UNTESTED", "{found:?}");
    // Killed, not left to finish beside the fence.
    let gone = || !std::path::Path::new(&format!("/proc/{pid}/cmdline")).exists();
    tokio::time::timeout(LIMIT, async {
        while !gone() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    // And none begins while one runs.
    let tests = room.tests.clone();
    let waiting = tokio::spawn(async move { tests.now(N2, "").await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    waiting.abort();
}

#[tokio::test]
async fn devices_are_named_by_level_place_or_agent() {
    let agent = answering("*) exit 0;;");
    let room = room(&agent);
    for (which, count) in
        [("", 1), ("1", 1), ("1.1", 1), ("fence_test", 1), ("2", 0), ("1.2", 0), ("fence", 0)]
    {
        assert_eq!(room.tests.now(N2, which).await.len(), count, "{which:?}");
    }
    assert!(room.tests.now(NodeId(3), "").await.is_empty());
}
