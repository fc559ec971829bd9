//! A node that asks for anything: the daemon's own session code, with requests drawn at random in place of its core.
//!
//! It remembers what a node has to remember (the newest register it was told of, the highest epoch, the newest
//! position of the store), unless it is told to be without memory; a witness whose disk lost what it had synced can
//! be told apart by that memory only.

use crate::history::{History, Pending};
use crate::register::{Call, Holder, Outcome, View};
use crate::rng::Rng;
use crate::site::{Failed, NODES, Site, VOLUMES};
use core::time::Duration;
use picket_core::error::Refusal;
use picket_core::evidence::{Generation, SelfFence};
use picket_core::ids::{
    AttemptId, BootId, ConfigDigest, Epoch, GenerationId, IsrVersion, NodeId, NodeSet, Nonce, RequestId,
    SessionId, VolumeId,
};
use picket_core::message::{
    Acquire, FromWitness, Granted, Heartbeat, Register, RegisterView, ReplicaReport, Reply, Request, Seen,
    Subject, ToWitness, UpdateInSync,
};
use picket_core::node::Input;
use picket_host::clock::boottime;
use picket_node::driver::Wake;
use picket_node::witness_client::{Keeper, Link, link};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Between two heartbeats: well within the profile's own interval.
const BEAT: Duration = Duration::from_millis(60);

/// The longest pause between two requests, in milliseconds.
const PAUSE_MS_MAX: u64 = 4;

/// Requests that wait for an answer, at most, besides one for a grant per volume: enough for several on one register,
/// few enough to be searched.
const WAITING_MAX: usize = 5;

/// Volumes that are asked for more often than the others.
const BUSY: u64 = 2;

/// Messages from the session that wait.
const WAKES_MAX: usize = 256;

/// All replicas have the same data for ever.
const DATA: GenerationId = GenerationId(7);

/// Whether a client remembers what it was told when its session begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// As a node does.
    Kept,
    /// It claims to have seen nothing.
    None,
}

/// What is known of one volume.
#[derive(Clone, Debug, Default)]
struct Known {
    view: View,
    max_epoch: u64,
    /// The epoch with which it is held.
    held: Option<u64>,
    /// Who was asked to come into the set, with no answer yet.
    grows: NodeSet,
    /// The newest attempt, with its request while that waits.
    attempt: u64,
}

/// A request that waits for its answer.
#[derive(Clone, Debug)]
struct Waiting {
    pending: Pending,
    volume: VolumeId,
}

/// A node.
pub struct Client {
    me: NodeId,
    boot: BootId,
    config: ConfigDigest,
    memory: Memory,
    rng: Rng,
    history: Arc<History>,
    link: Link,
    wakes: mpsc::Receiver<Wake>,
    session: Option<SessionId>,
    life: u64,
    registered: bool,
    recovering: watch::Sender<Option<bool>>,
    requests: u64,
    attempts: u64,
    seen: Seen,
    known: BTreeMap<VolumeId, Known>,
    /// Updates, releases and reads, by request.
    asked: BTreeMap<u64, Vec<Waiting>>,
    /// Requests for a grant, by attempt, with the request that withdrew it.
    acquires: BTreeMap<u64, (Waiting, Option<u64>)>,
}

impl Client {
    /// A node of the site, and the task that keeps its session. What it hears of a recovery can be watched.
    ///
    /// # Errors
    /// There is no certificate or configuration for it.
    pub fn new(
        site: &Site,
        me: NodeId,
        memory: Memory,
        rng: Rng,
        history: Arc<History>,
    ) -> Result<(Self, Keeper, watch::Receiver<Option<bool>>), Failed> {
        let config = site.node_config(me)?;
        let (into, wakes) = mpsc::channel(WAKES_MAX);
        let (link, keeper) = link(&config, Arc::new(site.node_credentials(me)?), into);
        let recovering = watch::Sender::new(None);
        let watched = recovering.subscribe();
        let client = Self {
            me,
            boot: BootId(u128::from(me.0) * 1000),
            config: config.digest(),
            memory,
            rng,
            history,
            link,
            wakes,
            session: None,
            life: 0,
            registered: false,
            recovering,
            requests: 0,
            attempts: 0,
            seen: Seen::default(),
            known: VOLUMES.into_iter().map(|volume| (volume, Known::default())).collect(),
            asked: BTreeMap::new(),
            acquires: BTreeMap::new(),
        };
        Ok((client, keeper, watched))
    }

