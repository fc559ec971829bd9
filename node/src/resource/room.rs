//! The room between the core and the driver of a volume that has resources.
//!
//! It never waits for anything but its inputs: what is to be told the core goes through a queue of its own, actions
//! and moves run beside it. So an order to freeze goes through at once, whatever the tree does.

use super::act::{Place, act};
use super::systemd;
use super::tree::{
    ActionId, Effect, Input as TreeInput, Kept, Note, Outcome, Policy, Request, Standing, Tree, View,
};
use crate::config::{Config, Resource, ResourceKind};
use crate::driver::Wake;
use crate::event::{self, Told};
use crate::events::Events;
use crate::time::now;
use crate::volume::Order;
use core::pin::Pin;
use core::time::Duration;
use futures_util::stream::{FuturesUnordered, StreamExt};
use picket_core::ids::VolumeId;
use picket_core::node::{CommandId, CommandOutcome, Input, VolumeAction, VolumeReport};
use picket_core::time::Instant;
use picket_host::clock::Alarm;
use picket_host::process::Remains;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

#[cfg(test)]
mod tests;

/// What waits to be told the core: the driver is not listened to while there is more, and the core, which is told of
/// each change once, never lets it come to that.
const TELL_MAX: usize = 256;

/// Changes that wait to be taken: who tells of them waits then, and tells once for all that happened meanwhile.
const STIRS_MAX: usize = 16;

/// Operators that wait at one time.
pub const ASKS_MAX: usize = 16;

/// Why a tree does not answer.
pub const GONE: &str = "nobody looks after these resources any more";

/// What the core says of a volume, for its tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Where the volume stands.
    pub standing: Standing,
    /// This node is in maintenance.
    pub maintenance: bool,
}

/// Asks that another node takes the volume over; comes back with why it does not.
pub type Mover = Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = String> + Send>> + Send + Sync>;

/// The trees of this node, for people and peers.
#[derive(Clone, Debug, Default)]
pub struct Trees(Arc<BTreeMap<VolumeId, Handle>>);

/// What an operator asks, and where it is told that the tree has taken it.
pub type Asked = (Request, oneshot::Sender<()>);

/// One tree, for people and peers.
#[derive(Clone, Debug)]
pub struct Handle {
    /// What people ask; told back when the tree has taken it.
    pub asks: mpsc::Sender<Asked>,
    /// What they see.
    pub view: watch::Receiver<View>,
}

impl Handle {
    /// The policy of this tree, after the change of what is given.
    ///
    /// # Errors
    /// Nobody looks after it.
    pub async fn policy(
        &self,
        failover: Option<bool>,
        local_recovery: Option<bool>,
    ) -> Result<Policy, &'static str> {
        let known = || {
            let view = self.view.borrow();
            Policy { failover: view.failover, local_recovery: view.local_recovery }
        };
        let before = known();
        if failover.is_some() || local_recovery.is_some() {
            let policy = Policy {
                failover: failover.unwrap_or(before.failover),
                local_recovery: local_recovery.unwrap_or(before.local_recovery),
            };
            self.ask(Request::Policy(policy)).await?;
        }
        Ok(known())
    }

    /// Asks, and waits until the tree has taken it.
    ///
    /// # Errors
    /// Nobody looks after it.
    pub async fn ask(&self, request: Request) -> Result<(), &'static str> {
        let (taken, is_taken) = oneshot::channel();
        self.asks.send((request, taken)).await.map_err(|_| GONE)?;
        is_taken.await.map_err(|_| GONE)
    }
}

impl Trees {
    /// Of these.
    #[must_use]
    pub fn new(trees: BTreeMap<VolumeId, Handle>) -> Self {
        Self(Arc::new(trees))
    }

    /// The tree above a volume; none: it has no resources here.
    #[must_use]
    pub fn of(&self, volume: VolumeId) -> Option<&Handle> {
        self.0.get(&volume)
    }

    /// All trees.
    pub fn all(&self) -> impl Iterator<Item = (VolumeId, &Handle)> {
        self.0.iter().map(|(id, handle)| (*id, handle))
    }

    /// The volume above which a resource stands.
    #[must_use]
    pub fn with(&self, tag: &str) -> Option<(VolumeId, &Handle)> {
        self.all().find(|(_, handle)| handle.view.borrow().lines.iter().any(|line| line.tag == tag))
    }
}

/// The inner ends of a room's queues.
#[derive(Debug)]
pub struct Ends {
    /// The core's orders.
    pub orders: mpsc::Receiver<Order>,
    /// The driver's orders.
    pub driver: mpsc::Sender<Order>,
    /// What the driver says.
    pub said: mpsc::Receiver<Wake>,
    /// What the core says of the volume.
    pub standing: watch::Receiver<Said>,
    /// What operators ask.
    pub asks: mpsc::Receiver<Asked>,
    /// The core's queue.
    pub core: mpsc::Sender<Wake>,
    /// What people see.
    pub view: watch::Sender<View>,
    /// What is remembered until the machine boots.
    pub kept: watch::Sender<BTreeMap<String, Kept>>,
    /// What is remembered for good.
    pub policy: watch::Sender<Policy>,
}

