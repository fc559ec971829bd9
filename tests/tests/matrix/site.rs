//! A stop and a start of the whole site.

use super::lab::{LIMIT, Lab, V1, is_done, play, two};
use picket::demo::Fault;
use picket::demo::cluster::{ClusterSpec, View};
use picket::demo::links::{Kind, Kinds};
use picket_proto::v1::{Outcome, SiteStartRequest, SiteStopRequest, outcome};

fn stopped(view: &View, node: &str) -> bool {
    view.node(node).is_some_and(|status| {
        status.unprotected.iter().any(|line| line.word == "SITE_STOPPED")
            && status.volumes.iter().all(|volume| volume.role == "SECONDARY")
    })
}

/// Daemons come back, as the service manager sees to.
fn spec() -> ClusterSpec {
    ClusterSpec { restart_after_ms: Some(100), ..two() }
}

async fn stop(
    lab: &Lab,
    node: &str,
    degraded: bool,
) -> Result<Outcome, Box<dyn std::error::Error + Send + Sync>> {
    let mut daemon = lab.daemon(node).await?;
    Ok(daemon.calls().site_stop(SiteStopRequest { degraded }).await?.into_inner())
}

/// Everything is started again; it came into service nowhere since the stop, and nobody was fenced.
async fn start(lab: &Lab, node: &str, since: Fault) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let begun = Fault::now();
    let mut daemon = lab.daemon(node).await?;
    let told = daemon.calls().site_start(SiteStartRequest {}).await?.into_inner();
    assert!(is_done(&told), "{told:?}");
    lab.cluster.wait_healthy(LIMIT).await?;
    let view = lab.cluster.view().borrow().clone();
    for name in lab.cluster.spec().node_names() {
        let promoted = view.first(&name, "promoted", since.wall_ms);
        assert!(promoted.is_none_or(|event| event.at_ms >= begun.wall_ms), "{name} before the start\n{view}");
    }
    assert_eq!(lab.fences(since), 0, "somebody was fenced\n{view}");
    Ok(())
}

/// Asked of the node that holds nothing; then every machine is switched off and on, and the other is asked to start.
#[test]
fn a_site_stops_stays_so_over_boots_and_starts_with_every_write() {
    play(async {
        let lab = Lab::start(spec()).await?;
        let (holder, other) = (lab.holder.clone(), lab.other.clone());
        let since = Fault::now();
        let told = stop(&lab, &other, false).await?;
        assert!(is_done(&told), "{told:?}");
        let both = |view: &View| stopped(view, &holder) && stopped(view, &other);
        lab.cluster.wait_for("both stopped", LIMIT, both).await?;
        // Once more: nothing is left to do.
        let told = stop(&lab, &holder, false).await?;
        assert!(is_done(&told), "{told:?}");

        for name in [&holder, &other] {
            lab.cluster.machine(name)?.power_off().await?;
        }
        for name in [&holder, &other] {
            lab.cluster.machine(name)?.power_on().await?;
        }
        let back = |view: &View| both(view) && view.all_connected();
        lab.cluster.wait_for("both back, and stopped", LIMIT, back).await?;
        start(&lab, &holder, since).await?;
        let primary = lab.cluster.wait_in_service(V1, LIMIT).await?;
        lab.scene().writes_go_on("after the start", 50).await?;
        lab.judge(&primary).await
    });
}

/// Asked of the holder, while only it has every write: refused, unless that is asked for; then it comes up there again,
/// whoever is asked.
#[test]
fn a_site_with_one_whole_replica_stops_when_told_so_and_starts_where_that_is() {
    play(async {
        let lab = Lab::start(spec()).await?;
        let (holder, other) = (lab.holder.clone(), lab.other.clone());
        let since = Fault::now();
        lab.cluster.links().cut_both(&holder, &other, Kinds::Only(&[Kind::Replication]));
        lab.holder_alone().await?;
        let told = stop(&lab, &holder, false).await?;
        let Some(outcome::Result::Refused(refused)) = &told.result else {
            return Err(format!("not refused: {told:?}").into());
        };
        let only = format!("{V1}: only {holder} has every acknowledged write");
        assert!(refused.word == "NOT_SAFE" && refused.text.contains(&only), "{refused:?}");
        lab.scene().writes_go_on("after the refusal", 50).await?;

        // Its daemon ends with the stop, after the answer.
        let told = stop(&lab, &holder, true).await?;
        assert!(is_done(&told), "{told:?}");
        let both = |view: &View| stopped(view, &holder) && stopped(view, &other) && view.all_connected();
        lab.cluster.wait_for("both stopped", LIMIT, both).await?;
        lab.cluster.links().heal_everything();
        start(&lab, &other, since).await?;
        let primary = lab.cluster.wait_in_service(V1, LIMIT).await?;
        assert_eq!(primary, holder, "where every acknowledged write is");
        lab.judge(&primary).await
    });
}
