use super::{Verdict, check};
use crate::history::{Moment, Operation};
use crate::register::{Call, Holder, Outcome, Register, View};
use crate::rng::Rng;
use picket_core::ids::{BootId, NodeId, NodeSet};

const N1: Holder = Holder { node: NodeId(1), boot: BootId(11) };
const N2: Holder = Holder { node: NodeId(2), boot: BootId(21) };
const NEVER: Moment = Moment::MAX;

fn all() -> NodeSet {
    NodeSet::only(NodeId(1)).with(NodeId(2))
}

fn solo(me: Holder) -> NodeSet {
    NodeSet::only(me.node)
}

/// Nobody holds it, both are in sync.
fn fresh() -> Register {
    Register { view: view(0, None, all(), 1), ..Register::default() }
}

const fn view(epoch: u64, holder: Option<Holder>, isr: NodeSet, version: u64) -> View {
    View { epoch, holder, isr, version }
}

fn op(invoked: Moment, over: Moment, call: Call, outcome: Outcome) -> Operation {
    Operation { invoked, over, call, outcome }
}

fn acquire(invoked: Moment, over: Moment, me: Holder, attempt: u64, outcome: Outcome) -> Operation {
    op(invoked, over, Call::Acquire { me, attempt, superseded: vec![] }, outcome)
}

fn granted(invoked: Moment, over: Moment, me: Holder, epoch: u64) -> Operation {
    acquire(invoked, over, me, epoch, Outcome::Told(view(epoch, Some(me), all(), 1)))
}

fn update(invoked: Moment, over: Moment, me: Holder, expected: u64, isr: NodeSet, done: bool) -> Operation {
    let told = Outcome::Told(view(1, Some(me), isr, expected + 1));
    let outcome = if done { told } else { Outcome::Unknown };
    op(invoked, over, Call::Update { me, epoch: 1, expected, isr }, outcome)
}

fn release(invoked: Moment, over: Moment, me: Holder, epoch: u64, outcome: Outcome) -> Operation {
    op(invoked, over, Call::Release { me, epoch }, outcome)
}

fn read(invoked: Moment, over: Moment, seen: View) -> Operation {
    op(invoked, over, Call::Read, Outcome::Told(seen))
}

fn holds(history: &[Operation]) {
    let verdict = check(fresh(), history);
    assert!(matches!(verdict, Verdict::Linearizable { .. }), "{verdict:?}");
    assert!(naive(fresh(), history, &mut vec![false; history.len()], 0), "the simple search finds none");
}

fn breaks(history: &[Operation]) {
    let verdict = check(fresh(), history);
    assert!(matches!(verdict, Verdict::Broken { .. }), "{verdict:?}");
    assert!(!naive(fresh(), history, &mut vec![false; history.len()], 0), "the simple search finds one");
}

/// The definition, without any thought for how long it takes. `latest`: the latest beginning of what was done.
fn naive(register: Register, history: &[Operation], done: &mut Vec<bool>, latest: Moment) -> bool {
    let left: Vec<usize> = (0..history.len()).filter(|index| !done[*index]).collect();
    if left.iter().all(|index| history[*index].outcome == Outcome::Unknown) {
        return true;
    }
    left.iter().any(|index| {
        let next = &history[*index];
        let first = left
            .iter()
            .all(|other| history[*other].outcome == Outcome::Unknown || history[*other].over >= next.invoked);
        let in_time = next.over >= latest;
        let Some(after) = register.step(&next.call, &next.outcome).filter(|_| first && in_time) else {
            return false;
        };
        done[*index] = true;
        let found = naive(after, history, done, latest.max(next.invoked));
        done[*index] = false;
        found
    })
}

#[test]
fn one_after_the_other() {
    holds(&[
        granted(1, 2, N1, 1),
        update(3, 4, N1, 1, solo(N1), true),
        read(5, 6, view(1, Some(N1), solo(N1), 2)),
        release(7, 8, N1, 1, Outcome::Released),
        release(9, 10, N1, 1, Outcome::Released),
        acquire(11, 12, N2, 9, Outcome::NotInSync { isr: solo(N1) }),
        read(13, 14, view(1, None, solo(N1), 2)),
    ]);
    holds(&[]);
}

#[test]
fn a_read_of_the_past_is_found() {
    let after = view(1, Some(N1), all(), 1);
    breaks(&[granted(1, 2, N1, 1), read(3, 4, fresh().view)]);
    holds(&[granted(1, 3, N1, 1), read(2, 4, fresh().view)]);
    breaks(&[granted(1, 9, N1, 1), read(2, 3, after), read(4, 5, fresh().view)]);
    holds(&[granted(1, 9, N1, 1), read(2, 5, after), read(3, 6, fresh().view)]);
}

