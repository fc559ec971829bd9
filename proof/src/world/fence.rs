//! Fence agents and the devices behind them.

use super::World;
use super::clock::{MS, nanos};
use super::event::{Ev, Order, RunNo};
use super::machine::Power;
use super::net::{Lane, place};
use super::rules;
use picket_core::ids::NodeId;
use picket_core::node::Input;
use picket_core::topology::{DeviceKind, DeviceVerdict, PowerAction};

/// What a device does when it is asked to switch off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceMode {
    /// It does so and reads it back.
    #[default]
    Works,
    /// It says that it failed, and did nothing.
    Fails,
    /// It never answers, and does nothing.
    Hangs,
    /// It acts, and its answer is lost.
    ActsUnheard,
    /// It never answers, and acts some time after it was given up.
    ActsLate,
    /// It acts and reads it back, and takes nearly as long as it may.
    Slow,
    /// It acts at once, and takes nearly as long as it may to read it back.
    TellsLate,
}

impl World {
    /// A node's daemon orders an agent's run.
    pub(super) fn order_agent(&mut self, node: NodeId, run: RunNo, order: Order) {
        self.log.line(self.now, node, || format!("fence agent: {order:?}"));
        let at = self.now + nanos(order.delay) + self.rng.range(MS, 10 * MS);
        self.put(at, Ev::AgentStart { node, run, order });
    }

    pub(super) fn agent_starts(&mut self, node: NodeId, run: RunNo, order: Order) {
        let now = self.now;
        let machine = self.machine_mut(node);
        if machine.daemon.as_ref().is_none_or(|daemon| daemon.run != run) {
            return;
        }
        if !machine.daemon_runs() {
            machine.waiting.push(Ev::AgentStart { node, run, order });
            return;
        }
        let local = machine.now(now);
        if local >= order.start_before {
            self.rules.hit(rules::TOO_LATE);
            self.put(now, Ev::AgentEnd { node, run, order, verdict: DeviceVerdict::TooLate });
            return;
        }
        let kind = self.device_kind(order);
        if kind != Some(DeviceKind::Power) {
            let verdict = DeviceVerdict::GatePassed;
            self.put(now + MS, Ev::AgentEnd { node, run, order, verdict });
            return;
        }
        self.check_agent_start(node, order);
        if order.action == PowerAction::Off {
            self.fences_started += 1;
        }
        let works = self.rng.range(30 * MS, 300 * MS);
        let timeout = nanos(order.timeout);
        let reaches = !self.net.is_cut(Lane::Fence, place(node), place(order.target));
        let mode = if reaches { self.device_mode(order.target, order.level) } else { DeviceMode::Fails };
        let end = |after: u64, verdict| (now + after, Ev::AgentEnd { node, run, order, verdict });
        let acts = |after: u64, late| (now + after, Ev::DeviceActs { node, run, order, late });
        let mut coming = Vec::new();
        match mode {
            DeviceMode::Works => {
                let verify = self.rng.range(5 * MS, 60 * MS);
                coming.push(acts(works, false));
                coming.push(end(works + verify, DeviceVerdict::ConfirmedOff));
            }
            DeviceMode::Slow => {
                let at = timeout / 100 * self.rng.range(10, 90);
                coming.push(acts(at, false));
                coming.push(end(at + self.rng.range(5 * MS, 60 * MS), DeviceVerdict::ConfirmedOff));
            }
            DeviceMode::TellsLate => {
                coming.push(acts(works.min(timeout / 20), false));
                let at = timeout / 100 * self.rng.range(20, 95);
                coming.push(end(at, DeviceVerdict::ConfirmedOff));
            }
            DeviceMode::Fails => coming.push(end(works, DeviceVerdict::Failed)),
            DeviceMode::Hangs => coming.push(end(timeout, DeviceVerdict::Unknown)),
            DeviceMode::ActsUnheard => {
                coming.push(acts(works, false));
                coming.push(end(timeout, DeviceVerdict::Unknown));
            }
            DeviceMode::ActsLate => {
                let late = self.rng.range(0, 3000 * MS);
                coming.push(end(timeout, DeviceVerdict::Unknown));
                coming.push(acts(timeout + late, true));
            }
        }
        for (at, event) in coming {
            self.put(at, event);
        }
    }

    fn device_kind(&self, order: Order) -> Option<DeviceKind> {
        let plan = &self.setup.machines.get(usize::from(order.target.0) - 1)?.fencing;
        let level = plan.levels.get(usize::from(order.level))?;
        level.devices.get(usize::from(order.device)).map(|device| device.kind)
    }

    /// The device switches its feed. With all feeds of a level off, the machine is off.
    pub(super) fn device_acts(&mut self, node: NodeId, order: Order, late: bool) {
        let target = order.target;
        match order.action {
            PowerAction::On => {
                self.rules.hit(rules::SWITCHED_ON);
                self.machine_mut(target).feeds_off.clear();
                self.power_on(target);
            }
            PowerAction::Off => {
                let feed = (order.level, order.device);
                let feeds = &mut self.machine_mut(target).feeds_off;
                if !feeds.contains(&feed) {
                    feeds.push(feed);
                }
                let off = feeds.iter().filter(|(level, _)| *level == order.level).count();
                let plan = &self.setup.machines[usize::from(target.0) - 1].fencing;
                let powers = plan.levels.get(usize::from(order.level)).map_or(1, |level| {
                    level.devices.iter().filter(|device| device.kind == DeviceKind::Power).count()
                });
                if off >= powers && self.machine(target).power != Power::Off {
                    if !late {
                        self.check_fence_hits(node, target, order);
                    }
                    self.fence_hits += 1;
                    self.power_off(target, &format!("fenced by node {node}"));
                }
            }
        }
    }

    pub(super) fn agent_ends(&mut self, node: NodeId, run: RunNo, order: Order, verdict: DeviceVerdict) {
        let target = order.target;
        self.agent_over(node, order);
        if verdict == DeviceVerdict::ConfirmedOff && order.action == PowerAction::Off {
            let feed = (order.level, order.device);
            let off = self.machine(target).feeds_off.contains(&feed);
            if !off {
                // Somebody switched it on again meanwhile: it was off, and that is what was read back.
                self.log.line(self.now, node, || format!("node {target} is on again"));
            }
        }
        let machine = self.machine_mut(node);
        if machine.daemon.as_ref().is_none_or(|daemon| daemon.run != run) {
            return;
        }
        let input = Input::DeviceDone { order: order.id, verdict };
        self.take_input(node, run, input);
    }
}
