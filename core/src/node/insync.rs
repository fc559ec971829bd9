//! The in-sync set, on the side of the holder.
//!
//! The holder never changes the set by itself: while a required replica is missing its barrier holds writes back,
//! and they go on only when the witness has recorded the removal. A grow is made durable as an intent before it is
//! asked for, and from that moment the replica is required.
//!
//! A refusal does not end a grow: only a newer version does, which nothing that was asked for before can survive. So a
//! holder whose peer the witness does not let in has the set recorded anew as it is, and goes on to the next peer.

use super::state::{CommandKind, Node, Out, Phase, Updating, Volume};
use super::{Barrier, Event, GrowIntent, VolumeAction, VolumeReport};
use crate::error::Refusal;
use crate::ids::{NodeId, NodeSet, VolumeId};
use crate::message::{RegisterView, Request, UpdateInSync};
use crate::mutant::{self, Mutant};
use crate::time::Instant;

/// A node takes so many grows without a known end at most: one for each other member.
const INTENTS_MAX: usize = NodeSet::MAX_NODES as usize;

/// How long a peer that the witness did not let in is not asked for again, in times of suspicion: a wrong configuration
/// or a fence takes a person or a boot, and each try writes to three disks.
const TURNED_DOWN_FOR: u32 = 10;

/// Whether a peer that is required has everything. A promotion requires the peer of a grow whose end is not known also
/// while that one still lacks what was written without it.
fn follows(report: &VolumeReport, peer: NodeId) -> bool {
    report.complete_peers.contains(peer) || mutant::on(Mutant::M67) || mutant::on(Mutant::M89)
}

impl Node {
    pub(super) fn settle_insync(&mut self, now: Instant, id: VolumeId, out: &mut Out) {
        self.settle_barrier(now, id, out);
        self.settle_turned_down(now, id);
        let Some((register, report)) = self.holds_by_record(now, id) else { return };
        let missing = self.missing(now, id, &register, &report);
        if !missing.is_empty() || self.asks_in_vain(id) {
            self.shrink(now, id, &register, &report, missing, out);
        } else {
            self.grow(now, id, &register, &report, out);
        }
    }

    /// Who was turned down may be asked for again after a while, and not before the grow that was refused has ended.
    fn settle_turned_down(&mut self, now: Instant, id: VolumeId) {
        let (Some(volume), Some(disk)) = (self.volumes.get_mut(&id), self.disk.volumes.get(&id)) else {
            return;
        };
        volume
            .turned_down
            .retain(|peer, until| now < *until || disk.intents.iter().any(|intent| intent.peer == *peer));
    }

    /// Whether a grow is open whose peer the witness did not let in.
    fn asks_in_vain(&self, id: VolumeId) -> bool {
        let (Some(volume), Some(disk)) = (self.volumes.get(&id), self.disk.volumes.get(&id)) else {
            return false;
        };
        disk.intents.iter().any(|intent| volume.turned_down.contains_key(&intent.peer))
    }

    /// The register and the report, if the witness has this node as the holder and no change is under way.
    fn holds_by_record(&self, now: Instant, id: VolumeId) -> Option<(RegisterView, VolumeReport)> {
        let volume = self.volumes.get(&id)?;
        let (register, report) = (volume.register.as_ref()?, volume.report.as_ref()?);
        let held = volume.phase.held()?;
        let mine = register.holder.is_some_and(|holder| self.is_me(holder));
        // A driver that has lost sight of its own volume says nothing about others: nobody is removed on its word.
        let sees = report.role == super::Role::Primary || mutant::on(Mutant::M69);
        let free = sees && volume.updating.is_none() && self.link.registered && volume.refused.is_none();
        let free = free && now >= volume.update_after;
        (mine && free && register.epoch == held.epoch).then(|| (register.clone(), report.clone()))
    }

