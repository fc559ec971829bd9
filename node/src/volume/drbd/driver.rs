//! The driver's loop: orders, handlers, the kernel's events and programs' ends, one at a time.

use super::book::{Book, Freeze};
use super::conf;
use super::door::{self, Asked};
use super::generation;
use super::jobs::{self, Goal, Job, Ran, Way};
use super::lineage::Lineage;
use super::stream::{self, NEWS_MAX, News};
use super::tool::Tool;
use super::view::{View, done};
use crate::config::DrbdConfig;
use crate::time::now;
use crate::volume::{About, Order, Teller, unseen};
use core::time::Duration;
use futures_util::stream::{FuturesUnordered, StreamExt};
use picket_core::evidence::Generation;
use picket_core::ids::{NodeId, NodeSet};
use picket_core::node::{CommandId, CommandOutcome, Role, VolumeReport};
use picket_core::time::Instant;
use picket_host::files::RealFiles;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

mod gap;
mod handlers;
mod orders;

/// How often the generation is read when nothing happens, and what was to be done is tried again: a new current UUID is
/// no event of its own.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Is there while the kernel module is loaded; without it no resource can be up.
const MODULE: &str = "/sys/module/drbd";

/// Handlers' questions on their way to the loop.
const ASKED_MAX: usize = 16;

/// A goal that is waited for.
struct Waiting {
    command: CommandId,
    goal: Goal,
    deadline: Instant,
}

/// A handler that waits for the removal of a peer.
struct Held {
    peer: NodeId,
    /// The peer's loss has been seen since. A question can overtake the events that led to it.
    lost: bool,
    answer: oneshot::Sender<u8>,
}

/// The drop of a peer: it stays required until this has ended, so that no handler is answered before.
#[derive(Clone, Copy)]
struct Dropping {
    command: CommandId,
    peer: NodeId,
    way: Way,
}

/// Bringing the resource up takes several steps; a program that ended among them leaves one that has no disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Raising {
    /// Not begun here, or done.
    Not,
    /// Its program runs.
    Underway,
    /// Its program ended, and not well.
    Unfinished,
}

struct Driver {
    about: About,
    resource: String,
    run_dir: PathBuf,
    tool: Tool,
    teller: Teller,
    view: View,
    book: Book,
    lineage: Lineage,
    last: Option<VolumeReport>,
    jobs: FuturesUnordered<Job>,
    waiting: Vec<Waiting>,
    held: Vec<Held>,
    /// The order that promotes, while nobody has been told how it ended.
    promote: Option<CommandId>,
    /// The drop of a peer that is under way.
    dropping: Option<Dropping>,
    /// Connections that were cut here and are to come back.
    cut: bool,
    /// What is done without an order; says whether it was done.
    tidying: JoinSet<bool>,
    /// How far the resource is brought up.
    raising: Raising,
    /// The resource has been seen in the kernel in this run.
    met: bool,
    /// Regular looks in a row that found the same or another trouble.
    troubled_looks: u8,
    /// How far a resync was at the last look, where events do not tell.
    polled: Option<u32>,
}

/// Drives until the orders end.
pub(super) async fn live(config: DrbdConfig, about: About, orders: mpsc::Receiver<Order>, teller: Teller) {
    let tool = Tool::new(config.clone());
    let (into, asked) = mpsc::channel(ASKED_MAX);
    let mut rooms = JoinSet::new();
    match door::open(&config.run_dir, &config.resource) {
        Ok(listener) => drop(rooms.spawn(door::serve(listener, into))),
        Err(error) => {
            // Without it no handler is answered: the volume stays suspended when it loses a peer.
            tracing::error!(volume = %about.name, %error, "DRBD's handlers cannot ask");
        }
    }
    let lineage = Lineage::open(Arc::new(RealFiles), &about.state_dir, about.id);
    let (tell, news) = mpsc::channel(NEWS_MAX);
    rooms.spawn(stream::follow(tool.clone(), tell));
    let driver = Driver {
        about,
        resource: config.resource.clone(),
        run_dir: config.run_dir.clone(),
        tool,
        teller,
        view: View::default(),
        book: Book::default(),
        lineage,
        last: None,
        jobs: FuturesUnordered::new(),
        waiting: Vec::new(),
        held: Vec::new(),
        promote: None,
        dropping: None,
        cut: false,
        tidying: JoinSet::new(),
        raising: Raising::Not,
        met: false,
        troubled_looks: 0,
        polled: None,
    };
    driver.drive(config.resource, orders, news, asked).await;
}

