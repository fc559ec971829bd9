//! What holds up to a bound and what beyond it, and what is done once.

use super::bench::{self, A, B, Bench, C, STORE, U, V, boot, config, ms, params, set, wish};
use crate::evidence::{FenceOutcome, Proof};
use crate::ids::{AttemptId, NodeId, Nonce, PermitId, RequestId, SessionId};
use crate::message::{FenceReason, Heartbeat, OperatorRequest, Request, RequestFence, ToWitness};
use crate::params::{DRIFT_PPM, EPOCH_JUMP, FENCE_LOOP_LIMIT};
use crate::time::{Duration, Instant};
use crate::witness::clock::Clock;
use crate::witness::permit::{self, LEVELS_MAX};
use crate::witness::record::{FencedBoot, PermitRecord};
use crate::witness::turn::Turn;
use crate::witness::{Event, Input, PermitEnd, Witness, insync};
use alloc::vec;

fn ask_fence(bench: &mut Bench, node: NodeId, target: NodeId, reason: FenceReason, levels: Duration) {
    let attempt = AttemptId(5);
    bench.say(node, Request::RequestFence(RequestFence { target, attempt, reason, levels }));
}

#[test]
fn a_permit_lasts_an_hour_at_most() {
    for (levels, is_permitted) in [(LEVELS_MAX, true), (LEVELS_MAX + ms(1), false)] {
        let mut bench = Bench::held(&[A, B], &[V]);
        ask_fence(&mut bench, B, A, FenceReason::Operator, levels);
        assert_eq!(bench.permitted(B).is_some(), is_permitted, "{levels:?}");
    }
}

#[test]
fn a_permit_that_is_told_again_begins_anew_and_each_has_its_own_number() {
    let mut bench = Bench::held(&[A, B], &[V]);
    let first = bench.permit(B, A);
    bench.pass(ms(400), &[B]);
    bench.ask_fence(B, A, 900);
    let lives = params().start_within + ms(5000) + params().guard;
    bench.pass(lives - ms(100), &[B]);
    assert_eq!(bench.witness.record().nodes[&A].permit.map(|live| live.id), Some(first.permit));
    bench.report(B, first, FenceOutcome::NotStarted, vec![]);
    bench.ask_fence(B, A, 901);
    let second = bench.permitted(B).expect("another");
    assert_eq!(
        second.permit,
        PermitId(first.permit.0 + 1),
        "a report about the one says nothing of the other"
    );
}

#[test]
fn nobody_fences_itself_or_what_is_proven_off() {
    let mut bench = Bench::held(&[A, B], &[V]);
    ask_fence(&mut bench, A, A, FenceReason::Operator, ms(5000));
    assert_eq!(bench.refused(A), "NOTHING_AT_STAKE");
    let permit = bench.permit(B, A);
    bench.report(B, permit, FenceOutcome::ConfirmedOff, vec![]);
    ask_fence(&mut bench, B, A, FenceReason::Operator, ms(5000));
    assert_eq!(bench.refused(B), "NOTHING_AT_STAKE");
}

#[test]
fn a_drill_is_for_a_node_that_holds_in_its_present_boot() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.reboot(A);
    bench.pass(ms(100), &[A, B]);
    ask_fence(&mut bench, A, B, FenceReason::Drill, ms(5000));
    assert_eq!(bench.refused(A), "WRONG_STATE");
}

#[test]
fn a_node_is_held_off_after_as_many_fences_as_the_limit_and_one_more() {
    let mut bench = Bench::held(&[A, B], &[V]);
    let mut turn = Turn::new(bench.now, Nonce(1));
    let fence = |bench: &mut Bench, turn: &mut Turn, keep_off| {
        let permit = PermitRecord { keep_off, ..bench::permit() };
        bench.witness.record.nodes.get_mut(&A).unwrap().permit = Some(permit);
        permit::end(&mut bench.witness, turn, A, PermitEnd::Attested);
        let known = &bench.witness.record().nodes[&A];
        (known.fences as usize, bench.witness.timers.fences[&A].len(), known.held_off)
    };
    for count in 1..=FENCE_LOOP_LIMIT {
        assert_eq!(fence(&mut bench, &mut turn, false), (count, count, false));
    }
    let one_more = FENCE_LOOP_LIMIT + 1;
    for _ in 0..3 {
        assert_eq!(fence(&mut bench, &mut turn, false), (one_more, one_more, true), "more says no more");
    }
    let mut bench = Bench::held(&[A, B], &[V]);
    assert_eq!(fence(&mut bench, &mut turn, true), (1, 1, true), "or when the permit was to keep it off");
}

