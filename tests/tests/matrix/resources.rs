//! Resources above a volume: a chain `fs`, `ip`, `app` of programs that write down what is done to them. `app` says
//! on which node it lives as long as it does, so that two at a time cannot stay unseen.

use super::lab::{LIMIT, Lab, Outcome, V1, play, two};
use core::time::Duration;
use picket::demo::Fault;
use picket::demo::cluster::{ClusterSpec, PICKETD, View};
use picket_host::clock::{boottime, pause};
use picket_proto::v1::stop_request::Mode;
use picket_proto::v1::{
    MoveRequest, PolicyAnswer, PolicyRequest, StatusRequest, StatusResource, StopRequest, TagRequest,
};
use std::fs;
use std::path::{Path, PathBuf};

/// Does what `PICKET_ACTION` says. `<node>-<tag>.<trouble>` in its directory makes trouble.
const PROGRAM: &str = r#"#!/bin/sh
dir=$1 tag=$PICKET_RESOURCE node=$PICKET_NODE
pid=$dir/$node-$tag.pid
case $PICKET_ACTION in
start)
  echo "$node $tag start" >> "$dir/log"
  [ -e "$dir/$node-$tag.start-fails" ] && { echo "it does not want to" >&2; exit 1; }
  ( while :; do echo "$node" >> "$dir/$tag.lives"; sleep 0.05; done ) < /dev/null > /dev/null 2>&1 &
  echo $! > "$pid" ;;
stop)
  echo "$node $tag stop" >> "$dir/log"
  [ -e "$dir/$node-$tag.stop-hangs" ] && { trap '' TERM; while :; do sleep 60; done; }
  [ -e "$dir/$node-$tag.stop-lasts" ] && sleep 3.5
  [ -e "$pid" ] && kill "$(cat "$pid")"
  rm -f "$pid" ;;
status)
  [ -e "$pid" ] && kill -0 "$(cat "$pid")" 2> /dev/null && exit 0
  exit 3 ;;
esac
"#;

/// How long a stop of `ip` may take; one that hangs does for a minute and more. Those of the others may outlast a
/// lease.
const STOP_TIMEOUT: &str = "2s";

/// Where the resources of one test write.
struct Shared {
    dir: PathBuf,
}

impl Shared {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("picket-resources-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let program = dir.join("resource");
        fs::write(&program, PROGRAM).expect("the program");
        fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("executable");
        Self { dir }
    }

    /// Two nodes with the chain above their volume.
    fn spec(&self) -> ClusterSpec {
        let (dir, mut more) = (self.dir.display(), String::new());
        for (tag, below) in [
            ("fs", format!("volume = {V1:?}")),
            ("ip", "after = [\"fs\"]".into()),
            ("app", "after = [\"ip\"]".into()),
        ] {
            let argv = format!("[\"{dir}/resource\", \"{dir}\"]");
            more.push_str(&format!(
                "[[resource]]\ntag = {tag:?}\n{below}\nkind = \"command\"\ncommand = {{ start = {argv}, stop = {argv}, status = {argv} }}\n\
                 stop_timeout = \"{}\"\nmonitor_interval = \"200ms\"\n",
                if tag == "ip" { STOP_TIMEOUT } else { "20s" }
            ));
        }
        ClusterSpec { more, ..two() }
    }

    fn trouble(&self, node: &str, tag: &str, what: &str) -> PathBuf {
        let path = self.dir.join(format!("{node}-{tag}.{what}"));
        fs::write(&path, "").expect("the trouble's file");
        path
    }

