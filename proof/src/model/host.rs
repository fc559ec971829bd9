//! A machine of the model: power, boot, daemon, watchdog.

use super::replica::Replica;
use super::thaws::{LateThaw, ThawFault};
use super::world::start;
use picket_core::ids::{BootId, NodeId, PermitId, VolumeId};
use picket_core::node::{CommandId, Disk, Effect, Node, NodeRecord, Run, VolumeAction};
use picket_core::ready::{self, Store};
use picket_core::time::{Duration, Instant};
use picket_core::topology::{DeviceVerdict, OrderId, PowerAction};
use std::collections::{BTreeMap, VecDeque};

const MILLION: u32 = 1_000_000;

/// How many millionths of a second a clock counts in a second of the witness's.
#[must_use]
pub const fn rate(drift: i32) -> u32 {
    MILLION.saturating_add_signed(drift)
}

/// What a clock of this rate counts in a length of the witness's time, rounded down.
fn counted(length: Duration, rate: u32) -> Duration {
    nanos(length.as_nanos() * u128::from(rate) / u128::from(MILLION))
}

/// How much of the witness's time it takes to count this, rounded up: then the clock shows it.
fn takes(count: Duration, rate: u32) -> Duration {
    nanos((count.as_nanos() * u128::from(MILLION)).div_ceil(u128::from(rate)))
}

fn nanos(count: u128) -> Duration {
    Duration::from_nanos(u64::try_from(count).unwrap_or(u64::MAX))
}

/// How long a promotion takes that takes long: a lease, a guard and what a takeover needs are over.
const SLOW_PROMOTION: Duration = Duration::from_millis(130);

/// How long one takes that outlives its daemon: less than is left of its lease when it may be begun last.
const LONE_PROMOTION: Duration = Duration::from_millis(12);

/// The main loop of a daemon must have come round within this for its watchdog to be petted.
pub const PROGRESS: Duration = Duration::from_millis(20);

/// A machine.
#[derive(Clone, Debug)]
pub struct Host {
    /// Which node it is.
    pub id: NodeId,
    /// It has power.
    pub powered: bool,
    /// The kernel runs at this instant, while it is booting.
    pub booted_at: Option<Instant>,
    /// How many times it booted; its boot id.
    pub boots: u8,
    /// How many daemons it started.
    pub runs: u8,
    /// The daemon.
    pub daemon: Option<Box<Node>>,
    /// The service manager starts the daemon at this instant.
    pub daemon_at: Option<Instant>,
    /// The daemon has said that it may be ended, and its process is gone at this instant.
    pub ends_at: Option<Instant>,
    /// It has said that it holds nothing any more and asks for nothing.
    pub said_stopped: bool,
    /// It was ended under a maintenance, and what it held runs on without it.
    pub left_running: bool,
    /// When the daemon saw first what was left running, by the machine's own clock: a lease begins there.
    pub taken_up: BTreeMap<VolumeId, Instant>,
    /// The daemon does not run until then (SIGSTOP).
    pub stalled_until: Option<Instant>,
    /// The whole machine does not run until then, and its own clock and watchdog neither.
    pub paused_until: Option<Instant>,
    /// How far its clock is behind, because of pauses.
    pub lag: Duration,
    /// How many millionths of a second its clock counts in a second of the witness's.
    pub rate: u32,
    /// It cannot reset itself; only its watchdog ends it.
    pub reset_hangs: bool,
    /// The stopped daemon's petting thread had looked at the clock and was about to pet.
    pub tears: bool,
    /// It gets to that pet at this instant, and to nothing else.
    pub torn_at: Option<Instant>,
    /// Its drivers carry nothing out until then.
    pub driver_until: Option<Instant>,
    /// Its drivers cannot see their volumes until then.
    pub blind_until: Option<Instant>,
    /// What survives a crash.
    pub disk: Disk,
    /// A durable epoch became smaller.
    pub epochs_fell: bool,
    /// What survives a restart of the daemon.
    pub run: Option<Run>,
    /// The replicas.
    pub volumes: BTreeMap<VolumeId, Replica>,
    /// Commands of the daemon that its drivers have not carried out.
    pub commands: VecDeque<(VolumeId, CommandId, VolumeAction2)>,
    /// A fence agent of this node that is at work.
    pub agents: Vec<Agent>,
    /// Petting stops then, unless the daemon's loop comes round; by the machine's own clock.
    pub pet_stop: Option<Instant>,
    /// The daemon's next tick, by the machine's own clock.
    pub tick_at: Instant,
    /// The next demote hangs.
    pub stop_hangs: bool,
    /// The next promotion takes long.
    pub promotes_slowly: bool,
    /// The next promotion takes long, and a freeze ends it.
    pub promotes_until_frozen: bool,
    /// The next promotion is done even if its daemon ends meanwhile.
    pub promotes_alone: bool,
    /// A promotion that was begun, and is done when the drivers go on; it ends with its daemon, but for the one above.
    pub promoting: Option<(VolumeId, CommandId, VolumeAction2)>,
    /// The daemon dies between the two records of its next step that changes both.
    pub dies_between: bool,
    /// What goes wrong with the next thaw.
    pub thaw_fault: Option<ThawFault>,
    /// A thaw that was begun and is not done in its time; it ends with its daemon.
    pub late_thaw: Option<LateThaw>,
    /// A promotion whose daemon has ended, and when it is done.
    pub orphan: Option<(Instant, VolumeId, VolumeAction2)>,
    /// What arrived while the daemon was stopped.
    pub held: VecDeque<picket_core::node::Input>,
}

