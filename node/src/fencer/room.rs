//! The room of the fence devices: each order has a task of its own, and an entry in the history.

use super::history::{Entry, EntryId, History};
use super::{carry_out, device};
use crate::config::Config;
use crate::driver::Wake;
use crate::event::{outcome_word, verdict_word};
use picket_core::evidence::FenceOutcome;
use picket_core::ids::NodeId;
use picket_core::node::{Event, Input};
use picket_core::topology::{DeviceOrder, DeviceVerdict, PowerAction};
use picket_host::clock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

/// Starts devices. The core orders one device of one target at a time, so there are at most as many runs as
/// members, and those of a power-on.
#[derive(Clone, Debug)]
pub struct Fencer {
    config: Arc<Config>,
    history: History,
    runtime: Handle,
    into: mpsc::WeakSender<Wake>,
    cases: Arc<Mutex<BTreeMap<NodeId, Case>>>,
    /// How many devices carry out orders; tests keep out of their way.
    busy: watch::Sender<usize>,
}

/// What the history needs to know of the fence of one target.
#[derive(Clone, Copy, Debug, Default)]
struct Case {
    permit: u64,
    asked: Option<EntryId>,
}

impl Fencer {
    /// Runs agents on `runtime`, which is of ordinary priority, and tells the loop how they end.
    #[must_use]
    pub fn new(config: Arc<Config>, history: History, runtime: Handle, into: mpsc::WeakSender<Wake>) -> Self {
        Self { config, history, runtime, into, cases: Arc::default(), busy: watch::Sender::new(0) }
    }

    /// Carries an order out.
    pub fn start(&self, order: DeviceOrder) {
        let (id, action) = (order.order, order.action);
        let fencer = self.clone();
        // Before the task, so that a test is out of the way as early as can be.
        self.busy.send_modify(|orders| *orders += 1);
        self.runtime.spawn(async move {
            let verdict = fencer.run(order).await;
            fencer.busy.send_modify(|orders| *orders = orders.saturating_sub(1));
            if action == PowerAction::Off
                && let Some(into) = fencer.into.upgrade()
            {
                // The loop may be gone; its end is told elsewhere.
                let _ = into.send(Input::DeviceDone { order: id, verdict }.into()).await;
            }
        });
    }

    async fn run(&self, order: DeviceOrder) -> DeviceVerdict {
        let Some(device) = device(&self.config, &order) else { return DeviceVerdict::Failed };
        let target = self.config.node_name(order.target);
        let entry = self.entry(&order, &target, device.title());
        let action = order.action;
        let history = self.history.clone();
        // A fence does not wait for the disk that tells of it.
        let begun = tokio::task::spawn_blocking(move || history.begin(entry));
        let ended = carry_out(device, &target, order).await;
        let word = match (action, ended.verdict) {
            (PowerAction::On, DeviceVerdict::GatePassed) => "ON",
            (PowerAction::On | PowerAction::Off, verdict) => verdict_word(verdict),
        };
        tracing::info!(target = "picket::fence", node = %target, word, text = %ended.text, "fence device ended");
        let history = self.history.clone();
        let (verdict, text) = (ended.verdict, ended.text);
        tokio::spawn(async move {
            if let Ok(id) = begun.await {
                // A history that is not written is no reason for anything.
                let _ = tokio::task::spawn_blocking(move || history.end(id, wall(), word, text)).await;
            }
        });
        verdict
    }

    fn entry(&self, order: &DeviceOrder, target: &str, agent: String) -> Entry {
        let cases = self.cases.lock().unwrap_or_else(PoisonError::into_inner);
        Entry {
            started_at: wall(),
            target: target.to_owned(),
            fencer: self.config.name.clone(),
            permit: cases.get(&order.target).map_or(0, |case| case.permit),
            level: u32::from(order.level) + 1,
            device: u32::from(order.device) + 1,
            agent,
            action: match order.action {
                PowerAction::Off => "off".to_owned(),
                PowerAction::On => "on".to_owned(),
            },
            ..Entry::default()
        }
    }

    /// Takes what the core tells of fences.
    pub fn note(&self, event: &Event, at: &str) {
        let mut cases = self.cases.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Permitted { target, permit } => {
                cases.insert(*target, Case { permit: permit.0, asked: None });
            }
            Event::OperatorNeeded { target, .. } => {
                let case = cases.entry(*target).or_default();
                if case.asked.is_none() {
                    let entry = Entry {
                        started_at: at.to_owned(),
                        target: self.config.node_name(*target),
                        fencer: self.config.name.clone(),
                        permit: case.permit,
                        agent: "meatware".to_owned(),
                        action: "confirm".to_owned(),
                        manual: true,
                        ..Entry::default()
                    };
                    case.asked = Some(EntryId::NONE);
                    let (history, cases, target) = (self.history.clone(), self.cases.clone(), *target);
                    self.runtime.spawn_blocking(move || {
                        let id = history.begin(entry);
                        let mut cases = cases.lock().unwrap_or_else(PoisonError::into_inner);
                        cases.entry(target).or_default().asked = Some(id);
                    });
                }
            }
            Event::OperatorDone { target, confirmed } => {
                if let Some(id) = cases.remove(target).and_then(|case| case.asked) {
                    let (word, text) = if *confirmed {
                        (outcome_word(FenceOutcome::ConfirmedOff), "confirmed by a person")
                    } else {
                        (outcome_word(FenceOutcome::Unknown), "no confirmation was seen to count")
                    };
                    let history = self.history.clone();
                    self.runtime.spawn_blocking(move || history.end(id, wall(), word, text.to_owned()));
                }
            }
            _ => {}
        }
    }

    /// How many devices carry out orders now.
    #[must_use]
    pub fn busy(&self) -> watch::Receiver<usize> {
        self.busy.subscribe()
    }

    /// The history.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }
}

fn wall() -> String {
    clock::rfc3339(clock::wall())
}
