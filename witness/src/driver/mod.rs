//! The one loop around every cluster's machine.
//!
//! It takes what happened outside from one bounded queue, lets the machines decide, has what they decided made
//! durable with one sync for all of it, and only then lets it be said. What arrives during a sync waits in the
//! queue and is served by the next one. Between two rounds it sleeps until the earliest exact deadline of any
//! machine, or one that was put off since; nothing polls.
//!
//! ```text
//!  queue ─► step, step, step … ─► commit: persist, sync ─► messages, answers, events ─► sleep until the next
//!                                     └── error: the loop ends, nothing of the round is said
//! ```
//! Contract: after an error of the store the loop returns it and does nothing more; the process must end with it,
//! because nobody can tell what is on the disk.

mod command;
mod journal;
mod links;
mod machine;
mod nonces;
mod status;
mod words;

#[cfg(test)]
mod tests;

pub use command::{ClusterIndex, Command, Connection, LinkId, Outgoing, Person, UNREAD_MAX, WAITING_MAX};

use crate::codes;
use crate::config::{Cluster, Config};
use core::fmt;
use core::time::Duration;
use machine::{Ended, Machine};
use nonces::Nonces;
use picket_core::ids::StoreId;
use picket_core::ready::{self, Store};
use picket_core::time::Instant;
use picket_core::witness::{Input, Record, WitnessReady};
use picket_host::clock::{Alarm, boottime};
use std::collections::BTreeSet;
use std::io;
use tokio::sync::{mpsc, watch};

/// How many commands one round takes: as many as fit comfortably between two heartbeats, so that a flood cannot
/// keep what was already decided from being said.
const ROUND_MAX: usize = 256;

/// Why the loop cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// A write or a sync failed.
    #[error("the store failed: {0}")]
    Store(String),
    /// No random numbers: a challenge could be guessed.
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
    /// The timer failed.
    #[error("the timer failed: {0}")]
    Timer(#[from] io::Error),
}

/// A cluster and what the store has of it.
#[derive(Debug)]
pub struct Loaded {
    /// As configured.
    pub cluster: Cluster,
    /// As stored; nothing: never seen before.
    pub record: Option<Record>,
}

/// The loop, before it runs.
#[derive(Debug)]
pub struct Driver<S> {
    store: S,
    machines: Vec<Machine>,
    due: BTreeSet<(Instant, ClusterIndex)>,
    queue: mpsc::Receiver<Command>,
    round: Vec<(ClusterIndex, WitnessReady)>,
    nonces: Nonces,
    started: Instant,
}

/// The way to the loop.
#[derive(Clone, Debug)]
pub struct Handle {
    queue: mpsc::Sender<Command>,
    changes: Vec<watch::Receiver<u64>>,
}

/// The loop has ended; nobody takes commands any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the witness ends")]
pub struct Over;

impl Handle {
    /// Puts a command into the queue; waits while it is full.
    ///
    /// # Errors
    /// The loop has ended.
    pub async fn tell(&self, command: Command) -> Result<(), Over> {
        self.queue.send(command).await.map_err(|_| Over)
    }

    /// Changes whenever something in the cluster did.
    #[must_use]
    pub fn changes(&self, cluster: ClusterIndex) -> Option<watch::Receiver<u64>> {
        self.changes.get(cluster.0).cloned()
    }
}

/// Longer than from one heartbeat to the next at profile `fast`.
const SOON: Duration = Duration::from_millis(150);

/// The records' keys in the store: the names of the clusters.
type Key = String;

/// Says what a store error is; the store's own types stay behind it.
fn fatal(error: &impl fmt::Display) -> Fatal {
    Fatal::Store(error.to_string())
}

fn now() -> Instant {
    Instant::since_boot(boottime())
}

/// Whether an alarm that is set for `set` may stay while the deadline is `due`. Every message puts a deadline off, and
/// setting the alarm anew each time costs more than one that comes too early now and then; but one that would soon wake
/// the loop for nothing is put off while the loop is awake anyway.
fn is_early(set: Duration, due: Duration) -> bool {
    set == due || set < due && set > boottime() + SOON
}

impl<S: Store<Key, Record, Error: fmt::Display>> Driver<S> {
    /// A loop over these clusters, whose records come from `store`.
    #[must_use]
    pub fn new(config: &Config, clusters: Vec<Loaded>, store: S, store_id: StoreId) -> (Self, Handle) {
        let (sender, queue) = mpsc::channel(WAITING_MAX);
        let started = now();
        let machines: Vec<Machine> =
            clusters.into_iter().map(|loaded| Machine::new(loaded, config.lab, store_id, started)).collect();
        let changes = machines.iter().map(Machine::changes).collect();
        let round = Vec::with_capacity(ROUND_MAX);
        (
            Self { store, machines, due: BTreeSet::new(), queue, round, nonces: Nonces::new(), started },
            Handle { queue: sender, changes },
        )
    }

