//! The witness machine of one cluster.
//!
//! Idea: one register per volume that changes by compare-and-swap only, and three-valued verdicts over it. A
//! request that lacks only a proof or only silence stays pending and is judged again at each input and at each
//! exact deadline, so that nobody polls.
//!
//! Contract: [`Witness::step`] takes the time, one input and a fresh unpredictable number, and answers with the
//! record to make durable and the effects that depend on it. The driver calls it with [`Input::Tick`] at
//! [`Witness::deadline`] at the latest; a late tick delays, it never endangers.
//!
//! ```text
//!  input ─► expire (timers) ─► the input ─► settle (judge what is pending) ─► record, answers, pushed views
//! ```

mod clock;
mod config;
mod event;
mod expire;
mod grant;
mod insync;
mod invariants;
mod lease;
mod meatware;
mod membership;
mod permit;
mod record;
mod recovery;
mod register;
mod release;
mod report;
mod session;
mod start;
mod timers;
mod turn;
mod view;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use event::{Alarm, Effect, Event, Input, PermitEnd, WitnessReady};
pub use permit::LEVELS_MAX;
pub use record::{
    ABSORBED_MAX, Asked, FencedBoot, NodeRecord, PermitRecord, Record, Register, SCHEMA, SUPERSEDED_MAX,
};
pub use session::Session;

use crate::error::Refusal;
use crate::ids::{NodeId, NodeSet, Nonce, StoreId, VolumeId};
use crate::message::{FromWitness, QuorumVerdict, RegisterView, Reply, Seen, Subject, View, WitnessVerdict};
use crate::mutant::{Mutant, on};
use crate::time::{Duration, Instant, Instants};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use timers::Timers;
use turn::Turn;

/// The witness machine of one cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Witness {
    config: Config,
    record: Record,
    /// The record holds something that was not handed out for storing yet.
    unsaved: bool,
    sessions: BTreeMap<NodeId, Session>,
    timers: Timers,
    wake: Wake,
    /// Whose data an adopting operator named.
    adopt_source: Option<NodeId>,
    /// Without whose reports an adoption that is waited for shall do.
    adopts_without: NodeSet,
    /// Whose data an operator's word took, of the volumes of a recovery whose claims contradicted each other.
    adopted_from: BTreeMap<VolumeId, NodeId>,
    /// Whose claims a recovery found to contradict each other.
    diverged: NodeSet,
}

/// When the process ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Wake {
    /// It took its last input.
    stepped_at: Instant,
    /// Since then it took one at least every heartbeat and a half.
    awake_since: Instant,
    /// It had then been awake for a heartbeat, and had read what had come.
    drained_at: Instant,
}

impl Witness {
    /// A machine that starts at `now`. Without a record the store is new: nothing is granted until every member
    /// has reported or an operator adopts. A record of another store than `store` is treated the same way.
    #[must_use]
    pub fn new(config: Config, record: Option<Record>, store: StoreId, now: Instant) -> Self {
        start::start(config, record, store, now)
    }

    /// Takes one input. `fresh` is unpredictable and new at each call.
    pub fn step(&mut self, now: Instant, input: Input, fresh: Nonce) -> WitnessReady {
        let record = self.record.clone();
        let shown = view::view(self, None);
        let mut turn = Turn::new(now, fresh);
        self.notice_stall(now);
        expire::expire(self, &mut turn);
        match input {
            Input::Tick => {}
            Input::Connected { node } => session::connected(self, &mut turn, node),
            Input::Disconnected { session } => session::disconnected(self, session),
            Input::Message { node, message } => session::message(self, &mut turn, node, message),
            Input::Operator { ticket, request } => {
                membership::operator(self, &mut turn, request, |_, turn, answer| {
                    turn.effects.push(Effect::OperatorAnswer { ticket, answer });
                });
            }
        }
        self.void_words(&mut turn);
        self.settle(&mut turn);
        view::push(self, &mut turn, &shown);
        invariants::watch(&record, &self.record, &mut turn);
        self.finish(&record, turn)
    }

