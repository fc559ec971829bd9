//! The daemon as a whole: everything bound and read first, then the rooms, then the loop.
//!
//! Threads: the loop has one of its own at realtime priority, with the heartbeats; the petting thread stands above
//! it; the connections to witness and peers share one at a priority below; agents, drivers, operators, log and
//! alerts run at ordinary priority.

use crate::config::Config;
use crate::control::{self, Desk, WatchdogStatus};
use crate::driver::{Ask, BEATS_MAX, Driver, Ended, QUEUE_MAX, Rooms, Wake};
use crate::event::{self, Told};
use crate::events::{self, Events};
use crate::fencer::Fencer;
use crate::fencer::history::History;
use crate::heartbeat::{self, Heartbeats};
use crate::peer::{self, Peers};
use crate::reset::{Resetter, Way};
use crate::store::{NodeStore, StoreError};
use crate::time::now;
use crate::volume::{self, About, ORDERS_MAX, Teller};
use crate::watchdog::{self, Bounds, Petting, Trouble};
use crate::witness_client;
use core::sync::atomic::AtomicBool;
use picket_core::ids::{BootId, NodeSet, Nonce};
use picket_core::node::{Node, NodeAnswer, NodeRequest};
use picket_core::quorum::QuorumMode;
use picket_host::cert::Identity;
use picket_host::files::RealFiles;
use picket_host::logging::emit;
use picket_host::secrets::{self, read_key};
use picket_host::sys::{self, Permitted, realtime_priority};
use picket_host::tls::{self, Credentials};
use picket_proto::beat::BeatKey;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot, watch};

#[cfg(test)]
mod tests;

/// Above everything but the petting thread.
const LOOP_PRIORITY: u8 = 20;

/// The connections: below the loop, above ordinary work.
const NET_PRIORITY: u8 = 10;

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket, a thread, a runtime, or the watchdog.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The records.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificates.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The key of the heartbeats.
    #[error("the key of the heartbeats: {0}")]
    Key(#[from] secrets::Error),
    /// The certificate is another's.
    #[error("the certificate names {found}; expected {expected}")]
    OtherIdentity {
        /// Who it names.
        found: Identity,
        /// Who this node is.
        expected: Identity,
    },
    /// A name in the configuration cannot stand in a certificate.
    #[error(transparent)]
    Name(#[from] picket_host::cert::NotAnIdentity),
    /// The lab machine's boot id cannot be read.
    #[error("{}: {why}", path.display())]
    BootId {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

fn io(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::Io { what, source }
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    config: Arc<Config>,
    queue: mpsc::Sender<Wake>,
    ended: oneshot::Receiver<Ended>,
    outcome: Option<Ended>,
    end_asked: mpsc::Receiver<()>,
    petting: Option<Petting>,
    /// Held for what runs on them.
    _runtimes: Runtimes,
}

#[derive(Debug)]
struct Runtimes {
    net: Option<Runtime>,
    rooms: Option<Runtime>,
}

impl Drop for Runtimes {
    fn drop(&mut self) {
        // What still runs is killed; nobody waits for a connection or an agent here.
        for runtime in [self.net.take(), self.rooms.take()].into_iter().flatten() {
            runtime.shutdown_background();
        }
    }
}

/// What is checked and bound before anything runs.
struct Prepared {
    config: Arc<Config>,
    credentials: Arc<Credentials>,
    heartbeats: Heartbeats,
    control: control::Listening,
    store: NodeStore,
    found: crate::store::Found,
    boot: BootId,
    runtimes: Runtimes,
}

/// Checks what a start needs beyond the configuration: certificates, keys. Binds nothing.
///
/// # Errors
/// What does not fit.
pub fn check(config: &Config) -> Result<(Credentials, BeatKey), StartError> {
    let credentials = Credentials::read(&config.tls.ca, &config.tls.cert, &config.tls.key)?;
    let expected = Identity::node(&config.cluster, &config.name)?;
    if *credentials.identity() != expected {
        return Err(StartError::OtherIdentity { found: credentials.identity().clone(), expected });
    }
    let key = read_key(&config.heartbeat_key)?;
    Ok((credentials, BeatKey::new(key.expose())))
}

fn prepare(config: Config) -> Result<Prepared, StartError> {
    let (credentials, key) = check(&config)?;
    let boot = boot_id(&config)?;
    let files = Arc::new(RealFiles);
    // First of all: a second daemon must not touch anything.
    let (store, found) = NodeStore::open(files, &config.state_dir, &config.run_dir, boot)?;
    let runtimes = Runtimes {
        net: Some(net_runtime().map_err(io("threads"))?),
        rooms: Some(room_runtime().map_err(io("threads"))?),
    };
    let heartbeats = Heartbeats::bind(&config, key).map_err(io("heartbeats"))?;
    let control = {
        let _inside = runtimes.rooms.as_ref().map(Runtime::enter);
        control::listen(&config.control).map_err(io("control"))?
    };
    let (config, credentials) = (Arc::new(config), Arc::new(credentials));
    Ok(Prepared { config, credentials, heartbeats, control, store, found, boot, runtimes })
}

fn net_runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("picket-net")
        .on_thread_start(|| {
            if let Permitted::No { reason } = realtime_priority(NET_PRIORITY) {
                tracing::debug!(%reason, "the connections");
            }
        })
        .enable_all()
        .build()
}

fn room_runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).thread_name("picket-rooms").enable_all().build()
}

