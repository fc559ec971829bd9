//! The one loop around the core.
//!
//! ```text
//!   rooms ──bounded queue──►┐                     ┌──► witness, peers, volumes, fencer, control, events
//!   heartbeats ─bounded──►  ├─► step ─► commit ─► effects
//!   alarm ─────────────────►┘                     └──► bounds of the petting thread
//! ```
//! Contract: at each wake-up the clock is read and the core steps; the core looks at the leases before anything
//! else. What it wants kept is in place before any effect is given up. The loop waits for nothing but its queues,
//! its alarm and the store: every room takes what it is given at once or not at all. A failed store ends the loop
//! with the reason, without disarming the watchdog.

use crate::time::now;
use core::time::Duration;
use picket_core::evidence::FenceOutcome;
use picket_core::ids::{NodeSet, PathId, VolumeId};
use picket_core::message::Beat;
use picket_core::node::{Effect, Input, Node, NodeAnswer, NodeReady, NodeRequest, Phase, Recorded, Status};
use picket_core::ready::commit;
use picket_core::time::Instant;
use picket_host::clock::Alarm;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

use crate::resource::room::Said;
use crate::resource::tree::Standing;
use crate::store::{NodeStore, StoreError};
use crate::watchdog::Bounds;

mod rooms;
#[cfg(test)]
mod tests;

pub use rooms::Rooms;

/// What waits for the loop from the rooms: some seconds of everything that a cluster of 16 can say.
pub const QUEUE_MAX: usize = 1024;

/// Heartbeats that wait for the loop: some seconds of all peers on all paths. More are lost, as on the network.
pub const BEATS_MAX: usize = 512;

/// Inputs that share one sync. More would only make the first one wait.
const BATCH_MAX: usize = 64;

/// Operators that wait at one time; a person waits for one answer.
const TICKETS_MAX: usize = 64;

/// The shortest time after which a loop counts as stuck. A sync of a slow disk takes less.
const PROGRESS_LEAST: Duration = Duration::from_secs(1);

/// What wakes the loop.
#[derive(Debug)]
pub enum Wake {
    /// Something for the core.
    Input(Box<Input>),
    /// A question of a room.
    Ask(Ask),
}

impl From<Input> for Wake {
    fn from(input: Input) -> Self {
        Self::Input(Box::new(input))
    }
}

/// A question of a room.
#[derive(Debug)]
pub enum Ask {
    /// What the core knows.
    Status(oneshot::Sender<Box<Snapshot>>),
    /// An operator asks.
    Operator {
        /// What.
        request: NodeRequest,
        /// The answer; none comes if the daemon ends before.
        answer: oneshot::Sender<NodeAnswer>,
    },
    /// End the loop now.
    End,
}

/// Asks the core for what an operator may ask, and waits for its answer; none: the daemon ends.
pub async fn ask(queue: &mpsc::Sender<Wake>, request: NodeRequest) -> Option<NodeAnswer> {
    let (answer, answered) = oneshot::channel();
    queue.send(Wake::Ask(Ask::Operator { request, answer })).await.ok()?;
    answered.await.ok()
}

/// Asks what the core knows; none: the daemon ends.
pub async fn snapshot(queue: &mpsc::Sender<Wake>) -> Option<Box<Snapshot>> {
    let (answer, answered) = oneshot::channel();
    queue.send(Wake::Ask(Ask::Status(answer))).await.ok()?;
    answered.await.ok()
}

/// What the core knows at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// All of it.
    pub status: Status,
    /// When.
    pub now: Instant,
}

/// How the loop ended.
#[derive(Debug)]
pub enum Ended {
    /// It was told to.
    Told {
        /// Nothing is held, so the watchdog may be closed.
        idle: bool,
        /// What is held is left running under a maintenance that the witness recorded.
        kept: bool,
    },
    /// What must be kept cannot be kept.
    Store(StoreError),
    /// The kernel's timer failed.
    Timer(io::Error),
}

/// The loop and everything it owns.
#[derive(Debug)]
pub struct Driver {
    /// The machine.
    pub node: Node,
    /// What it keeps.
    pub store: NodeStore,
    /// Who carries its effects out.
    pub rooms: Rooms,
    /// What the petting thread reads.
    pub bounds: Arc<Bounds>,
    /// What comes from the rooms.
    pub queue: mpsc::Receiver<Wake>,
    /// Heartbeats.
    pub beats: mpsc::Receiver<(PathId, Beat)>,
    /// Tells that something may have changed.
    pub changed: watch::Sender<u64>,
    /// The peers that are heard.
    pub heard: watch::Sender<NodeSet>,
    /// Whether this node is on standby.
    pub standby: watch::Sender<Option<bool>>,
    /// What volumes and resources follow.
    pub above: Above,
}