/// A fence agent.
#[derive(Clone, Copy, Debug)]
pub struct Agent {
    /// The order.
    pub order: OrderId,
    /// The target.
    pub target: NodeId,
    /// What it does.
    pub action: PowerAction,
    /// When it acts, if it does.
    pub acts_at: Option<Instant>,
    /// When it ends.
    pub ends_at: Instant,
    /// What it says then.
    pub verdict: DeviceVerdict,
    /// It has said it.
    pub reported: bool,
    /// Under which permit it was started, by the witness's record then.
    pub permit: Option<(PermitId, BootId)>,
}

/// A driver's command in a form that a state can be copied with. A promotion is redeemed when it is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeAction2 {
    /// See [`VolumeAction`].
    Promote {
        /// The epoch.
        epoch: picket_core::ids::Epoch,
        /// Who is required.
        required: picket_core::ids::NodeSet,
        /// Until when.
        valid_until: Instant,
    },
    /// See [`VolumeAction`].
    Demote,
    /// See [`VolumeAction`].
    Freeze,
    /// See [`VolumeAction`].
    Thaw {
        /// Until when.
        valid_until: Instant,
    },
    /// See [`VolumeAction`].
    Drop(NodeId),
    /// See [`VolumeAction`].
    Require(NodeId),
}

impl From<VolumeAction> for VolumeAction2 {
    fn from(action: VolumeAction) -> Self {
        match action {
            VolumeAction::Promote(promotion) => Self::Promote {
                epoch: promotion.epoch(),
                required: promotion.required(),
                valid_until: promotion.valid_until(),
            },
            VolumeAction::Demote { .. } => Self::Demote,
            VolumeAction::Freeze => Self::Freeze,
            VolumeAction::Thaw { valid_until } => Self::Thaw { valid_until },
            VolumeAction::DropPeer { peer } => Self::Drop(peer),
            VolumeAction::RequirePeer { peer } => Self::Require(peer),
        }
    }
}

/// The daemon has stored what it keeps on the disk, and died before it stored what it keeps for this boot.
#[derive(Clone, Copy, Debug)]
pub struct DiedBetween;

/// One is written after the other, as `node/src/store` does.
struct Disks<'a> {
    disk: &'a mut Disk,
    run: &'a mut Option<Run>,
    fell: bool,
    dies_between: &'a mut bool,
}

