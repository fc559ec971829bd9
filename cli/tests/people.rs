//! What people decide, as they type it, against real daemons: sets, maintenance, confirmations, an override, the end of
//! a witness.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)] // a test fails by them

mod common;

use common::{LIMIT, PROGRAM, out, run};
use core::time::Duration;
use picket::demo::cluster::{Cluster, ClusterSpec, FenceLevel, LossAction, PICKETD, View, WITNESS, Watchdog};
use std::path::PathBuf;

/// A cluster that is well, the holder of its volume, and the other node.
struct Lab {
    cluster: Cluster,
    holder: String,
    other: String,
}

impl Lab {
    async fn start(spec: ClusterSpec) -> Self {
        let cluster = Cluster::start(spec).await.unwrap();
        cluster.wait_healthy(LIMIT).await.unwrap();
        let holder = cluster.wait_in_service("v1", LIMIT).await.unwrap();
        let other = if holder == "n1" { "n2" } else { "n1" }.to_owned();
        Self { cluster, holder, other }
    }

    fn at(&self, node: &str) -> PathBuf {
        self.cluster.control_socket(node)
    }

    /// What the operator at this node gets to read, on both streams, after an exit status was checked.
    async fn type_at(&self, node: &str, words: &[&str], typed: &str, code: i32) -> String {
        let ended = run(&self.at(node), words, typed).await;
        format!("{}{}", out(&ended, code), String::from_utf8_lossy(&ended.stderr))
    }

    fn version(&self) -> u64 {
        self.cluster.view().borrow().volume(&self.holder, "v1").expect("seen").isr_version
    }

    async fn newer_set_than(&self, version: u64) {
        let newer = |view: &View| {
            view.volume(&self.holder, "v1").is_some_and(|volume| volume.isr_version > version)
                && view.all_in_sync("v1", 2)
        };
        self.cluster.wait_for("it is out, and back", LIMIT, newer).await.unwrap();
    }

    async fn silent(&self, seen_by: &str, node: &str) {
        let silent = |view: &View| {
            let status = view.node(seen_by);
            status.is_some_and(|status| status.members.iter().any(|m| m.node == node && m.state != "ALIVE"))
        };
        self.cluster.wait_for("its silence", LIMIT, silent).await.unwrap();
    }

    async fn end(self) {
        self.cluster.end().await.unwrap().remove().unwrap();
    }
}