type Acting = FuturesUnordered<Pin<Box<dyn Future<Output = (ActionId, Outcome)> + Send>>>;
type Moves = FuturesUnordered<Pin<Box<dyn Future<Output = String> + Send>>>;

/// What wakes the room.
enum Happened {
    Ordered(Order),
    Told,
    DriverSaid(Wake),
    Stands(Said),
    Ended(ActionId, Outcome),
    NotMoved(String),
    Stirred(usize),
    Asked(Asked),
    Time,
}

/// The room; [`Room::run`] is its life.
pub struct Room {
    volume: VolumeId,
    name: String,
    place: Place,
    resources: Vec<Resource>,
    tree: Tree,
    events: Events,
    mover: Mover,
    ends: Ends,
    acting: Acting,
    cancels: BTreeMap<ActionId, oneshot::Sender<()>>,
    /// Of each resource, what is still there of actions that were given up.
    remains: BTreeMap<usize, Remains>,
    moves: Moves,
    /// Those that are told by somebody when they change, and who listens to that.
    stirs: mpsc::Receiver<usize>,
    watchers: JoinSet<()>,
    tell: VecDeque<Wake>,
    /// The order to demote that the driver gets when the tree is down.
    demote: Option<(CommandId, Instant)>,
    /// What the driver reported last, and what of it the core was told.
    report: Option<VolumeReport>,
    told: Option<VolumeReport>,
}

impl Room {
    /// For a volume of this configuration.
    #[must_use]
    pub fn new(
        config: &Config,
        volume: VolumeId,
        kept: &BTreeMap<String, Kept>,
        events: Events,
        mover: Mover,
        ends: Ends,
    ) -> Self {
        let name = config.volume_name(volume);
        let members = config.volumes.get(&volume).map(|volume| volume.members.clone()).unwrap_or_default();
        let members = members.into_iter().map(|id| config.node_name(id)).collect();
        let place = Place { node: config.name.clone(), volume: name.clone(), members };
        let resources = config.resources.get(&volume).cloned().unwrap_or_default();
        let tree = Tree::new(Arc::new(config.plan(volume)), *ends.policy.borrow(), kept);
        Self {
            volume,
            name,
            place,
            resources,
            tree,
            events,
            mover,
            ends,
            acting: FuturesUnordered::new(),
            cancels: BTreeMap::new(),
            remains: BTreeMap::new(),
            moves: FuturesUnordered::new(),
            stirs: mpsc::channel(1).1,
            watchers: JoinSet::new(),
            tell: VecDeque::new(),
            demote: None,
            report: None,
            told: None,
        }
    }

    /// Runs until the core gives no more orders. What is under way then is killed; what runs stays.
    pub async fn run(mut self) {
        let mut alarm = match Alarm::new() {
            Ok(alarm) => alarm,
            // Without the room the driver takes no orders, and the core knows what that means.
            Err(error) => return tracing::error!(volume = %self.name, %error, "no timer for the resources"),
        };
        self.watch();
        self.step(TreeInput::Tick);
        while let Some(happened) = self.next(&mut alarm).await {
            self.take(happened);
        }
    }

    /// Listens to what tells of its changes by itself. It ends with the room.
    fn watch(&mut self) {
        let (stir, stirs) = mpsc::channel(STIRS_MAX);
        for (place, resource) in self.resources.iter().enumerate() {
            match &resource.kind {
                ResourceKind::Systemd(unit) => {
                    self.watchers.spawn(systemd::watch(unit.clone(), place, stir.clone()));
                }
                ResourceKind::Ocf(_) | ResourceKind::Command(_) => {}
            }
        }
        self.stirs = stirs;
    }

    /// The next thing that happens; nothing: the end.
    async fn next(&mut self, alarm: &mut Alarm) -> Option<Happened> {
        let at = self.tree.deadline(now());
        if let Err(error) = alarm.set(at.elapsed()) {
            tracing::error!(volume = %self.name, %error, "the resources have no timer");
            return None;
        }
        let ends = &mut self.ends;
        tokio::select! {
            biased;
            order = ends.orders.recv() => order.map(Happened::Ordered),
            room = ends.core.reserve(), if !self.tell.is_empty() => {
                let room = room.ok()?;
                if let Some(wake) = self.tell.pop_front() {
                    room.send(wake);
                }
                Some(Happened::Told)
            }
            said = ends.said.recv(), if self.tell.len() < TELL_MAX => said.map(Happened::DriverSaid),
            changed = ends.standing.changed() => {
                changed.ok()?;
                Some(Happened::Stands(*ends.standing.borrow_and_update()))
            }
            Some((action, outcome)) = self.acting.next(), if !self.acting.is_empty() => {
                Some(Happened::Ended(action, outcome))
            }
            Some(text) = self.moves.next(), if !self.moves.is_empty() => Some(Happened::NotMoved(text)),
            Some(place) = self.stirs.recv() => Some(Happened::Stirred(place)),
            Some(asked) = ends.asks.recv() => Some(Happened::Asked(asked)),
            _ = alarm.fired() => Some(Happened::Time),
        }
    }

