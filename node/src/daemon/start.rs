//! Putting the rooms together and starting the loop.

use super::looping::{Beating, run_loop};
use super::prepare::Prepared;
use super::watched::Watched;
use super::{Answering, Daemon, Runtimes, StartError, Stopping, io};
use crate::condition::{Conditions, Placing};
use crate::config::Config;
use crate::control::{self, Desk};
use crate::driver::{Above, BEATS_MAX, Driver, QUEUE_MAX, Rooms, Wake};
use crate::event::{self, Told};
use crate::events::{self, Events};
use crate::fencer::Fencer;
use crate::fencer::history::History;
use crate::fencer::rounds::Tests;
use crate::peer::{self, Peers};
use crate::quorum::Answers;
use crate::reset::{Resetter, Way};
use crate::resource::keep;
use crate::resource::mover::mover;
use crate::resource::room::{ASKS_MAX, Ends, Handle, Room, Said, Trees};
use crate::resource::tree::View;
use crate::site::Site;
use crate::stay::Stay;
use crate::store::Found;
use crate::time::now;
use crate::volume::{self, About, Gaps, ORDERS_MAX, Order, Teller};
use crate::watchdog::{self, Bounds, Petting};
use crate::witness_client;
use picket_core::ids::{BootId, NodeSet, Nonce, VolumeId};
use picket_core::node::{Node, Recorded};
use picket_core::time::Instant;
use picket_host::tls::Credentials;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// Starts everything that [`super::prepare`] has bound.
pub(super) fn start(prepared: Prepared, way: Option<Way>) -> Result<Daemon, StartError> {
    let Prepared { config, credentials, heartbeats, control, store, found, boot, mut runtimes } = prepared;
    let (Some(net), Some(rooms)) = (&runtimes.net, &runtimes.rooms) else {
        return Err(io("threads")(io::ErrorKind::NotConnected.into()));
    };
    let (into, queue) = mpsc::channel(QUEUE_MAX);
    let (events, writer) = events::room(config.alert.clone(), &config.cluster, &config.name);
    let (standby, stands_by) = watch::channel(None);
    let shared = shared((&config, credentials), (&into, &events), stands_by);
    let listening = listen(net, &config, &shared)?;
    let run_id = Nonce(random().map_err(io("randomness"))?);
    let (sender, receivers) = heartbeats.split().map_err(io("heartbeats"))?;
    let bounds = Bounds::new();
    // Under what was left running the watchdog had been switched off.
    let idle = found.run.as_ref().is_none_or(|run| run.held.is_empty() || run.keeps_running);
    let may_pet = may_pet(&config, &found, (boot, run_id))?;
    // From here on nothing may fail that does not also see to the watchdog, which is armed when it is open.
    let watched = Watched::open(&config, (watchdog::Start { idle, may_pet }, boot), &bounds, &events)?;
    let (peers, clients) = Peers::new(&shared);
    let (link, keeper) = witness_client::link(&config, shared.credentials.clone(), into.clone());
    let history = History::open(&config.state_dir);
    let fencer = Fencer::new(config.clone(), history, rooms.handle().clone(), into.downgrade());
    let (heard, hears) = watch::channel(NodeSet::EMPTY);
    let tests = Tests::new(config.clone(), events.clone(), hears.clone(), fencer.busy());
    let (changed, changes) = watch::channel(0);
    let (end, end_asked) = mpsc::channel(1);
    let answers = Answers::default();
    let gaps = Gaps::default();
    let desk = desk(
        (&shared, &peers),
        (changes.clone(), end),
        (&link, &fencer, &tests, &answers),
        (&watched, &gaps),
    );
    let places = Places { shared: &shared, peers: &peers, hears: &hears, gaps: &gaps };
    let (volumes, above) = places.start_volumes(rooms);
    rooms.spawn(writer.run());
    rooms.spawn(shared.stay.clone().run(peers.clone(), changes.clone()));
    Placing::new(&shared, &peers, &hears).begin(rooms);
    let stopping_peers = peers.clone();
    let carried = Rooms {
        config: config.clone(),
        heartbeats: sender,
        witness: link,
        peers,
        volumes,
        fencer,
        events: events.clone(),
        resetter: resetter(&config, way, &bounds, &watched),
        back: into.downgrade(),
    };
    let node = machine(config.core(watched.status.counts), found, (boot, run_id), desk.started)?;
    let (beats_into, beats) = mpsc::channel(BEATS_MAX);
    let driver = Driver { node, store, rooms: carried, bounds, queue, beats, changed, heard, standby, above };
    announce(&config, &events);
    let beating = Beating { receivers, into: beats_into, events: events.clone() };
    let ended = match spawn_loop(driver, beating) {
        Ok(ended) => ended,
        Err(error) => {
            watched.give_up(idle);
            return Err(io("threads")(error));
        }
    };
    net.spawn(keeper.run());
    rooms.spawn(tests.run());
    clients.into_iter().for_each(|client| drop(net.spawn(client.run())));
    runtimes.answering = serve(&runtimes, listening, control, desk, &events);
    if !config.quorum.asked.is_empty() {
        rooms.spawn(crate::quorum::run(config.clone(), answers, into.clone()));
    }
    let petting = watched.petting;
    let stopping = Stopping { stay: shared.stay, peers: stopping_peers, events };
    Ok(Daemon { config, queue: into, stopping, ended, outcome: None, end_asked, petting, runtimes })
}

