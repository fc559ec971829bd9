//! One cluster in the loop: its machine, its connections, and who waits for an answer.

use super::Loaded;
use super::command::{Connection, LinkId, Person};
use super::journal::Journal;
use super::links::{Links, Unsent};
use super::words;
use crate::config::Cluster;
use crate::{claims, codes};
use picket_core::ids::{NodeId, SessionId, StoreId};
use picket_core::message::{OperatorAnswer, OperatorRequest, ToWitness};
use picket_core::time::Instant;
use picket_core::witness::{Config, Effect, Witness};
use std::collections::BTreeMap;
use tokio::sync::{oneshot, watch};

/// A session whose connection ended while something was sent on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended(pub(super) SessionId);

/// One cluster.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) cluster: Cluster,
    pub(super) lab: bool,
    pub(super) witness: Witness,
    pub(super) links: Links,
    pub(super) journal: Journal,
    pub(super) turned_away: u64,
    /// Under which instant the loop has it in its timetable.
    pub(super) due: Option<Instant>,
    answers: BTreeMap<u64, oneshot::Sender<OperatorAnswer>>,
    next_ticket: u64,
    changed: watch::Sender<u64>,
}

impl Machine {
    pub(super) fn new(loaded: Loaded, lab: bool, store: StoreId, now: Instant) -> Self {
        let Loaded { cluster, record } = loaded;
        let config = Config {
            members: cluster.members(),
            volumes: cluster.volumes.iter().map(|volume| (volume.id, volume.members)).collect(),
            digest: cluster.digest(),
            params: cluster.params,
        };
        Self {
            witness: Witness::new(config, record, store, now),
            cluster,
            lab,
            links: Links::default(),
            journal: Journal::default(),
            turned_away: 0,
            due: None,
            answers: BTreeMap::new(),
            next_ticket: 1,
            changed: watch::Sender::new(0),
        }
    }

    /// Changes whenever something did.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn change(&self) {
        self.changed.send_modify(|version| *version += 1);
    }

    /// A new connection takes the place of the node's former one.
    pub(super) fn connect(&mut self, connection: Connection) {
        let name = self.cluster.node_name(connection.node);
        let text = format!("node {name} connected from {}", connection.address);
        if let Some(former) = self.links.open(connection) {
            let address = former.connection.address;
            let text = format!("node {name}: the connection from {address} is replaced by a newer one");
            self.journal.note(&codes::DISCONNECTED, &self.cluster.name, &text);
        }
        self.journal.note(&codes::CONNECTED, &self.cluster.name, &text);
        self.change();
    }

    /// Whether the node's messages on that connection count.
    pub(super) fn hears(&mut self, node: NodeId, link: LinkId, now: Instant) -> bool {
        self.links.heard(node, link, now)
    }

    /// Whether what the message claims can be true. If not, the connection ends with the reason; its session is given.
    pub(super) fn believes(
        &mut self,
        node: NodeId,
        link: LinkId,
        message: &ToWitness,
    ) -> Result<(), Option<SessionId>> {
        claims::believable(self.witness.record(), message).map_err(|unbelievable| {
            let text = unbelievable.to_string();
            let name = self.cluster.node_name(node).to_owned();
            self.turned_away(&format!("node {name}: {text}"));
            self.links.refuse(node, link, &text);
            self.gone(node, link, &text)
        })
    }

    /// A connection ended; its session, if it was the node's newest.
    pub(super) fn gone(&mut self, node: NodeId, link: LinkId, why: &str) -> Option<SessionId> {
        let ended = self.links.close(node, link)?;
        let name = self.cluster.node_name(node);
        let text = format!("node {name} from {}: connection ended: {why}", ended.connection.address);
        self.journal.note(&codes::DISCONNECTED, &self.cluster.name, &text);
        self.change();
        ended.session
    }

    /// Notes an operator's request; the ticket under which its answer will come.
    pub(super) fn ask(
        &mut self,
        person: &Person,
        request: &OperatorRequest,
        answer: oneshot::Sender<OperatorAnswer>,
    ) -> u64 {
        let asked = words::request(&self.cluster, request);
        self.journal.note(&codes::OPERATOR, &self.cluster.name, &format!("{person} asks: {asked}"));
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.answers.insert(ticket, answer);
        ticket
    }

    /// Somebody was refused at the door.
    pub(super) fn turned_away(&mut self, what: &str) {
        self.turned_away += 1;
        self.journal.note(&codes::TURNED_AWAY, &self.cluster.name, what);
        self.change();
    }

    /// Does what was decided and is durable, in order. Gives the sessions whose connections ended with it.
    pub(super) fn apply(&mut self, effects: Vec<Effect>) -> Vec<Ended> {
        let mut ended = Vec::new();
        for effect in effects {
            match effect {
                Effect::Send { node, message } => {
                    if let Err((link, unsent)) = self.links.send(node, &message) {
                        let why = match unsent {
                            Unsent::Full => "it does not read what it is sent",
                            Unsent::Ended => "it closed",
                        };
                        ended.extend(self.gone(node, link, why).map(Ended));
                    }
                }
                Effect::Close { session } => drop(self.links.close_session(session)),
                Effect::OperatorAnswer { ticket, answer } => {
                    let text = format!("answer: {}", words::answer(&self.cluster, &answer));
                    self.journal.note(&codes::OPERATOR, &self.cluster.name, &text);
                    if let Some(waiting) = self.answers.remove(&ticket) {
                        // Whoever asked may have gone; what was done is done.
                        let _ = waiting.send(answer);
                    }
                }
                Effect::Event(event) => {
                    let (code, text) = words::event(&self.cluster, &event);
                    self.journal.note(code, &self.cluster.name, &text);
                    self.change();
                }
                Effect::Alarm(alarm) => {
                    let text = words::alarm(&self.cluster, &alarm);
                    self.journal.note(&codes::ALARM, &self.cluster.name, &text);
                    self.change();
                }
            }
        }
        ended
    }
}
