//! Faults: each has a beginning and an end, and several may last at once.

mod kind;

use super::World;
use super::clock::MS;
use super::disk::DiskMode;
use super::event::Ev;
use super::fence::DeviceMode;
use super::net::{Link, Place, WITNESS};
use super::volume::DriverMode;
use picket_core::ids::{GenerationId, NodeId, NodeSet, StoreId, VolumeId};
use picket_core::message::OperatorRequest;
use picket_core::node::{FenceWish, Input, NodeRequest};
use picket_core::witness;

/// How long after its answer a daemon that was told to stop is gone.
const ENDS_WITHIN: u64 = 30 * MS;

/// A daemon that was told to stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    node: NodeId,
    /// What it holds is left running, under a maintenance.
    keeps: bool,
}

/// The place of a fault in the schedule.
pub type FaultId = usize;

/// A fault, or something that a person does.
#[expect(missing_docs, reason = "the fields are named for what they are")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Links are cut; the word says which pattern it is.
    Cut(&'static str, Vec<Link>),
    /// Datagrams are lost and everything is slow between two places.
    Slow { a: Place, b: Place, latency_ms: u64, loss_permille: u64 },
    /// The kernel dies; the machine boots again by itself.
    Crash(NodeId),
    /// The machine loses power, and its fence devices with it if told so; it comes back at the end.
    PowerLoss { node: NodeId, devices_too: bool },
    /// Nothing runs on the machine; clock and watchdog go on.
    Stall { node: NodeId, torn: bool },
    /// The daemon does not run; the rest of the machine does.
    DaemonStall { node: NodeId, torn: bool },
    /// The machine is paused from outside.
    Pause(NodeId),
    /// The daemon ends, and is started again at the end.
    DaemonKill(NodeId),
    /// The daemon dies between its two records, the next time that it writes both, and is started again at once.
    DiesBetween(NodeId),
    /// The daemon is told to stop and to hand over, and is started again at the end.
    DaemonStop(NodeId),
    /// The daemon is told to stop and to leave running what it holds, and is started again at the end.
    KeepRunning { node: NodeId, seconds: u64 },
    /// A person puts the node on standby, and online again at the end.
    Standby(NodeId),
    /// Something is wrong with the node's disk.
    NodeDisk { node: NodeId, mode: DiskMode },
    /// A volume's driver fails or hangs.
    Driver { node: NodeId, volume: VolumeId, mode: DriverMode },
    /// A fence device of a level misbehaves.
    Device { target: NodeId, level: u8, mode: DeviceMode },
    /// The machine dies and comes back with an empty disk under the volume.
    DiskSwapped { node: NodeId, volume: VolumeId },
    /// The machine's clock gains or loses more than it may, in millionths.
    Drift { node: NodeId, ppm: i64 },
    /// The witness's process dies, and is started again at the end.
    WitnessKill,
    /// The witness's process does not run.
    WitnessStall,
    /// Something is wrong with the witness's disk.
    WitnessDisk(DiskMode),
    /// The witness dies and comes back at the end with another store: empty, or with an old backup.
    WitnessReplaced { backup: bool },
    /// The witness's store is copied: what comes back later is of now.
    WitnessBackedUp,
    /// The node's daemon dies, and comes back at the end with the later configuration; the second time with the former.
    Retimed(NodeId),
    /// The witness dies, and comes back at the end with the later configuration.
    WitnessRetimed,
    /// The same store comes back at the end as it was when the trouble began: nobody was told.
    WitnessRolledBack,
    /// Messages between this node and witness or peers outlive their connections, and some come twice.
    Ghosts(NodeId),
    /// What the witness says to this node comes twice, often: the second time later, on the same connection.
    Repeated(NodeId),
    /// The machine's own reset does nothing; only the watchdog or a device ends it.
    ResetHangs(NodeId),
    /// Somebody takes a node out of a volume's in-sync set.
    Evict { node: NodeId, volume: VolumeId },
    /// Somebody says that a node's data is not what the record says.
    ForceStale { node: NodeId, volume: VolumeId },
    /// Somebody ends RECOVERY with what was reported so far, and may name whose data counts where claims contradict.
    Adopt { source: Option<NodeId> },
    /// Somebody asks a node to move a volume.
    Move { asked: NodeId, volume: VolumeId, to: NodeId },
    /// Somebody asks a node to fence another.
    FenceByHand { asked: NodeId, target: NodeId },
    /// Until the end, whenever somebody is asked to confirm the node off, he does so without looking.
    ConfirmWrongly(NodeId),
    /// Somebody activates a volume without a witness.
    Override { node: NodeId, volume: VolumeId, dead: NodeSet, seconds: u64 },
}

