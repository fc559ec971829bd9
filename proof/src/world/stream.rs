//! Ordered streams between processes: they hang while they are obstructed, and break after a while.
//!
//! Each end has its own view of which connection is up; the two may differ for a while. What was sent before a
//! break may still arrive at an end that has not seen it.

use super::World;
use super::clock::{MS, Time};
use super::event::{Ev, Msg};
use super::machine::Power;
use super::net::{Lane, Place, WITNESS, place};
use picket_core::ids::{NodeId, SessionId};
use picket_core::message::Request;
use picket_core::{node, witness};
use std::collections::{BTreeMap, VecDeque};

/// Of the messages of a haunted stream so many are delivered once more, per mille. One that is repeated within its
/// own session ends it, so that more of them would only keep the witness away.
const REPEATED: u64 = 30;

/// The same for registrations, which are rare.
const REGISTRATIONS_REPEATED: u64 = 500;

/// Of the words of the witness to a node to which it repeats itself so many are delivered once more, per mille.
const SAID_AGAIN: u64 = 200;
/// A ghost arrives within this: longer than a machine takes to boot.
const GHOSTS_WITHIN: u64 = 8000 * MS;

/// One connection, never used again.
pub type ConnId = u64;

/// A stream: what it carries, and its two ends, the lower place first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// [`Lane::Witness`], [`Lane::Peer`] or [`Lane::Repl`].
    pub lane: Lane,
    /// The lower end.
    pub low: Place,
    /// The higher end.
    pub high: Place,
}

/// A stream's state.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// Which connection each end takes for up: low, high.
    ends: [Option<ConnId>; 2],
    /// When the newest message of each direction arrives: to low, to high.
    newest: [Time; 2],
    /// What arrived and could not be taken yet.
    stash: [VecDeque<(ConnId, Msg)>; 2],
    obstructed_since: Option<Time>,
    hangs_for: u64,
    connecting: bool,
    /// The witness's session on its end's connection.
    pub(super) session: Option<SessionId>,
}

/// All streams.
pub type Streams = BTreeMap<StreamId, Stream>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Process {
    Runs,
    /// It exists and does not move.
    Stands,
    /// Its machine answers that it is gone.
    Gone,
    /// Its machine says nothing.
    Dead,
}

impl StreamId {
    /// The stream of a lane between two places.
    #[must_use]
    pub fn new(lane: Lane, a: Place, b: Place) -> Self {
        Self { lane, low: a.min(b), high: a.max(b) }
    }

    const fn end(self, high: bool) -> Place {
        if high { self.high } else { self.low }
    }

    const fn other(self, end: Place) -> Place {
        if end == self.low { self.high } else { self.low }
    }
}

/// How often a message of a haunted stream is repeated, per mille. What replicas say is bound to one connection.
fn repeated(msg: &Msg) -> u64 {
    match msg {
        Msg::ToWitness(message) if matches!(message.body, Request::Register(_)) => REGISTRATIONS_REPEATED,
        Msg::ToWitness(_) | Msg::FromWitness(_) | Msg::Peer(_) => REPEATED,
        Msg::Repl(..) | Msg::Close => 0,
    }
}

impl World {
    fn process(&self, lane: Lane, end: Place) -> Process {
        if end == WITNESS {
            return match (self.witness.is_up(), self.witness.stalls) {
                (true, 0) => Process::Runs,
                (true, _) => Process::Stands,
                (false, _) => Process::Gone,
            };
        }
        let machine = self.machine(NodeId(end));
        if machine.power != Power::On {
            return Process::Dead;
        }
        if !machine.runs() {
            return Process::Stands;
        }
        if lane == Lane::Repl {
            return Process::Runs;
        }
        match (&machine.daemon, machine.daemon_stalls) {
            (None, _) => Process::Gone,
            (Some(_), 0) => Process::Runs,
            (Some(_), _) => Process::Stands,
        }
    }