/// What volumes, and the resources above them, are told of the core without asking.
#[derive(Debug)]
pub struct Above {
    /// The nodes that a fence has confirmed off, and that were not heard since.
    pub fenced: watch::Sender<NodeSet>,
    /// What is recorded of each volume.
    pub recorded: BTreeMap<VolumeId, watch::Sender<Recorded>>,
    /// Where each volume stands that has resources above it.
    pub standing: BTreeMap<VolumeId, watch::Sender<Said>>,
}

enum Turn {
    Tick,
    Wake(Wake),
    Beat(PathId, Beat),
}

impl Driver {
    /// Runs until it is told to end. To be called on a thread of its own with a runtime of its own.
    pub async fn run(mut self) -> Ended {
        let mut alarm = match Alarm::new() {
            Ok(alarm) => alarm,
            Err(error) => return Ended::Timer(error),
        };
        let mut tickets = Tickets::default();
        loop {
            let at = self.publish();
            if let Err(error) = alarm.set(at.elapsed()) {
                return Ended::Timer(error);
            }
            let turn = tokio::select! {
                biased;
                fired = alarm.fired() => match fired {
                    Ok(()) => Turn::Tick,
                    Err(error) => return Ended::Timer(error),
                },
                wake = self.queue.recv() => match wake {
                    Some(wake) => Turn::Wake(wake),
                    None => return self.ended(),
                },
                Some((path, beat)) = self.beats.recv() => Turn::Beat(path, beat),
            };
            if let Some(ended) = self.turn(turn, &mut tickets) {
                return ended;
            }
        }
    }

    /// Publishes how far petting may go; returns when the loop must wake up next.
    fn publish(&self) -> Instant {
        let now = now();
        let progress = self.node.config().params.suspect_after().max(PROGRESS_LEAST);
        self.bounds.publish(self.node.pet_until(now), now + progress);
        // Often enough to be seen alive, whatever the core waits for.
        self.node.deadline(now).min(now + progress / 4)
    }

    /// Takes what woke the loop and what else is there already, with one sync for all of it.
    fn turn(&mut self, first: Turn, tickets: &mut Tickets) -> Option<Ended> {
        let mut batch: Vec<((), NodeReady)> = Vec::new();
        // Leases run out by the clock alone.
        let ticked = matches!(first, Turn::Tick);
        let mut next = Some(first);
        let mut asked = Vec::new();
        let mut news = false;
        let mut end = false;
        while let Some(turn) = next.take() {
            let input = match turn {
                Turn::Tick => Input::Tick,
                Turn::Beat(path, beat) => Input::Beat { path, beat },
                Turn::Wake(Wake::Input(input)) => {
                    news = true;
                    *input
                }
                Turn::Wake(Wake::Ask(Ask::Operator { request, answer })) => {
                    let stops =
                        matches!(request, NodeRequest::StopHandOver | NodeRequest::StopKeepRunning { .. });
                    match tickets.open(answer, stops) {
                        Some(ticket) => Input::Operator { ticket, request },
                        None => Input::Tick,
                    }
                }
                Turn::Wake(Wake::Ask(Ask::Status(answer))) => {
                    asked.push(answer);
                    Input::Tick
                }
                Turn::Wake(Wake::Ask(Ask::End)) => {
                    end = true;
                    Input::Tick
                }
            };
            batch.push(((), self.node.step(now(), input)));
            if batch.len() < BATCH_MAX && !end {
                next = self.waiting();
            }
        }
        let released = match commit(&mut self.store, batch) {
            Ok(released) => released,
            Err(error) => return Some(Ended::Store(error)),
        };
        // Before a promotion goes out: should the loop stop right after it, the machine has to end in its lease.
        self.bounds.bring_forward(self.node.pet_until(now()));
        for effect in released.into_iter().flat_map(|((), effects)| effects) {
            let stopped = matches!(&effect, Effect::Answer { ticket, answer: NodeAnswer::Done } if tickets.stops(*ticket));
            news |= self.carry_out(effect, tickets);
            if stopped {
                // What comes after the end of a stop would take up again what was just handed over.
                return Some(self.ended());
            }
        }
        for answer in asked {
            let now = now();
            // Who asked may be gone.
            let _ = answer.send(Box::new(Snapshot { status: self.node.status(now), now }));
        }
        self.note_recorded();
        self.note_standby();
        if news || ticked {
            self.note_standing();
        }
        if news {
            self.changed.send_modify(|version| *version = version.wrapping_add(1));
        }
        end.then(|| self.ended())
    }

