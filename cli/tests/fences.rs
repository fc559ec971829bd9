//! The verbs about fences, as operators type them, against real daemons and real power switches of lab machines.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)] // a test fails by them

mod common;

use common::{LIMIT, PROGRAM, json, out, run};
use core::time::Duration;
use picket::demo::cluster::{Cluster, ClusterSpec, View};
use std::path::Path;

/// Short, so that the clock finds a fault soon.
const TEST_INTERVAL: Duration = Duration::from_millis(500);

fn boot(view: &View, seen_by: &str, node: &str) -> Option<String> {
    let member = view.node(seen_by)?.members.iter().find(|member| member.node == node)?;
    (member.state == "ALIVE").then(|| member.boot.clone())
}

/// One lab for the whole story: a cluster takes seconds to come up.
#[tokio::test(flavor = "multi_thread")]
async fn devices_are_tested_a_standby_is_drilled_and_the_history_tells() {
    let spec = ClusterSpec {
        client_pace: Some(Duration::from_millis(5)),
        fence_test_interval: Some(TEST_INTERVAL),
        ..ClusterSpec::new(2, PROGRAM)
    };
    let cluster = Cluster::start(spec).await.unwrap();
    cluster.wait_healthy(LIMIT).await.unwrap();
    let holder = cluster.wait_in_service("v1", LIMIT).await.unwrap();
    let other = if holder == "n1" { "n2" } else { "n1" };
    let (here, there) = (cluster.control_socket(&holder), cluster.control_socket(other));

    tests(&cluster, &here, &holder, other).await;

    // Who is in service is not drilled, nor is a node that nothing is typed for.
    out(&run(&there, &["fence", "drill", &holder], &format!("{holder}\n")).await, 4);
    out(&run(&here, &["fence", "drill", &holder], "").await, 4);
    out(&run(&here, &["fence", "drill", other], "yes\n").await, 6);
    let before = boot(&cluster.view().borrow().clone(), &holder, other).expect("alive");
    let drilled = json(&run(&here, &["--json", "fence", "drill", other], &format!("{other}\n")).await, 0);
    assert_eq!((&drilled["ok"], &drilled["level"]), (&true.into(), &1.into()), "{drilled}");
    // The old boot is a member until its silence is noticed: only another one tells that it was powered off.
    let renewed = |view: &View| boot(view, &holder, other).is_some_and(|boot| boot != before);
    cluster.wait_for("a new boot", LIMIT, renewed).await.unwrap();
    assert_eq!(cluster.wait_in_service("v1", LIMIT).await.unwrap(), holder, "the service did not move");

    let history = json(&run(&here, &["--json", "fence", "history", other], "").await, 0);
    let outcomes: Vec<_> =
        history["entries"].as_array().unwrap().iter().map(|e| e["outcome"].clone()).collect();
    assert_eq!(outcomes, ["ON", "CONFIRMED_OFF"], "{history}");
    let status = json(&run(&here, &["--json", "status"], "").await, 0);
    assert_eq!(status["fences"][0]["kind"], "power", "{status}");
    let shown = out(&run(&here, &["fence", "history"], "").await, 0);
    assert!(shown.contains("fence_picket_process") && shown.contains("CONFIRMED_OFF"), "{shown}");

    stays_off(&cluster, &here, &there, (&holder, other)).await;
    cluster.end().await.unwrap().remove().unwrap();
}

/// A switch that does not answer is seen before it is needed, and so is its repair: by the clock, before anybody asks.
async fn tests(cluster: &Cluster, here: &Path, holder: &str, other: &str) {
    let test = |view: &View, word: &str| {
        let fences = &view.node(holder)?.fences;
        fences.iter().find(|fence| fence.target == other && fence.test == word).cloned()
    };
    let tested = |word: &'static str| move |view: &View| test(view, word).is_some();
    cluster.wait_for("a first test by the clock", LIMIT, tested("OK")).await.unwrap();
    cluster.machine(other).unwrap().switch_answers(false).await.unwrap();
    let view = cluster.wait_for("the clock finds it", LIMIT, tested("FAILED")).await.unwrap();
    assert!(!test(&view, "FAILED").unwrap().failing_since.is_empty());
    let told = |view: &View| view.first(holder, "fence-test-failed", 0).is_some();
    cluster.wait_for("the alarm", LIMIT, told).await.unwrap();
    let status = out(&run(here, &["status", "-1"], "").await, 0);
    assert!(status.contains(&format!("cannot fence {other}")) && status.contains("CANNOT_FENCE"), "{status}");
    cluster.machine(other).unwrap().switch_answers(true).await.unwrap();
    let repaired = |view: &View| view.first(holder, "fence-test-passed", 0).is_some();
    cluster.wait_for("the repair", LIMIT, repaired).await.unwrap();
    by_hand(cluster, here, other).await;
}

/// The same when somebody asks.
async fn by_hand(cluster: &Cluster, here: &Path, other: &str) {
    let passed = json(&run(here, &["--json", "fence", "test", other], "").await, 0);
    assert_eq!(
        (&passed["results"][0]["result"], &passed["results"][0]["state"]),
        (&"OK".into(), &"ON".into())
    );
    cluster.machine(other).unwrap().switch_answers(false).await.unwrap();
    let failed = out(&run(here, &["fence", "test", other, "--device", "1"], "").await, 1);
    assert!(failed.contains("FAILED"), "{failed}");
    cluster.machine(other).unwrap().switch_answers(true).await.unwrap();
    out(&run(here, &["fence", "test", other], "").await, 0);
    out(&run(here, &["fence", "test", other, "--device", "9"], "").await, 4);
    out(&run(here, &["fence", "test", "n9"], "").await, 4);
}

/// The holder is fenced to stay off: the other takes over, and only `unfence` powers it on again.
async fn stays_off(cluster: &Cluster, here: &Path, there: &Path, (holder, other): (&str, &str)) {
    let _ = here;
    // A node that has just started may have promised before to spare the other.
    let words = ["fence", holder, "--action", "off", "--reason", "a test"];
    let mut fenced = run(there, &words, "").await;
    while String::from_utf8_lossy(&fenced.stdout).contains("QUARANTINED") {
        tokio::time::sleep(Duration::from_millis(100)).await;
        fenced = run(there, &words, "").await;
    }
    out(&fenced, 0);
    let moved = |view: &View| view.in_service("v1").as_deref() == Some(other);
    cluster.wait_for("the takeover", LIMIT, moved).await.unwrap();
    let history = json(&run(there, &["--json", "fence", "history", holder], "").await, 0);
    let outcomes: Vec<_> =
        history["entries"].as_array().unwrap().iter().map(|e| e["outcome"].clone()).collect();
    assert_eq!(outcomes, ["CONFIRMED_OFF"], "it was powered on: {history}");
    out(&run(there, &["unfence", holder], "").await, 0);
    let back = |view: &View| boot(view, other, holder).is_some();
    cluster.wait_for("it is back", LIMIT, back).await.unwrap();
    cluster.wait_healthy(LIMIT).await.unwrap();
}