    /// Brings the barrier in line with what is recorded.
    fn settle_barrier(&mut self, now: Instant, id: VolumeId, out: &mut Out) {
        let (Some(volume), Some(disk)) = (self.volumes.get(&id), self.disk.volumes.get(&id)) else { return };
        let without_barrier =
            self.config.volumes.get(&id).is_none_or(|config| config.barrier == Barrier::None);
        if without_barrier || now < volume.cooldown_until {
            return;
        }
        let Some(report) = &volume.report else { return };
        let needed = disk.maximal_isr().without(self.config.me);
        // A peer that is being made required and has been removed meanwhile is not waited for.
        let void = match volume.command.map(|command| command.kind) {
            Some(CommandKind::Require(peer)) => Some(peer).filter(|peer| !needed.contains(*peer)),
            Some(
                CommandKind::Promote
                | CommandKind::Demote
                | CommandKind::Freeze
                | CommandKind::Thaw
                | CommandKind::Drop(_),
            ) => return,
            None => None,
        };
        let spare = report.required.minus(needed).iter().next();
        let lost = report.lost.iter().next().filter(|_| mutant::on(Mutant::M34));
        if let Some(peer) = void.or(spare).or(lost) {
            self.command(now, id, VolumeAction::DropPeer { peer }, out);
            return;
        }
        let absent = needed.minus(report.required).intersection(report.complete_peers).iter().next();
        if let Some(peer) = absent.filter(|_| volume.command.is_none()) {
            self.command(now, id, VolumeAction::RequirePeer { peer }, out);
        }
    }

    /// Members of the maximal view that writes cannot reach.
    fn missing(&self, now: Instant, id: VolumeId, register: &RegisterView, report: &VolumeReport) -> NodeSet {
        let (Some(volume), Some(disk)) = (self.volumes.get(&id), self.disk.volumes.get(&id)) else {
            return NodeSet::EMPTY;
        };
        if self.config.volumes.get(&id).is_some_and(|config| config.barrier == Barrier::None) {
            return NodeSet::EMPTY;
        }
        let all = disk.maximal_isr().union(register.isr).without(self.config.me);
        // After a promotion a replica that is alive needs a moment to follow. To remove it at once would strip a
        // healthy member, and leave nobody if this node died next.
        let fresh =
            now.since(volume.promoted_at) < self.config.params.suspect_after() && !mutant::on(Mutant::M68);
        let comes = |peer| fresh && !volume.met.contains(peer) && !self.is_silent(now, peer);
        let gone = report.lost.intersection(all).union(all.minus(report.connected));
        gone.iter().filter(|peer| !comes(*peer)).collect()
    }

    /// Also without anybody to remove: the new version ends a grow that is open.
    fn shrink(
        &mut self,
        now: Instant,
        id: VolumeId,
        register: &RegisterView,
        report: &VolumeReport,
        missing: NodeSet,
        out: &mut Out,
    ) {
        // A grow whose end is not known is not taken along: the new version makes it void.
        let isr = register.isr.minus(missing).with(self.config.me);
        self.update(now, id, register, report, isr, out);
    }

    fn grow(
        &mut self,
        now: Instant,
        id: VolumeId,
        register: &RegisterView,
        report: &VolumeReport,
        out: &mut Out,
    ) {
        let (Some(volume), Some(config)) = (self.volumes.get(&id), self.config.volumes.get(&id)) else {
            return;
        };
        if !self.may_grow(now, id, volume) {
            return;
        }
        let without_barrier = config.barrier == Barrier::None;
        let Some(disk) = self.disk.volumes.get_mut(&id) else { return };
        if let Some(intent) = disk.intents.first().copied() {
            if without_barrier || report.required.contains(intent.peer) && follows(report, intent.peer) {
                self.update(now, id, register, report, register.isr.with(intent.peer), out);
            }
            return;
        }
        let heard: NodeSet = self.peers.keys().copied().collect();
        let ready =
            if without_barrier { heard } else { report.complete_peers.intersection(report.connected) };
        let candidates = ready.intersection(config.members).minus(register.isr).without(self.config.me);
        let silent: NodeSet = candidates.iter().filter(|peer| !self.is_heard(now, *peer)).collect();
        let turned_down: NodeSet = volume.turned_down.keys().copied().collect();
        let peer = candidates.minus(silent).minus(turned_down).intersection(self.joinable()).iter().next();
        let Some(peer) = peer else { return };
        self.intend(id, peer, register, out);
        if without_barrier {
            self.update(now, id, register, report, register.isr.with(peer), out);
        } else {
            self.command(now, id, VolumeAction::RequirePeer { peer }, out);
        }
    }

