//! The machines: power, boots, pauses and stalls.
//!
//! A *pause* is unseen: the machine's clock, watchdog and processes stand still while the world goes on. A *stall*
//! is seen: clock and watchdog go on, and nothing runs, of the whole machine or of the daemon alone.

use super::World;
use super::clock::{Clock, MS, SECOND, Time};
use super::daemon::Daemon;
use super::disk::NodeStore;
use super::event::{Ev, RunNo};
use super::replica::Replica;
use super::rules;
use super::volume::Driver;
use super::watchdog::Watchdog;
use picket_core::ids::{BootId, NodeId, VolumeId};
use picket_core::node::{Input, Role};
use picket_core::time::Instant;
use std::collections::BTreeMap;

/// Whether a machine has power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// Off.
    Off,
    /// On its way up.
    Booting,
    /// Its kernel runs.
    On,
}

/// A machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its node.
    pub id: NodeId,
    /// Its power.
    pub power: Power,
    /// The kernel's boot id.
    pub boot: BootId,
    /// Counts boots and deaths; an event for another number is void.
    pub boot_no: u32,
    pub(super) clock: Clock,
    pub(super) drift_ppm: i64,
    pub(super) pauses: u8,
    pub(super) stalls: u8,
    pub(super) daemon_stalls: u8,
    /// The petting thread's next pet after the stall comes before its look at the clock.
    pub(super) torn: bool,
    pub(super) daemon: Option<Daemon>,
    pub(super) runs: RunNo,
    /// The service manager does not restart the daemon.
    pub(super) daemon_held: u8,
    /// Faults that keep the machine from being switched on.
    pub(super) power_held: u8,
    pub(super) store: NodeStore,
    pub(super) watchdog: Option<Watchdog>,
    pub(super) watchdog_event: Option<Time>,
    pub(super) replicas: BTreeMap<VolumeId, Replica>,
    pub(super) drivers: BTreeMap<VolumeId, Driver>,
    /// What waits for the machine or its daemon to run again.
    pub(super) waiting: Vec<Ev>,
    /// Power feeds that are switched off, as (level, device).
    pub(super) feeds_off: Vec<(u8, u8)>,
    /// The daemon said that it leaves its volumes running, and none has started since.
    pub(super) left_running: bool,
    /// The daemon has kept that it leaves its volumes running, and has perhaps told nobody yet.
    pub(super) left_kept: bool,
    /// No daemon has counted yet what was left running.
    pub(super) uncounted: bool,
    /// The run of the daemon that found what was left running, and when it saw each of those volumes first, by the
    /// machine's own clock: a lease begins there.
    pub(super) takes_up: Option<RunNo>,
    pub(super) taken_up: BTreeMap<VolumeId, Instant>,
    /// Faults under which an ordered reset does nothing, and whether one was ordered meanwhile.
    pub(super) resets_hang: u8,
    pub(super) reset_due: bool,
    /// When the daemon was last not able to run.
    pub(super) daemon_hindered_at: Time,
}

impl Machine {
    /// A daemon that found what was left running sees it for the first time.
    pub(super) fn note_taken_up(&mut self, local: Instant, input: &Input) {
        let Input::Volume { volume, report } = input else { return };
        let run = self.daemon.as_ref().map(|daemon| daemon.run);
        if report.role == Role::Primary && run.is_some() && run == self.takes_up {
            self.taken_up.entry(*volume).or_insert(local);
        }
    }

    /// Whether its kernel and processes run.
    #[must_use]
    pub const fn runs(&self) -> bool {
        matches!(self.power, Power::On) && self.pauses == 0 && self.stalls == 0
    }

    /// Whether its daemon runs.
    #[must_use]
    pub const fn daemon_runs(&self) -> bool {
        self.runs() && self.daemon.is_some() && self.daemon_stalls == 0
    }

    /// The replica of a volume.
    #[must_use]
    pub fn replica(&self, volume: VolumeId) -> Option<&Replica> {
        self.replicas.get(&volume)
    }

    /// The node machine of its daemon.
    #[must_use]
    pub fn node(&self) -> Option<&picket_core::node::Node> {
        self.daemon.as_ref().map(|daemon| &daemon.node)
    }

