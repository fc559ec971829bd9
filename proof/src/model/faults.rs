//! What the adversary can do.

use super::effects::{AT_ONCE, RELEASE, STAND_BY, STOP, STOP_AND_LEAVE_RUNNING};
use super::host::Host;
use super::net::{Ghost, Kind, WITNESS};
use super::thaws::ThawFault;
use super::world::{AgentFault, World};
use picket_core::ids::{NodeId, StoreId, VolumeId};
use picket_core::message::OperatorRequest;
use picket_core::node::{FenceStageWord, FenceWish, Input, NodeRequest};
use picket_core::time::{Duration, Instant};

/// A fault, or something that a person does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The machine loses its power and is switched on again when everything is healed, or by a fence.
    Crash(NodeId),
    /// The machine reboots.
    Reboot(NodeId),
    /// Every machine reboots.
    PowerFailure,
    /// Somebody switches the machine on.
    PowerOn(NodeId),
    /// The daemon dies and is started again at once, well within the watchdog's time.
    RestartDaemon(NodeId),
    /// The daemon dies between its two records, the next time that a step changes both, and is started again at once.
    DiesBetween(NodeId),
    /// The daemon dies and is started again when the watchdog must have fired.
    KillDaemon(NodeId),
    /// The daemon is stopped (SIGSTOP) for a time short of a lease.
    StallShort(NodeId),
    /// The daemon is stopped for longer than a lease.
    StallLong(NodeId),
    /// The same, but its petting thread goes on to the last look at the clock that allows a pet, is stopped there,
    /// pets just before the watchdog fires, and is stopped again.
    StallTorn(NodeId),
    /// The whole machine is paused, its clock too, for longer than a lease.
    Pause(NodeId),
    /// The drivers of a node carry nothing out for a while.
    SlowDriver(NodeId),
    /// The next promotion on the node is begun at once and done a long time later.
    SlowPromotion(NodeId),
    /// The same, but a freeze ends it, and nothing more is said of it.
    FrozenPromotion(NodeId),
    /// The next thaw on the node.
    Thaw(NodeId, ThawFault),
    /// The next promotion on the node is begun at once and done a little later, even if its daemon ends meanwhile.
    LonePromotion(NodeId),
    /// The drivers of a node cannot see their volumes for a while.
    BlindDriver(NodeId),
    /// One direction of everything between two nodes.
    Cut(NodeId, NodeId),
    /// Heartbeats from one node to another.
    CutBeats(NodeId, NodeId),
    /// Both directions of replication between two nodes.
    CutData(NodeId, NodeId),
    /// The same, and for as long as nothing else is wrong between them neither end notices it: writes hang.
    StallData(NodeId, NodeId),
    /// Both directions of replication of one volume between two nodes.
    CutVolume(VolumeId, NodeId, NodeId),
    /// Both directions between a node and the witness.
    CutWitness(NodeId),
    /// What the witness sends to a node.
    CutFromWitness(NodeId),
    /// A node's links to the witness and all of its replication: one switch for both.
    CutSwitch(NodeId),
    /// Everything that a node sends.
    Mute(NodeId),
    /// Both directions between a node and everybody.
    Isolate(NodeId),
    /// What a node sends to the witness.
    CutToWitness(NodeId),
    /// What one daemon sends to another, but for its heartbeats.
    CutStream(NodeId, NodeId),
    /// So many of the next heartbeats from one node to another are lost.
    DropBeats(NodeId, NodeId, u8),
    /// The node's stream to the witness breaks, and what was on the way is lost.
    Break(NodeId),
    /// The streams between two daemons break, and what was on the way is lost.
    BreakPeer(NodeId, NodeId),
    /// Everything that is cut works again.
    Heal,
    /// What the witness sends to a node arrives much later.
    HoldFromWitness(NodeId),
    /// What a node sends to the witness arrives much later.
    HoldToWitness(NodeId),
    /// What a node's daemon sends to another's arrives much later.
    HoldPeer(NodeId, NodeId),
    /// The node's stream to the witness breaks; what was on the way arrives long after, when another is open.
    Ghosts(NodeId),
    /// What is on the way from the witness to a node arrives a second time, long after, on the same stream.
    Again(NodeId),
    /// What is on the way between two daemons arrives a second time, long after.
    Duplicate(NodeId, NodeId),
    /// Whoever came last is served first, from now on.
    Reorder,
    /// The witness restarts at once.
    RestartWitness,
    /// The witness is away for long.
    KillWitness,
    /// The witness is stopped (SIGSTOP) for longer than a lease.
    StallWitness,
    /// The witness's store is put back to the backup, and nobody says so.
    RollBackWitness,
    /// The witness is restored from the backup as the rules say: as another store.
    RestoreWitness,
    /// The witness is lost with its store, and an empty one takes over.
    ReplaceWitness,
    /// The witness's store is copied.
    BackUpWitness,
    /// The next fence agent.
    Agent(AgentFault),
    /// The next stop on the node hangs.
    StopHangs(NodeId),
    /// An operator moves the first volume to the node.
    Move(NodeId),
    /// An operator stops the daemon, which hands over or releases what it holds.
    Stop(NodeId),
    /// An operator stops the daemon under a maintenance, and what it holds keeps running.
    LeaveRunning(NodeId),
    /// An operator puts the node on standby.
    Standby(NodeId),
    /// An operator puts the node online again.
    Online(NodeId),
    /// An operator has the node, which stands by, release what it holds.
    Release(NodeId),
    /// An operator takes the node out of the first volume's in-sync set.
    Evict(NodeId),
    /// An operator gives the node the later configuration and restarts its daemon.
    Retime(NodeId),
    /// An operator gives the witness the later configuration and restarts it.
    RetimeWitness,
    /// An operator has the first node fence the second.
    FenceByHand(NodeId, NodeId),
    /// An operator attests that the node is off, rightly or not.
    Attest(NodeId),
    /// An operator activates the first volume on the node without a witness; all others are off, and stay off
    /// until a witness has heard of it.
    Override(NodeId),
    /// An operator ends a recovery, for the members that have not reported; with a node: its data counts where claims
    /// contradict each other.
    Adopt(Option<NodeId>),
    /// An operator ends a recovery while members boot that have not reported, and will before that counts.
    AdoptEarly,
    /// The witness's process is stopped (SIGSTOP) for a moment.
    NapWitness,
}

