//! What must stand after a recovery: nothing that was acknowledged before it may be undone by it.

use crate::history::Operation;
use crate::register::{Call, Outcome, View};
use picket_core::ids::NodeSet;

/// What was told before and does not stand now, in words. `jump`: by how much the versions go on at least.
///
/// The recovered set has nobody in it who is not in the newest set that a client was told, or was asked for after that
/// with an outcome that its client did not learn: a client says of the sets that it asked for what it knows, and a lost
/// answer may have been a good one. An update names the version that its client knew, give or take one (it is asked
/// for a wrong one now and then).
#[must_use]
pub fn undone(before: &[Operation], now: &View, jump: u64) -> Vec<String> {
    let told = || before.iter().filter(|operation| operation.call != Call::Read).filter_map(told);
    let mut wrong = Vec::new();
    for was in told().filter(|was| now.epoch < was.epoch || now.version < was.version + jump) {
        wrong.push(format!("told \"{was}\", and \"{now}\" after a recovery"));
    }
    let Some(newest) = told().max_by_key(|view| view.version) else { return wrong };
    let asked = before.iter().filter_map(|operation| asked_after(operation, newest.version));
    let possible = asked.fold(newest.isr, NodeSet::union);
    if !now.isr.minus(possible).is_empty() {
        wrong.push(format!("the newest set is that of \"{newest}\", and \"{now}\" after a recovery"));
    }
    wrong
}

const fn told(operation: &Operation) -> Option<View> {
    match operation.outcome {
        Outcome::Told(view) => Some(view),
        _ => None,
    }
}

/// The set that an update asked for which may have come after this version.
fn asked_after(operation: &Operation, version: u64) -> Option<NodeSet> {
    match (&operation.call, told(operation)) {
        (Call::Update { expected, isr, .. }, None) if expected + 1 >= version => Some(*isr),
        _ => None,
    }
}

/// How many of these operations changed something, as far as anybody was told.
#[must_use]
pub fn changes(history: &[Operation]) -> usize {
    let is_change = |operation: &&Operation| match operation.outcome {
        Outcome::Told(_) => operation.call != Call::Read,
        Outcome::Released => true,
        _ => false,
    };
    history.iter().filter(is_change).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register::Holder;
    use picket_core::ids::{BootId, NodeId};

    const ME: Holder = Holder { node: NodeId(1), boot: BootId(1) };

    fn set(ids: &[u8]) -> NodeSet {
        ids.iter().map(|id| NodeId(*id)).collect()
    }

    fn view(epoch: u64, ids: &[u8], version: u64) -> View {
        View { epoch, holder: Some(ME), isr: set(ids), version }
    }

    fn done(call: Call, outcome: Outcome) -> Operation {
        Operation { invoked: 1, over: 2, call, outcome }
    }

    fn update(expected: u64, ids: &[u8], outcome: Outcome) -> Operation {
        done(Call::Update { me: ME, epoch: 5, expected, isr: set(ids) }, outcome)
    }

    fn before() -> Vec<Operation> {
        vec![
            update(8, &[1, 2, 3], Outcome::Told(view(5, &[1, 2, 3], 9))),
            update(9, &[1], Outcome::Told(view(5, &[1], 10))),
        ]
    }

    #[test]
    fn a_set_that_is_put_back_is_found() {
        let before = before();
        assert!(undone(&before, &view(5, &[1], 110), 100).is_empty());
        assert_eq!(undone(&before, &view(5, &[1, 2, 3], 110), 100).len(), 1, "of the older copy");
    }

    #[test]
    fn a_version_that_does_not_go_on_from_the_newest_is_found() {
        let before = before();
        assert!(undone(&before, &view(5, &[1], 10), 0).is_empty());
        // The older copy's version and the jump: above all that was told, and still not the newest.
        assert_eq!(undone(&before, &view(5, &[1], 109), 100).len(), 1);
        assert_eq!(undone(&before, &view(4, &[1], 110), 100).len(), 2, "of both that were told epoch 5");
    }

    #[test]
    fn what_was_asked_for_and_never_answered_may_have_been_done() {
        let mut before = before();
        before.push(update(10, &[1, 2], Outcome::Unknown));
        assert!(undone(&before, &view(5, &[1, 2], 111), 100).is_empty());
        assert_eq!(undone(&before, &view(5, &[1, 3], 111), 100).len(), 1);
        // Asked for with a version that was over by then.
        let mut before = self::before();
        before.push(update(7, &[1, 2], Outcome::Unknown));
        assert_eq!(undone(&before, &view(5, &[1, 2], 111), 100).len(), 1);
    }

    #[test]
    fn what_is_read_or_refused_changes_nothing() {
        let history = [
            done(Call::Read, Outcome::Told(view(5, &[1], 10))),
            update(9, &[1], Outcome::NotDone),
            update(9, &[1], Outcome::Unknown),
        ];
        assert_eq!(changes(&history), 0);
        assert_eq!(changes(&before()), 2);
    }
}
