//! The driver of programs: each order runs one, and `status` is asked at an interval.
//!
//! Programs get their words from the environment: `PICKET_ACTION`, `PICKET_VOLUME`, `PICKET_VOLUME_ID`,
//! `PICKET_NODE`, `PICKET_MEMBERS`, and where they apply `PICKET_EPOCH`, `PICKET_REQUIRED`, `PICKET_PEER`. Exit 0 is
//! done, 1 is not done with the state as it was, everything else is unknown.
//!
//! `status` writes `key=value` lines to its standard output and exits 0; anything else makes the role Unknown:
//!
//! ```text
//! role=primary|secondary
//! frozen=yes|no                  (absent: no)
//! ```
//! and with a declared barrier also, each of them required:
//! ```text
//! complete=yes|no
//! generation=<hex>               history=<hex>,<hex>      (history may be empty)
//! connected=<names>              complete_peers=<names>   required=<names>   lost=<names>
//! ```
//! Without a barrier the volume is *exclusive only*: exclusivity is protected, acknowledged writes are not. Then the
//! replica always counts as complete, its generation never changes, and the peers that are heard count as
//! connected.
//!
//! The state is asked again after each order and at an interval: nothing tells of a change here.

use super::{About, Life, Order, Teller, VolumeDriver, one_line};
use crate::config::Commands;
use crate::time::now;
use core::time::Duration;
use futures_util::stream::{FuturesUnordered, StreamExt};
use picket_core::evidence::Generation;
use picket_core::ids::GenerationId;
use picket_core::ids::{NodeId, NodeSet};
use picket_core::node::{CommandId, CommandOutcome, Role, VolumeAction, VolumeReport};
use picket_core::time::Instant;
use picket_host::process::{Finished, Leftovers, Outcome, Program, Remains, SYSTEM_PATH, run};
use tokio::sync::mpsc;

mod parse;
#[cfg(test)]
mod tests;

/// The generation of data that nothing identifies.
const CONSTANT: GenerationId = GenerationId(1);

/// The longest that a program runs beyond what the core waits for it; a demote has its own deadline.
const PROMOTE_MAX: Duration = Duration::from_secs(3600);

/// Asks for the state; changes nothing.
const STATUS: &str = "status";

/// Why nothing that is seen of the volume counts.
const STILL_THERE: &str = "a program that was given up has not been seen to end";

/// Drives a volume by programs.
#[derive(Debug)]
pub struct Command {
    commands: Commands,
    about: About,
}

impl Command {
    /// With these programs.
    #[must_use]
    pub const fn new(commands: Commands, about: About) -> Self {
        Self { commands, about }
    }
}

impl VolumeDriver for Command {
    fn live(self: Box<Self>, orders: mpsc::Receiver<Order>, teller: Teller) -> Life {
        Box::pin(async move {
            let Self { commands, about } = *self;
            let (last, required, remains) = (None, NodeSet::EMPTY, Remains::default());
            Driver { commands, about, last, required, remains }.drive(orders, teller).await;
        })
    }
}

/// What a status program wrote, as a report; `otherwise` gives what is said of a replica without a barrier.
///
/// # Errors
/// What is not understood; the volume's role is unknown then.
pub fn read_status(
    text: &str,
    about: &About,
    otherwise: impl FnOnce() -> VolumeReport,
) -> Result<VolumeReport, String> {
    Ok(parse::parse(text, about)?.report(otherwise))
}

/// What an order needs while it runs.
struct Job {
    command: CommandId,
    verb: &'static str,
    program: Option<Program>,
    deadline: Instant,
    then: Then,
}

/// What a success means for the peers that are required without a barrier.
#[derive(Clone, Copy)]
enum Then {
    Nothing,
    Require(NodeSet),
    Add(NodeId),
    Remove(NodeId),
}

struct Driver {
    commands: Commands,
    about: About,
    last: Option<VolumeReport>,
    /// Without a barrier nobody sees what is required but this driver.
    required: NodeSet,
    /// Programs that were given up. What one of them still does undoes the opposite.
    remains: Remains,
}

impl Driver {
    async fn drive(mut self, mut orders: mpsc::Receiver<Order>, teller: Teller) {
        let mut working = FuturesUnordered::new();
        let mut ends = self.remains.changes();
        let mut heard = self.about.heard.clone();
        let mut monitor = tokio::time::interval(self.commands.monitor_interval);
        monitor.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // One look at a time; a change that comes during it is looked at after it.
        let mut look_again = true;
        let mut looking = None;
        loop {
            if looking.is_none() && core::mem::take(&mut look_again) {
                looking = Some(Box::pin(self.look()));
            }
            tokio::select! {
                order = orders.recv() => {
                    let Some(order) = order else { return };
                    match self.job(order) {
                        // A promote that is overtaken by its opposite must not go on beside it: dropping it kills it,
                        // and the opposite waits for its end.
                        Ok(job) => {
                            if matches!(job.verb, "demote" | "freeze") {
                                working = FuturesUnordered::new();
                                (looking, look_again) = (None, true);
                            }
                            working.push(work(job, self.remains.clone(), self.look()));
                        }
                        Err((command, outcome)) => teller.done(command, outcome).await,
                    }
                },
                Some(worked) = working.next(), if !working.is_empty() => {
                    // A look that began before the program ended may tell what is over.
                    looking = None;
                    self.worked(worked, &teller).await;
                },
                seen = async { match looking.as_mut() { Some(look) => look.await, None => core::future::pending().await } } => {
                    looking = None;
                    self.tell(seen, &teller).await;
                },
                _ = monitor.tick() => look_again = true,
                () = ends.next() => look_again = true,
                changed = heard.changed() => match changed {
                    Ok(()) => look_again = !self.about.has_barrier || look_again,
                    Err(_) => return,
                },
            }
        }
    }

