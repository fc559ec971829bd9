//! Replication, barrier, freeze, generations, resync, between servers in this process.

#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by them

mod common;

use common::{Cluster, later_ns, nodes, now_ns, reach, reach_more, within};
use picket_ledger::checker;
use picket_ledger::control::ControlError;
use picket_ledger::control::wire::{Activity, Refusal, Role};
use picket_ledger::ids::{Epoch, Generation, NodeId};

fn refusal<T: std::fmt::Debug>(outcome: Result<T, ControlError>) -> Refusal {
    match outcome {
        Err(ControlError::Refused(refusal)) => refusal,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steady_appends_reach_every_required_replica() {
    let cluster = Cluster::start(3).await;
    cluster.node(1).promote(1, &[2, 3]).await.unwrap();
    let status = cluster.node(1).until_writable().await;
    assert_eq!(status.role, Role::Primary { epoch: Epoch(1) });
    assert_eq!(status.generation, Generation::initial(), "no replica was left out");
    let mut appender = cluster.appender("acks", &[1, 2, 3], |c| c.limit = Some(500));
    within("500 appends", appender.done()).await.unwrap();
    let acks = appender.acks();
    for id in [2, 3] {
        let status = cluster.node(id).control.status().await.unwrap();
        assert_eq!((status.last_seq, status.complete), (500, true), "node {id}");
        assert_eq!(status.upstream.map(|u| (u.node, u.epoch)), Some((NodeId(1), Epoch(1))));
    }
    let mut trips: Vec<u64> = acks.iter().map(|a| (a.seen_ns - a.sent_ns) / 1000).collect();
    trips.sort_unstable();
    println!("append, two replicas: median {} us, 99 % {} us", trips[250], trips[495]);
    for primary in [1, 2, 3] {
        assert_eq!(cluster.check_ok(primary, &acks).acknowledged, 500);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_required_peer_suspends_until_it_is_dropped_and_can_be_required_again() {
    let cluster = Cluster::start(2).await;
    cluster.node(1).promote(1, &[2]).await.unwrap();
    let before = cluster.node(1).until_writable().await;
    let appender = cluster.appender("acks", &[1, 2], |_| {});
    reach(&appender, 50).await;
    cluster.cut(1, 2);
    let status = cluster.node(1).until("suspended", |s| s.activity == Activity::Suspended).await;
    assert_eq!(status.suspended, nodes(&[2]));
    let (held, at) = (appender.count(), now_ns());
    let status = cluster.node(1).control.drop_peer(NodeId(2)).await.unwrap();
    assert_eq!(status.activity, Activity::Writable);
    assert_eq!(status.generation.history.first(), Some(&before.generation.current));
    reach_more(&appender, 50).await;
    assert!(appender.acks()[usize::try_from(held).unwrap()..].iter().all(|a| a.acked_ns >= at));
    cluster.node(1).control.drop_peer(NodeId(2)).await.unwrap();
    let asked_too_early = refusal(cluster.node(1).control.require_peer(NodeId(2)).await);
    assert!(matches!(asked_too_early, Refusal::PeerNotReady { peer: NodeId(2), .. }));

    cluster.heal(1, 2);
    let status = cluster.node(1).until("complete", |s| s.peers[0].complete).await;
    assert_eq!(status.required, nodes(&[]), "complete is not required");
    let status = cluster.node(1).control.require_peer(NodeId(2)).await.unwrap();
    assert_eq!(status.required, nodes(&[2]));
    let generation = status.generation;
    assert_eq!(cluster.node(2).control.status().await.unwrap().generation, generation);
    reach_more(&appender, 50).await;
    let acks = appender.stop().await.unwrap();
    for primary in [1, 2] {
        cluster.check_ok(primary, &acks);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_comes_back_in_the_same_stream_ends_the_suspension() {
    let cluster = Cluster::start(2).await;
    cluster.node(1).promote(1, &[2]).await.unwrap();
    let appender = cluster.appender("acks", &[1], |c| c.window = 8);
    reach(&appender, 50).await;
    // One direction is enough to lose it.
    cluster.links[&(1, 2)].cut();
    cluster.node(1).until("suspended", |s| s.activity == Activity::Suspended).await;
    cluster.links[&(1, 2)].heal();
    let status = cluster.node(1).until_writable().await;
    assert_eq!(status.generation, Generation::initial(), "nobody was left out");
    reach_more(&appender, 50).await;
    let acks = appender.stop().await.unwrap();
    assert_eq!(cluster.check_ok(2, &acks).nodes[1].discarded_total, 0);
}

/// Cuts node 1 from node 2, and tells whether it has records that the other lacks.
async fn cut_leaves_a_tail(cluster: &Cluster) -> bool {
    cluster.cut(1, 2);
    cluster.node(1).until("suspended", |s| s.activity == Activity::Suspended).await;
    let last_seq = async |id| cluster.node(id).control.status().await.unwrap().last_seq;
    last_seq(1).await > last_seq(2).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_primary_rolls_its_unacknowledged_tail_back() {
    let mut cluster = Cluster::start(2).await;
    cluster.node(1).promote(1, &[2]).await.unwrap();
    let appender = cluster.appender("acks", &[1, 2], |c| c.window = 8);
    reach(&appender, 50).await;
    // A cut that finds nothing on its way leaves both sides alike.
    while !cut_leaves_a_tail(&cluster).await {
        cluster.heal(1, 2);
        cluster.node(1).until_writable().await;
        reach_more(&appender, 50).await;
    }
    cluster.node_mut(1).kill().await;
    let fault_ns = now_ns();
    let status = cluster.node(2).promote(2, &[]).await.unwrap();
    assert_eq!(status.activity, Activity::Writable);
    reach_more(&appender, 50).await;
    let first = appender.outage_since(fault_ns).first_by_other.unwrap();
    assert_eq!((first.node, first.epoch), (NodeId(2), Epoch(2)));

    cluster.heal(1, 2);
    cluster.node_mut(1).start().await;
    cluster.node(2).until("complete", |s| s.peers[0].complete).await;
    cluster.node(2).control.require_peer(NodeId(1)).await.unwrap();
    reach_more(&appender, 50).await;
    let acks = appender.stop().await.unwrap();
    let status = cluster.node(1).control.status().await.unwrap();
    assert_eq!((status.role, status.complete, status.diverged), (Role::Secondary, true, false));
    assert!(status.discarded_total > 0, "the test must make a tail");
    let report = cluster.check_ok(1, &acks);
    assert_eq!(report.epochs.len(), 2);
    cluster.check_ok(2, &acks);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_acknowledged_between_the_answers_of_freeze_and_thaw() {
    let cluster = Cluster::start(2).await;
    cluster.node(1).promote(1, &[2]).await.unwrap();
    let appender = cluster.appender("acks", &[1, 2], |c| c.window = 16);
    let mut frozen = Vec::new();
    for round in 1..=10 {
        reach_more(&appender, 100 * round).await;
        let status = cluster.node(1).control.freeze().await.unwrap();
        let (from, acked) = (now_ns(), status.acked);
        assert_eq!(status.activity, Activity::Frozen);
        for _ in 0..20 {
            assert_eq!(cluster.node(1).control.freeze().await.unwrap().acked, acked);
        }
        frozen.push((from, now_ns()));
        cluster.node(1).control.thaw().await.unwrap();
    }
    reach_more(&appender, 100).await;
    cluster.node(1).control.demote().await.unwrap();
    let demoted_ns = now_ns();
    let acks = appender.stop().await.unwrap();
    for ack in &acks {
        assert!(ack.acked_ns <= demoted_ns);
        assert!(!frozen.iter().any(|(from, to)| (from..to).contains(&&ack.acked_ns)), "{ack:?}");
    }
    let report = cluster.check_ok(1, &acks);
    assert!(report.writable.len() > 10, "{:?}", report.writable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connected_handover_loses_nothing_and_keeps_the_generation() {
    let cluster = Cluster::start(2).await;
    let appender = cluster.appender("acks", &[1, 2], |c| c.window = 8);
    for epoch in 1..=6u64 {
        let (holder, other) = if epoch % 2 == 1 { (1, 2) } else { (2, 1) };
        cluster.node(holder).promote(epoch, &[other]).await.unwrap();
        cluster.node(holder).until_writable().await;
        reach_more(&appender, 40).await;
        cluster.node(holder).control.freeze().await.unwrap();
        let status = cluster.node(holder).control.demote().await.unwrap();
        assert_eq!((status.role, status.frozen), (Role::Secondary, false));
    }
    let acks = appender.stop().await.unwrap();
    let report = cluster.check_ok(2, &acks);
    assert_eq!(report.epochs.len(), 6);
    assert!(report.nodes.iter().all(|n| n.generation == Generation::initial()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promotion_is_refused_with_what_stands_against_it() {
    let mut cluster = Cluster::start(2).await;
    let node = cluster.node(1);
    let past = refusal(node.control.promote(Epoch(5), now_ns() - 1, None).await);
    assert!(matches!(past, Refusal::DeadlinePassed { epoch_used: false, .. }), "{past:?}");
    assert_eq!(refusal(node.promote(5, &[9]).await), Refusal::UnknownPeer { peer: NodeId(9) });
    let status = node.promote(5, &[2]).await.unwrap();
    assert_eq!(status.max_epoch, Epoch(5));
    // Again the same: done. The replica knows the epoch from the stream.
    node.promote(5, &[2]).await.unwrap();
    cluster.node(2).until("epoch known", |s| s.max_epoch == Epoch(5)).await;
    let same = refusal(cluster.node(2).promote(5, &[]).await);
    assert_eq!(same, Refusal::EpochNotHigher { asked: Epoch(5), max_seen: Epoch(5) });
    // A restart forgets the role, never the epoch.
    for id in [1, 2] {
        cluster.node_mut(id).kill().await;
        cluster.node_mut(id).start().await;
        let status = cluster.node(id).control.status().await.unwrap();
        assert_eq!((status.role, status.max_epoch), (Role::Secondary, Epoch(5)));
        let used = refusal(cluster.node(id).promote(5, &[]).await);
        assert_eq!(used, Refusal::EpochNotHigher { asked: Epoch(5), max_seen: Epoch(5) });
    }
    cluster.node(1).promote(6, &[2]).await.unwrap();
    cluster.node(1).control.demote().await.unwrap();
    cluster.node(1).control.demote().await.unwrap();
    assert_eq!(refusal(cluster.node(1).control.drop_peer(NodeId(2)).await), Refusal::NotPrimary);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promotion_cuts_the_old_primary_off_at_once() {
    let cluster = Cluster::start(2).await;
    cluster.node(1).promote(1, &[2]).await.unwrap();
    let appender = cluster.appender("acks", &[1], |_| {});
    reach(&appender, 20).await;
    cluster.node(2).promote(2, &[]).await.unwrap();
    let status = cluster.node(1).until("superseded", |s| s.activity == Activity::Superseded).await;
    assert_eq!(status.superseded_by, Some(Epoch(2)));
    let refused = refusal(cluster.node(1).control.drop_peer(NodeId(2)).await);
    assert_eq!(refused, Refusal::Superseded { held: Epoch(1), known: Epoch(2) });
    cluster.node(1).control.demote().await.unwrap();
    cluster.node(2).until("complete", |s| s.peers[0].complete).await;
    let acks = appender.stop().await.unwrap();
    let mut report = cluster.check(2, &acks);
    // Nobody proved node 1 inactive before: that was this test's doing, and nothing was acknowledged by it.
    assert!(report.both_writable.count <= 1, "{report:#?}");
    report.both_writable = checker::Findings::default();
    assert!(report.ok(), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_in_the_middle_of_a_resync_leaves_the_replica_incomplete() {
    let mut cluster = Cluster::start(2).await;
    cluster.node_mut(2).kill().await;
    cluster.node(1).promote(1, &[]).await.unwrap();
    let mut appender = cluster.appender("acks", &[1], |c| {
        c.payload_bytes = 32 * 1024;
        c.window = 32;
        c.limit = Some(300);
    });
    within("300 large appends", appender.done()).await.unwrap();
    cluster.links[&(1, 2)].cut_after(3_000_000);
    cluster.node_mut(2).start().await;
    cluster.node(2).until("resync begun", |s| !s.complete).await;
    cluster.cut(1, 2);
    cluster.node_mut(2).kill().await;
    cluster.node_mut(2).start().await;
    let status = cluster.node(2).control.status().await.unwrap();
    assert!(!status.complete && status.last_seq < 300, "{status:?}");
    assert!(matches!(refusal(cluster.node(2).promote(9, &[]).await), Refusal::Incomplete { .. }));
    cluster.heal(1, 2);
    let status = cluster.node(2).until("complete", |s| s.complete).await;
    assert_eq!(status.last_seq, 300);
    let acks = appender.acks();
    cluster.check_ok(2, &acks);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_forced_primaries_are_found_and_their_data_is_never_merged_silently() {
    let cluster = Cluster::start(2).await;
    cluster.cut(1, 2);
    for id in [1, 2] {
        cluster.node(id).until("disconnected", |s| !s.peers[0].connected).await;
    }
    cluster.node(1).control.promote(Epoch(1), later_ns(), Some(nodes(&[]))).await.unwrap();
    cluster.node(2).promote(2, &[]).await.unwrap();
    let (one, two) = (cluster.appender("a", &[1], |_| {}), cluster.appender("b", &[2], |_| {}));
    reach(&two, 20).await;
    reach_more(&one, 20).await;
    reach(&one, 40).await;
    reach_more(&two, 20).await;
    let mut acks = one.stop().await.unwrap();
    acks.extend(two.stop().await.unwrap());
    let report = cluster.check(2, &acks);
    assert_eq!(report.dual_active.count, 1, "{report:#?}");
    let dual = report.dual_active.first[0];
    assert_eq!((dual.older.node, dual.newer.node), (NodeId(1), NodeId(2)));
    assert!(dual.overlap_ns > 0);
    assert!(report.lost.count >= 40, "what node 1 acknowledged is not on node 2");
    assert_eq!(report.both_writable.count, 1, "{report:#?}");

    cluster.heal(1, 2);
    cluster.node(1).until("superseded", |s| s.superseded_by.is_some()).await;
    cluster.node(1).control.demote().await.unwrap();
    let status = cluster.node(1).until("diverged", |s| s.diverged).await;
    assert!(status.last_seq >= 40 && status.discarded_total == 0);
    cluster.node(2).until("told of it", |s| s.peers[0].diverged).await;
    assert!(matches!(
        refusal(cluster.node(2).control.require_peer(NodeId(1)).await),
        Refusal::PeerNotReady { .. }
    ));
    let status = cluster.node(1).control.discard_local().await.unwrap();
    // The resync may be over by the time of the answer; before it, the replica is incomplete.
    assert!(!status.complete || status.discarded_total >= 40);
    let status = cluster.node(1).until("complete", |s| s.complete && !s.diverged).await;
    assert!(status.discarded_total >= 40);
    assert_eq!(refusal(cluster.node(1).control.discard_local().await), Refusal::NotDiverged);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_replica_that_was_required_stays_complete_while_it_catches_up() {
    let mut cluster = Cluster::start(2).await;
    // Not required: follows, and is left behind by acknowledged writes of the same generation.
    cluster.node(1).promote(1, &[]).await.unwrap();
    let appender = cluster.appender("acks", &[1], |c| {
        c.payload_bytes = 32 * 1024;
        c.window = 16;
    });
    reach(&appender, 50).await;
    cluster.node(1).until("complete", |s| s.peers[0].complete).await;
    cluster.cut(1, 2);
    cluster.node(1).until("disconnected", |s| !s.peers[0].connected).await;
    reach_more(&appender, 300).await;
    cluster.node(1).control.demote().await.unwrap();
    // What it lacks is no hole: it was never required.
    cluster.check_ok(1, &appender.acks());
    // Required by a daemon that is wrong about it: it must not pass for complete before it is.
    cluster.heal(1, 2);
    cluster.links[&(1, 2)].cut_after(2_000_000);
    cluster.node(1).promote(2, &[2]).await.unwrap();
    cluster.node(2).until("known as behind", |s| s.max_epoch == Epoch(2) && !s.complete).await;
    cluster.node_mut(2).kill().await;
    cluster.node_mut(2).start().await;
    cluster.heal(1, 2);
    cluster.node(1).until_writable().await;
    let acks = appender.stop().await.unwrap();
    cluster.check_ok(2, &acks);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_finds_nothing_wrong_in_running_servers() {
    let cluster = Cluster::start(2).await;
    cluster.node(1).promote(1, &[2]).await.unwrap();
    let appender = cluster.appender("acks", &[1], |c| c.window = 32);
    for round in 0..20 {
        reach_more(&appender, 50).await;
        cluster.check_ok(1 + round % 2, &appender.acks());
    }
}
