use super::back::is_settled;
use super::{Record, Stay};
use crate::config::Config;
use crate::driver::{Ask, Snapshot, Wake};
use crate::site::{Site, Step};
use crate::testing::{self, until};
use picket_core::ids::{
    BootId, Epoch, GenerationId, IsrVersion, NodeId, NodeSet, Nonce, RequestId, VolumeId,
};
use picket_core::message::{Holder, PeerBody, RegisterView};
use picket_core::node::{Node, NodeAnswer, NodeRequest, Status, WhyNot};
use picket_core::time::Instant;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

const PEER: NodeId = NodeId(2);
const OTHER: NodeId = NodeId(3);

fn config(dir: &Path) -> Arc<Config> {
    let mut config = testing::config("n1");
    config.state_dir = dir.to_owned();
    Arc::new(config)
}

fn status(config: &Config) -> Status {
    Node::new(config.core(false), None, None, BootId(1), Nonce(1), Instant::BOOT)
        .unwrap()
        .status(Instant::BOOT)
}

/// A daemon whose loop knows one thing: whether it is on standby.
struct Daemon {
    stay: Stay,
    site: Site,
    standby: Arc<AtomicBool>,
}

fn daemon(dir: &Path, standby: bool) -> Daemon {
    let config = config(dir);
    let (into, mut queue) = mpsc::channel(8);
    let standby = Arc::new(AtomicBool::new(standby));
    let (status, known) = (status(&config), standby.clone());
    tokio::spawn(async move {
        while let Some(wake) = queue.recv().await {
            match wake {
                Wake::Ask(Ask::Status(answer)) => {
                    let status = Status { standby: known.load(Ordering::SeqCst), ..status.clone() };
                    let _ = answer.send(Box::new(Snapshot { status, now: Instant::BOOT }));
                }
                Wake::Ask(Ask::Operator { request: NodeRequest::Standby(on), answer }) => {
                    known.store(on, Ordering::SeqCst);
                    let _ = answer.send(NodeAnswer::Done);
                }
                other => panic!("{other:?}"),
            }
        }
    });
    let site = Site::new(config.clone(), into.clone(), Arc::default());
    Daemon { stay: Stay::new(config, into, site.clone()), site, standby }
}

impl Daemon {
    fn is_on_standby(&self) -> bool {
        self.standby.load(Ordering::SeqCst)
    }
}

fn offer() -> PeerBody {
    PeerBody::HandoverOffer { request: RequestId(1), volume: VolumeId(1), epoch: Epoch(1) }
}

#[tokio::test]
async fn a_hold_outlives_the_daemon_and_ends_when_the_last_peer_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let before = daemon(dir.path(), false);
    before.stay.hold(PEER).await.unwrap();
    before.stay.hold(OTHER).await.unwrap();
    before.stay.hold(PEER).await.unwrap();
    assert!(before.is_on_standby());
    let after = daemon(dir.path(), true);
    assert_eq!(after.stay.held_for(), [PEER, OTHER]);
    assert_eq!(after.stay.free(PEER).await, Ok(Some("it stays held for others")));
    assert_eq!((after.is_on_standby(), after.stay.free(PEER).await), (true, Ok(None)));
    assert_eq!((after.stay.free(OTHER).await, after.is_on_standby()), (Ok(Some("online")), false));
    assert_eq!(daemon(dir.path(), false).stay.held_for(), []);
}

#[tokio::test]
async fn a_daemon_that_died_before_its_standby_comes_to_it() {
    let dir = tempfile::tempdir().unwrap();
    daemon(dir.path(), false).stay.hold(PEER).await.unwrap();
    let after = daemon(dir.path(), false);
    after.stay.go_on_held().await;
    assert!(after.is_on_standby());
    let stopped = tempfile::tempdir().unwrap();
    daemon(stopped.path(), false).site.step(Step::Hold).await;
    let after = daemon(stopped.path(), false);
    after.stay.go_on_held().await;
    assert!(after.site.is_stopped() && after.is_on_standby());
    let nobody = tempfile::tempdir().unwrap();
    let free = daemon(nobody.path(), false);
    free.stay.go_on_held().await;
    assert!(!free.is_on_standby());
}

