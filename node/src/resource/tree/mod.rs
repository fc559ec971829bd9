//! The tree above one volume as a pure machine: takes the time and inputs, gives effects; reads no clock.
//!
//! ```text
//!            look                 start                  failed
//!   Unread ───────► Stopped ────────────────► Running ───────────► Broken
//!     ▲ ▲              ▲                         │                   │
//!     │ └ cleaned up   └────────── stop ─────────┴───────────────────┤
//!     │                                                              ▼
//!     └──────────────────────── cleaned up ◄──────────────────── Stuck: a stop failed
//! ```
//! After each input the machine settles: for every resource it compares what should be (its goal, from the
//! volume's standing, what it needs, and why it is held back) with what is, and begins what is missing. Settling
//! depends on the state alone.
//!
//! - A resource is started when all that it needs runs and nothing that stands on it does.
//! - It is stopped when nothing that stands on it runs.
//! - What was started is out of service when a stop has said so. That a look says so is enough for a start, never for
//!   a stop that is due: a look that lies would leave it running under a volume that goes.
//! - A stop never waits for a free place, and is never tried again: a failed one is the volume's stop failure.
//! - While the volume is frozen, or under maintenance, nothing is begun.

mod ended;
mod requests;
mod settle;
mod view;

#[cfg(test)]
mod tests;

use super::plan::Plan;
use core::time::Duration;
use picket_core::node::{CommandId, Role};
use picket_core::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

pub use requests::Request;
pub use view::{Line, View};

/// Looks and starts at one time: more would only make all of them slow, and a slow look is a failed one.
pub const ACTIONS_MAX: usize = 16;

/// How often a resource is looked at that should not run here: somebody may have started it by hand.
pub const LOOK_AWAY: Duration = Duration::from_secs(60);

/// How soon after a look that could not say it is looked at again: that look has waited for an answer already.
pub const LOOK_DOUBTED: Duration = Duration::from_secs(1);

/// How long after a refused move it is asked for again: the other node may have become able.
pub const MOVE_AGAIN: Duration = Duration::from_secs(5);

/// What the core says of the volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It has not decided yet.
    #[default]
    Unread,
    /// Not held here.
    Away,
    /// Being promoted.
    Coming,
    /// In service here.
    Active,
    /// Held, and frozen.
    Frozen,
    /// Being made inactive.
    Leaving,
    /// A stop failed; the machine ends.
    Failed,
}

/// What a resource is, as it was seen last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Nobody has looked, or whoever did could not say.
    Unread,
    /// Seen or brought out of service.
    Stopped,
    /// In service.
    Running,
    /// It failed, and some of it may run.
    Broken,
    /// Its stop failed: it may run.
    Stuck,
}

/// What is done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Looks at it.
    Monitor,
    /// Brings it into service.
    Start,
    /// Takes it out of service.
    Stop,
}

/// An action's number; unique within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionId(pub u64);

/// How an action ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Started, stopped; of a look: it runs.
    Done,
    /// It does not run.
    NotRunning,
    /// Not done, or nobody knows; a timeout is this too.
    Failed(String),
    /// It can never run on this node: a program, or its configuration, is missing.
    Unfit(String),
    /// Of a look: nobody could say. It is neither in service nor out of it, and has not failed.
    Unknown(String),
}

/// Why a resource is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Halt {
    /// An operator took it out of service.
    Operator,
    /// It failed, and `on_fail = "stop"`.
    Stopped,
    /// It failed, and `on_fail = "block"`: it is left as it is.
    Blocked,
    /// It failed, and `on_fail = "fence"`.
    Fence,
    /// It failed too often, or its start failed: another node should run it.
    Exhausted,
    /// It cannot run on this node.
    Unfit,
}

/// What a failure may lead to by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Policy {
    /// The volume moves when its tree cannot run here.
    pub failover: bool,
    /// A failed resource is restarted here.
    pub local_recovery: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { failover: true, local_recovery: true }
    }
}

