//! The volume drivers of the daemons, and the clients that write all the time.
//!
//! A driver works on its commands in order and reports each change of its replica. A command that was handed to
//! the volume is done even if the daemon ends meanwhile.

use super::World;
use super::clock::{MS, SECOND, Time};
use super::event::{Ev, Msg, RunNo, VolAct};
use super::net::{Lane, place};
use super::replica::{ReplMsg, Replica, Sends};
use super::stream::StreamId;
use super::thaw::LateThaw;
use picket_core::ids::{NodeId, NodeSet, VolumeId};
use picket_core::node::{CommandId, CommandOutcome, Input, Role, VolumeReport};
use picket_core::time::Instant;
use std::collections::{BTreeSet, VecDeque};

/// What a driver does with its commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverMode {
    /// It does them.
    #[default]
    Works,
    /// It says that each failed, and does none.
    Fails,
    /// It answers nothing, and does them when this is over.
    Hangs,
    /// It says nothing of what the replica is.
    Blind,
    /// A promotion takes seconds once it was begun, and ends with its daemon.
    Slow,
    /// A thaw is not done in its time: it cannot tell, and it is done later.
    ThawsLate,
    /// It does not say that a thaw was done.
    ThawsUnheard,
    /// It cannot see the replica any more, and says so.
    Unseeing,
    /// A promotion takes seconds once it was begun, and a freeze ends it: it says nothing more of it.
    EndsFrozen,
}

/// The driver of a volume in one daemon.
#[derive(Clone, Debug, Default)]
pub struct Driver {
    queue: VecDeque<(CommandId, VolAct)>,
    busy: bool,
    /// A promotion that it was told to do, and of whose end the daemon has not read.
    promoting: Option<CommandId>,
    /// A stop that it was told to do, and of whose end the daemon has not read.
    stopping: Option<CommandId>,
    /// A promotion that was begun, and that a freeze ends.
    until_frozen: Option<CommandId>,
    /// Those that a freeze has ended, and whose time is not over yet.
    ended_frozen: BTreeSet<CommandId>,
    /// A thaw that is not done in its time.
    pub(super) late_thaw: Option<LateThaw>,
    told: Option<VolumeReport>,
    newest: Time,
}

/// The longest promotion: every lease is over, and another node has taken over.
const SLOWEST: u64 = 20 * SECOND;

impl Driver {
    /// Whether a promotion that was ordered may still be done.
    pub(super) const fn is_promoting(&self) -> bool {
        self.promoting.is_some()
    }

    /// The daemon reads how a command ended.
    pub(super) fn ended(&mut self, command: CommandId) {
        self.promoting.take_if(|open| *open == command);
        self.stopping.take_if(|open| *open == command);
    }

    /// A freeze ends the promotion that was begun, if it is one of those: there is nothing left that could be frozen.
    fn freeze_ends_promotion(&mut self) -> bool {
        let Some(begun) = self.until_frozen.take() else { return false };
        self.ended_frozen.insert(begun);
        self.promoting = None;
        true
    }

    /// Whether a stop that was ordered is still to be done.
    pub(super) const fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }
}

/// A peer that is asked to be required is looked at so often.
const LOOK_AGAIN: u64 = 5 * MS;

/// After so long a driver gives up on it.
const GIVE_UP_TURNS: u32 = 200;

impl World {
    pub(super) fn start_drivers(&mut self, node: NodeId, _run: RunNo) {
        let volumes: Vec<_> = self.machine(node).replicas.keys().copied().collect();
        for volume in volumes {
            self.machine_mut(node).drivers.insert(volume, Driver::default());
            self.report(node, volume);
        }
    }

