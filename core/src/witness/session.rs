//! Sessions: one connection of one node to this running witness, the order of requests on it, and what of them is
//! still pending.
//!
//! ```text
//!  Connected ─► challenged ──Register with its nonce──► registered ─► requests 2, 3, 4 …
//!      └─ ends every older session of the node           a gap ends it, a repeated number is refused
//! ```

use super::clock::Clock;
use super::event::{Effect, Event};
use super::turn::Turn;
use super::{Witness, grant, insync, lease, meatware, membership, permit, release, report, view};
use crate::error::Refusal;
use crate::ids::{BootId, NodeId, NodeSet, Nonce, RequestId, SessionId, VolumeId};
use crate::message::{
    Acquire, FromWitness, ReplicaReport, Reply, Request, RequestFence, Seen, Subject, ToWitness,
};
use crate::mutant::{Mutant, on};
use crate::time::{Instant, Instants};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// The newest connection of a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Session {
    /// Its number.
    pub id: SessionId,
    /// What the registration must repeat; used up by it.
    pub(super) nonce: Option<Nonce>,
    /// The boot that registered; none before.
    pub boot: Option<BootId>,
    /// The newest request that was processed.
    pub processed: RequestId,
    /// The newest heartbeat, until it is too old to say anything.
    pub(super) beat: Option<Beaten>,
    /// What was read of the node's clock.
    pub(super) clock: Option<Clock>,
    /// Requests for a grant that wait; one per volume, which bounds them.
    pub(super) acquires: BTreeMap<VolumeId, Waiting<Acquire>>,
    /// Requests for a permit that wait; one per target, which bounds them.
    pub(super) fences: BTreeMap<NodeId, Waiting<RequestFence>>,
    /// What the node reported at its registration; kept while the witness recovers only.
    pub(super) report: Option<Vec<ReplicaReport>>,
}

/// What a heartbeat said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Beaten {
    /// Until when it says anything about now.
    pub(super) until: Instant,
    pub(super) hears: NodeSet,
}

/// A pending request and what the asker was told last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Waiting<R> {
    pub(super) request: R,
    pub(super) told: Option<Refusal>,
}

impl<R> Waiting<R> {
    pub(super) const fn new(request: R) -> Self {
        Self { request, told: None }
    }
}

impl Session {
    const fn new(id: SessionId, nonce: Nonce) -> Self {
        Self {
            id,
            nonce: Some(nonce),
            boot: None,
            processed: RequestId(0),
            beat: None,
            clock: None,
            acquires: BTreeMap::new(),
            fences: BTreeMap::new(),
            report: None,
        }
    }
}

impl Instants for Session {
    fn instants(&mut self, visit: &mut dyn FnMut(&mut Instant)) {
        if let Some(beat) = &mut self.beat {
            visit(&mut beat.until);
        }
        self.clock.instants(visit);
    }
}

/// A session number that no earlier session of any run has: folded from a number that is new at each call.
const fn session_id(fresh: Nonce) -> SessionId {
    #[allow(clippy::cast_possible_truncation, reason = "the two halves are what is folded")]
    let (high, low) = ((fresh.0 >> 64) as u64, fresh.0 as u64);
    SessionId(high ^ low)
}

/// A connection was opened. Whatever the node had before ends with it, nonces too.
pub(super) fn connected(witness: &mut Witness, turn: &mut Turn, node: NodeId) {
    let id = session_id(turn.fresh);
    if !witness.config.is_member(node) {
        turn.event(Event::SessionRefused { node, refusal: Refusal::NotMember });
        let body = Reply::Refused { subject: Subject::Session, refusal: Refusal::NotMember };
        let (processed, seen) = (RequestId(0), Seen::default());
        turn.effects.push(Effect::Send { node, message: FromWitness { session: id, processed, seen, body } });
        turn.close(id);
        return;
    }
    end(witness, turn, node);
    witness.sessions.insert(node, Session::new(id, turn.fresh));
    witness.send(turn, node, Reply::Challenge { nonce: turn.fresh });
}

