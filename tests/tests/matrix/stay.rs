//! A node that stops, and whose volumes stay with it.

use super::lab::{LIMIT, Lab, Outcome, V1, play, two};
use picket::demo::Fault;
use picket::demo::cluster::{ClusterSpec, OnStop, PICKETD, View};
use picket::demo::links::{Kind, Kinds};
use picket_proto::v1::stop_request::Mode;
use picket_proto::v1::{MoveRequest, NodeRequest, StopRequest, outcome};
use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

type Failure = Box<dyn Error + Send + Sync>;

/// Asks a node's daemon to stop; how that ended, in words.
async fn stop(lab: &Lab, node: &str, mode: Mode) -> Result<outcome::Result, Failure> {
    let mut daemon = lab.daemon(node).await?;
    let request = StopRequest { mode: mode.into(), length_ms: 0 };
    let told = daemon.calls().stop(request).await?.into_inner();
    told.result.ok_or_else(|| "it did not say how it ended".into())
}

/// Stops it with volumes that stay, and waits until its daemon is gone.
async fn leave(lab: &Lab, node: &str) -> Outcome {
    let told = stop(lab, node, Mode::Stay).await?;
    assert!(matches!(told, outcome::Result::Done(_)), "{told:?}");
    gone(lab, node).await
}

async fn gone(lab: &Lab, node: &str) -> Outcome {
    let machine = lab.cluster.machine(node)?;
    machine.until(|status| status.program(PICKETD).is_some_and(|program| program.pid.is_none())).await?;
    Ok(())
}