    /// Tells the daemon what the replica is, if that changed.
    pub(super) fn report(&mut self, node: NodeId, volume: VolumeId) {
        let now = self.now;
        let mode = self.driver_mode(node, volume);
        if mode == DriverMode::Blind {
            return;
        }
        let latency = self.rng.range(MS / 10, MS);
        let machine = self.machine_mut(node);
        let Some(run) = machine.daemon.as_ref().map(|daemon| daemon.run) else { return };
        let Some(replica) = machine.replicas.get(&volume) else { return };
        let mut report = replica.report();
        let Some(driver) = machine.drivers.get_mut(&volume) else { return };
        if mode == DriverMode::Unseeing {
            let Some(last) = &driver.told else { return };
            report = unseen(last);
        }
        if driver.told.as_ref() == Some(&report) {
            return;
        }
        driver.told = Some(report.clone());
        let at = (now + latency).max(driver.newest);
        driver.newest = at;
        self.put(at, Ev::Input { node, run, input: Box::new(Input::Volume { volume, report }) });
    }

    pub(super) fn order_volume(
        &mut self,
        node: NodeId,
        run: RunNo,
        volume: VolumeId,
        command: CommandId,
        action: VolAct,
    ) {
        self.log.line(self.now, node, || format!("volume {volume}: {action:?}"));
        let Some(driver) = self.machine_mut(node).drivers.get_mut(&volume) else { return };
        match action {
            VolAct::Promote { .. } => driver.promoting = Some(command),
            VolAct::Demote => driver.stopping = Some(command),
            VolAct::Freeze if driver.freeze_ends_promotion() => {
                return self.command_done(node, run, volume, command, CommandOutcome::Done);
            }
            VolAct::Freeze | VolAct::Thaw { .. } | VolAct::Drop(_) | VolAct::Require(_) => {}
        }
        driver.queue.push_back((command, action));
        if !driver.busy {
            self.next_command(node, run, volume);
        }
    }

    pub(super) fn next_command(&mut self, node: NodeId, run: RunNo, volume: VolumeId) {
        let mode = self.driver_mode(node, volume);
        let (hangs, until_frozen) = (mode == DriverMode::Hangs, mode == DriverMode::EndsFrozen);
        let slow = mode == DriverMode::Slow || until_frozen;
        let brief = self.rng.range(MS, 15 * MS);
        let above = self.rng.range(10 * MS, 150 * MS);
        let long = if slow { self.rng.range(SECOND / 2, SLOWEST) } else { 0 };
        let now = self.now;
        let machine = self.machine_mut(node);
        if machine.daemon.as_ref().is_none_or(|daemon| daemon.run != run) {
            return;
        }
        let (boot_no, local) = (machine.boot_no, machine.now(now));
        let Some(driver) = machine.drivers.get_mut(&volume) else { return };
        driver.busy = !driver.queue.is_empty();
        if hangs && driver.busy {
            self.put(self.now + 20 * MS, Ev::Command { node, run, volume });
            return;
        }
        let Some((command, mut action)) = driver.queue.pop_front() else { return };
        let promotes = matches!(action, VolAct::Promote { .. });
        driver.until_frozen = Some(command).filter(|_| until_frozen && promotes);
        self.thaws_after_all(node, volume);
        let takes = match &mut action {
            VolAct::Promote { valid_until, program, .. } => {
                // Whoever has begun does not ask for the time again.
                if local < *valid_until {
                    *valid_until = Instant::NEVER;
                }
                *program = slow;
                if slow { long } else { above }
            }
            VolAct::Thaw { valid_until } if mode == DriverMode::ThawsLate && local < *valid_until => {
                return self.begin_late_thaw((node, run), volume, command, *valid_until);
            }
            VolAct::Demote => above,
            VolAct::Freeze | VolAct::Thaw { .. } | VolAct::Drop(_) | VolAct::Require(_) => brief,
        };
        self.put(self.now + takes, Ev::Do { node, boot_no, run, volume, command, action });
    }

