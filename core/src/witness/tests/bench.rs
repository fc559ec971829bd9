//! A witness with nodes around it that say what a test wants them to.

use crate::error::Refusal;
use crate::evidence::{FenceOutcome, Generation, SelfFence};
use crate::ids::{
    AttemptId, BootId, ConfigDigest, Epoch, GenerationId, IsrVersion, NodeId, NodeSet, Nonce, PermitId,
    RequestId, SessionId, StoreId, VolumeId,
};
use crate::message::{
    Acquire, FenceReason, FromWitness, Granted, Heartbeat, OperatorAnswer, OperatorRequest, Permit, Register,
    ReplicaReport, Reply, ReportFence, Request, RequestFence, Seen, ToWitness, UpdateInSync,
};
use crate::params::{Params, Profile};
use crate::ready::{Store, commit};
use crate::time::{Duration, Instant};
use crate::witness::record::PermitRecord;
use crate::witness::{Alarm, Config, Effect, Event, Input, Record, Witness, WitnessReady};
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::convert::Infallible;

pub(super) const A: NodeId = NodeId(1);
pub(super) const B: NodeId = NodeId(2);
pub(super) const C: NodeId = NodeId(3);
pub(super) const V: VolumeId = VolumeId(1);
pub(super) const U: VolumeId = VolumeId(2);
pub(super) const STORE: StoreId = StoreId(0x57);
pub(super) const DATA: GenerationId = GenerationId(0xda7a);
const DIGEST: ConfigDigest = ConfigDigest(0xd1);

pub(super) fn ms(length: u64) -> Duration {
    Duration::from_millis(length)
}

pub(super) fn set(nodes: &[NodeId]) -> NodeSet {
    nodes.iter().copied().collect()
}

pub(super) fn boot(node: NodeId, count: u128) -> BootId {
    BootId(u128::from(node.0) << 64 | count)
}

/// Takes records as a disk would.
struct Disk<'a>(&'a mut Option<Record>);