    /// Runs until it is told to stop or cannot go on.
    ///
    /// # Errors
    /// Why it cannot go on. What was decided last was not said.
    pub async fn run(mut self) -> Result<(), Fatal> {
        let mut alarm = Alarm::new()?;
        // What a machine decides about an old or new record at its start is durable before anybody connects.
        for index in (0..self.machines.len()).map(ClusterIndex) {
            self.step(index, Input::Tick)?;
        }
        self.commit()?;
        let mut commands = Vec::with_capacity(ROUND_MAX);
        loop {
            match self.due.first() {
                Some((at, _)) if alarm.at().is_some_and(|set| is_early(set, at.elapsed())) => {}
                Some((at, _)) => alarm.set(at.elapsed())?,
                None => alarm.clear()?,
            }
            tokio::select! {
                biased;
                fired = alarm.fired() => fired?,
                taken = self.queue.recv_many(&mut commands, ROUND_MAX) => if taken == 0 { return Ok(()) },
            }
            // After a stall the queue holds signs of life that are older than the deadline: those first.
            while commands.len() < ROUND_MAX
                && let Ok(command) = self.queue.try_recv()
            {
                commands.push(command);
            }
            for command in commands.drain(..) {
                if !self.take(command)? {
                    return Ok(());
                }
            }
            self.tick()?;
            self.commit()?;
        }
    }

    /// Lets every machine whose deadline has come look at the clock.
    fn tick(&mut self) -> Result<(), Fatal> {
        let now = now();
        while let Some((at, index)) = self.due.first().copied()
            && at <= now
        {
            self.step(index, Input::Tick)?;
            // A machine that wants to be asked again for an instant that has passed is asked in the next round.
            if self.due.first() == Some(&(at, index)) {
                break;
            }
        }
        Ok(())
    }

    fn step(&mut self, index: ClusterIndex, input: Input) -> Result<(), Fatal> {
        let fresh = self.nonces.next()?;
        let Some(machine) = self.machines.get_mut(index.0) else { return Ok(()) };
        if let Some(at) = machine.due.take() {
            self.due.remove(&(at, index));
        }
        let ready = machine.witness.step(now(), input, fresh);
        machine.due = machine.witness.deadline();
        self.due.extend(machine.due.map(|at| (at, index)));
        if !ready.is_idle() {
            self.round.push((index, ready));
        }
        Ok(())
    }

    /// Makes the round durable, then says it. Connections that turn out to have ended become inputs of another
    /// round; there are no more of them than connections.
    fn commit(&mut self) -> Result<(), Fatal> {
        while !self.round.is_empty() {
            let round = core::mem::take(&mut self.round);
            let mut store = Keyed { store: &mut self.store, machines: &self.machines };
            let released = ready::commit(&mut store, round).map_err(|error| fatal(&error))?;
            let mut ended = Vec::new();
            for (index, effects) in released {
                if let Some(machine) = self.machines.get_mut(index.0) {
                    ended.extend(machine.apply(effects).into_iter().map(|session| (index, session)));
                }
            }
            for (index, Ended(session)) in ended {
                self.step(index, Input::Disconnected { session })?;
            }
        }
        Ok(())
    }

    /// Takes one command; false: stop.
    fn take(&mut self, command: Command) -> Result<bool, Fatal> {
        match command {
            Command::Connect(connection) => {
                let (index, node) = (connection.cluster, connection.node);
                // What is for the node's former connection goes there, and the challenge to the new one.
                self.commit()?;
                let Some(machine) = self.machines.get_mut(index.0) else { return Ok(true) };
                machine.connect(connection);
                self.step(index, Input::Connected { node })?;
                self.commit()?;
            }
            Command::Message { link, cluster, node, message } => {
                let heard = |machine: &mut Machine| {
                    machine.hears(node, link, now()).then(|| machine.believes(node, link, &message))
                };
                match self.machine(cluster).and_then(heard) {
                    Some(Ok(())) => self.step(cluster, Input::Message { node, message: *message })?,
                    Some(Err(Some(session))) => self.step(cluster, Input::Disconnected { session })?,
                    Some(Err(None)) | None => {}
                }
            }
            Command::Gone { link, cluster, node, why } => {
                let session = self.machine(cluster).and_then(|machine| machine.gone(node, link, &why));
                if let Some(session) = session {
                    self.step(cluster, Input::Disconnected { session })?;
                }
            }
            Command::Operator { cluster, person, request, answer } => {
                let ticket = self.machine(cluster).map(|machine| machine.ask(&person, &request, answer));
                if let Some(ticket) = ticket {
                    self.step(cluster, Input::Operator { ticket, request })?;
                }
            }
            Command::Status { cluster, answer } => {
                self.commit()?;
                let started = self.started;
                if let Some(machine) = self.machine(cluster) {
                    // Whoever asked may have gone.
                    let _ = answer.send(status::of(machine, now(), started));
                }
            }
            Command::TurnedAway { cluster, what } => self.turned_away(cluster, &what),
            Command::Stop => {
                self.commit()?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn machine(&mut self, index: ClusterIndex) -> Option<&mut Machine> {
        self.machines.get_mut(index.0)
    }

    fn turned_away(&mut self, cluster: Option<ClusterIndex>, what: &str) {
        match cluster.and_then(|index| self.machines.get_mut(index.0)) {
            Some(machine) => machine.turned_away(what),
            None => picket_host::logging::emit(&codes::TURNED_AWAY, what),
        }
    }
}

/// The store, asked by the machines' places instead of their clusters' names.
struct Keyed<'a, S> {
    store: &'a mut S,
    machines: &'a [Machine],
}

impl<S: Store<Key, Record>> Store<ClusterIndex, Record> for Keyed<'_, S> {
    type Error = S::Error;

    fn persist(&mut self, index: &ClusterIndex, record: &Record) -> Result<(), S::Error> {
        match self.machines.get(index.0) {
            Some(machine) => self.store.persist(&machine.cluster.name, record),
            // Only machines make records, so there is one.
            None => Ok(()),
        }
    }

    fn sync(&mut self) -> Result<(), S::Error> {
        self.store.sync()
    }
}
