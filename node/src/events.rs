//! Where events go: the log, the list for `picket status`, and the alert's program.
//!
//! The loop only hands an event over. A log that is stuck or an alert that hangs holds up nobody: events that
//! find the room full are counted and the count is told later; alerts beyond a few at a time are dropped, and said
//! so in the log.

use crate::config::Alert;
use crate::event::{self, Told};
use core::sync::atomic::{AtomicU64, Ordering};
use picket_host::clock::boottime;
use picket_host::logging::{Level, emit};
use picket_host::process::{Outcome, Program, SYSTEM_PATH, run};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, mpsc};

/// Events that wait to be written: a burst of everything that can happen to a large cluster.
const WAITING_MAX: usize = 2048;

/// Events that are kept for `picket status`.
pub const KEPT_MAX: usize = 1000;

/// Alerts at one time; more would make a bad moment worse.
const ALERTS_MAX: usize = 4;

/// Takes events.
#[derive(Clone, Debug)]
pub struct Events {
    into: mpsc::Sender<Told>,
    lost: Arc<AtomicU64>,
    kept: Arc<Mutex<VecDeque<Told>>>,
}

/// Writes events; to be run on a runtime of ordinary priority.
#[derive(Debug)]
pub struct Writer {
    from: mpsc::Receiver<Told>,
    lost: Arc<AtomicU64>,
    kept: Arc<Mutex<VecDeque<Told>>>,
    alert: Option<Arc<Alert>>,
    node: String,
    cluster: String,
}

/// The two halves of the room.
#[must_use]
pub fn room(alert: Option<Alert>, cluster: &str, node: &str) -> (Events, Writer) {
    let (into, from) = mpsc::channel(WAITING_MAX);
    let (lost, kept) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(VecDeque::new())));
    let events = Events { into, lost: lost.clone(), kept: kept.clone() };
    let (node, cluster) = (node.to_owned(), cluster.to_owned());
    (events, Writer { from, lost, kept, alert: alert.map(Arc::new), node, cluster })
}

impl Events {
    /// Hands an event over.
    pub fn tell(&self, told: Told) {
        if self.into.try_send(told).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The newest events, oldest first.
    #[must_use]
    pub fn newest(&self, events_max: usize) -> Vec<Told> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().skip(kept.len().saturating_sub(events_max)).cloned().collect()
    }
}

impl Writer {
    /// Writes until the last [`Events`] is gone.
    pub async fn run(mut self) {
        let places = Arc::new(Semaphore::new(ALERTS_MAX));
        while let Some(told) = self.from.recv().await {
            emit(&told.code, &told.text);
            let lost = self.lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                emit(&event::DEGRADED, format_args!("{lost} events came faster than they could be written"));
            }
            self.alert(&told, &places);
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push_back(told);
            if kept.len() > KEPT_MAX {
                kept.pop_front();
            }
        }
    }

    fn alert(&self, told: &Told, places: &Arc<Semaphore>) {
        let Some(alert) = &self.alert else { return };
        let wanted = if alert.events.is_empty() {
            told.code.level >= Level::Warn
        } else {
            alert.events.iter().any(|name| name == told.code.name)
        };
        if !wanted {
            return;
        }
        let Ok(place) = places.clone().try_acquire_owned() else {
            emit(&event::ALERT_FAILED, format_args!("no alert for {}: {ALERTS_MAX} are running", told.code));
            return;
        };
        let Some((path, arguments)) = alert.command.split_first() else { return };
        let program = Program::new(path)
            .args(arguments)
            .env("PATH", SYSTEM_PATH)
            .env("PICKET_EVENT", told.code.name)
            .env("PICKET_EVENT_NUMBER", told.code.number.to_string())
            .env("PICKET_LEVEL", told.code.level.word())
            .env("PICKET_TEXT", &told.text)
            .env("PICKET_AT", &told.at)
            .env("PICKET_CLUSTER", &self.cluster)
            .env("PICKET_NODE", &self.node)
            .env("PICKET_TARGET", &told.node)
            .env("PICKET_VOLUME", &told.volume);
        let (code, timeout) = (told.code, alert.timeout);
        tokio::spawn(async move {
            let _place = place;
            let finished = run(program, boottime() + timeout).await;
            if finished.outcome != (Outcome::Exited { code: 0 }) {
                emit(&event::ALERT_FAILED, format_args!("the alert for {code}: {}", finished.outcome));
            }
        });
    }
}

#[cfg(test)]
mod tests;
