//! Making a failure small: delta debugging over the faults, then shorter ones.
//!
//! Whole parts of the schedule are dropped while the same invariant is still violated: halves first, then ever
//! smaller parts, down to single faults. What is left is then made shorter, since a fault that lasts no longer than it
//! must tells more.

use super::run::Plan;
use super::schedule::Planned;
use crate::world::clock::MS;

/// A fault is not made shorter than this.
const SHORTEST: u64 = 10 * MS;

/// A failure is shrunk with so many runs at most: a schedule has a dozen faults, and each costs a few tries.
const TRIES_MAX: u32 = 400;

struct Shrinking<'a> {
    best: Plan,
    violated: &'static str,
    tries: u32,
    /// Whether a plan tells what is looked for.
    counts: &'a dyn Fn(&Plan) -> bool,
}

/// The same plan with as few and as short faults as still violate the same invariant.
#[must_use]
pub fn shrink(plan: &Plan) -> Plan {
    shrink_while(plan, &|_| true)
}

/// The same for plans that something else is true of, too.
#[must_use]
pub fn shrink_while(plan: &Plan, counts: &dyn Fn(&Plan) -> bool) -> Plan {
    let Some(violation) = plan.run(false, false).violation else { return plan.clone() };
    let mut shrinking = Shrinking { best: plan.clone(), violated: violation.invariant, tries: 0, counts };
    shrinking.drop_parts();
    shrinking.shorten();
    // What was made shorter may have made another one superfluous.
    shrinking.drop_parts();
    shrinking.best
}

impl Shrinking<'_> {
    /// Takes the faults as the best plan if they still violate the same invariant.
    fn take(&mut self, faults: Vec<Planned>) -> bool {
        if self.tries >= TRIES_MAX {
            return false;
        }
        self.tries += 1;
        let plan = Plan { faults, ..self.best.clone() };
        let same = plan.run(false, false).violation.is_some_and(|found| found.invariant == self.violated);
        let takes = same && (self.counts)(&plan);
        if takes {
            self.best = plan;
        }
        takes
    }

    /// Drops parts of the schedule, larger ones first. Each turn drops something or makes the parts smaller.
    fn drop_parts(&mut self) {
        let mut size = self.best.faults.len().div_ceil(2);
        while size > 0 {
            let mut from = 0;
            while from < self.best.faults.len() {
                let mut rest = self.best.faults.clone();
                rest.drain(from..(from + size).min(rest.len()));
                if !self.take(rest) {
                    from += size;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }

    /// Halves the length of each fault while that changes nothing.
    fn shorten(&mut self) {
        for index in 0..self.best.faults.len() {
            loop {
                let mut faults = self.best.faults.clone();
                let planned = &mut faults[index];
                let length = planned.until.since(planned.at);
                if length / 2 < SHORTEST || planned.over_at() == planned.at {
                    break;
                }
                planned.until = planned.at + length / 2;
                if !self.take(faults) {
                    break;
                }
            }
        }
    }
}