/// The machine of the core, with what the stores hold. What it refuses was seen before the watchdog was opened.
fn machine(
    core: picket_core::node::Config,
    found: Found,
    (boot, run_id): (BootId, Nonce),
    now: Instant,
) -> Result<Node, StartError> {
    Node::new(core, found.disk, found.run, boot, run_id, now).map_err(StartError::Held)
}

/// Whether what is held allows a pet now, which the opening of a device is.
pub(super) fn may_pet(config: &Config, found: &Found, ids: (BootId, Nonce)) -> Result<bool, StartError> {
    let now = now();
    Ok(machine(config.core(false), found.clone(), ids, now)?.pet_until(now) > now)
}

fn shared(
    (config, credentials): (&Arc<Config>, Arc<Credentials>),
    (into, events): (&mpsc::Sender<Wake>, &Events),
    standby: watch::Receiver<Option<bool>>,
) -> peer::Shared {
    let trees = Arc::default();
    let site = Site::new(config.clone(), into.clone(), Arc::clone(&trees));
    peer::Shared {
        config: config.clone(),
        credentials,
        into: into.clone(),
        events: events.clone(),
        trees,
        stay: Stay::new(config.clone(), into.clone(), site.clone()),
        site,
        standby,
        conditions: Conditions::new(config.clone()),
    }
}

fn listen(net: &Runtime, config: &Config, shared: &peer::Shared) -> Result<peer::Listening, StartError> {
    let _inside = net.enter();
    peer::listen(config.listen, shared.clone()).map_err(io("peers"))
}

fn spawn_loop(driver: Driver, beating: Beating) -> io::Result<oneshot::Receiver<crate::driver::Ended>> {
    let (tell, ended) = oneshot::channel();
    let thread = thread::Builder::new().name("picket-loop".to_owned());
    thread.spawn(move || drop(tell.send(run_loop(driver, beating))))?;
    Ok(ended)
}

fn serve(
    runtimes: &Runtimes,
    peers: peer::Listening,
    control: control::Listening,
    desk: Desk,
    events: &Events,
) -> Option<Answering> {
    if let Some(net) = &runtimes.net {
        spawn_server(net, "peers", peers.serve(), events);
    }
    let (over, is_over) = oneshot::channel();
    let serving = control.serve(desk, async { drop(is_over.await) });
    let rooms = runtimes.rooms.as_ref()?;
    Some(Answering { over, served: spawn_server(rooms, "control", serving, events) })
}

fn resetter(config: &Config, way: Option<Way>, bounds: &Arc<Bounds>, watched: &Watched) -> Resetter {
    let own = || match &config.lab {
        Some(lab) => Way::Lab { power_socket: lab.power_socket.clone() },
        None => Way::Kernel,
    };
    let bite = watched.petting.as_ref().map(Petting::bite);
    Resetter { way: way.unwrap_or_else(own), bounds: bounds.clone(), bite }
}

fn desk(
    (shared, peers): (&peer::Shared, &Peers),
    (changed, end): (watch::Receiver<u64>, mpsc::Sender<()>),
    (link, fencer, tests, answers): (&witness_client::Link, &Fencer, &Tests, &Answers),
    (watched, gaps): (&Watched, &Gaps),
) -> Desk {
    Desk {
        config: shared.config.clone(),
        queue: shared.into.clone(),
        changed,
        witness: link.clone(),
        events: shared.events.clone(),
        fencer: fencer.clone(),
        tests: tests.clone(),
        gaps: gaps.clone(),
        watchdog: watched.status.clone(),
        answers: answers.clone(),
        trees: shared.trees.clone(),
        peers: peers.clone(),
        site: shared.site.clone(),
        stay: shared.stay.clone(),
        conditions: shared.conditions.clone(),
        started: now(),
        end,
    }
}

