//! Permits, fence reports, declarations, confirmations by hand.

use super::bench::{A, B, Bench, C, U, V, boot, ms, params, set, wish};
use crate::evidence::{FenceOutcome, Proof};
use crate::ids::{AttemptId, BootId, Epoch, NodeId, NodeSet, PermitId};
use crate::message::{
    FenceReason, OperatorAnswer, OperatorRequest, Reply, ReportFence, Request, RequestFence,
};
use crate::witness::{Event, Input, PermitEnd};
use alloc::vec;

/// A holds V, C does not hear A any more, and neither does the witness; B hears A still.
#[test]
fn a_permit_waits_until_nobody_hears_the_target() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    bench.ask_fence(C, A, 5);
    assert_eq!(bench.waits(C), "SEEN_ALIVE");
    for _ in 0..10 {
        bench.pass(ms(100), &[]);
        bench.beat(C, set(&[B]));
        bench.beat(B, set(&[A, C]));
    }
    assert!(!bench.witness.hears().contains(A));
    assert_eq!(bench.witness.record().nodes[&A].permit, None);
    bench.beat(B, set(&[C]));
    let permit = bench.permitted(C).expect("at the heartbeat that misses the target");
    assert_eq!((permit.target, permit.target_boot), (A, boot(A, 1)));
}

#[test]
fn an_asker_whose_own_hearing_is_unknown_gets_no_permit() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.pass(ms(600), &[]);
    bench.ask_fence(B, A, 5);
    assert_eq!(bench.waits(B), "SEEN_ALIVE");
    bench.beat(B, NodeSet::EMPTY);
    assert!(bench.permitted(B).is_some());
}

#[test]
fn one_permit_per_target_and_the_same_attempt_is_told_again() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    let permit = bench.permit(B, A);
    bench.ask_fence(C, A, 1);
    assert_eq!(bench.waits(C), "PERMIT_LIVE");
    bench.pass(ms(400), &[B, C]);
    bench.ask_fence(B, A, 900);
    assert_eq!(bench.permitted(B), Some(permit));
    let lives = params().start_within + ms(5000) + params().guard;
    bench.pass(lives - ms(100), &[B, C]);
    assert!(bench.witness.record().nodes[&A].permit.is_some(), "its time began anew");
}

#[test]
fn the_asker_must_have_the_data_of_something_that_the_target_holds() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    bench.update(A, V, &[A, B]);
    bench.pass(ms(600), &[B, C]);
    bench.ask_fence(C, A, 1);
    assert_eq!(bench.refused(C), "NOTHING_AT_STAKE");
    bench.ask_fence(B, C, 1);
    assert_eq!(bench.refused(B), "NOTHING_AT_STAKE");
}

#[test]
fn a_target_that_is_alone_with_another_volume_is_not_killed_for_this_one() {
    let mut bench = Bench::held(&[A, B], &[V, U]);
    bench.update(A, U, &[A]);
    bench.pass(ms(600), &[B]);
    bench.ask_fence(B, A, 1);
    assert_eq!(bench.waits(B), "SOLO_ELSEWHERE");
    let (attempt, reason, levels) = (AttemptId(2), FenceReason::Operator, ms(100));
    bench.say(B, Request::RequestFence(RequestFence { target: A, attempt, reason, levels }));
    assert!(bench.permitted(B).is_some(), "an operator may");
}

#[test]
fn a_target_of_a_permit_gets_none() {
    let mut bench = Bench::held(&[A, B], &[V, U]);
    bench.release(A, U, None);
    bench.acquire(B, U, 1);
    bench.permit(B, A);
    bench.beat(A, NodeSet::EMPTY);
    bench.pass(ms(700), &[]);
    bench.beat(A, NodeSet::EMPTY);
    bench.ask_fence(A, B, 1);
    assert_eq!(bench.waits(A), "TARGET_OF_PERMIT");
}

