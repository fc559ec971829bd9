//! What the end of an action means.

use super::settle::Mandate;
use super::{ActionId, Effect, Halt, Note, Out, Outcome, Resource, State, Tree, Verb};
use crate::resource::plan::{OnFail, Rules};
use picket_core::time::Instant;
use std::sync::Arc;

impl Tree {
    pub(super) fn take_ended(&mut self, now: Instant, action: ActionId, outcome: Outcome, out: &mut Out) {
        let is_it = |resource: &Resource| resource.work.is_some_and(|work| work.action == action);
        let Some(place) = self.resources.iter().position(is_it) else { return };
        let owed = self.owes_stop(place);
        let Some(work) = self.resources.get_mut(place).and_then(|resource| resource.work.take()) else {
            return;
        };
        match work.verb {
            // A look that was broken off has seen nothing.
            Verb::Monitor if work.cancelled => {}
            Verb::Monitor => self.looked(now, place, outcome, out),
            Verb::Start => self.started(now, place, work.cancelled, outcome, out),
            Verb::Stop => self.stopped(place, outcome, out),
        }
        if work.verb == Verb::Start || owed != self.owes_stop(place) {
            out.push(Effect::Keep);
        }
        let look_at = self.next_look(now, place);
        if let Some(resource) = self.resources.get_mut(place) {
            resource.look_at = if core::mem::take(&mut resource.stirred) { now } else { look_at };
        }
    }

    fn set(&mut self, place: usize, state: State) {
        if let Some(resource) = self.resources.get_mut(place) {
            resource.state = state;
            resource.owes_stop |= matches!(state, State::Running | State::Broken);
        }
    }

    fn looked(&mut self, now: Instant, place: usize, outcome: Outcome, out: &mut Out) {
        if let Some(resource) = self.resources.get_mut(place)
            && resource.doubted
            && !matches!(outcome, Outcome::Unknown(_))
        {
            resource.doubted = false;
            resource.text.clear();
        }
        let state = self.state(place);
        match (state, outcome) {
            (State::Unread | State::Stopped | State::Broken, Outcome::Done) => {
                self.set(place, State::Running);
                if self.mandate() == Mandate::Down || state == State::Stopped {
                    let text = format!("{} was found running", self.tag(place));
                    out.push(Effect::Tell(Note::Found, text));
                }
            }
            (State::Running | State::Stuck, Outcome::Done) => {}
            (State::Unread | State::Stopped | State::Broken, Outcome::NotRunning | Outcome::Unfit(_)) => {
                self.set(place, State::Stopped);
            }
            (State::Unread | State::Stopped | State::Broken, Outcome::Failed(text)) => {
                self.set(place, State::Broken);
                self.failed(now, place, text, out);
            }
            (State::Running, Outcome::NotRunning) => {
                self.set(place, State::Stopped);
                self.failed(now, place, "it does not run".to_owned(), out);
            }
            (State::Running, Outcome::Failed(text) | Outcome::Unfit(text)) => {
                self.set(place, State::Broken);
                self.failed(now, place, text, out);
            }
            (State::Unread | State::Stopped | State::Running, Outcome::Unknown(text)) => {
                self.doubt(place, text, out);
            }
            // What was seen broken may be so still.
            (State::Broken, Outcome::Unknown(_)) => {}
            // Only a stop or an operator ends that.
            (
                State::Stuck,
                Outcome::NotRunning | Outcome::Failed(_) | Outcome::Unfit(_) | Outcome::Unknown(_),
            ) => {}
        }
    }

    /// Nobody can say: it counts neither as in service nor as out of it until somebody can.
    fn doubt(&mut self, place: usize, text: String, out: &mut Out) {
        let Some(resource) = self.resources.get_mut(place) else { return };
        let is_new = !resource.doubted || resource.text != text;
        resource.state = State::Unread;
        resource.doubted = true;
        text.clone_into(&mut resource.text);
        if is_new {
            let told = format!("nobody knows whether {} runs: {text}", self.tag(place));
            out.push(Effect::Tell(Note::Unknown, told));
        }
    }

    fn started(&mut self, now: Instant, place: usize, cancelled: bool, outcome: Outcome, out: &mut Out) {
        match outcome {
            Outcome::Done => {
                self.set(place, State::Running);
                out.push(Effect::Tell(Note::Started, format!("{} is in service", self.tag(place))));
            }
            // Some of it may run.
            Outcome::NotRunning | Outcome::Failed(_) | Outcome::Unknown(_) if cancelled => {
                self.set(place, State::Broken)
            }
            Outcome::NotRunning => {
                self.set(place, State::Broken);
                self.start_failed(now, place, "it does not run after its start".to_owned(), out);
            }
            Outcome::Failed(text) | Outcome::Unknown(text) => {
                self.set(place, State::Broken);
                self.start_failed(now, place, text, out);
            }
            Outcome::Unfit(text) => {
                // Nothing was started, says the agent; that is looked at, and a stop of what is not there would fail.
                self.set(place, State::Unread);
                self.count(now, place, &text);
                let halt = match self.rules(place).map(|rules| rules.on_start_fail) {
                    Some(OnFail::Restart) | None => Halt::Unfit,
                    Some(other) => halt_of(other),
                };
                self.hold(place, halt, &text, out);
            }
        }
    }

