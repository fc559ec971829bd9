//! Machines that die, boot and stall: rows 1, 2, 13, 14, 17, 18, 20, 21, 22, 26.

use super::lab::{LIMIT, Lab, V1, play, two};
use core::time::Duration;
use picket::demo::Fault;
use picket::demo::cluster::{AfterBite, ClusterSpec, FenceLevel, PICKETD, View, Watchdog};
use picket::demo::machine::control::PowerState;
use picket_proto::v1::MoveRequest;

#[test]
fn row_01_the_active_machine_crashes() {
    play(async {
        let lab = Lab::start(two()).await?;
        let fault = Fault::now();
        lab.cluster.machine(&lab.holder)?.power_off().await?;
        assert_eq!(lab.takeover(fault).await?, "FENCED");
        let other = lab.other.clone();
        lab.judge(&other).await
    });
}

#[test]
fn row_02_the_standby_crashes() {
    play(async {
        let lab = Lab::start(two()).await?;
        let fault = Fault::now();
        lab.cluster.machine(&lab.other)?.power_off().await?;
        lab.holder_alone().await?;
        lab.nothing_moved(fault);
        let holder = lab.holder.clone();
        lab.judge(&holder).await
    });
}

#[test]
fn row_13_the_daemon_of_the_active_node_is_stopped() {
    play(async {
        let lab = Lab::start(two()).await?;
        let fault = Fault::now();
        lab.cluster.machine(&lab.holder)?.freeze(PICKETD).await?;
        let proof = lab.takeover(fault).await?;
        assert!(["FENCED", "LEASE", "NEWER-BOOT"].contains(&proof.as_str()), "{proof}");
        let other = lab.other.clone();
        lab.judge(&other).await
    });
}

#[test]
fn row_14_a_daemon_that_restarts_at_once_moves_nothing() {
    play(async {
        let lab = Lab::start(two()).await?;
        let fault = Fault::now();
        let epoch = lab.volume(&lab.holder, "an epoch", |volume| volume.epoch > 0).await?.epoch;
        lab.cluster.machine(&lab.holder)?.kill(PICKETD).await?;
        lab.event(&lab.holder, "node-started", fault).await?;
        lab.volume(&lab.holder, "adopted", |volume| volume.state == "ISP" && volume.epoch == epoch).await?;
        lab.cluster.wait_healthy(LIMIT).await?;
        lab.nothing_moved(fault);
        let holder = lab.holder.clone();
        lab.judge(&holder).await
    });
}

#[test]
fn row_17_a_fence_that_times_out_is_unknown_and_the_lease_proves() {
    play(async {
        let fence = vec![FenceLevel::Process { timeout: Duration::from_millis(700) }];
        let lab = Lab::start(ClusterSpec { fence, ..two() }).await?;
        lab.cluster.machine(&lab.holder)?.switch_answers(false).await?;
        let fault = Fault::now();
        lab.cut_cables(&lab.holder, &lab.other);
        lab.cut_witness(&lab.holder);
        assert_eq!(lab.takeover(fault).await?, "LEASE");
        lab.event(&lab.other, "fence-unconfirmed", fault).await?;
        let other = lab.other.clone();
        lab.judge(&other).await
    });
}

#[test]
fn row_18_the_power_switch_dies_with_the_machine() {
    play(async {
        let fence = vec![FenceLevel::Process { timeout: Duration::from_millis(700) }];
        let lab = Lab::start(ClusterSpec { fence, after_bite: AfterBite::StayOff, ..two() }).await?;
        let machine = lab.cluster.machine(&lab.holder)?;
        machine.switch_answers(false).await?;
        let fault = Fault::now();
        machine.power_off().await?;
        assert_eq!(lab.takeover(fault).await?, "LEASE");
        let other = lab.other.clone();
        lab.judge(&other).await
    });
}

#[test]
fn row_18_without_a_watchdog_it_blocks_and_says_why() {
    play(async {
        let fence = vec![FenceLevel::Process { timeout: Duration::from_millis(700) }];
        let spec = ClusterSpec { fence, watchdog: Watchdog::None, after_bite: AfterBite::StayOff, ..two() };
        let lab = Lab::start(spec).await?;
        let machine = lab.cluster.machine(&lab.holder)?;
        machine.switch_answers(false).await?;
        let fault = Fault::now();
        machine.power_off().await?;
        lab.event(&lab.other, "fence-unconfirmed", fault).await?;
        let volume = lab.volume(&lab.other, "blocked", |volume| volume.why_word == "NEEDS_PROOF").await?;
        assert_ne!(volume.role, "PRIMARY");
        machine.switch_answers(true).await?;
        assert_eq!(lab.takeover(fault).await?, "FENCED", "the next try finds the switch repaired");
        let other = lab.other.clone();
        lab.judge(&other).await
    });
}