async fn put(lab: &Lab, node: &str, standby: bool) -> Outcome {
    let mut daemon = lab.daemon(node).await?;
    let request = NodeRequest { node: node.to_owned() };
    let told = match standby {
        true => daemon.calls().standby(request).await?,
        false => daemon.calls().online(request).await?,
    };
    match told.into_inner().result {
        Some(outcome::Result::Done(_)) => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

/// As a service manager stops it.
async fn terminate(lab: &Lab, node: &str) -> Outcome {
    let machine = lab.cluster.machine(node)?;
    let status = machine.status().await?;
    let pid = status.program(PICKETD).and_then(|program| program.pid).ok_or("picketd does not run")?;
    let pid = rustix::process::Pid::from_raw(pid).ok_or("no process id")?;
    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    gone(lab, node).await
}

fn says(view: &View, node: &str, word: &str) -> Option<String> {
    let line = view.node(node)?.unprotected.iter().find(|line| line.word == word)?;
    Some(line.text.clone())
}

/// Held for the peer, with the way out, and nothing comes into service.
fn held(view: &View, node: &str, peer: &str) -> bool {
    let told = says(view, node, "HELD_FOR_PEER");
    told.is_some_and(|text| text.contains(peer) && text.contains(&format!("picket node online {node}")))
        && says(view, node, "STANDBY").is_none()
}

/// Freed, and known so by its peer.
fn freed(view: &View, node: &str, peer: &str) -> bool {
    let known = |status: &picket_proto::v1::Status| {
        status.members.iter().any(|m| m.node == node && m.standby == Some(false) && m.held_for.is_empty())
    };
    says(view, node, "HELD_FOR_PEER").is_none()
        && says(view, peer, "PEERS_HELD").is_none()
        && [node, peer].iter().all(|by| view.node(by).is_some_and(known))
}

fn promoted(lab: &Lab, node: &str, since: Fault) -> bool {
    lab.cluster.view().borrow().first(node, "promoted", since.wall_ms).is_some()
}

async fn taken_over(lab: &Lab, by: &str) -> Outcome {
    lab.cluster.wait_for("a takeover", LIMIT, |view| view.in_service(V1).as_deref() == Some(by)).await?;
    Ok(())
}

async fn nobody_is_held(lab: &Lab) -> Outcome {
    lab.cluster.wait_healthy(LIMIT).await?;
    lab.cluster.wait_for("nobody held", LIMIT, |view| freed(view, &lab.other, &lab.holder)).await?;
    Ok(())
}

/// Where it was before, and the other is freed.
async fn is_back(lab: &Lab) -> Outcome {
    lab.cluster.wait_healthy(LIMIT).await?;
    let back = |view: &View| {
        view.in_service(V1).as_ref() == Some(&lab.holder) && freed(view, &lab.other, &lab.holder)
    };
    lab.cluster.wait_for("the volume back, and the other freed", LIMIT, back).await?;
    Ok(())
}

/// The other is killed meanwhile and remembers; then the machine that stopped is switched off and on.
#[test]
fn volumes_stay_with_a_node_that_is_stopped_and_come_back_to_it() {
    play(async {
        let lab = Lab::start(ClusterSpec { restart_after_ms: None, ..two() }).await?;
        let (holder, other) = (lab.holder.clone(), lab.other.clone());
        let since = Fault::now();
        let told = stop(&lab, &holder, Mode::Stay).await?;
        let outcome::Result::Done(done) = told else { return Err(format!("{told:?}").into()) };
        assert!(done.text.contains(&other) && done.text.contains("picket node online"), "{}", done.text);
        lab.cluster.wait_for("the other held", LIMIT, |view| held(view, &other, &holder)).await?;

        lab.cluster.machine(&other)?.stop(PICKETD).await?;
        lab.cluster.machine(&other)?.start_program(PICKETD).await?;
        let waits = |view: &View| {
            let volume = view.volume(&other, V1);
            held(view, &other, &holder)
                && volume.is_some_and(|v| v.why_word == "STANDBY" && v.holder.is_empty())
        };
        let again = Fault::now();
        lab.event(&other, "witness-up", again).await?;
        lab.cluster.wait_for("it remembers", LIMIT, waits).await?;

        lab.cluster.machine(&holder)?.power_off().await?;
        lab.cluster.machine(&holder)?.power_on().await?;
        is_back(&lab).await?;
        assert!(!promoted(&lab, &other, since), "the other took it");
        assert_eq!(lab.fences(since), 0, "somebody was fenced");
        lab.scene().writes_go_on("where they were", 50).await?;
        lab.judge(&holder).await
    });
}

/// As configured, at a stop by the service manager; the node never comes back, and the word in the status is the way out.
#[test]
fn a_peer_that_is_held_for_a_node_that_never_comes_back_is_put_online() {
    play(async {
        let spec = ClusterSpec { restart_after_ms: None, on_stop: OnStop::Stay, ..two() };
        let lab = Lab::start(spec).await?;
        let (holder, other) = (lab.holder.clone(), lab.other.clone());
        let since = Fault::now();
        terminate(&lab, &holder).await?;
        lab.cluster.machine(&holder)?.power_off().await?;
        lab.cluster.wait_for("the other held", LIMIT, |view| held(view, &other, &holder)).await?;
        assert!(!promoted(&lab, &other, since), "the other took it");
        put(&lab, &other, false).await?;
        taken_over(&lab, &other).await?;
        lab.scene().writes_go_on("where an operator let them", 50).await?;
        // It comes back after all: what is elsewhere is not taken, and nobody is left to be freed.
        let _ = lab.cluster.machine(&holder)?.power_on().await;
        nobody_is_held(&lab).await?;
        assert_eq!(lab.cluster.view().borrow().in_service(V1), Some(other.clone()));
        lab.judge(&other).await
    });
}

/// Refused to an operator, with nothing changed; the service manager is not refused.
#[test]
fn with_a_peer_that_is_not_reached_nothing_stays() {
    play(async {
        let spec = ClusterSpec { restart_after_ms: None, on_stop: OnStop::Stay, ..two() };
        let lab = Lab::start(spec).await?;
        let (holder, other) = (lab.holder.clone(), lab.other.clone());
        let fault = Fault::now();
        lab.cluster.links().cut_both(&holder, &other, Kinds::Only(&[Kind::Peer]));
        let unknown = |view: &View| {
            let status = view.node(&holder);
            status.is_some_and(|s| s.members.iter().any(|m| m.node == other && m.standby.is_none()))
        };
        lab.cluster.wait_for("the connection lost", LIMIT, unknown).await?;
        for mode in [Mode::Unspecified, Mode::Stay] {
            let told = stop(&lab, &holder, mode).await?;
            let outcome::Result::Refused(refused) = told else { return Err(format!("{told:?}").into()) };
            assert_eq!(refused.word, "CANNOT_STAY");
            assert!(refused.text.contains(&format!("{other}: not reached")), "{}", refused.text);
        }
        lab.scene().writes_go_on("after the refusal", 50).await?;
        lab.nothing_moved(fault);
        let view = lab.cluster.view().borrow().clone();
        assert_eq!((says(&view, &other, "HELD_FOR_PEER"), says(&view, &holder, "PEERS_HELD")), (None, None));

        terminate(&lab, &holder).await?;
        taken_over(&lab, &other).await?;
        lab.cluster.links().heal_both(&holder, &other, Kinds::Only(&[Kind::Peer]));
        lab.cluster.machine(&holder)?.start_program(PICKETD).await?;
        nobody_is_held(&lab).await?;
        lab.scene().writes_go_on("after the switch-over", 50).await?;
        lab.judge(&other).await
    });
}

/// Each node has a volume. What the held one has stays where it is, also when the other comes back.
#[test]
fn what_a_held_peer_holds_stays_where_it_is() {
    play(async {
        let volumes = vec![V1.to_owned(), "v2".to_owned()];
        let lab = Lab::start(ClusterSpec { restart_after_ms: None, volumes, ..two() }).await?;
        let (holder, other) = (lab.holder.clone(), lab.other.clone());
        let at = lab.cluster.wait_in_service("v2", LIMIT).await?;
        if at == holder {
            let mut daemon = lab.daemon(&holder).await?;
            let request = MoveRequest { tag: "v2".to_owned(), node: other.clone(), wait_ms: 0 };
            let told = daemon.calls().r#move(request).await?.into_inner();
            assert!(matches!(told.result, Some(outcome::Result::Done(_))), "{told:?}");
        }
        let apart = |view: &View| {
            view.in_service(V1) == Some(holder.clone()) && view.in_service("v2") == Some(other.clone())
        };
        lab.cluster.wait_for("a volume on each node", LIMIT, apart).await?;
        lab.cluster.wait_healthy(LIMIT).await?;
        let since = Fault::now();
        leave(&lab, &holder).await?;
        lab.cluster.wait_for("the other held", LIMIT, |view| held(view, &other, &holder)).await?;
        lab.cluster.machine(&holder)?.start_program(PICKETD).await?;
        lab.cluster.wait_healthy(LIMIT).await?;
        lab.cluster.wait_for("the other freed", LIMIT, |view| freed(view, &other, &holder)).await?;
        let view = lab.cluster.view().borrow().clone();
        assert!(apart(&view), "{view}");
        assert!(!promoted(&lab, &other, since), "something came to the other\n{view}");
        assert!(view.first(&other, "demoted", since.wall_ms).is_none(), "something left the other\n{view}");
        lab.scene().writes_go_on("after all", 50).await?;
        lab.judge(&holder).await
    });
}

/// A peer on standby stays so when it is freed, whether it was so before or was put so while it was held.
#[test]
fn a_peer_that_an_operator_put_on_standby_stays_so() {
    play(async {
        let lab = Lab::start(ClusterSpec { restart_after_ms: None, ..two() }).await?;
        let (holder, other) = (lab.holder.clone(), lab.other.clone());
        for before in [true, false] {
            if before {
                put(&lab, &other, true).await?;
            }
            leave(&lab, &holder).await?;
            lab.cluster.wait_for("the other held", LIMIT, |view| held(view, &other, &holder)).await?;
            if !before {
                put(&lab, &other, true).await?;
            }
            lab.cluster.machine(&holder)?.start_program(PICKETD).await?;
            lab.cluster.wait_healthy(LIMIT).await?;
            let freed = |view: &View| {
                says(view, &other, "HELD_FOR_PEER").is_none() && says(view, &other, "STANDBY").is_some()
            };
            lab.cluster.wait_for("freed, and on standby", LIMIT, freed).await?;
            put(&lab, &other, false).await?;
        }
        lab.scene().writes_go_on("after all", 50).await?;
        lab.judge(&holder).await
    });
}

/// In service while its file is there; a stop waits for as long as another file says so.
const SLOW: &str = r#"#!/bin/sh
case $PICKET_ACTION in
start) : > "$1/$PICKET_NODE.runs" ;;
stop) while [ -e "$1/$PICKET_NODE.waits" ]; do sleep 0.05; done; rm -f "$1/$PICKET_NODE.runs" ;;
status) [ -e "$1/$PICKET_NODE.runs" ] || exit 3 ;;
esac
"#;

