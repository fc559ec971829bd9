//! Stepping down in time.
//!
//! On every wake-up the leases are looked at before anything else. A holder that is not solo freezes F before its
//! lease ends, then follows its loss action; when the lease has ended and it is not seen inactive, the machine
//! resets itself.

use super::state::{CommandKind, Held, Node, Out, Phase, Stopping, Volume};
use super::{Effect, Event, LossAction, ResetReason, VolumeAction};
use crate::ids::{NodeSet, VolumeId};
use crate::mutant::{self, Mutant};
use crate::time::Instant;
use alloc::vec::Vec;

impl Node {
    /// Whether the node is the only one that can be elected for the volume, as the witness has recorded it above
    /// the version of every grow that this node ever asked for. Such a holder needs no lease.
    #[must_use]
    pub fn is_solo(&self, id: VolumeId) -> bool {
        let Some(volume) = self.volumes.get(&id) else { return false };
        let Some(held) = volume.phase.held() else { return false };
        let Some(disk) = self.disk.volumes.get(&id) else { return false };
        if self.run.failed {
            return false;
        }
        if mutant::on(Mutant::M11) && self.has_heard_nobody() {
            return true;
        }
        let confirmed = match &volume.register {
            Some(register) => {
                register.isr == NodeSet::only(self.config.me)
                    && register.holder.is_some_and(|holder| self.is_me(holder))
                    && register.epoch == held.epoch
            }
            None => self.was_alone(id),
        };
        confirmed && disk.is_settled()
    }

    /// Whether the former daemon was alone with the volume: a daemon that has not heard the witness yet goes by its
    /// records. The newest set that a witness told is this node, no grow was asked for since, and the grant is this
    /// boot's; only the holder can grow the set, so that nobody else could have been elected meanwhile.
    pub(super) fn was_alone(&self, id: VolumeId) -> bool {
        let (Some(held), Some(disk)) = (self.run.held.get(&id), self.disk.volumes.get(&id)) else {
            return false;
        };
        let alone = disk.isr == NodeSet::only(self.config.me) && disk.is_settled();
        let granted = disk.max_epoch == held.epoch && !held.refused && !self.disk.is_by_hand(id);
        alone && granted && !self.run.failed && !mutant::on(Mutant::M82)
    }

    /// Neither the witness nor any peer was heard for as long as makes a sender suspected. For the mutant.
    fn has_heard_nobody(&self) -> bool {
        let now = self.beat_at;
        self.is_witness_lost(now) && self.peers.keys().all(|peer| self.is_silent(now, *peer))
    }

    /// Whether the volume may be written here at `now`: solo, or within the lease.
    pub(super) fn has_authority(&self, now: Instant, id: VolumeId) -> bool {
        let held = self.volumes.get(&id).and_then(|volume| volume.phase.held());
        held.is_some_and(|held| self.is_solo(id) || now < held.lease_until)
    }

    /// Looks at every lease; the first thing in each step, and the last.
    pub(super) fn enforce_leases(&mut self, now: Instant, out: &mut Out) {
        let ids: Vec<_> = self.volumes.keys().copied().collect();
        for id in ids {
            if !self.resetting {
                self.enforce_lease(now, id, out);
            }
        }
    }

    fn enforce_lease(&mut self, now: Instant, id: VolumeId, out: &mut Out) {
        if self.is_solo(id) {
            return;
        }
        let Some(volume) = self.volumes.get(&id) else { return };
        match volume.phase {
            Phase::Promoting(held) | Phase::Active(held) => {
                if now + self.config.params.freeze_before >= held.lease_until {
                    self.freeze(now, id, held, out);
                }
                self.reset_unless_inactive(now, id, held, out);
            }
            Phase::Frozen(held) => {
                if volume.is_seen_frozen() && now + self.config.params.freeze_before >= held.lease_until {
                    self.lose(now, id, held, out);
                }
                self.reset_unless_inactive(now, id, held, out);
            }
            Phase::Stopping(Stopping { held: Some(held), .. }) => {
                self.reset_unless_inactive(now, id, held, out)
            }
            Phase::Unread => {
                let left = self.run.held.get(&id).copied();
                if let Some(held) = left.filter(|_| !self.kept && !self.was_alone(id)) {
                    let held = Held { epoch: held.epoch, lease_until: held.lease_until };
                    self.reset_unless_inactive(now, id, held, out);
                }
            }
            Phase::Secondary | Phase::Failed | Phase::Stopping(Stopping { held: None, .. }) => {}
        }
    }

    fn freeze(&mut self, now: Instant, id: VolumeId, held: Held, out: &mut Out) {
        if let Some(volume) = self.volumes.get_mut(&id) {
            volume.phase = Phase::Frozen(held);
        }
        self.command(now, id, VolumeAction::Freeze, out);
        out.event(Event::Frozen { volume: id });
    }