#[test]
fn from_the_issue_on_the_targets_authority_is_gone() {
    let mut bench = Bench::held(&[A, B], &[V, U]);
    bench.permit(B, A);
    bench.beat(A, NodeSet::EMPTY);
    assert_eq!(bench.refused(A), "TARGET_OF_PERMIT");
    bench.update(A, V, &[A]);
    assert_eq!(bench.refused(A), "TARGET_OF_PERMIT");
    bench.acquire(A, U, 9);
    assert_eq!(bench.waits(A), "TARGET_OF_PERMIT");
}

#[test]
fn the_old_epochs_stay_dead_after_a_permit_that_proved_nothing() {
    let mut bench = Bench::held(&[A, B], &[V]);
    let permit = bench.permit(B, A);
    let old = bench.epoch(V);
    bench.report(B, permit, FenceOutcome::NotStarted, vec![]);
    assert_eq!(bench.holder(V), Some(A));
    bench.beat(A, NodeSet::EMPTY);
    assert_eq!(bench.refused(A), "NOT_HOLDER");
    bench.update(A, V, &[A]);
    assert_eq!(bench.refused(A), "NOT_HOLDER");
    bench.acquire(A, V, 1);
    assert_eq!(bench.refused(A), "WRONG_STATE", "the attempt of the dead grant");
    bench.acquire(A, V, 2);
    assert_eq!(bench.granted(A).unwrap().register.epoch, Epoch(old.0 + 1));
    bench.beat(A, NodeSet::EMPTY);
    assert!(bench.told(A).is_none());
}

#[test]
fn a_confirmed_fence_grants_what_was_carried_with_it() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    let permit = bench.permit(B, A);
    bench.report(B, permit, FenceOutcome::ConfirmedOff, vec![wish(V, 1)]);
    let granted = bench.granted(B).unwrap();
    assert_eq!(granted.proof, Proof::Fenced { permit: permit.permit });
    assert_eq!(granted.register.isr, set(&[B, C]));
    assert!(bench.replies(B).any(|reply| matches!(reply, Reply::FenceRecorded { .. })));
    bench.report(B, permit, FenceOutcome::ConfirmedOff, vec![]);
    assert!(bench.replies(B).any(|reply| matches!(reply, Reply::FenceRecorded { .. })), "reported again");
}

#[test]
fn a_fence_whose_outcome_is_unknown_proves_nothing() {
    for outcome in [FenceOutcome::Unknown, FenceOutcome::NotStarted] {
        let mut bench = Bench::held(&[A, B], &[V]);
        let permit = bench.permit(B, A);
        bench.report(B, permit, outcome, vec![wish(V, 1)]);
        assert_eq!(bench.waits(B), "NEEDS_PROOF");
        assert_eq!((bench.holder(V), bench.isr(V)), (Some(A), set(&[A, B])));
        assert_eq!(bench.witness.record().nodes[&A].permit, None);
    }
}

#[test]
fn a_report_counts_for_its_permit_its_boot_and_its_fencer_only() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    let permit = bench.permit(B, A);
    let (outcome, acquire) = (FenceOutcome::ConfirmedOff, vec![]);
    let good = ReportFence { permit: permit.permit, target: A, target_boot: boot(A, 1), outcome, acquire };
    let wrong = [
        (B, ReportFence { permit: PermitId(77), ..good.clone() }),
        (B, ReportFence { target: C, ..good.clone() }),
        (B, ReportFence { target_boot: BootId(5), ..good.clone() }),
        (C, good),
    ];
    for (node, report) in wrong {
        bench.say(node, Request::ReportFence(report));
        assert_eq!(bench.refused(node), "NO_SUCH_PERMIT");
    }
    assert!(bench.witness.record().nodes[&A].permit.is_some());
}

