//! What the driver does about orders, handlers and the kernel's news.

use super::driven::{BACK, Driven, LOST, N2, PRIMARY};
use crate::testing::until;
use crate::time::now;
use crate::volume::drbd::handler::{FENCED, OUTDATED, STAY, SUPERSEDED};
use core::time::Duration;
use picket_core::ids::{Epoch, NodeId, NodeSet, VolumeId};
use picket_core::node::{CommandOutcome, Recorded, Role, VolumeAction};
use picket_core::time::Instant;
use std::fs;

fn both() -> NodeSet {
    NodeSet::only(N2)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_found_requires_everybody() {
    let mut driven = Driven::new(PRIMARY);
    let report = driven.sees("the first state", |report| report.role == Role::Primary).await;
    assert_eq!((report.required, report.connected, report.complete_peers), (both(), both(), both()));
    assert!(report.lost.is_empty() && report.complete && !report.frozen);
    assert_eq!(report.generation.current.0, 0xF2D2_F1A0_C6DC_7F30);
    let drop_peer = driven.order(VolumeAction::DropPeer { peer: N2 }).await;
    driven.until_asked("disconnect --force r0").await;
    driven.until_asked("resume-io r0").await;
    driven.kernel(LOST);
    driven.kernel("change resource name:r0 suspended:no\n");
    assert_eq!(driven.outcome(drop_peer).await, CommandOutcome::Done);
    assert_eq!(driven.handler().await.unwrap(), OUTDATED, "its removal is recorded");
    driven.until_asked("connect r0").await;
    assert!(driven.newest.unwrap().required.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_waits_for_the_removal_and_for_nothing_else() {
    let mut driven = Driven::primary().await;
    driven.kernel(LOST);
    let handler = driven.handler();
    let report = driven.sees("the loss", |report| report.lost == both()).await;
    assert_eq!((report.role, report.required), (Role::Primary, both()));
    let require = driven.order(VolumeAction::RequirePeer { peer: N2 }).await;
    assert!(matches!(driven.outcome(require).await, CommandOutcome::Failed(_)), "a lost peer");
    assert!(!handler.is_finished(), "nothing is recorded yet");
    assert!(!driven.has_asked("resume-io r0"), "nothing is recorded yet");
    let drop_peer = driven.order(VolumeAction::DropPeer { peer: N2 }).await;
    driven.until_asked("resume-io r0").await;
    driven.kernel("change resource name:r0 suspended:no\n");
    assert_eq!(driven.outcome(drop_peer).await, CommandOutcome::Done);
    assert_eq!(handler.await.unwrap(), OUTDATED);
    assert_eq!(driven.handler().await.unwrap(), OUTDATED, "asked again: recorded is recorded");
    // It comes back, is required again, and is waited for again.
    driven.kernel(BACK);
    driven.sees("the return", |report| report.complete_peers == both()).await;
    let require = driven.order(VolumeAction::RequirePeer { peer: N2 }).await;
    assert_eq!(driven.outcome(require).await, CommandOutcome::Done);
    driven.kernel(LOST);
    let handler = driven.handler();
    driven.sees("the second loss", |report| report.lost == both()).await;
    assert!(!handler.is_finished());
    driven.kernel(BACK);
    assert_eq!(handler.await.unwrap(), STAY, "the peer is back: the kernel goes on by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_handler_the_suspension_is_lifted_after_the_record() {
    let mut driven = Driven::primary().await;
    driven.kernel(LOST);
    driven.sees("the loss", |report| report.lost == both()).await;
    assert!(driven.asked().is_empty(), "{:?}", driven.asked());
    let drop_peer = driven.order(VolumeAction::DropPeer { peer: N2 }).await;
    driven.until_asked("resume-io r0").await;
    driven.kernel("change resource name:r0 suspended:no\n");
    assert_eq!(driven.outcome(drop_peer).await, CommandOutcome::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_with_a_peer_cuts_it_off_and_is_never_lifted_by_resume_io() {
    let mut driven = Driven::primary().await;
    let freeze = driven.order(VolumeAction::Freeze).await;
    driven.until_asked("disconnect --force r0").await;
    driven.kernel(LOST);
    driven.kernel("change connection name:r0 peer-node-id:2 conn-name:n2 connection:StandAlone\n");
    assert_eq!(driven.outcome(freeze).await, CommandOutcome::Done);
    let report = driven.sees("the freeze", |report| report.frozen).await;
    assert!(report.lost.is_empty(), "the peer is kept away, not lost");
    let handler = driven.handler();
    let late = driven.order(VolumeAction::Thaw { valid_until: now() }).await;
    assert!(matches!(driven.outcome(late).await, CommandOutcome::Failed(_)));
    assert!(!driven.has_asked("connect r0"));
    let thaw = driven.order(VolumeAction::Thaw { valid_until: Instant::NEVER }).await;
    driven.until_asked("connect r0").await;
    driven.kernel(BACK);
    assert_eq!(driven.outcome(thaw).await, CommandOutcome::Done);
    assert_eq!(handler.await.unwrap(), STAY);
    driven.sees("the thaw", |report| !report.frozen).await;
    assert!(!driven.has_asked("resume-io r0") && !driven.has_asked("suspend-io r0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_dropped_during_a_freeze_leaves_it_frozen() {
    let mut driven = Driven::primary().await;
    let freeze = driven.order(VolumeAction::Freeze).await;
    driven.until_asked("disconnect --force r0").await;
    driven.kernel(LOST);
    assert_eq!(driven.outcome(freeze).await, CommandOutcome::Done);
    let handler = driven.handler();
    let drop_peer = driven.order(VolumeAction::DropPeer { peer: N2 }).await;
    driven.until_asked("suspend-io r0").await;
    assert!(!handler.is_finished(), "its answer would lift the freeze");
    driven.kernel("change resource name:r0 suspended:user,fencing\n");
    assert_eq!(driven.outcome(drop_peer).await, CommandOutcome::Done);
    assert_eq!(handler.await.unwrap(), OUTDATED);
    driven.kernel("change resource name:r0 suspended:user\n");
    let report = driven.sees("alone and frozen", |report| report.required.is_empty()).await;
    assert!(report.frozen);
    let thaw = driven.order(VolumeAction::Thaw { valid_until: Instant::NEVER }).await;
    driven.until_asked("resume-io r0").await;
    driven.kernel("change resource name:r0 suspended:no\n");
    assert_eq!(driven.outcome(thaw).await, CommandOutcome::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demote_is_done_when_it_is_seen() {
    let mut driven = Driven::primary().await;
    let demote = driven.order(VolumeAction::Demote { deadline: now() + Duration::from_secs(30) }).await;
    driven.until_asked("secondary r0").await;
    assert!(driven.outcomes.is_empty());
    driven.kernel("change resource name:r0 role:Secondary\n");
    assert_eq!(driven.outcome(demote).await, CommandOutcome::Done);
    assert_eq!(driven.handler().await.unwrap(), STAY, "nobody promoted it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demote_that_is_refused_has_failed() {
    let mut driven = Driven::primary().await;
    fs::write(driven.file("refused"), "State change failed: (-2) Need access to UpToDate data\n").unwrap();
    let demote = driven.order(VolumeAction::Demote { deadline: now() + Duration::from_secs(60) }).await;
    let outcome = driven.outcome(demote).await;
    assert!(matches!(&outcome, CommandOutcome::Failed(text) if text.contains("(-2)")), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demote_waits_for_whoever_has_the_device_open() {
    let mut driven = Driven::primary().await;
    fs::write(driven.file("refused"), "State change failed: (-12) Device is held open by someone\n").unwrap();
    let demote = driven.order(VolumeAction::Demote { deadline: now() + Duration::from_secs(60) }).await;
    let tries =
        async || (driven.asked().iter().filter(|line| *line == "secondary r0").count() > 1).then_some(());
    until("a second try", tries).await;
    assert!(driven.outcomes.is_empty());
    fs::remove_file(driven.file("refused")).unwrap();
    driven.kernel("change resource name:r0 role:Secondary\n");
    assert_eq!(driven.outcome(demote).await, CommandOutcome::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn how_far_a_resync_is_stands_in_the_status() {
    let driven = Driven::primary().await;
    let done = async |percent| {
        let seen = async || (driven.gaps.resync(VolumeId(1)) == percent).then_some(());
        until("how far the resync is", seen).await;
    };
    fs::write(driven.file("status"), "r0 role:Primary\n  peer role:Secondary\n    done:41.70\n").unwrap();
    let peer = "change peer-device name:r0 peer-node-id:2 conn-name:n2 volume:0";
    driven.kernel(&format!("{peer} replication:SyncSource peer-disk:Inconsistent\n"));
    done(Some(41)).await;
    driven.kernel(&format!("{peer} done:62.00\n"));
    done(Some(62)).await;
    driven.kernel(&format!("{peer} replication:Established peer-disk:UpToDate\n"));
    done(None).await;
}

/// What a program of the user, or a person, promotes: nobody has settled anything about its peer.
const BY_HAND: &str = "change resource name:r0 role:Primary\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_nobody_promoted_here_requires_everybody() {
    let mut driven = Driven::new(&PRIMARY.replacen("role:Primary", "role:Secondary", 1));
    driven.sees("the first state", |report| report.role == Role::Secondary).await;
    driven.kernel(BY_HAND);
    let report = driven.sees("the promotion", |report| report.role == Role::Primary).await;
    assert_eq!(report.required, both());
    // Also one that was alone before: what was recorded then is over with its demote.
    let drop_peer = driven.order(VolumeAction::DropPeer { peer: N2 }).await;
    driven.until_asked("resume-io r0").await;
    driven.kernel(LOST);
    driven.kernel("change resource name:r0 suspended:no\n");
    assert_eq!(driven.outcome(drop_peer).await, CommandOutcome::Done);
    driven.kernel("change resource name:r0 role:Secondary\n");
    driven.sees("the demote", |report| report.role == Role::Secondary).await;
    driven.kernel(BACK);
    driven.kernel(BY_HAND);
    let report = driven.sees("the second promotion", |report| report.role == Role::Primary).await;
    assert_eq!(report.required, both());
    driven.kernel(LOST);
    let handler = driven.handler();
    driven.sees("the loss", |report| report.lost == both()).await;
    assert!(!handler.is_finished(), "nothing is recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_peer_is_told_as_fenced() {
    let mut driven = Driven::primary().await;
    driven.kernel(LOST);
    let handler = driven.handler();
    driven.sees("the loss", |report| report.lost == both()).await;
    driven.fence.send(both()).unwrap();
    assert!(!handler.is_finished(), "a fence alone is no record");
    let drop_peer = driven.order(VolumeAction::DropPeer { peer: N2 }).await;
    driven.until_asked("resume-io r0").await;
    driven.kernel("change resource name:r0 suspended:no\n");
    assert_eq!(driven.outcome(drop_peer).await, CommandOutcome::Done);
    assert_eq!(handler.await.unwrap(), FENCED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_was_taken_over_outdates_itself() {
    let mut driven = Driven::primary().await;
    let recorded =
        |holder, epoch, current| Recorded { epoch: Epoch(epoch), holder: Some(holder), isr: both(), current };
    driven.record.send(recorded(NodeId(1), 9, true)).unwrap();
    driven.kernel(LOST);
    let handler = driven.handler();
    driven.sees("the loss", |report| report.lost == both()).await;
    driven.record.send(recorded(N2, 8, true)).unwrap();
    driven.record.send(recorded(N2, 10, false)).unwrap();
    assert!(!handler.is_finished(), "of before, or not from the witness of now");
    driven.record.send(recorded(N2, 10, true)).unwrap();
    assert_eq!(handler.await.unwrap(), SUPERSEDED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_without_its_disk_judges_nobody() {
    let mut driven = Driven::primary().await;
    driven.kernel("change device name:r0 volume:0 minor:0 disk:Diskless\n");
    let report = driven.sees("the disk's end", |report| !report.complete).await;
    assert_eq!(report.role, Role::Unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_whose_disk_is_gone_is_lost_although_it_is_connected() {
    let mut driven = Driven::primary().await;
    driven.kernel("change peer-device name:r0 peer-node-id:2 conn-name:n2 volume:0 peer-disk:Diskless\n");
    driven.sees("the loss", |report| report.lost == both()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_is_not_up_is_brought_up_and_never_promoted() {
    let driven = Driven::new("exists -\n");
    driven.until_asked("up r0").await;
    assert!(driven.asked().is_empty(), "{:?}", driven.asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_was_brought_up_halfway_is_brought_up_to_the_end() {
    let driven = Driven::new("");
    fs::write(driven.file("half"), "").unwrap();
    driven.kernel("exists -\n");
    driven.until_asked("up r0").await;
    driven.kernel("create resource name:r0 role:Secondary suspended:no\n");
    driven.kernel("create device name:r0 volume:0 minor:0 disk:Diskless\n");
    driven.until_asked("adjust r0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_configuration_would_undo_the_guarantee_is_not_complete() {
    let mut driven = Driven::with(PRIMARY, |dump| dump.replace("protocol C", "protocol A"));
    let report = driven.sees("the first state", |report| report.role == Role::Primary).await;
    assert!(!report.complete);
}