    fn stopped(&mut self, place: usize, outcome: Outcome, out: &mut Out) {
        match outcome {
            Outcome::Done | Outcome::NotRunning => {
                self.set(place, State::Stopped);
                if let Some(resource) = self.resources.get_mut(place) {
                    resource.owes_stop = false;
                }
                out.push(Effect::Tell(Note::Stopped, format!("{} is out of service", self.tag(place))));
            }
            Outcome::Failed(text) | Outcome::Unfit(text) | Outcome::Unknown(text) => {
                self.set(place, State::Stuck);
                let told = format!("{} was not stopped: {text}", self.tag(place));
                if let Some(resource) = self.resources.get_mut(place) {
                    resource.text = text;
                }
                out.push(Effect::Tell(Note::StopFailed, told));
            }
        }
    }

    fn rules(&self, place: usize) -> Option<&Rules> {
        self.plan.rules().get(place)
    }

    fn count(&mut self, now: Instant, place: usize, text: &str) -> u32 {
        let Some(resource) = self.resources.get_mut(place) else { return 0 };
        resource.failures = resource.failures.saturating_add(1);
        resource.failed_at = Some(now);
        text.clone_into(&mut resource.text);
        resource.failures
    }

    /// A look found it failed. Where it is to be stopped anyway that is all that follows.
    fn failed(&mut self, now: Instant, place: usize, text: String, out: &mut Out) {
        if self.mandate() != Mandate::Up {
            out.push(Effect::Tell(Note::Failed, format!("{} failed: {text}", self.tag(place))));
            return;
        }
        let failures = self.count(now, place, &text);
        let Some(rules) = self.rules(place) else { return };
        let (threshold, on_fail) = (rules.threshold, rules.on_fail);
        let told = format!("{} failed ({failures} of {threshold}): {text}", rules.tag);
        out.push(Effect::Tell(Note::Failed, told));
        out.push(Effect::Keep);
        let exhausted = failures >= threshold || !self.policy.local_recovery;
        match on_fail {
            OnFail::Restart if exhausted => self.hold(place, Halt::Exhausted, &text, out),
            OnFail::Restart => {}
            OnFail::Fence | OnFail::Block | OnFail::Stop => self.hold(place, halt_of(on_fail), &text, out),
        }
    }

    /// Another start here would most likely fail as well.
    fn start_failed(&mut self, now: Instant, place: usize, text: String, out: &mut Out) {
        self.count(now, place, &text);
        let on_fail = self.rules(place).map_or(OnFail::Restart, |rules| rules.on_start_fail);
        out.push(Effect::Tell(Note::Failed, format!("{} was not started: {text}", self.tag(place))));
        self.hold(place, halt_of(on_fail), &text, out);
    }

    fn hold(&mut self, place: usize, halt: Halt, text: &str, out: &mut Out) {
        let what = match halt {
            Halt::Operator => "is out of service",
            Halt::Stopped => "is stopped until it is cleaned up",
            Halt::Blocked => "is left as it is until it is cleaned up",
            Halt::Fence => "needs this node to be reset",
            Halt::Exhausted | Halt::Unfit => "does not run here until it is cleaned up",
        };
        if let Some(resource) = self.resources.get_mut(place) {
            resource.halt = Some(halt);
        }
        out.push(Effect::Tell(Note::Held, format!("{} {what}: {text}", self.tag(place))));
        out.push(Effect::Keep);
    }

    /// What has not failed again for long enough has not failed.
    pub(super) fn forget_old_failures(&mut self, now: Instant, out: &mut Out) {
        let plan = Arc::clone(&self.plan);
        for (rules, resource) in plan.rules().iter().zip(&mut self.resources) {
            let over = |(at, expiry)| now >= at + expiry;
            if resource.failed_at.zip(rules.expiry).is_some_and(over) {
                resource.failed_at = None;
                resource.failures = 0;
                if resource.halt.is_some_and(|halt| halt != Halt::Operator) {
                    resource.halt = None;
                }
                out.push(Effect::Keep);
            }
        }
    }
}

const fn halt_of(on_fail: OnFail) -> Halt {
    match on_fail {
        OnFail::Restart => Halt::Exhausted,
        OnFail::Fence => Halt::Fence,
        OnFail::Block => Halt::Blocked,
        OnFail::Stop => Halt::Stopped,
    }
}
