//! The driver of a PostgreSQL server (13 to 17) with synchronous streaming replicas.
//!
//! picketd starts and ends the server itself, always as a replica; only a [`Promotion`](picket_core::node::Promotion)
//! makes it writable. Three things on its disk make that hold also when something else starts it:
//! `standby.signal` is there whenever it is not granted and is put back right after each promotion, so a server that
//! comes up again by itself, also after a crash, is a replica; a replica runs with a barrier that nobody can pass, so
//! a promoted server acknowledges nothing before its own barrier is in force; and a replica follows nobody but the
//! holder that the witness names.
//!
//! | what | how |
//! |---|---|
//! | barrier | `synchronous_standby_names = FIRST n (all n required)`, brought into force as `barrier` says |
//! | freeze | every process is stopped, as `processes` says |
//! | generation | system identifier and timeline, with the timeline's history |
//! | demote | a fast shutdown, an immediate one after half of the time, then the kill; done when no process is left |
//! | rejoin | `pg_rewind`, or a new copy, under the rules of `follow` |
//!
//! Events: the end of the server, of each sender and of the receiver by the handles of their processes, and the end
//! of the connection that is held. PostgreSQL tells nobody when a replica comes or catches up: for that the server is
//! asked at `monitor_interval`.
//!
//! Limits, which the status names where they can be seen: a commit with a weaker `synchronous_commit` than `on`, and
//! one whose wait its client cancels, are acknowledged by PostgreSQL without the replicas.

use super::{About, Life, Order, Teller, VolumeDriver};
use crate::config::PostgreSql;
use crate::time::now;
use core::future::Future;
use core::pin::Pin;
use core::time::Duration;
use look::{Looked, Seen, look};
use picket_core::evidence::Generation;
use picket_core::ids::{NodeId, NodeSet};
use picket_core::node::{CommandId, CommandOutcome, Role, VolumeAction, VolumeReport};
use picket_core::time::Instant;
use report::{Known, report};
use server::Server;
use sql::{Session, View};
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};
use tokio::time::MissedTickBehavior;
use upkeep::{Chore, Kept};
use watches::Watches;

mod barrier;
mod files;
pub mod follow;
mod look;
pub mod names;
mod orders;
pub mod processes;
mod report;
pub mod server;
mod sql;
#[cfg(test)]
mod tests;
pub mod timeline;
mod turns;
mod upkeep;
mod watches;

/// How long a chore that failed is left alone, and a server that did not stay up: what is in its way rarely goes
/// sooner.
const CHORE_AGAIN: Duration = Duration::from_secs(2);

/// How long a replica may be without its holder before it is found out whether it can follow at all.
const PATIENCE: Duration = Duration::from_secs(1);

/// Looks in a row that find processes without a postmaster before they are ended: one that starts needs a moment
/// to write down that it is one.
const ORPHAN_LOOKS: u32 = 4;

/// Drives a PostgreSQL server.
#[derive(Debug)]
pub struct Postgres {
    conf: PostgreSql,
    about: About,
}

impl Postgres {
    /// For the server with this configuration.
    #[must_use]
    pub const fn new(conf: PostgreSql, about: About) -> Self {
        Self { conf, about }
    }
}

impl VolumeDriver for Postgres {
    fn live(self: Box<Self>, orders: mpsc::Receiver<Order>, teller: Teller) -> Life {
        Box::pin(async move {
            let Self { conf, about } = *self;
            let names = about.names.iter().filter(|(id, _)| about.members.contains(**id));
            let names = names.map(|(id, name)| (*id, name.clone())).collect();
            let server = Arc::new(Server::new(conf, names, about.me));
            let looks = Arc::new(Notify::new());
            let keeper = Keeper {
                watches: Watches::new(looks.clone()),
                server,
                about,
                teller,
                looks,
                eyes: None,
                last: None,
                known: Known::default(),
                job: None,
                chore: None,
                chore_at: Instant::BOOT,
                start_at: Instant::BOOT,
                chore_error: None,
                idle_since: None,
                orphans: 0,
                checked: false,
            };
            keeper.live(orders).await;
        })
    }
}

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