    /// A witness that has slept has signs of life, renewals, withdrawals and reports to read that came meanwhile. When it
    /// was not awake for a whole heartbeat since so long that somebody's silence can be its own, in one sleep or in
    /// several, it takes them first, until it was, and judges then.
    fn notice_stall(&mut self, now: Instant) {
        let params = &self.config.params;
        if now.since(self.wake.stepped_at) >= params.heartbeat * 3 / 2 {
            self.wake.awake_since = now;
        }
        self.wake.stepped_at = now;
        if now.since(self.wake.awake_since) >= params.heartbeat {
            self.wake.drained_at = now;
        } else if now.since(self.wake.drained_at) >= params.sleeps() && !on(Mutant::M73) {
            let until = self.wake.awake_since + params.heartbeat;
            self.timers.catching_up_until = Some(until);
            if !on(Mutant::M81) {
                self.timers.put_off(until);
            }
        }
    }

    /// What a person has said, and does not count yet, ends with what speaks against it. A sign of life that was read is
    /// true also while the witness catches up.
    fn void_words(&mut self, turn: &mut Turn) {
        if !self.record.retired {
            meatware::void_heard(self, turn);
            recovery::void_adoption(self, turn);
        }
    }

    /// Judges what is pending until nothing changes any more. Each further round follows a request that is no
    /// longer pending, so that there are no more rounds than requests.
    fn settle(&mut self, turn: &mut Turn) {
        if self.record.retired || self.timers.catching_up_until.is_some() {
            return;
        }
        loop {
            let granted = grant::settle(self, turn);
            let permitted = permit::settle(self, turn);
            if !granted && !permitted {
                return;
            }
        }
    }

    /// Counts the change, if there is one, and stamps it on every message that depends on it.
    fn finish(&mut self, before: &Record, mut turn: Turn) -> WitnessReady {
        let changed = self.unsaved || self.record != *before;
        if changed {
            self.record.commit.0 += 1;
            self.unsaved = false;
        }
        let position = self.position();
        for effect in &mut turn.effects {
            if let Effect::Send { message, .. } = effect {
                message.seen = position;
            }
        }
        WitnessReady::new(changed.then(|| self.record.clone()), turn.effects)
    }

    /// Sends on the node's session, if it has one.
    fn send(&self, turn: &mut Turn, node: NodeId, body: Reply) {
        if let Some(session) = self.sessions.get(&node) {
            let (session, processed, seen) = (session.id, session.processed, self.position());
            turn.effects.push(Effect::Send { node, message: FromWitness { session, processed, seen, body } });
        }
    }

    const fn position(&self) -> Seen {
        Seen { store: self.record.store, commit: self.record.commit }
    }

    fn register(&self, volume: VolumeId) -> Result<&Register, Refusal> {
        let configured = self.config.volumes.contains_key(&volume);
        self.record.volumes.get(&volume).filter(|_| configured).ok_or(Refusal::NoSuchVolume { volume })
    }

    /// The registers of the configured volumes. Those of former volumes are kept, and play no part.
    fn in_service(&self) -> impl Iterator<Item = (VolumeId, &Register)> {
        let configured = |volume: &VolumeId| self.config.volumes.contains_key(volume);
        self.record.volumes.iter().filter(move |(volume, _)| configured(volume)).map(|(v, r)| (*v, r))
    }

    fn volume_members(&self, volume: VolumeId) -> NodeSet {
        self.config.volumes.get(&volume).copied().unwrap_or(NodeSet::EMPTY)
    }

    /// The live permit against the node, whichever of its boots it is for.
    fn permit_against(&self, node: NodeId) -> Option<PermitRecord> {
        let known = self.record.nodes.get(&node)?;
        known.permit.filter(|live| !on(Mutant::M23) || known.boot == Some(live.target_boot))
    }

    /// Whether the node may hold anything: it is not to be fenced and did not declare itself failed.
    fn may_act(&self, node: NodeId) -> Result<(), Refusal> {
        if let Some(live) = self.permit_against(node) {
            return Err(Refusal::TargetOfPermit { permit: live.id });
        }
        match self.record.nodes.get(&node) {
            Some(known) if known.failed.is_none() => Ok(()),
            Some(_) => Err(Refusal::DeclaredFailed),
            None => Err(Refusal::NotMember),
        }
    }

    /// The nodes whose newest heartbeat says that they hear the target.
    fn heard_by(&self, target: NodeId) -> NodeSet {
        let hears = |session: &Session| session.beat.is_some_and(|beat| beat.hears.contains(target));
        let hearing = self.sessions.iter().filter(|(node, session)| **node != target && hears(session));
        hearing.map(|(node, _)| *node).collect()
    }

    /// Whether anybody hears the target: the witness itself, or a node by its newest heartbeat.
    fn is_heard(&self, target: NodeId) -> bool {
        self.hears().contains(target) || !self.heard_by(target).is_empty()
    }