impl Fault {
    /// Whether its end means anything.
    #[must_use]
    pub const fn lasts(&self) -> bool {
        !matches!(
            self,
            Self::Crash(_)
                | Self::DiskSwapped { .. }
                | Self::Evict { .. }
                | Self::ForceStale { .. }
                | Self::Adopt { .. }
                | Self::Move { .. }
                | Self::FenceByHand { .. }
                | Self::Override { .. }
        )
    }
}

impl World {
    /// Begins a fault.
    pub fn begin(&mut self, fault: &Fault) {
        self.log.line(self.now, "****", || format!("{fault:?}"));
        self.log.tell(self.now, || format!("FAULT: {}", super::prose::of_fault(fault)));
        match fault.clone() {
            Fault::Cut(_, links) => self.cut(&links, true),
            Fault::Slow { a, b, latency_ms, loss_permille } => {
                self.net.degrade(a, b, latency_ms * MS, loss_permille);
                self.net.degrade(b, a, latency_ms * MS, loss_permille);
            }
            Fault::Crash(node) => self.reboot(node, "kernel crash"),
            Fault::PowerLoss { node, devices_too } => {
                self.machine_mut(node).power_held += 1;
                if devices_too {
                    self.set_devices(node, None, DeviceMode::Fails);
                }
                self.power_off(node, "power loss");
            }
            Fault::Stall { node, torn } => self.set_stalled(node, false, true, torn),
            Fault::DaemonStall { node, torn } => self.set_stalled(node, true, true, torn),
            Fault::Pause(node) => self.set_paused(node, true),
            Fault::DaemonKill(node) => self.hold_daemon(node),
            Fault::Retimed(node) => {
                if !self.changed.insert(node.0) {
                    self.changed.remove(&node.0);
                }
                self.hold_daemon(node);
            }
            Fault::DiesBetween(node) => self.machine_mut(node).store.dies_between = true,
            Fault::DaemonStop(node) => self.stop_daemon(node, NodeRequest::StopHandOver),
            Fault::KeepRunning { node, seconds } => {
                let length = std::time::Duration::from_secs(seconds);
                self.stop_daemon(node, NodeRequest::StopKeepRunning { length });
            }
            Fault::WitnessBackedUp => self.backup = self.witness.durable().cloned(),
            Fault::Standby(node) => self.put_on_standby(node, true),
            // A node's record is a new file each time, for which a full disk has no room.
            Fault::NodeDisk { node, mode } => self.machine_mut(node).store.disk.set(mode, true, 0),
            Fault::Driver { node, volume, mode } => {
                self.driver_modes.insert((node, volume), mode);
                if mode == DriverMode::Unseeing {
                    self.report(node, volume);
                }
            }
            Fault::Device { target, level, mode } => self.set_devices(target, Some(level), mode),
            Fault::DiskSwapped { node, volume } => self.swap_disk(node, volume),
            Fault::Drift { node, ppm } => self.set_drift(node, ppm),
            Fault::WitnessKill
            | Fault::WitnessReplaced { .. }
            | Fault::WitnessRolledBack
            | Fault::WitnessRetimed => self.hold_witness(matches!(fault, Fault::WitnessRetimed)),
            Fault::WitnessStall => self.set_witness_stalled(true),
            Fault::WitnessDisk(mode) => self.witness_disk(mode),
            Fault::Ghosts(node) => self.ghosts = self.ghosts.with(node),
            Fault::Repeated(node) => self.repeated = self.repeated.with(node),
            Fault::ResetHangs(node) => self.machine_mut(node).resets_hang += 1,
            Fault::Evict { node, volume } => self.ask_witness(OperatorRequest::Evict { node, volume }),
            Fault::ForceStale { node, volume } => {
                self.ask_witness(OperatorRequest::ForceStale { node, volume });
            }
            Fault::Adopt { source } => self.ask_witness(OperatorRequest::Adopt { source }),
            Fault::Move { asked, volume, to } => self.ask(asked, NodeRequest::Move { volume, to }),
            Fault::FenceByHand { asked, target } => self.fence_by_hand(asked, target),
            Fault::ConfirmWrongly(node) => {
                self.careless = self.careless.with(node);
                self.confirm(node);
            }
            Fault::Override { node, volume, dead, seconds } => {
                self.oracle.overridden = true;
                let length = std::time::Duration::from_secs(seconds);
                self.ask(node, NodeRequest::Override { volume, dead, length });
            }
        }
    }