    /// A thaw that nobody answered may still be done: a freeze after it ends it.
    fn freeze_again(&mut self, now: Instant, id: VolumeId, out: &mut Out) {
        let open = |volume: &Volume| {
            volume.thawing.is_some() && volume.command.is_none_or(|command| command.kind == CommandKind::Thaw)
        };
        if self.volumes.get(&id).is_some_and(open) && !mutant::on(Mutant::M64) {
            self.command(now, id, VolumeAction::Freeze, out);
        }
    }

    /// Authority is lost and the volume is frozen: the loss action.
    fn lose(&mut self, now: Instant, id: VolumeId, held: Held, out: &mut Out) {
        let Some(config) = self.config.volumes.get(&id) else { return };
        let others_live = self.volumes.keys().any(|other| *other != id && self.has_authority(now, *other));
        let spare = others_live && !mutant::on(Mutant::M33);
        match config.loss_action {
            LossAction::Freeze => self.freeze_again(now, id, out),
            LossAction::Osu => self.stop_volume(now, id, held, None, out),
            LossAction::Fastboot | LossAction::Fastkill if spare => {
                self.stop_volume(now, id, held, None, out)
            }
            LossAction::Fastboot => self.reset(false, ResetReason::AuthorityLost { volume: id }, out),
            LossAction::Fastkill => self.reset(true, ResetReason::AuthorityLost { volume: id }, out),
        }
    }

    /// Begins to make a held volume inactive.
    pub(super) fn stop_volume(
        &mut self,
        now: Instant,
        id: VolumeId,
        held: Held,
        successor: Option<crate::ids::NodeId>,
        out: &mut Out,
    ) {
        let Some(config) = self.config.volumes.get(&id) else { return };
        let deadline = now + config.demote_timeout;
        if let Some(volume) = self.volumes.get_mut(&id) {
            volume.phase = Phase::Stopping(Stopping { held: Some(held), successor, deadline });
            volume.handover = None;
            volume.rounds.clear();
        }
        self.command(now, id, VolumeAction::Demote { deadline }, out);
    }

    /// The lease has ended: the volume is seen inactive, or the machine ends.
    fn reset_unless_inactive(&mut self, now: Instant, id: VolumeId, held: Held, out: &mut Out) {
        if now < held.lease_until || self.counts_as_inactive(id) {
            return;
        }
        self.reset(false, ResetReason::NotVerifiedInactive { volume: id }, out);
    }

    /// Seen Secondary, or frozen behind a barrier where that is the loss action.
    pub(super) fn counts_as_inactive(&self, id: VolumeId) -> bool {
        let (Some(volume), Some(config)) = (self.volumes.get(&id), self.config.volumes.get(&id)) else {
            return false;
        };
        let frozen = matches!(volume.phase, Phase::Frozen(_)) && volume.is_verified_frozen();
        volume.is_verified_inactive() || frozen && config.loss_action == LossAction::Freeze
    }

    /// Ends the machine. Nothing is done after it.
    pub(super) fn reset(&mut self, power_off: bool, reason: ResetReason, out: &mut Out) {
        self.resetting = true;
        out.event(Event::Resetting(reason.clone()));
        out.push(Effect::Reset { power_off, reason });
    }

    /// Lifts the freeze of a volume whose authority is back.
    pub(super) fn settle_frozen(&mut self, now: Instant, id: VolumeId, out: &mut Out) {
        let Some(volume) = self.volumes.get(&id) else { return };
        let Phase::Frozen(held) = volume.phase else { return };
        let valid_until = if self.is_solo(id) {
            Instant::NEVER
        } else {
            held.lease_until - self.config.params.freeze_before
        };
        if now >= valid_until || volume.refused.is_some() {
            return;
        }
        let open = volume.command.map(|command| command.kind);
        if volume.is_seen_frozen() {
            if open.is_none() && now >= volume.cooldown_until {
                self.command(now, id, VolumeAction::Thaw { valid_until }, out);
            }
        } else if open.is_none_or(|kind| kind == CommandKind::Thaw) {
            // It was done, whatever its driver can tell of it.
            self.thawed(id, held, out);
        }
    }

    /// The volume is in service again.
    pub(super) fn thawed(&mut self, id: VolumeId, held: Held, out: &mut Out) {
        let Some(volume) = self.volumes.get_mut(&id) else { return };
        if let Some(report) = &mut volume.report {
            report.frozen = false;
        }
        volume.phase = Phase::Active(held);
        out.event(Event::Thawed { volume: id });
    }
}