/// A connection ended. That is no silence yet: the node counts as heard until its time is over.
pub(super) fn disconnected(witness: &mut Witness, session: SessionId) {
    witness.sessions.retain(|_, s| s.id != session);
}

/// Ends the node's session, if it has one.
pub(super) fn end(witness: &mut Witness, turn: &mut Turn, node: NodeId) {
    if let Some(old) = witness.sessions.remove(&node) {
        turn.close(old.id);
    }
}

/// Refuses the session as a whole, and ends it.
pub(super) fn refuse(witness: &mut Witness, turn: &mut Turn, node: NodeId, refusal: Refusal) {
    turn.event(Event::SessionRefused { node, refusal: refusal.clone() });
    witness.send(turn, node, Reply::Refused { subject: Subject::Session, refusal });
    end(witness, turn, node);
}

/// A message came. It counts only on the node's newest session, and in sequence.
pub(super) fn message(witness: &mut Witness, turn: &mut Turn, node: NodeId, message: ToWitness) {
    let Some(session) = witness.sessions.get_mut(&node) else { return };
    let registers = matches!(message.body, Request::Register(_));
    let unordered = on(Mutant::M24) && registers;
    if session.id != message.session && !unordered {
        return;
    }
    if witness.record.retired {
        let expected = "a witness in service: this store was retired".into();
        refuse(witness, turn, node, Refusal::WrongState { expected });
        return;
    }
    let (expected, came) = (session.processed.0 + 1, message.request.0);
    if came < expected && !unordered {
        let refusal = Refusal::OutOfSequence { expected, came };
        witness.send(turn, node, Reply::Refused { subject: Subject::Session, refusal });
        return;
    }
    if came > expected && !unordered {
        refuse(witness, turn, node, Refusal::OutOfSequence { expected, came });
        return;
    }
    session.processed = message.request;
    if let Request::Register(register) = message.body {
        super::register::register(witness, turn, node, message.seen, register);
        return;
    }
    if session.boot.is_none() {
        let refusal = Refusal::NotRegistered;
        witness.send(turn, node, Reply::Refused { subject: Subject::Session, refusal });
        return;
    }
    if super::recovery::notice(witness, message.seen) {
        // The reports of this session and of all others are of the past now.
        super::recovery::enter(witness, turn, Some(node), None);
        return;
    }
    lease::heard(witness, turn, node);
    request(witness, turn, node, message.body);
}

fn request(witness: &mut Witness, turn: &mut Turn, node: NodeId, body: Request) {
    match body {
        // A session registers once: its nonce is used up.
        Request::Register(_) => refuse(witness, turn, node, Refusal::WrongNonce),
        Request::Heartbeat(heartbeat) => lease::heartbeat(witness, turn, node, &heartbeat),
        Request::Acquire(acquire) => grant::ask(witness, node, acquire),
        Request::Withdraw { attempt } => grant::withdraw(witness, node, attempt),
        Request::UpdateInSync(update) => insync::update(witness, turn, node, &update),
        Request::Release { volume, epoch, successor } => {
            release::release(witness, turn, node, volume, epoch, successor);
        }
        Request::RelayRelease { holder, release } => {
            release::relay(witness, turn, node, holder, &release);
        }
        Request::DeclareFailed => permit::declare_failed(witness, turn, node),
        Request::RequestFence(request) => permit::ask(witness, turn, node, request),
        Request::ReportFence(report) => report::report(witness, turn, node, report),
        Request::AskOperator { permit } => meatware::ask(witness, turn, node, permit),
        Request::Check(check) => view::answer_check(witness, turn, node, check),
        Request::Operator { ticket, request } => {
            membership::operator(witness, turn, request, |witness, turn, answer| {
                witness.send(turn, node, Reply::Operator { ticket, answer });
            });
        }
    }
}
