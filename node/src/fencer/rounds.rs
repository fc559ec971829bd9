//! Tests of all devices by the clock, and what they found: "cannot fence n2" is told before it is needed.
//!
//! ```text
//!   start ─ FIRST_AFTER ─► round ─ interval ─► round …     (FAILING_AGAIN while something fails)
//!                            │
//!                            └ one device at a time; a failure counts when it comes twice in a row
//! ```
//! Contract: a test never meets a fence. While a device carries out an order none is started, and one that runs is
//! killed: many management controllers let only few in at a time.

use super::check::{can_be_tested, check};
use crate::config::{Config, FenceDevice};
use crate::event::{FENCE_TEST_FAILED, FENCE_TEST_PASSED, Told};
use crate::events::Events;
use core::time::Duration;
use picket_core::ids::{NodeId, NodeSet};
use picket_host::clock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// The first round begins so long after the start: heartbeats and the witness come first.
const FIRST_AFTER: Duration = Duration::from_secs(10);

/// Between a failure and the second try that makes it count.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// While something fails, rounds follow each other at least so soon: a repair shall show.
const FAILING_AGAIN: Duration = Duration::from_secs(60);

/// Where a device stands: its target, its level and its place in the level, from 0.
pub type Place = (NodeId, usize, usize);

/// What the newest test of a device found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tested {
    /// `OK`, `FAILED`, or `UNTESTED`.
    pub word: &'static str,
    /// `ON`, `OFF`, or empty.
    pub state: &'static str,
    /// In words.
    pub text: String,
    /// When, RFC 3339.
    pub at: String,
    /// Since when it fails, RFC 3339; empty while it does not.
    pub failing_since: String,
    /// How long it took.
    pub took: Duration,
}

impl Tested {
    fn not(text: &str) -> Self {
        Self { word: "UNTESTED", text: text.to_owned(), ..Self::default() }
    }

    /// Whether it failed.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.word == "FAILED"
    }
}

/// The tests of this node's fence devices.
#[derive(Clone, Debug)]
pub struct Tests {
    config: Arc<Config>,
    events: Events,
    /// The peers that are heard.
    hears: watch::Receiver<NodeSet>,
    /// How many devices carry out orders.
    busy: watch::Receiver<usize>,
    results: Arc<Mutex<BTreeMap<Place, Tested>>>,
    /// Held by the test that runs.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Tests {
    /// Nothing is tested yet.
    #[must_use]
    pub fn new(
        config: Arc<Config>,
        events: Events,
        hears: watch::Receiver<NodeSet>,
        busy: watch::Receiver<usize>,
    ) -> Self {
        Self { config, events, hears, busy, results: Arc::default(), turn: Arc::default() }
    }

    /// Tests by the clock, for as long as the daemon lives.
    pub async fn run(self) {
        let Some(interval) = self.config.test_interval else { return };
        tokio::time::sleep(FIRST_AFTER.min(interval)).await;
        loop {
            let mut failing = false;
            for (place, device) in self.all() {
                if can_be_tested(device) {
                    failing |= self.twice(place, device).await;
                }
            }
            tokio::time::sleep(if failing { interval.min(FAILING_AGAIN) } else { interval }).await;
        }
    }

    /// The newest result of a device.
    #[must_use]
    pub fn of(&self, place: Place) -> Tested {
        let results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        results.get(&place).cloned().unwrap_or_else(|| Tested::not(""))
    }

    /// Tests the devices of a target now, once each. `which` is empty for all, or `LEVEL`, `LEVEL.DEVICE` or the
    /// agent's name. Empty if it names none.
    pub async fn now(&self, target: NodeId, which: &str) -> Vec<(Place, Tested)> {
        let mut all = Vec::new();
        for (place, device) in self.all() {
            if place.0 != target || !is_named(place, device, which) {
                continue;
            }
            let tested = if can_be_tested(device) {
                let found = self.once(place, device).await;
                found.unwrap_or_else(|| Tested::not("a fence came between"))
            } else {
                Tested::not("there is nothing to test without a person")
            };
            all.push((place, tested));
        }
        all
    }

    fn all(&self) -> impl Iterator<Item = (Place, &FenceDevice)> {
        self.config.fencing.iter().flat_map(|(target, levels)| {
            levels.iter().enumerate().flat_map(move |(level, devices)| {
                devices.iter().enumerate().map(move |(place, device)| ((*target, level, place), device))
            })
        })
    }

    /// Whether it fails.
    async fn twice(&self, place: Place, device: &FenceDevice) -> bool {
        let Some(first) = self.look(place, device).await else { return self.of(place).fails() };
        if !first.fails() {
            return self.keep(place, device, first).fails();
        }
        tokio::time::sleep(AGAIN_AFTER).await;
        let Some(second) = self.look(place, device).await else { return self.of(place).fails() };
        self.keep(place, device, second).fails()
    }

    async fn once(&self, place: Place, device: &FenceDevice) -> Option<Tested> {
        let tested = self.look(place, device).await?;
        Some(self.keep(place, device, tested))
    }

    /// One test, between fences; nothing if a fence came between.
    async fn look(&self, (target, ..): Place, device: &FenceDevice) -> Option<Tested> {
        let _turn = self.turn.lock().await;
        let mut busy = self.busy.clone();
        busy.wait_for(|orders| *orders == 0).await.ok()?;
        let node = self.config.node_name(target);
        let began = clock::boottime();
        let hears = || self.hears.borrow().contains(target);
        let settles = self.config.params.suspect_after() * 2;
        let found = tokio::select! {
            biased;
            _ = busy.wait_for(|orders| *orders > 0) => return None,
            found = check(device, &node, hears, settles) => found,
        };
        Some(Tested {
            word: if found.passed { "OK" } else { "FAILED" },
            state: found.state,
            text: found.text,
            at: clock::rfc3339(clock::wall()),
            failing_since: String::new(),
            took: clock::boottime().saturating_sub(began),
        })
    }

    /// Keeps a result, and tells when a device began or ceased to fail.
    fn keep(&self, place: Place, device: &FenceDevice, mut tested: Tested) -> Tested {
        let before = self.of(place);
        if tested.fails() {
            tested.failing_since =
                if before.fails() { before.failing_since.clone() } else { tested.at.clone() };
        }
        {
            let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
            results.insert(place, tested.clone());
        }
        let (node, title, level) = (self.config.node_name(place.0), device.title(), place.1 + 1);
        let told = match (before.fails(), tested.fails()) {
            (false, true) => Told::new(
                FENCE_TEST_FAILED,
                format!("cannot fence {node} with {title} (level {level}): {}", tested.text),
            ),
            (true, false) => Told::new(
                FENCE_TEST_PASSED,
                format!("{title} (level {level}) can fence {node} again: {}", tested.text),
            ),
            (false, false) | (true, true) => return tested,
        };
        self.events.tell(told.about_node(node));
        tested
    }
}

fn is_named((_, level, place): Place, device: &FenceDevice, which: &str) -> bool {
    let agent = device.agent.as_deref().and_then(std::path::Path::file_name);
    which.is_empty()
        || which == (level + 1).to_string()
        || which == format!("{}.{}", level + 1, place + 1)
        || which == device.title()
        || agent.is_some_and(|name| name.to_string_lossy() == which)
}
