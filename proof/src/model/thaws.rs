//! Thaws that go wrong: nobody reads how one ended, or its driver gives it up and it is done all the same.
//!
//! What was given up is done long after, or right before the next command that its driver is told for the volume: a
//! driver works on its commands in order. It ends with its daemon, whose programs end with it.

use super::host::{Host, VolumeAction2};
use super::words;
use super::world::World;
use picket_core::ids::{NodeId, VolumeId};
use picket_core::node::{CommandId, CommandOutcome, Input};
use picket_core::time::{Duration, Instant};

/// How long after it was given up a thaw is done: a lease, a guard and what a takeover needs are over.
const LATE: Duration = Duration::from_millis(130);

/// What goes wrong with a thaw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ThawFault {
    /// It is not done by its last moment, when its driver says that it cannot tell; it is done later.
    Late,
    /// It is done at once, and no answer comes.
    Unheard,
}

/// A thaw that was begun in time and is not done by its last moment.
#[derive(Clone, Copy, Debug)]
pub struct LateThaw {
    volume: VolumeId,
    command: CommandId,
    gives_up_at: Instant,
    /// Its driver has given it up, and said that it cannot tell.
    given_up: bool,
}

impl Host {
    /// What goes wrong with this command, if it is a thaw that is in time.
    pub(super) fn thaw_fails(&mut self, now: Instant, action: VolumeAction2) -> Option<ThawFault> {
        let VolumeAction2::Thaw { valid_until } = action else { return None };
        let clock = self.clock(now);
        self.thaw_fault.take_if(|_| clock < valid_until)
    }

    fn begins_late_thaw(&mut self, now: Instant, volume: VolumeId, command: CommandId, valid_until: Instant) {
        let last = self.world(valid_until);
        let gives_up_at = if last == Instant::NEVER { now + LATE } else { last };
        self.late_thaw = Some(LateThaw { volume, command, gives_up_at, given_up: false });
    }

    /// When its driver gives it up, and after that, when it is done at the latest.
    pub(super) fn late_thaw_at(&self) -> Option<Instant> {
        let thaw = self.late_thaw.filter(|_| self.paused_until.is_none() && self.driver_until.is_none())?;
        Some(if thaw.given_up { thaw.gives_up_at + LATE } else { thaw.gives_up_at })
    }

    /// It is done now: it is time, or its driver has been told something else.
    fn does_late_thaw(&mut self, now: Instant) -> Option<VolumeId> {
        let due = self.late_thaw_at().is_some_and(|at| at <= now);
        let told = |thaw: &LateThaw| self.commands.front().is_some_and(|(volume, ..)| *volume == thaw.volume);
        let thaw = self.late_thaw.filter(|thaw| thaw.given_up && (due || told(thaw)))?;
        self.late_thaw = None;
        self.volumes.get_mut(&thaw.volume)?.frozen = false;
        Some(thaw.volume)
    }

    /// Its driver gives it up now. Until then it does nothing else.
    fn gives_up_thaw(&mut self, now: Instant) -> Option<(VolumeId, CommandId)> {
        let thaw = self.late_thaw.as_mut().filter(|thaw| !thaw.given_up && thaw.gives_up_at <= now)?;
        thaw.given_up = true;
        Some((thaw.volume, thaw.command))
    }
}

impl World {
    /// A thaw is begun that is not done in time.
    pub(super) fn begin_late_thaw(
        &mut self,
        id: NodeId,
        volume: VolumeId,
        command: CommandId,
        action: VolumeAction2,
    ) {
        let now = self.now;
        if let Some(host) = self.hosts.get_mut(&id)
            && let VolumeAction2::Thaw { valid_until } = action
        {
            host.begins_late_thaw(now, volume, command, valid_until);
            self.tell(|| words::of_late_thaw(id, volume, "is told to thaw it, and is slow"));
        }
    }

    /// What becomes of a thaw that is not done in time. Whether anything did; none: the driver goes on with its commands.
    pub(super) fn late_thaw_goes_on(&mut self, id: NodeId) -> Option<bool> {
        let now = self.now;
        let host = self.hosts.get_mut(&id)?;
        host.late_thaw?;
        if let Some((volume, command)) = host.gives_up_thaw(now) {
            let outcome = CommandOutcome::Unknown("it was given up".into());
            self.tell(|| words::of_late_thaw(id, volume, "gives up the thaw, and cannot tell"));
            self.inbox.push_back((id, Input::VolumeDone { volume, command, outcome }));
            return Some(true);
        }
        if let Some(volume) = host.does_late_thaw(now) {
            self.tell(|| words::of_late_thaw(id, volume, "has thawed it after all"));
            self.report_one(id, volume);
            return Some(true);
        }
        host.late_thaw.filter(|thaw| !thaw.given_up).map(|_| false)
    }
}
