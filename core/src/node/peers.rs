//! Peers: heartbeats out and in, and messages.

use super::state::{Node, Out};
use super::{Effect, Event};
use crate::detector::{Change, NotFresh, Sent};
use crate::ids::{NodeId, NodeSet, PathId, RequestId, VolumeId};
use crate::message::{Beat, Check, PeerBody, PeerMessage, Request};
use crate::mutant::{self, Mutant};
use crate::params::EPOCH_JUMP;
use crate::time::Instant;
use alloc::vec::Vec;

/// A node that beats with the holder waits this part of a heartbeat for a beat of the holder's that is late: more than
/// what timers and a network add to a beat, and less than anybody counts as missed.
const PACE_SLACK: u32 = 16;

impl Node {
    pub(super) fn take_beat(&mut self, now: Instant, path: PathId, beat: &Beat, out: &mut Out) {
        let run = self.run_id;
        let Some(peer) = self.peers.get_mut(&beat.from) else { return };
        let (sent, newest) = (Sent { run, seq: peer.beat_seq }, peer.watch.echo());
        match peer.watch.beat(now, path, beat, sent) {
            Ok(changes) => {
                peer.ever_heard = true;
                let is_new = peer.watch.echo() != newest;
                self.peer_changed(now, beat.from, changes, out);
                self.note_claims(now, beat);
                self.note_epochs(beat, out);
                if is_new {
                    self.keep_pace(now, beat.from, out);
                }
            }
            Err(NotFresh::Replayed | NotFresh::NoSuchPath) => {
                out.event(Event::BeatRefused { peer: beat.from })
            }
            Err(NotFresh::NoEcho) => {}
        }
    }

    /// A holder that is heard and does not say that it holds: it stepped down and could not tell the witness.
    fn note_claims(&mut self, now: Instant, beat: &Beat) {
        for (id, volume) in &mut self.volumes {
            let Some(register) = &volume.register else { continue };
            if register.holder.is_none_or(|holder| holder.node != beat.from) {
                continue;
            }
            if beat.holds.contains(&(*id, register.epoch)) {
                volume.unclaimed_since = None;
            } else {
                volume.unclaimed_since.get_or_insert(now);
            }
        }
    }

    /// A peer holds with an epoch that this node had not seen. One that is further on than any grant leads was burnt
    /// by an override that the witness has not recorded: it must hear of it before it grants anything.
    fn note_epochs(&mut self, beat: &Beat, out: &mut Out) {
        for (id, epoch) in &beat.holds {
            let Some(disk) = self.disk.volumes.get_mut(id).filter(|disk| disk.max_epoch < *epoch) else {
                continue;
            };
            let known = core::mem::replace(&mut disk.max_epoch, *epoch);
            out.disk = true;
            let register = self.volumes.get(id).and_then(|volume| volume.register.as_ref());
            let far = register.map(|register| register.epoch.0 + EPOCH_JUMP);
            if far.is_some_and(|far| known.0 < far && far <= epoch.0) {
                self.close_witness(out);
            }
        }
    }

    fn peer_changed(&mut self, now: Instant, peer: NodeId, changes: Vec<Change>, out: &mut Out) {
        let limit = self.config.params.misses;
        for change in changes {
            match change {
                Change::PathAlive(path) => out.event(Event::PathAlive { peer, path }),
                Change::Missed(path, count) => out.event(Event::HeartbeatMissed { peer, path, count, limit }),
                Change::PathDead(path) => out.event(Event::PathDead { peer, path }),
                Change::Heard => out.event(Event::PeerHeard { peer }),
                Change::Silent => {
                    out.event(Event::PeerSilent { peer });
                    self.say(now, Request::Check(Check::Witness { peer }), out);
                    self.say(now, Request::Check(Check::Quorum), out);
                }
            }
        }
    }

