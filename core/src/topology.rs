//! Fencing topology: in which order devices are tried, and what counts as fenced.
//!
//! Levels are tried in order and the first success ends the fence. All devices of a level must succeed: with two
//! power feeds, all are switched off before the target is off. A gate can delay or abort; it proves nothing. A
//! result that is not a confirmation is unknown, never off.
//!
//! ```text
//!            ┌── retry ──┐   ┌─ confirmed, more devices ─► next device
//!   start ─► device runs ├───┼─ confirmed, last device ──► ConfirmedOff
//!                            ├─ failed or unknown ───────► next level, after the last: Unknown
//!                            └─ too late, gate aborts ───► NotStarted, or Unknown once an agent ran
//! ```

use crate::evidence::FenceOutcome;
use crate::ids::{BootId, NodeId, PermitId};
use crate::mutant::{self, Mutant};
use crate::time::{Instant, Instants};
use alloc::vec::Vec;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// How a node is fenced.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencePlan {
    /// The levels, in order; at most [`FencePlan::LEVELS_MAX`].
    pub levels: Vec<Level>,
}

/// Devices that must all succeed.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level {
    /// The devices, in order.
    pub devices: Vec<Device>,
}

/// One device of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// What it can do.
    pub kind: DeviceKind,
    /// How long one try may take.
    pub timeout: Duration,
    /// How many tries follow the first.
    pub retries: u8,
    /// How long to wait before the first try.
    pub delay: Duration,
}

/// What a device can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceKind {
    /// Switches power and reads it back.
    Power,
    /// Delays or aborts, and proves nothing.
    Gate,
    /// Asks a person.
    Meatware,
}

/// How one run of a device ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceVerdict {
    /// The device read the target back as off.
    ConfirmedOff,
    /// The device says that it failed.
    Failed,
    /// Nobody knows: it was killed at its deadline, or its answer makes no sense.
    Unknown,
    /// It was not started, because the permit's start had passed.
    TooLate,
    /// A gate lets the fence go on.
    GatePassed,
    /// A gate ends the fence: the target answers as a healthy holder.
    GateAbort,
}

/// The number of one run of a device; unique within a run of the daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OrderId(pub u64);

/// What a device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PowerAction {
    /// Off, verified.
    Off,
    /// On.
    On,
}

/// Runs one device once. It cannot be copied: each run of an agent is ordered by the core.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "an order that is dropped leaves the fence without an end"]
pub struct DeviceOrder {
    /// Repeated when the run has ended.
    pub order: OrderId,
    /// The target.
    pub target: NodeId,
    /// The level, from 0.
    pub level: u8,
    /// The device's place in the level.
    pub device: u8,
    /// What to do.
    pub action: PowerAction,
    /// The agent must be started before this instant, read right before it is; else the verdict is
    /// [`DeviceVerdict::TooLate`].
    pub start_before: Instant,
    /// How long to wait before the start.
    pub delay: Duration,
    /// How long the agent may run.
    pub timeout: Duration,
}

impl FencePlan {
    /// As in Pacemaker's fencing topology.
    pub const LEVELS_MAX: usize = 9;

    /// The longest time that the whole plan can take.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.levels
            .iter()
            .flat_map(|level| &level.devices)
            .map(|device| device.delay + device.timeout * (u32::from(device.retries) + 1))
            .sum()
    }

    /// Whether some level can prove something: a plan of gates only is refused when it is read.
    #[must_use]
    pub fn can_fence(&self) -> bool {
        self.levels.iter().any(|level| level.devices.iter().any(|device| device.kind != DeviceKind::Gate))
    }

    fn device(&self, at: Place) -> Option<&Device> {
        self.levels.get(usize::from(at.level))?.devices.get(usize::from(at.device))
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place {
    level: u8,
    device: u8,
    tries: u8,
}

/// One fence under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence {
    /// The permit that allows it.
    pub permit: PermitId,
    /// The target.
    pub target: NodeId,
    /// Which boot of it.
    pub boot: BootId,
    /// The target is to stay off.
    pub keep_off: bool,
    start_before: Instant,
    at: Place,
    /// A device of the present level confirmed; with a gate alone a level proves nothing.
    confirmed: bool,
    started: bool,
}

