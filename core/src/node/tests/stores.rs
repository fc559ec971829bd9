//! What a node has seen of the witness's store: a witness that was put back is to be noticed.

use super::super::*;
use super::bench::{Bench, report};
use super::*;
use crate::error::Refusal;
use crate::ids::{CommitIndex, ConfigDigest, NodeSet};
use crate::message::{OperatorAnswer, Reply, Request, Subject, ToWitness, View};
use alloc::vec;
use alloc::vec::Vec;

/// The position that a registration names.
fn registered_with(effects: &[Effect]) -> CommitIndex {
    let seen: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Witness(ToWitness { seen, body: Request::Register(_), .. }) => Some(seen.commit),
            _ => None,
        })
        .collect();
    assert_eq!(seen.len(), 1, "{effects:?}");
    seen[0]
}

/// The witness has recorded something that is in no register, and says so.
fn recorded(bench: &mut Bench, commit: u64) {
    bench.seen = commit;
    let view = View { maintenance: NodeSet::only(B), hears: Bench::both(), ..View::default() };
    bench.say(Reply::View(view));
}

#[test]
fn what_was_seen_outlives_the_session() {
    let mut bench = Bench::standby(LossAction::Osu);
    recorded(&mut bench, 11);
    assert_eq!(registered_with(&bench.challenged()), CommitIndex(11));
}

#[test]
fn what_was_seen_is_on_the_disk_when_there_is_nothing_else_to_do() {
    let mut bench = Bench::standby(LossAction::Osu);
    recorded(&mut bench, 11);
    bench.wait(ms(100));
    assert_eq!(bench.disk.seen.commit, CommitIndex(11));
    let syncs = bench.syncs;
    bench.live(ms(1000));
    assert_eq!(bench.syncs, syncs, "once");
    bench.restart_daemon();
    bench.step(Input::Volume { volume: V, report: report(Role::Secondary) });
    assert_eq!(registered_with(&bench.challenged()), CommitIndex(11));
}

#[test]
fn what_was_seen_with_something_to_say_is_on_the_disk_with_the_next_step_that_has_nothing() {
    let mut bench = Bench::holder(LossAction::Osu);
    bench.wait(ms(50));
    bench.seen = 20;
    let refused = vec![(V, Refusal::NotHolder { holder: None })];
    let effects = bench.say(Reply::Renewed { volumes: vec![], refused, hears: NodeSet::EMPTY });
    assert!(!effects.is_empty() && bench.disk.seen.commit < CommitIndex(20), "{effects:?}");
    bench.step(Input::Tick);
    assert_eq!(bench.disk.seen.commit, CommitIndex(20));
}

#[test]
fn what_leaves_volumes_running_is_on_the_disk_before_it_is_answered() {
    let mut bench = Bench::holder(LossAction::Osu);
    bench.wait(ms(50));
    bench.seen = 20;
    let length = ms(60_000);
    bench.step(Input::Operator { ticket: 7, request: NodeRequest::StopKeepRunning { length } });
    bench.say(Reply::Operator { ticket: 7, answer: OperatorAnswer::Done });
    assert!(bench.run.keeps_running);
    assert_eq!(bench.disk.seen.commit, CommitIndex(20));
}

/// A refused registration says nothing: the witness may not have judged what was seen.
#[test]
fn what_a_witness_says_that_refuses_the_session_is_not_what_was_seen() {
    let mut bench = Bench::standby(LossAction::Osu);
    recorded(&mut bench, 11);
    bench.challenged();
    bench.seen = 5;
    let refusal = Refusal::StaleConfig { ours: ConfigDigest(2), theirs: ConfigDigest(1) };
    bench.say(Reply::Refused { subject: Subject::Session, refusal });
    assert_eq!(registered_with(&bench.challenged()), CommitIndex(11));
}