fn slow(dir: &Path) -> Result<String, Failure> {
    let program = dir.join("slow");
    fs::write(&program, SLOW)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let argv = format!("[{program:?}, {dir:?}]");
    Ok(format!(
        "[[resource]]\ntag = \"slow\"\nvolume = {V1:?}\nkind = \"command\"\nmonitor_interval = \"0s\"\n\
         command = {{ start = {argv}, stop = {argv}, status = {argv} }}\n"
    ))
}

/// Dies between the hold of its peer and the release of its volume.
async fn die_on_the_way_out(lab: &Lab, dir: &Path) -> Outcome {
    let (holder, other) = (&lab.holder, &lab.other);
    fs::write(dir.join(format!("{holder}.waits")), "")?;
    let stopping = stop(lab, holder, Mode::Stay);
    let killed = async {
        let between = |view: &View| {
            held(view, other, holder) && view.volume(holder, V1).is_some_and(|v| v.phase == "DEMOTING")
        };
        lab.cluster.wait_for("the peer held, and the volume on its way out", LIMIT, between).await?;
        lab.cluster.machine(holder)?.stop(PICKETD).await?;
        Ok::<(), Failure>(())
    };
    let (told, killed) = tokio::join!(stopping, killed);
    killed?;
    assert!(told.is_err(), "it was killed: {told:?}");
    fs::remove_file(dir.join(format!("{holder}.waits")))?;
    Ok(())
}