impl Store<(), NodeRecord> for Disks<'_> {
    type Error = DiedBetween;

    fn persist(&mut self, (): &(), record: &NodeRecord) -> Result<(), DiedBetween> {
        if let Some(disk) = &record.disk {
            self.fell |= self.disk.volumes.iter().any(|(volume, old)| {
                disk.volumes.get(volume).is_none_or(|new| new.max_epoch < old.max_epoch)
            });
            self.disk.clone_from(disk);
        }
        if let Some(run) = &record.run {
            if record.disk.is_some() && core::mem::take(self.dies_between) {
                return Err(DiedBetween);
            }
            *self.run = Some(run.clone());
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), DiedBetween> {
        Ok(())
    }
}

impl Host {
    /// The kernel's boot id.
    #[must_use]
    pub fn boot(&self) -> BootId {
        BootId(u128::from(self.id.0) * 1000 + u128::from(self.boots))
    }

    /// The machine's own clock.
    #[must_use]
    pub fn clock(&self, now: Instant) -> Instant {
        start() + counted(now.since(start()), self.rate) - self.lag
    }

    /// When the machine's own clock shows `at`.
    #[must_use]
    pub fn world(&self, at: Instant) -> Instant {
        if at == Instant::NEVER {
            return at;
        }
        start() + takes((at + self.lag).since(start()), self.rate)
    }