fn boot_id(config: &Config) -> Result<BootId, StartError> {
    let bytes = match &config.lab {
        None => sys::boot_id().map_err(io("boot id"))?,
        Some(lab) => {
            let path = lab.boot_id_file.clone();
            let wrong = |why: String| StartError::BootId { path: path.clone(), why };
            let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
            sys::parse_uuid(text.trim()).ok_or_else(|| wrong(format!("not a UUID: {:?}", text.trim())))?
        }
    };
    Ok(BootId(u128::from_be_bytes(bytes)))
}

impl Daemon {
    /// Starts everything. Comes back when the loop runs.
    ///
    /// # Errors
    /// What is missing or in use. Nothing is left running then, and the watchdog is as it was.
    pub fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, None)
    }

    /// The same with another end of the machine; for tests in one process.
    pub(crate) fn start_with(config: Config, way: Option<Way>) -> Result<Self, StartError> {
        let prepared = prepare(config)?;
        Starting::new(prepared, way)?.run()
    }

    /// Waits until the loop has ended, or somebody asks that the daemon ends; then [`Daemon::end`] is due.
    pub async fn wait(&mut self) {
        if self.outcome.is_some() {
            return;
        }
        tokio::select! {
            ended = &mut self.ended => self.outcome = ended.ok(),
            _ = self.end_asked.recv() => {},
        }
    }

    /// Asks the core: to hand over, or to leave running.
    pub async fn ask(&self, request: NodeRequest) -> Option<NodeAnswer> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(Wake::Ask(Ask::Operator { request, answer })).await.ok()?;
        answered.await.ok()
    }

    /// Ends the loop and everything else, and tells how the loop ended; nothing: it broke off. The watchdog is
    /// closed if nothing is held any more, or if what is held is left running under a maintenance that the witness
    /// recorded; else it stays armed, and bites unless a daemon comes back in time.
    pub async fn end(mut self) -> Option<Ended> {
        if self.outcome.is_none() {
            // A loop that has ended meanwhile has told how.
            let _ = self.queue.send(Wake::Ask(Ask::End)).await;
            self.outcome = (&mut self.ended).await.ok();
        }
        let in_order = matches!(self.outcome, Some(Ended::Told { idle, kept }) if idle || kept);
        if let Some(petting) = self.petting.take() {
            if in_order {
                let closed = tokio::task::spawn_blocking(move || petting.close()).await;
                if let Ok(Err(error)) = closed {
                    emit(&event::WATCHDOG_FAILED, format_args!("the watchdog stays armed: {error}"));
                }
            } else {
                emit(&event::WATCHDOG_FAILED, "something is still held: the watchdog stays armed");
            }
        }
        // What a later daemon would find is put aside by it.
        let _ = std::fs::remove_file(&self.config.control.socket);
        self.outcome.take()
    }

    /// The configuration that it runs with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }
}

/// A start in the middle: rooms made, loop not running yet.
struct Starting {
    prepared: Prepared,
    way: Option<Way>,
    queue: (mpsc::Sender<Wake>, mpsc::Receiver<Wake>),
    events: Events,
    writer: events::Writer,
    bounds: Arc<Bounds>,
}

impl Starting {
    fn new(prepared: Prepared, way: Option<Way>) -> Result<Self, StartError> {
        let config = &prepared.config;
        let (events, writer) = events::room(config.alert.clone(), &config.cluster, &config.name);
        Ok(Self { way, queue: mpsc::channel(QUEUE_MAX), events, writer, bounds: Bounds::new(), prepared })
    }