#[test]
fn a_node_that_dies_on_its_way_out_frees_its_peers_when_it_is_back() {
    play(async {
        let dir = tempfile::tempdir()?;
        let lab =
            Lab::start(ClusterSpec { restart_after_ms: None, more: slow(dir.path())?, ..two() }).await?;
        let (holder, other) = (lab.holder.clone(), lab.other.clone());
        die_on_the_way_out(&lab, dir.path()).await?;
        assert!(held(&lab.cluster.view().borrow(), &other, &holder), "held until it is back");
        lab.cluster.machine(&holder)?.power_off().await?;
        lab.cluster.machine(&holder)?.power_on().await?;
        is_back(&lab).await?;
        lab.scene().writes_go_on("after all", 50).await?;
        lab.judge(&holder).await
    });
}

#[test]
fn a_node_that_dies_on_its_way_out_for_good_leaves_a_word_and_a_way() {
    play(async {
        let dir = tempfile::tempdir()?;
        let lab =
            Lab::start(ClusterSpec { restart_after_ms: None, more: slow(dir.path())?, ..two() }).await?;
        let (holder, other) = (lab.holder.clone(), lab.other.clone());
        die_on_the_way_out(&lab, dir.path()).await?;
        lab.cluster.machine(&holder)?.power_off().await?;
        assert!(held(&lab.cluster.view().borrow(), &other, &holder), "held until somebody says else");
        put(&lab, &other, false).await?;
        taken_over(&lab, &other).await?;
        lab.scene().writes_go_on("where an operator let them", 50).await?;
        // The fence that proved it off has switched it on again, or it is done here.
        let _ = lab.cluster.machine(&holder)?.power_on().await;
        nobody_is_held(&lab).await?;
        lab.judge(&other).await
    });
}
