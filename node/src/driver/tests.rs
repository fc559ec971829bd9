//! The order of what a turn does: what the petting thread reads while an effect goes out.

use super::{Above, Driver, Rooms, Tickets, Turn, Wake};
use crate::condition::Conditions;
use crate::config::Config;
use crate::events;
use crate::fencer::Fencer;
use crate::fencer::history::History;
use crate::heartbeat::Heartbeats;
use crate::peer::{self, Peers};
use crate::reset::{Resetter, Way};
use crate::site::Site;
use crate::stay::Stay;
use crate::store::NodeStore;
use crate::testing::{self, Lab};
use crate::time::now;
use crate::volume::Order;
use crate::watchdog::Bounds;
use crate::witness_client;
use core::pin::pin;
use core::task::Context;
use core::time::Duration;
use picket_core::ids::{BootId, Epoch, IsrVersion, NodeId, NodeSet, Nonce, VolumeId};
use picket_core::node::{
    CommandId, CommandOutcome, Disk, DiskVolume, Input, Node, NodeRequest, Role, SCHEMA, VolumeAction,
};
use picket_core::time::Instant;
use picket_host::cert::Identity;
use picket_host::files::RealFiles;
use picket_proto::beat::BeatKey;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::Wake as Wakes;
use tokio::sync::{mpsc, oneshot, watch};

const DATA: VolumeId = VolumeId(1);
const BOOT: BootId = BootId(7);
const FOREVER: Duration = Instant::NEVER.elapsed();

/// A driver whose volume is driven by nobody: its orders stay in their queue.
struct Rig {
    driver: Driver,
    orders: mpsc::Receiver<Order>,
    tickets: Tickets,
    answers: Vec<oneshot::Receiver<picket_core::node::NodeAnswer>>,
    _into: mpsc::Sender<Wake>,
    _lab: Lab,
}

/// Notes the bound that is in force when it is woken.
struct Noting {
    bounds: Arc<Bounds>,
    noted: Mutex<Option<Duration>>,
}

impl Wakes for Noting {
    fn wake(self: Arc<Self>) {
        *self.noted.lock().unwrap() = Some(self.bounds.lease());
    }
}

/// What a node keeps that was in sync with both others.
fn in_sync_with_all() -> Disk {
    let volume = DiskVolume {
        max_epoch: Epoch(5),
        isr: [1, 2, 3].map(NodeId).into_iter().collect(),
        isr_version: IsrVersion(4),
        ..DiskVolume::default()
    };
    Disk { schema: SCHEMA, volumes: BTreeMap::from([(DATA, volume)]), ..Disk::default() }
}

fn shared(
    lab: &Lab,
    config: &Arc<Config>,
    into: &mpsc::Sender<Wake>,
    events: events::Events,
) -> peer::Shared {
    let site = Site::new(config.clone(), into.clone(), Arc::default());
    peer::Shared {
        config: config.clone(),
        credentials: Arc::new(lab.credentials(&Identity::node("east", "n1").unwrap())),
        into: into.clone(),
        events,
        trees: Arc::default(),
        stay: Stay::new(config.clone(), into.clone(), site.clone()),
        site,
        standby: watch::channel(None).1,
        conditions: Conditions::new(config.clone()),
    }
}

fn node(config: &Config) -> Node {
    // Started so long ago that nothing has to be waited for.
    let core = config.core(true);
    Node::new(core, Some(in_sync_with_all()), None, BOOT, Nonce(1), Instant::BOOT).unwrap()
}