fn two() -> ClusterSpec {
    ClusterSpec {
        client_pace: Some(Duration::from_millis(5)),
        loss_action: LossAction::Osu,
        ..ClusterSpec::new(2, PROGRAM)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sets_are_changed_a_daemon_leaves_its_volume_running_and_a_witness_is_retired() {
    let lab = Lab::start(two()).await;
    let (holder, other) = (lab.holder.clone(), lab.other.clone());
    for verb in ["evict", "force-stale"] {
        lab.type_at(&other, &[verb, &holder, "v1"], "", 4).await;
        let version = lab.version();
        lab.type_at(&other, &[verb, &other, "v1"], "", 0).await;
        lab.newer_set_than(version).await; // its data is complete: the holder takes it in again
    }
    lab.type_at(&other, &["clear", &holder], "", 0).await;
    lab.type_at(&other, &["clear", "n9"], "", 4).await;

    let epoch = lab.cluster.view().borrow().volume(&holder, "v1").expect("seen").epoch;
    lab.type_at(&holder, &["stop", "--keep-running", "--for", "10min"], "", 0).await;
    let machine = lab.cluster.machine(&holder).unwrap();
    let ended =
        machine.until(|status| status.program(PICKETD).is_some_and(|program| program.pid.is_none())).await;
    ended.unwrap();
    machine.start_program(PICKETD).await.unwrap();
    let taken_up = |view: &View| view.volume(&holder, "v1").is_some_and(|volume| volume.state == "ISP");
    lab.cluster.wait_for("the volume taken up", LIMIT, taken_up).await.unwrap();
    lab.cluster.wait_healthy(LIMIT).await.unwrap();
    assert_eq!(
        lab.cluster.view().borrow().volume(&holder, "v1").expect("seen").epoch,
        epoch,
        "not granted anew"
    );

    lab.type_at(&holder, &["retire"], "lab\n", 0).await;
    let refused = |view: &View| view.first(WITNESS, "witness-session-refused", 0).is_some();
    lab.cluster.wait_for("the store serves nobody", LIMIT, refused).await.unwrap();
    lab.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_denied_to_be_off_and_then_confirmed() {
    let spec = ClusterSpec { fence: vec![FenceLevel::Meatware], watchdog: Watchdog::CountsNot, ..two() };
    let lab = Lab::start(spec).await;
    let (holder, other) = (lab.holder.clone(), lab.other.clone());
    lab.cluster.machine(&holder).unwrap().power_off().await.unwrap();
    let first = lab.challenge("").await;
    lab.type_at(&other, &["confirm", &holder], "0\n", 6).await;
    let text = lab.type_at(&other, &["confirm", &holder, "--deny"], &format!("{first}\n"), 0).await;
    assert!(text.contains(&format!("{holder} of cluster lab")), "{text}");
    // The node asks again, with another challenge: the former one confirms nothing.
    let second = lab.challenge(&first).await;
    lab.type_at(&other, &["confirm", &holder], &format!("{first}\n"), 6).await;
    lab.type_at(&other, &["confirm", &holder], &format!("{second}\n"), 0).await;
    let moved = |view: &View| view.in_service("v1").as_deref() == Some(&*other);
    lab.cluster.wait_for("the takeover", LIMIT, moved).await.unwrap();
    lab.end().await;
}

impl Lab {
    /// The challenge of the request to confirm the holder that is open now, once it is another than this one.
    async fn challenge(&self, former: &str) -> String {
        let open = |view: &View| {
            let pending =
                view.node(&self.other)?.pending.iter().find(|pending| pending.target == self.holder)?;
            (pending.challenge != former && pending.heard_by.is_empty()).then(|| pending.challenge.clone())
        };
        let view =
            self.cluster.wait_for("a request to confirm", LIMIT, |view| open(view).is_some()).await.unwrap();
        open(&view).expect("just seen")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_witness_an_operator_overrides() {
    let lab = Lab::start(two()).await;
    let (holder, other) = (lab.holder.clone(), lab.other.clone());
    for machine in [WITNESS, &holder] {
        lab.cluster.machine(machine).unwrap().power_off().await.unwrap();
    }
    lab.silent(&other, &holder).await;
    let words = ["override", "v1", "--dead", &holder, "--for", "1h", "--reason", "a test"];
    lab.type_at(&other, &words, "yes\n", 6).await;
    let text = lab.type_at(&other, &words, &format!("{holder}\n"), 0).await;
    assert!(text.contains("OUTSIDE THE GUARANTEE"), "{text}");
    let active = |view: &View| {
        view.volume(&other, "v1").is_some_and(|volume| volume.overridden && volume.role == "PRIMARY")
    };
    lab.cluster.wait_for("the volume in service", LIMIT, active).await.unwrap();
    let shown = out(&run(&lab.at(&other), &["status", "-1"], "").await, 0);
    assert!(
        shown.to_lowercase().contains("override") || shown.to_lowercase().contains("overridden"),
        "{shown}"
    );
    // A witness hears of it before the member is back: it waits for that one's report, and then the exception ends.
    lab.cluster.machine(WITNESS).unwrap().power_on().await.unwrap();
    let heard = |view: &View| {
        view.node(&other).and_then(|status| status.witness.as_ref()).is_some_and(|witness| witness.recovering)
    };
    lab.cluster.wait_for("a witness that recovers", LIMIT, heard).await.unwrap();
    lab.cluster.machine(&holder).unwrap().power_on().await.unwrap();
    lab.cluster.wait_healthy(LIMIT).await.unwrap();
    let recorded = |view: &View| {
        view.in_service("v1").as_deref() == Some(&*other)
            && view.volume(&other, "v1").is_some_and(|volume| !volume.overridden)
    };
    lab.cluster.wait_for("the override recorded", LIMIT, recorded).await.unwrap();
    lab.end().await;
}