impl Store<(), Record> for Disk<'_> {
    type Error = Infallible;
    fn persist(&mut self, (): &(), record: &Record) -> Result<(), Infallible> {
        *self.0 = Some(record.clone());
        Ok(())
    }
    fn sync(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// What a node of the bench is.
#[derive(Clone)]
pub(super) struct Machine {
    pub(super) boot: BootId,
    pub(super) session: SessionId,
    pub(super) nonce: Nonce,
    pub(super) request: u64,
    pub(super) seen: Seen,
    pub(super) self_fence: SelfFence,
    pub(super) replicas: BTreeMap<VolumeId, ReplicaReport>,
}

pub(super) struct Bench {
    pub(super) witness: Witness,
    pub(super) config: Config,
    pub(super) now: Instant,
    pub(super) disk: Option<Record>,
    pub(super) nodes: BTreeMap<NodeId, Machine>,
    /// What the last step sent, told and closed.
    pub(super) sent: Vec<(NodeId, FromWitness)>,
    pub(super) events: Vec<Event>,
    pub(super) alarms: Vec<Alarm>,
    pub(super) closed: Vec<SessionId>,
    pub(super) answers: Vec<OperatorAnswer>,
    pub(super) persisted: bool,
    fresh: u128,
}

pub(super) fn config(members: &[NodeId], volumes: &[VolumeId]) -> Config {
    let members = set(members);
    let volumes = volumes.iter().map(|volume| (*volume, members)).collect();
    Config { members, volumes, digest: DIGEST, params: params() }
}

pub(super) fn params() -> Params {
    Profile::Fast.params()
}

/// B's permit against A's first boot, of which nobody was asked.
pub(super) fn permit() -> PermitRecord {
    PermitRecord {
        id: PermitId(3),
        target_boot: boot(A, 1),
        fencer: B,
        attempt: AttemptId(1),
        reason: FenceReason::Silent,
        lives: ms(7000),
        keep_off: false,
        asked: None,
    }
}

pub(super) fn report(volume: VolumeId) -> ReplicaReport {
    ReplicaReport {
        volume,
        max_epoch: Epoch(0),
        isr: NodeSet::EMPTY,
        isr_version: IsrVersion(0),
        recorded: GenerationId(0),
        generation: Generation::first(DATA),
        complete: true,
        held: None,
        barrier_suffices: false,
        overridden: None,
    }
}

impl Bench {
    /// A new store, with machines that have not connected.
    pub(super) fn empty(members: &[NodeId], volumes: &[VolumeId]) -> Self {
        #[cfg(picket_mutants)]
        crate::mutant::switch_by_environment();
        let config = config(members, volumes);
        let now = Instant::since_boot(Duration::from_secs(100));
        let machine = |node: &NodeId| {
            let machine = Machine {
                boot: boot(*node, 1),
                session: SessionId(0),
                nonce: Nonce(0),
                request: 0,
                seen: Seen::default(),
                self_fence: SelfFence { watchdog_counts: true, pause_visible: true },
                replicas: volumes.iter().map(|volume| (*volume, report(*volume))).collect(),
            };
            (*node, machine)
        };
        Self {
            witness: Witness::new(config.clone(), None, STORE, now),
            nodes: members.iter().map(machine).collect(),
            config,
            now,
            disk: None,
            sent: vec![],
            events: vec![],
            alarms: vec![],
            closed: vec![],
            answers: vec![],
            persisted: false,
            fresh: 1000,
        }
    }

    /// In service, with every node registered, and long enough up to have missed somebody.
    pub(super) fn up(members: &[NodeId], volumes: &[VolumeId]) -> Self {
        let mut bench = Self::empty(members, volumes);
        for node in members {
            bench.register(*node);
        }
        bench.pass(ms(3000), members);
        bench
    }

    /// As [`Bench::up`], and A holds every volume.
    pub(super) fn held(members: &[NodeId], volumes: &[VolumeId]) -> Self {
        let mut bench = Self::up(members, volumes);
        for volume in volumes {
            bench.acquire(A, *volume, 1);
            assert!(bench.granted(A).is_some());
        }
        bench
    }

    pub(super) fn step(&mut self, input: Input) {
        self.fresh += 1;
        let ready: WitnessReady = self.witness.step(self.now, input, Nonce(self.fresh));
        let mut written = None;
        let Ok(released) = commit(&mut Disk(&mut written), vec![((), ready)]);
        self.persisted = written.is_some();
        self.disk = written.or(self.disk.take());
        self.sent.clear();
        self.events.clear();
        self.alarms.clear();
        self.closed.clear();
        self.answers.clear();
        for effect in released.into_iter().flat_map(|(_, effects)| effects) {
            match effect {
                Effect::Send { node, message } => self.sent.push((node, message)),
                Effect::Close { session } => self.closed.push(session),
                Effect::OperatorAnswer { answer, .. } => self.answers.push(answer),
                Effect::Event(event) => self.events.push(event),
                Effect::Alarm(alarm) => self.alarms.push(alarm),
            }
        }
        let broken = self.alarms.iter().find(|alarm| matches!(alarm, Alarm::Broken { .. }));
        assert!(broken.is_none(), "{broken:?}");
    }

    /// Time passes in heartbeats; those of `alive` are sent and hear each other. Ticks come when they are due.
    pub(super) fn pass(&mut self, length: Duration, alive: &[NodeId]) {
        let end = self.now + length;
        while self.now < end {
            let next = (self.now + params().heartbeat).min(end);
            self.tick_until(next);
            for node in alive {
                self.beat(*node, set(alive));
            }
        }
    }

    /// Silence, with a tick at each deadline.
    pub(super) fn tick_until(&mut self, end: Instant) {
        while let Some(due) = self.witness.deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.step(Input::Tick);
        }
        self.now = end;
        self.step(Input::Tick);
    }

    pub(super) fn beat(&mut self, node: NodeId, hears: NodeSet) {
        let me = &self.nodes[&node];
        let registers = self.witness.registers();
        let mine = registers
            .iter()
            .filter(|register| register.holder.is_some_and(|h| (h.node, h.boot) == (node, me.boot)));
        let holds = mine.map(|register| (register.volume, register.epoch)).collect();
        let clock = Duration::ZERO;
        self.say(node, Request::Heartbeat(Heartbeat { hears: hears.without(node), holds, clock }));
    }

    pub(super) fn connect(&mut self, node: NodeId) {
        self.step(Input::Connected { node });
        let to_it = self.sent.iter().rev().find(|(to, _)| *to == node).cloned();
        let Some((_, message)) = to_it else { return };
        if let Reply::Challenge { nonce } = message.body {
            let machine = self.nodes.get_mut(&node).unwrap();
            (machine.session, machine.nonce, machine.request) = (message.session, nonce, 0);
        }
    }

    pub(super) fn registration(&self, node: NodeId) -> Register {
        let machine = &self.nodes[&node];
        Register {
            nonce: machine.nonce,
            boot: machine.boot,
            config: DIGEST,
            self_fence: machine.self_fence,
            replicas: machine.replicas.values().cloned().collect(),
        }
    }

    pub(super) fn register(&mut self, node: NodeId) {
        self.connect(node);
        let registration = self.registration(node);
        self.say(node, Request::Register(registration));
    }

    /// The machine boots, and its daemon connects.
    pub(super) fn reboot(&mut self, node: NodeId) {
        self.nodes.get_mut(&node).unwrap().boot.0 += 1;
        self.register(node);
    }

    pub(super) fn say(&mut self, node: NodeId, body: Request) {
        let machine = self.nodes.get_mut(&node).unwrap();
        machine.request += 1;
        let (session, request, seen) = (machine.session, RequestId(machine.request), machine.seen);
        let message = ToWitness { session, request, seen, body };
        self.step(Input::Message { node, message });
    }

    pub(super) fn acquire(&mut self, node: NodeId, volume: VolumeId, attempt: u64) {
        self.say(node, Request::Acquire(wish(volume, attempt)));
    }

    pub(super) fn release(&mut self, node: NodeId, volume: VolumeId, successor: Option<NodeId>) {
        let epoch = self.epoch(volume);
        self.say(node, Request::Release { volume, epoch, successor });
    }

    pub(super) fn update(&mut self, node: NodeId, volume: VolumeId, isr: &[NodeId]) {
        let register = &self.witness.record().volumes[&volume];
        let (epoch, expected, isr) = (register.epoch, register.isr_version, set(isr));
        let generation = Generation::first(DATA);
        self.say(node, Request::UpdateInSync(UpdateInSync { volume, epoch, expected, isr, generation }));
    }

    pub(super) fn ask_fence(&mut self, node: NodeId, target: NodeId, attempt: u64) {
        let (attempt, reason, levels) = (AttemptId(attempt), FenceReason::Silent, ms(5000));
        self.say(node, Request::RequestFence(RequestFence { target, attempt, reason, levels }));
    }

    /// A permit for `node` over a silent target; everybody else is alive.
    pub(super) fn permit(&mut self, node: NodeId, target: NodeId) -> Permit {
        let alive: Vec<NodeId> = self.nodes.keys().copied().filter(|other| *other != target).collect();
        self.pass(ms(700), &alive);
        self.ask_fence(node, target, 900);
        self.permitted(node).expect("a permit")
    }

    pub(super) fn report(
        &mut self,
        node: NodeId,
        permit: Permit,
        outcome: FenceOutcome,
        acquire: Vec<Acquire>,
    ) {
        let Permit { permit, target, target_boot, .. } = permit;
        self.say(node, Request::ReportFence(ReportFence { permit, target, target_boot, outcome, acquire }));
    }

    pub(super) fn operator(&mut self, request: OperatorRequest) -> OperatorAnswer {
        self.step(Input::Operator { ticket: 1, request });
        self.answers[0].clone()
    }

    /// The witness's process starts again from its disk.
    pub(super) fn restart(&mut self) {
        self.now = self.now + ms(10);
        self.witness = Witness::new(self.config.clone(), self.disk.clone(), STORE, self.now);
    }

    pub(super) fn epoch(&self, volume: VolumeId) -> Epoch {
        self.witness.record().volumes[&volume].epoch
    }

    pub(super) fn holder(&self, volume: VolumeId) -> Option<NodeId> {
        self.witness.record().volumes[&volume].holder.map(|holder| holder.node)
    }

    pub(super) fn isr(&self, volume: VolumeId) -> NodeSet {
        self.witness.record().volumes[&volume].isr
    }

    pub(super) fn replies(&self, node: NodeId) -> impl Iterator<Item = &Reply> {
        self.sent.iter().filter(move |(to, _)| *to == node).map(|(_, message)| &message.body)
    }

    pub(super) fn granted(&self, node: NodeId) -> Option<Granted> {
        self.replies(node).find_map(|reply| match reply {
            Reply::Granted(granted) => Some(granted.clone()),
            _ => None,
        })
    }

    pub(super) fn permitted(&self, node: NodeId) -> Option<Permit> {
        self.replies(node).find_map(|reply| match reply {
            Reply::Permit(permit) => Some(*permit),
            _ => None,
        })
    }

    /// The word of the refusal that the node was told last in this step, with `PENDING` before it if it waits.
    pub(super) fn told(&self, node: NodeId) -> Option<(bool, Refusal)> {
        let told = self.replies(node).filter_map(|reply| match reply {
            Reply::Refused { refusal, .. } => Some((false, refusal.clone())),
            Reply::Pending { refusal, .. } => Some((true, refusal.clone())),
            Reply::Renewed { refused, .. } => refused.first().map(|(_, refusal)| (false, refusal.clone())),
            _ => None,
        });
        told.last()
    }

    pub(super) fn refused(&self, node: NodeId) -> &'static str {
        match self.told(node) {
            Some((false, refusal)) => refusal.word(),
            Some((true, _)) | None => "not refused",
        }
    }

    pub(super) fn waits(&self, node: NodeId) -> &'static str {
        match self.told(node) {
            Some((true, refusal)) => refusal.word(),
            Some((false, _)) | None => "does not wait",
        }
    }
}

pub(super) fn wish(volume: VolumeId, attempt: u64) -> Acquire {
    let generation = Generation::first(DATA);
    Acquire { volume, attempt: AttemptId(attempt), generation, complete: true }
}