    pub(super) fn is_heard(&self, now: Instant, peer: NodeId) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.watch.is_heard(now, self.config.params.suspect_after()))
    }

    /// The peers that are heard.
    pub(super) fn heard(&self, now: Instant) -> NodeSet {
        self.peers.keys().copied().filter(|peer| self.is_heard(now, *peer)).collect()
    }

    /// Peers that asked for a promise a moment ago.
    pub(super) fn asking(&self, now: Instant) -> NodeSet {
        let within = self.config.params.suspect_after();
        let asks = |peer: &super::state::Peer| peer.asked_at.is_some_and(|at| now.since(at) < within);
        self.peers.iter().filter(|(_, peer)| asks(peer)).map(|(id, _)| *id).collect()
    }

    /// Not heard for as long as makes a sender suspected; a peer that was never heard counts from the start.
    pub(super) fn is_silent(&self, now: Instant, peer: NodeId) -> bool {
        let Some(peer) = self.peers.get(&peer) else { return false };
        let since = peer.watch.heard_at().unwrap_or(self.started);
        now.since(since) >= self.config.params.suspect_after()
    }

    /// A node that took nothing in for so long that a peer's silence can be its own gives each peer that it heard before
    /// one heartbeat more, for what waits to be read.
    pub(super) fn notice_sleep(&mut self, now: Instant) {
        let params = &self.config.params;
        let slept = now.since(self.stepped_at) >= params.sleeps();
        self.stepped_at = now;
        if slept && !mutant::on(Mutant::M85) {
            let at = now - (params.suspect_after() - params.heartbeat);
            self.peers.values_mut().for_each(|peer| peer.watch.excuse(at));
        }
    }

    pub(super) fn settle_peers(&mut self, now: Instant, out: &mut Out) {
        let (heartbeat, misses) = (self.config.params.heartbeat, self.config.params.misses);
        let ids: Vec<_> = self.peers.keys().copied().collect();
        for id in &ids {
            let Some(peer) = self.peers.get_mut(id) else { continue };
            let changes = peer.watch.tick(now, heartbeat, misses);
            self.peer_changed(now, *id, changes, out);
        }
        if now < self.beat_at {
            return;
        }
        // After a stall the missed beats are not made up for: they would say nothing new.
        let next =
            if now.since(self.beat_at) < heartbeat { self.beat_at + heartbeat } else { now + heartbeat };
        self.beat(now, next, out);
    }

    /// A node that holds nothing beats in the instant in which it hears the holder beat: what both say then reaches
    /// the witness together, which wakes once for it. It neither beats more than twice as often for that, nor waits
    /// longer for the holder's beat than [`PACE_SLACK`].
    fn keep_pace(&mut self, now: Instant, from: NodeId, out: &mut Out) {
        if !self.holds().is_empty() || self.pacemaker(now) != Some(from) {
            return;
        }
        let heartbeat = self.config.params.heartbeat;
        let (half, slack, due_in) = (heartbeat / 2, heartbeat / PACE_SLACK, self.beat_at.since(now));
        if due_in <= half + slack {
            self.beat(now, now + heartbeat + slack, out);
        } else {
            // The next of the holder's comes more than half a heartbeat after that.
            self.beat_at = now + (due_in - half - slack);
        }
    }

    /// The first of the peers that are heard to hold something.
    fn pacemaker(&self, now: Instant) -> Option<NodeId> {
        let holds = |peer: &NodeId| {
            self.peers.get(peer).and_then(|peer| peer.watch.said()).is_some_and(|said| !said.holds.is_empty())
        };
        self.heard(now).iter().find(holds)
    }

    /// Beats to everybody. The next one is due at `next`.
    fn beat(&mut self, now: Instant, next: Instant, out: &mut Out) {
        self.beat_at = next;
        self.send_beats(now, out);
        self.heartbeat(now, out);
        self.ask_peers_for_leases(now, out);
    }

    fn send_beats(&mut self, now: Instant, out: &mut Out) {
        let (hears, holds) = (self.heard(now), self.holds());
        let (from, boot, run) = (self.config.me, self.boot, self.run_id);
        for (id, peer) in &mut self.peers {
            peer.beat_seq += 1;
            let (seq, echo) = (peer.beat_seq, peer.watch.echo());
            let beat = Beat { from, boot, run, seq, echo, hears, holds: holds.clone() };
            out.push(Effect::Beat { to: *id, beat });
        }
    }

    /// A number for a question to a peer.
    pub(super) fn next_request(&mut self) -> RequestId {
        self.counters.request += 1;
        RequestId(self.counters.request)
    }

    pub(super) fn tell(&self, to: NodeId, body: PeerBody, out: &mut Out) {
        let message = PeerMessage { boot: self.boot, run: self.run_id, body };
        out.push(Effect::Peer { to, message });
    }

    pub(super) fn take_peer(&mut self, now: Instant, from: NodeId, message: PeerMessage, out: &mut Out) {
        if !self.config.members.contains(from) || from == self.config.me {
            return;
        }
        let run = message.run;
        match message.body {
            PeerBody::FailsafeLease { request, volume, epoch, lease } => {
                if let Some(peer) = self.peers.get_mut(&from) {
                    peer.asked_at = Some(now);
                }
                let promise = self.promise(now, from, volume, epoch, lease, out);
                self.tell(from, PeerBody::FailsafeAnswer { request, run, volume, epoch, promise }, out);
            }
            PeerBody::FailsafeAnswer { request, run, volume, epoch, promise } => {
                self.promised(now, from, (request, run), volume, epoch, &promise, out);
            }
            PeerBody::HandoverOffer { request, volume, epoch } => {
                let ready = self.could_take(now, from, volume, epoch);
                match &ready {
                    Ok(()) => self.expect_handover(now, volume),
                    // The move may have been asked for here.
                    Err(refusal) => self.move_refused(volume, self.config.me, refusal, out),
                }
                self.tell(from, PeerBody::HandoverAnswer { request, volume, ready }, out);
            }
            PeerBody::HandoverAnswer { request, volume, ready } => {
                self.handover_answered(now, from, request, volume, ready, out);
            }
            PeerBody::MoveRequest { volume, to } => {
                if let Err(refusal) = self.offer(now, volume, to, Some(from), out) {
                    out.event(Event::NotGranted { volume, refusal: refusal.clone() });
                    self.tell(from, PeerBody::MoveRefused { volume, to, refusal }, out);
                }
            }
            PeerBody::MoveRefused { volume, to, refusal } => {
                // Only the holder's word ends a move that was asked for here.
                if self.holder_of(volume).is_some_and(|holder| holder.node == from) {
                    self.move_refused(volume, to, &refusal, out);
                }
            }
            PeerBody::RelayRelease { release } => self.relay(now, from, release, out),
        }
    }

    fn relay(&mut self, now: Instant, holder: NodeId, release: crate::message::SignedRelease, out: &mut Out) {
        let id: VolumeId = release.volume;
        if self.volumes.contains_key(&id) {
            self.say(now, Request::RelayRelease { holder, release }, out);
        }
    }
}