/// How long a long one is: lease, guard and detection are over.
const LONG: Duration = Duration::from_millis(130);
/// How long a message is held up: longer than detection takes, shorter than a stream takes to break.
const HELD: Duration = Duration::from_millis(44);
/// How many heartbeats in a row are lost: one, and as many as make a silence.
const BEATS_LOST: [u8; 2] = [1, 3];
/// How long a maintenance lasts: longer than a daemon is stopped for.
const MAINTENANCE: Duration = Duration::from_millis(60);
/// When a ghost appears: machines have booted again meanwhile.
const GHOST: Duration = Duration::from_millis(150);

impl Fault {
    /// Every fault that a cluster of so many nodes can have, apart from those of persons and stores, and pauses.
    #[must_use]
    pub fn all(nodes: u8) -> Vec<Self> {
        let mut all = vec![Self::Heal, Self::RestartWitness, Self::KillWitness, Self::Reorder];
        all.extend([Self::PowerFailure, Self::StallWitness, Self::NapWitness]);
        let agents = [
            AgentFault::UnknownIdle,
            AgentFault::UnknownLate,
            AgentFault::Fails,
            AgentFault::Slow,
            AgentFault::TellsLate,
        ];
        all.extend(agents.map(Self::Agent));
        for node in (1..=nodes).map(NodeId) {
            all.extend([
                Self::Crash(node),
                Self::Reboot(node),
                Self::RestartDaemon(node),
                Self::DiesBetween(node),
                Self::KillDaemon(node),
                Self::StallShort(node),
                Self::StallLong(node),
                Self::StallTorn(node),
                Self::SlowDriver(node),
                Self::SlowPromotion(node),
                Self::FrozenPromotion(node),
                Self::LonePromotion(node),
                Self::BlindDriver(node),
                Self::CutWitness(node),
                Self::CutFromWitness(node),
                Self::CutSwitch(node),
                Self::Mute(node),
                Self::Isolate(node),
                Self::HoldFromWitness(node),
                Self::HoldToWitness(node),
                Self::Ghosts(node),
                Self::Again(node),
                Self::StopHangs(node),
                Self::Move(node),
            ]);
            for other in (1..=nodes).map(NodeId).filter(|other| *other != node) {
                all.extend([
                    Self::Cut(node, other),
                    Self::CutBeats(node, other),
                    Self::HoldPeer(node, other),
                    Self::Duplicate(node, other),
                ]);
                if node < other {
                    all.push(Self::CutData(node, other));
                }
            }
        }
        all.extend((1..=nodes).map(NodeId).flat_map(|node| Self::lost_on_the_way(nodes, node)));
        all
    }

