//! Fences: asked for, permitted, run, reported.
//!
//! ```text
//!  Asking ─permit─► Running ─levels─► Reporting ─recorded─► (power on) ─► gone
//!    ▲                │ a level asks a person    │ unknown, not started
//!    │                ▼                          ▼
//!    └── still wanted ── AwaitingOperator      Resting
//! ```
//! One fence at most for each target, whoever asked for it and for however many volumes.

use super::state::{FenceCase, FenceStage, Node, OperatorTicket, Out, Phase};
use super::{Effect, Event, FenceWish, NodeAnswer};
use crate::error::Refusal;
use crate::evidence::FenceOutcome;
use crate::ids::{AttemptId, BootId, NodeId, NodeSet, PermitId};
use crate::message::{FenceReason, Permit, ReportFence, Request, RequestFence};
use crate::mutant::{self, Mutant};
use crate::params::with_drift;
use crate::time::{Duration, Instant};
use crate::topology::{DeviceKind, DeviceOrder, DeviceVerdict, Fence, FencePlan, Next, OrderId, PowerAction};
use alloc::vec::Vec;

/// After a fence whose outcome is unknown the devices are left alone for so long.
const FENCE_AGAIN_AFTER: Duration = Duration::from_secs(5);

impl Node {
    /// Nodes that are to be fenced: silent, or failed by their own word, and holding what this node asks for.
    fn wanted_targets(&self, now: Instant) -> NodeSet {
        let asks = self.volumes.iter().filter(|(_, volume)| volume.attempt.is_some());
        let holders = asks.filter_map(|(id, _)| self.holder_of(*id)).map(|holder| holder.node);
        holders
            .filter(|node| *node != self.config.me)
            .filter(|node| self.is_silent(now, *node) || self.view.failed.contains(*node))
            .filter(|node| !self.has_promised_to(now, *node))
            .filter(|_| self.is_past_cold_start(now))
            .collect()
    }

    /// Booting never fences: a machine that has just booted waits for all members first.
    fn is_past_cold_start(&self, now: Instant) -> bool {
        let all = self.peers.values().all(|peer| peer.ever_heard);
        all || now.since(self.started) >= self.config.cold_start
    }

    fn plan(&self, target: NodeId) -> FencePlan {
        self.config.fencing.get(&target).cloned().unwrap_or_default()
    }

    pub(super) fn settle_fences(&mut self, now: Instant, out: &mut Out) {
        let wanted = self.wanted_targets(now);
        for target in wanted.iter() {
            if !self.fences.contains_key(&target) && self.plan(target).can_fence() {
                self.ask_to_fence(now, target, false, FenceWish::Reboot, out);
            }
        }
        let targets: Vec<_> = self.fences.keys().copied().collect();
        for target in targets {
            self.settle_fence(now, target, wanted.contains(target), out);
        }
    }

    /// Opens a case; the request itself is sent when it settles.
    pub(super) fn ask_to_fence(
        &mut self,
        now: Instant,
        target: NodeId,
        by_operator: bool,
        wish: FenceWish,
        out: &mut Out,
    ) {
        self.counters.attempt += 1;
        let attempt = AttemptId(self.counters.attempt);
        let stage = FenceStage::Asking { asked: None, waiting: None };
        let permit_until = Instant::BOOT;
        self.fences.insert(target, FenceCase { attempt, by_operator, wish, permit_until, stage });
        if mutant::on(Mutant::M20) {
            let boot = self.holder_boot(target);
            let permit = Permit { permit: PermitId(0), attempt, target, target_boot: boot, keep_off: false };
            self.permitted(now, Some(now), permit, out);
        }
    }

    /// The fence of this target that an operator's request joins: one that runs under a permit, or one that an operator
    /// asked for. What the node asked for of itself an operator's request replaces: its reason is another.
    pub(super) fn fence_under_way(&self, target: NodeId) -> Option<FenceWish> {
        let case = self.fences.get(&target)?;
        let asked_for = case.by_operator && matches!(case.stage, FenceStage::Asking { .. });
        (asked_for || case.stage.permit().is_some()).then_some(case.wish)
    }

    fn holder_boot(&self, target: NodeId) -> BootId {
        let holders = self.volumes.keys().filter_map(|id| self.holder_of(*id));
        holders.into_iter().find(|holder| holder.node == target).map(|holder| holder.boot).unwrap_or_default()
    }