fn random() -> io::Result<u128> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(u128::from_be_bytes(bytes))
}

/// What volumes and the resources above them need.
struct Places<'a> {
    shared: &'a peer::Shared,
    peers: &'a Peers,
    hears: &'a watch::Receiver<NodeSet>,
    gaps: &'a Gaps,
}

impl Places<'_> {
    /// The loop's ends of all volumes.
    fn start_volumes(&self, rooms: &Runtime) -> (BTreeMap<VolumeId, mpsc::Sender<Order>>, Above) {
        let config = &self.shared.config;
        let mut all = BTreeMap::new();
        let (fenced, fences) = watch::channel(NodeSet::EMPTY);
        let mut above = Above { fenced, recorded: BTreeMap::new(), standing: BTreeMap::new() };
        let mut trees = BTreeMap::new();
        for (id, volume) in config.own_volumes() {
            let (orders, queue) = mpsc::channel(ORDERS_MAX);
            let (tells, recorded) = watch::channel(Recorded::default());
            let (heard, fenced) = (self.hears.clone(), fences.clone());
            let about = About::new(config, id, volume, heard, fenced, recorded, self.gaps.clone());
            let driver = volume::driver(&volume.driver, about);
            above.recorded.insert(id, tells);
            if config.resources.get(&id).is_none_or(Vec::is_empty) {
                rooms.spawn(driver.live(queue, Teller::new(id, self.shared.into.clone())));
            } else {
                let (driver_orders, driver_queue) = mpsc::channel(ORDERS_MAX);
                let (says, said) = mpsc::channel(QUEUE_MAX);
                let (standing, stands) = watch::channel(Said::default());
                let (asks, asked) = mpsc::channel(ASKS_MAX);
                let (shows, view) = watch::channel(View::default());
                let (keeps, kept, keeper) = keep::open(&config.run_dir, id);
                let (policy, _, policies) = keep::open(&config.state_dir, id);
                let ends = Ends {
                    orders: queue,
                    driver: driver_orders,
                    said,
                    standing: stands,
                    asks: asked,
                    core: self.shared.into.clone(),
                    view: shows,
                    kept: keeps,
                    policy,
                };
                let mover = mover(self.shared, self.peers, self.hears, id);
                let room = Room::new(config, id, &kept, self.shared.events.clone(), mover, ends);
                rooms.spawn(driver.live(driver_queue, Teller::new(id, says)));
                rooms.spawn(room.run());
                rooms.spawn(keeper.run());
                rooms.spawn(policies.run());
                above.standing.insert(id, standing);
                trees.insert(id, Handle { asks, view });
            }
            all.insert(id, orders);
        }
        // Set once, here.
        let _ = self.shared.trees.set(Trees::new(trees));
        (all, above)
    }
}

fn spawn_server(
    runtime: &Runtime,
    what: &'static str,
    serve: impl Future<Output = Result<(), String>> + Send + 'static,
    events: &Events,
) -> JoinHandle<()> {
    let events = events.clone();
    runtime.spawn(async move {
        if let Err(error) = serve.await {
            events.tell(Told::new(event::DEGRADED, format!("the server for {what} ended: {error}")));
        }
    })
}

fn announce(config: &Config, events: &Events) {
    let digest = config.digest();
    let text =
        format!("{} of cluster {} starts, configuration {:016x}", config.name, config.cluster, digest.0);
    events.tell(Told::new(event::STARTED, text));
    if config.lab.is_some() {
        events.tell(Told::new(event::LAB, "LAB: this is a lab machine, nothing real is protected"));
    }
    for warning in &config.warnings {
        events.tell(Told::new(event::DEGRADED, warning.clone()));
    }
    for (id, peer) in config.peers().filter(|(id, _)| !config.fencing.contains_key(id)) {
        let text = format!("cannot fence {}: no device is configured for node {id}", peer.name);
        events.tell(Told::new(event::CANNOT_FENCE, text).about_node(peer.name.clone()));
    }
}
