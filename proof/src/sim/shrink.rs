//! Making a failure small: faults are dropped one by one while the violation stays.

use super::run::Plan;

/// The same plan with as few faults as still violate the same invariant.
#[must_use]
pub fn shrink(plan: &Plan) -> Plan {
    let mut best = plan.clone();
    let Some(violated) = best.run(false, false).violation.map(|violation| violation.invariant) else {
        return best;
    };
    let fails = |plan: &Plan| plan.run(false, false).violation.is_some_and(|v| v.invariant == violated);
    // Each turn drops at least one fault or is the last.
    loop {
        let before = best.faults.len();
        let mut index = 0;
        while index < best.faults.len() {
            let mut smaller = best.clone();
            smaller.faults.remove(index);
            if fails(&smaller) {
                best = smaller;
            } else {
                index += 1;
            }
        }
        if best.faults.len() == before {
            return best;
        }
    }
}
