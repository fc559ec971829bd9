//! A witness that dies, restarts or forgets: rows 8 to 11, 23, 24.

use super::lab::{LIMIT, Lab, V1, play, two};
use picket::demo::Fault;
use picket::demo::cluster::{ClusterSpec, LossAction, WITNESS, WITNESSD};
use std::path::Path;

#[test]
fn row_08_the_witness_dies() {
    play(async {
        let lab = Lab::start(two()).await?;
        let fault = Fault::now();
        lab.cluster.machine(WITNESS)?.power_off().await?;
        lab.event(&lab.holder, "failsafe", fault).await?;
        lab.scene().writes_go_on("without a witness", 2500).await?;
        lab.nothing_moved(fault);
        lab.cluster.machine(WITNESS)?.power_on().await?;
        lab.cluster.wait_healthy(LIMIT).await?;
        let holder = lab.holder.clone();
        lab.judge(&holder).await
    });
}

#[test]
fn row_09_the_witness_dies_then_the_standby() {
    play(async {
        let lab = Lab::start(ClusterSpec { loss_action: LossAction::Freeze, ..two() }).await?;
        let fault = Fault::now();
        lab.cluster.machine(WITNESS)?.power_off().await?;
        lab.event(&lab.holder, "failsafe", fault).await?;
        lab.cluster.machine(&lab.other)?.power_off().await?;
        lab.event(&lab.holder, "frozen", fault).await?;
        lab.volume(&lab.holder, "frozen", |volume| volume.frozen).await?;
        let holder = lab.holder.clone();
        lab.judge(&holder).await
    });
}

#[test]
fn row_10_a_solo_holder_goes_on_without_a_witness() {
    play(async {
        let lab = Lab::start(two()).await?;
        lab.cluster.machine(&lab.other)?.power_off().await?;
        lab.holder_alone().await?;
        let fault = Fault::now();
        lab.cluster.machine(WITNESS)?.power_off().await?;
        lab.event(&lab.holder, "witness-lost", fault).await?;
        lab.scene().writes_go_on("alone and without a witness", 4000).await?;
        lab.nothing_moved(fault);
        let holder = lab.holder.clone();
        lab.judge(&holder).await
    });
}

#[test]
fn row_11_the_witness_dies_then_the_active_node() {
    play(async {
        let lab = Lab::start(two()).await?;
        let fault = Fault::now();
        lab.cluster.machine(WITNESS)?.power_off().await?;
        lab.event(&lab.holder, "failsafe", fault).await?;
        lab.cluster.machine(&lab.holder)?.power_off().await?;
        lab.event(&lab.other, "peer-silent", fault).await?;
        let volume = lab.volume(&lab.other, "says why", |volume| volume.why_word == "NO_WITNESS").await?;
        assert_eq!(volume.role, "SECONDARY");
        let other = lab.other.clone();
        lab.judge(&other).await
    });
}

#[test]
fn row_23_a_witness_that_restarts_stops_nothing() {
    play(async {
        let lab = Lab::start(two()).await?;
        let fault = Fault::now();
        lab.cluster.machine(WITNESS)?.kill(WITNESSD).await?;
        lab.cluster.wait_healthy(LIMIT).await?;
        lab.scene().writes_go_on("after the witness's restart", 200).await?;
        lab.nothing_moved(fault);
        let fault = Fault::now();
        lab.cluster.machine(&lab.holder)?.power_off().await?;
        lab.takeover(fault).await?;
        let other = lab.other.clone();
        lab.judge(&other).await
    });
}

#[test]
fn row_24_a_witness_that_was_rolled_back_recovers_first() {
    play(async {
        let lab = Lab::start(two()).await?;
        let state = lab.cluster.dir().join(WITNESS).join("state");
        let backup = lab.cluster.dir().join("backup");
        lab.cluster.machine(WITNESS)?.power_off().await?;
        copy(&state, &backup)?;
        lab.cluster.machine(WITNESS)?.power_on().await?;
        lab.cluster.wait_healthy(LIMIT).await?;
        lab.cluster.machine(&lab.other)?.power_off().await?;
        lab.holder_alone().await?;
        lab.cluster.machine(WITNESS)?.power_off().await?;
        std::fs::remove_dir_all(&state)?;
        copy(&backup, &state)?;
        let fault = Fault::now();
        lab.cluster.machine(WITNESS)?.power_on().await?;
        // The rolled back record has the other node in sync, which lacks what was written since.
        let waits = |view: &picket::demo::cluster::View| {
            view.node(&lab.holder)
                .and_then(|status| status.witness.as_ref())
                .is_some_and(|witness| witness.recovering && !witness.missing.is_empty())
        };
        lab.cluster.wait_for("a witness that recovers and waits for the other node", LIMIT, waits).await?;
        lab.cluster.machine(&lab.other)?.power_on().await?;
        lab.cluster.wait_healthy(LIMIT).await?;
        assert!(lab.cluster.view().borrow().first(&lab.other, "promoted", fault.wall_ms).is_none());
        let primary = lab.cluster.wait_in_service(V1, LIMIT).await?;
        lab.judge(&primary).await
    });
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