    pub(super) fn now(&self, now: Time) -> Instant {
        self.clock.read(now)
    }
}

impl World {
    pub(super) fn machine(&self, node: NodeId) -> &Machine {
        &self.machines[usize::from(node.0) - 1]
    }

    pub(super) fn machine_mut(&mut self, node: NodeId) -> &mut Machine {
        &mut self.machines[usize::from(node.0) - 1]
    }

    /// Switches a machine on, if it is off and nothing holds it off.
    pub fn power_on(&mut self, node: NodeId) {
        let takes = self.rng.range(2 * SECOND, 6 * SECOND);
        let at = self.now + takes;
        let machine = self.machine_mut(node);
        if machine.power != Power::Off || machine.power_held > 0 {
            return;
        }
        machine.power = Power::Booting;
        machine.feeds_off.clear();
        let boot_no = machine.boot_no;
        self.log.line(self.now, node, || "power on".into());
        self.put(at, Ev::Booted { node, boot_no });
    }

    /// Ends whatever runs on a machine, at once. It stays off.
    pub fn power_off(&mut self, node: NodeId, why: &str) {
        let now = self.now;
        let mut rng = self.rng.fork();
        let machine = self.machine_mut(node);
        if machine.power == Power::Off {
            return;
        }
        machine.power = Power::Off;
        machine.boot_no += 1;
        machine.daemon = None;
        machine.store.disk.crash(&mut rng);
        machine.store.run = None;
        machine.watchdog = None;
        machine.watchdog_event = None;
        machine.waiting.clear();
        for replica in machine.replicas.values_mut() {
            replica.crash();
        }
        machine.drivers.clear();
        machine.reset_due = false;
        machine.left_running = false;
        machine.left_kept = false;
        machine.uncounted = false;
        machine.taken_up.clear();
        self.log.line(now, node, || format!("DEAD: {why}"));
        self.log.tell(now, || format!("node {node} is off: {why}"));
        self.machine_lost(node);
    }

    /// Ends it and lets it boot again by itself.
    pub fn reboot(&mut self, node: NodeId, why: &str) {
        self.power_off(node, why);
        self.power_on(node);
    }

    pub(super) fn booted(&mut self, node: NodeId, boot_no: u32) {
        let now = self.now;
        let boot = BootId(self.rng.wide());
        let reads = self.rng.range(SECOND, 20 * SECOND);
        let timing = self.setup.params().watchdog;
        let has_watchdog = self.setup.machines[usize::from(node.0) - 1].watchdog;
        let machine = self.machine_mut(node);
        if machine.boot_no != boot_no || machine.power != Power::Booting {
            return;
        }
        machine.power = Power::On;
        machine.boot = boot;
        machine.clock = Clock::new(now, reads, machine.drift_ppm);
        if machine.pauses > 0 {
            machine.clock.stop(now);
        }
        machine.watchdog = timing.filter(|_| has_watchdog).map(Watchdog::new);
        let boot_no = machine.boot_no;
        self.log.line(now, node, || format!("booted {boot:?}"));
        self.log.tell(now, || format!("node {node} has booted"));
        self.machine_found(node);
        let at = now + self.rng.range(50 * MS, 500 * MS);
        self.put(at, Ev::StartDaemon { node, boot_no });
    }

    /// The petting thread ends the machine, when it runs.
    pub(super) fn late_pet(&mut self, node: NodeId, boot_no: u32) {
        let machine = self.machine_mut(node);
        let late = machine.daemon.is_some() && machine.watchdog.as_ref().is_some_and(Watchdog::is_late);
        if machine.boot_no != boot_no || !late {
            return;
        }
        if machine.daemon_runs() {
            self.rules.hit(rules::LATE_PET);
            self.die(node, boot_no, false);
        } else {
            machine.waiting.push(Ev::LatePet { node, boot_no });
        }
    }

    pub(super) fn die(&mut self, node: NodeId, boot_no: u32, power_off: bool) {
        if self.machine(node).boot_no != boot_no {
            return;
        }
        if power_off {
            self.power_off(node, "reset, stays off");
        } else {
            self.reboot(node, "reset");
        }
    }