    /// How long after a person's word it counts. Whoever it is about may still have a lease of longer timings.
    fn attestation_wait(&self) -> Duration {
        if on(Mutant::M86) {
            return self.config.attestation_wait();
        }
        let longer = self.record.lease_and_guard.saturating_sub(self.config.params.lease_and_guard());
        self.config.attestation_wait() + longer
    }

    /// Who hears the target, or cannot tell: the witness itself stands for an empty set. None: it is missed by
    /// everybody who could hear it, and by `asker` for certain.
    fn seen_alive(&self, target: NodeId, asker: Option<NodeId>) -> Option<NodeSet> {
        let by = self.heard_by(target);
        let misses = self.timers.blind_until.is_none() && !self.hears().contains(target);
        let silent = |asker: &NodeId| self.sessions.get(asker).is_none_or(|session| session.beat.is_none());
        match asker.filter(silent) {
            _ if !by.is_empty() => Some(by),
            _ if !misses => Some(NodeSet::EMPTY),
            asker => asker.map(NodeSet::only),
        }
    }

    /// When [`Witness::step`] must be called with [`Input::Tick`] at the latest; none: not before another input.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let beats = self.sessions.values().filter_map(|session| session.beat.map(|beat| beat.until));
        self.timers.next().into_iter().chain(beats).min()
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The durable record as it stands.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// Every volume's register.
    #[must_use]
    pub fn registers(&self) -> Vec<RegisterView> {
        self.in_service().map(|(volume, register)| register.view(volume)).collect()
    }

    /// The newest session of each node.
    #[must_use]
    pub const fn sessions(&self) -> &BTreeMap<NodeId, Session> {
        &self.sessions
    }

    /// The members that the witness hears.
    #[must_use]
    pub fn hears(&self) -> NodeSet {
        self.timers.heard.keys().copied().collect()
    }

    /// The peers that a node says it hears; empty if it says nothing about now.
    #[must_use]
    pub fn hears_of(&self, node: NodeId, now: Instant) -> NodeSet {
        let beat = self.sessions.get(&node).and_then(|session| session.beat.as_ref());
        beat.filter(|beat| beat.until > now).map_or(NodeSet::EMPTY, |beat| beat.hears)
    }

    /// What is left of the lease on a volume, guard included; none: nobody has one.
    #[must_use]
    pub fn lease_left(&self, volume: VolumeId, now: Instant) -> Option<Duration> {
        self.timers.leases.get(&volume).map(|until| until.since(now))
    }

    /// Members whose report a recovery waits for; none: not recovering. An empty set waits for a person.
    #[must_use]
    pub fn recovering(&self) -> Option<NodeSet> {
        self.record.recovery.then(|| recovery::missing(self))
    }

    /// What every member is told: all registers, permits, confirmations, and the state of the nodes.
    #[must_use]
    pub fn view(&self, now: Instant) -> View {
        view::view(self, Some(now))
    }

    /// The requests that wait, each with what its asker was told that it waits for.
    #[must_use]
    pub fn pending(&self) -> Vec<(NodeId, Subject, Option<Refusal>)> {
        let mut pending = Vec::new();
        for (node, session) in &self.sessions {
            for (volume, waiting) in &session.acquires {
                let subject = Subject::Acquire { volume: *volume, attempt: waiting.request.attempt };
                pending.push((*node, subject, waiting.told.clone()));
            }
            for (target, waiting) in &session.fences {
                let subject = Subject::Fence { target: *target, attempt: waiting.request.attempt };
                pending.push((*node, subject, waiting.told.clone()));
            }
        }
        pending
    }

    /// The quorum check for a node. Advisory.
    #[must_use]
    pub fn quorum(&self, node: NodeId) -> QuorumVerdict {
        view::quorum(self, node)
    }

    /// The witness check about a peer. Advisory.
    #[must_use]
    pub fn check(&self, peer: NodeId, now: Instant) -> WitnessVerdict {
        view::peer_check(self, peer, now)
    }
}

impl Instants for Witness {
    fn instants(&mut self, visit: &mut dyn FnMut(&mut Instant)) {
        self.sessions.instants(visit);
        self.timers.instants(visit);
        let Wake { stepped_at, awake_since, drained_at } = &mut self.wake;
        [stepped_at, awake_since, drained_at].into_iter().for_each(visit);
    }
}