#[tokio::test]
async fn an_operators_standby_is_what_a_free_leaves() {
    for before in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let node = daemon(dir.path(), before);
        node.stay.hold(PEER).await.unwrap();
        if !before {
            assert!(node.stay.before(true).await.unwrap().is_none());
        }
        assert_eq!(node.stay.free(PEER).await, Ok(Some("it stays on standby, as it was before")));
        assert_eq!((node.is_on_standby(), node.stay.held_for()), (true, Vec::new()));
        // What was before is over with it.
        node.standby.store(false, Ordering::SeqCst);
        node.stay.hold(PEER).await.unwrap();
        assert_eq!(node.stay.free(PEER).await, Ok(Some("online")));
    }
}

#[tokio::test]
async fn an_operators_online_ends_every_hold_and_keeps_others_out_until_it_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let node = daemon(dir.path(), false);
    node.stay.hold(PEER).await.unwrap();
    let turn = node.stay.before(false).await.unwrap();
    assert_eq!(node.stay.held_for(), []);
    let stay = node.stay.clone();
    let mut hold = tokio::spawn(async move { stay.hold(OTHER).await });
    tokio::select! {
        biased;
        held = &mut hold => panic!("{held:?} before the node was online"),
        () = tokio::task::yield_now() => {}
    }
    drop(turn);
    hold.await.unwrap().unwrap();
    assert_eq!(node.stay.held_for(), [OTHER]);
}

#[tokio::test]
async fn nobody_is_held_who_stops_himself_or_while_the_site_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let node = daemon(dir.path(), false);
    node.stay.leaving.send_replace(true);
    assert!(node.stay.hold(PEER).await.unwrap_err().contains("is being stopped itself"));
    node.stay.leaving.send_replace(false);
    node.stay.hold(PEER).await.unwrap();
    // Whoever is held and is part of a stopped site is not online before both are over.
    node.site.step(Step::Hold).await;
    assert!(node.stay.hold(OTHER).await.unwrap_err().contains("the site is stopped"));
    assert!(node.stay.free(PEER).await.unwrap_err().contains("the site is stopped"));
    node.site.step(Step::Start).await;
    assert!(node.is_on_standby(), "still held");
    assert_eq!((node.stay.free(PEER).await, node.is_on_standby()), (Ok(Some("online")), false));
}

#[tokio::test]
async fn offers_of_those_that_are_held_are_dropped_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let node = daemon(dir.path(), false);
    assert!(!node.stay.drops(PEER, &offer()));
    let record = Record { asked: [PEER].into(), ..Record::default() };
    drop(node.stay.remember(node.stay.turn().await, record).await.unwrap());
    assert!(node.stay.drops(PEER, &offer()) && !node.stay.drops(OTHER, &offer()));
    let other = PeerBody::MoveRequest { volume: VolumeId(1), to: PEER };
    assert!(!node.stay.drops(PEER, &other));
    assert!(daemon(dir.path(), false).stay.drops(PEER, &offer()), "another daemon of the same node");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_none() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("stay"), "something else").unwrap();
    let node = daemon(dir.path(), false);
    assert_eq!((node.stay.held_for(), node.stay.asked()), (Vec::new(), Vec::new()));
    node.stay.hold(PEER).await.unwrap();
    until("the next one", async || (daemon(dir.path(), true).stay.held_for() == [PEER]).then_some(())).await;
}

#[test]
fn a_volume_is_settled_where_it_is_and_where_it_will_not_come_by_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let base = status(&config(dir.path()));
    let (me, id) = (NodeId(1), VolumeId(1));
    let with = |why_not: Option<WhyNot>, holder: Option<NodeId>| {
        let mut status = base.clone();
        let volume = &mut status.volumes[0];
        volume.why_not = why_not;
        volume.register = Some(RegisterView {
            volume: id,
            epoch: Epoch(1),
            holder: holder.map(|node| Holder { node, boot: BootId(1) }),
            isr: NodeSet::only(me),
            isr_version: IsrVersion(1),
            generation: GenerationId(1),
            successor: None,
        });
        is_settled(me, &status, id)
    };
    let until = Instant::BOOT;
    for waits in
        [None, Some(WhyNot::Quarantined { until }), Some(WhyNot::RoleUnknown), Some(WhyNot::WitnessLost)]
    {
        assert!(!with(waits.clone(), None), "{waits:?}");
        assert!(!with(waits.clone(), Some(me)), "{waits:?}");
        assert!(with(waits.clone(), Some(PEER)), "{waits:?}");
    }
    for never in [WhyNot::Standby, WhyNot::DeclaredFailed, WhyNot::HeldOff, WhyNot::PromoteFailed { until }] {
        assert!(with(Some(never.clone()), None), "{never:?}");
    }
    assert!(is_settled(me, &base, VolumeId(9)), "no such volume any more");
}