    /// Sees to it that there is an event when the watchdog kills.
    pub(super) fn arm_watchdog(&mut self, node: NodeId) {
        let machine = self.machine_mut(node);
        let Some(kills_at) = machine.watchdog.as_ref().and_then(Watchdog::kills_at) else { return };
        let Some(at) = machine.clock.when(kills_at) else { return };
        if machine.watchdog_event.is_some_and(|planned| planned <= at) {
            return;
        }
        machine.watchdog_event = Some(at);
        let boot_no = machine.boot_no;
        self.put(at, Ev::Watchdog { node, boot_no });
    }

    pub(super) fn watchdog_due(&mut self, node: NodeId, boot_no: u32) {
        let now = self.now;
        let machine = self.machine_mut(node);
        if machine.boot_no != boot_no || machine.power != Power::On {
            return;
        }
        if machine.watchdog_event.is_some_and(|at| at > now) {
            return;
        }
        machine.watchdog_event = None;
        if machine.pauses > 0 {
            return;
        }
        let local = machine.clock.read(now);
        let Some(watchdog) = machine.watchdog.as_mut() else { return };
        watchdog.account(local);
        if watchdog.kills_at().is_some_and(|at| at <= local) {
            self.check_watchdog_kill(node);
            self.rules.hit(rules::WATCHDOG);
            self.reboot(node, "watchdog");
        } else {
            self.arm_watchdog(node);
        }
    }

    /// Pauses a machine from outside, unseen, or ends one such pause.
    pub fn set_paused(&mut self, node: NodeId, paused: bool) {
        let now = self.now;
        let machine = self.machine_mut(node);
        let was = machine.pauses > 0;
        machine.pauses = if paused { machine.pauses + 1 } else { machine.pauses.saturating_sub(1) };
        let is = machine.pauses > 0;
        if was == is {
            return;
        }
        if is {
            machine.clock.stop(now);
        } else {
            machine.clock.go_on(now);
        }
        machine.daemon_hindered_at = now;
        if is {
            self.rules.hit(rules::PAUSED);
            self.fencer_pauses(node);
        } else {
            self.fencer_wakes(node);
        }
        self.run_state_changed(node);
        self.arm_watchdog(node);
    }

    /// Stalls a machine, or its daemon alone, or ends one such stall.
    pub fn set_stalled(&mut self, node: NodeId, daemon_only: bool, stalled: bool, torn: bool) {
        let now = self.now;
        let machine = self.machine_mut(node);
        let ran = machine.stalls == 0 && machine.daemon_stalls == 0;
        let count = if daemon_only { &mut machine.daemon_stalls } else { &mut machine.stalls };
        *count = if stalled { *count + 1 } else { count.saturating_sub(1) };
        let runs = machine.stalls == 0 && machine.daemon_stalls == 0;
        machine.daemon_hindered_at = now;
        let local = machine.clock.read(now);
        if ran && !runs {
            machine.torn = torn;
            if let Some(watchdog) = machine.watchdog.as_mut() {
                watchdog.thread_stops(local);
            }
        } else if !ran && runs && machine.power == Power::On && machine.daemon.is_some() {
            let torn = machine.torn;
            let boot_no = machine.boot_no;
            if machine.watchdog.as_mut().is_some_and(|watchdog| watchdog.thread_goes_on(local, torn)) {
                let at = now + self.rng.range(0, MS);
                self.log.line(now, node, || "late pet seen: reset".into());
                self.put(at, Ev::LatePet { node, boot_no });
            }
        }
        self.run_state_changed(node);
        self.arm_watchdog(node);
    }

    /// What waited for the machine goes on, if it runs now; streams are looked at again.
    pub(super) fn run_state_changed(&mut self, node: NodeId) {
        let now = self.now;
        let machine = self.machine_mut(node);
        if machine.runs() {
            for event in std::mem::take(&mut machine.waiting) {
                self.put(now, event);
            }
        }
        let volumes: Vec<_> = self.machine(node).replicas.keys().copied().collect();
        for volume in volumes {
            self.check_exclusive(volume);
        }
        self.streams_of(node);
    }
}

impl World {
    /// What a node's clock reads now.
    #[must_use]
    pub fn clock_of(&self, node: NodeId) -> Instant {
        self.machine(node).now(self.now)
    }
}