    pub(super) fn do_command(
        &mut self,
        (node, boot_no, run): (NodeId, u32, RunNo),
        volume: VolumeId,
        command: CommandId,
        action: VolAct,
    ) {
        let now = self.now;
        let mode = self.driver_mode(node, volume);
        let fails = mode == DriverMode::Fails;
        let unheard = mode == DriverMode::ThawsUnheard && matches!(action, VolAct::Thaw { .. });
        let machine = self.machine_mut(node);
        if machine.boot_no != boot_no {
            return;
        }
        if !machine.runs() {
            machine.waiting.push(Ev::Do { node, boot_no, run, volume, command, action });
            return;
        }
        let orphan = machine.daemon.as_ref().is_none_or(|daemon| daemon.run != run);
        if orphan && matches!(action, VolAct::Promote { program: true, .. }) {
            self.log.line(now, node, || format!("volume {volume}: {action:?} ended with its daemon"));
            return;
        }
        let local = machine.now(now);
        if let Some(driver) = machine.drivers.get_mut(&volume) {
            driver.until_frozen.take_if(|begun| *begun == command);
            if driver.ended_frozen.remove(&command) {
                return;
            }
        }
        let Some(replica) = machine.replicas.get_mut(&volume) else { return };
        let outcome = if fails { Err("the driver fails".into()) } else { apply(replica, local, action) };
        self.log.line(now, node, || format!("volume {volume}: {action:?} -> {outcome:?}"));
        match outcome {
            Ok(Some(_)) if unheard => {
                self.put(now + MS, Ev::Command { node, run, volume });
            }
            Ok(Some(sends)) => {
                self.command_done(node, run, volume, command, CommandOutcome::Done);
                if let VolAct::Promote { epoch, .. } = action {
                    self.check_promotion(node, volume, epoch);
                }
                self.send_repl(node, volume, sends);
            }
            Ok(None) => self.look_again(node, volume, (boot_no, run, command, action)),
            Err(text) => self.command_done(node, run, volume, command, CommandOutcome::Failed(text)),
        }
        self.changed(node, volume);
    }

    /// A peer is to be required that has not everything yet.
    fn look_again(
        &mut self,
        node: NodeId,
        volume: VolumeId,
        (boot_no, run, command, action): (u32, RunNo, CommandId, VolAct),
    ) {
        let turns = self.requiring.entry((node, volume)).or_default();
        if turns.0 != command {
            *turns = (command, 0);
        }
        turns.1 += 1;
        if turns.1 > GIVE_UP_TURNS {
            let text = CommandOutcome::Failed("the peer does not get in step".into());
            self.command_done(node, run, volume, command, text);
        } else {
            let at = self.now + LOOK_AGAIN;
            self.put(at, Ev::Do { node, boot_no, run, volume, command, action });
        }
    }

    pub(super) fn command_done(
        &mut self,
        node: NodeId,
        run: RunNo,
        volume: VolumeId,
        command: CommandId,
        outcome: CommandOutcome,
    ) {
        // What the replica is after the command is reported before the command's end.
        self.report(node, volume);
        let at = self.now + self.rng.range(MS / 10, MS);
        let machine = self.machine_mut(node);
        if machine.daemon.as_ref().is_none_or(|daemon| daemon.run != run) {
            return;
        }
        let Some(driver) = machine.drivers.get_mut(&volume) else { return };
        let at = at.max(driver.newest);
        driver.newest = at;
        let input = Box::new(Input::VolumeDone { volume, command, outcome });
        self.put(at, Ev::Input { node, run, input });
        self.put(at, Ev::Command { node, run, volume });
    }

    /// A replica may have changed: acknowledge, report, check.
    pub(super) fn changed(&mut self, node: NodeId, volume: VolumeId) {
        let machine = self.machine_mut(node);
        let acknowledged = machine.replicas.get_mut(&volume).and_then(Replica::advance);
        if let Some(len) = acknowledged {
            self.check_acknowledged(node, volume, len);
        }
        self.report(node, volume);
        self.check_exclusive(volume);
    }

    pub(super) fn send_repl(&mut self, node: NodeId, volume: VolumeId, sends: Sends) {
        for (to, message) in sends {
            let added = match &message {
                ReplMsg::Records { ids, .. } if ids.len() > 1 => self.rng.range(20 * MS, 300 * MS),
                ReplMsg::Resync { .. } => self.rng.range(0, 50 * MS),
                ReplMsg::Records { .. }
                | ReplMsg::Attach { .. }
                | ReplMsg::Attached { .. }
                | ReplMsg::Refused { .. }
                | ReplMsg::Resyncing { .. }
                | ReplMsg::Diverged { .. }
                | ReplMsg::Ack { .. }
                | ReplMsg::InStep { .. }
                | ReplMsg::Reached { .. }
                | ReplMsg::Detach { .. }
                | ReplMsg::AttachAgain => 0,
            };
            let stream = StreamId::new(Lane::Repl, place(node), place(to));
            self.send(stream, place(node), Msg::Repl(volume, Box::new(message)), added);
        }
    }