#[test]
fn a_declaration_is_told_once_for_each_boot() {
    let mut bench = Bench::held(&[A, B], &[V]);
    let told = |bench: &Bench| {
        bench.events.iter().filter(|event| matches!(event, Event::DeclaredFailed { node: A, .. })).count()
    };
    bench.say(A, Request::DeclareFailed);
    assert_eq!(told(&bench), 1);
    bench.say(A, Request::DeclareFailed);
    assert_eq!(told(&bench), 0);
}

#[test]
fn an_operator_types_six_digits_whatever_they_are_made_of() {
    for fresh in [0, 899_999, 900_000, u128::MAX] {
        let mut bench = Bench::held(&[A, B], &[V]);
        let permit = bench.permit(B, A).permit;
        let machine = &bench.nodes[&B];
        let (session, request, seen) = (machine.session, RequestId(machine.request + 1), machine.seen);
        let message = ToWitness { session, request, seen, body: Request::AskOperator { permit } };
        let input = Input::Message { node: B, message };
        drop(bench.witness.step(bench.now, input, Nonce(fresh)));
        let live = bench.witness.record().nodes[&A].permit.unwrap();
        let challenge = live.asked.expect("asked").challenge;
        assert!((100_000..1_000_000).contains(&challenge), "{challenge}");
    }
}

#[test]
fn a_newer_boot_proves_even_under_a_maintenance() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.operator(OperatorRequest::Maintenance { node: A, length: ms(60_000) });
    bench.acquire(B, V, 1);
    assert_eq!(bench.waits(B), "MAINTENANCE");
    bench.reboot(A);
    assert_eq!(bench.granted(B).map(|granted| granted.proof), Some(Proof::NewerBoot { boot: boot(A, 2) }));
}

#[test]
fn a_takeover_leaves_out_every_boot_that_is_proven_off() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    let fenced = FencedBoot { boot: boot(C, 1), permit: PermitId(1), attested: true };
    bench.witness.record.nodes.get_mut(&C).unwrap().fenced = Some(fenced);
    bench.pass(params().lease_and_guard() + ms(100), &[B]);
    bench.acquire(B, V, 1);
    assert_eq!(bench.granted(B).expect("the lease is over").register.isr, set(&[B]));
}

#[test]
fn a_successor_that_withdraws_lets_the_others_try() {
    let mut bench = Bench::held(&[A, B], &[V, U]);
    ask_fence(&mut bench, A, B, FenceReason::Drill, ms(5000));
    bench.say(B, Request::Acquire(wish(V, 1)));
    bench.say(B, Request::Acquire(wish(U, 2)));
    for volume in [V, U] {
        bench.release(A, volume, Some(B));
        assert_eq!(bench.holder(volume), None, "B is to be drilled, and has to wait");
    }
    bench.say(B, Request::Withdraw { attempt: AttemptId(1) });
    let successor = |volume| bench.witness.record().volumes[&volume].successor;
    assert_eq!((successor(V), successor(U)), (None, Some(B)), "of that volume alone");
}

#[test]
fn the_last_one_is_never_taken_out_and_nothing_changes_without_need() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    bench.update(A, V, &[A, B]);
    let mut turn = Turn::new(bench.now, Nonce(1));
    let mut take_out = |node| {
        insync::take_out(&mut bench.witness, &mut turn, V, node);
        let register = &bench.witness.record().volumes[&V];
        (register.isr, register.isr_version.0)
    };
    let (_, version) = take_out(C);
    assert_eq!(take_out(C), (set(&[A, B]), version), "it is not in the set");
    assert_eq!(take_out(B), (set(&[A]), version + 1));
    assert_eq!(take_out(A), (set(&[A]), version + 1));
    let told = turn.effects.len();
    assert_eq!(told, 1, "{:?}", turn.effects);
}

#[test]
fn a_former_boots_grant_is_not_renewed() {
    let mut bench = Bench::held(&[A, B], &[V]);
    let holds = vec![(V, bench.epoch(V))];
    bench.reboot(A);
    bench.say(A, Request::Heartbeat(Heartbeat { holds, ..Heartbeat::default() }));
    assert_eq!(bench.refused(A), "NOT_HOLDER");
}

