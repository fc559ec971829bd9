//! The driver as the core sees it, on real servers: the lane `postgresql` runs these.

use super::super::Postgres;
use super::super::barrier::enforce;
use super::super::server::Server;
use super::pair::{LIMIT, Pair, client, insert, numbers, streams, until, up, waits};
use super::{A, B, set};
use crate::driver::Wake;
use crate::time::now;
use crate::volume::{About, Gaps, Order, Teller, VolumeDriver};
use picket_core::ids::{NodeId, NodeSet, VolumeId};
use picket_core::node::{CommandId, CommandOutcome, Input, Recorded, Role, VolumeAction, VolumeReport};
use picket_core::time::Instant;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

struct Driven {
    orders: mpsc::Sender<Order>,
    told: mpsc::Receiver<Wake>,
    newest: Option<VolumeReport>,
    recorded: watch::Sender<Recorded>,
    gaps: Gaps,
    numbered: u64,
}

fn drive(server: &Arc<Server>) -> Driven {
    let (recorded, of) = watch::channel(Recorded::default());
    let (_, heard) = watch::channel(NodeSet::EMPTY);
    let gaps = Gaps::default();
    let about = About {
        id: VolumeId(1),
        name: "data".to_owned(),
        me: server.me,
        members: set(&[A, B]),
        names: super::members(),
        state_dir: "/nonexistent".into(),
        heard,
        fenced: watch::channel(NodeSet::EMPTY).1,
        recorded: of,
        gaps: gaps.clone(),
        has_barrier: true,
    };
    let (orders, queue) = mpsc::channel(8);
    let (into, told) = mpsc::channel(64);
    let driver = Box::new(Postgres::new(server.conf.clone(), about));
    tokio::spawn(driver.live(queue, Teller::new(VolumeId(1), into)));
    Driven { orders, told, newest: None, recorded, gaps, numbered: 0 }
}

impl Driven {
    async fn next(&mut self) -> Option<CommandOutcome> {
        let wake = timeout(LIMIT, self.told.recv()).await;
        match wake.unwrap_or_else(|_| panic!("nothing is told; {:?}", self.newest)).unwrap() {
            Wake::Input(input) => match *input {
                Input::Volume { report, .. } => {
                    self.newest = Some(report);
                    None
                }
                Input::VolumeDone { command, outcome, .. } => {
                    assert_eq!(command, CommandId(self.numbered));
                    Some(outcome)
                }
                other => panic!("{other:?}"),
            },
            Wake::Ask(_) => panic!("a question"),
        }
    }

    async fn until(&mut self, what: &str, is: impl Fn(&VolumeReport) -> bool) -> VolumeReport {
        loop {
            if let Some(report) = self.newest.clone().filter(|report| is(report)) {
                return report;
            }
            let outcome = self.next().await;
            assert_eq!(outcome, None, "while waiting for: {what}");
        }
    }

    async fn order(&mut self, action: VolumeAction) -> CommandOutcome {
        self.numbered += 1;
        self.orders.send(Order { command: CommandId(self.numbered), action }).await.unwrap();
        loop {
            if let Some(outcome) = self.next().await {
                return outcome;
            }
        }
    }