    fn settle_fence(&mut self, now: Instant, target: NodeId, wanted: bool, out: &mut Out) {
        let session = self.link.session.filter(|_| self.link.registered);
        let Some(case) = self.fences.get(&target) else { return };
        match &case.stage {
            FenceStage::Asking { asked, .. } => {
                if !wanted && !case.by_operator {
                    self.drop_fence_request(now, target, out);
                } else if session.is_some() && *asked != session {
                    self.request_fence(now, target, out);
                }
            }
            FenceStage::Running { .. } => {}
            FenceStage::AwaitingOperator { fence, asked } => {
                let permit = fence.permit;
                if session.is_some() && *asked != session {
                    self.say(now, Request::AskOperator { permit }, out);
                    self.set_asked(target);
                }
            }
            FenceStage::Reporting { report, asked, .. } => {
                if session.is_some() && *asked != session {
                    let mut report = report.clone();
                    report.acquire = self.volumes.keys().filter_map(|id| self.acquire(*id)).collect();
                    self.say(now, Request::ReportFence(report), out);
                    self.set_asked(target);
                }
            }
            FenceStage::Resting { until } => {
                if now >= *until {
                    self.fences.remove(&target);
                }
            }
        }
    }

    fn set_asked(&mut self, target: NodeId) {
        let session = self.link.session;
        let Some(case) = self.fences.get_mut(&target) else { return };
        match &mut case.stage {
            FenceStage::Asking { asked, .. }
            | FenceStage::AwaitingOperator { asked, .. }
            | FenceStage::Reporting { asked, .. } => *asked = session,
            FenceStage::Running { .. } | FenceStage::Resting { .. } => {}
        }
    }

    fn request_fence(&mut self, now: Instant, target: NodeId, out: &mut Out) {
        let Some(case) = self.fences.get(&target) else { return };
        let reason = match (case.wish, case.by_operator) {
            (FenceWish::Drill, _) => FenceReason::Drill,
            (FenceWish::Reboot | FenceWish::Off, true) => FenceReason::Operator,
            (FenceWish::Reboot | FenceWish::Off, false) => FenceReason::Silent,
        };
        // The witness counts the permit's time on its own clock.
        let levels = with_drift(with_drift(self.plan(target).longest()));
        let attempt = case.attempt;
        if self.say(now, Request::RequestFence(RequestFence { target, attempt, reason, levels }), out) {
            self.set_asked(target);
        }
    }

    pub(super) fn drop_fence_request(&mut self, now: Instant, target: NodeId, out: &mut Out) {
        let Some(case) = self.fences.remove(&target) else { return };
        self.say(now, Request::Withdraw { attempt: case.attempt }, out);
        self.answer_fence(target, NodeAnswer::Refused(Refusal::Promised { to: target }), out);
    }

    /// Answers all operators who wait for a fence of this target.
    fn answer_fence(&mut self, target: NodeId, answer: NodeAnswer, out: &mut Out) {
        self.operators.retain(|&ticket, open| {
            let waits = matches!(open, OperatorTicket::Fence { target: of, .. } if *of == target);
            if waits {
                out.push(Effect::Answer { ticket, answer: answer.clone() });
            }
            !waits
        });
    }

    pub(super) fn permit_pending(
        &mut self,
        target: NodeId,
        attempt: AttemptId,
        refusal: Refusal,
        out: &mut Out,
    ) {
        let Some(case) = self.fences.get_mut(&target).filter(|case| case.attempt == attempt) else { return };
        if let FenceStage::Asking { waiting, .. } = &mut case.stage {
            *waiting = Some(refusal.clone());
            out.event(Event::NotPermitted { target, refusal });
        }
    }

    pub(super) fn not_permitted(
        &mut self,
        now: Instant,
        target: NodeId,
        attempt: AttemptId,
        refusal: Refusal,
        out: &mut Out,
    ) {
        let Some(case) = self.fences.get_mut(&target).filter(|case| case.attempt == attempt) else { return };
        if let FenceStage::Asking { .. } = case.stage {
            case.stage = FenceStage::Resting { until: now + self.config.params.suspect_after() };
            case.by_operator = false;
            out.event(Event::NotPermitted { target, refusal: refusal.clone() });
            self.answer_fence(target, NodeAnswer::Refused(refusal), out);
        }
    }

