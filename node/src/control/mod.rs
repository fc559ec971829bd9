//! Where operators' programs ask: gRPC over a unix socket.
//!
//! Who asks is known from the socket's credentials: root, the daemon's own user, and the configured group may;
//! everybody else is refused. What is asked goes to the loop and the answer comes from the core; this room only
//! turns names into numbers and answers into words. Every request that changes something is told as an event with
//! the user who asked.

use crate::condition::Conditions;
use crate::config::Config;
use crate::driver::{self, Ask, Snapshot, Wake};
use crate::event::{OPERATOR, Told};
use crate::events::Events;
use crate::fencer::Fencer;
use crate::fencer::rounds::Tests;
use crate::peer::Peers;
use crate::quorum::Answers;
use crate::resource::Trees;
use crate::site::Site;
use crate::stay::Stay;
use crate::volume::Gaps;
use crate::witness_client::Link;
use core::sync::atomic::AtomicBool;
use core::time::Duration;
use picket_core::ids::{NodeId, NodeSet, VolumeId};
use picket_core::message::OperatorAnswer;
use picket_core::node::{NodeAnswer, NodeRequest};
use picket_core::time::Instant;
use picket_proto::v1;
use std::sync::{Arc, OnceLock};
use tokio::sync::{mpsc, oneshot, watch};
use tonic::{Request, Status};

pub mod door;
mod explain;
mod resources;
mod service;
mod site;
mod status;
mod stay;
mod words;

pub use door::{Listening, listen};
pub(crate) use site::asked as site_asked;
pub(crate) use words::is_overridden;

/// How long a question to the loop may take; it answers within one turn.
const LOOP_MAX: Duration = Duration::from_secs(5);

/// How long an operator's request is waited for, unless the request says else: a little more than the core takes.
const ANSWER_MAX: Duration = Duration::from_secs(65);

/// What the control room needs.
#[derive(Clone, Debug)]
pub struct Desk {
    /// For names.
    pub config: Arc<Config>,
    /// The loop's queue.
    pub queue: mpsc::Sender<Wake>,
    /// Tells that something may have changed.
    pub changed: watch::Receiver<u64>,
    /// The session with the witness, for people.
    pub witness: Link,
    /// The events, for people.
    pub events: Events,
    /// The fences, for people.
    pub fencer: Fencer,
    /// The tests of the fence devices.
    pub tests: Tests,
    /// What the volumes' drivers cannot protect.
    pub gaps: Gaps,
    /// The watchdog, for people.
    pub watchdog: WatchdogStatus,
    /// What the quorum check's last question found, for people.
    pub answers: Answers,
    /// The resources, once they are known.
    pub trees: Arc<OnceLock<Trees>>,
    /// The peers, for what is asked of every node.
    pub peers: Peers,
    /// This node's part in a stop and a start of the whole site.
    pub site: Site,
    /// This node's part in a stop of one whose volumes stay.
    pub stay: Stay,
    /// What this node must have for volumes to be placed on it.
    pub conditions: Conditions,
    /// When the daemon was started.
    pub started: Instant,
    /// Asks the daemon to end, after everything is handed over or left in order.
    pub end: mpsc::Sender<()>,
}

/// What people are told of the watchdog.
#[derive(Clone, Debug, Default)]
pub struct WatchdogStatus {
    /// What it is.
    pub title: String,
    /// It was armed.
    pub armed: bool,
    /// It counts for the lease proof.
    pub counts: bool,
    /// W.
    pub effective: Duration,
    /// The newest pet arrived.
    pub petted: Arc<AtomicBool>,
    /// What there is to say of it.
    pub text: String,
}

impl Desk {
    /// What the core knows now.
    async fn snapshot(&self) -> Result<Box<Snapshot>, Status> {
        match tokio::time::timeout(LOOP_MAX, driver::snapshot(&self.queue)).await {
            Ok(Some(snapshot)) => Ok(snapshot),
            Ok(None) => Err(Status::unavailable("the daemon ends")),
            Err(_) => Err(Status::unavailable(format!("the loop has not answered within {LOOP_MAX:?}"))),
        }
    }