#[test]
fn a_permit_keeps_every_boot_of_its_target_from_holding_anything() {
    let mut bench = Bench::held(&[A, B], &[V, U]);
    bench.release(A, U, None);
    let permit = bench.permit(B, A);
    bench.reboot(A);
    bench.acquire(A, U, 1);
    assert_eq!(bench.waits(A), "TARGET_OF_PERMIT", "the agent may still hit this boot");
    bench.acquire(B, V, 1);
    assert!(matches!(bench.granted(B).unwrap().proof, Proof::NewerBoot { .. }));
    bench.report(B, permit, FenceOutcome::ConfirmedOff, vec![]);
    assert_eq!(bench.isr(U), set(&[A, B]), "nothing is known of the newer boot");
    assert_eq!(bench.holder(U), Some(A), "the permit is over, and A waited");
    bench.acquire(B, U, 2);
    assert_eq!(bench.waits(B), "NEEDS_PROOF", "the fence of the older boot proves nothing about this one");
}

#[test]
fn a_permit_ends_only_when_no_agent_can_act_any_more() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.permit(B, A);
    let end = bench.now + params().start_within + ms(5000) + params().guard;
    bench.pass(end.since(bench.now) - ms(50), &[B]);
    assert!(bench.witness.record().nodes[&A].permit.is_some());
    bench.tick_until(end);
    assert_eq!(bench.witness.record().nodes[&A].permit, None);
    assert!(!bench.witness.record().nodes[&A].is_fenced(boot(A, 1)));
}

#[test]
fn a_surrender_is_taken_and_does_not_end_the_permit() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.permit(B, A);
    bench.beat(A, NodeSet::EMPTY);
    bench.release(A, V, None);
    assert_eq!(bench.holder(V), None);
    assert!(bench.witness.record().nodes[&A].permit.is_some());
}

#[test]
fn a_declaration_is_no_proof_but_permits_at_once() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.acquire(B, V, 1);
    bench.ask_fence(B, A, 1);
    bench.say(A, Request::DeclareFailed);
    assert_eq!(bench.holder(V), Some(A));
    assert!(bench.permitted(B).is_some(), "the asker waits for no silence");
    bench.beat(A, set(&[B]));
    assert!(!bench.witness.quorum(A).eq(&crate::message::QuorumVerdict::Quorate));
    assert!(["TARGET_OF_PERMIT", "DECLARED_FAILED"].contains(&bench.refused(A)));
}

#[test]
fn a_declaration_is_bound_to_its_boot_and_cannot_be_taken_back_in_it() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.say(A, Request::DeclareFailed);
    bench.restart();
    bench.register(B);
    bench.register(A);
    bench.beat(A, set(&[B]));
    assert_eq!(bench.refused(A), "DECLARED_FAILED");
    bench.acquire(A, V, 2);
    assert_eq!(bench.refused(A), "DECLARED_FAILED");
    bench.reboot(A);
    bench.acquire(A, V, 3);
    assert!(bench.granted(A).is_some());
    bench.beat(B, set(&[A]));
    bench.ask_fence(B, A, 1);
    assert_eq!(bench.waits(B), "SEEN_ALIVE");
}

#[test]
fn levels_without_end_are_refused() {
    let mut bench = Bench::held(&[A, B], &[V]);
    let (attempt, reason) = (AttemptId(1), FenceReason::Operator);
    let levels = crate::time::Duration::MAX;
    bench.say(B, Request::RequestFence(RequestFence { target: A, attempt, reason, levels }));
    assert_eq!(bench.refused(B), "WRONG_STATE");
}

fn asked(bench: &mut Bench) -> u32 {
    let permit = bench.permit(B, A);
    bench.say(B, Request::AskOperator { permit: permit.permit });
    let told = bench.replies(B).find_map(|reply| match reply {
        Reply::OperatorAsked(pending) => Some(pending.challenge),
        _ => None,
    });
    told.expect("the challenge")
}

fn confirm(bench: &mut Bench, node: NodeId, challenge: u32) -> OperatorAnswer {
    bench.operator(OperatorRequest::ConfirmMeatware { node, challenge })
}

fn word(answer: OperatorAnswer) -> &'static str {
    match answer {
        OperatorAnswer::Refused(refusal) => refusal.word(),
        OperatorAnswer::Done => "done",
        OperatorAnswer::Confirmed { .. } => "confirmed",
    }
}

