//! A volume and its driver: commands out, reports in.

use super::state::{Command, CommandKind, Node, Out, Phase, Releasing, Stopping, Volume};
use super::{CommandId, CommandOutcome, Effect, Event, ResetReason, Role, VolumeAction, VolumeReport};
use crate::ids::{NodeId, VolumeId};
use crate::message::{PeerBody, Request, SignedRelease};
use crate::mutant::{self, Mutant};
use crate::time::{Duration, Instant};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// How long a driver may take for what is neither a promote nor a demote, before it is told again.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a failed command is left alone.
pub(super) const COOLDOWN: Duration = Duration::from_millis(200);

impl Volume {
    /// A promotion or a thaw came to a known end. One that was done, and that another order has overtaken, is newer than
    /// what was reported before it.
    fn opening_ended(&mut self, command: CommandId, outcome: &CommandOutcome) {
        if matches!(outcome, CommandOutcome::Unknown(_)) {
            return;
        }
        let promoted = self.promoting.take_if(|promoting| *promoting == command).is_some();
        let thawed = self.thawing.take_if(|thawing| *thawing == command).is_some();
        let overtaken = self.command.is_none_or(|open| open.id != command);
        if let Some(report) = self.report.as_mut().filter(|_| overtaken && *outcome == CommandOutcome::Done) {
            if promoted && report.role == Role::Secondary {
                report.role = Role::Unknown;
            }
            report.frozen &= !thawed;
        }
    }
}

impl Node {
    /// Tells the driver to do something. A newer command takes the place of an older one; the driver works on them
    /// in order.
    pub(super) fn command(&mut self, now: Instant, id: VolumeId, action: VolumeAction, out: &mut Out) {
        let Some(config) = self.config.volumes.get(&id) else { return };
        let (kind, deadline) = match &action {
            VolumeAction::Promote(_) => (CommandKind::Promote, now + config.promote_timeout),
            VolumeAction::Demote { deadline } => (CommandKind::Demote, *deadline),
            VolumeAction::Freeze => (CommandKind::Freeze, now + COMMAND_TIMEOUT),
            VolumeAction::Thaw { .. } => (CommandKind::Thaw, now + COMMAND_TIMEOUT),
            VolumeAction::DropPeer { peer } => (CommandKind::Drop(*peer), now + COMMAND_TIMEOUT),
            VolumeAction::RequirePeer { peer } => (CommandKind::Require(*peer), now + COMMAND_TIMEOUT),
        };
        self.counters.command += 1;
        let command = CommandId(self.counters.command);
        if let Some(volume) = self.volumes.get_mut(&id) {
            volume.command = Some(Command { id: command, kind, deadline });
            match kind {
                CommandKind::Promote => volume.promoting = Some(command),
                CommandKind::Thaw => volume.thawing = Some(command),
                CommandKind::Demote
                | CommandKind::Freeze
                | CommandKind::Drop(_)
                | CommandKind::Require(_) => {}
            }
        }
        out.push(Effect::Volume { volume: id, command, action });
    }

    pub(super) fn take_report(&mut self, now: Instant, id: VolumeId, report: VolumeReport, out: &mut Out) {
        let Some(volume) = self.volumes.get_mut(&id) else { return };
        let role = report.role;
        let changed = volume
            .report
            .as_ref()
            .is_some_and(|old| old.complete != report.complete || old.generation != report.generation);
        volume.met = volume.met.union(report.complete_peers);
        let first = volume.report.replace(report).is_none();
        if changed && let Some(attempt) = &mut volume.attempt {
            // What the witness judges has changed; it is told in full again.
            attempt.asked = None;
        }
        if changed || first {
            self.report_again(out);
        }
        let Some(volume) = self.volumes.get_mut(&id) else { return };
        match (volume.phase, role) {
            (Phase::Unread, Role::Primary | Role::Secondary) => self.first_report(now, id, out),
            // A freeze has overtaken the promotion, which may still be done.
            (Phase::Active(held) | Phase::Frozen(held), Role::Secondary) if volume.promoting.is_some() => {
                self.stop_volume(now, id, held, None, out);
            }
            (Phase::Active(held) | Phase::Frozen(held), Role::Secondary) => {
                self.stopped(now, id, Some(held.epoch), None, out);
            }
            (Phase::Secondary, Role::Primary) => {
                let text = format!("volume {id} became active without a grant; it is stopped");
                out.event(Event::Alarm(text));
                self.stop_found(now, id, out);
            }
            (
                Phase::Unread
                | Phase::Secondary
                | Phase::Promoting(_)
                | Phase::Active(_)
                | Phase::Frozen(_)
                | Phase::Stopping(_)
                | Phase::Failed,
                _,
            ) => {}
        }
    }

