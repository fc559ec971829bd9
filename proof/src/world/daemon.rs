//! The node daemon's driver: the one loop around the production node machine.
//!
//! A step's effects are done when its record is durable; until then the loop waits in the sync and takes nothing
//! else. A machine or a process that ends meanwhile has done none of them.

use super::World;
use super::clock::{MS, Time, nanos};
use super::disk::DiskError;
use super::event::{Act, Ev, Msg, RunNo};
use super::machine::Power;
use super::net::{Lane, WITNESS, place};
use super::rules;
use super::stream::StreamId;
use picket_core::ids::{NodeId, Nonce};
use picket_core::message::Reply;
use picket_core::node::{Input, Node, Role};
use picket_core::ready::commit;
use picket_core::time::Instant;

/// A running daemon.
#[derive(Clone, Debug)]
pub struct Daemon {
    /// Its production machine.
    pub node: Node,
    pub(super) run: RunNo,
    due: Instant,
    timer_at: Option<Time>,
    busy_until: Option<Time>,
}

impl Daemon {
    /// It takes nothing in until a record is durable.
    #[must_use]
    pub(super) fn waits_for_its_disk(&self) -> bool {
        self.busy_until.is_some()
    }
}

/// Heartbeats that a socket keeps for a process that does not read them.
const SOCKET_BEATS_MAX: usize = 512;

impl World {
    pub(super) fn start_daemon(&mut self, node: NodeId, boot_no: u32) {
        let now = self.now;
        let run_id = Nonce(self.rng.wide());
        let config = self.setup.node(node, self.changed.contains(&node.0));
        let machine = self.machine_mut(node);
        let may = machine.boot_no == boot_no && machine.power == Power::On && machine.daemon_held == 0;
        if !may || machine.daemon.is_some() {
            return;
        }
        if !machine.runs() {
            machine.waiting.push(Ev::StartDaemon { node, boot_no });
            return;
        }
        match machine.store.disk.open() {
            Err(why) => return self.cannot_start(node, boot_no, why.text()),
            Ok(true) => self.rules.hit(rules::TORN),
            Ok(false) => {}
        }
        let machine = self.machine_mut(node);
        let local = machine.now(now);
        let (disk, kept) = (machine.store.disk.read().cloned(), machine.store.run.clone());
        let keeps = machine.store.keeps_running();
        let core = match Node::new(config, disk, kept, machine.boot, run_id, local) {
            Ok(core) => core,
            Err(orphans) => return self.cannot_start(node, boot_no, &orphans[0].to_string()),
        };
        machine.runs += 1;
        let run = machine.runs;
        let adopts = machine.replicas.values().any(|replica| replica.primary().is_some());
        machine.uncounted |=
            std::mem::take(&mut machine.left_running) | std::mem::take(&mut machine.left_kept);
        let left = machine.uncounted;
        machine.takes_up = (keeps && left).then_some(run);
        machine.daemon = Some(Daemon { node: core, run, due: local, timer_at: None, busy_until: None });
        machine.daemon_hindered_at = now;
        if let Some(watchdog) = machine.watchdog.as_mut() {
            watchdog.daemon_starts();
        }
        self.log.line(now, node, || format!("daemon starts, run {run}"));
        self.log.tell(now, || format!("the daemon of node {node} starts"));
        if adopts {
            self.rules.hit(if keeps { rules::KEPT } else { rules::ADOPTED });
        }
        if keeps && adopts && !left {
            self.violated("kept-once", format!("node {node} counts twice what was left running once"));
        }
        self.start_drivers(node, run);
        self.streams_of(node);
        self.daemon_input(node, Input::Tick);
        self.arm_watchdog(node);
    }

    /// A start writes anew what it found. The service manager tries again.
    fn cannot_start(&mut self, node: NodeId, boot_no: u32, why: &str) {
        self.rules.hit(rules::NO_START);
        self.log.line(self.now, node, || format!("daemon cannot start: {why}"));
        let after = self.rng.range(100 * MS, 800 * MS);
        self.put(self.now + after, Ev::StartDaemon { node, boot_no });
    }