impl Rig {
    fn new() -> Self {
        let lab = Lab::new();
        let config = Arc::new(testing::config("n1"));
        let (into, queue) = mpsc::channel(8);
        let (events, _) = events::room(None, "east", "n1");
        let shared = shared(&lab, &config, &into, events.clone());
        let (peers, _) = Peers::new(&shared);
        let (witness, _) = witness_client::link(&config, shared.credentials.clone(), into.clone());
        let (heartbeats, _) = Heartbeats::bind(&config, BeatKey::new(&[0; 32])).unwrap().split().unwrap();
        let runtime = tokio::runtime::Handle::current();
        let history = History::open(&lab.path("state"));
        let fencer = Fencer::new(config.clone(), history, runtime, into.downgrade());
        let (orders_into, orders) = mpsc::channel(8);
        let bounds = Bounds::new();
        let rooms = Rooms {
            config: config.clone(),
            heartbeats,
            witness,
            peers,
            volumes: BTreeMap::from([(DATA, orders_into)]),
            fencer,
            events,
            resetter: Resetter {
                way: Way::Tell(std::sync::mpsc::sync_channel(1).0),
                bounds: bounds.clone(),
                bite: None,
            },
            back: into.downgrade(),
        };
        let files = Arc::new(RealFiles);
        let (store, _) = NodeStore::open(files, &lab.path("state"), &lab.path("run"), BOOT).unwrap();
        let driver = Driver {
            node: node(&config),
            store,
            rooms,
            bounds,
            queue,
            beats: mpsc::channel(1).1,
            changed: watch::channel(0).0,
            heard: watch::channel(NodeSet::EMPTY).0,
            standby: watch::channel(None).0,
            above: Above {
                fenced: watch::channel(NodeSet::EMPTY).0,
                recorded: BTreeMap::new(),
                standing: BTreeMap::new(),
            },
        };
        Self { driver, orders, tickets: Tickets::default(), answers: Vec::new(), _into: into, _lab: lab }
    }

    fn turn(&mut self, input: impl Into<Wake>) {
        // A stop that is over ends the loop.
        let _ = self.driver.turn(Turn::Wake(input.into()), &mut self.tickets);
    }

    fn ask(&mut self, request: NodeRequest) {
        let (answer, answered) = oneshot::channel();
        self.answers.push(answered);
        self.turn(Wake::Ask(super::Ask::Operator { request, answer }));
    }

    fn report(&mut self, role: Role) {
        let report = testing::complete(role);
        self.turn(Input::Volume { volume: DATA, report });
    }

    fn done(&mut self, command: CommandId) {
        self.turn(Input::VolumeDone { volume: DATA, command, outcome: CommandOutcome::Done });
    }

    /// The next order that goes out while `act` is done, and the bound in force when it does.
    fn order(&mut self, act: impl FnOnce(&mut Self)) -> (Order, Duration) {
        let noting = Arc::new(Noting { bounds: self.driver.bounds.clone(), noted: Mutex::new(None) });
        let waker = noting.clone().into();
        let waiting = pin!(self.orders.recv()).poll(&mut Context::from_waker(&waker));
        assert!(waiting.is_pending(), "{waiting:?}");
        act(self);
        let order = self.orders.try_recv().unwrap();
        let noted = noting.noted.lock().unwrap().take();
        (order, noted.unwrap())
    }

    fn promoted(&mut self) -> (Order, Duration) {
        self.report(Role::Secondary);
        self.driver.publish();
        assert_eq!(self.driver.bounds.lease(), FOREVER, "nothing is held");
        let dead = [2, 3].map(NodeId).into_iter().collect();
        let request = NodeRequest::Override { volume: DATA, dead, length: Duration::from_secs(3600) };
        self.order(|rig| rig.ask(request))
    }

    fn pet_until(&self) -> Duration {
        self.driver.node.pet_until(now()).elapsed()
    }
}

#[tokio::test]
async fn a_promotion_goes_out_under_the_bound_of_its_lease() {
    let mut rig = Rig::new();
    let (order, bound) = rig.promoted();
    assert!(matches!(order.action, VolumeAction::Promote(_)), "{order:?}");
    assert!(
        bound < FOREVER,
        "the loop may stop here, and the watchdog would be petted as if nothing were held"
    );
    assert_eq!(bound, rig.pet_until());
}

#[tokio::test]
async fn a_bound_that_comes_later_waits_until_everything_went_out() {
    let mut rig = Rig::new();
    let (promotion, bound) = rig.promoted();
    rig.driver.publish();
    rig.report(Role::Primary);
    rig.done(promotion.command);
    let (stop, while_it_stops) = rig.order(|rig| rig.ask(NodeRequest::StopHandOver));
    assert!(matches!(stop.action, VolumeAction::Demote { .. }), "{stop:?}");
    assert_eq!(while_it_stops, bound, "a stop has the time that the lease leaves, and no less");
    rig.report(Role::Secondary);
    rig.done(stop.command);
    assert_eq!((rig.pet_until(), rig.driver.bounds.lease()), (FOREVER, bound));
    rig.driver.publish();
    assert_eq!(rig.driver.bounds.lease(), FOREVER);
}