    fn stop_found(&mut self, now: Instant, id: VolumeId, out: &mut Out) {
        let Some(config) = self.config.volumes.get(&id) else { return };
        let deadline = now + config.demote_timeout;
        if let Some(volume) = self.volumes.get_mut(&id) {
            volume.phase = Phase::Stopping(Stopping { held: None, successor: None, deadline });
        }
        self.drop_attempt(now, id, out);
        self.command(now, id, VolumeAction::Demote { deadline }, out);
    }

    pub(super) fn take_done(
        &mut self,
        now: Instant,
        id: VolumeId,
        command: CommandId,
        outcome: CommandOutcome,
        out: &mut Out,
    ) {
        let Some(volume) = self.volumes.get_mut(&id) else { return };
        volume.opening_ended(command, &outcome);
        let Some(open) = volume.command.filter(|open| open.id == command) else { return };
        volume.command = None;
        match outcome {
            CommandOutcome::Done => self.done(now, id, open.kind, out),
            CommandOutcome::Failed(text) | CommandOutcome::Unknown(text) => {
                self.failed(now, id, open.kind, text, out)
            }
        }
    }

    fn done(&mut self, now: Instant, id: VolumeId, kind: CommandKind, out: &mut Out) {
        let Some(volume) = self.volumes.get_mut(&id) else { return };
        match (kind, volume.phase) {
            (CommandKind::Promote, Phase::Promoting(held)) => {
                volume.phase = Phase::Active(held);
                volume.promoted_at = now;
                volume.met = volume.report.as_ref().map(|report| report.complete_peers).unwrap_or_default();
                let required =
                    self.disk.volumes.get(&id).map(|disk| disk.maximal_isr().without(self.config.me));
                // What the driver reported since it promoted is newer than what it was told to do.
                let older = |report: &VolumeReport| report.role != Role::Primary || mutant::on(Mutant::M67);
                if let Some(report) = volume.report.as_mut().filter(|report| older(report)) {
                    report.role = Role::Primary;
                    report.required = required.unwrap_or_default();
                }
                out.event(Event::Promoted { volume: id, epoch: held.epoch });
            }
            (CommandKind::Demote, Phase::Stopping(stopping)) => {
                if let Some(report) = &mut volume.report {
                    report.role = Role::Secondary;
                    report.frozen = false;
                }
                self.stopped(now, id, stopping.held.map(|held| held.epoch), stopping.successor, out);
            }
            (CommandKind::Freeze, Phase::Frozen(held))
                if volume.is_seen_secondary() && !mutant::on(Mutant::M84) =>
            {
                // It ended the promotion that it overtook: there is nothing to thaw.
                self.stop_volume(now, id, held, None, out);
            }
            (CommandKind::Freeze, _) => {
                volume.thawing = None;
                if let Some(report) = &mut volume.report {
                    report.frozen = true;
                }
            }
            (CommandKind::Thaw, Phase::Frozen(held)) => self.thawed(id, held, out),
            (CommandKind::Require(peer), _) => {
                if let Some(report) = &mut volume.report {
                    report.required = report.required.with(peer);
                }
            }
            (CommandKind::Drop(peer), _) => {
                if let Some(report) = &mut volume.report {
                    report.required = report.required.without(peer);
                    report.lost = report.lost.without(peer);
                }
            }
            (CommandKind::Promote | CommandKind::Demote | CommandKind::Thaw, _) => {}
        }
    }

    fn failed(&mut self, now: Instant, id: VolumeId, kind: CommandKind, text: String, out: &mut Out) {
        let Some(volume) = self.volumes.get_mut(&id) else { return };
        volume.cooldown_until = now + COOLDOWN;
        match (kind, volume.phase) {
            (CommandKind::Promote, Phase::Promoting(held)) => {
                out.event(Event::PromoteFailed { volume: id, text });
                self.promote_failed(now, id, held, out);
            }
            // Seen inactive is inactive, whatever the order's end was.
            (CommandKind::Demote, Phase::Stopping(_)) if volume.is_verified_inactive() => {}
            (CommandKind::Demote, Phase::Stopping(_)) => self.stop_failed(now, id, text, out),
            (CommandKind::Freeze, Phase::Frozen(held)) => self.stop_volume(now, id, held, None, out),
            (
                CommandKind::Promote
                | CommandKind::Demote
                | CommandKind::Freeze
                | CommandKind::Thaw
                | CommandKind::Drop(_)
                | CommandKind::Require(_),
                _,
            ) => {}
        }
    }

