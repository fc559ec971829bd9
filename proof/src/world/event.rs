//! What can happen in the world, and what a node machine wants done in a form that can be copied.

use super::fault::FaultId;
use super::replica::ReplMsg;
use super::stream::{ConnId, StreamId};
use picket_core::ids::{Epoch, NodeId, NodeSet, VolumeId};
use picket_core::message::{Beat, FromWitness, PeerMessage, ToWitness};
use picket_core::node::{self, CommandId, ResetReason, VolumeAction};
use picket_core::time::Instant;
use picket_core::topology::{DeviceOrder, OrderId, PowerAction};
use picket_core::witness;
use std::time::Duration;

/// A start of a process; an event for an earlier one is void.
pub type RunNo = u32;

/// Something that happens.
#[expect(missing_docs, reason = "the fields are named for what they are")]
#[derive(Clone, Debug)]
pub enum Ev {
    /// A machine that was switched on has booted.
    Booted { node: NodeId, boot_no: u32 },
    /// A machine that reset itself is dead now.
    Die { node: NodeId, boot_no: u32, power_off: bool },
    /// The petting thread saw that it was late, and ends the machine when it runs.
    LatePet { node: NodeId, boot_no: u32 },
    /// A machine ends in the middle of a write to its disk.
    WriteCutOff { node: NodeId, boot_no: u32 },
    /// The witness's machine ends in the middle of a write.
    WitnessCutOff { run: RunNo },
    /// A daemon that was told to stop, and has answered, ends.
    DaemonEnds { node: NodeId, run: RunNo },
    /// A message of a connection that is over, or a copy of one that was delivered, arrives all the same.
    Ghost { stream: StreamId, to_high: bool, msg: Msg },
    /// A watchdog may be due.
    Watchdog { node: NodeId, boot_no: u32 },
    /// The service manager starts the daemon.
    StartDaemon { node: NodeId, boot_no: u32 },
    /// A daemon's timer may be due.
    Timer { node: NodeId, run: RunNo },
    /// A daemon gets an input.
    Input { node: NodeId, run: RunNo, input: Box<node::Input> },
    /// A heartbeat arrives at a machine.
    Beat { to: NodeId, path: u8, beat: Box<Beat> },
    /// A daemon's record is durable; its effects follow.
    Effects { node: NodeId, run: RunNo, acts: Vec<Act> },
    /// A volume's driver takes up its next command.
    Command { node: NodeId, run: RunNo, volume: VolumeId },
    /// A command reaches the volume.
    Do { node: NodeId, boot_no: u32, run: RunNo, volume: VolumeId, command: CommandId, action: VolAct },
    /// A driver gives up a thaw that it was to do by now.
    ThawGivenUp { node: NodeId, run: RunNo, volume: VolumeId, command: CommandId },
    /// That thaw is done.
    ThawDone { node: NodeId, run: RunNo, volume: VolumeId, command: CommandId },
    /// A fence agent is to be started.
    AgentStart { node: NodeId, run: RunNo, order: Order },
    /// A device acts on its target.
    DeviceActs { node: NodeId, run: RunNo, order: Order, late: bool },
    /// A fence agent ends.
    AgentEnd { node: NodeId, run: RunNo, order: Order, verdict: picket_core::topology::DeviceVerdict },
    /// A message arrives on a stream.
    Deliver { stream: StreamId, conn: ConnId, to_high: bool, msg: Msg },
    /// A stream that is obstructed may be given up.
    StreamCheck { stream: StreamId, conn: ConnId },
    /// One end of a stream learns that it broke.
    Broken { stream: StreamId, conn: ConnId, high: bool },
    /// A stream is tried to be made again.
    Connect { stream: StreamId },
    /// The witness process starts.
    StartWitness { run: RunNo },
    /// The witness's timer may be due.
    WitnessTimer { run: RunNo },
    /// The witness gets an input.
    WitnessInput { run: RunNo, input: Box<witness::Input> },
    /// The witness's record is durable; its effects follow.
    WitnessEffects { run: RunNo, effects: Vec<witness::Effect> },
    /// The client of a volume writes.
    Write { volume: VolumeId },
    /// A fault begins.
    Fault(FaultId),
    /// A fault ends.
    Heal(FaultId),
    /// A person looks after the cluster.
    Person,
    /// A careless person confirms a node off.
    Confirm(NodeId),
}