    /// Asks until `stop` says so, and `quiet` does not; then only shows signs of life.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>, quiet: watch::Receiver<bool>) {
        let mut beats = tokio::time::interval(BEAT);
        loop {
            let pause = Duration::from_millis(1 + self.rng.below(PAUSE_MS_MAX));
            tokio::select! {
                wake = self.wakes.recv() => match wake {
                    Some(Wake::Input(input)) => self.take(*input),
                    Some(Wake::Ask(_)) => {}
                    None => return,
                },
                _ = beats.tick() => self.beat(),
                () = tokio::time::sleep(pause) => if !*quiet.borrow() { self.ask_something() },
                _ = stop.changed() => return,
            }
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Witness(message) => self.hear(message),
            Input::WitnessGone => self.forget_session(),
            _ => {}
        }
    }

    /// What waits for an answer stays without one.
    fn forget_session(&mut self) {
        (self.session, self.registered) = (None, false);
        self.asked.clear();
        self.acquires.clear();
        self.recovering.send_replace(None);
    }

    fn me(&self) -> Holder {
        Holder { node: self.me, boot: self.boot }
    }

    fn say(&mut self, body: Request) -> u64 {
        self.requests += 1;
        let Some(session) = self.session else { return self.requests };
        let seen = if self.memory == Memory::Kept { self.seen } else { Seen::default() };
        self.link.send(ToWitness { session, request: RequestId(self.requests), seen, body });
        self.requests
    }

    fn hear(&mut self, message: FromWitness) {
        let FromWitness { session, processed, seen, body } = message;
        if let Reply::Challenge { nonce } = body {
            self.forget_session();
            (self.session, self.requests, self.life) = (Some(session), 0, self.history.life());
            self.register(nonce);
            return;
        }
        if self.session != Some(session) {
            return;
        }
        self.seen = if seen.store == self.seen.store { self.seen.max(seen) } else { seen };
        match body {
            Reply::Registered { registers, recovering } => {
                self.registered = true;
                self.tell_recovery(recovering.is_some());
                self.answer_reads(processed.0, &registers);
            }
            Reply::Granted(granted) => self.granted(&granted),
            Reply::InSync { register } => {
                self.answer(processed.0, Outcome::Told(view(&register)));
                self.learn(&register);
            }
            Reply::Released { volume, .. } => {
                self.answer(processed.0, Outcome::Released);
                self.volume(volume).held = None;
            }
            Reply::Refused { subject, refusal } => self.refused(processed.0, subject, &refusal),
            Reply::View(view) => {
                self.tell_recovery(view.recovering.is_some());
                view.registers.iter().for_each(|register| self.learn(register));
            }
            _ => {}
        }
        // Answers come in order: what was withdrawn before was not granted.
        let gone: Vec<u64> = self
            .acquires
            .iter()
            .filter(|(_, (_, by))| by.is_some_and(|by| by < processed.0))
            .map(|(a, _)| *a)
            .collect();
        for attempt in gone {
            if let Some((waiting, _)) = self.acquires.remove(&attempt) {
                self.history.answer(waiting.pending, Outcome::NotDone);
            }
        }
    }

    fn tell_recovery(&self, recovering: bool) {
        if recovering {
            self.history.saw_recovery();
        }
        self.recovering.send_replace(Some(recovering));
    }

    fn volume(&mut self, volume: VolumeId) -> &mut Known {
        self.known.entry(volume).or_default()
    }

    /// The session counts from its registration, which also tells every register: a read.
    fn register(&mut self, nonce: Nonce) {
        let replicas = VOLUMES.map(|volume| self.report(volume)).to_vec();
        let self_fence = SelfFence { watchdog_counts: false, pause_visible: true };
        let (boot, config) = (self.boot, self.config);
        let life = self.life;
        let reads = VOLUMES.map(|volume| {
            let pending = self.history.ask(volume, life, Call::Read);
            Waiting { pending, volume }
        });
        let request = self.say(Request::Register(Register { nonce, boot, config, self_fence, replicas }));
        self.asked.insert(request, reads.to_vec());
    }

    fn report(&self, volume: VolumeId) -> ReplicaReport {
        let nothing = Known::default();
        let known = self.known.get(&volume).filter(|_| self.memory == Memory::Kept).unwrap_or(&nothing);
        let never = known.view.version == 0;
        ReplicaReport {
            volume,
            max_epoch: Epoch(known.max_epoch),
            isr: known.view.isr.union(known.grows),
            isr_version: IsrVersion(known.view.version),
            recorded: if never { GenerationId(0) } else { DATA },
            generation: Generation::first(DATA),
            complete: true,
            held: known.held.map(Epoch),
            barrier_suffices: false,
            overridden: None,
        }
    }

    fn learn(&mut self, register: &RegisterView) {
        let (me, new) = (self.me(), view(register));
        let known = self.volume(register.volume);
        known.max_epoch = known.max_epoch.max(new.epoch);
        if (new.epoch, new.version) < (known.view.epoch, known.view.version) {
            return;
        }
        if new.version > known.view.version {
            known.grows = NodeSet::EMPTY;
        }
        known.view = new;
        known.held = (new.holder == Some(me)).then_some(new.epoch);
    }

    /// The answer to a request of which there is one answer.
    fn answer(&mut self, request: u64, outcome: Outcome) {
        for waiting in self.asked.remove(&request).unwrap_or_default() {
            self.history.answer(waiting.pending, outcome);
        }
    }

    fn answer_reads(&mut self, request: u64, registers: &[RegisterView]) {
        for waiting in self.asked.remove(&request).unwrap_or_default() {
            if let Some(register) = registers.iter().find(|register| register.volume == waiting.volume) {
                self.history.answer(waiting.pending, Outcome::Told(view(register)));
                self.learn(register);
            }
        }
    }

    fn granted(&mut self, granted: &Granted) {
        if let Some((waiting, _)) = self.acquires.remove(&granted.attempt.0) {
            self.history.answer(waiting.pending, Outcome::Told(view(&granted.register)));
        }
        self.learn(&granted.register);
    }

    fn refused(&mut self, request: u64, subject: Subject, refusal: &Refusal) {
        if let Subject::Acquire { attempt, .. } = subject {
            if let Some((waiting, _)) = self.acquires.remove(&attempt.0) {
                let outcome = match refusal {
                    Refusal::NotInSync { isr } => Outcome::NotInSync { isr: *isr },
                    _ => Outcome::NotDone,
                };
                self.history.answer(waiting.pending, outcome);
            }
            return;
        }
        let outcome = match refusal {
            Refusal::VersionConflict { held, .. } => Outcome::Conflict { held: held.0 },
            Refusal::EpochMismatch { held, .. } => Outcome::OtherEpoch { held: held.0 },
            Refusal::NotHolder { holder } => Outcome::NotHolder { holder: *holder },
            _ => Outcome::NotDone,
        };
        self.answer(request, outcome);
    }

    fn beat(&mut self) {
        if self.registered {
            let held = |(volume, known): (&VolumeId, &Known)| Some((*volume, Epoch(known.held?)));
            let holds = self.known.iter().filter_map(held).collect();
            let hears = NODES.into_iter().filter(|node| *node != self.me).collect();
            self.say(Request::Heartbeat(Heartbeat { hears, holds, clock: boottime() }));
        }
    }

    fn ask_something(&mut self) {
        if !self.registered || self.asked.len() >= WAITING_MAX {
            return;
        }
        // Half of all requests go to the first volumes, where they meet.
        let among = if self.rng.percent(50) { BUSY } else { VOLUMES.len() as u64 };
        let Some(volume) = VOLUMES.get(usize::try_from(self.rng.below(among)).unwrap_or(0)) else { return };
        let is_held = self.known.get(volume).is_some_and(|known| known.held.is_some());
        match (self.rng.below(100), is_held) {
            (0..30, false) | (0..5, true) => self.acquire(*volume),
            (5..60, true) | (30..34, false) => self.update(*volume),
            (60..85, true) | (34..38, false) => self.release(*volume),
            (85..87, _) => self.hang_up(),
            (87, _) => self.reboot(),
            (88..94, _) => self.withdraw(),
            _ => {}
        }
    }

    fn ask(&mut self, volume: VolumeId, call: Call) -> Waiting {
        Waiting { pending: self.history.ask(volume, self.life, call), volume }
    }

    /// A new attempt; now and then the newest one again, as after a lost answer.
    fn acquire(&mut self, volume: VolumeId) {
        let newest = self.known.get(&volume).map_or(0, |known| known.attempt);
        let attempt = if newest > 0 && self.rng.percent(15) {
            newest
        } else {
            self.attempts += 1;
            u64::from(self.me.0) * 1_000_000 + self.attempts
        };
        let is_asked = |(waiting, _): &(Waiting, Option<u64>)| waiting.volume == volume;
        // A newer request for a volume takes the older one's place, whose end nobody would hear of.
        if self.acquires.values().any(is_asked) {
            return;
        }
        self.volume(volume).attempt = attempt;
        let waiting = self.ask(volume, Call::Acquire { me: self.me(), attempt, superseded: vec![] });
        self.acquires.insert(attempt, (waiting, None));
        let (attempt, generation) = (AttemptId(attempt), Generation::first(DATA));
        self.say(Request::Acquire(Acquire { volume, attempt, generation, complete: true }));
    }

    fn update(&mut self, volume: VolumeId) {
        let mut isr = if self.rng.percent(95) { NodeSet::only(self.me) } else { NodeSet::EMPTY };
        for node in NODES {
            isr = if self.rng.percent(60) { isr.with(node) } else { isr };
        }
        let (wrong_epoch, wrong_version) = (self.rng.percent(8), self.rng.below(100));
        let known = self.volume(volume);
        let epoch = known.held.unwrap_or(known.view.epoch) + u64::from(wrong_epoch);
        let expected = match wrong_version {
            0..15 => known.view.version.saturating_sub(1),
            15..30 => known.view.version + 1,
            _ => known.view.version,
        };
        known.grows = known.grows.union(isr);
        let waiting = self.ask(volume, Call::Update { me: self.me(), epoch, expected, isr });
        let generation = Generation::first(DATA);
        let (epoch, expected) = (Epoch(epoch), IsrVersion(expected));
        let request =
            self.say(Request::UpdateInSync(UpdateInSync { volume, epoch, expected, isr, generation }));
        self.asked.insert(request, vec![waiting]);
    }

    fn release(&mut self, volume: VolumeId) {
        let (wrong, to) = (self.rng.percent(10), self.rng.below(4));
        let successor = NODES.into_iter().find(|node| u64::from(node.0) == to);
        let known = self.volume(volume);
        let epoch = known.held.unwrap_or(known.view.epoch).saturating_sub(u64::from(wrong));
        // From here on the node is inactive, whatever becomes of the request.
        known.held = known.held.filter(|_| wrong);
        let waiting = self.ask(volume, Call::Release { me: self.me(), epoch });
        let request = self.say(Request::Release { volume, epoch: Epoch(epoch), successor });
        self.asked.insert(request, vec![waiting]);
    }

    fn withdraw(&mut self) {
        let Some(attempt) = self.acquires.iter().find(|(_, (_, by))| by.is_none()).map(|(a, _)| *a) else {
            return;
        };
        let request = self.say(Request::Withdraw { attempt: AttemptId(attempt) });
        if let Some((_, by)) = self.acquires.get_mut(&attempt) {
            *by = Some(request);
        }
    }

    /// The connection ends, with whatever is under way on it.
    fn hang_up(&mut self) {
        self.forget_session();
        self.link.close();
    }

    /// The machine starts anew: another boot, nothing held.
    fn reboot(&mut self) {
        self.history.new_boot(self.me());
        self.boot = BootId(self.boot.0 + 1);
        self.known.values_mut().for_each(|known| known.held = None);
        self.hang_up();
    }
}

fn view(register: &RegisterView) -> View {
    View {
        epoch: register.epoch.0,
        holder: register.holder.map(|holder| Holder { node: holder.node, boot: holder.boot }),
        isr: register.isr,
        version: register.isr_version.0,
    }
}
