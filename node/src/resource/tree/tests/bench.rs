//! A tree, and actions that end when the test says so.

use super::super::{
    ActionId, Effect, Input, Kept, Note, Outcome, Policy, Request, Standing, State, Tree, Verb,
};
use crate::resource::plan::tests::rules_within;
use crate::resource::plan::{OnFail, Plan, Rules};
use core::time::Duration;
use picket_core::node::{CommandId, Role};
use picket_core::time::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn rules(tag: &str, needs: &[usize], on_fail: OnFail) -> Rules {
    Rules {
        start_timeout: 2 * SECOND,
        stop_timeout: 3 * SECOND,
        monitor_interval: Some(10 * SECOND),
        on_fail,
        on_start_fail: on_fail,
        ..rules_within(SECOND, tag, needs)
    }
}

/// `fs` below `ip` and `db`; `app` on both.
pub(super) fn diamond(on_fail: OnFail) -> Plan {
    let rule = |tag, needs: &[usize]| rules(tag, needs, on_fail);
    Plan::new(vec![rule("fs", &[]), rule("ip", &[0]), rule("db", &[0]), rule("app", &[1, 2])])
}

pub(super) struct Bench {
    pub(super) tree: Tree,
    pub(super) now: Instant,
    pub(super) open: BTreeMap<ActionId, (usize, Verb)>,
    pub(super) cancelled: Vec<ActionId>,
    /// Everything but actions, in the order of the effects.
    pub(super) told: Vec<Effect>,
    /// What was started or seen running, and not stopped since: kept here by the test's own rule.
    pub(super) ran: Vec<bool>,
}

impl Bench {
    pub(super) fn new(plan: Plan) -> Self {
        Self::with(plan, &BTreeMap::new())
    }

    pub(super) fn with(plan: Plan, kept: &BTreeMap<String, Kept>) -> Self {
        let now = Instant::BOOT + 1000 * SECOND;
        let tree = Tree::new(Arc::new(plan), Policy::default(), kept);
        let ran = vec![false; tree.resources.len()];
        let mut bench =
            Self { tree, now, open: BTreeMap::new(), cancelled: Vec::new(), told: Vec::new(), ran };
        bench.input(Input::Tick);
        bench
    }

    pub(super) fn input(&mut self, input: Input) {
        for effect in self.tree.step(self.now, input) {
            match effect {
                Effect::Begin { action, place, verb, .. } => {
                    assert!(self.open.values().all(|(other, _)| *other != place), "two actions at a time");
                    self.may_begin(place, verb);
                    self.open.insert(action, (place, verb));
                }
                Effect::Cancel(action) => self.cancelled.push(action),
                other => self.told.push(other),
            }
        }
    }

    /// Nothing is started or stopped below what may run, or started on what may not.
    fn may_begin(&self, place: usize, verb: Verb) {
        let resources = &self.tree.resources;
        let busy = |other: usize| resources[other].work.is_some_and(|work| work.verb != Verb::Monitor);
        if verb != Verb::Monitor {
            for above in self.tree.plan.above(place) {
                assert_eq!(resources[*above].state, State::Stopped, "{verb:?} below what may run");
                assert!(!busy(*above), "{verb:?} below what is being started or stopped");
            }
        }
        if verb == Verb::Start {
            for needed in self.tree.plan.needs(place) {
                assert_eq!(resources[*needed].state, State::Running, "a start on what does not run");
                assert!(!busy(*needed), "a start on what is being stopped");
            }
        }
    }

    pub(super) fn later(&mut self, length: Duration) {
        self.now = self.now + length;
        self.input(Input::Tick);
    }

    /// What is under way: `fs start`, in the order of the plan.
    pub(super) fn doing(&self) -> Vec<String> {
        let mut all: Vec<_> = self.open.values().copied().collect();
        all.sort_unstable();
        let word = |verb| match verb {
            Verb::Monitor => "look",
            Verb::Start => "start",
            Verb::Stop => "stop",
        };
        all.into_iter().map(|(place, verb)| format!("{} {}", self.tree.tag(place), word(verb))).collect()
    }

    pub(super) fn end(&mut self, tag: &str, outcome: Outcome) {
        let place = self.tree.plan.find(tag).unwrap();
        let found = self.open.iter().find(|(_, (at, _))| *at == place).map(|(action, _)| *action);
        let action = found.unwrap_or_else(|| panic!("nothing is done to {tag}: {:?}", self.doing()));
        let Some((_, verb)) = self.open.remove(&action) else { return };
        match (verb, &outcome) {
            (Verb::Start, Outcome::Unfit(_)) => {}
            (Verb::Start, _) => self.ran[place] = true,
            (Verb::Monitor, Outcome::Done) if !self.cancelled.contains(&action) => self.ran[place] = true,
            (Verb::Stop, Outcome::Done | Outcome::NotRunning) => self.ran[place] = false,
            (Verb::Monitor | Verb::Stop, _) => {}
        }
        self.input(Input::Ended { action, outcome });
    }

    /// Everything under way ends like that, and what follows from it too.
    pub(super) fn all(&mut self, outcome: impl Fn(&str, Verb) -> Outcome) {
        for _ in 0..10_000 {
            let Some((place, verb)) = self.open.values().next().copied() else { return };
            let tag = self.tree.tag(place).to_owned();
            self.end(&tag, outcome(&tag, verb));
        }
        panic!("it never comes to rest: {:?}", self.doing());
    }

    pub(super) fn well(&mut self) {
        self.all(|_, _| Outcome::Done);
    }

    pub(super) fn state(&self, tag: &str) -> State {
        self.tree.state(self.tree.plan.find(tag).unwrap())
    }

    pub(super) fn states(&self) -> Vec<State> {
        self.tree.resources.iter().map(|resource| resource.state).collect()
    }

    pub(super) fn ask(&mut self, request: Request) {
        self.input(Input::Ask(request));
    }

    /// The replica here is active, and nothing runs above it yet.
    pub(super) fn activate(&mut self) {
        self.all(|_, _| Outcome::NotRunning);
        self.input(Input::Role(Role::Primary));
        self.input(Input::Standing(Standing::Active));
    }

    pub(super) fn running(plan: Plan) -> Self {
        let mut bench = Self::new(plan);
        bench.activate();
        bench.well();
        bench.told.clear();
        bench
    }

    pub(super) fn leave(&mut self, command: u64) {
        self.input(Input::Leave(CommandId(command)));
        self.input(Input::Standing(Standing::Leaving));
    }

    /// The effects since the last look that are no news for the log.
    pub(super) fn effects(&mut self) -> Vec<Effect> {
        let all = core::mem::take(&mut self.told);
        all.into_iter().filter(|effect| !matches!(effect, Effect::Tell(..) | Effect::Keep)).collect()
    }

    pub(super) fn has_told(&self, note: Note, part: &str) -> bool {
        self.told
            .iter()
            .any(|effect| matches!(effect, Effect::Tell(n, text) if *n == note && text.contains(part)))
    }
}

pub(super) fn failed(text: &str) -> Outcome {
    Outcome::Failed(text.to_owned())
}