    fn lines(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.dir.join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What was done on a node, in order.
    fn done(&self, node: &str) -> Vec<String> {
        let own = format!("{node} ");
        self.lines("log").iter().filter_map(|line| line.strip_prefix(&own)).map(str::to_owned).collect()
    }

    /// On which nodes the application lived, one after the other; a node that comes twice was there twice.
    fn lives(&self) -> Vec<String> {
        let mut lives = self.lines("app.lives");
        lives.dedup();
        lives
    }

    fn pid(&self, node: &str, tag: &str) -> Option<String> {
        fs::read_to_string(self.dir.join(format!("{node}-{tag}.pid"))).ok().map(|pid| pid.trim().to_owned())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // What is left of a failed test is in the way of nobody.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

async fn resources(lab: &Lab, node: &str) -> Vec<StatusResource> {
    let Ok(mut daemon) = lab.cluster.daemon(node).await else { return Vec::new() };
    let status = daemon.calls().status(StatusRequest { events_max: 0 }).await;
    status.map(|status| status.into_inner().resources).unwrap_or_default()
}

/// Waits until the resources on a node are as wanted; the daemon tells no stranger of a change of theirs.
async fn until(lab: &Lab, node: &str, what: &str, wanted: impl Fn(&[StatusResource]) -> bool) -> Outcome {
    let give_up = boottime() + LIMIT;
    loop {
        let seen = resources(lab, node).await;
        if wanted(&seen) {
            return Ok(());
        }
        if boottime() > give_up {
            return Err(
                format!("{what} on {node} did not come: {seen:?}\n{}", *lab.cluster.view().borrow()).into()
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn in_service(lab: &Lab, node: &str) -> Outcome {
    let all =
        |seen: &[StatusResource]| seen.len() == 3 && seen.iter().all(|resource| resource.state == "ISP");
    until(lab, node, "all resources in service", all).await
}

/// Waits for the application's word that it lives on a node.
fn lives_on(shared: &Shared, node: &str) -> Outcome {
    let give_up = boottime() + LIMIT;
    while shared.lives().last().map(String::as_str) != Some(node) {
        if boottime() > give_up {
            return Err(format!("the application does not live on {node}: {:?}", shared.lives()).into());
        }
        pause(Duration::from_millis(20), "a program of the test tells nobody of what it writes");
    }
    Ok(())
}

async fn start(shared: &Shared) -> Result<Lab, Box<dyn std::error::Error + Send + Sync>> {
    let lab = Lab::start(shared.spec()).await?;
    in_service(&lab, &lab.holder).await?;
    assert_eq!(shared.done(&lab.holder), ["fs start", "ip start", "app start"]);
    assert_eq!(shared.done(&lab.other), [""; 0]);
    Ok(lab)
}

async fn move_to(lab: &Lab, node: &str) -> Outcome {
    let mut daemon = lab.daemon(node).await?;
    let request = MoveRequest { tag: V1.to_owned(), node: node.to_owned(), wait_ms: 200 };
    daemon.calls().r#move(request).await?;
    Ok(())
}

fn path_of(pid: &str) -> PathBuf {
    Path::new("/proc").join(pid)
}

#[test]
fn a_tree_stops_top_down_for_a_move_and_starts_bottom_up_where_it_goes() {
    play(async {
        let shared = Shared::new("move");
        let lab = start(&shared).await?;
        // Longer than a lease, and than the other node waits for a handover: the lease is renewed meanwhile.
        shared.trouble(&lab.holder, "fs", "stop-lasts");
        let fault = Fault::now();
        move_to(&lab, &lab.other).await?;
        in_service(&lab, &lab.other).await?;
        assert_eq!(lab.fences(fault), 0);
        assert_eq!(shared.done(&lab.holder)[3..], ["app stop", "ip stop", "fs stop"]);
        assert_eq!(shared.done(&lab.other), ["fs start", "ip start", "app start"]);
        lives_on(&shared, &lab.other)?;
        assert_eq!(shared.lives(), [lab.holder.clone(), lab.other.clone()]);
        let all = shared.lines("log");
        let at = |line: &str| all.iter().position(|done| done == line);
        assert!(at(&format!("{} fs stop", lab.holder)) < at(&format!("{} fs start", lab.other)), "{all:?}");
        // The machine dies: nobody stops anything, and the tree starts on the other one.
        lab.cluster.wait_healthy(LIMIT).await?;
        lab.cluster.machine(&lab.other)?.power_off().await?;
        until(&lab, &lab.holder, "back", |seen| seen.iter().all(|resource| resource.state == "ISP")).await?;
        lives_on(&shared, &lab.holder)?;
        assert_eq!(shared.done(&lab.other).len(), 3, "nobody stopped anything there");
        assert_eq!(shared.lives().len(), 3);
        let primary = lab.holder.clone();
        lab.judge(&primary).await
    });
}

#[test]
fn row_19_a_stop_that_hangs_resets_the_holder_and_the_tree_starts_on_the_other_node() {
    play(async {
        let shared = Shared::new("stop");
        let lab = start(&shared).await?;
        shared.trouble(&lab.holder, "ip", "stop-hangs");
        let fault = Fault::now();
        move_to(&lab, &lab.other).await?;
        // Its own last words may be lost with it.
        let proof = lab.takeover(fault).await?;
        assert!(["FENCED", "LEASE", "NEWER-BOOT"].contains(&proof.as_str()), "{proof}");
        lab.event("witness", "witness-node-booted", fault).await?;
        in_service(&lab, &lab.other).await?;
        lives_on(&shared, &lab.other)?;
        assert_eq!(shared.lives(), [lab.holder.clone(), lab.other.clone()], "never on both");
        assert_eq!(shared.done(&lab.holder)[3..], ["app stop", "ip stop"], "fs was not pulled from under it");
        lab.cluster.wait_healthy(LIMIT).await?;
        let primary = lab.other.clone();
        lab.judge(&primary).await
    });
}

#[test]
fn a_start_that_fails_on_both_nodes_is_said_and_not_passed_to_and_fro() {
    play(async {
        let shared = Shared::new("start");
        let lab = start(&shared).await?;
        let troubles = [&lab.holder, &lab.other].map(|node| shared.trouble(node, "app", "start-fails"));
        let fault = Fault::now();
        // The application dies; it cannot be restarted here, and not on the other node either.
        let pid = shared.pid(&lab.holder, "app").expect("it lives");
        let killed = std::process::Command::new("kill").args(["-9", &pid]).status()?;
        assert!(killed.success());
        let stranded = |view: &View| view.first(&lab.other, "resources-stranded", fault.wall_ms).is_some();
        lab.cluster.wait_for("stranded", LIMIT, stranded).await?;
        let state = |tag: &'static str, state: &'static str| {
            move |seen: &[StatusResource]| {
                seen.iter().any(|resource| resource.tag == tag && resource.state == state)
            }
        };
        until(&lab, &lab.other, "app failed", state("app", "OSF")).await?;
        until(&lab, &lab.other, "ip in service", state("ip", "ISP")).await?;
        let starts = |node: &str| shared.done(node).iter().filter(|done| *done == "app start").count();
        assert_eq!((starts(&lab.holder), starts(&lab.other)), (2, 1));
        let mut daemon = lab.daemon(&lab.other).await?;
        let status = daemon.calls().status(StatusRequest { events_max: 0 }).await?.into_inner();
        let said = status.unprotected.iter().find(|hole| hole.word == "STRANDED").expect("it is said");
        assert!(said.text.contains("it does not want to"), "{}", said.text);
        assert!(said.text.contains(&format!("{}: app failed there", lab.holder)), "{}", said.text);
        // Mended and cleaned up where it stands, it starts there.
        troubles.into_iter().try_for_each(fs::remove_file)?;
        daemon.calls().cleanup(TagRequest { tag: "app".to_owned() }).await?;
        in_service(&lab, &lab.other).await?;
        let primary = lab.other.clone();
        lab.judge(&primary).await
    });
}

#[test]
fn what_runs_is_adopted_by_the_next_daemon() {
    play(async {
        let shared = Shared::new("adopt");
        let lab = start(&shared).await?;
        let fault = Fault::now();
        let mut daemon = lab.daemon(&lab.holder).await?;
        let set = PolicyRequest { tag: "ip".to_owned(), failover: Some(false), local_recovery: None };
        let policies = |answer: PolicyAnswer| -> Vec<_> {
            answer.nodes.into_iter().map(|node| (node.failover, node.local_recovery, node.error)).collect()
        };
        let everywhere = vec![(Some(false), Some(true), String::new()); 2];
        assert_eq!(policies(daemon.calls().policy(set).await?.into_inner()), everywhere);
        let pids = ["fs", "ip", "app"].map(|tag| shared.pid(&lab.holder, tag).expect("it lives"));
        lab.cluster.machine(&lab.holder)?.kill(PICKETD).await?;
        lab.event(&lab.holder, "node-started", fault).await?;
        in_service(&lab, &lab.holder).await?;
        // And left running on purpose.
        lab.cluster.wait_healthy(LIMIT).await?;
        let again = Fault::now();
        let mut daemon = lab.daemon(&lab.holder).await?;
        let request = StopRequest { mode: Mode::KeepRunning.into(), length_ms: 20_000 };
        daemon.calls().stop(request).await?;
        lab.event(&lab.holder, "node-started", again).await?;
        in_service(&lab, &lab.holder).await?;
        assert_eq!(shared.done(&lab.holder), ["fs start", "ip start", "app start"], "nothing was restarted");
        assert!(pids.iter().all(|pid| path_of(pid).exists()), "what ran runs");
        let mut daemon = lab.daemon(&lab.holder).await?;
        let get = PolicyRequest { tag: V1.to_owned(), failover: None, local_recovery: None };
        lab.cluster.wait_healthy(LIMIT).await?;
        assert_eq!(policies(daemon.calls().policy(get).await?.into_inner()), everywhere, "it is remembered");
        lab.nothing_moved(fault);
        let primary = lab.holder.clone();
        lab.judge(&primary).await
    });
}

#[test]
fn a_resource_that_was_started_by_hand_away_from_its_volume_is_stopped() {
    play(async {
        let shared = Shared::new("found");
        let lab = start(&shared).await?;
        let fault = Fault::now();
        // As if it had been started there before the daemon was.
        let dir = shared.dir.clone();
        let other = lab.other.clone();
        let by_hand = std::process::Command::new(dir.join("resource"))
            .arg(&dir)
            .env("PICKET_ACTION", "start")
            .env("PICKET_RESOURCE", "ip")
            .env("PICKET_NODE", &other)
            .status()?;
        assert!(by_hand.success());
        lab.cluster.machine(&other)?.kill(PICKETD).await?;
        lab.event(&other, "resource-found", fault).await?;
        lab.event(&other, "resource-stopped", fault).await?;
        assert_eq!(shared.done(&other), ["ip start", "ip stop"]);
        lab.cluster.wait_healthy(LIMIT).await?;
        lab.nothing_moved(fault);
        let primary = lab.holder.clone();
        lab.judge(&primary).await
    });
}