    /// Ends the daemon's process. What it keeps for this boot stays.
    pub fn kill_daemon(&mut self, node: NodeId, restart_after: Option<u64>, why: &str) {
        let now = self.now;
        let mut rng = self.rng.fork();
        let machine = self.machine_mut(node);
        if machine.daemon.take().is_none() {
            return;
        }
        machine.store.disk.crash(&mut rng);
        let local = machine.now(now);
        machine.daemon_hindered_at = now;
        if let Some(watchdog) = machine.watchdog.as_mut() {
            watchdog.thread_stops(local);
        }
        let boot_no = machine.boot_no;
        self.log.line(now, node, || format!("daemon ends: {why}"));
        self.log.tell(now, || format!("the daemon of node {node} ends: {why}"));
        self.process_ended(place(node), false);
        if let Some(after) = restart_after {
            self.put(now + after, Ev::StartDaemon { node, boot_no });
        }
    }

    /// A daemon that was told to stop is gone.
    pub(super) fn daemon_ends(&mut self, node: NodeId, run: RunNo) {
        let machine = self.machine(node);
        if machine.daemon.as_ref().is_none_or(|daemon| daemon.run != run) {
            return;
        }
        let again = (machine.daemon_held == 0).then_some(100 * MS);
        self.kill_daemon(node, again, "stopped");
    }

    /// Gives the daemon an input, now or when it can take it.
    pub(super) fn daemon_input(&mut self, node: NodeId, input: Input) {
        let Some(run) = self.machine(node).daemon.as_ref().map(|daemon| daemon.run) else { return };
        self.take_input(node, run, input);
    }

    pub(super) fn take_input(&mut self, node: NodeId, run: RunNo, input: Input) {
        let machine = self.machine_mut(node);
        let Some(daemon) = machine.daemon.as_ref().filter(|daemon| daemon.run == run) else { return };
        if machine.pauses > 0 || machine.stalls > 0 || machine.daemon_stalls > 0 {
            // A stalled process finds heartbeats in its socket's buffer, the oldest first, and not too many; of what
            // comes on streams nothing is lost.
            let is_beat = |input: &Input| matches!(input, Input::Beat { .. });
            if !is_beat(&input) || machine.waiting.len() < SOCKET_BEATS_MAX {
                machine.waiting.push(Ev::Input { node, run, input: Box::new(input) });
            }
            return;
        }
        if let Some(until) = daemon.busy_until {
            self.put(until, Ev::Input { node, run, input: Box::new(input) });
            return;
        }
        self.step(node, input);
    }

    fn step(&mut self, node: NodeId, input: Input) {
        let now = self.now;
        if self.machine(node).left_running {
            // It has said so, and its process is about to end.
            return;
        }
        self.log.mix(now.0 ^ u64::from(node.0));
        self.log_input(node, &input);
        self.steps += 1;
        let machine = &mut self.machines[usize::from(node.0) - 1];
        if let Input::VolumeDone { volume, command, .. } = &input
            && let Some(driver) = machine.drivers.get_mut(volume)
        {
            driver.ended(*command);
        }
        let local = machine.clock.read(now);
        machine.note_taken_up(local, &input);
        let reads = matches!(&input, Input::Volume { report, .. } if report.role == Role::Primary);
        let Some(daemon) = machine.daemon.as_mut() else { return };
        let run = daemon.run;
        let alone: Vec<_> =
            machine.drivers.keys().copied().filter(|volume| daemon.node.is_solo(*volume)).collect();
        let kept = machine.store.keeps_running();
        let ready = daemon.node.step(local, input);
        daemon.due = daemon.node.deadline(local);
        let released = match commit(&mut machine.store, vec![((), ready)]) {
            Ok(released) => released,
            Err(why) => {
                self.rules.hit(if why == DiskError::DiedBetween {
                    rules::HALF_KEPT
                } else {
                    rules::NOT_KEPT
                });
                // That its volumes are left running can be kept although nobody is told any more.
                let machine = self.machine_mut(node);
                machine.uncounted |= machine.store.keeps_running();
                let after = self.rng.range(100 * MS, 800 * MS);
                return self.kill_daemon(node, Some(after), why.text());
            }
        };
        let machine = self.machine_mut(node);
        let keeps = machine.store.keeps_running();
        machine.left_kept = keeps && (machine.left_kept || !kept);
        // From here on the daemon has counted what was left running, and must have kept that.
        machine.uncounted &= !reads;
        let acts: Vec<Act> = released.into_iter().flat_map(|(_, effects)| effects).map(Act::of).collect();
        self.check_alone(node, &alone, &acts);
        if self.machine(node).store.disk.is_busy() {
            self.syncs(node, run, acts);
        } else {
            self.perform(node, run, acts);
            self.after_step(node);
        }
    }