    /// Ends a fault.
    pub fn end(&mut self, fault: &Fault) {
        self.log.line(self.now, "****", || format!("over: {fault:?}"));
        if fault.lasts() {
            self.log.tell(self.now, || format!("over: {}", super::prose::of_fault(fault)));
        }
        match fault.clone() {
            Fault::Cut(_, links) => self.cut(&links, false),
            Fault::Slow { a, b, .. } => {
                self.net.degrade(a, b, 0, 0);
                self.net.degrade(b, a, 0, 0);
            }
            Fault::PowerLoss { node, devices_too } => self.power_is_back(node, devices_too),
            Fault::Stall { node, torn } => self.set_stalled(node, false, false, torn),
            Fault::DaemonStall { node, torn } => self.set_stalled(node, true, false, torn),
            Fault::Pause(node) => self.set_paused(node, false),
            Fault::DaemonKill(node)
            | Fault::Retimed(node)
            | Fault::DaemonStop(node)
            | Fault::KeepRunning { node, .. } => self.let_daemon_go(node),
            Fault::DiesBetween(node) => self.machine_mut(node).store.dies_between = false,
            Fault::Standby(node) => self.put_on_standby(node, false),
            Fault::NodeDisk { node, mode } => self.machine_mut(node).store.disk.set(mode, false, 0),
            Fault::Driver { node, volume, .. } => {
                self.driver_modes.remove(&(node, volume));
                self.report(node, volume);
            }
            Fault::Device { target, level, .. } => self.set_devices(target, Some(level), DeviceMode::Works),
            Fault::Drift { node, .. } => {
                let ppm = self.setup.machines[usize::from(node.0) - 1].drift_ppm;
                self.set_drift(node, ppm);
            }
            Fault::WitnessKill | Fault::WitnessRetimed => self.witness_comes_back(),
            Fault::WitnessReplaced { backup } => {
                self.orphan_permits();
                let record = if backup { self.backup.clone() } else { None };
                self.witness.disk.replace(record);
                self.oracle.rolled_back = true;
                self.witness.store = StoreId(self.rng.wide());
                self.witness_comes_back();
            }
            Fault::WitnessRolledBack => {
                self.orphan_permits();
                let record = self.backup.clone();
                self.witness.disk.replace(record);
                self.oracle.rolled_back = true;
                self.witness_comes_back();
            }
            Fault::Ghosts(node) => self.ghosts = self.ghosts.without(node),
            Fault::Repeated(node) => self.repeated = self.repeated.without(node),
            Fault::ResetHangs(node) => self.resets_again(node),
            Fault::WitnessStall => self.set_witness_stalled(false),
            Fault::WitnessDisk(mode) => self.witness.disk.set(mode, false, 0),
            Fault::ConfirmWrongly(node) => self.careless = self.careless.without(node),
            Fault::Crash(_)
            | Fault::WitnessBackedUp
            | Fault::DiskSwapped { .. }
            | Fault::Evict { .. }
            | Fault::ForceStale { .. }
            | Fault::Adopt { .. }
            | Fault::Move { .. }
            | Fault::FenceByHand { .. }
            | Fault::Override { .. } => {}
        }
    }

    fn power_is_back(&mut self, node: NodeId, devices_too: bool) {
        if devices_too {
            self.set_devices(node, None, DeviceMode::Works);
        }
        let machine = self.machine_mut(node);
        machine.power_held = machine.power_held.saturating_sub(1);
        self.power_on(node);
    }

    fn cut(&mut self, links: &[Link], cut: bool) {
        for link in links {
            if cut {
                self.net.cut(*link);
            } else {
                self.net.mend(*link);
            }
        }
        let ids: Vec<_> = self.streams.keys().copied().collect();
        for id in ids {
            let concerns = |link: &Link| {
                let ends = (link.from.min(link.to), link.from.max(link.to));
                link.lane == id.lane && ends == (id.low, id.high)
            };
            if links.iter().any(concerns) {
                self.reconsider(id);
            }
        }
    }

    fn witness_comes_back(&mut self) {
        self.witness.held = self.witness.held.saturating_sub(1);
        let run = self.witness.run;
        self.start_witness(run);
    }

    /// The witness's segment was written in advance: a full disk is met when it has no room left.
    fn witness_disk(&mut self, mode: DiskMode) {
        let room = if self.rng.permille(500) { 0 } else { self.rng.range(1, 8) };
        self.witness.disk.set(mode, true, room);
    }

    fn let_daemon_go(&mut self, node: NodeId) {
        let machine = self.machine_mut(node);
        machine.daemon_held = machine.daemon_held.saturating_sub(1);
        let boot_no = machine.boot_no;
        self.start_daemon(node, boot_no);
    }

    fn hold_witness(&mut self, retimed: bool) {
        if retimed {
            self.changed.insert(WITNESS);
        }
        self.witness.held += 1;
        self.kill_witness("killed");
    }

    fn hold_daemon(&mut self, node: NodeId) {
        self.machine_mut(node).daemon_held += 1;
        self.kill_daemon(node, None, "killed");
    }

