//! Resources as operators type them, against real daemons: out of service and back, failures, and the policy.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)] // a test fails by them

mod common;

use common::{LIMIT, PROGRAM, json, out, run};
use picket::client::Daemon;
use picket::demo::cluster::{Cluster, ClusterSpec, View};
use picket_proto::v1::StatusRequest;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// In service while a file of its node and name is there; `NODE-TAG.broken` keeps a start from doing that.
const RESOURCE: &str = r#"#!/bin/sh
file=$1/$PICKET_NODE-$PICKET_RESOURCE
case $PICKET_ACTION in
start) [ -e "$file.broken" ] && { echo "the cable is out" >&2; exit 1; }
  : > "$file"; echo "$PICKET_RESOURCE start" >> "$1/log" ;;
stop) rm -f "$file"; echo "$PICKET_RESOURCE stop" >> "$1/log" ;;
status) [ -e "$file" ] || exit 3 ;;
esac
"#;

/// `fs` above the volume, `app` above it.
fn tree(dir: &Path) -> String {
    let program = dir.join("resource");
    std::fs::write(&program, RESOURCE).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let argv = format!("[{program:?}, {dir:?}]");
    let resource = |tag: &str, below: &str| {
        format!(
            "[[resource]]\ntag = {tag:?}\n{below}\nkind = \"command\"\nmonitor_interval = \"200ms\"\n\
             command = {{ start = {argv}, stop = {argv}, status = {argv} }}\n"
        )
    };
    resource("fs", "volume = \"v1\"") + &resource("app", "after = [\"fs\"]")
}

struct Bench {
    cluster: Cluster,
    dir: tempfile::TempDir,
    holder: String,
    other: String,
}

impl Bench {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let spec = ClusterSpec { more: tree(dir.path()), ..ClusterSpec::new(2, PROGRAM) };
        let cluster = Cluster::start(spec).await.unwrap();
        cluster.wait_healthy(LIMIT).await.unwrap();
        let holder = cluster.wait_in_service("v1", LIMIT).await.unwrap();
        let other = cluster.spec().node_names().find(|name| *name != holder).unwrap();
        let bench = Self { cluster, dir, holder, other };
        bench.until("both in service", |states| states == ["ISP", "ISP"]).await;
        bench
    }

    /// The exit status must be `code`; what it printed.
    async fn types(&self, node: &str, words: &[&str], code: i32) -> String {
        out(&run(&self.cluster.control_socket(node), words, "").await, code)
    }

    /// What `--json` prints.
    async fn asks(&self, node: &str, words: &[&str], code: i32) -> Value {
        let words = [&["--json"], words].concat();
        json(&run(&self.cluster.control_socket(node), &words, "").await, code)
    }

    /// Waits until the states of `fs` and `app` on the holder are as wanted. A stream of its own, which begins with what
    /// is true now: what the observer saw last may be older than the last command.
    async fn until(&self, what: &str, wanted: impl Fn(&[&str]) -> bool) {
        let mut daemon = Daemon::connect(&self.cluster.control_socket(&self.holder)).await.unwrap();
        let mut stream = daemon.calls().watch(StatusRequest { events_max: 0 }).await.unwrap().into_inner();
        let seen = async {
            while let Some(status) = stream.message().await.unwrap() {
                let states: Vec<&str> = status.resources.iter().map(|resource| &*resource.state).collect();
                if wanted(&states) {
                    return;
                }
            }
            panic!("the daemon ended its stream before {what}");
        };
        tokio::time::timeout(LIMIT, seen).await.unwrap_or_else(|_| panic!("not seen: {what}"));
    }

    /// A resource's state and why it is held back, as the status on the holder says now.
    async fn state(&self, tag: &str) -> (String, String) {
        let status = self.asks(&self.holder, &["status"], 0).await;
        let all = status["resources"].as_array().unwrap();
        let found = all.iter().find(|resource| resource["tag"] == tag).unwrap();
        let word = |field: &str| found[field].as_str().unwrap().to_owned();
        (word("state"), word("held"))
    }

    fn is_there(&self, tag: &str) -> bool {
        self.dir.path().join(format!("{}-{tag}", self.holder)).exists()
    }

    /// What was done since the last question.
    fn done(&self) -> Vec<String> {
        let log = self.dir.path().join("log");
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let _ = std::fs::remove_file(log);
        text.lines().map(str::to_owned).collect()
    }

    async fn end(self) {
        self.cluster.end().await.unwrap().remove().unwrap();
    }
}