    /// The state after a program is told before its outcome, and the outcome is what the state shows.
    async fn worked(&mut self, worked: Worked, teller: &Teller) {
        let Worked { command, verb, outcome, then, seen } = worked;
        self.take_then(&outcome, then);
        self.tell(seen, teller).await;
        let Some(last) = &self.last else { return };
        let shown = match verb {
            "promote" => last.role == Role::Primary,
            "demote" => last.role == Role::Secondary,
            "freeze" => last.frozen || last.role == Role::Secondary,
            "thaw" => !last.frozen,
            _ => true,
        };
        let outcome = if outcome == CommandOutcome::Done && !shown {
            let text = format!("{verb} said done; status says {:?}, frozen {}", last.role, last.frozen);
            CommandOutcome::Unknown(text)
        } else {
            outcome
        };
        teller.done(command, outcome).await;
    }

    fn take_then(&mut self, outcome: &CommandOutcome, then: Then) {
        if *outcome == CommandOutcome::Done {
            self.required = match then {
                Then::Nothing => self.required,
                Then::Require(set) => set,
                Then::Add(peer) => self.required.with(peer),
                Then::Remove(peer) => self.required.without(peer),
            };
        }
    }

    async fn tell(&mut self, seen: Result<Finished, String>, teller: &Teller) {
        let report = match seen.and_then(|finished| self.understand(&finished)) {
            Ok(report) => report,
            Err(error) => {
                tracing::warn!(volume = %self.about.name, %error, "the volume's state is unknown");
                self.unknown()
            }
        };
        if self.last.as_ref() != Some(&report) {
            self.last = Some(report.clone());
            teller.report(report).await;
        }
    }

    /// While the end of something was not seen, and no order has waited for it, what runs counts, and nothing else: a
    /// replica that is seen Secondary, or frozen, may not be for long.
    fn understand(&self, finished: &Finished) -> Result<VolumeReport, String> {
        let report = self.read(finished)?;
        let rests = report.frozen || report.role == Role::Secondary;
        if rests && self.remains.any() { Err(STILL_THERE.to_owned()) } else { Ok(report) }
    }

    fn read(&self, finished: &Finished) -> Result<VolumeReport, String> {
        if finished.outcome != (Outcome::Exited { code: 0 }) {
            return Err(format!("status {}: {}", finished.outcome, one_line(&finished.stderr.text())));
        }
        let text =
            core::str::from_utf8(&finished.stdout.bytes).map_err(|_| "status: not UTF-8".to_owned())?;
        read_status(text, &self.about, || self.without_barrier())
    }

    /// What is said of a replica that nothing is known of but its role.
    fn without_barrier(&self) -> VolumeReport {
        let heard = self.about.heard.borrow().intersection(self.about.members).without(self.about.me);
        VolumeReport {
            role: Role::Unknown,
            frozen: false,
            complete: true,
            generation: Generation::first(CONSTANT),
            connected: heard,
            complete_peers: heard,
            required: self.required,
            lost: NodeSet::EMPTY,
        }
    }

    fn unknown(&self) -> VolumeReport {
        let base = self
            .last
            .clone()
            .unwrap_or_else(|| VolumeReport { complete: !self.about.has_barrier, ..self.without_barrier() });
        VolumeReport { role: Role::Unknown, frozen: false, ..base }
    }

    fn look(&self) -> impl Future<Output = Result<Finished, String>> + Send + use<> {
        let program = self.program(&self.commands.status, STATUS);
        look(program, self.commands.timeout, self.remains.clone())
    }

    fn program(&self, argv: &[String], verb: &str) -> Option<Program> {
        let (path, arguments) = argv.split_first()?;
        let name = self.about.names.get(&self.about.me).cloned().unwrap_or_default();
        let program = Program::new(path)
            .args(arguments)
            .env("PATH", SYSTEM_PATH)
            .env("LC_ALL", "C")
            .env("PICKET_ACTION", verb)
            .env("PICKET_VOLUME", &self.about.name)
            .env("PICKET_VOLUME_ID", self.about.id.to_string())
            .env("PICKET_NODE", name)
            .env("PICKET_MEMBERS", self.about.names_of(self.about.members))
            // A promote may start what stands above the volume; that must outlive its program.
            .leftovers(Leftovers::Leave);
        Some(if verb == STATUS { program } else { program.remains(&self.remains) })
    }