#[test]
fn a_lost_update_is_found() {
    let told = view(1, Some(N1), solo(N1), 2);
    breaks(&[
        granted(1, 2, N1, 1),
        update(3, 4, N1, 1, solo(N1), true),
        read(5, 6, view(1, Some(N1), all(), 1)),
    ]);
    // Two with the same version cannot both be done, however they overlap.
    breaks(&[granted(1, 2, N1, 1), update(3, 9, N1, 1, solo(N1), true), update(4, 8, N1, 1, all(), true)]);
    let conflict = Outcome::Conflict { held: 2 };
    let second = |outcome| op(4, 8, Call::Update { me: N1, epoch: 1, expected: 1, isr: all() }, outcome);
    holds(&[granted(1, 2, N1, 1), update(3, 9, N1, 1, solo(N1), true), second(conflict), read(10, 11, told)]);
    breaks(&[granted(1, 2, N1, 1), second(conflict)]);
}

#[test]
fn two_holders_are_found() {
    breaks(&[granted(1, 2, N1, 1), granted(3, 4, N2, 2)]);
    breaks(&[granted(1, 4, N1, 1), granted(2, 3, N2, 1)]);
    let released = release(3, 4, N1, 1, Outcome::Released);
    holds(&[granted(1, 2, N1, 1), released.clone(), granted(5, 6, N2, 2)]);
    breaks(&[granted(1, 2, N1, 1), released, granted(5, 6, N2, 1)]);
    // An epoch that was left out stands for a grant that nobody knows of.
    breaks(&[granted(1, 2, N1, 2)]);
}

#[test]
fn a_newer_boot_ends_the_older_one_and_no_other() {
    let left = NodeSet::only(NodeId(2));
    let takes = |superseded: Vec<BootId>, told: View| {
        let call = Call::Acquire { me: N2, attempt: 7, superseded };
        [granted(1, 2, N1, 1), op(3, 4, call, Outcome::Told(told))]
    };
    holds(&takes(vec![N1.boot], view(2, Some(N2), left, 2)));
    breaks(&takes(vec![N1.boot], view(2, Some(N2), all(), 1)));
    breaks(&takes(vec![BootId(99)], view(2, Some(N2), left, 2)));
    let own = Holder { boot: BootId(12), ..N1 };
    let told = Outcome::Told(view(2, Some(own), all(), 1));
    holds(&[granted(1, 2, N1, 1), acquire(3, 4, own, 8, told)]);
}

#[test]
fn the_same_attempt_gets_the_same_grant() {
    let again = |epoch| acquire(3, 4, N1, 1, Outcome::Told(view(epoch, Some(N1), all(), 1)));
    holds(&[granted(1, 2, N1, 1), again(1)]);
    breaks(&[granted(1, 2, N1, 1), again(2)]);
    let other = |epoch| acquire(3, 4, N1, 2, Outcome::Told(view(epoch, Some(N1), all(), 1)));
    holds(&[granted(1, 2, N1, 1), other(2)]);
    breaks(&[granted(1, 2, N1, 1), other(1)]);
}

/// As after a recovery: the register was looked at, which does not tell the attempt of its grant.
#[test]
fn where_a_history_begins_the_holder_may_ask_again_under_the_attempt_of_its_grant() {
    let held = Register { view: view(1, Some(N1), all(), 1), ..Register::default() };
    let again = |from, attempt, epoch| {
        acquire(from, from + 1, N1, attempt, Outcome::Told(view(epoch, Some(N1), all(), 1)))
    };
    let fits = |history: &[Operation]| matches!(check(held, history), Verdict::Linearizable { .. });
    assert!(fits(&[again(1, 7, 1), again(3, 7, 1), again(5, 8, 2)]));
    assert!(fits(&[again(1, 7, 2)]), "under another attempt");
    assert!(!fits(&[again(1, 7, 1), again(3, 8, 1)]), "one grant for two attempts");
    let other = acquire(1, 2, N2, 7, Outcome::Told(view(1, Some(N1), all(), 1)));
    assert!(!fits(&[other]), "another's grant");
}

#[test]
fn what_has_no_answer_was_done_at_any_time_or_never() {
    let (before, after) = (view(1, Some(N1), all(), 1), view(1, Some(N1), solo(N1), 2));
    let unknown = |over| update(3, over, N1, 1, solo(N1), false);
    holds(&[granted(1, 2, N1, 1), unknown(NEVER), read(5, 6, before), read(7, 8, after)]);
    holds(&[granted(1, 2, N1, 1), unknown(NEVER), read(5, 6, before), read(7, 8, before)]);
    breaks(&[granted(1, 2, N1, 1), unknown(NEVER), read(5, 6, after), read(7, 8, before)]);
    // Not before it was asked for, and not after who could have done it was gone.
    breaks(&[granted(1, 2, N1, 1), unknown(NEVER), read(2, 2, after)]);
    holds(&[granted(1, 2, N1, 1), unknown(6), read(5, 9, before), read(10, 11, after)]);
    breaks(&[granted(1, 2, N1, 1), unknown(6), read(7, 8, before), read(9, 10, after)]);
    let asked = acquire(1, NEVER, N1, 5, Outcome::Unknown);
    holds(&[asked.clone(), granted(2, 3, N1, 2)]);
    breaks(&[asked, granted(2, 3, N1, 3)]);
}