    fn take(&mut self, happened: Happened) {
        match happened {
            Happened::Ordered(order) => self.order(order),
            Happened::Told => {}
            Happened::DriverSaid(wake) => self.driver_said(wake),
            Happened::Stands(Said { standing, maintenance }) => {
                self.step(TreeInput::Maintenance(maintenance));
                self.step(TreeInput::Standing(standing));
            }
            Happened::Ended(action, outcome) => {
                self.cancels.remove(&action);
                self.step(TreeInput::Ended { action, outcome });
            }
            Happened::Stirred(place) => self.step(TreeInput::Stir(place)),
            Happened::NotMoved(text) => self.step(TreeInput::NotMoved(text)),
            Happened::Asked((request, taken)) => {
                self.step(TreeInput::Ask(request));
                // Who asked may be gone.
                let _ = taken.send(());
            }
            Happened::Time => self.step(TreeInput::Tick),
        }
    }

    /// An order of the core: a demotion waits for the tree, everything else goes through.
    fn order(&mut self, order: Order) {
        if let VolumeAction::Demote { deadline } = order.action {
            self.demote = Some((order.command, deadline));
            self.step(TreeInput::Leave(order.command));
        } else {
            self.pass(order);
        }
    }

    fn pass(&mut self, order: Order) {
        let command = order.command;
        if self.ends.driver.try_send(order).is_err() {
            self.answer(command, CommandOutcome::Failed("the driver takes no orders".to_owned()));
        }
    }

    fn answer(&mut self, command: CommandId, outcome: CommandOutcome) {
        self.tell.push_back(Input::VolumeDone { volume: self.volume, command, outcome }.into());
    }

    fn driver_said(&mut self, wake: Wake) {
        match wake {
            Wake::Input(input) => match *input {
                Input::Volume { report, .. } => {
                    let role = report.role;
                    self.report = Some(report);
                    self.step(TreeInput::Role(role));
                }
                other => self.tell.push_back(other.into()),
            },
            Wake::Ask(ask) => self.tell.push_back(Wake::Ask(ask)),
        }
    }

    fn step(&mut self, input: TreeInput) {
        for effect in self.tree.step(now(), input) {
            self.carry_out(effect);
        }
        if let Some(report) = &self.report {
            let shown = VolumeReport { role: self.tree.shown_role(), ..report.clone() };
            if self.told.as_ref() != Some(&shown) {
                self.told = Some(shown.clone());
                self.tell.push_back(Input::Volume { volume: self.volume, report: shown }.into());
            }
        }
        let view = self.tree.view();
        self.ends.view.send_if_modified(|known| {
            let changed = *known != view;
            *known = view;
            changed
        });
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Begin { action, place, verb, timeout } => {
                let Some(resource) = self.resources.get(place).cloned() else { return };
                let (cancel, cancelled) = oneshot::channel();
                self.cancels.insert(action, cancel);
                let remains = self.remains.entry(place).or_default().clone();
                let place = self.place.clone();
                self.acting.push(Box::pin(async move {
                    let given_up = async move {
                        if cancelled.await.is_err() {
                            // The room is gone, and the action with it.
                            core::future::pending::<()>().await;
                        }
                    };
                    (action, act(resource, place, verb, timeout, given_up, remains).await)
                }));
            }
            Effect::Cancel(action) => {
                if let Some(cancel) = self.cancels.remove(&action) {
                    // One that has just ended needs no end.
                    let _ = cancel.send(());
                }
            }
            Effect::Release(command) => {
                let demote = self.demote.take().filter(|(open, _)| *open == command);
                if let Some((command, deadline)) = demote {
                    self.pass(Order { command, action: VolumeAction::Demote { deadline } });
                }
            }
            Effect::Refuse { command, text } => self.answer(command, CommandOutcome::Failed(text)),
            Effect::Move { text } => {
                let moving = (self.mover)(text);
                self.moves.push(moving);
            }
            Effect::Tell(note, text) => self.note(note, text),
            Effect::Keep => {
                self.ends.kept.send_replace(self.tree.kept());
                let policy = self.tree.policy();
                self.ends.policy.send_if_modified(|known| core::mem::replace(known, policy) != policy);
            }
        }
    }

    fn note(&self, note: Note, text: String) {
        let code = match note {
            Note::Begins => event::RESOURCE_BEGINS,
            Note::Started => event::RESOURCE_STARTED,
            Note::Stopped => event::RESOURCE_STOPPED,
            Note::Failed => event::RESOURCE_FAILED,
            Note::StopFailed => event::RESOURCE_STUCK,
            Note::Held => event::RESOURCE_HELD,
            Note::Found => event::RESOURCE_FOUND,
            Note::Unknown => event::RESOURCE_UNKNOWN,
            Note::NotMoved => event::RESOURCE_STRANDED,
        };
        let text = format!("{} above {}", text, self.name);
        self.events.tell(Told::new(code, text).about_volume(self.name.clone()));
    }
}

/// How long a peer may take to say whether it could run a tree.
pub const ABLE_WITHIN: Duration = Duration::from_secs(2);
