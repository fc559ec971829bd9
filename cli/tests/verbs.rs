//! The program as operators type it, against real daemons: what it prints, and its exit statuses.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)] // a test fails by them

mod common;

use common::{LIMIT, PROGRAM, json, out, run};
use core::time::Duration;
use picket::demo::cluster::{Cluster, ClusterSpec, View};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_looks_and_acts() {
    let spec = ClusterSpec { client_pace: Some(Duration::from_millis(5)), ..ClusterSpec::new(2, PROGRAM) };
    let cluster = Cluster::start(spec).await.unwrap();
    let dir = cluster.dir().to_owned();
    cluster.wait_healthy(LIMIT).await.unwrap();
    let holder = cluster.wait_in_service("v1", LIMIT).await.unwrap();
    let other = if holder == "n1" { "n2" } else { "n1" };
    let (here, there) = (cluster.control_socket(&holder), cluster.control_socket(other));

    let text = out(&run(&here, &["status"], "").await, 0);
    assert!(text.contains("LAB: nothing real is protected"), "{text}");
    let tree: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("LOCAL"))
        .nth(1)
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!([tree[0], tree[1], tree[3], tree[5]], [&holder, "v1", "ISP", &holder], "{text}");
    let status = json(&run(&there, &["--json", "status"], "").await, 0);
    assert_eq!((&status["node"], &status["volumes"][0]["state"]), (&other.into(), &"OSU".into()));

    let text = out(&run(&there, &["explain", "v1"], "").await, 0);
    assert!(text.starts_with("v1: ") && text.contains(&holder), "{text}");
    out(&run(&there, &["explain", "v9"], "").await, 4);
    assert!(out(&run(&here, &["version"], "").await, 0).contains("picketd"));
    assert_eq!(
        json(&run(&here, &["--json", "fence", "history"], "").await, 0)["entries"],
        Value::Array(vec![])
    );

    out(&run(&here, &["confirm", other], "yes\n").await, 4);
    out(&run(&here, &["retire"], "not its name\n").await, 6);
    out(&run(&here, &["move", "v1", &holder], "").await, 4);

    let moved = json(&run(&there, &["--json", "move", "v1", other], "").await, 0);
    assert_eq!(moved["result"], "done", "{moved}");
    let arrived = |view: &View| view.in_service("v1").as_deref() == Some(other);
    cluster.wait_for("v1 where it was moved to", LIMIT, arrived).await.unwrap();

    out(&run(&there, &["maintenance", &holder, "1min"], "").await, 0);
    let marked = |view: &View| {
        let status = view.node(other)?;
        status.members.iter().find(|member| member.node == holder).map(|member| member.maintenance)
    };
    cluster.wait_for("the maintenance", LIMIT, |view| marked(view) == Some(true)).await.unwrap();
    out(&run(&there, &["maintenance", &holder, "end"], "").await, 0);
    cluster.wait_for("its end", LIMIT, |view| marked(view) == Some(false)).await.unwrap();

    let file = dir.join("n1/picketd.toml");
    let file = file.to_str().unwrap();
    assert!(out(&run(&here, &["config", "check", file], "").await, 0).contains("no errors (picketd)"));
    assert!(out(&run(&here, &["config", "show", file], "").await, 0).contains("cluster.name = \"lab\"\n"));
    cluster.end().await.unwrap().remove().unwrap();
    assert!(!dir.exists(), "nothing is left behind");
    out(&run(&here, &["status"], "").await, 3);
}

#[tokio::test]
async fn wrong_files_are_reported_with_every_error_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("picketd.toml");
    std::fs::write(&file, "[node]\nnam = \"n1\"\n[cluster]\nname = \"east\"\nprofile = \"quick\"\n").unwrap();
    let nowhere = dir.path().join("no.sock");
    let text = out(&run(&nowhere, &["config", "check", file.to_str().unwrap()], "").await, 1);
    assert!(text.contains("picketd.toml:2:1: node.nam: unknown key"), "{text}");
    assert!(text.contains("picketd.toml:5:11: cluster.profile"), "{text}");
    let value = json(&run(&nowhere, &["--json", "config", "check", file.to_str().unwrap()], "").await, 1);
    assert_eq!(value["ok"], false);
    assert!(value["problems"].as_array().unwrap().len() > 2, "{value}");
}

#[tokio::test]
async fn certificates_are_issued_once_and_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().to_str().unwrap();
    let nowhere = dir.path().join("no.sock");
    out(&run(&nowhere, &["cert", "init", at], "").await, 0);
    out(&run(&nowhere, &["cert", "init", at], "").await, 1);
    let issue = ["cert", "issue", "node", "n1", "--cluster", "east", "--ca", at, "--out", at];
    assert!(out(&run(&nowhere, &issue, "").await, 0).starts_with("picket://east/node/n1"));
    out(&run(&nowhere, &issue, "").await, 1);
    out(&run(&nowhere, &["cert", "issue", "node", "n2", "--ca", at, "--out", at], "").await, 1);
    let (ca, cert, key) = (dir.path().join("ca.pem"), dir.path().join("n1.pem"), dir.path().join("n1.key"));
    picket_host::tls::Credentials::read(&ca, &cert, &key).unwrap();
}

#[tokio::test]
async fn a_heartbeat_key_is_made_once_and_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("heartbeat.key");
    let (at, nowhere) = (file.to_str().unwrap(), dir.path().join("no.sock"));
    let said = out(&run(&nowhere, &["cert", "heartbeat-key", at], "").await, 0);
    assert!(said.starts_with(at), "{said}");
    let key = picket_host::secrets::read_key(&file).unwrap();
    assert!(!said.contains(&picket_host::secrets::hex(key.expose())), "the key is in the file alone");
    out(&run(&nowhere, &["cert", "heartbeat-key", at], "").await, 1);
    assert_eq!(picket_host::secrets::read_key(&file).unwrap().expose(), key.expose(), "never overwritten");
}
