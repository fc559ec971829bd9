//! What people do, rightly or wrongly: rows 25, 34, 35.

use super::lab::{LIMIT, Lab, V1, play, two};
use core::time::Duration;
use picket::demo::Fault;
use picket::demo::cluster::{ClusterSpec, FenceLevel, LossAction, Occurred, View, WITNESS, Watchdog};
use picket::demo::links::Kinds;
use picket_proto::v1::{ConfirmRequest, MoveRequest, OverrideRequest};

#[test]
fn row_25_a_wrong_confirmation_finds_the_node_inactive() {
    play(async {
        let spec =
            ClusterSpec { fence: vec![FenceLevel::Meatware], loss_action: LossAction::Freeze, ..two() };
        let spec = ClusterSpec { watchdog: Watchdog::CountsNot, ..spec };
        let lab = Lab::start(spec).await?;
        let fault = Fault::now();
        lab.cluster.links().cut_all_of(&lab.holder);
        let pending = |view: &View| {
            let status = view.node(&lab.other)?;
            status
                .pending
                .iter()
                .find(|pending| pending.target == lab.holder && pending.heard_by.is_empty())
                .cloned()
        };
        let view =
            lab.cluster.wait_for("a request to confirm", LIMIT, |view| pending(view).is_some()).await?;
        let challenge = pending(&view).expect("just seen").challenge;
        let mut daemon = lab.daemon(&lab.other).await?;
        // The machine runs. Nobody has looked.
        daemon.calls().confirm(ConfirmRequest { node: lab.holder.clone(), challenge }).await?;
        assert_eq!(lab.takeover(fault).await?, "OPERATOR");
        let old =
            lab.volume(&lab.holder, "inactive", |volume| volume.frozen || volume.role != "PRIMARY").await?;
        assert_ne!(old.state, "ISP");
        // That boot is refused for good, however often it asks; and it asks less and less often.
        lab.cluster.links().heal_all_of(&lab.holder);
        let refusals = |view: &View| -> Vec<u64> {
            let refused = |event: &&Occurred| event.by == WITNESS && event.name == "witness-session-refused";
            view.events().iter().filter(refused).map(|event| event.at_ms).collect()
        };
        let often = |view: &View| refusals(view).len() >= 9;
        let view = lab.cluster.wait_for("nine refusals", LIMIT, often).await?;
        let times = refusals(&view);
        assert!(times[8] - times[7] >= 400, "{times:?}");
        let other = lab.other.clone();
        lab.judge(&other).await
    });
}

/// The links of the handover's parties are cut at eight moments of it, and healed again.
#[test]
fn row_34_a_handover_that_is_cut_leaves_one_holder() {
    play(async {
        let lab = Lab::start(two()).await?;
        for step in 0..8_u64 {
            let holder = lab.cluster.wait_in_service(V1, LIMIT).await?;
            let other = lab.cluster.spec().node_names().find(|name| *name != holder).expect("two");
            let mut daemon = lab.daemon(&holder).await?;
            let request = MoveRequest { tag: V1.to_owned(), node: other.clone(), wait_ms: 0 };
            let moving = tokio::spawn(async move { daemon.calls().r#move(request).await.map(drop) });
            tokio::time::sleep(Duration::from_millis(2 * step)).await;
            let cut = if step % 2 == 0 { WITNESS } else { other.as_str() };
            lab.cluster.links().cut_both(&holder, cut, Kinds::All);
            tokio::time::sleep(Duration::from_millis(300)).await;
            lab.cluster.links().heal_everything();
            lab.cluster.wait_healthy(LIMIT).await?;
            moving.abort();
        }
        lab.scene().writes_go_on("after all handovers", 50).await?;
        let primary = lab.cluster.wait_in_service(V1, LIMIT).await?;
        lab.judge(&primary).await
    });
}

#[test]
fn row_35_an_override_and_the_old_holder_is_there_first() {
    play(async {
        let lab = Lab::start(ClusterSpec { loss_action: LossAction::Osu, ..two() }).await?;
        let witness = lab.cluster.machine(WITNESS)?;
        witness.power_off().await?;
        lab.cluster.machine(&lab.holder)?.power_off().await?;
        let silent = |view: &View| {
            view.node(&lab.other)
                .is_some_and(|status| status.members.iter().all(|m| m.local || m.state != "ALIVE"))
        };
        lab.cluster.wait_for("the holder silent", LIMIT, silent).await?;
        let mut daemon = lab.daemon(&lab.other).await?;
        let request = OverrideRequest {
            tag: V1.to_owned(),
            dead: vec![lab.holder.clone()],
            typed: lab.holder.clone(),
            reason: "a test".to_owned(),
            length_ms: 600_000,
        };
        daemon.calls().r#override(request).await?;
        lab.volume(&lab.other, "overridden", |volume| volume.overridden && volume.role == "PRIMARY").await?;
        lab.scene().writes_go_on("under the override", 50).await?;
        // The old holder comes back and reaches the witness; the overriding node does not.
        let fault = Fault::now();
        lab.cut_witness(&lab.other);
        lab.cluster.machine(&lab.holder)?.power_on().await?;
        witness.power_on().await?;
        let recovers = |view: &View| {
            view.node(&lab.holder).and_then(|s| s.witness.as_ref()).is_some_and(|w| w.recovering)
        };
        lab.cluster.wait_for("a witness that recovers", LIMIT, recovers).await?;
        lab.cluster.links().heal_everything();
        lab.cluster.wait_healthy(LIMIT).await?;
        let view = lab.cluster.view().borrow().clone();
        assert!(
            view.first(&lab.holder, "promoted", fault.wall_ms).is_none(),
            "the old holder was promoted\n{view}"
        );
        assert_eq!(view.in_service(V1), Some(lab.other.clone()));
        let other = lab.other.clone();
        lab.judge(&other).await
    });
}