    fn hold(&self, holder: NodeId) {
        let isr = set(&[A, B]);
        self.recorded
            .send(Recorded { holder: Some(holder), isr, current: true, ..Recorded::default() })
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: the lane postgresql runs it"]
async fn a_server_that_was_left_running_is_taken_up_and_driven() {
    let pair = Pair::with_replica().await;
    enforce(&pair.a, set(&[B])).await.unwrap();
    let mut driven = drive(&pair.a);
    let report = driven.until("taken up", |report| report.role == Role::Primary).await;
    assert_eq!((report.required, report.connected, report.lost), (set(&[B]), set(&[B]), set(&[])));
    assert_eq!((report.complete_peers, report.complete, report.frozen), (set(&[B]), true, false));
    assert_eq!(report.generation.history.len(), 1, "promoted once");
    // A server whose settings promise less says so, and when they do no more.
    let weak = client(&pair.a).await;
    weak.batch_execute("create role fast; alter role fast set synchronous_commit = off").await.unwrap();
    until("told", async || driven.gaps.all().get(&VolumeId(1)).cloned()).await;
    weak.batch_execute("drop role fast").await.unwrap();
    until("told no more", async || driven.gaps.all().is_empty().then_some(())).await;

    assert_eq!(driven.order(VolumeAction::Freeze).await, CommandOutcome::Done);
    assert!(driven.newest.as_ref().unwrap().frozen && pair.a.processes.find().unwrap().are_stopped());
    let late = VolumeAction::Thaw { valid_until: now() };
    assert!(matches!(driven.order(late).await, CommandOutcome::Failed(_)));
    assert!(driven.newest.as_ref().unwrap().frozen);
    let thaw = VolumeAction::Thaw { valid_until: Instant::NEVER };
    assert_eq!(driven.order(thaw).await, CommandOutcome::Done);
    assert!(!driven.newest.as_ref().unwrap().frozen);
    client(&pair.a).await.batch_execute("insert into writes values (1)").await.unwrap();

    assert_eq!(driven.order(VolumeAction::DropPeer { peer: B }).await, CommandOutcome::Done);
    assert_eq!(driven.newest.as_ref().unwrap().required, set(&[]));
    assert_eq!(driven.order(VolumeAction::RequirePeer { peer: B }).await, CommandOutcome::Done);
    assert_eq!(driven.newest.as_ref().unwrap().required, set(&[B]));

    let demote = VolumeAction::Demote { deadline: now() + LIMIT };
    assert_eq!(driven.order(demote).await, CommandOutcome::Done);
    assert_eq!(driven.newest.as_ref().unwrap().role, Role::Secondary);
    assert!(driven.gaps.all().is_empty(), "{:?}", driven.gaps.all());
    // It has handed over everything; now it follows who took over.
    pair.promote(&pair.b, &[]).await;
    assert_eq!(numbers(&pair.b).await, [0, 1]);
    driven.hold(B);
    let report = driven.until("it follows", |report| report.connected == set(&[B])).await;
    assert_eq!((report.role, report.complete), (Role::Secondary, true));
    client(&pair.b).await.batch_execute("insert into writes values (2)").await.unwrap();
    let id = up(&pair.b).await.view().await.unwrap();
    let written = u128::from(id.system) << 32 | u128::from(id.timeline.unwrap());
    driven.until("its data is of the new timeline", |report| report.generation.current.0 == written).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: the lane postgresql runs it"]
async fn a_replica_that_does_not_come_is_not_required_and_holds_nobody_back() {
    let pair = Pair::with_replica().await;
    let mut driven = drive(&pair.a);
    driven.until("taken up", |report| report.role == Role::Primary && report.connected == set(&[B])).await;
    pair.b.processes.freeze(now() + LIMIT).unwrap();
    let write = client(&pair.a).await;
    let grow = VolumeAction::RequirePeer { peer: B };
    let growing = driven.order(grow);
    let mut writing = None;
    let write = async {
        let session = up(&pair.a).await;
        until("it is to become required", async || {
            let names = session.text("select current_setting('synchronous_standby_names')").await.ok()?;
            names.contains("n2").then_some(())
        })
        .await;
        writing = Some(insert(write, 1));
        waits(&pair.a, 1).await;
    };
    // While it is to become required, nothing is acknowledged without it; as it does not come, it is let go.
    let (outcome, ()) = tokio::join!(growing, write);
    assert!(matches!(outcome, CommandOutcome::Failed(_)), "{outcome:?}");
    writing.unwrap().await.unwrap().unwrap();
    let report = driven.until("the barrier is as before", |report| report.role == Role::Primary).await;
    assert_eq!(report.required, set(&[]));
    pair.b.processes.thaw().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: the lane postgresql runs it"]
async fn the_end_of_a_replica_and_of_the_server_are_told() {
    let pair = Pair::with_replica().await;
    enforce(&pair.a, set(&[B])).await.unwrap();
    let mut driven = drive(&pair.a);
    driven.until("taken up", |report| report.connected == set(&[B])).await;
    assert!(pair.b.processes.kill(now() + LIMIT).unwrap());
    let report = driven.until("the replica is gone", |report| report.connected == set(&[])).await;
    assert_eq!((report.required, report.lost), (set(&[B]), set(&[B])), "the barrier stays");
    assert!(pair.a.processes.kill(now() + LIMIT).unwrap());
    driven.until("it is inactive", |report| report.role == Role::Secondary).await;
    let report = driven.until("it is back as a replica", |report| report.complete).await;
    assert_eq!(report.role, Role::Secondary);
    assert!(pair.a.directory.has_signal());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: the lane postgresql runs it"]
async fn an_empty_member_is_copied_from_the_holder_and_no_one_else() {
    let pair = Pair::new().await;
    let mut driven = drive(&pair.b);
    let report = driven.until("nothing runs", |report| report.role == Role::Secondary).await;
    assert!(!report.complete);
    driven.hold(A);
    let report = driven.until("it is copied and follows", |report| report.connected == set(&[A])).await;
    assert!(report.complete);
    streams(&pair.b).await;
    assert_eq!(numbers(&pair.b).await, [0]);
}