    /// The volume is verified inactive.
    pub(super) fn stopped(
        &mut self,
        now: Instant,
        id: VolumeId,
        epoch: Option<crate::ids::Epoch>,
        successor: Option<NodeId>,
        out: &mut Out,
    ) {
        let Some(volume) = self.volumes.get_mut(&id) else { return };
        volume.phase = Phase::Secondary;
        volume.command = None;
        volume.promoting = None;
        volume.thawing = None;
        volume.updating = None;
        volume.handover = None;
        volume.failsafe = false;
        volume.rounds.clear();
        volume.releasing = epoch.map(|epoch| Releasing { epoch, successor, asked: None, relay_at: now });
        self.run.held.remove(&id);
        out.run = true;
        out.event(Event::Demoted { volume: id });
    }

    /// It cannot be stopped: the node declares itself failed, which cannot be withdrawn, and ends itself.
    fn stop_failed(&mut self, now: Instant, id: VolumeId, text: String, out: &mut Out) {
        if let Some(volume) = self.volumes.get_mut(&id) {
            volume.phase = Phase::Failed;
        }
        self.run.failed = true;
        out.run = true;
        out.event(Event::StopFailed { volume: id, text });
        self.say(now, Request::DeclareFailed, out);
        self.reset(false, ResetReason::StopFailed { volume: id }, out);
    }

    pub(super) fn settle_volume(&mut self, now: Instant, id: VolumeId, out: &mut Out) {
        if self.resetting {
            return;
        }
        self.command_overdue(now, id, out);
        let Some(volume) = self.volumes.get(&id) else { return };
        match volume.phase {
            Phase::Unread | Phase::Promoting(_) | Phase::Failed => {}
            Phase::Secondary => {
                self.settle_release(now, id, out);
                self.settle_attempt(now, id, out);
            }
            Phase::Active(held) if volume.is_seen_frozen() && !mutant::on(Mutant::M71) => {
                // A freeze that was ordered before the promotion was done after it, or the replica was frozen before.
                if let Some(volume) = self.volumes.get_mut(&id) {
                    volume.phase = Phase::Frozen(held);
                }
                self.settle_frozen(now, id, out);
            }
            Phase::Active(_) => {
                self.settle_insync(now, id, out);
                self.settle_handover(now, id, out);
            }
            Phase::Frozen(_) => {
                self.settle_insync(now, id, out);
                self.settle_frozen(now, id, out);
            }
            Phase::Stopping(stopping) => self.settle_stopping(now, id, stopping, out),
        }
    }

    fn command_overdue(&mut self, now: Instant, id: VolumeId, out: &mut Out) {
        let Some(volume) = self.volumes.get_mut(&id) else { return };
        if let Some(command) = volume.command.filter(|command| now >= command.deadline) {
            volume.command = None;
            self.failed(now, id, command.kind, "no answer in time".to_string(), out);
        }
    }

    fn settle_stopping(&mut self, now: Instant, id: VolumeId, stopping: Stopping, out: &mut Out) {
        let Some(volume) = self.volumes.get(&id) else { return };
        if volume.command.is_some() {
            return;
        }
        if !volume.is_verified_inactive() {
            self.command(now, id, VolumeAction::Demote { deadline: stopping.deadline }, out);
        } else if now >= volume.former_orders_until {
            self.stopped(now, id, stopping.held.map(|held| held.epoch), stopping.successor, out);
        }
    }

    /// Tells the witness of a clean end; through peers while it cannot be reached.
    pub(super) fn settle_release(&mut self, now: Instant, id: VolumeId, out: &mut Out) {
        let Some(mut releasing) = self.volumes.get(&id).and_then(|volume| volume.releasing) else { return };
        let session = self.link.session.filter(|_| self.link.registered);
        if session.is_some() && releasing.asked != session {
            let body =
                Request::Release { volume: id, epoch: releasing.epoch, successor: releasing.successor };
            if self.say(now, body, out) {
                releasing.asked = session;
            }
        } else if (session.is_none() || self.is_witness_lost(now)) && now >= releasing.relay_at {
            releasing.relay_at = now + self.config.params.suspect_after();
            for peer in self.relays(id) {
                let release = SignedRelease {
                    volume: id,
                    epoch: releasing.epoch,
                    boot: self.boot,
                    signature: Vec::new(),
                };
                self.tell(peer, PeerBody::RelayRelease { release }, out);
            }
        }
        if let Some(volume) = self.volumes.get_mut(&id) {
            volume.releasing = Some(releasing);
        }
    }

    fn relays(&self, id: VolumeId) -> Vec<NodeId> {
        let members = self.config.volumes.get(&id).map(|config| config.members).unwrap_or_default();
        members.without(self.config.me).iter().collect()
    }
}