    fn is_obstructed(&self, id: StreamId) -> bool {
        let cut = self.net.is_cut(id.lane, id.low, id.high) || self.net.is_cut(id.lane, id.high, id.low);
        let runs = |end| self.process(id.lane, end) == Process::Runs;
        cut || !runs(id.low) || !runs(id.high)
    }

    /// Sends, if this end takes the stream for up.
    pub(super) fn send(&mut self, id: StreamId, from: Place, msg: Msg, added: u64) -> bool {
        let to_high = from == id.low;
        let latency = self.net.latency(&mut self.rng, from, id.other(from)) + added;
        let now = self.now;
        let Some(stream) = self.streams.get_mut(&id) else { return false };
        let Some(conn) = stream.ends[usize::from(!to_high)] else { return false };
        let at = (now + latency).max(stream.newest[usize::from(to_high)]);
        stream.newest[usize::from(to_high)] = at;
        self.put(at, Ev::Deliver { stream: id, conn, to_high, msg });
        true
    }

    pub(super) fn deliver(&mut self, id: StreamId, conn: ConnId, to_high: bool, msg: Msg) {
        let to = id.end(to_high);
        let passes =
            !self.net.is_cut(id.lane, id.other(to), to) && self.process(id.lane, to) == Process::Runs;
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.ends[usize::from(to_high)] != Some(conn) {
            self.becomes_ghost(id, to_high, msg);
            return;
        }
        let stash = &mut stream.stash[usize::from(to_high)];
        if !passes || !stash.is_empty() {
            stash.push_back((conn, msg));
            return;
        }
        let again = self.is_repeated(to, &msg) && self.rng.permille(SAID_AGAIN);
        if again || self.haunts(id) && self.rng.permille(repeated(&msg)) {
            self.comes_later(id, to_high, msg.clone());
        }
        // What comes again, or outlives its connection, was overtaken by what was said since.
        if let Msg::FromWitness(message) = &msg {
            self.note_refusal(NodeId(to), message);
        }
        self.arrive(id, conn, to, msg);
    }

    fn arrive(&mut self, id: StreamId, conn: ConnId, to: Place, msg: Msg) {
        let from = id.other(to);
        match msg {
            Msg::ToWitness(message) => {
                let input = witness::Input::Message { node: NodeId(from), message: *message };
                self.witness_input(input);
            }
            Msg::FromWitness(message) => {
                self.daemon_input(NodeId(to), node::Input::Witness(*message));
            }
            Msg::Peer(message) => {
                let input = node::Input::Peer { from: NodeId(from), message: *message };
                self.daemon_input(NodeId(to), input);
            }
            Msg::Repl(volume, message) => self.repl_arrives(NodeId(to), NodeId(from), volume, *message),
            Msg::Close => self.broken(id, conn, to == id.high),
        }
    }

    /// Whether messages outlive the connections of this stream.
    fn haunts(&self, id: StreamId) -> bool {
        let touches = |end: Place| end != WITNESS && self.ghosts.contains(NodeId(end));
        touches(id.low) || touches(id.high)
    }

    /// Whether this may be said twice.
    fn is_repeated(&self, to: Place, msg: &Msg) -> bool {
        matches!(msg, Msg::FromWitness(_)) && self.repeated.contains(NodeId(to))
    }

    /// A message that its connection does not deliver arrives later, if the stream is haunted.
    fn becomes_ghost(&mut self, id: StreamId, to_high: bool, msg: Msg) {
        if repeated(&msg) > 0 && self.haunts(id) {
            self.comes_later(id, to_high, msg);
        }
    }

    fn comes_later(&mut self, id: StreamId, to_high: bool, msg: Msg) {
        let at = self.now + self.rng.range(0, GHOSTS_WITHIN);
        self.put(at, Ev::Ghost { stream: id, to_high, msg });
    }