    fn run(self) -> Result<Daemon, StartError> {
        let Self { prepared, way, queue: (into, queue), events, writer, bounds } = self;
        let Prepared { config, credentials, heartbeats, control, store, found, boot, runtimes } = prepared;
        let (Some(net), Some(rooms)) = (&runtimes.net, &runtimes.rooms) else {
            return Err(io("threads")(io::ErrorKind::NotConnected.into()));
        };
        let shared = peer::Shared {
            config: config.clone(),
            credentials: credentials.clone(),
            into: into.clone(),
            events: events.clone(),
        };
        let listening = {
            let _inside = net.enter();
            peer::listen(config.listen, shared.clone()).map_err(io("peers"))?
        };
        let run_id = Nonce(random().map_err(io("randomness"))?);
        let (sender, receivers) = heartbeats.split().map_err(io("heartbeats"))?;
        // From here on nothing may fail that does not also see to the watchdog, which is armed when it is open.
        let watch_over = Watched::open(&config, &bounds, &events)?;
        let (peers, clients) = Peers::new(&shared);
        let (link, keeper) = witness_client::link(&config, credentials, into.clone());
        let fencer = Fencer::new(
            config.clone(),
            History::open(&config.state_dir),
            rooms.handle().clone(),
            into.downgrade(),
        );
        let (heard, hears) = watch::channel(NodeSet::EMPTY);
        let (changed, changes) = watch::channel(0);
        let (end, end_asked) = mpsc::channel(1);
        let started = now();
        let node =
            Node::new(config.core(watch_over.status.counts), found.disk, found.run, boot, run_id, started);
        let desk = desk(&shared, (changes, end), (&link, &fencer), &watch_over.status, started);
        rooms.spawn(writer.run());
        let volumes = start_volumes(&config, rooms, &into, &hears);
        let way = way.unwrap_or_else(|| way_of(&config));
        let bite = watch_over.petting.as_ref().map(Petting::bite);
        let resetter = Resetter { way, bounds: bounds.clone(), bite };
        let driver_rooms = Rooms {
            config: config.clone(),
            heartbeats: sender,
            witness: link,
            peers,
            volumes,
            fencer,
            events: events.clone(),
            resetter,
            back: into.downgrade(),
        };
        let (beats_into, beats) = mpsc::channel(BEATS_MAX);
        let driver = Driver { node, store, rooms: driver_rooms, bounds, queue, beats, changed, heard };
        let (tell_end, ended) = oneshot::channel();
        announce(&config, &events);
        let beating = Beating { receivers, into: beats_into, events: events.clone() };
        let spawned = thread::Builder::new()
            .name("picket-loop".to_owned())
            .spawn(move || drop(tell_end.send(run_loop(driver, beating))));
        if let Err(error) = spawned {
            watch_over.give_up();
            return Err(io("threads")(error));
        }
        net.spawn(keeper.run());
        for client in clients {
            net.spawn(client.run());
        }
        spawn_server(net, "peers", listening.serve(), &events);
        spawn_server(rooms, "control", control.serve(desk), &events);
        if config.quorum.mode == QuorumMode::TcpRemote {
            rooms.spawn(crate::quorum::run(config.quorum.clone(), into.clone()));
        }
        Ok(Daemon {
            config,
            queue: into,
            ended,
            outcome: None,
            end_asked,
            petting: watch_over.petting,
            _runtimes: runtimes,
        })
    }
}

fn desk(
    shared: &peer::Shared,
    (changed, end): (watch::Receiver<u64>, mpsc::Sender<()>),
    (link, fencer): (&witness_client::Link, &Fencer),
    watchdog: &WatchdogStatus,
    started: picket_core::time::Instant,
) -> Desk {
    Desk {
        config: shared.config.clone(),
        queue: shared.into.clone(),
        changed,
        witness: link.clone(),
        events: shared.events.clone(),
        fencer: fencer.clone(),
        watchdog: watchdog.clone(),
        started,
        end,
    }
}

fn random() -> io::Result<u128> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(u128::from_be_bytes(bytes))
}

fn way_of(config: &Config) -> Way {
    match &config.lab {
        Some(lab) => Way::Lab { power_socket: lab.power_socket.clone() },
        None => Way::Kernel,
    }
}