/// What happens to a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time passed; due at [`Tree::deadline`] at the latest.
    Tick,
    /// What the core says.
    Standing(Standing),
    /// This node is in maintenance, or is not any more.
    Maintenance(bool),
    /// What the driver says of the replica.
    Role(Role),
    /// The core orders a demotion.
    Leave(CommandId),
    /// An action ended.
    Ended {
        /// Its number.
        action: ActionId,
        /// How.
        outcome: Outcome,
    },
    /// Something happened to a resource, by its place in the plan: it is looked at as soon as that is of use.
    Stir(usize),
    /// A move that was asked for did not begin; why.
    NotMoved(String),
    /// An operator asks.
    Ask(Request),
}

/// What a tree wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Begin an action; it ends with [`Input::Ended`] within `timeout` and the time of a kill.
    Begin {
        /// Its number.
        action: ActionId,
        /// The resource's place in the plan.
        place: usize,
        /// What.
        verb: Verb,
        /// How long it may take.
        timeout: Duration,
    },
    /// Kill an action; it ends with [`Input::Ended`] all the same.
    Cancel(ActionId),
    /// Nothing runs any more: the driver may demote.
    Release(CommandId),
    /// It cannot be stopped: the demotion failed.
    Refuse {
        /// The order.
        command: CommandId,
        /// Why, in a line.
        text: String,
    },
    /// Another node should hold the volume; [`Input::NotMoved`] if none can.
    Move {
        /// Why, in a line.
        text: String,
    },
    /// For the log, in a line.
    Tell(Note, String),
    /// What [`Tree::kept`] gives has changed.
    Keep,
}

/// What kind of news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Note {
    /// A start or stop begins.
    Begins,
    /// It is in service.
    Started,
    /// It is out of service.
    Stopped,
    /// It failed.
    Failed,
    /// A stop failed.
    StopFailed,
    /// It is held back until an operator cleans up.
    Held,
    /// It runs where it should not.
    Found,
    /// Nobody can say what it is.
    Unknown,
    /// Another node should take over and cannot.
    NotMoved,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Work {
    action: ActionId,
    verb: Verb,
    cancelled: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Resource {
    state: State,
    work: Option<Work>,
    halt: Option<Halt>,
    failures: u32,
    failed_at: Option<Instant>,
    /// What it said when it failed last.
    text: String,
    look_at: Instant,
    /// Something happened while an action was under way: what that tells may be old.
    stirred: bool,
    /// The last look could not say what it is; why, is in `text`.
    doubted: bool,
    /// It was started, or seen running, and no stop has ended well since.
    owes_stop: bool,
}

/// What is remembered of one resource over a restart of the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Why it is held back.
    pub halt: Option<Halt>,
    /// How often it failed.
    pub failures: u32,
    /// When it failed last; in this boot.
    pub failed_at: Option<Instant>,
    /// What it said then.
    pub text: String,
    /// It was started, or seen running, and no stop has ended well since.
    #[serde(default)]
    pub owes_stop: bool,
}

/// An order of the core that waits for the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Leave {
    command: CommandId,
    answered: bool,
}

/// A move that is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Moving {
    asked: bool,
    ask_at: Instant,
    refused: String,
}

/// The machine; see the module.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tree {
    plan: Arc<Plan>,
    standing: Standing,
    maintenance: bool,
    role: Role,
    leave: Option<Leave>,
    moving: Moving,
    policy: Policy,
    resources: Vec<Resource>,
    actions: u64,
}

/// What one step collects.
type Out = Vec<Effect>;