    /// What can go wrong with thaws. Where a freeze is not the loss action, next to none is ordered.
    #[must_use]
    pub fn thaws(nodes: u8) -> Vec<Self> {
        let both = |node| [Self::Thaw(node, ThawFault::Late), Self::Thaw(node, ThawFault::Unheard)];
        (1..=nodes).map(NodeId).flat_map(both).collect()
    }

    /// What a node sends and does not arrive, one link or one message at a time. A single message of a stream is
    /// never lost: a stream that loses one breaks.
    fn lost_on_the_way(nodes: u8, node: NodeId) -> Vec<Self> {
        let mut all = vec![Self::CutToWitness(node), Self::Break(node)];
        for other in (1..=nodes).map(NodeId).filter(|other| *other != node) {
            all.push(Self::CutStream(node, other));
            all.extend(BEATS_LOST.map(|count| Self::DropBeats(node, other, count)));
            if node < other {
                all.push(Self::BreakPeer(node, other));
            }
        }
        all
    }

    /// Whether it can happen now.
    #[must_use]
    pub fn can(self, world: &World) -> bool {
        match self {
            // The operator has seen to it that every other node is off.
            Self::Override(node) => world.hosts.values().all(|host| host.id == node || !host.powered),
            Self::RollBackWitness | Self::RestoreWitness => world.backup.is_some(),
            Self::Attest(node) => world.challenge(node).is_some(),
            Self::Pause(node) => !fences(world, node),
            Self::Adopt(_) => adopting::is_right(world),
            Self::AdoptEarly => adopting::is_early(world),
            // Who overrides keeps them off until a witness has heard of it.
            Self::Reboot(node) | Self::PowerOn(node) => !world.watch.unrecorded || is_powered(world, node),
            Self::PowerFailure => {
                !world.watch.unrecorded || world.members().iter().all(|node| is_powered(world, node))
            }
            _ => true,
        }
    }

    /// Makes it happen.
    pub fn inject(self, world: &mut World) {
        world.tell(|| format!("FAULT: {self}"));
        match self {
            Self::Crash(node) => world.kill(node, false),
            Self::Reboot(node) => world.kill(node, true),
            Self::PowerFailure => world.members().iter().for_each(|node| world.kill(node, true)),
            Self::PowerOn(node) => world.power_on(node),
            Self::RestartDaemon(node) => world.kill_daemon(node, AT_ONCE),
            Self::KillDaemon(node) => world.kill_daemon(node, LONG),
            Self::StallShort(node) => stall(world, node, LONG / 4, false),
            Self::StallLong(node) => stall(world, node, LONG, false),
            Self::StallTorn(node) => stall(world, node, LONG, true),
            Self::Pause(node) => {
                let until = world.now + LONG;
                if let Some(host) = world.hosts.get_mut(&node).filter(|host| host.runs()) {
                    host.paused_until = Some(until);
                    host.lag += LONG;
                }
            }
            Self::SlowDriver(node) => {
                let until = world.now + HELD / 2;
                on_host(world, node, |host| host.driver_until = Some(until));
            }
            Self::SlowPromotion(node) => on_host(world, node, |host| host.promotes_slowly = true),
            Self::FrozenPromotion(node) => on_host(world, node, |host| host.promotes_until_frozen = true),
            Self::DiesBetween(node) => on_host(world, node, |host| host.dies_between = true),
            Self::Thaw(node, fault) => on_host(world, node, |host| host.thaw_fault = Some(fault)),
            Self::LonePromotion(node) => on_host(world, node, |host| host.promotes_alone = true),
            Self::BlindDriver(node) => {
                let until = world.now + HELD / 2;
                on_host(world, node, |host| host.blind_until = Some(until));
            }
            Self::RestartWitness => world.kill_witness(AT_ONCE),
            Self::Retime(node) => {
                world.changed.insert(node);
                world.kill_daemon(node, AT_ONCE);
            }
            Self::RetimeWitness => {
                world.changed.insert(WITNESS);
                world.kill_witness(AT_ONCE);
            }
            Self::KillWitness => world.kill_witness(LONG * 2),
            Self::StallWitness => world.stall_witness(LONG),
            Self::NapWitness => world.stall_witness(LONG / 4),
            Self::RollBackWitness => put_back(world, world.backup.clone(), false),
            Self::RestoreWitness => put_back(world, world.backup.clone(), true),
            Self::ReplaceWitness => put_back(world, None, true),
            Self::BackUpWitness => world.backup.clone_from(&world.record),
            Self::Agent(fault) => world.agent_faults.push_back(fault),
            Self::StopHangs(node) => on_host(world, node, |host| host.stop_hangs = true),
            Self::Reorder => world.reversed = !world.reversed,
            Self::Move(_)
            | Self::Stop(_)
            | Self::LeaveRunning(_)
            | Self::Standby(_)
            | Self::Online(_)
            | Self::Release(_)
            | Self::Evict(_)
            | Self::FenceByHand(..)
            | Self::Attest(_)
            | Self::Override(_)
            | Self::Adopt(_)
            | Self::AdoptEarly => self.ask(world),
            _ => self.link(world),
        }
    }

