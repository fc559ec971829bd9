//! A simulated world: machines, their clocks, disks, volumes and fence devices, the network between them, and one
//! witness, around the production cores of node and witness.
//!
//! Everything happens in one thread over virtual time, in an order that a seed decides. A world can be copied, so
//! that a checker can go on from one state in several ways. The cores' effects are reached through
//! [`picket_core::ready::commit`] only.
//!
//! [`event`] what can happen · [`machine`] power, pauses, stalls · [`watchdog`] · [`daemon`] and [`witness`] the
//! two drivers · [`stream`] and [`net`] what is between them · [`replica`] and [`volume`] the data · [`fence`] ·
//! [`fault`] what goes wrong · [`person`] · [`oracle`] what must hold · [`rules`] which rules were seen at work ·
//! [`log`] what happened · [`prose`] the same in sentences · [`alarm`] what people are alarmed of.

pub mod alarm;
pub mod clock;
pub mod daemon;
pub mod disk;
pub mod event;
pub mod fault;
pub mod fence;
pub mod log;
pub mod machine;
pub mod net;
pub mod oracle;
pub mod person;
pub mod prose;
pub mod queue;
pub mod replica;
pub mod replication;
pub mod rng;
pub mod rules;
pub mod setup;
mod standby;
pub mod stream;
mod thaw;
pub mod volume;
pub mod watchdog;
pub mod witness;

pub use oracle::Violation;
pub use setup::Setup;

use clock::{Clock, SECOND, Time};
use event::{Ev, RunNo};
use fault::{Fault, FaultId, Stop};
use fence::DeviceMode;
use log::Log;
use machine::{Machine, Power};
use net::{Lane, Net, Place, WITNESS, place};
use picket_core::ids::{BootId, NodeId, NodeSet, StoreId, VolumeId};
use picket_core::message::OperatorRequest;
use picket_core::node::{CommandId, NodeAnswer};
use picket_core::witness::Record;
use queue::Queue;
use replica::Replica;
use rng::Rng;
use std::collections::{BTreeMap, BTreeSet};
use stream::{StreamId, Streams};
use volume::DriverMode;