#[test]
fn a_confirmation_counts_after_lease_watchdog_and_guard() {
    let mut bench = Bench::held(&[A, B], &[V]);
    bench.nodes.get_mut(&A).unwrap().self_fence.watchdog_counts = false;
    bench.register(A);
    let challenge = asked(&mut bench);
    assert!((100_000..1_000_000).contains(&challenge));
    bench.acquire(B, V, 1);
    bench.pass(ms(20_000), &[B]);
    assert!(bench.witness.record().nodes[&A].permit.is_some(), "no timer ends it");
    assert_eq!(word(confirm(&mut bench, B, challenge)), "NOTHING_PENDING");
    assert_eq!(word(confirm(&mut bench, A, challenge + 1)), "WRONG_CHALLENGE");
    let wait = params().lease_and_guard() + params().watchdog.unwrap().effective + params().guard;
    let answer = confirm(&mut bench, A, challenge);
    assert!(matches!(answer, OperatorAnswer::Confirmed { effective_in, .. } if effective_in == wait));
    assert_eq!(word(confirm(&mut bench, A, challenge)), "NOTHING_PENDING", "twice");
    let end = bench.now + wait;
    bench.pass(wait - ms(20), &[B]);
    assert_eq!(bench.holder(V), Some(A));
    bench.now = end;
    bench.step(Input::Tick);
    assert!(matches!(bench.granted(B).unwrap().proof, Proof::Attested { .. }));
}

#[test]
fn nobody_who_is_heard_can_be_confirmed_off() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    let challenge = asked(&mut bench);
    bench.beat(C, set(&[A, B]));
    assert_eq!(word(confirm(&mut bench, A, challenge)), "SEEN_ALIVE");
    bench.beat(C, set(&[B]));
    assert_eq!(word(confirm(&mut bench, A, challenge)), "confirmed");
    bench.beat(C, set(&[A, B]));
    assert!(bench.events.contains(&Event::ConfirmationVoid { target: A, heard_by: set(&[C]) }));
    bench.beat(C, set(&[B]));
    bench.acquire(C, V, 1);
    assert_eq!(word(confirm(&mut bench, A, challenge)), "confirmed", "it is waited for again");
}

#[test]
fn a_confirmation_waits_for_what_a_witness_that_slept_has_not_read() {
    for heard in [true, false] {
        let mut bench = Bench::held(&[A, B, C], &[V]);
        let challenge = asked(&mut bench);
        assert_eq!(word(confirm(&mut bench, A, challenge)), "confirmed");
        bench.now = bench.now + bench.config.attestation_wait();
        bench.step(Input::Tick);
        bench.beat(C, if heard { set(&[A, B]) } else { set(&[B]) });
        let void = Event::ConfirmationVoid { target: A, heard_by: set(&[C]) };
        assert_eq!(bench.events.contains(&void), heard);
        bench.tick_until(bench.now + params().heartbeat);
        assert_eq!(bench.witness.record().nodes[&A].is_fenced(boot(A, 1)), !heard);
    }
}

#[test]
fn a_denial_ends_the_fence_and_proves_nothing() {
    let mut bench = Bench::held(&[A, B], &[V]);
    asked(&mut bench);
    assert_eq!(word(bench.operator(OperatorRequest::DenyMeatware { node: A })), "done");
    assert!(bench.events.iter().any(|e| matches!(e, Event::PermitEnded { end: PermitEnd::Denied, .. })));
    assert_eq!(word(bench.operator(OperatorRequest::DenyMeatware { node: A })), "NOTHING_PENDING");
    assert!(!bench.witness.record().nodes[&A].is_fenced(boot(A, 1)));
}

#[test]
fn a_new_boot_ends_the_waiting_for_a_person() {
    let mut bench = Bench::held(&[A, B], &[V]);
    let challenge = asked(&mut bench);
    confirm(&mut bench, A, challenge);
    bench.reboot(A);
    assert_eq!(bench.witness.record().nodes[&A].permit, None);
    assert_eq!(word(confirm(&mut bench, A, challenge)), "NOTHING_PENDING");
}