    fn may_grow(&self, now: Instant, id: VolumeId, volume: &Volume) -> bool {
        let Phase::Active(held) = volume.phase else { return false };
        // Whoever is alone needs no lease, and is not alone any more from the moment that a peer is asked for.
        let leased = now + self.config.params.freeze_before < held.lease_until
            || mutant::on(Mutant::M58) && self.is_solo(id);
        leased
            && volume.handover.is_none()
            && now >= volume.cooldown_until
            && volume.command.is_none()
            && self.stop.is_none()
    }

    /// Whom the witness may let in, by what it told last.
    fn joinable(&self) -> NodeSet {
        let targets = self.view.permits.iter().map(|permit| permit.target).collect();
        self.view.hears.minus(targets).minus(self.view.held_off).minus(self.view.failed)
    }

    fn intend(&mut self, id: VolumeId, peer: NodeId, register: &RegisterView, out: &mut Out) {
        let Some(disk) = self.disk.volumes.get_mut(&id) else { return };
        if disk.intents.len() < INTENTS_MAX {
            disk.intents.push(GrowIntent { peer, version: register.isr_version });
            out.disk = !mutant::on(Mutant::M25);
        }
    }

    fn update(
        &mut self,
        now: Instant,
        id: VolumeId,
        register: &RegisterView,
        report: &VolumeReport,
        isr: NodeSet,
        out: &mut Out,
    ) {
        let expected = register.isr_version;
        let (epoch, generation) = (register.epoch, report.generation.clone());
        let body = Request::UpdateInSync(UpdateInSync { volume: id, epoch, expected, isr, generation });
        if self.say(now, body, out)
            && let Some(volume) = self.volumes.get_mut(&id)
        {
            volume.updating = Some(Updating { isr, expected });
        }
    }

    /// The witness recorded a change.
    pub(super) fn in_sync(&mut self, now: Instant, register: RegisterView, out: &mut Out) {
        if let Some(volume) = self.volumes.get_mut(&register.volume) {
            volume.updating = None;
        }
        self.learn(now, register, out);
    }

    /// For the log of the holder.
    pub(super) fn tell_change(&self, id: VolumeId, before: NodeSet, isr: NodeSet, out: &mut Out) {
        if self.volumes.get(&id).is_none_or(|volume| volume.phase.held().is_none()) {
            return;
        }
        if !before.is_subset(isr) {
            out.event(Event::ReplicaRemoved { volume: id, isr });
        } else if before != isr {
            out.event(Event::ReplicaAdded { volume: id, isr });
        }
    }

    /// The witness did not record a change: read everything again, on a new session.
    pub(super) fn not_in_sync(&mut self, now: Instant, id: VolumeId, refusal: &Refusal, out: &mut Out) {
        let turned_down = self.turn_down(now, id, refusal, out);
        if let Some(volume) = self.volumes.get_mut(&id) {
            volume.updating = None;
            volume.cooldown_until = now + super::volume::COOLDOWN;
            // After a conflict everything is read anew, and the answer to that is waited for instead. After a grow that
            // was turned down something else is asked for, once.
            let waits = !matches!(refusal, Refusal::VersionConflict { .. }) && !turned_down;
            if waits && !mutant::on(Mutant::M74) {
                volume.update_after = now + super::volume::COOLDOWN;
            }
        }
        if matches!(refusal, Refusal::VersionConflict { .. }) {
            self.close_witness(out);
        }
    }

    /// A set that the witness refuses has somebody in it whom it does not let in now: says whether it was so. The
    /// grow stays open: a store that was lost since can have recorded it, and others can know of that.
    fn turn_down(&mut self, now: Instant, id: VolumeId, refusal: &Refusal, out: &mut Out) -> bool {
        let (Some(volume), Some(disk)) = (self.volumes.get_mut(&id), self.disk.volumes.get_mut(&id)) else {
            return false;
        };
        let joiners = volume.updating.map(|updating| updating.isr.minus(disk.isr)).unwrap_or_default();
        if mutant::on(Mutant::M92) && !joiners.is_empty() {
            disk.intents.clear();
            out.disk = true;
        }
        let judged = matches!(refusal, Refusal::NotAnInSyncSet { .. }) && !joiners.is_empty();
        if judged {
            let until = now + self.config.params.suspect_after() * TURNED_DOWN_FOR;
            volume.turned_down.extend(joiners.iter().map(|peer| (peer, until)));
        }
        judged
    }
}