impl Tree {
    /// At the start of the daemon, with what was remembered, by tag.
    #[must_use]
    pub fn new(plan: Arc<Plan>, policy: Policy, kept: &BTreeMap<String, Kept>) -> Self {
        let resource = |kept: Option<&Kept>| {
            let kept = kept.cloned().unwrap_or_default();
            Resource {
                state: State::Unread,
                work: None,
                halt: kept.halt,
                failures: kept.failures,
                failed_at: kept.failed_at,
                text: kept.text,
                look_at: Instant::BOOT,
                stirred: false,
                doubted: false,
                owes_stop: kept.owes_stop,
            }
        };
        let resources = plan.rules().iter().map(|rules| resource(kept.get(&rules.tag))).collect();
        Self {
            plan,
            standing: Standing::Unread,
            maintenance: false,
            role: Role::Unknown,
            leave: None,
            moving: Moving::default(),
            policy,
            resources,
            actions: 0,
        }
    }

    /// Takes one input.
    pub fn step(&mut self, now: Instant, input: Input) -> Vec<Effect> {
        let mut out = Out::new();
        match input {
            Input::Tick => {}
            Input::Standing(standing) => self.take_standing(standing),
            Input::Maintenance(maintenance) => self.maintenance = maintenance,
            Input::Role(role) => self.role = role,
            Input::Leave(command) => self.leave = Some(Leave { command, answered: false }),
            Input::Ended { action, outcome } => self.take_ended(now, action, outcome, &mut out),
            Input::Stir(place) => self.take_stir(now, place),
            Input::NotMoved(text) => self.take_not_moved(now, text, &mut out),
            Input::Ask(request) => self.take_request(&request, &mut out),
        }
        self.settle(now, &mut out);
        out
    }

    fn take_standing(&mut self, standing: Standing) {
        self.standing = standing;
        match standing {
            // The order was carried out.
            Standing::Away | Standing::Coming | Standing::Unread => {
                self.leave = None;
                self.moving = Moving::default();
            }
            // An order that is read before the standing that belongs to it stays.
            Standing::Active | Standing::Frozen | Standing::Leaving | Standing::Failed => {}
        }
    }

    fn take_stir(&mut self, now: Instant, place: usize) {
        if let Some(resource) = self.resources.get_mut(place) {
            resource.stirred = resource.work.is_some();
            resource.look_at = now;
        }
    }

    /// The role that the core is shown: Secondary only when nothing runs above a replica that is.
    #[must_use]
    pub fn shown_role(&self) -> Role {
        match self.role {
            Role::Secondary if self.resources.iter().any(|resource| resource.state == State::Stuck) => {
                Role::Primary
            }
            Role::Secondary if !self.is_down() => Role::Unknown,
            role => role,
        }
    }

    /// Every resource is out of service, and nothing is under way that could change that.
    #[must_use]
    pub fn is_down(&self) -> bool {
        let down = |resource: &Resource| {
            resource.state == State::Stopped
                && !resource.owes_stop
                && resource.work.is_none_or(|work| work.verb == Verb::Monitor)
        };
        self.resources.iter().all(down)
    }

    /// What is to be remembered over a restart of the daemon, by tag.
    #[must_use]
    pub fn kept(&self) -> BTreeMap<String, Kept> {
        let all = self.plan.rules().iter().zip(&self.resources);
        // A daemon may die between the beginning of a start and its end.
        let owes_stop = |resource: &Resource| {
            resource.owes_stop || resource.work.is_some_and(|work| work.verb == Verb::Start)
        };
        let told = all
            .filter(|(_, resource)| resource.halt.is_some() || resource.failures > 0 || owes_stop(resource));
        let kept = |resource: &Resource| Kept {
            halt: resource.halt,
            failures: resource.failures,
            failed_at: resource.failed_at,
            text: resource.text.clone(),
            owes_stop: owes_stop(resource),
        };
        told.map(|(rules, resource)| (rules.tag.clone(), kept(resource))).collect()
    }

    /// The policy in force.
    #[must_use]
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    fn tag(&self, place: usize) -> &str {
        self.plan.rules().get(place).map_or("", |rules| rules.tag.as_str())
    }

    fn owes_stop(&self, place: usize) -> bool {
        self.resources.get(place).is_some_and(|resource| resource.owes_stop)
    }

    fn state(&self, place: usize) -> State {
        self.resources.get(place).map_or(State::Unread, |resource| resource.state)
    }
}