struct Keeper {
    server: Arc<Server>,
    about: About,
    teller: Teller,
    /// Tells that there may be something to be seen.
    looks: Arc<Notify>,
    watches: Watches,
    eyes: Option<Session>,
    last: Option<VolumeReport>,
    known: Known,
    /// The order that is carried out; a newer one takes its place.
    job: Option<(CommandId, Work<CommandOutcome>)>,
    /// What is done without an order, never beside one.
    chore: Option<Work<Result<Kept, String>>>,
    chore_at: Instant,
    /// When the server may be started again.
    start_at: Instant,
    /// What was told of the last one that failed; the same again is not told.
    chore_error: Option<String>,
    /// Since when a replica has been without its holder.
    idle_since: Option<Instant>,
    orphans: u32,
    /// The control file of a replica was brought to where its replay is.
    checked: bool,
}

impl Keeper {
    async fn live(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut monitor = tokio::time::interval(self.server.conf.monitor_interval);
        monitor.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut recorded = self.about.recorded.clone();
        let mut looking: Option<Work<Looked>> = None;
        let mut look_again = true;
        loop {
            if looking.is_none() && core::mem::take(&mut look_again) {
                looking = Some(self.begin_look());
            }
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.take(order).await,
                    None => return,
                },
                (command, outcome) = next_job(&mut self.job) => {
                    // A look that began before the job ended may tell what is over; the report comes first.
                    drop(looking.take());
                    let looked = self.begin_look().await;
                    self.seen(looked, true).await;
                    self.finish(command, outcome).await;
                    look_again = true;
                },
                kept = next(&mut self.chore) => {
                    drop(looking.take());
                    self.kept(kept).await;
                    look_again = true;
                },
                looked = next(&mut looking) => self.seen(looked, false).await,
                () = self.looks.notified() => look_again = true,
                _ = monitor.tick() => look_again = true,
                changed = recorded.changed() => match changed {
                    Ok(()) => look_again = true,
                    Err(_) => return,
                },
            }
        }
    }

    fn begin_look(&mut self) -> Work<Looked> {
        Box::pin(look(self.server.clone(), self.eyes.take(), self.looks.clone()))
    }

    /// The newest order counts: what was begun before it is left, and the next look shows what became of it.
    async fn take(&mut self, order: Order) {
        let Order { command, action } = order;
        if let Some((former, job)) = self.job.take() {
            drop(job);
            self.server.abandon();
            self.teller.done(former, CommandOutcome::Unknown("a newer order came".to_owned())).await;
        }
        self.chore = None;
        if let Some(why) = self.known.stuck.clone().filter(|_| matches!(action, VolumeAction::Promote(_))) {
            self.teller.done(command, CommandOutcome::Failed(why)).await;
            return;
        }
        self.job = Some((command, Box::pin(orders::carry_out(self.server.clone(), action))));
    }

    async fn finish(&mut self, command: CommandId, outcome: CommandOutcome) {
        self.job = None;
        self.teller.done(command, outcome).await;
    }

    async fn kept(&mut self, kept: Result<Kept, String>) {
        self.chore = None;
        let name = &self.about.name;
        match kept {
            Ok(Kept::Done) => self.chore_error = None,
            Ok(Kept::Checked) => self.checked = true,
            Ok(Kept::Rebuilt) => {
                (self.known, self.checked, self.idle_since) = (Known::default(), false, None);
            }
            Ok(Kept::Judged(follow::Verdict::Follows)) => {
                self.known.stuck = None;
                self.idle_since = Some(now());
            }
            Ok(Kept::Judged(follow::Verdict::Stuck(why))) => {
                if self.known.stuck.as_ref() != Some(&why) {
                    tracing::warn!(volume = %name, %why, "the replica cannot follow");
                }
                self.known.stuck = Some(why);
                self.idle_since = Some(now());
            }
            Ok(Kept::Judged(follow::Verdict::Rebuild { from, rewind })) => {
                let text = "its writes that were never acknowledged are discarded".to_owned();
                self.known.stuck = Some(text);
                self.tell_incomplete().await;
                let (server, recorded) = (self.server.clone(), self.about.recorded.clone());
                let chore = upkeep::work(server, recorded, Chore::Rebuild { from, rewind });
                self.chore = Some(Box::pin(chore));
            }
            Err(error) => {
                if self.chore_error.as_ref() != Some(&error) {
                    tracing::warn!(volume = %name, %error, "the server's upkeep");
                }
                self.chore_error = Some(error);
                self.chore_at = now() + CHORE_AGAIN;
            }
        }
    }

    /// Before data is discarded nobody may count on it any more.
    async fn tell_incomplete(&mut self) {
        if let Some(last) = self.last.clone() {
            self.tell(VolumeReport { complete: false, ..last }).await;
        }
    }

    async fn seen(&mut self, looked: Looked, after_job: bool) {
        let Looked { seen, eyes, postmaster } = looked;
        self.eyes = eyes;
        if let Seen::Blind(why) = &seen
            && self.last.as_ref().is_none_or(|last| last.role != Role::Unknown)
        {
            tracing::info!(volume = %self.about.name, %why, "the server is not seen");
        }
        self.orphans = if matches!(seen, Seen::Orphans) { self.orphans + 1 } else { 0 };
        let mut pids: Vec<i32> = postmaster.into_iter().collect();
        if let Seen::Up(view) = &seen {
            pids.extend(view.senders.iter().map(|sender| sender.pid));
            pids.extend(view.receiver.map(|receiver| receiver.pid));
            self.learn(view);
        }
        self.watches.set(&pids);
        let busy = self.job.is_some() && !after_job;
        let report = self.understand(&seen, busy);
        self.tell(report).await;
        if self.job.is_none() && self.chore.is_none() && now() >= self.chore_at {
            let chore = self.next_chore(&seen);
            let work = |chore| upkeep::work(self.server.clone(), self.about.recorded.clone(), chore);
            self.chore = chore.map(|chore| Box::pin(work(chore)) as Work<_>);
        }
    }

    fn learn(&mut self, view: &View) {
        self.known.learn(view);
        self.known.source = self.server.written().source;
        let streams = view.receiver.is_some_and(|receiver| receiver.streams);
        if streams || !view.recovery {
            (self.idle_since, self.known.stuck) = (None, None);
        } else if self.idle_since.is_none() {
            self.idle_since = Some(now());
        }
        let overridden = !view.recovery
            && self.server.barrier(|barrier| barrier.in_force).is_some_and(|names| {
                self.server.written().names == names && names.text(&self.server.names) != view.names
            });
        let gap = match (&self.known.stuck, overridden) {
            (Some(stuck), _) => Some(format!("its replica here cannot follow: {stuck}")),
            (None, true) => Some(format!("synchronous_standby_names is not picketd's but {:?}", view.names)),
            (None, false) => view.twice().or_else(|| view.weak.clone()),
        };
        if self.about.gaps.say(self.about.id, gap.clone())
            && let Some(gap) = gap
        {
            tracing::warn!(volume = %self.about.name, %gap, "not protected");
        }
    }

    fn understand(&self, seen: &Seen, busy: bool) -> VolumeReport {
        let last = || self.last.clone().unwrap_or_else(nothing_known);
        let barrier = self.server.barrier(|barrier| *barrier);
        match seen {
            Seen::Stopped { unfit: _ } => VolumeReport {
                role: Role::Secondary,
                complete: false,
                generation: last().generation,
                ..nothing_known()
            },
            Seen::Frozen => VolumeReport { frozen: true, ..last() },
            Seen::Orphans | Seen::Blind(_) => VolumeReport { role: Role::Unknown, frozen: false, ..last() },
            // Whose barrier nobody knows yet is not spoken for.
            Seen::Up(view) if !view.recovery && barrier.allowed.is_none() && self.is_ours(view) && !busy => {
                VolumeReport { role: Role::Unknown, frozen: false, ..last() }
            }
            Seen::Up(view) => {
                let in_sync = self.about.recorded.borrow().isr;
                report(&self.server, barrier, (&self.known, in_sync), view)
            }
        }
    }

    async fn tell(&mut self, report: VolumeReport) {
        if self.last.as_ref() != Some(&report) {
            self.last = Some(report.clone());
            self.teller.report(report).await;
        }
    }

    fn is_ours(&self, view: &View) -> bool {
        view.config == self.server.directory.conf().to_string_lossy()
    }

    /// The holder whose data a replica here follows.
    fn holder(&self) -> Option<NodeId> {
        self.about.recorded.borrow().holder.filter(|holder| *holder != self.about.me)
    }
}

/// Before anything was seen.
fn nothing_known() -> VolumeReport {
    VolumeReport {
        role: Role::Unknown,
        frozen: false,
        complete: false,
        generation: Generation::default(),
        connected: NodeSet::EMPTY,
        complete_peers: NodeSet::EMPTY,
        required: NodeSet::EMPTY,
        lost: NodeSet::EMPTY,
    }
}

async fn next<T>(work: &mut Option<Work<T>>) -> T {
    let Some(running) = work else { return core::future::pending().await };
    let done = running.await;
    *work = None;
    done
}

async fn next_job(job: &mut Option<(CommandId, Work<CommandOutcome>)>) -> (CommandId, CommandOutcome) {
    let Some((command, work)) = job else { return core::future::pending().await };
    let command = *command;
    (command, work.await)
}