impl Driver {
    async fn drive(
        mut self,
        resource: String,
        mut orders: mpsc::Receiver<Order>,
        mut news: mpsc::Receiver<News>,
        mut asked: mpsc::Receiver<Asked>,
    ) {
        let mut clock = tokio::time::interval(LOOK_INTERVAL);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut looking = None;
        // A change that comes while the generation is read is looked at after it.
        let mut look_again = false;
        loop {
            if looking.is_none() && core::mem::take(&mut look_again) && self.view.exists {
                let (tool, lineage) = (self.tool.clone(), self.lineage.clone());
                let dump = self.book.problems.is_none();
                let progress = self.view.is_resyncing() && self.view.resynced().is_none();
                looking = Some(Box::pin(async move {
                    let dumped = if dump { Some(tool.ask(&["dump"]).await) } else { None };
                    let read = generation(&tool, lineage).await;
                    let status = if progress { tool.ask(&["status"]).await.ok() } else { None };
                    (dumped, read, status)
                }));
            }
            let due = self.waiting.iter().map(|waiting| waiting.deadline).min();
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.order(order).await,
                    None => return,
                },
                told = news.recv() => match told {
                    Some(News::Line(line)) => look_again |= self.view.take(&resource, &line) && self.changed(),
                    Some(News::Lost(why)) => {
                        tracing::warn!(volume = %self.about.name, %why, "the volume's state is unknown");
                        self.view = View::default();
                    }
                    None => return,
                },
                Some(question) = asked.recv() => {
                    look_again = true;
                    self.asked(question).await;
                },
                Some(ran) = self.jobs.next(), if !self.jobs.is_empty() => self.ran(ran).await,
                (dumped, read, status) = async { match looking.as_mut() { Some(look) => look.await, None => core::future::pending().await } } => {
                    looking = None;
                    self.read_dump(dumped);
                    self.read(read);
                    self.polled = status.as_deref().and_then(done);
                },
                _ = clock.tick() => {
                    look_again = true;
                    self.count_looks();
                    self.tidy();
                },
                Ok(()) = self.about.recorded.changed() => self.book.note_recorded(&self.about),
                () = until(due) => {},
            }
            self.settle().await;
        }
    }

    /// The first full state: what is found is taken to be as bad as it could be.
    fn changed(&mut self) -> bool {
        if self.view.whole && !self.met {
            self.tidy();
        }
        if self.view.whole && self.view.exists && !self.met {
            self.met = true;
            if self.view.role() == Role::Primary {
                self.book.required = self.others();
                self.book.freeze = match (self.view.suspended_by_user(), self.view.suspended_by_fencing()) {
                    (true, _) => Freeze::ByUser,
                    (false, true) if self.stands_alone() => Freeze::ByCut,
                    (false, _) => Freeze::No,
                };
            }
            self.cut = self.stands_alone();
        }
        true
    }

    fn others(&self) -> NodeSet {
        self.about.members.without(self.about.me)
    }

    /// DRBD 8.4 takes a connection that stands alone out of what it tells.
    fn stands_alone(&self) -> bool {
        let mut peers = self.view.peers.values();
        self.view.exists && (self.view.peers.is_empty() || peers.any(|peer| peer.connection == "StandAlone"))
    }

    /// DRBD's own configuration is looked at until it was read once in a run: before anything is granted to this replica.
    fn read_dump(&mut self, dumped: Option<Result<String, CommandOutcome>>) {
        let Some(dumped) = dumped else { return };
        let members: Vec<_> = self.about.members.iter().filter_map(|id| self.about.names.get(&id)).collect();
        let members: Vec<&str> = members.into_iter().map(String::as_str).collect();
        let problems = match dumped {
            Ok(text) => conf::problems(&text, &self.resource, &members, &self.run_dir),
            Err(error) => {
                // Asked again with the next look; nothing is reported before it is known.
                tracing::warn!(volume = %self.about.name, ?error, "DRBD's configuration could not be read");
                return;
            }
        };
        let problems = problems.unwrap_or_else(|error| vec![error]);
        for problem in &problems {
            tracing::error!(volume = %self.about.name, %problem, "not protected, so that it is granted nothing");
        }
        self.book.problems = Some(problems);
    }

    fn read(&mut self, read: Result<Generation, String>) {
        match read {
            Ok(read) => self.book.generation = Some(read),
            Err(error) => {
                tracing::warn!(volume = %self.about.name, %error, "the data's generation is not known");
            }
        }
    }

    /// Tells what is seen, then what it means for orders.
    async fn settle(&mut self) {
        self.say_resync();
        if !self.view.whole || !self.met {
            self.unseen().await;
            return;
        }
        if self.view.role() == Role::Primary
            && let Some(promoting) = self.book.promoting.as_mut()
        {
            promoting.held = false;
        }
        if self.view.role() == Role::Secondary && self.book.promoting.is_none() {
            self.book.required = self.others();
        }
        self.say_gap();
        self.tell().await;
        let (seen, rest): (Vec<_>, Vec<_>) = core::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| waiting.goal.is_seen(&self.view));
        self.waiting = rest;
        for waiting in seen {
            self.reached(waiting.command, waiting.goal).await;
        }
        self.overdue().await;
        self.release_handlers();
    }

    async fn overdue(&mut self) {
        let now = now();
        let (late, rest): (Vec<_>, Vec<_>) =
            core::mem::take(&mut self.waiting).into_iter().partition(|waiting| now >= waiting.deadline);
        self.waiting = rest;
        for Waiting { command, goal, .. } in late {
            if goal == Goal::NotFenced && self.dropping.is_none_or(|dropping| dropping.command != command) {
                // A thaw whose peers have not come back: what is left is the wait for a lost peer.
                self.reached(command, goal).await;
            } else {
                self.end(command, CommandOutcome::Unknown(format!("{goal:?} was not seen in time"))).await;
            }
        }
    }

    async fn tell(&mut self) {
        if let Some(report) = self.book.report(&self.about, &self.view)
            && self.last.as_ref() != Some(&report)
        {
            self.last = Some(report.clone());
            self.teller.report(report).await;
        }
    }

    /// While the kernel is not heard nothing is known but the data.
    async fn unseen(&mut self) {
        let Some(last) = self.last.clone() else { return };
        let report = unseen(&last);
        if report != last {
            self.last = Some(report.clone());
            self.teller.report(report).await;
        }
        self.overdue().await;
    }

    async fn ran(&mut self, ran: Ran) {
        let Ran { command, goal, deadline, ran } = ran;
        match ran {
            Ok(_) => self.waiting.push(Waiting { command, goal, deadline }),
            Err(outcome) => self.end(command, outcome).await,
        }
    }

    /// The drop that this order began, which has ended.
    fn dropped(&mut self, command: CommandId) -> Option<Dropping> {
        self.dropping.take_if(|dropping| dropping.command == command)
    }

    /// An order did not reach its goal.
    async fn end(&mut self, command: CommandId, outcome: CommandOutcome) {
        // Recorded is recorded: the handler's answer lifts the suspension too. Not a freeze that could not be kept up.
        if let Some(Dropping { peer, way, .. }) = self.dropped(command)
            && way != Way::FreezeFirst
        {
            self.book.required = self.book.required.without(peer);
        }
        if self.book.promoting.take_if(|promoting| promoting.command == command).is_some() {
            self.promote = None;
            self.held.clear();
        }
        self.tell().await;
        self.teller.done(command, outcome).await;
    }

    /// An order's goal is seen.
    async fn reached(&mut self, command: CommandId, goal: Goal) {
        match goal {
            Goal::Primary => {
                self.book.promoting = None;
                self.promote = None;
                self.tidy();
            }
            Goal::Secondary => {
                self.book.freeze = Freeze::No;
                self.held.clear();
                self.tidy();
            }
            Goal::ByUser => {
                self.book.freeze = Freeze::ByUser;
            }
            Goal::Suspended => {}
            Goal::Flowing | Goal::NotFenced => {
                if self.dropping.is_none_or(|dropping| dropping.command != command) {
                    self.book.freeze = Freeze::No;
                }
                self.tidy();
            }
        }
        if let Some(Dropping { peer, .. }) = self.dropped(command) {
            self.book.required = self.book.required.without(peer);
        }
        self.tell().await;
        self.teller.done(command, CommandOutcome::Done).await;
    }

    /// A handler gave up before the removal that it waited for was recorded, and nobody asks the kernel's question again.
    fn is_suspended_for_nobody(&self) -> bool {
        self.view.role() == Role::Primary
            && self.view.suspended_by_fencing()
            && !self.view.suspended_by_user()
            && self.book.freeze == Freeze::No
            && self.book.required.is_empty()
            && self.held.is_empty()
            && self.dropping.is_none()
    }

    /// What is to be so without an order: the resource is up, connections that were cut here come back, and
    /// nothing waits for a removal that is recorded.
    fn tidy(&mut self) {
        // Ends: those that have ended are few.
        while let Some(ended) = self.tidying.try_join_next() {
            if self.raising == Raising::Underway {
                self.raising = if matches!(ended, Ok(true)) { Raising::Not } else { Raising::Unfinished };
            }
        }
        // One at a time, each until it ends: in the kernel they wait for each other.
        if !self.tidying.is_empty() {
            return;
        }
        let whole = self.view.whole;
        let is_down = (whole && !self.view.exists) || !Path::new(MODULE).exists();
        let verb = if is_down && !self.met {
            "up"
        } else if whole && self.raising == Raising::Unfinished && self.view.role() == Role::Secondary {
            "adjust"
        } else if whole
            && self.cut
            && self.book.freeze != Freeze::ByCut
            && self.book.promoting.is_none()
            && self.dropping.is_none()
        {
            self.cut = self.stands_alone();
            "connect"
        } else if self.is_suspended_for_nobody() {
            "resume-io"
        } else {
            return;
        };
        let tool = self.tool.clone();
        let name = self.about.name.clone();
        if matches!(verb, "up" | "adjust") {
            self.raising = Raising::Underway;
        }
        self.tidying.spawn(async move {
            let ran = if verb == "resume-io" {
                tool.adm(&[verb], now() + jobs::UNHURRIED).await
            } else {
                tool.start(verb, Instant::NEVER).await
            };
            if let Err(error) = &ran {
                tracing::warn!(volume = %name, ?error, "drbdadm {verb}");
            }
            ran.is_ok()
        });
    }
}

/// The data, and what it descends from. To keep that takes a sync of the disk.
async fn generation(tool: &Tool, lineage: Lineage) -> Result<Generation, String> {
    let read = match tool.ask(&["get-gi"]).await {
        Ok(text) => generation::parse(&text)?,
        Err(CommandOutcome::Failed(text) | CommandOutcome::Unknown(text)) => return Err(text),
        Err(CommandOutcome::Done) => return Err("get-gi: it has no answer".to_owned()),
    };
    tokio::task::spawn_blocking(move || lineage.take(read)).await.map_err(|error| error.to_string())
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep(due.since(now())).await,
        None => core::future::pending().await,
    }
}