    /// The kernel runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.powered && self.booted_at.is_none()
    }

    /// The daemon runs and is not stopped.
    #[must_use]
    pub fn daemon_runs(&self) -> bool {
        self.runs() && self.daemon.is_some() && self.stalled_until.is_none() && self.paused_until.is_none()
    }

    /// The volumes with which its daemon is alone.
    #[must_use]
    pub fn alone(&self) -> Vec<VolumeId> {
        let alone = |daemon: &Node| self.volumes.keys().copied().filter(|id| daemon.is_solo(*id)).collect();
        self.daemon.as_deref().map(alone).unwrap_or_default()
    }

    /// Gives the daemon an input and takes what it wants done. One that has said that it leaves its volumes running
    /// reads nothing any more.
    ///
    /// # Errors
    /// The daemon died before it could do anything.
    pub fn step(
        &mut self,
        now: Instant,
        input: picket_core::node::Input,
    ) -> Result<Vec<Effect>, DiedBetween> {
        let clock = self.clock(now);
        if let Some(ends_at) = self.ends_at.filter(|_| self.left_running) {
            self.tick_at = self.clock(ends_at);
            return Ok(Vec::new());
        }
        let Some(daemon) = &mut self.daemon else { return Ok(Vec::new()) };
        if let picket_core::node::Input::Volume { volume, report } = &input
            && self.left_running
            && report.role == picket_core::node::Role::Primary
        {
            self.taken_up.entry(*volume).or_insert(clock);
        }
        let ready = daemon.step(clock, input);
        let dies_between = &mut self.dies_between;
        let mut disks = Disks { disk: &mut self.disk, run: &mut self.run, fell: false, dies_between };
        let released = ready::commit(&mut disks, vec![((), ready)]);
        self.epochs_fell |= disks.fell;
        let released = released?;
        self.tick_at = daemon.deadline(clock);
        let allowed = daemon.pet_until(clock).min(clock + PROGRESS);
        // When petting must have stopped before now, the last pet was when it did, or now at the latest.
        let last = self.pet_stop.map_or(clock, |stop| stop.min(clock));
        self.pet_stop = Some(if allowed < clock { last } else { allowed });
        Ok(released.into_iter().flat_map(|(_, effects)| effects).collect())
    }

    /// What arrives while the daemon is stopped waits in its sockets; more than that is lost.
    pub fn held_back(&mut self, input: picket_core::node::Input) {
        const SOCKETS_HOLD: usize = 64;
        if self.held.len() < SOCKETS_HOLD {
            self.held.push_back(input);
        }
    }

    /// What had arrived.
    pub fn release_held(&mut self) -> Vec<picket_core::node::Input> {
        self.held.drain(..).collect()
    }

    /// What the daemon had in hand ends with it.
    pub fn daemon_dies(&mut self) {
        self.commands.clear();
        if let Some((volume, _, action)) = self.promoting.take() {
            self.promotes_until_frozen = false;
            let done_at = self.driver_until.take().filter(|_| core::mem::take(&mut self.promotes_alone));
            self.orphan = done_at.map(|at| (at, volume, action)).or(self.orphan);
        }
        self.late_thaw = None;
        self.agents.clear();
        self.held.clear();
    }

    /// A driver's next command, or what it began before.
    pub fn next_command(&mut self) -> Option<(VolumeId, CommandId, VolumeAction2)> {
        let begun = self.promoting.take();
        self.promotes_alone &= begun.is_none();
        self.promotes_until_frozen &= begun.is_none();
        begun.or_else(|| self.commands.pop_front())
    }

    /// A promotion that takes its time is begun now, while it is valid; then nothing in its driver asks for the time
    /// again. The answer is how long it takes; none: it is done at once, or not at all.
    pub fn begins(
        &mut self,
        clock: Instant,
        command: (VolumeId, CommandId, VolumeAction2),
    ) -> Option<Duration> {
        let (volume, id, action) = command;
        let VolumeAction2::Promote { epoch, required, valid_until } = action else { return None };
        let long = self.promotes_slowly || self.promotes_until_frozen;
        let takes = if long { SLOW_PROMOTION } else { LONE_PROMOTION };
        let is_done_at_once = !long && !self.promotes_alone;
        if clock >= valid_until || is_done_at_once {
            return None;
        }
        // One that ends with its daemon does not outlive it.
        self.promotes_alone &= !core::mem::take(&mut self.promotes_slowly) && !self.promotes_until_frozen;
        let action = VolumeAction2::Promote { epoch, required, valid_until: Instant::NEVER };
        self.promoting = Some((volume, id, action));
        Some(takes)
    }

    /// A freeze is ordered, and a promotion was begun that one ends: its driver gives it up and says nothing more of it.
    pub fn freeze_ends_promotion(&mut self, volume: VolumeId, action: VolumeAction2) -> bool {
        let ends = |(of, ..): &mut (VolumeId, CommandId, VolumeAction2)| *of == volume;
        if !self.promotes_until_frozen || action != VolumeAction2::Freeze {
            return false;
        }
        let ended = self.promoting.take_if(ends).is_some();
        if ended {
            (self.promotes_until_frozen, self.driver_until) = (false, None);
        }
        ended
    }

    /// A promotion was ordered that may still be done.
    #[must_use]
    pub fn is_promoting(&self) -> bool {
        let ordered = |(.., action): &(VolumeId, CommandId, VolumeAction2)| {
            matches!(action, VolumeAction2::Promote { .. })
        };
        self.promoting.is_some() || self.orphan.is_some() || self.commands.iter().any(ordered)
    }

    /// The power is gone, or the kernel.
    pub fn dies(&mut self) {
        self.daemon = None;
        self.daemon_at = None;
        self.ends_at = None;
        self.said_stopped = false;
        self.left_running = false;
        self.taken_up.clear();
        self.stalled_until = None;
        self.tears = false;
        self.torn_at = None;
        self.driver_until = None;
        self.blind_until = None;
        self.paused_until = None;
        self.booted_at = None;
        self.run = None;
        self.daemon_dies();
        self.orphan = None;
        self.pet_stop = None;
        self.volumes.values_mut().for_each(Replica::power_lost);
    }

    /// When the watchdog kills the machine if nothing changes, by the machine's own clock.
    #[must_use]
    pub fn watchdog_at(&self, effective: Option<Duration>) -> Option<Instant> {
        let stop = self.pet_stop.filter(|stop| *stop != Instant::NEVER)?;
        effective.filter(|_| self.runs()).map(|effective| stop + effective)
    }
}

#[cfg(test)]
mod tests;