#[test]
fn refusals_tell_the_truth() {
    let nobody = Outcome::NotHolder { holder: None };
    let by_n2 = Outcome::NotHolder { holder: Some(NodeId(2)) };
    holds(&[release(1, 2, N1, 4, nobody)]);
    breaks(&[release(1, 2, N1, 4, by_n2)]);
    holds(&[granted(1, 2, N2, 1), release(3, 4, N1, 1, by_n2)]);
    breaks(&[granted(1, 2, N2, 1), release(3, 4, N1, 1, nobody)]);
    holds(&[granted(1, 2, N1, 1), release(3, 4, N1, 7, Outcome::OtherEpoch { held: 1 })]);
    breaks(&[granted(1, 2, N1, 1), release(3, 4, N1, 7, Outcome::OtherEpoch { held: 2 })]);
    breaks(&[acquire(1, 2, N2, 1, Outcome::NotInSync { isr: solo(N1) })]);
    breaks(&[granted(1, 2, N1, 1), release(3, 4, N1, 1, Outcome::NotHolder { holder: Some(NodeId(1)) })]);
}

#[test]
fn what_was_ordered_is_told() {
    let history = [granted(1, 2, N1, 1), read(5, 6, fresh().view), read(3, 4, view(1, Some(N1), all(), 1))];
    let Verdict::Broken { ordered, register } = check(fresh(), &history) else { panic!("it holds") };
    assert_eq!(ordered, [0, 2]);
    assert_eq!(register.view, view(1, Some(N1), all(), 1));
}

/// A history of a register that was stepped one by one, told with overlapping intervals; then, perhaps, one answer
/// of another history.
fn random_history(rng: &mut Rng) -> Vec<Operation> {
    let mut register = fresh();
    let mut history = Vec::new();
    for at in 1..=6_u64 {
        let me = if rng.percent(50) { N1 } else { N2 };
        let epoch = register.view.epoch + rng.below(2);
        let call = match rng.below(4) {
            0 => Call::Acquire { me, attempt: rng.below(3), superseded: vec![] },
            1 => Call::Update { me, epoch, expected: register.view.version, isr: solo(me) },
            2 => Call::Release { me, epoch },
            _ => Call::Read,
        };
        let unknown = call != Call::Read && rng.percent(25);
        let done = register.step(&call, &Outcome::Unknown).filter(|_| call != Call::Read);
        let outcome = match (&call, done) {
            (_, Some(_)) if unknown => Outcome::Unknown,
            (Call::Release { .. }, Some(_)) => Outcome::Released,
            (_, Some(next)) => Outcome::Told(next.view),
            (Call::Read, None) => Outcome::Told(register.view),
            (_, None) => Outcome::NotDone,
        };
        if !(unknown && rng.percent(50)) {
            register = done.unwrap_or(register);
        }
        let (begun, over) = (at * 10 - rng.below(25).min(at * 10), at * 10 + rng.below(25));
        let over = if outcome == Outcome::Unknown && rng.percent(50) { NEVER } else { over };
        history.push(op(begun, over, call, outcome));
    }
    if rng.percent(50) {
        let (from, to) = (rng.below(6) as usize, rng.below(6) as usize);
        history[to].outcome = match (&history[to].call, history[from].outcome) {
            (Call::Release { .. }, Outcome::Told(_)) => Outcome::Released,
            (Call::Read, Outcome::Told(view)) => Outcome::Told(view),
            (_, Outcome::Told(view)) => Outcome::Told(View { epoch: view.epoch + rng.below(2), ..view }),
            _ => Outcome::NotDone,
        };
    }
    history
}

#[test]
fn it_agrees_with_the_simple_search() {
    let (mut rng, mut holding, mut breaking) = (Rng::new(1), 0, 0);
    for _ in 0..20_000 {
        let history = random_history(&mut rng);
        match check(fresh(), &history) {
            Verdict::Linearizable { .. } => {
                holding += 1;
                assert!(naive(fresh(), &history, &mut vec![false; 6], 0), "{history:#?}");
            }
            Verdict::Broken { .. } => {
                breaking += 1;
                assert!(!naive(fresh(), &history, &mut vec![false; 6], 0), "{history:#?}");
            }
            Verdict::Unknown => panic!("given up"),
        }
    }
    assert!(holding > 2000 && breaking > 2000, "{holding} hold, {breaking} break");
}