    /// What a person does.
    fn ask(self, world: &mut World) {
        let volume = VolumeId(1);
        let (node, request) = match self {
            Self::Move(node) => (node, NodeRequest::Move { volume, to: node }),
            Self::Stop(node) => {
                let request = NodeRequest::StopHandOver;
                return world.inbox.push_back((node, Input::Operator { ticket: STOP, request }));
            }
            Self::LeaveRunning(node) => {
                let request = NodeRequest::StopKeepRunning { length: MAINTENANCE };
                let ticket = STOP_AND_LEAVE_RUNNING;
                return world.inbox.push_back((node, Input::Operator { ticket, request }));
            }
            Self::Standby(node) => {
                world.watch.to_stand_by = world.watch.to_stand_by.with(node);
                let request = NodeRequest::Standby(true);
                return world.inbox.push_back((node, Input::Operator { ticket: STAND_BY, request }));
            }
            Self::Online(node) => {
                world.watch.to_stand_by = world.watch.to_stand_by.without(node);
                world.watch.standby = world.watch.standby.without(node);
                (node, NodeRequest::Standby(false))
            }
            Self::Release(node) => {
                let request = NodeRequest::Release;
                return world.inbox.push_back((node, Input::Operator { ticket: RELEASE, request }));
            }
            Self::FenceByHand(node, target) => (node, NodeRequest::Fence { target, wish: FenceWish::Reboot }),
            Self::Override(node) => {
                (world.watch.overridden, world.watch.unrecorded) = (true, true);
                let dead = world.members().without(node);
                (node, NodeRequest::Override { volume, dead, length: Duration::from_secs(10) })
            }
            Self::Adopt(source) => return world.operator(OperatorRequest::Adopt { source }),
            Self::AdoptEarly => return world.operator(OperatorRequest::Adopt { source: None }),
            Self::Evict(node) => return world.operator(OperatorRequest::Evict { node, volume }),
            Self::Attest(node) => {
                let Some(challenge) = world.challenge(node) else { return };
                return world.operator(OperatorRequest::ConfirmMeatware { node, challenge });
            }
            _ => return,
        };
        world.inbox.push_back((node, Input::Operator { ticket: 9, request }));
    }

    /// What happens to links and to what is on them.
    fn link(self, world: &mut World) {
        let others = |world: &World, node| world.members().without(node);
        match self {
            Self::Cut(from, to) => one(world, from, to, &[Kind::Beats, Kind::Stream, Kind::Data]),
            Self::CutBeats(from, to) => one(world, from, to, &[Kind::Beats]),
            Self::CutData(a, b) => both(world, a, b, Kind::Data),
            Self::StallData(a, b) => both(world, a, b, Kind::Unnoticed),
            Self::CutVolume(volume, a, b) => both(world, a, b, Kind::Volume(volume)),
            Self::CutWitness(node) => both(world, node, WITNESS, Kind::Stream),
            Self::CutToWitness(node) => one(world, node, WITNESS, &[Kind::Stream]),
            Self::CutStream(from, to) => one(world, from, to, &[Kind::Stream]),
            Self::DropBeats(from, to, count) => *world.net.losing.entry((from, to)).or_default() += count,
            Self::Break(node) => world.break_stream(node, false),
            Self::BreakPeer(a, b) => {
                world.net.peers.retain(|(from, to), _| ![(a, b), (b, a)].contains(&(*from, *to)));
            }
            Self::CutFromWitness(node) => one(world, WITNESS, node, &[Kind::Stream]),
            Self::CutSwitch(node) => {
                both(world, node, WITNESS, Kind::Stream);
                others(world, node).iter().for_each(|other| both(world, node, other, Kind::Data));
            }
            Self::Mute(node) => {
                one(world, node, WITNESS, &[Kind::Stream]);
                for other in others(world, node).iter() {
                    one(world, node, other, &[Kind::Beats, Kind::Stream, Kind::Data]);
                }
            }
            Self::Isolate(node) => {
                both(world, node, WITNESS, Kind::Stream);
                for other in others(world, node).iter() {
                    let kinds = [Kind::Beats, Kind::Stream, Kind::Data];
                    kinds.into_iter().for_each(|kind| both(world, node, other, kind));
                }
            }
            Self::Heal => world.net.heal(),
            Self::HoldFromWitness(node) => hold(world, WITNESS, node),
            Self::HoldToWitness(node) => hold(world, node, WITNESS),
            Self::HoldPeer(from, to) => hold(world, from, to),
            Self::Ghosts(node) => ghosts(world, node),
            Self::Again(node) => again(world, node),
            Self::Duplicate(from, to) => {
                let at = world.now + GHOST;
                let again = world.net.peers.get(&(from, to)).cloned().unwrap_or_default();
                let again = again.into_iter().map(|(_, message)| (at, Ghost::Peer(from, to, message)));
                world.net.ghosts.extend(again);
            }
            _ => {}
        }
    }
}

