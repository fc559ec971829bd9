//! The whole site, as operators stop and start it, against real daemons.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)] // a test fails by them

mod common;

use common::{LIMIT, PROGRAM, json, out, run};
use picket::demo::cluster::{Cluster, ClusterSpec, View};

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_stops_and_starts_the_site() {
    let cluster = Cluster::start(ClusterSpec::new(2, PROGRAM)).await.unwrap();
    cluster.wait_healthy(LIMIT).await.unwrap();
    let holder = cluster.wait_in_service("v1", LIMIT).await.unwrap();
    let other = cluster.spec().node_names().find(|name| *name != holder).unwrap();
    let (here, there) = (cluster.control_socket(&holder), cluster.control_socket(&other));

    // A node that is missing could come back with another mind: refused, and nothing is changed.
    cluster.machine(&other).unwrap().power_off().await.unwrap();
    let alone = |view: &View| view.volume(&holder, "v1").is_some_and(|v| v.isr == [holder.clone()]);
    cluster.wait_for("the holder alone", LIMIT, alone).await.unwrap();
    for words in [&["--json", "site", "stop"][..], &["--json", "site", "stop", "--degraded"]] {
        let refused = json(&run(&here, words, "").await, 4);
        assert_eq!(refused["word"], "NOT_SAFE", "{refused}");
        let text = refused["text"].as_str().unwrap();
        assert!(text.contains(&format!("{other}: not reached")), "{text}");
        assert_eq!(text.contains("has every acknowledged write"), words.len() == 3, "{text}");
    }
    let status = out(&run(&here, &["status", "-1"], "").await, 0);
    assert!(!status.contains("is on standby") && !status.contains("SITE_STOPPED"), "{status}");
    cluster.machine(&other).unwrap().power_on().await.unwrap();
    cluster.wait_healthy(LIMIT).await.unwrap();

    out(&run(&here, &["site"], "").await, 2);
    out(&run(&here, &["site", "halt"], "").await, 2);
    assert!(out(&run(&there, &["site", "stop"], "").await, 0).contains("out of service on every node"));
    // What is seen can be of the moment between "take nothing more" and "give up what you have".
    let is_stopped = |view: &View, node: &str| {
        view.node(node).is_some_and(|status| {
            status.unprotected.iter().any(|line| line.word == "SITE_STOPPED")
                && status.volumes.iter().all(|volume| volume.role == "SECONDARY")
        })
    };
    let both = |view: &View| is_stopped(view, &holder) && is_stopped(view, &other) && view.all_connected();
    cluster.wait_for("both stopped", LIMIT, both).await.unwrap();
    let status = out(&run(&here, &["status", "-1"], "").await, 0);
    assert!(status.contains("SITE_STOPPED") && status.contains("picket site start"), "{status}");
    out(&run(&here, &["move", "v1", &holder], "").await, 4);
    assert_eq!(cluster.view().borrow().in_service("v1"), None);

    assert_eq!(json(&run(&here, &["--json", "site", "start"], "").await, 0)["result"], "done");
    cluster.wait_healthy(LIMIT).await.unwrap();
    let status = out(&run(&there, &["status", "-1"], "").await, 0);
    assert!(!status.contains("SITE_STOPPED") && !status.contains("is on standby"), "{status}");

    // A node that was on standby before stays so.
    out(&run(&here, &["node", "standby", &other], "").await, 0);
    let in_service = cluster.wait_in_service("v1", LIMIT).await.unwrap();
    out(&run(&here, &["site", "stop"], "").await, 0);
    cluster.wait_for("both stopped again", LIMIT, both).await.unwrap();
    out(&run(&there, &["site", "start"], "").await, 0);
    assert_eq!(
        cluster.wait_in_service("v1", LIMIT).await.unwrap(),
        holder,
        "not on standby, as {in_service} was"
    );
    let status = out(&run(&there, &["status", "-1"], "").await, 0);
    assert!(!status.contains("SITE_STOPPED") && status.contains("is on standby"), "{status}");
    cluster.end().await.unwrap().remove().unwrap();
}
