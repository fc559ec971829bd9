//! More than two nodes, more than one volume: rows 16, 31 to 33.

use super::lab::{LIMIT, Lab, V1, play, two};
use picket::demo::Fault;
use picket::demo::cluster::ClusterSpec;
use picket_proto::v1::MoveRequest;

fn three() -> ClusterSpec {
    ClusterSpec { nodes: 3, ..two() }
}

#[test]
fn row_16_two_nodes_ask_to_fence_and_one_gets_the_permit() {
    play(async {
        let lab = Lab::start(three()).await?;
        let fault = Fault::now();
        lab.cluster.machine(&lab.holder)?.power_off().await?;
        let moved =
            |view: &picket::demo::cluster::View| view.in_service(V1).is_some_and(|node| node != lab.holder);
        lab.cluster.wait_for("another holder", LIMIT, moved).await?;
        assert_eq!(lab.fences(fault), 1, "one permit\n{}", *lab.cluster.view().borrow());
        lab.scene().writes_go_on("after the takeover", 50).await?;
        let primary = lab.cluster.wait_in_service(V1, LIMIT).await?;
        lab.judge(&primary).await
    });
}

#[test]
fn row_31_two_volumes_on_two_nodes_never_kill_each_other() {
    play(async {
        let volumes = vec!["v1".to_owned(), "v2".to_owned()];
        let lab = Lab::start(ClusterSpec { volumes, ..two() }).await?;
        let mut daemon = lab.daemon(&lab.other).await?;
        let request = MoveRequest { tag: "v2".to_owned(), node: lab.other.clone(), wait_ms: 0 };
        let _ = daemon.calls().r#move(request).await?;
        let apart = |view: &picket::demo::cluster::View| {
            view.in_service("v1").as_deref() == Some(lab.holder.as_str())
                && view.in_service("v2").as_deref() == Some(lab.other.as_str())
        };
        lab.cluster.wait_for("a volume on each node", LIMIT, apart).await?;
        lab.cluster.wait_healthy(LIMIT).await?;
        let fault = Fault::now();
        lab.cut_cables(&lab.holder, &lab.other);
        lab.holder_alone().await?;
        let solo = |view: &picket::demo::cluster::View| {
            view.volume(&lab.other, "v2").is_some_and(|volume| volume.solo)
        };
        lab.cluster.wait_for("each holder alone", LIMIT, solo).await?;
        assert_eq!(lab.fences(fault), 0, "nobody is fenced\n{}", *lab.cluster.view().borrow());
        let holder = lab.holder.clone();
        lab.judge(&holder).await
    });
}

#[test]
fn row_32_two_of_three_are_lost_at_once() {
    play(async {
        let lab = Lab::start(three()).await?;
        let fault = Fault::now();
        let others: Vec<String> =
            lab.cluster.spec().node_names().filter(|name| *name != lab.holder).collect();
        let (one, two) = (lab.cluster.machine(&others[0])?, lab.cluster.machine(&others[1])?);
        let (first, second) = tokio::join!(one.power_off(), two.power_off());
        first.and(second)?;
        lab.holder_alone().await?;
        lab.nothing_moved(fault);
        let holder = lab.holder.clone();
        lab.judge(&holder).await
    });
}

#[test]
fn row_33_the_winner_of_a_takeover_dies_at_once() {
    play(async {
        let lab = Lab::start(three()).await?;
        let first = lab.holder.clone();
        lab.cluster.machine(&first)?.power_off().await?;
        let moved =
            |view: &picket::demo::cluster::View| view.in_service(V1).is_some_and(|node| node != first);
        let view = lab.cluster.wait_for("another holder", LIMIT, moved).await?;
        let second = view.in_service(V1).expect("just seen");
        lab.cluster.machine(&second)?.power_off().await?;
        let third =
            |view: &picket::demo::cluster::View| view.in_service(V1).is_some_and(|node| node != second);
        lab.cluster.wait_for("the next holder", LIMIT, third).await?;
        lab.scene().writes_go_on("after the second takeover", 50).await?;
        let primary = lab.cluster.wait_in_service(V1, LIMIT).await?;
        lab.judge(&primary).await
    });
}