    pub(super) fn repl_arrives(&mut self, to: NodeId, from: NodeId, volume: VolumeId, message: ReplMsg) {
        let machine = self.machine_mut(to);
        let Some(replica) = machine.replicas.get_mut(&volume) else { return };
        let was_diverged = replica.is_diverged();
        let sends = replica.take(from, message);
        if !was_diverged && replica.is_diverged() {
            self.log.line(self.now, to, || format!("volume {volume}: DIVERGED from node {from}"));
        }
        self.send_repl(to, volume, sends);
        self.changed(to, volume);
    }

    pub(super) fn repl_link(&mut self, node: NodeId, peer: NodeId, up: bool) {
        let volumes: Vec<_> = self.machine(node).replicas.keys().copied().collect();
        for volume in volumes {
            let Some(replica) = self.machine_mut(node).replicas.get_mut(&volume) else { continue };
            let sends = if up {
                replica.link_up(peer)
            } else {
                replica.link_down(peer);
                Sends::new()
            };
            self.send_repl(node, volume, sends);
            self.changed(node, volume);
        }
    }

    /// The client writes to whoever takes its write.
    pub(super) fn client_writes(&mut self, volume: VolumeId) {
        let every = self.setup.write_every_ms * MS;
        let at = self.now + self.rng.range(every / 2, every * 3 / 2);
        self.put(at, Ev::Write { volume });
        for index in 0..self.machines.len() {
            let machine = &mut self.machines[index];
            if !machine.runs() {
                continue;
            }
            let node = machine.id;
            let Some(replica) = machine.replicas.get_mut(&volume).filter(|r| r.is_writable()) else {
                continue;
            };
            self.writes += 1;
            let sends = replica.write(self.writes);
            self.send_repl(node, volume, sends);
            self.changed(node, volume);
        }
    }
}

/// What a driver tells of a replica that it cannot see any more: what was last said may be over, its data is what it
/// was. Of one that it has never seen it tells nothing.
fn unseen(last: &VolumeReport) -> VolumeReport {
    let (connected, complete_peers) = (NodeSet::EMPTY, NodeSet::EMPTY);
    VolumeReport { role: Role::Unknown, frozen: false, connected, complete_peers, ..last.clone() }
}

fn apply(
    replica: &mut Replica,
    local: picket_core::time::Instant,
    action: VolAct,
) -> Result<Option<Sends>, String> {
    match action {
        VolAct::Promote { epoch, required, valid_until, program: _ } => {
            if local >= valid_until {
                return Err("the promotion expired".into());
            }
            replica.promote(epoch, required).map(Some)
        }
        VolAct::Demote => Ok(Some(replica.demote())),
        VolAct::Freeze => {
            replica.set_frozen(true);
            Ok(Some(Sends::new()))
        }
        VolAct::Thaw { valid_until } => {
            if local >= valid_until {
                return Err("too late to thaw".into());
            }
            replica.set_frozen(false);
            Ok(Some(Sends::new()))
        }
        VolAct::Drop(peer) => replica.drop_peer(peer).map(Some),
        VolAct::Require(peer) => replica.require_peer(peer).map(|done| done.map(|()| Sends::new())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_promotion_that_a_freeze_has_ended_stays_ended() {
        let mut driver = Driver::default();
        for command in [CommandId(1), CommandId(2)] {
            driver.until_frozen = Some(command);
            assert!(driver.freeze_ends_promotion());
        }
        assert!(!driver.freeze_ends_promotion(), "none is under way");
        assert_eq!(driver.ended_frozen, [CommandId(1), CommandId(2)].into());
    }
}