    pub(super) fn ghost_arrives(&mut self, id: StreamId, to_high: bool, msg: Msg) {
        let to = id.end(to_high);
        if self.process(id.lane, to) == Process::Runs && !self.net.is_cut(id.lane, id.other(to), to) {
            self.log.line(self.now, "****", || format!("a ghost from {} to {to}", id.other(to)));
            self.arrive(id, ConnId::MAX, to, msg);
        }
    }

    /// Looks at a stream again after something that it depends on changed.
    pub(super) fn reconsider(&mut self, id: StreamId) {
        let obstructed = self.is_obstructed(id);
        let now = self.now;
        let hang = self.rng.range(500 * MS, 2500 * MS);
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let [low, high] = stream.ends;
        if low != high {
            self.one_ended(id);
            if id.low == WITNESS && high.is_none() {
                self.connect_later(id);
            }
        } else if let Some(conn) = low {
            if !obstructed {
                stream.obstructed_since = None;
            } else if stream.obstructed_since.is_none() {
                stream.obstructed_since = Some(now);
                stream.hangs_for = hang;
                self.put(now + hang, Ev::StreamCheck { stream: id, conn });
            }
            self.flush(id);
        } else {
            self.connect_later(id);
        }
    }

    fn flush(&mut self, id: StreamId) {
        for to_high in [false, true] {
            let Some(stream) = self.streams.get_mut(&id) else { return };
            let stash = std::mem::take(&mut stream.stash[usize::from(to_high)]);
            let now = self.now;
            stream.newest[usize::from(to_high)] = stream.newest[usize::from(to_high)].max(now);
            for (conn, msg) in stash {
                self.put(now, Ev::Deliver { stream: id, conn, to_high, msg });
            }
        }
    }

    /// Only one end takes the stream for up: it learns better, at once from a machine that answers, else later.
    fn one_ended(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get(&id) else { return };
        for high in [false, true] {
            let Some(conn) = stream.ends[usize::from(high)] else { continue };
            let other = id.other(id.end(high));
            let cut = self.net.is_cut(id.lane, other, id.end(high));
            let answers = !cut && matches!(self.process(id.lane, other), Process::Runs | Process::Gone);
            let after =
                if answers { self.rng.range(MS / 10, 2 * MS) } else { self.rng.range(500 * MS, 2500 * MS) };
            self.put(self.now + after, Ev::Broken { stream: id, conn, high });
            return;
        }
    }

    pub(super) fn stream_check(&mut self, id: StreamId, conn: ConnId) {
        let now = self.now;
        let Some(stream) = self.streams.get(&id) else { return };
        let due = stream.obstructed_since.is_some_and(|since| now.since(since) >= stream.hangs_for);
        if stream.ends != [Some(conn); 2] || !due {
            return;
        }
        for high in [false, true] {
            let after = self.rng.range(0, 300 * MS);
            self.put(now + after, Ev::Broken { stream: id, conn, high });
        }
    }

    /// One end learns that the connection is over.
    pub(super) fn broken(&mut self, id: StreamId, conn: ConnId, high: bool) {
        let end = id.end(high);
        if self.process(id.lane, end) == Process::Stands {
            self.put(self.now + 50 * MS, Ev::Broken { stream: id, conn, high });
            return;
        }
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.ends[usize::from(high)] != Some(conn) {
            return;
        }
        stream.ends[usize::from(high)] = None;
        stream.obstructed_since = None;
        let undelivered = std::mem::take(&mut stream.stash[usize::from(high)]);
        let session = if end == WITNESS { stream.session.take() } else { None };
        undelivered.into_iter().for_each(|(_, msg)| self.becomes_ghost(id, high, msg));
        if let Some(session) = session {
            self.witness_input(witness::Input::Disconnected { session });
        } else if id.lane == Lane::Witness && end != WITNESS {
            self.daemon_input(NodeId(end), node::Input::WitnessGone);
        } else if id.lane == Lane::Repl {
            self.repl_link(NodeId(end), NodeId(id.other(end)), false);
        }
        self.reconsider(id);
    }

