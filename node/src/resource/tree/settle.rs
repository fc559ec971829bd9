//! What should be, and what is to be done for it.

use super::{
    ACTIONS_MAX, ActionId, Effect, Halt, LOOK_AWAY, LOOK_DOUBTED, MOVE_AGAIN, Note, Out, Resource, Standing,
    State, Tree, Verb, Work,
};
use core::time::Duration;
use picket_core::node::Role;
use picket_core::time::Instant;

/// What the volume's standing means for everything above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mandate {
    /// It should run.
    Up,
    /// Nothing may run.
    Down,
    /// Not decided: it may be looked at.
    Look,
    /// Nothing is to be begun.
    Rest,
}

/// What should become of one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    Up,
    Down,
    /// It is looked at, and else left as it is.
    Look,
    /// It is left alone.
    Rest,
}

impl Tree {
    pub(super) fn mandate(&self) -> Mandate {
        if self.leave.is_some() {
            return Mandate::Down;
        }
        match self.standing {
            // Nothing may run above a replica that is not active, whoever finds that out first.
            Standing::Unread | Standing::Active | Standing::Coming if self.role == Role::Secondary => {
                Mandate::Down
            }
            Standing::Away | Standing::Leaving => Mandate::Down,
            Standing::Unread | Standing::Coming => Mandate::Look,
            Standing::Active if self.maintenance => Mandate::Rest,
            Standing::Active => Mandate::Up,
            Standing::Frozen | Standing::Failed => Mandate::Rest,
        }
    }

    /// `goals` are those of everything before it in the plan.
    fn goal(&self, place: usize, mandate: Mandate, goals: &[Goal]) -> Goal {
        let Some(resource) = self.resources.get(place) else { return Goal::Rest };
        match mandate {
            Mandate::Down => return Goal::Down,
            Mandate::Look => return Goal::Look,
            Mandate::Rest => return Goal::Rest,
            Mandate::Up => {}
        }
        match resource.halt {
            Some(Halt::Blocked | Halt::Fence) => return Goal::Look,
            Some(Halt::Operator | Halt::Stopped | Halt::Exhausted | Halt::Unfit) => return Goal::Down,
            None => {}
        }
        let needs = self.plan.needs(place);
        if needs.iter().any(|needed| goals.get(*needed) == Some(&Goal::Down)) {
            return Goal::Down;
        }
        if needs.iter().all(|needed| self.state(*needed) == State::Running) {
            return Goal::Up;
        }
        let missing = |needed: &usize| {
            let held = matches!(self.halt(*needed), Some(Halt::Blocked | Halt::Fence));
            !held && !matches!(self.state(*needed), State::Running | State::Unread)
        };
        // What it stands on is gone: it goes too, and comes back with it.
        let may_run = resource.state != State::Stopped || resource.owes_stop;
        if needs.iter().any(missing) && may_run { Goal::Down } else { Goal::Look }
    }

    fn halt(&self, place: usize) -> Option<Halt> {
        self.resources.get(place).and_then(|resource| resource.halt)
    }

    pub(super) fn settle(&mut self, now: Instant, out: &mut Out) {
        self.forget_old_failures(now, out);
        let mandate = self.mandate();
        let mut goals = Vec::with_capacity(self.resources.len());
        for place in 0..self.resources.len() {
            goals.push(self.goal(place, mandate, &goals));
        }
        for place in 0..goals.len() {
            self.settle_one(now, place, &goals, mandate, out);
        }
        self.settle_leave(out);
        self.settle_move(now, out);
    }