    /// Asks the core and waits for the end.
    async fn ask(&self, request: NodeRequest, wait: Duration) -> Result<NodeAnswer, Status> {
        let (answer, answered) = oneshot::channel();
        let ask = Ask::Operator { request, answer };
        self.queue.send(Wake::Ask(ask)).await.map_err(|_| Status::unavailable("the daemon ends"))?;
        match tokio::time::timeout(wait, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Status::unavailable("the daemon ended before the answer")),
            Err(_) => {
                Ok(NodeAnswer::Unfinished(format!("not over within {wait:?}; its end is in the status")))
            }
        }
    }

    /// The same, told as an event first, with who asked and the answer in words.
    async fn order<T>(
        &self,
        asked: &Request<T>,
        what: String,
        request: NodeRequest,
    ) -> Result<v1::Outcome, Status> {
        self.tell(asked, what);
        Ok(outcome(&self.config, self.ask(request, ANSWER_MAX).await?))
    }

    /// Puts a node on standby, or online again: this one, or a peer through its daemon.
    async fn standby<T>(&self, asked: &Request<T>, name: &str, on: bool) -> Result<v1::Outcome, Status> {
        let node = match self.node(name) {
            Ok(node) => node,
            Err(outcome) => return Ok(outcome),
        };
        let what = format!("{} {name}", if on { "standby" } else { "online" });
        if node == self.config.me {
            let _turn = match self.stay.before(on).await {
                Ok(turn) => turn,
                Err(why) => return Ok(refused("NOT_DONE", why)),
            };
            return self.order(asked, what, NodeRequest::Standby(on)).await;
        }
        self.tell(asked, what);
        let told = self.peers.standby(node, on, ANSWER_MAX).await;
        Ok(told.unwrap_or_else(|why| refused("NOT_REACHED", format!("{name}: {why}; ask on {name} itself"))))
    }

    fn tell<T>(&self, asked: &Request<T>, what: String) {
        self.events.tell(Told::new(OPERATOR, format!("{}: {what}", door::who(asked))));
    }

    fn node(&self, name: &str) -> Result<NodeId, v1::Outcome> {
        self.config.node_named(name).ok_or_else(|| refused("NO_SUCH_NODE", format!("{name:?} is no member")))
    }

    fn nodes(&self, names: &[String]) -> Result<NodeSet, v1::Outcome> {
        names.iter().try_fold(NodeSet::EMPTY, |nodes, name| Ok(nodes.with(self.node(name)?)))
    }

    fn volume(&self, tag: &str) -> Result<VolumeId, v1::Outcome> {
        self.config
            .volume_named(tag)
            .ok_or_else(|| refused("NO_SUCH_VOLUME", format!("{tag:?} is no volume")))
    }
}

pub(crate) fn refused(word: &str, text: impl Into<String>) -> v1::Outcome {
    let refused = v1::Refused { word: word.to_owned(), text: text.into() };
    v1::Outcome { result: Some(v1::outcome::Result::Refused(refused)) }
}

fn underway(text: String) -> v1::Outcome {
    v1::Outcome { result: Some(v1::outcome::Result::Underway(v1::Underway { text })) }
}

pub(crate) fn done(text: impl Into<String>, effective_in: Option<Duration>) -> v1::Outcome {
    let effective_in_ms = effective_in.map(|length| u64::try_from(length.as_millis()).unwrap_or(u64::MAX));
    v1::Outcome { result: Some(v1::outcome::Result::Done(v1::Done { text: text.into(), effective_in_ms })) }
}

/// An answer of the core, for people.
pub(crate) fn outcome(config: &Config, answer: NodeAnswer) -> v1::Outcome {
    match answer {
        NodeAnswer::Done | NodeAnswer::Witness(OperatorAnswer::Done) => done("done", None),
        NodeAnswer::Kept(volumes) => {
            let names: Vec<_> = volumes.iter().map(|id| config.volume_name(*id)).collect();
            let text = format!(
                "done; {} stays in service on {}, because no other node can take it now, and moves when one can",
                names.join(", "),
                config.name
            );
            done(text, None)
        }
        NodeAnswer::Witness(OperatorAnswer::Confirmed { effective_in, .. }) => {
            done("confirmed", Some(effective_in))
        }
        NodeAnswer::Refused(refusal) | NodeAnswer::Witness(OperatorAnswer::Refused(refusal)) => {
            refused(refusal.word(), refusal.told(config))
        }
        NodeAnswer::Unfinished(text) => underway(text),
    }
}
