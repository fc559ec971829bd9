//! `picket adopt` as operators type it, while a witness that lost its store waits for a machine that is off.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)] // a test fails by them

mod common;

use common::{LIMIT, PROGRAM, json, out, run};
use core::time::Duration;
use picket::demo::cluster::{Cluster, ClusterSpec, View, WITNESS};
use picket_proto::v1::{AdoptRequest, Status, outcome};
use std::path::Path;

/// The witness starts with an empty store: it waits for everybody.
async fn replace_the_witness(cluster: &Cluster) {
    let machine = cluster.machine(WITNESS).unwrap();
    machine.power_off().await.unwrap();
    std::fs::remove_dir_all(cluster.dir().join(WITNESS).join("state/store")).unwrap();
    machine.power_on().await.unwrap();
}

/// The node's word for a call that says nothing of who is missing, as an old or careless program would make it.
async fn unsaid(cluster: &Cluster, node: &str) -> String {
    let mut daemon = cluster.daemon(node).await.unwrap();
    let answer = daemon.calls().adopt(AdoptRequest::default()).await.unwrap().into_inner();
    match answer.result {
        Some(outcome::Result::Refused(refused)) => refused.word,
        other => panic!("{other:?}"),
    }
}

async fn refused_without_the_names(cluster: &Cluster, here: &Path, (holder, other): (&str, &str)) {
    let asked = run(here, &["adopt"], "yes\n").await;
    let text = format!("{}{}", out(&asked, 6), String::from_utf8_lossy(&asked.stderr));
    assert!(text.contains(&format!("no report of {other}")) && text.contains("is active twice"), "{text}");
    assert_eq!(unsaid(cluster, holder).await, "NOT_TYPED");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adoption_names_whom_it_does_without() {
    let spec = ClusterSpec { client_pace: Some(Duration::from_millis(5)), ..ClusterSpec::new(2, PROGRAM) };
    let cluster = Cluster::start(spec).await.unwrap();
    cluster.wait_healthy(LIMIT).await.unwrap();
    let holder = cluster.wait_in_service("v1", LIMIT).await.unwrap();
    let other = if holder == "n1" { "n2" } else { "n1" };
    let here = cluster.control_socket(&holder);
    out(&run(&here, &["adopt"], "").await, 4);

    cluster.machine(other).unwrap().power_off().await.unwrap();
    let gone = |view: &View| {
        let silent = |status: &Status| status.members.iter().any(|m| m.node == other && m.state != "ALIVE");
        view.volume(&holder, "v1").is_some_and(|volume| volume.isr == [holder.clone()])
            && view.node(&holder).is_some_and(silent)
    };
    cluster.wait_for("its silence and its replica's removal", LIMIT, gone).await.unwrap();
    replace_the_witness(&cluster).await;
    let waits = |view: &View| {
        let witness = view.node(&holder)?.witness.as_ref()?;
        Some(witness.recovering && witness.missing == [other])
    };
    cluster.wait_for("the recovery", LIMIT, |view| waits(view) == Some(true)).await.unwrap();
    refused_without_the_names(&cluster, &here, (&holder, other)).await;
    assert_eq!(waits(&cluster.view().borrow().clone()), Some(true), "nothing was adopted");

    json(&run(&here, &["--json", "adopt"], &format!("{other}\n")).await, 0);
    let over = |view: &View| view.node(&holder)?.witness.as_ref().map(|witness| !witness.recovering);
    cluster.wait_for("its end", LIMIT, |view| over(view) == Some(true)).await.unwrap();
    assert_eq!(cluster.wait_in_service("v1", LIMIT).await.unwrap(), holder, "the service did not move");
    cluster.end().await.unwrap().remove().unwrap();
}
