//! Conditions: what a node looks at to know whether volumes should be on it. A gateway that answers, a disk that is
//! well, an attribute that somebody set.
//!
//! ```text
//!   unknown ──look──► met ◄──one look── not met
//!      └──────────────┴── threshold looks in a row ──►┘
//! ```
//! Contract: a condition decides where a volume *should* be, never whether it may be anywhere. A node that does not meet
//! one takes no volume that another node offers, and offers what it holds to one that meets all of its own; when nobody
//! does, everything stays where it is. What is granted after an outage is granted without a look at conditions: a volume
//! with a bad gateway is better than none. A node that has not looked yet does not say that it meets anything.

use crate::config::{Condition, Config};
use crate::event::{self, Told};
use crate::events::Events;
use core::time::Duration;
use picket_core::ids::VolumeId;
use picket_host::clock::boottime;
use picket_host::process::{Outcome as Ended, Program, SYSTEM_PATH, run_unless};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinSet;

mod placing;
#[cfg(test)]
mod tests;

pub(crate) use placing::Placing;

/// What is known of one condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nobody has looked, or not often enough.
    #[default]
    Unknown,
    Met,
    /// Not met, and what the look said.
    NotMet(String),
}

/// The conditions of this node, for who places volumes.
#[derive(Clone, Debug)]
pub struct Conditions {
    config: Arc<Config>,
    states: watch::Sender<BTreeMap<String, State>>,
    /// Volumes that should be elsewhere and are not, and why; for people.
    misplaced: Arc<Mutex<BTreeMap<VolumeId, String>>>,
}

impl Conditions {
    /// Nobody has looked yet.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        Self { config, states: watch::Sender::default(), misplaced: Arc::default() }
    }

    /// Why a volume that is elsewhere should not come here.
    #[must_use]
    pub fn unable(&self, volume: VolumeId) -> Option<String> {
        let states = self.states.borrow();
        self.about(volume).find_map(|condition| match states.get(&condition.tag) {
            Some(State::Met) => None,
            Some(State::NotMet(why)) => Some(format!("{} is not met there: {why}", condition.tag)),
            Some(State::Unknown) | None => {
                Some(format!("nobody knows yet whether {} is met there", condition.tag))
            }
        })
    }

    /// Why a volume that is here should be elsewhere.
    #[must_use]
    pub fn should_leave(&self, volume: VolumeId) -> Option<String> {
        let states = self.states.borrow();
        self.about(volume).find_map(|condition| match states.get(&condition.tag) {
            Some(State::NotMet(why)) => Some(format!("{} is not met here: {why}", condition.tag)),
            Some(State::Met | State::Unknown) | None => None,
        })
    }

    /// What is not met, with why.
    #[must_use]
    pub fn not_met(&self) -> Vec<(String, String)> {
        let states = self.states.borrow();
        let told = |(tag, state): (&String, &State)| match state {
            State::NotMet(why) => Some((tag.clone(), why.clone())),
            State::Met | State::Unknown => None,
        };
        states.iter().filter_map(told).collect()
    }

    /// Volumes that should be elsewhere, with why they are not.
    #[must_use]
    pub fn misplaced(&self) -> BTreeMap<VolumeId, String> {
        self.misplaced.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn about(&self, volume: VolumeId) -> impl Iterator<Item = &Condition> {
        self.config.conditions.iter().filter(move |condition| condition.volumes.contains(&volume))
    }

    /// Looks by the clock, for as long as the daemon lives.
    pub async fn run(self, events: Events) {
        let mut looking = JoinSet::new();
        for condition in self.config.conditions.clone() {
            let (this, events) = (self.clone(), events.clone());
            looking.spawn(async move {
                let mut failures = 0;
                loop {
                    let found = look(&condition, &this.config.name).await;
                    this.keep(&condition, &mut failures, found, &events);
                    tokio::time::sleep(condition.interval).await;
                }
            });
        }
        while looking.join_next().await.is_some() {}
    }

    /// What a look found counts when it was found often enough.
    fn keep(&self, condition: &Condition, failures: &mut u32, found: Result<(), String>, events: &Events) {
        let state = match found {
            Ok(()) => {
                *failures = 0;
                State::Met
            }
            Err(why) => {
                *failures = failures.saturating_add(1);
                if *failures < condition.threshold {
                    return;
                }
                State::NotMet(why)
            }
        };
        let before = self.states.borrow().get(&condition.tag).cloned().unwrap_or_default();
        let told = match (&before, &state) {
            (State::Met | State::Unknown, State::NotMet(why)) => {
                Some((event::CONDITION_NOT_MET, format!("{} is not met: {why}", condition.tag)))
            }
            (State::NotMet(_), State::Met) => {
                Some((event::CONDITION_MET, format!("{} is met again", condition.tag)))
            }
            _ => None,
        };
        if let Some((code, text)) = told {
            events.tell(Told::new(code, text));
        }
        self.states
            .send_if_modified(|states| states.insert(condition.tag.clone(), state.clone()) != Some(state));
    }
}

/// One look.
async fn look(condition: &Condition, node: &str) -> Result<(), String> {
    let Some((path, arguments)) = condition.command.split_first() else {
        return Err("no command".to_owned());
    };
    let program = Program::new(path)
        .args(arguments)
        .env("PATH", SYSTEM_PATH)
        .env("PICKET_CONDITION", &condition.tag)
        .env("PICKET_NODE", node);
    let deadline: Duration = boottime() + condition.timeout;
    let finished = run_unless(program, deadline, core::future::pending()).await;
    match &finished.outcome {
        Ended::Exited { code: 0 } => Ok(()),
        Ended::Exited { code } => {
            let said = crate::resource::act::last_line(&finished.stderr, &finished.stdout, &[]);
            Err(if said.is_empty() {
                format!("exit status {code}")
            } else {
                format!("exit status {code}: {said}")
            })
        }
        other => Err(other.to_string()),
    }
}