/// A world.
#[derive(Clone, Debug)]
pub struct World {
    /// World time.
    pub now: Time,
    /// What it consists of.
    pub setup: Setup,
    /// What happened.
    pub log: Log,
    /// Log lines are not clipped.
    pub verbose: bool,
    /// The machines, node 1 first.
    pub machines: Vec<Machine>,
    /// The witness.
    pub witness: witness::WitnessHost,
    /// What must hold.
    pub oracle: oracle::Oracle,
    /// What will go wrong.
    pub faults: Vec<Fault>,
    /// Which proofs let grants happen, and how often.
    pub proofs: BTreeMap<&'static str, u64>,
    /// The proof of the newest grant of a volume.
    pub last_proof: BTreeMap<VolumeId, &'static str>,
    /// Which rules were seen at work.
    pub rules: rules::Rules,
    /// Which refusals were heard.
    pub refusals: BTreeSet<&'static str>,
    /// What people were alarmed of, and where it was told.
    pub alarms: BTreeSet<(Place, &'static str)>,
    /// Answers to persons.
    pub answers: BTreeMap<u64, NodeAnswer>,
    /// How often an agent was started to switch a node off.
    pub fences_started: u64,
    /// How often a machine was switched off by a device.
    pub fence_hits: u64,
    /// How many permits there were.
    pub permits: u64,
    /// How many promotions were done.
    pub promotions: u64,
    /// How many steps the cores took.
    pub steps: u64,
    /// How long after the last fault everything was as it must be, in nanoseconds.
    pub healed_after: Option<u64>,
    /// A copy of the witness's record, taken before faults.
    pub backup: Option<Record>,
    /// Which places have the later configuration.
    pub changed: BTreeSet<Place>,
    net: Net,
    streams: Streams,
    queue: Queue<Ev>,
    rng: Rng,
    conns: u64,
    writes: u64,
    tickets: u64,
    /// What persons asked the witness.
    asked: BTreeMap<u64, OperatorRequest>,
    stopping: BTreeMap<u64, Stop>,
    standby: standby::Standby,
    requiring: BTreeMap<(NodeId, VolumeId), (CommandId, u32)>,
    driver_modes: BTreeMap<(NodeId, VolumeId), DriverMode>,
    device_modes: BTreeMap<(NodeId, u8), DeviceMode>,
    person: bool,
    /// Messages from and to these nodes outlive their connections, and may come twice.
    ghosts: NodeSet,
    repeated: NodeSet,
    /// Nodes that a careless person confirms off whenever somebody asks.
    careless: NodeSet,
    /// Nodes that were confirmed off and speak: so says the witness's alarm, until a person has booted them.
    speak_though_off: NodeSet,
}

impl World {
    /// A world in which every machine is off and about to be switched on, and the witness starts.
    #[must_use]
    pub fn new(setup: Setup, seed: u64, logging: bool) -> Self {
        let mut rng = Rng::new(seed);
        let machines = setup.members().iter().map(|id| new_machine(&setup, id, &mut rng)).collect();
        let clock = Clock::new(Time(0), rng.range(SECOND, 1000 * SECOND), setup.witness_drift_ppm);
        let store = StoreId(rng.wide());
        let mut world = Self {
            now: Time(0),
            streams: streams(&setup),
            log: Log::new(logging),
            verbose: false,
            machines,
            witness: witness::WitnessHost::new(store, clock),
            oracle: oracle::Oracle::default(),
            faults: Vec::new(),
            proofs: BTreeMap::new(),
            last_proof: BTreeMap::new(),
            refusals: BTreeSet::new(),
            alarms: BTreeSet::new(),
            rules: rules::Rules::default(),
            answers: BTreeMap::new(),
            fences_started: 0,
            fence_hits: 0,
            permits: 0,
            promotions: 0,
            steps: 0,
            backup: None,
            changed: BTreeSet::new(),
            healed_after: None,
            net: Net::default(),
            queue: Queue::default(),
            rng,
            conns: 0,
            writes: 0,
            tickets: 0,
            asked: BTreeMap::new(),
            stopping: BTreeMap::new(),
            standby: standby::Standby::default(),
            requiring: BTreeMap::new(),
            driver_modes: BTreeMap::new(),
            device_modes: BTreeMap::new(),
            person: false,
            ghosts: NodeSet::EMPTY,
            repeated: NodeSet::EMPTY,
            careless: NodeSet::EMPTY,
            speak_though_off: NodeSet::EMPTY,
            setup,
        };
        world.begin_life();
        world
    }

    fn begin_life(&mut self) {
        self.put(Time(0), Ev::StartWitness { run: 0 });
        for node in self.setup.members().iter() {
            self.power_on(node);
        }
        let volumes: Vec<_> = self.setup.volumes().map(|(id, _)| id).collect();
        for volume in volumes {
            self.put(Time(0), Ev::Write { volume });
        }
    }

    fn put(&mut self, at: Time, event: Ev) {
        self.queue.put(at, event);
    }

    /// Plans a fault.
    pub fn plan(&mut self, at: Time, until: Time, fault: Fault) {
        let id: FaultId = self.faults.len();
        self.faults.push(fault);
        self.put(at, Ev::Fault(id));
        self.put(until, Ev::Heal(id));
    }

    /// Lets the world go on until then, or until something is violated.
    pub fn run_until(&mut self, until: Time) {
        while self.oracle.violation.is_none() {
            if self.queue.next_at().is_none_or(|at| at > until) {
                break;
            }
            let Some((at, event)) = self.queue.take() else { break };
            self.now = self.now.max(at);
            self.happen(event);
        }
        self.now = self.now.max(until);
    }