    fn waiting(&mut self) -> Option<Turn> {
        match self.queue.try_recv() {
            Ok(wake) => Some(Turn::Wake(wake)),
            Err(_) => self.beats.try_recv().ok().map(|(path, beat)| Turn::Beat(path, beat)),
        }
    }

    /// Returns whether people may want to know.
    fn carry_out(&mut self, effect: Effect, tickets: &mut Tickets) -> bool {
        match effect {
            Effect::Answer { ticket, answer } => {
                tickets.answer(ticket, answer);
                true
            }
            Effect::Event(event) => {
                self.note_heard(&event);
                self.rooms.event(&event);
                true
            }
            Effect::Reset { power_off, reason } => {
                // Nothing is petted from here on, whatever becomes of the order.
                self.bounds.reset();
                self.rooms.reset(power_off, &reason);
                true
            }
            Effect::Witness(message) => {
                self.rooms.witness(message);
                false
            }
            Effect::CloseWitness => {
                self.rooms.close_witness();
                true
            }
            Effect::Beat { to, beat } => {
                self.rooms.beat(to, &beat);
                false
            }
            Effect::Peer { to, message } => {
                self.rooms.peer(to, message);
                false
            }
            Effect::Volume { volume, command, action } => {
                self.rooms.volume(volume, command, action);
                true
            }
            Effect::Device(order) => {
                self.rooms.device(order);
                true
            }
        }
    }

    fn note_heard(&self, event: &picket_core::node::Event) {
        use picket_core::node::Event;
        if let Event::PeerHeard { peer } = event {
            self.heard.send_modify(|heard| *heard = heard.with(*peer));
            self.above.fenced.send_modify(|fenced| *fenced = fenced.without(*peer));
        }
        if let Event::PeerSilent { peer } = event {
            self.heard.send_modify(|heard| *heard = heard.without(*peer));
        }
        if let Event::FenceEnded { target, outcome: FenceOutcome::ConfirmedOff, .. } = event {
            self.above.fenced.send_modify(|fenced| *fenced = fenced.with(*target));
        }
    }

    fn note_recorded(&self) {
        for (volume, into) in &self.above.recorded {
            let recorded = self.node.recorded(*volume);
            into.send_if_modified(|known| core::mem::replace(known, recorded) != recorded);
        }
    }

    fn note_standby(&self) {
        let (disk, _) = self.node.records();
        self.standby.send_if_modified(|known| known.replace(disk.standby) != Some(disk.standby));
    }

    /// Tells the resources where their volume stands.
    fn note_standing(&self) {
        let maintenance = self.node.in_maintenance();
        for (volume, into) in &self.above.standing {
            let Some(phase) = self.node.phase(*volume) else { continue };
            let said = Said { standing: standing(phase), maintenance };
            into.send_if_modified(|known| core::mem::replace(known, said) != said);
        }
    }

    fn ended(&self) -> Ended {
        let (_, run) = self.node.records();
        let status = self.node.status(now());
        let inactive =
            status.volumes.iter().all(|volume| matches!(volume.phase, Phase::Secondary | Phase::Unread));
        Ended::Told { idle: inactive && run.held.is_empty(), kept: run.keeps_running }
    }
}

const fn standing(phase: Phase) -> Standing {
    match phase {
        Phase::Unread => Standing::Unread,
        Phase::Secondary => Standing::Away,
        Phase::Promoting(_) => Standing::Coming,
        Phase::Active(_) => Standing::Active,
        Phase::Frozen(_) => Standing::Frozen,
        Phase::Stopping(_) => Standing::Leaving,
        Phase::Failed => Standing::Failed,
    }
}

/// Operators that wait for an answer.
#[derive(Debug, Default)]
struct Tickets {
    last: u64,
    open: BTreeMap<u64, Ticket>,
}

#[derive(Debug)]
struct Ticket {
    answer: oneshot::Sender<NodeAnswer>,
    /// It asks that the daemon stops.
    stops: bool,
}

impl Tickets {
    fn open(&mut self, answer: oneshot::Sender<NodeAnswer>, stops: bool) -> Option<u64> {
        self.open.retain(|_, open| open.stops || !open.answer.is_closed());
        if self.open.len() >= TICKETS_MAX {
            let _ = answer.send(NodeAnswer::Unfinished("too many requests are waiting".to_owned()));
            return None;
        }
        self.last += 1;
        self.open.insert(self.last, Ticket { answer, stops });
        Some(self.last)
    }

    fn stops(&self, ticket: u64) -> bool {
        self.open.get(&ticket).is_some_and(|open| open.stops)
    }

    fn answer(&mut self, ticket: u64, answer: NodeAnswer) {
        if let Some(open) = self.open.remove(&ticket) {
            // Who asked may be gone.
            let _ = open.answer.send(answer);
        }
    }
}