#[test]
fn a_restarted_witness_waits_for_a_confirmation_in_full() {
    let mut bench = Bench::held(&[A, B], &[V]);
    let challenge = asked(&mut bench);
    confirm(&mut bench, A, challenge);
    let wait = params().lease_and_guard() + params().watchdog.unwrap().effective + params().guard;
    bench.pass(wait - ms(300), &[B]);
    bench.restart();
    bench.register(B);
    bench.pass(wait - ms(300), &[B]);
    assert!(bench.witness.record().nodes[&A].permit.is_some());
    bench.pass(ms(400), &[B]);
    assert!(bench.witness.record().nodes[&A].is_fenced(boot(A, 1)));
}

#[test]
fn only_the_fencer_may_ask_an_operator() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    let permit = bench.permit(B, A).permit;
    bench.say(C, Request::AskOperator { permit });
    assert_eq!(bench.refused(C), "NO_SUCH_PERMIT");
}

#[test]
fn the_fourth_fence_within_the_window_keeps_the_node_off() {
    let mut bench = Bench::held(&[A, B], &[V]);
    for round in 1..=4 {
        let permit = bench.permit(B, A);
        assert_eq!(permit.keep_off, round == 4, "round {round}");
        bench.report(B, permit, FenceOutcome::ConfirmedOff, vec![wish(V, 10 + round)]);
        bench.reboot(A);
        bench.update(B, V, &[A, B]);
        let held_off = bench.witness.record().nodes[&A].held_off;
        assert_eq!(held_off, round == 4);
        if round < 4 {
            bench.release(B, V, None);
            bench.acquire(A, V, round);
            assert!(bench.granted(A).is_some());
        }
    }
    assert_eq!(bench.refused(B), "NOT_AN_IN_SYNC_SET");
    bench.acquire(A, V, 50);
    assert_eq!(bench.refused(A), "HELD_OFF");
    assert!(matches!(bench.operator(OperatorRequest::Clear { node: A }), OperatorAnswer::Done));
    bench.update(B, V, &[A, B]);
    assert_eq!(bench.isr(V), set(&[A, B]));
}

#[test]
fn fences_leave_the_window_of_the_loop_limit() {
    let mut bench = Bench::held(&[A, B], &[V]);
    let permit = bench.permit(B, A);
    bench.report(B, permit, FenceOutcome::ConfirmedOff, vec![]);
    assert_eq!(bench.witness.record().nodes[&A].fences, 1);
    bench.tick_until(bench.now + ms(599_000));
    bench.restart();
    bench.tick_until(bench.now + ms(599_000));
    assert_eq!(bench.witness.record().nodes[&A].fences, 1, "a restart begins it anew");
    bench.tick_until(bench.now + ms(2_000));
    assert_eq!(bench.witness.record().nodes[&A].fences, 0);
}

#[test]
fn what_nobody_confirmed_is_not_confirmed_by_a_restart() {
    let mut bench = Bench::held(&[A, B], &[V]);
    asked(&mut bench);
    bench.restart();
    bench.register(B);
    bench.pass(ms(60_000), &[B]);
    assert!(!bench.witness.record().nodes[&A].is_fenced(boot(A, 1)), "no person has said anything");
    assert_eq!(bench.holder(V), Some(A));
}

#[test]
fn a_withdrawn_attempt_gets_no_permit_and_another_does() {
    for (withdrawn, permitted) in [(5, false), (6, true)] {
        let mut bench = Bench::held(&[A, B], &[V]);
        bench.ask_fence(B, A, 5);
        assert_eq!(bench.waits(B), "SEEN_ALIVE");
        bench.say(B, Request::Withdraw { attempt: AttemptId(withdrawn) });
        bench.pass(ms(600), &[]);
        bench.beat(B, NodeSet::EMPTY);
        assert_eq!(bench.permitted(B).is_some(), permitted, "attempt {withdrawn} was withdrawn");
    }
}