    /// The loop waits until the record of the step is durable. The machine may end before that.
    fn syncs(&mut self, node: NodeId, run: RunNo, acts: Vec<Act>) {
        let now = self.now;
        let machine = &mut self.machines[usize::from(node.0) - 1];
        let takes = machine.store.disk.sync_takes(&mut self.rng);
        if machine.store.disk.is_slow() {
            // No step and so no pet for so long.
            machine.daemon_hindered_at = now + takes;
        }
        if let Some(daemon) = machine.daemon.as_mut() {
            daemon.busy_until = Some(now + takes);
        }
        let (tears, boot_no) = (machine.store.disk.tears(), machine.boot_no);
        if tears {
            let at = now + self.rng.range(0, takes - 1);
            self.put(at, Ev::WriteCutOff { node, boot_no });
        }
        self.put(now + takes, Ev::Effects { node, run, acts });
    }

    /// The machine ends in the middle of a write.
    pub(super) fn write_cut_off(&mut self, node: NodeId, boot_no: u32) {
        if self.machine(node).boot_no == boot_no {
            self.reboot(node, "power fails while it writes");
        }
    }

    /// Publishes until when the watchdog may be petted, and sets the timer.
    fn after_step(&mut self, node: NodeId) {
        let now = self.now;
        let progress = self.setup.params().suspect_after();
        let machine = &mut self.machines[usize::from(node.0) - 1];
        let local = machine.clock.read(now);
        let Some(daemon) = machine.daemon.as_mut() else { return };
        let until = daemon.node.pet_until(local).min(local + progress);
        // To open it is to pet it: a daemon that may not pet yet leaves alone what an earlier one armed.
        let opened = machine.watchdog.as_mut().is_some_and(|watchdog| watchdog.publish(local, until));
        let run = daemon.run;
        // A machine that is about to end itself has a timer in the past.
        if let Some(at) = machine.clock.when(daemon.due).map(|at| at.max(now + MS / 10))
            && daemon.timer_at.is_none_or(|planned| at < planned)
        {
            daemon.timer_at = Some(at);
            self.put(at, Ev::Timer { node, run });
        }
        if opened {
            self.arm_watchdog(node);
        }
    }

    pub(super) fn timer_due(&mut self, node: NodeId, run: RunNo) {
        let now = self.now;
        let machine = self.machine_mut(node);
        let local = machine.clock.read(now);
        let hindered = machine.pauses > 0 || machine.stalls > 0 || machine.daemon_stalls > 0;
        let Some(daemon) = machine.daemon.as_mut().filter(|daemon| daemon.run == run) else { return };
        if daemon.timer_at.is_some_and(|at| at > now) {
            return;
        }
        if hindered {
            machine.waiting.push(Ev::Timer { node, run });
            return;
        }
        if let Some(until) = daemon.busy_until {
            daemon.timer_at = Some(until);
            self.put(until, Ev::Timer { node, run });
            return;
        }
        daemon.timer_at = None;
        if daemon.due <= local {
            self.step(node, Input::Tick);
        } else {
            self.after_step(node);
        }
    }

    /// The record of a step is durable.
    pub(super) fn synced(&mut self, node: NodeId, run: RunNo, acts: Vec<Act>) {
        let now = self.now;
        let machine = self.machine_mut(node);
        let Some(daemon) = machine.daemon.as_mut().filter(|daemon| daemon.run == run) else { return };
        if machine.pauses > 0 || machine.stalls > 0 || machine.daemon_stalls > 0 {
            // It must come before what waits already.
            machine.waiting.insert(0, Ev::Effects { node, run, acts });
            return;
        }
        daemon.busy_until = None;
        machine.store.disk.settle();
        let local = machine.clock.read(now);
        daemon.due = daemon.node.deadline(local);
        self.check_durable(node);
        self.perform(node, run, acts);
        self.after_step(node);
    }

    fn perform(&mut self, node: NodeId, run: RunNo, acts: Vec<Act>) {
        for act in acts {
            self.act(node, run, act);
        }
    }