    /// An end lets go by itself, or ended: nobody tells it.
    pub(super) fn let_go(&mut self, id: StreamId, end: Place) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let high = end == id.high;
        if stream.ends[usize::from(high)].take().is_some() {
            stream.obstructed_since = None;
            if end == WITNESS {
                stream.session = None;
            }
            let undelivered = std::mem::take(&mut stream.stash[usize::from(high)]);
            undelivered.into_iter().for_each(|(_, msg)| self.becomes_ghost(id, high, msg));
        }
        self.reconsider(id);
    }

    /// The witness ends a connection, after everything that it sent on it.
    pub(super) fn witness_closes(&mut self, id: StreamId) {
        self.send(id, WITNESS, Msg::Close, 0);
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.session = None;
        if let Some(conn) = stream.ends[0].take() {
            // If the last words hang, the node gives up by itself.
            self.put(self.now + 3000 * MS, Ev::Broken { stream: id, conn, high: true });
        }
    }

    fn connect_later(&mut self, id: StreamId) {
        let after = self.rng.range(50 * MS, 250 * MS);
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if !stream.connecting {
            stream.connecting = true;
            self.put(self.now + after, Ev::Connect { stream: id });
        }
    }

    pub(super) fn connect(&mut self, id: StreamId) {
        let obstructed = self.is_obstructed(id);
        self.conns += 1;
        let conn = self.conns;
        let now = self.now;
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.connecting = false;
        // The daemon dials the witness; the witness may not have seen yet that the former connection is over.
        let late_witness = id.low == WITNESS && stream.ends[1].is_none();
        if stream.ends != [None; 2] && !late_witness {
            return;
        }
        if obstructed {
            // Changes of the obstruction are told to every stream; this one waits for them.
            return;
        }
        let old = if id.low == WITNESS { stream.session.take() } else { None };
        stream.ends = [Some(conn); 2];
        // What an end had not taken yet belongs to the former connection.
        let undelivered = std::mem::take(&mut stream.stash);
        stream.obstructed_since = None;
        stream.newest = [stream.newest[0].max(now), stream.newest[1].max(now)];
        for (stash, to_high) in undelivered.into_iter().zip([false, true]) {
            stash.into_iter().for_each(|(_, msg)| self.becomes_ghost(id, to_high, msg));
        }
        if let Some(session) = old {
            let at = now + self.rng.range(0, 1000 * MS);
            let input = Box::new(witness::Input::Disconnected { session });
            let run = self.witness.run;
            self.put(at, Ev::WitnessInput { run, input });
        }
        if id.low == WITNESS {
            self.witness_input(witness::Input::Connected { node: NodeId(id.high) });
        } else if id.lane == Lane::Repl {
            self.repl_link(NodeId(id.low), NodeId(id.high), true);
            self.repl_link(NodeId(id.high), NodeId(id.low), true);
        }
    }

    /// Every stream that touches a node.
    pub(super) fn streams_of(&mut self, node: NodeId) {
        let end = place(node);
        let ids: Vec<_> = self.streams.keys().filter(|id| id.low == end || id.high == end).copied().collect();
        for id in ids {
            self.reconsider(id);
        }
    }

    /// Every stream of a place whose process ended, of the lanes that it has.
    pub(super) fn process_ended(&mut self, end: Place, with_replication: bool) {
        let ids: Vec<_> = self
            .streams
            .keys()
            .filter(|id| id.low == end || id.high == end)
            .filter(|id| with_replication || id.lane != Lane::Repl)
            .copied()
            .collect();
        for id in ids {
            self.let_go(id, end);
        }
    }

    pub(super) fn machine_lost(&mut self, node: NodeId) {
        self.process_ended(place(node), true);
    }

    pub(super) fn machine_found(&mut self, node: NodeId) {
        self.streams_of(node);
    }
}