/// What a fence does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Next {
    /// Run this device.
    Run {
        /// The level, from 0.
        level: u8,
        /// The device's place in the level.
        device: u8,
        /// How long to wait before the start.
        delay: Duration,
        /// How long it may run.
        timeout: Duration,
        /// When it must have been started.
        start_before: Instant,
    },
    /// Ask an operator.
    AskOperator,
    /// It is over.
    Ended(FenceOutcome),
}

impl Fence {
    /// A fence that has not begun. `start_before` counts from the send of the request that was permitted.
    #[must_use]
    pub fn new(
        permit: PermitId,
        target: NodeId,
        boot: BootId,
        keep_off: bool,
        start_before: Instant,
    ) -> Self {
        Self {
            permit,
            target,
            boot,
            keep_off,
            start_before,
            at: Place::default(),
            confirmed: false,
            started: false,
        }
    }

    /// What is to be done now, at the present place of the plan.
    #[must_use]
    pub fn next(&self, plan: &FencePlan) -> Next {
        let Some(device) = plan.device(self.at) else {
            return Next::Ended(self.exhausted());
        };
        match device.kind {
            DeviceKind::Meatware => Next::AskOperator,
            DeviceKind::Power | DeviceKind::Gate => Next::Run {
                level: self.at.level,
                device: self.at.device,
                delay: if self.at.tries == 0 { device.delay } else { Duration::ZERO },
                timeout: device.timeout,
                start_before: if self.started { Instant::NEVER } else { self.start_before },
            },
        }
    }

    fn exhausted(&self) -> FenceOutcome {
        if self.started || mutant::on(Mutant::M9) { FenceOutcome::Unknown } else { FenceOutcome::NotStarted }
    }

    /// Takes the verdict of the device that ran and says what follows.
    pub fn ended(&mut self, plan: &FencePlan, verdict: DeviceVerdict) -> Next {
        match verdict {
            DeviceVerdict::TooLate => return Next::Ended(self.exhausted()),
            DeviceVerdict::GateAbort => return Next::Ended(self.exhausted()),
            DeviceVerdict::GatePassed => {
                if let Some(ended) = self.advance(plan) {
                    return ended;
                }
            }
            DeviceVerdict::ConfirmedOff => {
                self.started = true;
                self.confirmed = true;
                if let Some(ended) = self.advance(plan) {
                    return ended;
                }
            }
            DeviceVerdict::Failed | DeviceVerdict::Unknown => {
                self.started = true;
                if mutant::on(Mutant::M9) && verdict == DeviceVerdict::Unknown {
                    return Next::Ended(FenceOutcome::ConfirmedOff);
                }
                let retries = plan.device(self.at).map_or(0, |device| device.retries);
                if self.at.tries < retries {
                    self.at.tries += 1;
                } else {
                    self.next_level();
                }
            }
        }
        self.next(plan)
    }

    /// On to the next device of the level. After the last one the fence is confirmed if a device of this level
    /// confirmed; a level of gates alone proved nothing and the next one follows.
    fn advance(&mut self, plan: &FencePlan) -> Option<Next> {
        if !self.is_last_of_level(plan) {
            self.at.device += 1;
            self.at.tries = 0;
            return None;
        }
        if self.confirmed {
            return Some(Next::Ended(FenceOutcome::ConfirmedOff));
        }
        self.next_level();
        None
    }

    fn next_level(&mut self) {
        self.at = Place { level: self.at.level + 1, device: 0, tries: 0 };
        self.confirmed = false;
    }

    fn is_last_of_level(&self, plan: &FencePlan) -> bool {
        let after = Place { device: self.at.device + 1, ..self.at };
        plan.device(after).is_none()
    }

    /// The level that it is at, from 0.
    #[must_use]
    pub const fn level(&self) -> u8 {
        self.at.level
    }
}

impl Instants for Fence {
    fn instants(&mut self, visit: &mut dyn FnMut(&mut Instant)) {
        visit(&mut self.start_before);
    }
}

#[cfg(test)]
#[path = "topology_tests.rs"]
mod tests;