    /// The whole table of goal, state and work.
    fn settle_one(&mut self, now: Instant, place: usize, goals: &[Goal], mandate: Mandate, out: &mut Out) {
        let (Some(resource), Some(&goal)) = (self.resources.get(place), goals.get(place)) else { return };
        let (state, owes_stop) = (resource.state, resource.owes_stop);
        if let Some(work) = resource.work {
            if !work.cancelled && self.is_in_vain(work.verb, goal, resource) {
                self.cancel(place, out);
            }
            return;
        }
        let due = now >= resource.look_at;
        match (state, goal) {
            // Told to leave, it is stopped without a look first: stopping what is stopped does no harm.
            (State::Unread, Goal::Down) if self.leave.is_some() && !spared(resource) => {
                self.stop(place, goals, out);
            }
            (State::Unread, Goal::Up | Goal::Down | Goal::Look) if due => self.look(place, out),
            (State::Stopped, Goal::Up) => self.start(place, goals, out),
            // Only a look has called it stopped.
            (State::Stopped, Goal::Down) if owes_stop => self.stop(place, goals, out),
            (State::Stopped, Goal::Down) if due && mandate == Mandate::Down && self.leave.is_none() => {
                self.look(place, out);
            }
            (State::Running | State::Broken, Goal::Down) => self.stop(place, goals, out),
            (State::Broken, Goal::Up) => self.stop(place, goals, out),
            (State::Running, Goal::Up | Goal::Look) if due => self.look(place, out),
            (State::Stopped, Goal::Down | Goal::Look | Goal::Rest)
            | (State::Running, Goal::Up | Goal::Look | Goal::Rest)
            | (State::Broken, Goal::Look | Goal::Rest)
            | (State::Unread, Goal::Up | Goal::Down | Goal::Look | Goal::Rest)
            | (State::Stuck, Goal::Up | Goal::Down | Goal::Look | Goal::Rest) => {}
        }
    }

    /// What is being done is of no use any more.
    fn is_in_vain(&self, verb: Verb, goal: Goal, resource: &Resource) -> bool {
        match (verb, goal) {
            (Verb::Start, Goal::Down) => true,
            // Nobody waits for a look before a stop; and one that is over later could tell of what runs.
            (Verb::Monitor, Goal::Down) => {
                let may_run = matches!(resource.state, State::Running | State::Broken) || resource.owes_stop;
                may_run || (self.leave.is_some() && !spared(resource))
            }
            (Verb::Monitor, Goal::Rest) => true,
            (Verb::Start, Goal::Up | Goal::Look | Goal::Rest)
            | (Verb::Monitor, Goal::Up | Goal::Look)
            | (Verb::Stop, Goal::Up | Goal::Down | Goal::Look | Goal::Rest) => false,
        }
    }

    fn start(&mut self, place: usize, goals: &[Goal], out: &mut Out) {
        let ready = self.plan.needs(place).iter().all(|needed| {
            let needed = self.resources.get(*needed);
            needed.is_some_and(|needed| {
                needed.state == State::Running && needed.work.is_none_or(|work| work.verb == Verb::Monitor)
            })
        });
        if ready && self.nothing_above(place, goals) && self.has_room() {
            let timeout = self.plan.rules().get(place).map(|rules| rules.start_timeout);
            self.begin(place, Verb::Start, timeout, out);
        }
    }

    fn stop(&mut self, place: usize, goals: &[Goal], out: &mut Out) {
        if self.nothing_above(place, goals) {
            let timeout = self.plan.rules().get(place).map(|rules| rules.stop_timeout);
            self.begin(place, Verb::Stop, timeout, out);
        }
    }

    fn look(&mut self, place: usize, out: &mut Out) {
        if self.has_room() {
            let timeout = self.plan.rules().get(place).map(|rules| rules.monitor_timeout);
            self.begin(place, Verb::Monitor, timeout, out);
        }
    }

    /// Nothing that stands on it runs, or could, and no stop of it is due.
    fn nothing_above(&self, place: usize, goals: &[Goal]) -> bool {
        self.plan.above(place).iter().all(|place| {
            let stop_is_due = self.owes_stop(*place) && goals.get(*place) == Some(&Goal::Down);
            let above = self.resources.get(*place);
            above.is_none_or(|above| {
                above.state == State::Stopped
                    && !stop_is_due
                    && above.work.is_none_or(|work| work.verb == Verb::Monitor)
            })
        })
    }

    fn has_room(&self) -> bool {
        let busy = |resource: &&Resource| resource.work.is_some_and(|work| work.verb != Verb::Stop);
        self.resources.iter().filter(busy).count() < ACTIONS_MAX
    }

    fn begin(&mut self, place: usize, verb: Verb, timeout: Option<Duration>, out: &mut Out) {
        let Some(timeout) = timeout else { return };
        self.actions += 1;
        let action = ActionId(self.actions);
        if let Some(resource) = self.resources.get_mut(place) {
            resource.work = Some(Work { action, verb, cancelled: false });
        }
        let tag = self.tag(place);
        match verb {
            Verb::Monitor => {}
            Verb::Start => out.push(Effect::Tell(Note::Begins, format!("{tag} starts"))),
            Verb::Stop => out.push(Effect::Tell(Note::Begins, format!("{tag} stops"))),
        }
        if verb == Verb::Start && !self.owes_stop(place) {
            out.push(Effect::Keep);
        }
        out.push(Effect::Begin { action, place, verb, timeout });
    }