    fn act(&mut self, node: NodeId, run: RunNo, act: Act) {
        let me = place(node);
        self.check_standby(node, &act);
        match act {
            Act::Witness(message) => {
                self.check_pace(node, &message.body);
                let stream = StreamId::new(Lane::Witness, WITNESS, me);
                self.send(stream, me, Msg::ToWitness(Box::new(message)), 0);
            }
            Act::CloseWitness => self.let_go(StreamId::new(Lane::Witness, WITNESS, me), me),
            Act::Beat(to, beat) => {
                for path in 0..self.setup.paths {
                    let delays = self.net.datagram(&mut self.rng, Lane::Path(path), me, place(to));
                    for delay in delays.into_iter().flatten() {
                        let beat = Box::new(beat.clone());
                        self.put(self.now + delay, Ev::Beat { to, path, beat });
                    }
                }
            }
            Act::Peer(to, message) => {
                self.rules.peer(&message.body);
                self.note_promise(to, &message.body);
                let stream = StreamId::new(Lane::Peer, me, place(to));
                self.send(stream, me, Msg::Peer(Box::new(message)), 0);
            }
            Act::Volume(volume, command, action) => self.order_volume(node, run, volume, command, action),
            Act::Device(order) => self.order_agent(node, run, order),
            Act::Reset(power_off, reason) => self.reset_ordered(node, power_off, &reason),
            Act::Answer(ticket, answer) => self.answered(node, ticket, &answer),
            Act::Event(event) => self.node_event(node, &event),
        }
    }

    fn reset_ordered(&mut self, node: NodeId, power_off: bool, reason: &picket_core::node::ResetReason) {
        self.check_reset(node, reason);
        if matches!(reason, picket_core::node::ResetReason::AuthorityLost { .. }) {
            self.rules.hit(if power_off { rules::FASTKILL } else { rules::FASTBOOT });
        }
        let at = self.now + self.rng.range(0, 3 * MS);
        self.log.line(self.now, node, || format!("resets itself: {reason:?}"));
        let machine = self.machine_mut(node);
        let boot_no = machine.boot_no;
        if machine.resets_hang > 0 {
            machine.reset_due = true;
            return;
        }
        self.put(at, Ev::Die { node, boot_no, power_off });
    }

    pub(super) fn beat_arrives(&mut self, to: NodeId, path: u8, beat: picket_core::message::Beat) {
        if self.machine(to).power != Power::On {
            return;
        }
        let input = Input::Beat { path: picket_core::ids::PathId(path), beat };
        self.daemon_input(to, input);
    }

    fn log_input(&mut self, node: NodeId, input: &Input) {
        if !self.log.is_on() || matches!(input, Input::Tick | Input::Beat { .. }) {
            return;
        }
        if let Input::Witness(message) = input
            && matches!(&message.body, Reply::Renewed { refused, .. } if refused.is_empty())
        {
            return;
        }
        let verbose = self.verbose;
        self.log.line(self.now, node, || {
            let text = match input {
                Input::Witness(message) => format!("{:?}", message.body),
                other => format!("{other:?}"),
            };
            format!("<- {}", clip(&text, verbose))
        });
    }

    /// How long a daemon may go without a step before petting stops.
    #[must_use]
    pub fn progress_bound(&self) -> u64 {
        nanos(self.setup.params().suspect_after())
    }
}

/// A line that is not too long to be read.
pub(super) fn clip(text: &str, whole: bool) -> String {
    const LONGEST: usize = 220;
    if whole || text.len() <= LONGEST {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(LONGEST).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::clock::SECOND;
    use crate::world::setup::Setup;

    /// A world whose node 1 runs a daemon that is stopped, with more in its queues than a socket keeps of heartbeats.
    #[test]
    fn a_stopped_daemon_loses_nothing_that_comes_on_a_stream() {
        let mut world = World::new(Setup::simple(2), 1, false);
        world.run_until(Time(20 * SECOND));
        let node = NodeId(1);
        world.machine_mut(node).daemon_stalls = 1;
        for _ in 0..2 * SOCKET_BEATS_MAX {
            world.daemon_input(node, Input::WitnessGone);
        }
        assert_eq!(world.machine(node).waiting.len(), 2 * SOCKET_BEATS_MAX);
    }
}
