//! Configurations that an operator edits while volumes are in service, and real daemons that read them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)] // a test fails by them

mod common;

use common::{LIMIT, PROGRAM, out, run};
use core::time::Duration;
use picket::demo::cluster::{Cluster, ClusterSpec, PICKETD, View, WITNESS};
use std::fs;
use std::path::PathBuf;

fn spec() -> ClusterSpec {
    ClusterSpec { client_pace: Some(Duration::from_millis(5)), ..ClusterSpec::new(2, PROGRAM) }
}

fn other_than(node: &str) -> &'static str {
    if node == "n1" { "n2" } else { "n1" }
}

/// The configuration of a machine.
fn file(cluster: &Cluster, machine: &str) -> PathBuf {
    let name = if machine == WITNESS { "witness.toml" } else { "picketd.toml" };
    cluster.dir().join(machine).join(name)
}

/// Gives a volume another number in a machine's configuration: for Picket it is another volume.
fn renumber(cluster: &Cluster, machine: &str, volume: &str, number: (u16, u16)) {
    let path = file(cluster, machine);
    let before = fs::read_to_string(&path).unwrap();
    let line = |id: u16| format!("name = \"{volume}\"\nid = {id}\n");
    let after = before.replace(&line(number.0), &line(number.1));
    assert_ne!(before, after, "{before}");
    fs::write(path, after).unwrap();
}

async fn type_at(cluster: &Cluster, node: &str, words: &[&str]) {
    out(&run(&cluster.control_socket(node), words, "").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_dies_after_its_volume_was_taken_out_leaves_nothing_active() {
    // Nothing can be fenced: what is proven is that the machine has ended by itself.
    let cluster = Cluster::start(ClusterSpec { fence: Vec::new(), ..spec() }).await.unwrap();
    cluster.wait_healthy(LIMIT).await.unwrap();
    let holder = cluster.wait_in_service("v1", LIMIT).await.unwrap();
    let other = other_than(&holder);
    let writers = cluster.writers("v1").unwrap();
    renumber(&cluster, &holder, "v1", (1, 7));
    cluster.machine(&holder).unwrap().kill(PICKETD).await.unwrap();
    let moved = |view: &View| view.in_service("v1").as_deref() == Some(other);
    cluster.wait_for("the takeover", LIMIT, moved).await.unwrap();
    assert_eq!(
        cluster.machine(&holder).unwrap().status().await.unwrap().bites,
        1,
        "its watchdog has ended it"
    );

    renumber(&cluster, &holder, "v1", (7, 1));
    cluster.machine(&holder).unwrap().reboot().await.unwrap();
    cluster.wait_healthy(LIMIT).await.unwrap();
    let acknowledged = writers.stop().await.unwrap();
    let report = cluster.check("v1", other, &acknowledged).unwrap();
    assert!(report.ok(), "{report:?}");
    cluster.end().await.unwrap().remove().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_is_added_while_the_site_is_stopped() {
    let volumes = ["v1", "v2"].map(str::to_owned).to_vec();
    let cluster = Cluster::start(ClusterSpec { volumes, ..spec() }).await.unwrap();
    cluster.wait_healthy(LIMIT).await.unwrap();
    type_at(&cluster, "n1", &["site", "stop"]).await;
    for node in ["n1", "n2"] {
        cluster.machine(node).unwrap().stop(PICKETD).await.unwrap();
    }
    // Its data comes back as another volume, which the witness has no record of.
    for machine in ["n1", "n2", WITNESS] {
        renumber(&cluster, machine, "v2", (2, 5));
    }
    cluster.machine(WITNESS).unwrap().reboot().await.unwrap();
    for node in ["n1", "n2"] {
        cluster.machine(node).unwrap().start_program(PICKETD).await.unwrap();
    }
    let stopped = |view: &View| {
        ["n1", "n2"].iter().all(|node| {
            let witness = view.node(node).and_then(|status| status.witness.as_ref());
            witness.is_some_and(|witness| witness.registered && !witness.recovering)
        })
    };
    cluster.wait_for("a witness that has both", LIMIT, stopped).await.unwrap();
    type_at(&cluster, "n1", &["site", "start"]).await;
    cluster.wait_healthy(LIMIT).await.unwrap();
    cluster.end().await.unwrap().remove().unwrap();
}