    /// A permit arrived. It may be used if it answers the open request and its start has not passed.
    pub(super) fn permitted(
        &mut self,
        now: Instant,
        sent_at: Option<Instant>,
        permit: Permit,
        out: &mut Out,
    ) {
        let target = permit.target;
        let open = self.fences.get(&target).is_some_and(|case| {
            case.attempt == permit.attempt && matches!(case.stage, FenceStage::Asking { .. })
        });
        let start_before = sent_at.map_or(Instant::BOOT, |at| at + self.config.params.start_within);
        if !open {
            if self.fences.get(&target).is_none_or(|case| case.stage.permit() != Some(permit.permit)) {
                let report = Self::report(&permit, FenceOutcome::NotStarted);
                self.say(now, Request::ReportFence(report), out);
            }
            return;
        }
        out.event(Event::Permitted { target, permit: permit.permit });
        let longest = self.plan(target).longest();
        if let Some(case) = self.fences.get_mut(&target) {
            case.permit_until = start_before + longest;
        }
        let stays_off = self.fences.get(&target).is_some_and(|case| case.wish == FenceWish::Off);
        let keep_off = permit.keep_off || stays_off;
        let fence = Fence::new(permit.permit, target, permit.target_boot, keep_off, start_before);
        let next = if now < start_before {
            fence.next(&self.plan(target))
        } else {
            Next::Ended(FenceOutcome::NotStarted)
        };
        self.go_on(now, fence, next, out);
    }

    fn report(permit: &Permit, outcome: FenceOutcome) -> ReportFence {
        let (permit, target, target_boot) = (permit.permit, permit.target, permit.target_boot);
        ReportFence { permit, target, target_boot, outcome, acquire: Vec::new() }
    }

    fn go_on(&mut self, now: Instant, fence: Fence, next: Next, out: &mut Out) {
        let target = fence.target;
        let stage = match next {
            Next::Run { level, device, delay, timeout, start_before } => {
                self.counters.order += 1;
                let order = OrderId(self.counters.order);
                out.event(Event::DeviceStarted { target, level: level + 1, device: device + 1 });
                let action = PowerAction::Off;
                // After a stall a later run could outlast the permit, and meet another fencer at work.
                let over = self.fences.get(&target).map_or(Instant::BOOT, |case| case.permit_until);
                let latest = if mutant::on(Mutant::M44) { start_before } else { over - timeout };
                let start_before = start_before.min(latest);
                let device =
                    DeviceOrder { order, target, level, device, action, start_before, delay, timeout };
                out.push(Effect::Device(device));
                FenceStage::Running { fence, order }
            }
            Next::AskOperator => FenceStage::AwaitingOperator { fence, asked: None },
            Next::Ended(outcome) => {
                out.event(Event::FenceEnded { target, boot: fence.boot, outcome });
                let (permit, target_boot) = (fence.permit, fence.boot);
                let report = ReportFence { permit, target, target_boot, outcome, acquire: Vec::new() };
                FenceStage::Reporting { report, fence, asked: None }
            }
        };
        if let Some(case) = self.fences.get_mut(&target) {
            case.stage = stage;
        }
        self.settle_fence(now, target, true, out);
    }

    /// A device ended.
    pub(super) fn take_verdict(
        &mut self,
        now: Instant,
        order: OrderId,
        verdict: DeviceVerdict,
        out: &mut Out,
    ) {
        let running = self.fences.values().find_map(|case| match &case.stage {
            FenceStage::Running { fence, order: running } if *running == order => Some(fence.clone()),
            FenceStage::Running { .. }
            | FenceStage::Asking { .. }
            | FenceStage::AwaitingOperator { .. }
            | FenceStage::Reporting { .. }
            | FenceStage::Resting { .. } => None,
        });
        let Some(mut fence) = running else { return };
        out.event(Event::DeviceEnded { target: fence.target, level: fence.level() + 1, verdict });
        let plan = self.plan(fence.target);
        let next = fence.ended(&plan, verdict);
        self.go_on(now, fence, next, out);
    }

