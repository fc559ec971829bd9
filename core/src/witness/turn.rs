//! One step under way: its time, its fresh number, and what it wants done so far.

use super::event::{Alarm, Effect, Event};
use crate::ids::{NodeSet, Nonce, SessionId};
use crate::time::Instant;
use alloc::vec::Vec;

/// One step of a witness machine.
pub(super) struct Turn {
    pub(super) now: Instant,
    pub(super) fresh: Nonce,
    pub(super) effects: Vec<Effect>,
    /// Nodes that registered in this step and have to be shown everything.
    pub(super) newcomers: NodeSet,
}

impl Turn {
    pub(super) const fn new(now: Instant, fresh: Nonce) -> Self {
        Self { now, fresh, effects: Vec::new(), newcomers: NodeSet::EMPTY }
    }

    pub(super) fn event(&mut self, event: Event) {
        self.effects.push(Effect::Event(event));
    }

    pub(super) fn alarm(&mut self, alarm: Alarm) {
        self.effects.push(Effect::Alarm(alarm));
    }

    pub(super) fn close(&mut self, session: SessionId) {
        self.effects.push(Effect::Close { session });
    }
}

/// What is to be done with a request. Unknown never falls to the permissive side: it is [`Verdict::Pending`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict<T> {
    /// Everything needed is there.
    Yes(T),
    /// Something is missing that may still come.
    Pending(crate::error::Refusal),
    /// Not without a new request.
    Refuse(crate::error::Refusal),
}