    fn happen(&mut self, event: Ev) {
        match event {
            Ev::Booted { node, boot_no } => self.booted(node, boot_no),
            Ev::Die { node, boot_no, power_off } => self.die(node, boot_no, power_off),
            Ev::LatePet { node, boot_no } => self.late_pet(node, boot_no),
            Ev::WriteCutOff { node, boot_no } => self.write_cut_off(node, boot_no),
            Ev::WitnessCutOff { run } => self.witness_cut_off(run),
            Ev::DaemonEnds { node, run } => self.daemon_ends(node, run),
            Ev::Ghost { stream, to_high, msg } => self.ghost_arrives(stream, to_high, msg),
            Ev::Watchdog { node, boot_no } => self.watchdog_due(node, boot_no),
            Ev::StartDaemon { node, boot_no } => self.start_daemon(node, boot_no),
            Ev::Timer { node, run } => self.timer_due(node, run),
            Ev::Input { node, run, input } => self.take_input(node, run, *input),
            Ev::Beat { to, path, beat } => self.beat_arrives(to, path, *beat),
            Ev::Effects { node, run, acts } => self.synced(node, run, acts),
            Ev::Command { node, run, volume } => self.next_command(node, run, volume),
            Ev::Do { node, boot_no, run, volume, command, action } => {
                self.do_command((node, boot_no, run), volume, command, action);
            }
            Ev::ThawGivenUp { node, run, volume, command } => self.thaw_given_up(node, run, volume, command),
            Ev::ThawDone { node, run, volume, command } => self.thaw_done(node, run, volume, command),
            Ev::AgentStart { node, run, order } => self.agent_starts(node, run, order),
            Ev::DeviceActs { node, run: _, order, late } => self.device_acts(node, order, late),
            Ev::AgentEnd { node, run, order, verdict } => self.agent_ends(node, run, order, verdict),
            Ev::Deliver { stream, conn, to_high, msg } => self.deliver(stream, conn, to_high, msg),
            Ev::StreamCheck { stream, conn } => self.stream_check(stream, conn),
            Ev::Broken { stream, conn, high } => self.broken(stream, conn, high),
            Ev::Connect { stream } => self.connect(stream),
            Ev::StartWitness { run } => self.start_witness(run),
            Ev::WitnessTimer { run } => self.witness_timer(run),
            Ev::WitnessInput { run, input } => self.take_witness_input(run, *input),
            Ev::WitnessEffects { run, effects } => self.witness_synced(run, effects),
            Ev::Write { volume } => self.client_writes(volume),
            Ev::Fault(id) => {
                if let Some(fault) = self.faults.get(id).cloned() {
                    self.begin(&fault);
                }
            }
            Ev::Heal(id) => {
                if let Some(fault) = self.faults.get(id).cloned() {
                    self.end(&fault);
                }
            }
            Ev::Person => self.person_looks(),
            Ev::Confirm(node) => self.confirm(node),
        }
    }
}

fn new_machine(setup: &Setup, id: NodeId, rng: &mut Rng) -> Machine {
    let replicas =
        setup.volumes().filter(|(_, volume)| volume.members.contains(id)).map(|(volume, known)| {
            let salt = u64::from(id.0) << 48 | u64::from(volume.0) << 32;
            (volume, Replica::new(known.members.without(id), salt))
        });
    let drift_ppm = setup.machines[usize::from(id.0) - 1].drift_ppm;
    Machine {
        id,
        power: Power::Off,
        boot: BootId(rng.wide()),
        boot_no: 0,
        clock: Clock::new(Time(0), 0, drift_ppm),
        drift_ppm,
        pauses: 0,
        stalls: 0,
        daemon_stalls: 0,
        torn: false,
        daemon: None,
        runs: RunNo::default(),
        daemon_held: 0,
        power_held: 0,
        store: disk::NodeStore::default(),
        watchdog: None,
        watchdog_event: None,
        replicas: replicas.collect(),
        drivers: BTreeMap::new(),
        waiting: Vec::new(),
        feeds_off: Vec::new(),
        left_running: false,
        left_kept: false,
        uncounted: false,
        takes_up: None,
        taken_up: BTreeMap::new(),
        resets_hang: 0,
        reset_due: false,
        daemon_hindered_at: Time(0),
    }
}

fn streams(setup: &Setup) -> Streams {
    let mut streams = Streams::new();
    for node in setup.members().iter() {
        let me = place(node);
        streams.insert(StreamId::new(Lane::Witness, WITNESS, me), stream::Stream::default());
        for peer in setup.members().iter().filter(|peer| peer.0 > me) {
            streams.insert(StreamId::new(Lane::Peer, me, place(peer)), stream::Stream::default());
            streams.insert(StreamId::new(Lane::Repl, me, place(peer)), stream::Stream::default());
        }
    }
    streams
}