    /// Every other one is a drill where there may be one; the permits so far are as good as a coin.
    fn fence_by_hand(&mut self, asked: NodeId, target: NodeId) {
        let holds = |record: &witness::Record| {
            record.volumes.values().any(|register| register.holder.is_some_and(|h| h.node == target))
        };
        let held = self.witness.machine().map(|machine| holds(machine.record()));
        let drill = self.permits % 2 == 1 && held == Some(false);
        let wish = if drill { FenceWish::Drill } else { FenceWish::Reboot };
        self.ask(asked, NodeRequest::Fence { target, wish });
    }

    fn set_drift(&mut self, node: NodeId, ppm: i64) {
        let now = self.now;
        let machine = self.machine_mut(node);
        machine.drift_ppm = ppm;
        machine.clock.set_drift(now, ppm);
        self.arm_watchdog(node);
    }

    fn stop_daemon(&mut self, node: NodeId, request: NodeRequest) {
        self.machine_mut(node).daemon_held += 1;
        // A daemon that holds nothing answers at once.
        let keeps = matches!(request, NodeRequest::StopKeepRunning { .. });
        self.stopping.insert(self.tickets + 1, Stop { node, keeps });
        self.ask(node, request);
    }

    /// The machine's own reset works again; one that was ordered is done.
    fn resets_again(&mut self, node: NodeId) {
        let machine = self.machine_mut(node);
        machine.resets_hang = machine.resets_hang.saturating_sub(1);
        if machine.resets_hang == 0 && std::mem::take(&mut machine.reset_due) {
            self.reboot(node, "reset, late");
        }
    }

    fn swap_disk(&mut self, node: NodeId, volume: VolumeId) {
        let fresh = GenerationId(self.rng.wide());
        self.reboot(node, "disk swapped");
        self.disk_swapped(node, volume);
        if let Some(replica) = self.machine_mut(node).replicas.get_mut(&volume) {
            replica.log.clear();
            replica.acknowledged = 0;
            replica.complete = true;
            replica.generation = picket_core::evidence::Generation::first(fresh);
        }
    }

    fn set_devices(&mut self, target: NodeId, level: Option<u8>, mode: DeviceMode) {
        for each in 0..9 {
            if level.is_none_or(|level| level == each) {
                self.device_modes.insert((target, each), mode);
            }
        }
    }

    /// What a level's devices do.
    pub(super) fn device_mode(&self, target: NodeId, level: u8) -> DeviceMode {
        self.device_modes.get(&(target, level)).copied().unwrap_or_default()
    }

    /// What a driver does.
    pub(super) fn driver_mode(&self, node: NodeId, volume: VolumeId) -> DriverMode {
        self.driver_modes.get(&(node, volume)).copied().unwrap_or_default()
    }

    /// A person asks a node.
    pub fn ask(&mut self, node: NodeId, request: NodeRequest) {
        self.tickets += 1;
        let ticket = self.tickets;
        self.daemon_input(node, Input::Operator { ticket, request });
    }

    /// A person asks at the witness.
    pub fn ask_witness(&mut self, request: OperatorRequest) {
        self.tickets += 1;
        let ticket = self.tickets;
        self.asked.insert(ticket, request.clone());
        self.witness_input(witness::Input::Operator { ticket, request });
    }

    /// A person confirms a node off, if that is waited for.
    pub fn confirm(&mut self, node: NodeId) {
        let now = self.now;
        let Some(machine) = self.witness.machine() else { return };
        let pending = machine.view(self.witness.clock.read(now)).pending;
        let Some(found) = pending.iter().find(|pending| pending.target == node) else { return };
        if found.effective_in.is_none() {
            let challenge = found.challenge;
            self.ask_witness(OperatorRequest::ConfirmMeatware { node, challenge });
        }
    }

    /// A daemon answered a person.
    pub(super) fn answered(&mut self, node: NodeId, ticket: u64, answer: &picket_core::node::NodeAnswer) {
        self.log.line(self.now, node, || format!("answer {ticket}: {answer:?}"));
        self.answers.insert(ticket, answer.clone());
        self.standby.answered(ticket, answer);
        let Some(stop) = self.stopping.remove(&ticket).filter(|stop| stop.node == node) else { return };
        let done = *answer == picket_core::node::NodeAnswer::Done;
        let at = self.now + self.rng.range(0, ENDS_WITHIN);
        if done && stop.keeps {
            self.check_left_running(node);
        }
        let machine = self.machine_mut(node);
        machine.left_running |= done && stop.keeps;
        if machine.left_running {
            machine.taken_up.clear();
        }
        if let Some(watchdog) = machine.watchdog.as_mut().filter(|_| done) {
            watchdog.close();
        }
        // A maintenance that was refused leaves the daemon where it is.
        if let Some(run) = machine.daemon.as_ref().map(|daemon| daemon.run).filter(|_| done || !stop.keeps) {
            self.put(at, Ev::DaemonEnds { node, run });
        }
    }
}