#[test]
fn row_20_a_stale_node_that_boots_alone_stays_secondary() {
    play(async {
        let lab = Lab::start(two()).await?;
        lab.cluster.machine(&lab.other)?.power_off().await?;
        lab.holder_alone().await?;
        lab.cluster.machine(&lab.holder)?.power_off().await?;
        lab.cluster.machine(&lab.other)?.power_on().await?;
        let volume = lab.volume(&lab.other, "refused", |volume| volume.why_word == "NOT_IN_SYNC").await?;
        assert_eq!(volume.role, "SECONDARY");
        lab.cluster.machine(&lab.holder)?.power_on().await?;
        lab.cluster.wait_healthy(LIMIT).await?;
        let primary = lab.cluster.wait_in_service(V1, LIMIT).await?;
        lab.judge(&primary).await
    });
}

#[test]
fn row_21_both_machines_boot_cold() {
    play(async {
        let lab = Lab::start(two()).await?;
        for node in [&lab.holder, &lab.other] {
            lab.cluster.machine(node)?.power_off().await?;
        }
        for node in [&lab.holder, &lab.other] {
            lab.cluster.machine(node)?.power_on().await?;
        }
        lab.cluster.wait_healthy(LIMIT).await?;
        lab.scene().writes_go_on("after the cold start", 50).await?;
        let primary = lab.cluster.wait_in_service(V1, LIMIT).await?;
        lab.judge(&primary).await
    });
}

#[test]
fn row_22_one_machine_of_the_in_sync_set_boots_cold() {
    play(async {
        let lab = Lab::start(ClusterSpec { cold_start: Duration::from_secs(3), ..two() }).await?;
        // At once: neither can notice that the other is gone.
        let (one, two) = (lab.cluster.machine(&lab.holder)?, lab.cluster.machine(&lab.other)?);
        let (first, second) = tokio::join!(one.power_off(), two.power_off());
        first.and(second)?;
        let fault = Fault::now();
        two.power_on().await?;
        let proof = lab.takeover(fault).await?;
        assert!(["FENCED", "LEASE"].contains(&proof.as_str()), "{proof}");
        let other = lab.other.clone();
        lab.judge(&other).await
    });
}

#[test]
fn row_26_the_fourth_fence_in_ten_minutes_keeps_the_node_off() {
    play(async {
        let lab = Lab::start(two()).await?;
        let looping = lab.holder.clone();
        for round in 1..=4 {
            let fault = Fault::now();
            lab.cluster.machine(&looping)?.power_off().await?;
            assert_eq!(lab.takeover(fault).await?, "FENCED", "round {round}");
            if round < 4 {
                lab.cluster.wait_healthy(LIMIT).await?;
                move_back(&lab, &looping).await?;
                lab.cluster.wait_healthy(LIMIT).await?;
            }
        }
        let held_off = |view: &View| {
            view.witness().is_some_and(|w| w.nodes.iter().any(|node| node.name == looping && node.held_off))
        };
        lab.cluster.wait_for("the node held off", LIMIT, held_off).await?;
        let off = lab.cluster.machine(&looping)?.status().await?.power;
        assert_eq!(off, PowerState::Off, "it is kept off");
        let other = lab.other.clone();
        lab.judge(&other).await
    });
}

/// Asks until it is done: a node that has just come back is still in its quarantine and says so.
async fn move_back(lab: &Lab, node: &str) -> super::lab::Outcome {
    let there = |view: &View| view.in_service(V1).as_deref() == Some(node);
    for _ in 0..40 {
        let mut daemon = lab.daemon(node).await?;
        // One that came before its node could act on it is not waited for: it is asked for again.
        let request = MoveRequest { tag: V1.to_owned(), node: node.to_owned(), wait_ms: 500 };
        daemon.calls().r#move(request).await?;
        if lab.cluster.wait_for("the volume back", Duration::from_millis(500), there).await.is_ok() {
            return Ok(());
        }
    }
    Err("the volume did not come back".into())
}