/// The node has a permit, or asks for one. Such a node is not paused unseen: that is assumed, since its clock stands
/// still, so that it could not know that its permit is over.
fn fences(world: &World, node: NodeId) -> bool {
    let Some(host) = world.hosts.get(&node) else { return false };
    let Some(daemon) = &host.daemon else { return false };
    let acts = [FenceStageWord::Asking, FenceStageWord::Running];
    daemon.status(host.clock(world.now)).fences.iter().any(|fence| acts.contains(&fence.stage))
}

fn on_host(world: &mut World, node: NodeId, change: impl FnOnce(&mut Host)) {
    if let Some(host) = world.hosts.get_mut(&node) {
        change(host);
    }
}

fn is_powered(world: &World, node: NodeId) -> bool {
    world.hosts.get(&node).is_some_and(|host| host.powered)
}

fn one(world: &mut World, from: NodeId, to: NodeId, kinds: &[Kind]) {
    world.net.cut.extend(kinds.iter().map(|kind| (from, to, *kind)));
}

fn both(world: &mut World, a: NodeId, b: NodeId, kind: Kind) {
    world.net.cut.push((a, b, kind));
    world.net.cut.push((b, a, kind));
}

fn hold(world: &mut World, from: NodeId, to: NodeId) {
    let until = world.now + HELD;
    world.net.held.push((from, to, until));
}

fn ghosts(world: &mut World, node: NodeId) {
    let at = world.now + GHOST;
    if let Some(stream) = world.net.witness.get(&node) {
        world.net.ghosts.extend(stream.up.iter().map(|message| (at, Ghost::Up(node, message.clone()))));
    }
    again(world, node);
    world.break_stream(node, false);
}

fn again(world: &mut World, node: NodeId) {
    let at = world.now + GHOST;
    if let Some(stream) = world.net.witness.get(&node) {
        world.net.ghosts.extend(stream.down.iter().map(|message| (at, Ghost::Down(node, message.clone()))));
    }
}

/// The witness starts again with this record; `declared`: it says so with a new store.
fn put_back(world: &mut World, record: Option<picket_core::witness::Record>, declared: bool) {
    (world.record, world.watch.put_back) = (record, true);
    // Permits of the lost history are in no record: agents that run under them are not measured by it.
    world.hosts.values_mut().flat_map(|host| &mut host.agents).for_each(|agent| agent.permit = None);
    if declared {
        world.store = StoreId(world.store.0 + 1);
    }
    world.kill_witness(AT_ONCE);
}

fn stall(world: &mut World, node: NodeId, length: Duration, torn: bool) {
    let (now, dog) = (world.now, world.setup.watchdog());
    if let Some(host) = world.hosts.get_mut(&node).filter(|host| host.daemon_runs()) {
        host.stalled_until = Some(now + length);
        let clock = host.clock(now);
        // Stopped between a look that allows a pet and that pet.
        host.tears = host.pet_stop.is_some_and(|stop| clock <= stop);
        let last_look = host.pet_stop.filter(|stop| torn && host.tears && *stop != Instant::NEVER);
        if let (Some(look), Some(dog)) = (last_look, dog) {
            // The loop is stopped now, the petting thread at its last look; it pets just before the watchdog fires.
            host.torn_at = Some(now + look.since(clock) + dog * 99 / 100);
        } else {
            host.pet_stop = host.pet_stop.map(|stop| stop.min(clock));
        }
    }
}

mod adopting;
mod words;
