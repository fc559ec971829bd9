//! What people ask of a tree.

use super::{Effect, Halt, Out, Policy, State, Tree};
use picket_core::time::Instant;

/// What an operator asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Bring it into service, with what it needs.
    Restore {
        /// The resource; absent: the whole tree.
        tag: Option<String>,
        /// Not what stands on it.
        only: bool,
    },
    /// Take it out of service; what stands on it goes first.
    Remove {
        /// The resource; absent: the whole tree.
        tag: Option<String>,
    },
    /// Forget its failures and try again.
    Cleanup {
        /// The resource; absent: the whole tree.
        tag: Option<String>,
    },
    /// What failures may lead to by themselves.
    Policy(Policy),
}

impl Tree {
    pub(super) fn take_request(&mut self, request: &Request, out: &mut Out) {
        match request {
            Request::Restore { tag, only } => {
                for place in self.restored(tag.as_deref(), *only) {
                    self.lift(place, |halt| halt == Halt::Operator);
                }
            }
            Request::Remove { tag } => {
                for place in self.chosen(tag.as_deref()) {
                    if let Some(resource) = self.resources.get_mut(place) {
                        resource.halt = Some(Halt::Operator);
                    }
                }
            }
            Request::Cleanup { tag } => {
                for place in self.chosen(tag.as_deref()) {
                    self.clean(place);
                }
            }
            Request::Policy(policy) => self.policy = *policy,
        }
        out.push(Effect::Keep);
    }

    fn chosen(&self, tag: Option<&str>) -> Vec<usize> {
        match tag {
            Some(tag) => self.plan.find(tag).into_iter().collect(),
            None => (0..self.resources.len()).collect(),
        }
    }

    fn restored(&self, tag: Option<&str>, only: bool) -> Vec<usize> {
        let Some(place) = tag.and_then(|tag| self.plan.find(tag)) else { return self.chosen(tag) };
        let mut places = self.plan.down_from(place);
        if !only {
            // What stands on it may need more than it.
            for above in self.plan.up_from(place) {
                places.extend(self.plan.down_from(above));
            }
        }
        places
    }

    fn lift(&mut self, place: usize, which: impl Fn(Halt) -> bool) {
        if let Some(resource) = self.resources.get_mut(place)
            && resource.halt.is_some_and(which)
        {
            resource.halt = None;
        }
    }

    /// What is left of a failure is looked at anew.
    fn clean(&mut self, place: usize) {
        self.lift(place, |halt| halt != Halt::Operator);
        if let Some(resource) = self.resources.get_mut(place) {
            resource.failures = 0;
            resource.failed_at = None;
            resource.text.clear();
            resource.doubted = false;
            if matches!(resource.state, State::Broken | State::Stuck) {
                resource.state = State::Unread;
                resource.look_at = Instant::BOOT;
            }
        }
    }
}
