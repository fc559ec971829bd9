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

mod config;
mod event;
mod record;
mod session;
mod timers;

pub use config::Config;
pub use event::{Alarm, Effect, Event, Input, PermitEnd, WitnessReady};
pub use record::{Asked, FencedBoot, NodeRecord, PermitRecord, Record, Register, SCHEMA};
pub use session::Session;

use crate::error::Refusal;
use crate::ids::{NodeId, NodeSet, Nonce, StoreId, VolumeId};
use crate::message::{QuorumVerdict, RegisterView, Subject, View, WitnessVerdict};
use crate::time::{Duration, Instant, Instants};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use timers::Timers;

/// The witness machine of one cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Witness {
    config: Config,
    record: Record,
    /// The record holds something that was not handed out for storing yet.
    unsaved: bool,
    sessions: BTreeMap<NodeId, Session>,
    timers: Timers,
    /// Whose data an adopting operator named.
    adopt_source: Option<NodeId>,
    /// Whose claims a recovery found to contradict each other.
    diverged: NodeSet,
}

impl Witness {
    /// A machine that starts at `now`. Without a record the store is new: nothing is granted until every member
    /// has reported or an operator adopts. A record of another store than `store` is treated the same way.
    #[must_use]
    pub fn new(config: Config, record: Option<Record>, store: StoreId, now: Instant) -> Self {
        let _ = now;
        let record = record.unwrap_or(Record { store, ..Record::default() });
        Self {
            config,
            record,
            unsaved: true,
            sessions: BTreeMap::new(),
            timers: Timers::default(),
            adopt_source: None,
            diverged: NodeSet::EMPTY,
        }
    }

    /// Takes one input. `fresh` is unpredictable and new at each call.
    pub fn step(&mut self, now: Instant, input: Input, fresh: Nonce) -> WitnessReady {
        let _ = (now, input, fresh);
        WitnessReady::new(None, Vec::new())
    }

    /// When [`Witness::step`] must be called with [`Input::Tick`] at the latest; none: not before another input.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.next()
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
        self.record.volumes.iter().map(|(volume, register)| register.view(*volume)).collect()
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

    /// What is left of the lease on a volume, guard included; none: nobody has one.
    #[must_use]
    pub fn lease_left(&self, volume: VolumeId, now: Instant) -> Option<Duration> {
        self.timers.leases.get(&volume).map(|until| until.since(now))
    }

    /// Members whose report a recovery waits for; none: not recovering. An empty set waits for a person.
    #[must_use]
    pub fn recovering(&self) -> Option<NodeSet> {
        None
    }

    /// What every member is told: all registers, permits, confirmations, and the state of the nodes.
    #[must_use]
    pub fn view(&self, now: Instant) -> View {
        let _ = now;
        View::default()
    }

    /// The requests that wait, each with what its asker was told that it waits for.
    #[must_use]
    pub fn pending(&self) -> Vec<(NodeId, Subject, Option<Refusal>)> {
        Vec::new()
    }

    /// The quorum check for a node. Advisory.
    #[must_use]
    pub fn quorum(&self, node: NodeId) -> QuorumVerdict {
        let _ = node;
        QuorumVerdict::NoQuorum
    }

    /// The witness check about a peer. Advisory.
    #[must_use]
    pub fn check(&self, peer: NodeId, now: Instant) -> WitnessVerdict {
        let _ = (peer, now);
        WitnessVerdict::Unknown
    }
}

impl Instants for Witness {
    fn instants(&mut self, visit: &mut dyn FnMut(&mut Instant)) {
        self.sessions.instants(visit);
        self.timers.instants(visit);
    }
}
