//! What the adversary can do.

use super::net::{Kind, WITNESS};
use super::world::{AgentFault, World};
use picket_core::ids::{NodeId, VolumeId};
use picket_core::node::{Input, NodeRequest};
use picket_core::time::Duration;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The machine loses its power and is switched on again when everything is healed, or by a fence.
    Crash(NodeId),
    /// The machine reboots.
    Reboot(NodeId),
    /// The daemon dies and is started again at once, well within the watchdog's time.
    RestartDaemon(NodeId),
    /// The daemon dies and is started again when the watchdog must have fired.
    KillDaemon(NodeId),
    /// The daemon is stopped (SIGSTOP) for a time short of a lease.
    StallShort(NodeId),
    /// The daemon is stopped for longer than a lease.
    StallLong(NodeId),
    /// The whole machine is paused, its clock too, for longer than a lease.
    Pause(NodeId),
    /// One direction of everything between two nodes.
    Cut(NodeId, NodeId),
    /// Both directions of replication between two nodes.
    CutData(NodeId, NodeId),
    /// Both directions between a node and the witness.
    CutWitness(NodeId),
    /// What the witness sends to a node.
    CutFromWitness(NodeId),
    /// Both directions between a node and everybody.
    Isolate(NodeId),
    /// Everything that is cut works again.
    Heal,
    /// The witness restarts at once.
    RestartWitness,
    /// The witness is away for long.
    KillWitness,
    /// The next fence agent.
    Agent(AgentFault),
    /// The next stop on the node hangs.
    StopHangs(NodeId),
    /// An operator moves the first volume to the node.
    Move(NodeId),
}

/// How long a short absence is.
const SHORT: Duration = Duration::from_millis(4);
/// How long a long one is: lease, guard and detection are over.
const LONG: Duration = Duration::from_millis(130);

impl Fault {
    /// Every fault that a cluster of so many nodes can have.
    #[must_use]
    pub fn all(nodes: u8) -> Vec<Self> {
        let mut all = vec![Self::Heal, Self::RestartWitness, Self::KillWitness];
        let agents = [AgentFault::UnknownIdle, AgentFault::UnknownLate, AgentFault::Fails, AgentFault::Slow];
        all.extend(agents.map(Self::Agent));
        for node in (1..=nodes).map(NodeId) {
            all.extend([
                Self::Crash(node),
                Self::Reboot(node),
                Self::RestartDaemon(node),
                Self::KillDaemon(node),
                Self::StallShort(node),
                Self::StallLong(node),
                Self::CutWitness(node),
                Self::CutFromWitness(node),
                Self::Isolate(node),
                Self::StopHangs(node),
                Self::Move(node),
            ]);
            for other in (1..=nodes).map(NodeId).filter(|other| *other != node) {
                all.push(Self::Cut(node, other));
                if node < other {
                    all.push(Self::CutData(node, other));
                }
            }
        }
        all
    }

    /// Makes it happen.
    pub fn inject(self, world: &mut World) {
        let now = world.now;
        world.tell(|| format!("FAULT {self:?}"));
        let all = [Kind::Beats, Kind::Stream, Kind::Data];
        match self {
            Self::Crash(node) => world.kill(node, false),
            Self::Reboot(node) => world.kill(node, true),
            Self::RestartDaemon(node) => world.kill_daemon(node, SHORT),
            Self::KillDaemon(node) => world.kill_daemon(node, LONG),
            Self::StallShort(node) => stall(world, node, LONG / 4),
            Self::StallLong(node) => stall(world, node, LONG),
            Self::Pause(node) => {
                if let Some(host) = world.hosts.get_mut(&node).filter(|host| host.runs()) {
                    host.paused_until = Some(now + LONG);
                    host.lag += LONG;
                }
            }
            Self::Cut(from, to) => all.into_iter().for_each(|kind| world.net.cut.push((from, to, kind))),
            Self::CutData(a, b) => both(world, a, b, Kind::Data),
            Self::CutWitness(node) => both(world, node, WITNESS, Kind::Stream),
            Self::CutFromWitness(node) => world.net.cut.push((WITNESS, node, Kind::Stream)),
            Self::Isolate(node) => {
                both(world, node, WITNESS, Kind::Stream);
                for other in world.members().without(node).iter() {
                    all.into_iter().for_each(|kind| both(world, node, other, kind));
                }
            }
            Self::Heal => world.net.cut.clear(),
            Self::RestartWitness => world.kill_witness(SHORT),
            Self::KillWitness => world.kill_witness(LONG * 2),
            Self::Agent(fault) => world.agent_faults.push_back(fault),
            Self::StopHangs(node) => {
                if let Some(host) = world.hosts.get_mut(&node) {
                    host.stop_hangs = true;
                }
            }
            Self::Move(node) => {
                let request = NodeRequest::Move { volume: VolumeId(1), to: node };
                world.inbox.push_back((node, Input::Operator { ticket: 9, request }));
            }
        }
    }
}

fn both(world: &mut World, a: NodeId, b: NodeId, kind: Kind) {
    world.net.cut.push((a, b, kind));
    world.net.cut.push((b, a, kind));
}

fn stall(world: &mut World, node: NodeId, length: Duration) {
    let until = world.now + length;
    if let Some(host) = world.hosts.get_mut(&node).filter(|host| host.daemon_runs()) {
        host.stalled_until = Some(until);
        let clock = host.clock(world.now);
        host.pet_stop = host.pet_stop.map(|stop| stop.min(clock));
    }
}