#[test]
fn a_daemon_that_registers_again_begins_no_lease_unless_it_promises_something_else() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.pass(ms(500), &[B]);
    let left = |bench: &Bench| bench.witness.lease_left(V, bench.now);
    let before = left(&bench);
    bench.register(A);
    assert_eq!(left(&bench), before);
    bench.nodes.get_mut(&A).unwrap().replicas.get_mut(&V).unwrap().barrier_suffices = true;
    bench.register(A);
    assert_eq!(left(&bench), Some(params().lease_and_guard()), "what it promises now it did not keep before");
}

#[test]
fn a_session_number_is_folded_from_all_of_the_nonce() {
    let mut bench = Bench::empty(&[A, B], &[V]);
    for (fresh, id) in [(3 << 64 | 1, 2), (3, 3), (3 << 64, 3), (5 << 100, 5 << 36)] {
        drop(bench.witness.step(bench.now, Input::Connected { node: A }, Nonce(fresh)));
        assert_eq!(bench.witness.sessions()[&A].id, SessionId(id), "{fresh:x}");
    }
}

#[test]
fn a_registration_counts_on_its_own_session_only() {
    let mut bench = Bench::empty(&[A, B], &[V]);
    bench.connect(A);
    let body = || Request::Register(bench.registration(A));
    let (session, request) = (bench.nodes[&A].session, RequestId(1));
    let other =
        ToWitness { session: SessionId(session.0 + 1), request, seen: bench.nodes[&A].seen, body: body() };
    let own = ToWitness { session, body: body(), ..other.clone() };
    bench.step(Input::Message { node: A, message: other });
    assert_eq!(bench.witness.sessions()[&A].boot, None);
    bench.step(Input::Message { node: A, message: own });
    assert_eq!(bench.witness.sessions()[&A].boot, Some(boot(A, 1)));
}

#[test]
fn what_a_node_hears_counts_before_the_end_of_its_heartbeat() {
    let mut bench = Bench::up(&[A, B], &[V]);
    bench.beat(A, set(&[B]));
    let until = bench.now + params().suspect_after();
    assert_eq!(bench.witness.hears_of(A, until - ms(1)), set(&[B]));
    assert_eq!(bench.witness.hears_of(A, until), set(&[]));
}

#[test]
fn a_new_store_is_new_in_all() {
    let bench = Bench::empty(&[A, B], &[V]);
    assert_eq!(bench.witness.view(bench.now).recovering, Some(set(&[A, B])), "everybody is told");
    let bench = Bench::up(&[A, B], &[V]);
    assert!(bench.witness.record().absorbed.is_empty(), "no history of another store was taken in");
    assert_eq!(
        bench.witness.record().permits,
        PermitId(EPOCH_JUMP),
        "beyond all that a lost one can have issued"
    );
    let witness = Witness::new(config(&[A, B], &[]), None, STORE, Instant::BOOT);
    assert_eq!(witness.recovering(), Some(set(&[A, B])), "even without a volume");
}

#[test]
fn who_holds_nothing_has_no_lease_after_a_restart() {
    let mut bench = Bench::up(&[A, B], &[V]);
    bench.restart();
    assert!(bench.witness.timers.leases.is_empty());
}

/// What is said of a node's clock that is right for a window of ten seconds, and fast by so much in the first reading of
/// the next, the best one. There is one reading a second.
fn judged(skew: Duration) -> Option<bool> {
    let (mut clock, jitter) = (None, ms(100));
    let mut verdict = None;
    for second in 0..=20 {
        let now = Instant::since_boot(Duration::from_secs(1000 + second));
        let wrong = if second == 10 { skew } else { Duration::ZERO };
        assert_eq!(verdict, None, "not before the window is over");
        verdict = Clock::read(&mut clock, now, now.elapsed() + wrong, jitter);
    }
    verdict
}

#[test]
fn a_clock_is_outside_from_beyond_the_bound_on() {
    let allowed = Duration::from_micros(DRIFT_PPM * 10) + ms(100);
    assert_eq!(judged(allowed), None, "nothing is said for a minute of a clock inside");
    assert_eq!(judged(allowed + Duration::from_nanos(1)), Some(true));
}