    fn job(&self, order: Order) -> Result<Job, (CommandId, CommandOutcome)> {
        let Order { command, action } = order;
        let failed = |text: String| Err((command, CommandOutcome::Failed(text)));
        let job = |verb, program, deadline, then| Ok(Job { command, verb, program, deadline, then });
        let short = now() + self.commands.timeout;
        let opens = matches!(action, VolumeAction::Promote(_) | VolumeAction::Thaw { .. });
        if opens && self.remains.any() {
            return failed(STILL_THERE.to_owned());
        }
        match action {
            VolumeAction::Promote(promotion) => match promotion.redeem(now()) {
                Ok((_, epoch, required)) => {
                    let program = self.program(&self.commands.promote, "promote").map(|program| {
                        let program = program.env("PICKET_EPOCH", epoch.to_string());
                        program.env("PICKET_REQUIRED", self.about.names_of(required))
                    });
                    job("promote", program, now() + PROMOTE_MAX, Then::Require(required))
                }
                Err(late) => failed(format!(
                    "the promotion was valid until {:?}, it is {:?}",
                    late.valid_until, late.now
                )),
            },
            VolumeAction::Demote { deadline } => {
                let program = self.program(&self.commands.demote, "demote");
                job("demote", program, deadline, Then::Require(NodeSet::EMPTY))
            }
            VolumeAction::Freeze => match &self.commands.freeze {
                Some(argv) => job("freeze", self.program(argv, "freeze"), short, Then::Nothing),
                None => failed("no program can freeze this volume".to_owned()),
            },
            VolumeAction::Thaw { valid_until } => match &self.commands.thaw {
                Some(_) if now() >= valid_until => failed("it is too late to thaw".to_owned()),
                Some(argv) => job("thaw", self.program(argv, "thaw"), short.min(valid_until), Then::Nothing),
                None => failed("no program can thaw this volume".to_owned()),
            },
            VolumeAction::DropPeer { peer } => {
                self.peer_job(command, "drop_peer", &self.commands.drop_peer, peer, Then::Remove(peer))
            }
            VolumeAction::RequirePeer { peer } => {
                self.peer_job(command, "require_peer", &self.commands.require_peer, peer, Then::Add(peer))
            }
        }
    }

    /// Without a program there is nothing to be moved, and that is done at once.
    fn peer_job(
        &self,
        command: CommandId,
        verb: &'static str,
        argv: &Option<Vec<String>>,
        peer: NodeId,
        then: Then,
    ) -> Result<Job, (CommandId, CommandOutcome)> {
        let name = self.about.names_of(NodeSet::only(peer));
        let program = argv.as_ref().and_then(|argv| self.program(argv, verb));
        let program = program.map(|program| program.env("PICKET_PEER", name));
        Ok(Job { command, verb, program, deadline: now() + self.commands.timeout, then })
    }
}

/// What is seen counts only if nothing that was given up could change it meanwhile.
async fn look(program: Option<Program>, timeout: Duration, remains: Remains) -> Result<Finished, String> {
    let program = program.ok_or("status: no program")?;
    let before = remains.is_there();
    let finished = run(program, (now() + timeout).elapsed()).await;
    if before || remains.is_there() { Err(STILL_THERE.to_owned()) } else { Ok(finished) }
}

/// How an order's program ended, and what the state is after it.
struct Worked {
    command: CommandId,
    verb: &'static str,
    outcome: CommandOutcome,
    then: Then,
    seen: Result<Finished, String>,
}

async fn work(job: Job, remains: Remains, look: impl Future<Output = Result<Finished, String>>) -> Worked {
    let Job { command, verb, program, deadline, then } = job;
    // Beside what is stuck the order is tried too, while there is time, and what comes of that is unknown.
    let alone = remains.gone_within(deadline.since(now()) / 2).await;
    let outcome = match program {
        Some(program) => outcome(verb, &run(program, deadline.elapsed()).await),
        None => CommandOutcome::Done,
    };
    let outcome = if alone { outcome } else { CommandOutcome::Unknown(format!("{verb}: {STILL_THERE}")) };
    Worked { command, verb, outcome, then, seen: look.await }
}

/// What it means for the order that its program ended so.
#[must_use]
pub fn outcome(verb: &str, finished: &Finished) -> CommandOutcome {
    let text = format!("{verb} {}: {}", finished.outcome, one_line(&finished.stderr.text()));
    match &finished.outcome {
        Outcome::Exited { code: 0 } => CommandOutcome::Done,
        Outcome::Exited { code: 1 } | Outcome::NotStarted { .. } => CommandOutcome::Failed(text),
        Outcome::Exited { .. }
        | Outcome::Signaled { .. }
        | Outcome::TimedOut { .. }
        | Outcome::Lost { .. } => CommandOutcome::Unknown(text),
    }
}