    /// The witness recorded a report.
    pub(super) fn fence_recorded(&mut self, now: Instant, permit: PermitId, out: &mut Out) {
        let found = self.fences.iter().find_map(|(target, case)| match &case.stage {
            FenceStage::Reporting { report, fence, .. } if fence.permit == permit => {
                Some((*target, report.outcome, fence.clone()))
            }
            // A person's confirmation has taken effect. Nothing was switched off by a device, so nothing is
            // switched on either.
            FenceStage::AwaitingOperator { fence, .. } if fence.permit == permit => {
                let mut fence = fence.clone();
                fence.keep_off = true;
                Some((*target, FenceOutcome::ConfirmedOff, fence))
            }
            FenceStage::Reporting { .. }
            | FenceStage::Asking { .. }
            | FenceStage::Running { .. }
            | FenceStage::AwaitingOperator { .. }
            | FenceStage::Resting { .. } => None,
        });
        let Some((target, outcome, fence)) = found else { return };
        self.no_longer_asks(target, true, out);
        let answer = match outcome {
            FenceOutcome::ConfirmedOff => NodeAnswer::Done,
            FenceOutcome::Unknown => NodeAnswer::Unfinished("no device confirmed the target off".into()),
            FenceOutcome::NotStarted => NodeAnswer::Unfinished("no device was started".into()),
        };
        self.answer_fence(target, answer, out);
        match outcome {
            FenceOutcome::ConfirmedOff => {
                self.fences.remove(&target);
                if !fence.keep_off {
                    self.power_on(target, fence.level(), out);
                }
            }
            FenceOutcome::Unknown => self.rest(target, now + FENCE_AGAIN_AFTER),
            FenceOutcome::NotStarted => self.rest(target, now + self.config.params.suspect_after()),
        }
    }

    fn rest(&mut self, target: NodeId, until: Instant) {
        if let Some(case) = self.fences.get_mut(&target) {
            case.stage = FenceStage::Resting { until };
            case.by_operator = false;
        }
    }

    /// The witness knows no such permit: it ended without this node.
    pub(super) fn permit_refused(&mut self, now: Instant, permit: PermitId, refusal: Refusal, out: &mut Out) {
        let found = self
            .fences
            .iter()
            .find(|(_, case)| case.stage.permit() == Some(permit))
            .map(|(target, _)| *target);
        let Some(target) = found else { return };
        if self.fences.get(&target).is_some_and(|case| matches!(case.stage, FenceStage::Running { .. })) {
            return;
        }
        self.no_longer_asks(target, false, out);
        self.answer_fence(target, NodeAnswer::Refused(refusal), out);
        self.rest(target, now + self.config.params.suspect_after());
    }

    /// Tells that a fence which waits for a person waits no longer; says nothing of any other.
    fn no_longer_asks(&self, target: NodeId, confirmed: bool, out: &mut Out) {
        let asks = |case: &FenceCase| matches!(case.stage, FenceStage::AwaitingOperator { .. });
        if self.fences.get(&target).is_some_and(asks) {
            out.event(Event::OperatorDone { target, confirmed });
        }
    }

    /// A fence that waits for a person ends when its permit does.
    pub(super) fn permits_changed(&mut self, now: Instant, out: &mut Out) {
        let live: Vec<_> = self.view.permits.iter().map(|view| view.permit).collect();
        let over: Vec<_> = self
            .fences
            .iter()
            .filter(|(_, case)| matches!(case.stage, FenceStage::AwaitingOperator { asked: Some(_), .. }))
            .filter(|(_, case)| case.stage.permit().is_some_and(|permit| !live.contains(&permit)))
            .map(|(target, _)| *target)
            .collect();
        for target in over {
            self.no_longer_asks(target, false, out);
            let answer = NodeAnswer::Unfinished("its permit ended before a person confirmed".into());
            self.answer_fence(target, answer, out);
            self.rest(target, now + self.config.params.suspect_after());
        }
    }

    /// Switches the target on again, by every power device of the level that switched it off.
    pub(super) fn power_on(&mut self, target: NodeId, level: u8, out: &mut Out) {
        let plan = self.plan(target);
        let Some(devices) = plan.levels.get(usize::from(level)).map(|level| &level.devices) else { return };
        for (device, index) in devices.iter().zip(0u8..) {
            if device.kind != DeviceKind::Power {
                continue;
            }
            self.counters.order += 1;
            out.push(Effect::Device(DeviceOrder {
                order: OrderId(self.counters.order),
                target,
                level,
                device: index,
                action: PowerAction::On,
                start_before: Instant::NEVER,
                delay: Duration::ZERO,
                timeout: device.timeout,
            }));
        }
    }

    /// Whether a volume is being taken over, so that a failed fence matters to a person.
    #[must_use]
    pub fn is_arbitrating(&self) -> bool {
        self.volumes.values().any(|volume| volume.attempt.is_some() && volume.phase == Phase::Secondary)
    }
}