/// What travels on streams.
#[derive(Clone, Debug)]
pub enum Msg {
    /// To the witness.
    ToWitness(Box<ToWitness>),
    /// From the witness.
    FromWitness(Box<FromWitness>),
    /// Between daemons.
    Peer(Box<PeerMessage>),
    /// Between replicas.
    Repl(VolumeId, Box<ReplMsg>),
    /// The other end closes the stream, after everything that it sent before.
    Close,
}

/// An effect of a node machine. A promotion and a device's order cannot be copied, on purpose; the world takes
/// them apart when it takes them over, so that a whole world can be copied.
#[derive(Clone, Debug)]
pub enum Act {
    /// See [`node::Effect::Witness`].
    Witness(ToWitness),
    /// See [`node::Effect::CloseWitness`].
    CloseWitness,
    /// See [`node::Effect::Beat`].
    Beat(NodeId, Beat),
    /// See [`node::Effect::Peer`].
    Peer(NodeId, PeerMessage),
    /// See [`node::Effect::Volume`].
    Volume(VolumeId, CommandId, VolAct),
    /// See [`node::Effect::Device`].
    Device(Order),
    /// See [`node::Effect::Reset`].
    Reset(bool, ResetReason),
    /// See [`node::Effect::Answer`].
    Answer(u64, node::NodeAnswer),
    /// See [`node::Effect::Event`].
    Event(node::Event),
}

/// A [`VolumeAction`] taken apart.
#[expect(missing_docs, reason = "the fields are named for what they are")]
#[derive(Clone, Copy, Debug)]
pub enum VolAct {
    /// A promotion; redeemed by comparing with `valid_until` when it is begun. One that is done by a `program` ends
    /// with its daemon.
    Promote { epoch: Epoch, required: NodeSet, valid_until: Instant, program: bool },
    /// Demote.
    Demote,
    /// Freeze.
    Freeze,
    /// Thaw, unless it is too late.
    Thaw { valid_until: Instant },
    /// Drop a peer.
    Drop(NodeId),
    /// Require a peer.
    Require(NodeId),
}

/// A [`DeviceOrder`] taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// See [`DeviceOrder::order`].
    pub id: OrderId,
    /// The target.
    pub target: NodeId,
    /// The level, from 0.
    pub level: u8,
    /// The device of the level.
    pub device: u8,
    /// On or off.
    pub action: PowerAction,
    /// The latest start.
    pub start_before: Instant,
    /// To wait before the start.
    pub delay: Duration,
    /// How long it may run.
    pub timeout: Duration,
}

impl Act {
    /// Takes an effect apart.
    #[must_use]
    pub fn of(effect: node::Effect) -> Self {
        match effect {
            node::Effect::Witness(message) => Self::Witness(message),
            node::Effect::CloseWitness => Self::CloseWitness,
            node::Effect::Beat { to, beat } => Self::Beat(to, beat),
            node::Effect::Peer { to, message } => Self::Peer(to, message),
            node::Effect::Volume { volume, command, action } => {
                Self::Volume(volume, command, VolAct::of(&action))
            }
            node::Effect::Device(order) => Self::Device(Order::of(&order)),
            node::Effect::Reset { power_off, reason } => Self::Reset(power_off, reason),
            node::Effect::Answer { ticket, answer } => Self::Answer(ticket, answer),
            node::Effect::Event(event) => Self::Event(event),
        }
    }
}

impl VolAct {
    fn of(action: &VolumeAction) -> Self {
        match action {
            VolumeAction::Promote(promotion) => Self::Promote {
                epoch: promotion.epoch(),
                required: promotion.required(),
                valid_until: promotion.valid_until(),
                program: false,
            },
            VolumeAction::Demote { deadline: _ } => Self::Demote,
            VolumeAction::Freeze => Self::Freeze,
            VolumeAction::Thaw { valid_until } => Self::Thaw { valid_until: *valid_until },
            VolumeAction::DropPeer { peer } => Self::Drop(*peer),
            VolumeAction::RequirePeer { peer } => Self::Require(*peer),
        }
    }
}

impl Order {
    fn of(order: &DeviceOrder) -> Self {
        Self {
            id: order.order,
            target: order.target,
            level: order.level,
            device: order.device,
            action: order.action,
            start_before: order.start_before,
            delay: order.delay,
            timeout: order.timeout,
        }
    }
}
