//! Links that are cut: rows 3 to 7, 12 and 30.

use super::lab::{LIMIT, Lab, V1, play, two};
use picket::demo::Fault;
use picket::demo::cluster::{ClusterSpec, LossAction};
use picket::demo::links::{Kind, Kinds};

#[test]
fn row_03_the_replication_link_is_cut() {
    play(async {
        let lab = Lab::start(two()).await?;
        let fault = Fault::now();
        lab.cluster.links().cut_both(&lab.holder, &lab.other, Kinds::Only(&[Kind::Replication]));
        lab.holder_alone().await?;
        let volume = lab.volume(&lab.other, "refused", |volume| volume.why_word == "NOT_IN_SYNC").await?;
        assert_eq!(volume.role, "SECONDARY");
        lab.nothing_moved(fault);
        lab.cluster.links().heal_everything();
        lab.cluster.wait_healthy(LIMIT).await?;
        let holder = lab.holder.clone();
        lab.judge(&holder).await
    });
}

#[test]
fn row_04_the_holder_is_cut_from_peer_and_witness() {
    play(async {
        let lab = Lab::start(two()).await?;
        let fault = Fault::now();
        lab.cut_cables(&lab.holder, &lab.other);
        lab.cut_witness(&lab.holder);
        assert_eq!(lab.takeover(fault).await?, "FENCED");
        let other = lab.other.clone();
        lab.judge(&other).await
    });
}

#[test]
fn row_04_the_holder_is_cut_from_everything_its_power_switch_too() {
    play(async {
        let lab = Lab::start(ClusterSpec { loss_action: LossAction::Freeze, ..two() }).await?;
        let fault = Fault::now();
        lab.cluster.links().cut_all_of(&lab.holder);
        lab.event(&lab.holder, "frozen", fault).await?;
        assert_eq!(lab.takeover(fault).await?, "LEASE");
        let old =
            lab.volume(&lab.holder, "frozen", |volume| volume.frozen || volume.role != "PRIMARY").await?;
        assert_ne!(old.state, "ISP");
        let other = lab.other.clone();
        lab.judge(&other).await
    });
}

#[test]
fn row_05_the_standby_is_cut_from_both() {
    play(async {
        let lab = Lab::start(two()).await?;
        let fault = Fault::now();
        lab.cluster.links().cut_all_of(&lab.other);
        lab.holder_alone().await?;
        lab.volume(&lab.other, "refused", |volume| volume.role == "SECONDARY" && !volume.why_word.is_empty())
            .await?;
        lab.nothing_moved(fault);
        let holder = lab.holder.clone();
        lab.judge(&holder).await
    });
}

#[test]
fn row_06_the_holder_is_cut_from_the_witness() {
    play(async {
        let lab = Lab::start(two()).await?;
        let fault = Fault::now();
        lab.cut_witness(&lab.holder);
        lab.event(&lab.holder, "witness-lost", fault).await?;
        lab.event(&lab.holder, "failsafe", fault).await?;
        // Longer than any lease lasts by itself.
        lab.scene().writes_go_on("in failsafe", 2500).await?;
        lab.nothing_moved(fault);
        lab.cluster.links().heal_everything();
        lab.cluster.wait_healthy(LIMIT).await?;
        let holder = lab.holder.clone();
        lab.judge(&holder).await
    });
}

#[test]
fn row_07_one_direction_between_the_nodes_is_lost() {
    play(async {
        let lab = Lab::start(two()).await?;
        let fault = Fault::now();
        lab.cluster.links().cut(&lab.holder, &lab.other, Kinds::All);
        lab.holder_alone().await?;
        lab.nothing_moved(fault);
        let holder = lab.holder.clone();
        lab.judge(&holder).await
    });
}

#[test]
fn row_12_all_links_are_cut() {
    play(async {
        let lab = Lab::start(two()).await?;
        let fault = Fault::now();
        lab.cluster.links().cut_all_of(&lab.holder);
        lab.cluster.links().cut_all_of(&lab.other);
        lab.event(&lab.holder, "demoted", fault).await?;
        let nowhere = |view: &picket::demo::cluster::View| view.is_nowhere(V1);
        lab.cluster.wait_for("the volume nowhere in service", LIMIT, nowhere).await?;
        lab.cluster.links().heal_everything();
        lab.cluster.wait_healthy(LIMIT).await?;
        let primary = lab.cluster.wait_in_service(V1, LIMIT).await?;
        lab.judge(&primary).await
    });
}

#[test]
fn row_30_only_a_heartbeat_path_of_the_holder_lives() {
    play(async {
        let lab = Lab::start(two()).await?;
        let fault = Fault::now();
        lab.cut_witness(&lab.holder);
        lab.cluster.links().cut_both(&lab.holder, &lab.other, Kinds::Only(&[Kind::Replication, Kind::Peer]));
        let proof = lab.takeover(fault).await?;
        assert!(["RELEASED", "LEASE"].contains(&proof.as_str()), "{proof}");
        let other = lab.other.clone();
        lab.judge(&other).await
    });
}

#[test]
fn row_30_a_holder_that_reaches_its_peer_surrenders_by_relay() {
    play(async {
        let lab = Lab::start(two()).await?;
        let fault = Fault::now();
        lab.cut_witness(&lab.holder);
        lab.cluster.links().cut_both(&lab.holder, &lab.other, Kinds::Only(&[Kind::Replication]));
        assert_eq!(lab.takeover(fault).await?, "RELEASED");
        let other = lab.other.clone();
        lab.judge(&other).await
    });
}