fn held(state: &str, held: &str) -> (String, String) {
    (state.to_owned(), held.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_takes_resources_out_of_service_and_back() {
    let bench = Bench::start().await;
    let (holder, other) = (bench.holder.clone(), bench.other.clone());
    assert_eq!(bench.done(), ["fs start", "app start"]);

    assert!(bench.types(&holder, &["remove", "app"], 0).await.contains("out of service"));
    assert_eq!(bench.state("app").await, held("OSU", "OPERATOR"));
    assert_eq!(
        (bench.is_there("fs"), bench.is_there("app"), bench.done()),
        (true, false, vec!["app stop".into()])
    );
    assert!(bench.types(&holder, &["restore", "app"], 0).await.contains("in service"));
    assert_eq!((bench.state("app").await, bench.done()), (held("ISP", ""), vec!["app start".into()]));

    // What stands above goes first; back alone, then with what it needs.
    bench.types(&holder, &["remove", "fs"], 0).await;
    assert_eq!(bench.done(), ["app stop", "fs stop"]);
    bench.types(&holder, &["remove", "v1"], 0).await;
    assert_eq!(bench.asks(&holder, &["restore", "fs", "--only"], 0).await["result"], "done");
    assert_eq!((bench.is_there("app"), bench.done()), (false, vec!["fs start".into()]));
    bench.types(&holder, &["remove", "v1"], 0).await;
    bench.types(&holder, &["restore", "app"], 0).await;
    assert_eq!(bench.done(), ["fs stop", "fs start", "app start"]);
    let stayed = bench.cluster.wait_in_service("v1", LIMIT).await.unwrap();
    assert_eq!(stayed, holder, "the volume stayed");

    // Asked where it cannot be done, or of what is not there: refused, and nothing is changed.
    for verb in ["remove", "restore"] {
        let refused = bench.asks(&other, &[verb, "app"], 4).await;
        assert_eq!(refused["word"], "NOT_HOLDER", "{refused}");
    }
    for verb in ["remove", "restore", "cleanup"] {
        let refused = bench.asks(&holder, &[verb, "ap"], 4).await;
        assert_eq!(refused["word"], "NO_SUCH_RESOURCE", "{refused}");
        assert!(refused["text"].as_str().unwrap().contains("\"ap\""), "{refused}");
        bench.types(&holder, &[verb], 2).await;
        bench.types(&holder, &[verb, "app", "fs"], 2).await;
    }
    assert_eq!((bench.state("app").await, bench.done().len()), (held("ISP", ""), 0));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_and_cleaned_up() {
    let bench = Bench::start().await;
    let holder = bench.holder.clone();
    // It is to fail here, and to stay here.
    bench.types(&holder, &["policy", "set", "v1", "--failover", "off"], 0).await;
    let broken = bench.dir.path().join(format!("{holder}-app.broken"));
    std::fs::write(&broken, "").unwrap();
    bench.types(&holder, &["remove", "app"], 0).await;
    let refused = bench.asks(&holder, &["restore", "app"], 4).await;
    assert_eq!(refused["word"], "FAILED", "{refused}");
    assert!(
        refused["text"].as_str().unwrap().contains("app: start exited with 1: the cable is out"),
        "{refused}"
    );
    assert_eq!(bench.state("app").await, held("OSF", "EXHAUSTED"));
    let text = bench.types(&holder, &["status", "-1"], 0).await;
    assert!(text.contains("the cable is out"), "{text}");
    // Another try without a cleanup is refused with the same words; a cleanup of what still fails fails again.
    assert_eq!(bench.asks(&holder, &["restore", "app"], 4).await["word"], "FAILED");
    std::fs::remove_file(&broken).unwrap();
    bench.types(&holder, &["cleanup", "app"], 0).await;
    bench.until("app in service", |states| states == ["ISP", "ISP"]).await;
    assert_eq!(bench.state("app").await, held("ISP", ""));
    let status = bench.asks(&holder, &["status"], 0).await;
    assert_eq!(status["volumes"][0]["primary"], *holder, "with failover off it does not move: {status}");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_that_of_every_node_or_the_command_fails() {
    let bench = Bench::start().await;
    let (holder, other) = (bench.holder.clone(), bench.other.clone());
    let policies = |answer: &Value| -> Vec<(bool, bool)> {
        let word = |node: &Value, field: &str| node[field].as_bool().unwrap();
        let nodes = answer["nodes"].as_array().unwrap().iter();
        nodes.map(|node| (word(node, "failover"), word(node, "local_recovery"))).collect()
    };
    assert_eq!(policies(&bench.asks(&holder, &["policy", "get", "app"], 0).await), [(true, true); 2]);
    let text = bench.types(&other, &["policy", "set", "fs", "--local-recovery", "off"], 0).await;
    assert!(text.contains("LOCAL RECOVERY") && text.lines().count() == 3, "{text}");
    assert_eq!(policies(&bench.asks(&holder, &["policy", "get", "v1"], 0).await), [(true, false); 2]);
    let both = ["policy", "set", "v1", "--local-recovery", "on", "--failover", "off"];
    assert_eq!(policies(&bench.asks(&holder, &both, 0).await), [(false, true); 2]);

    bench.types(&holder, &["policy", "get", "v9"], 4).await;
    bench.types(&holder, &["policy", "set", "v9", "--failover", "on"], 4).await;
    bench.types(&holder, &["policy", "set", "v1"], 2).await;
    bench.types(&holder, &["policy", "set", "v1", "--failover", "maybe"], 2).await;
    bench.types(&holder, &["policy", "get"], 2).await;
    assert_eq!(policies(&bench.asks(&holder, &["policy", "get", "v1"], 0).await), [(false, true); 2]);

    // A node that is not there is named, and known nodes are changed all the same.
    bench.cluster.machine(&other).unwrap().power_off().await.unwrap();
    let silent = |view: &View| {
        let status = view.node(&holder);
        status.is_some_and(|status| status.members.iter().all(|m| m.local || m.state != "ALIVE"))
    };
    bench.cluster.wait_for("the other silent", LIMIT, silent).await.unwrap();
    let told = bench.asks(&holder, &["policy", "set", "v1", "--failover", "on"], 1).await;
    for node in told["nodes"].as_array().unwrap() {
        let (name, error) = (node["node"].as_str().unwrap(), node["error"].as_str().unwrap());
        assert_eq!((name == other, error.is_empty()), (name == other, name == holder), "{told}");
        assert_eq!(node["failover"].as_bool(), (name == holder).then_some(true), "{told}");
    }
    bench.end().await;
}