fn start_volumes(
    config: &Config,
    rooms: &Runtime,
    into: &mpsc::Sender<Wake>,
    heard: &watch::Receiver<NodeSet>,
) -> BTreeMap<picket_core::ids::VolumeId, mpsc::Sender<volume::Order>> {
    let start = |(id, volume): (picket_core::ids::VolumeId, &crate::config::Volume)| {
        let (orders, queue) = mpsc::channel(ORDERS_MAX);
        let about = About::new(config, id, volume, heard.clone());
        let driver = volume::driver(&volume.driver, about);
        rooms.spawn(driver.live(queue, Teller::new(id, into.clone())));
        (id, orders)
    };
    config.own_volumes().map(start).collect()
}

fn spawn_server(
    runtime: &Runtime,
    what: &'static str,
    serve: impl Future<Output = Result<(), String>> + Send + 'static,
    events: &Events,
) {
    let events = events.clone();
    runtime.spawn(async move {
        if let Err(error) = serve.await {
            events.tell(Told::new(event::DEGRADED, format!("the server for {what} ended: {error}")));
        }
    });
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

/// The watchdog and the thread that pets it.
struct Watched {
    petting: Option<Petting>,
    status: WatchdogStatus,
}

impl Watched {
    fn open(config: &Config, bounds: &Arc<Bounds>, events: &Events) -> Result<Self, StartError> {
        let opened = watchdog::open(&config.watchdog).map_err(io("watchdog"))?;
        let Some(opened) = opened else {
            let status = WatchdogStatus { text: "none".to_owned(), ..WatchdogStatus::default() };
            return Ok(Self { petting: None, status });
        };
        let counts = opened.counts && config.params.watchdog.is_some();
        if let Some(warning) = &opened.warning {
            events.tell(Told::new(event::DEGRADED, warning.clone()));
        }
        let teller = events.clone();
        let tell = Box::new(move |trouble| teller.tell(told(trouble)));
        let petting = watchdog::start(opened.watchdog, config.watchdog.pet, bounds.clone(), tell);
        let petting = petting.map_err(io("the petting thread"))?;
        let (title, effective) = (opened.title, config.watchdog.effective);
        let armed = format!(
            "{title} is armed, effective {effective:?}, {}",
            if counts { "counts" } else { "does not count" }
        );
        events.tell(Told::new(event::WATCHDOG_ARMED, armed));
        let petted: Arc<AtomicBool> = petting.petted_flag();
        let text = opened.warning.unwrap_or_default();
        let status = WatchdogStatus { title, armed: true, counts, effective, petted, text };
        Ok(Self { petting: Some(petting), status })
    }

    /// The start failed after the watchdog was armed.
    fn give_up(self) {
        if let Some(petting) = self.petting {
            // What stays armed bites, as it does when a daemon dies.
            let _ = petting.close();
        }
    }
}

fn told(trouble: Trouble) -> Told {
    match trouble {
        Trouble::NotPetted(why) => {
            Told::new(event::WATCHDOG_FAILED, format!("the watchdog was not petted: {why}"))
        }
        Trouble::PettedAgain => Told::new(event::WATCHDOG_ARMED, "the watchdog is petted again"),
        Trouble::Late { by } => {
            Told::new(event::WATCHDOG_LATE, format!("a pet came {by:?} too late: this machine is reset"))
        }
        Trouble::NoPriority(reason) => Told::new(event::DEGRADED, format!("the petting thread: {reason}")),
    }
}

/// Heartbeats in; they are received on the loop's own thread.
struct Beating {
    receivers: Vec<heartbeat::Receiver>,
    into: mpsc::Sender<(picket_core::ids::PathId, picket_core::message::Beat)>,
    events: Events,
}

fn run_loop(driver: Driver, beating: Beating) -> Ended {
    if let Permitted::No { reason } = realtime_priority(LOOP_PRIORITY) {
        driver.rooms.degraded(format!("the loop: {reason}; a busy machine may look dead to others"));
    }
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Ended::Timer(error),
    };
    runtime.block_on(async move {
        for receiver in beating.receivers {
            let (into, events) = (beating.into.clone(), beating.events.clone());
            tokio::spawn(async move {
                // A loop that is behind loses heartbeats as a network does.
                let deliver = |path, beat| drop(into.try_send((path, beat)));
                let refused = |reason: heartbeat::Refused, from, count| {
                    let text = format!("refused {count} datagrams that are no heartbeats of a peer ({reason}), the last from {from}");
                    events.tell(Told::new(event::DATAGRAM_REFUSED, text));
                };
                if let Err(error) = receiver.run(deliver, refused).await {
                    events.tell(Told::new(event::DEGRADED, format!("a heartbeat socket cannot be read: {error}")));
                }
            });
        }
        driver.run().await
    })
}