    fn cancel(&mut self, place: usize, out: &mut Out) {
        if let Some(work) = self.resources.get_mut(place).and_then(|resource| resource.work.as_mut()) {
            work.cancelled = true;
            out.push(Effect::Cancel(work.action));
        }
    }

    /// Answers the core's order to demote as soon as the answer is known.
    fn settle_leave(&mut self, out: &mut Out) {
        let Some(leave) = self.leave.filter(|leave| !leave.answered) else { return };
        let command = leave.command;
        if let Some(text) = self.cannot_stop() {
            out.push(Effect::Refuse { command, text });
        } else if self.is_down() && self.resources.iter().all(|resource| resource.work.is_none()) {
            out.push(Effect::Release(command));
        } else {
            return;
        }
        self.leave = Some(super::Leave { answered: true, ..leave });
    }

    /// Why nobody may count on this tree being stopped; or why it must not come to a stop in order.
    fn cannot_stop(&self) -> Option<String> {
        let all = || self.plan.rules().iter().zip(&self.resources);
        let stuck = all().find(|(_, resource)| resource.state == State::Stuck);
        let stuck =
            stuck.map(|(rules, resource)| format!("{} was not stopped: {}", rules.tag, resource.text));
        let fenced = || {
            let found = all().find(|(_, resource)| resource.halt == Some(Halt::Fence));
            found.map(|(rules, resource)| {
                format!("{} failed and is to be fenced: {}", rules.tag, resource.text)
            })
        };
        stuck.or_else(fenced)
    }

    /// Why another node should hold the volume.
    pub(super) fn wants_to_move(&self) -> Option<String> {
        let cannot_run = || {
            let all = self.plan.rules().iter().zip(&self.resources);
            let mut held = all.filter(|(_, resource)| {
                self.policy.failover && matches!(resource.halt, Some(Halt::Exhausted | Halt::Unfit))
            });
            held.next().map(|(rules, resource)| format!("{} cannot run here: {}", rules.tag, resource.text))
        };
        self.cannot_stop().or_else(cannot_run)
    }

    fn settle_move(&mut self, now: Instant, out: &mut Out) {
        let wanted = (self.mandate() == Mandate::Up).then(|| self.wants_to_move()).flatten();
        match wanted {
            None if self.standing == Standing::Active && self.leave.is_none() => {
                self.moving = super::Moving { asked: self.moving.asked, ..super::Moving::default() };
            }
            None => {}
            Some(text) if !self.moving.asked && now >= self.moving.ask_at => {
                self.moving.asked = true;
                out.push(Effect::Move { text });
            }
            Some(_) => {}
        }
    }

    pub(super) fn take_not_moved(&mut self, now: Instant, text: String, out: &mut Out) {
        self.moving.asked = false;
        self.moving.ask_at = now + MOVE_AGAIN;
        if self.moving.refused != text && self.wants_to_move().is_some() {
            out.push(Effect::Tell(Note::NotMoved, text.clone()));
        }
        self.moving.refused = text;
    }

    /// When a resource is looked at next.
    pub(super) fn next_look(&self, now: Instant, place: usize) -> Instant {
        let Some(rules) = self.plan.rules().get(place) else { return Instant::NEVER };
        match self.state(place) {
            State::Running => rules.monitor_interval.map_or(Instant::NEVER, |interval| now + interval),
            State::Stopped => now + LOOK_AWAY,
            State::Unread if self.resources.get(place).is_some_and(|resource| resource.doubted) => {
                now + LOOK_DOUBTED
            }
            State::Unread | State::Broken | State::Stuck => now,
        }
    }

    /// When [`super::Input::Tick`] is due at the latest; later inputs may make it earlier.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Instant {
        let mut next = Instant::NEVER;
        let mut consider = |at: Instant| {
            if at > now && at < next {
                next = at;
            }
        };
        consider(self.moving.ask_at);
        for (rules, resource) in self.plan.rules().iter().zip(&self.resources) {
            consider(resource.look_at);
            if let Some((at, expiry)) = resource.failed_at.zip(rules.expiry) {
                consider(at + expiry);
            }
        }
        next
    }
}

/// It cannot run on this node and was never started here: there is nothing to stop, and its stop could only fail.
fn spared(resource: &Resource) -> bool {
    resource.halt == Some(Halt::Unfit) && !resource.owes_stop
}
