//! A node that an operator puts on standby: row 39.

use super::lab::{LIMIT, Lab, V1, is_done, play, two};
use picket::demo::cluster::{ClusterSpec, PICKETD, View};
use picket_proto::v1::{ExplainRequest, NodeRequest};

fn stands_by(view: &View, node: &str) -> bool {
    let told =
        |status: &picket_proto::v1::Status| status.members.iter().any(|m| m.local && m.standby == Some(true));
    view.node(node).is_some_and(|status| {
        told(status) && status.unprotected.iter().any(|line| line.word == "STANDBY" && line.subject == node)
    })
}

/// What a node's status says of another one: on standby or not, if it is known.
fn told_of(view: &View, by: &str, node: &str) -> Option<bool> {
    view.node(by)?.members.iter().find(|member| member.node == node)?.standby
}

/// Asked of the other node, durable over a kill, and obeyed when the other is gone; then online, and in service.
#[test]
fn row_39_a_node_on_standby_hands_over_and_takes_nothing() {
    play(async {
        let lab = Lab::start(ClusterSpec { restart_after_ms: Some(100), ..two() }).await?;
        let (holder, other) = (lab.holder.clone(), lab.other.clone());
        let mut asked = lab.daemon(&other).await?;
        let told = asked.calls().standby(NodeRequest { node: holder.clone() }).await?.into_inner();
        assert!(is_done(&told), "{told:?}");
        lab.cluster.wait_for("a handover", LIMIT, |view| view.in_service(V1) == Some(other.clone())).await?;
        lab.cluster.wait_for("the standby told", LIMIT, |view| stands_by(view, &holder)).await?;
        let told = |view: &View| {
            told_of(view, &other, &holder) == Some(true) && told_of(view, &holder, &other) == Some(false)
        };
        lab.cluster.wait_for("it is told by the peer, too", LIMIT, told).await?;
        lab.scene().writes_go_on("after the handover", 50).await?;

        let before = lab.cluster.machine(&holder)?.status().await?.program(PICKETD).map(|p| p.starts);
        lab.cluster.machine(&holder)?.kill(PICKETD).await?;
        lab.cluster
            .machine(&holder)?
            .until(|status| {
                status.program(PICKETD).is_some_and(|p| p.pid.is_some() && Some(p.starts) > before)
            })
            .await?;
        lab.cluster.wait_healthy(LIMIT).await?;
        lab.cluster.wait_for("the standby remembered", LIMIT, |view| stands_by(view, &holder)).await?;

        lab.cluster.machine(&other)?.power_off().await?;
        let alone = |view: &View| {
            let peer = |s: &picket_proto::v1::Status| s.members.iter().all(|m| m.local || m.state != "ALIVE");
            view.node(&holder).is_some_and(peer)
        };
        lab.cluster.wait_for("the other silent", LIMIT, alone).await?;
        let unknown = |view: &View| told_of(view, &holder, &other).is_none();
        lab.cluster.wait_for("what is not known is not said", LIMIT, unknown).await?;
        let mut here = lab.daemon(&holder).await?;
        let explained = here.calls().explain(ExplainRequest { tag: V1.to_owned() }).await?.into_inner();
        let why = format!("{explained:?}");
        assert!(
            why.contains("is on standby") && why.contains(&format!("picket node online {holder}")),
            "{why}"
        );
        let online = here.calls().online(NodeRequest { node: holder.clone() }).await?.into_inner();
        assert!(is_done(&online), "{online:?}");
        lab.cluster.wait_for("a takeover", LIMIT, |view| view.in_service(V1) == Some(holder.clone())).await?;
        lab.scene().writes_go_on("after it is online", 50).await?;
        // The fence that proved the other off has switched it on again, or it is done here.
        let _ = lab.cluster.machine(&other)?.power_on().await;
        lab.cluster.wait_healthy(LIMIT).await?;
        lab.judge(&holder).await
    });
}
