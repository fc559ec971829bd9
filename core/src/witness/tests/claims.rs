//! What the reports of all members about one volume come to: a table of claims, and the verdict that each must give.

use super::bench::{A, B, Bench, C, DATA, STORE, V, boot, report, set};
use crate::evidence::{Generation, Proof};
use crate::ids::{AttemptId, CommitIndex, Epoch, GenerationId, IsrVersion, NodeId, NodeSet};
use crate::message::{Holder, OperatorRequest, Override, ReplicaReport};
use crate::params::EPOCH_JUMP;
use crate::witness::{Alarm, Record, Register, SCHEMA, Witness};

const OTHER: GenerationId = GenerationId(0x0123);

/// A witness that recovers with this register, and members that report this; who is not named knows nothing of the
/// volume. An operator then names a source, if there is one.
fn recovered(own: &Register, reports: &[(NodeId, ReplicaReport)], source: Option<NodeId>) -> Bench {
    let mut bench = Bench::empty(&[A, B, C], &[V]);
    let record = Record {
        schema: SCHEMA,
        store: STORE,
        commit: CommitIndex(5),
        recovery: true,
        volumes: [(V, own.clone())].into(),
        ..Record::default()
    };
    bench.witness = Witness::new(bench.config.clone(), Some(record), STORE, bench.now);
    for node in [A, B, C] {
        let replicas = &mut bench.nodes.get_mut(&node).unwrap().replicas;
        replicas.clear();
        replicas
            .extend(reports.iter().filter(|(from, _)| *from == node).map(|(_, report)| (V, report.clone())));
        bench.register(node);
    }
    if source.is_some() {
        bench.operator(OperatorRequest::Adopt { source });
    }
    bench
}

/// The register that it came to, or whose claims contradict each other.
fn verdict(
    own: &Register,
    reports: &[(NodeId, ReplicaReport)],
    source: Option<NodeId>,
) -> Result<Register, NodeSet> {
    let bench = recovered(own, reports, source);
    if bench.witness.recovering().is_none() {
        return Ok(bench.witness.record().volumes[&V].clone());
    }
    let claims = bench.alarms.iter().find_map(|alarm| match alarm {
        Alarm::Contradiction { volume: V, claims } => Some(*claims),
        _ => None,
    });
    Err(claims.expect("what does not come to an end is told"))
}

/// Who holds the volume then, and the in-sync set.
fn outcome(
    own: &Register,
    reports: &[(NodeId, ReplicaReport)],
    source: Option<NodeId>,
) -> Result<(Option<NodeId>, NodeSet), NodeSet> {
    verdict(own, reports, source).map(|register| (register.holder.map(|holder| holder.node), register.isr))
}

/// A report of a volume with history: this version of this set, after this epoch.
fn knows(epoch: u64, version: u64, isr: &[NodeId]) -> ReplicaReport {
    let (max_epoch, isr_version) = (Epoch(epoch), IsrVersion(version));
    ReplicaReport { max_epoch, isr_version, isr: set(isr), recorded: DATA, ..report(V) }
}

fn holds(epoch: u64, version: u64, isr: &[NodeId]) -> ReplicaReport {
    ReplicaReport { held: Some(Epoch(epoch)), ..knows(epoch, version, isr) }
}

/// A node that was activated without a witness.
fn overrides(node: NodeId, epoch: u64, version: u64) -> ReplicaReport {
    let (isr, isr_version) = (set(&[node]), IsrVersion(version));
    let claim = Override { volume: V, epoch: Epoch(epoch), isr, isr_version };
    ReplicaReport { overridden: Some(claim), ..holds(epoch, version, &[node]) }
}

/// The same replica, whose data has become another.
fn with_data(report: ReplicaReport, current: GenerationId, history: &[GenerationId]) -> ReplicaReport {
    ReplicaReport { generation: Generation { current, history: history.to_vec() }, ..report }
}

fn incomplete(report: ReplicaReport) -> ReplicaReport {
    ReplicaReport { complete: false, ..report }
}

/// What the store has recorded.
fn recorded(epoch: u64, holder: Option<NodeId>, version: u64, isr: &[NodeId]) -> Register {
    Register {
        epoch: Epoch(epoch),
        holder: holder.map(|node| Holder { node, boot: boot(node, 1) }),
        isr: set(isr),
        isr_version: IsrVersion(version),
        generation: DATA,
        ..Register::default()
    }
}

fn blank() -> Register {
    Register::default()
}

#[test]
fn whoever_has_any_trace_of_a_history_is_no_new_volume() {
    let claim = Override { volume: V, epoch: Epoch(0), isr: set(&[]), isr_version: IsrVersion(0) };
    let traces = [
        ReplicaReport { max_epoch: Epoch(1), ..report(V) },
        ReplicaReport { isr_version: IsrVersion(1), ..report(V) },
        ReplicaReport { held: Some(Epoch(0)), ..report(V) },
        ReplicaReport { overridden: Some(claim), ..report(V) },
    ];
    for trace in traces {
        let reports = [(A, report(V)), (B, trace.clone()), (C, report(V))];
        assert!(outcome(&blank(), &reports, None).is_err(), "not the first set of a new volume: {trace:?}");
    }
    let reports = [(A, report(V)), (B, report(V)), (C, report(V))];
    assert_eq!(outcome(&blank(), &reports, None), Ok((None, set(&[A, B, C]))), "nobody knows anything");
    let own = recorded(1, None, 1, &[A]);
    assert_eq!(outcome(&own, &reports, None), Ok((None, set(&[A]))), "the own record is a history too");
}

#[test]
fn the_first_set_is_of_one_data_that_is_complete() {
    let other = || with_data(report(V), OTHER, &[]);
    let part = || incomplete(other());
    let all = Err(set(&[A, B, C]));
    assert_eq!(outcome(&blank(), &[(A, report(V)), (B, other())], None), all, "two data");
    assert_eq!(
        outcome(&blank(), &[(A, incomplete(report(V))), (B, part())], None),
        all,
        "nobody has everything"
    );
    assert_eq!(outcome(&blank(), &[(A, report(V)), (B, part())], None), Ok((None, set(&[A]))));
    let two = [(A, report(V)), (B, other()), (C, other())];
    assert_eq!(outcome(&blank(), &two, Some(B)), Ok((None, set(&[B, C]))), "an operator chose that data");
    let two = [(A, report(V)), (B, other()), (C, part())];
    assert_eq!(outcome(&blank(), &two, Some(C)), all, "and cannot choose what is incomplete");
    assert_eq!(outcome(&blank(), &two, Some(B)), Ok((None, set(&[B]))));
}

#[test]
fn the_holder_with_the_newest_epoch_goes_on() {
    let both = [A, B];
    let newest = [(A, holds(9, 7, &both)), (B, knows(9, 7, &both))];
    assert_eq!(outcome(&blank(), &newest, None), Ok((Some(A), set(&both))));
    let stale = [(A, holds(8, 7, &both)), (B, knows(9, 7, &both))];
    assert_eq!(outcome(&blank(), &stale, None), Ok((None, set(&both))), "a newer grant was seen");
    let twice = [(A, holds(9, 7, &both)), (B, holds(9, 7, &both)), (C, knows(9, 7, &both))];
    assert_eq!(outcome(&blank(), &twice, None), Err(set(&both)), "one epoch has one holder");
    let unsaid = ReplicaReport { held: Some(Epoch(12)), ..knows(9, 7, &both) };
    let reports = [(A, unsaid), (B, knows(9, 7, &both))];
    let register = verdict(&blank(), &reports, None).unwrap();
    assert_eq!(
        (register.epoch, register.floor),
        (Epoch(12), Epoch(12 + EPOCH_JUMP)),
        "what is held was seen"
    );
    let outside = [(A, holds(9, 7, &[B])), (B, knows(9, 7, &[B]))];
    assert_eq!(outcome(&blank(), &outside, None), Err(set(&[A])), "a holder is in its own set");
}

#[test]
fn a_silent_holder_of_the_own_record_stays() {
    let both = [A, B];
    let own = recorded(9, Some(A), 7, &both);
    assert_eq!(outcome(&own, &[(B, knows(9, 7, &both))], None), Ok((Some(A), set(&both))));
    assert_eq!(
        outcome(&own, &[(B, knows(10, 7, &both))], None),
        Ok((None, set(&both))),
        "somebody was granted it after that one"
    );
    let reports = [(B, holds(9, 7, &both))];
    assert_eq!(outcome(&own, &reports, None), Err(set(&both)), "another says that it holds the same grant");
    let reports = [(A, knows(9, 7, &both)), (B, knows(9, 7, &both))];
    assert_eq!(outcome(&own, &reports, None), Ok((None, set(&both))), "it says itself that it does not");
    let reports = [(B, knows(9, 8, &[B]))];
    assert_eq!(outcome(&own, &reports, None), Err(set(&[A])), "it is not in the newest set");
}

#[test]
fn what_stands_beside_the_holder_lasts_as_long_as_its_grant() {
    let both = [A, B];
    let proof = Some(Proof::Released);
    let attempt = Some(AttemptId(4));
    let base = recorded(9, Some(A), 7, &both);
    let own = Register { revoked: true, overridden: true, attempt, proof, successor: Some(B), ..base };
    let after = |reports: &[(NodeId, ReplicaReport)]| {
        let register = verdict(&own, reports, None).unwrap();
        assert_eq!(register.successor, None, "no handover outlives a recovery");
        (register.revoked, register.attempt, register.proof)
    };
    let kept = (true, attempt, proof);
    assert_eq!(after(&[(A, holds(9, 7, &both)), (B, knows(9, 7, &both))]), kept);
    assert_eq!(after(&[(B, knows(9, 7, &both))]), kept, "silent, and by the record");
    assert_eq!(
        after(&[(A, holds(10, 7, &both)), (B, knows(9, 7, &both))]),
        (false, None, None),
        "a later grant"
    );
    assert_eq!(after(&[(A, knows(9, 7, &both)), (B, knows(9, 7, &both))]), (false, None, None), "it is over");
}

#[test]
fn time_by_hand_is_the_holders_word_or_else_the_records() {
    let both = [A, B];
    let own = |overridden| Register { overridden, ..recorded(9, Some(A), 7, &both) };
    let by_hand =
        |own: &Register, reports: &[(NodeId, ReplicaReport)]| verdict(own, reports, None).unwrap().overridden;
    let silent = [(B, knows(9, 7, &both))];
    assert!(by_hand(&own(true), &silent), "nobody says that its time is over");
    assert!(!by_hand(&own(false), &silent));
    let says = [(A, holds(9, 7, &both)), (B, knows(9, 7, &both))];
    assert!(!by_hand(&own(true), &says), "it counts a lease now");
    let says = [(A, overrides(A, 9, 8)), (B, knows(9, 7, &both))];
    assert!(by_hand(&own(false), &says));
    let free = [(A, knows(9, 7, &both)), (B, knows(9, 7, &both))];
    assert!(!by_hand(&own(true), &free), "without a holder there is nothing to wait for");
}

#[test]
fn the_newest_set_wins_and_equals_are_cut() {
    let (both, all) = ([A, B], [A, B, C]);
    let newer = [(A, knows(9, 7, &all)), (B, knows(9, 8, &both)), (C, knows(9, 7, &all))];
    assert_eq!(
        outcome(&recorded(9, None, 7, &all), &newer, None),
        Ok((None, set(&both))),
        "B's is the newest"
    );
    let older = [(A, knows(9, 5, &all)), (B, knows(9, 5, &all))];
    assert_eq!(outcome(&recorded(9, None, 7, &both), &older, None), Ok((None, set(&both))), "the own one is");
    let equal = [(A, knows(9, 7, &both)), (B, knows(9, 7, &[B, C]))];
    assert_eq!(outcome(&recorded(9, None, 7, &all), &equal, None), Ok((None, set(&[B]))), "all have B");
    let nobody = [(A, knows(9, 7, &[A])), (B, knows(9, 7, &[B]))];
    assert_eq!(
        outcome(&blank(), &nobody, None),
        Err(set(&[])),
        "no replica is in all of them, and none is held"
    );
    let stale = [(A, ReplicaReport { held: Some(Epoch(8)), ..knows(9, 7, &[A]) }), (B, knows(9, 7, &[B]))];
    assert_eq!(outcome(&blank(), &stale, None), Err(set(&[A])), "who says that it holds it is named");
    let other = ReplicaReport { recorded: OTHER, ..knows(9, 7, &both) };
    let reports = [(A, knows(9, 7, &both)), (B, other.clone()), (C, knows(9, 6, &both))];
    assert_eq!(outcome(&blank(), &reports, None), Err(set(&both)), "one version has one data");
    let own = recorded(9, None, 7, &both);
    assert_eq!(outcome(&own, &[(B, other)], None), Err(set(&[B])), "the own record's too");
    let register = verdict(&blank(), &newer, None).unwrap();
    assert_eq!(
        register.isr_version,
        IsrVersion(8 + EPOCH_JUMP),
        "beyond all that a lost history can have used"
    );
    let own = Register { floor: Epoch(500), ..recorded(9, None, 7, &both) };
    let register = verdict(&own, &older, None).unwrap();
    assert_eq!((register.epoch, register.floor), (Epoch(10), Epoch(500 + EPOCH_JUMP)), "no release of 9");
}

#[test]
fn an_override_stands_alone_or_is_for_a_person() {
    let both = [A, B];
    let own = blank();
    let late = 9 + EPOCH_JUMP;
    let claim = || overrides(B, late, 70);
    let held_by_b = Ok((Some(B), set(&[B])));
    assert_eq!(outcome(&own, &[(A, knows(9, 7, &both)), (B, claim())], None), held_by_b);
    let twice = [(A, overrides(A, late, 70)), (B, claim())];
    assert_eq!(outcome(&own, &twice, None), Err(set(&both)), "two of them");
    let twice = [(A, ReplicaReport { held: None, ..overrides(A, late, 70) }), (B, claim())];
    assert_eq!(outcome(&own, &twice, None), Err(set(&both)), "even if one has ended");
    let newer = [(A, knows(9, 71, &both)), (B, claim())];
    assert_eq!(outcome(&own, &newer, None), Err(set(&[B])), "a newer set is known");
    let holder = [(A, holds(late + 1, 7, &both)), (B, claim())];
    assert_eq!(outcome(&own, &holder, None), Err(set(&both)), "another holds it");
    let stale = [(A, holds(9, 7, &both)), (B, claim())];
    assert_eq!(outcome(&own, &stale, None), Err(set(&both)), "or says so, with an older grant");
    let silent = recorded(late, Some(A), 7, &both);
    let ended = ReplicaReport { held: None, ..claim() };
    assert_eq!(outcome(&silent, &[(B, ended.clone())], None), Err(set(&both)), "or holds it by the record");
    let ends = [(A, knows(9, 7, &both)), (B, ended)];
    assert_eq!(outcome(&own, &ends, None), Ok((None, set(&[B]))), "its writes count when it has ended, too");
}

#[test]
fn an_override_stands_where_no_data_has_gone_its_own_way() {
    let both = [A, B];
    let late = 9 + EPOCH_JUMP;
    let claim = || with_data(overrides(B, late, 70), GenerationId(77), &[DATA]);
    let beside = |other: ReplicaReport| outcome(&blank(), &[(A, other), (B, claim())], None);
    let old = || knows(9, 7, &both);
    assert!(beside(old()).is_ok(), "its data descends from the other's");
    let newer = with_data(old(), GenerationId(78), &[GenerationId(77), DATA]);
    assert!(beside(newer).is_ok(), "the other's descends from its data");
    let own_way = || with_data(old(), GenerationId(5), &[DATA]);
    assert_eq!(beside(own_way()), Err(set(&both)), "neither does");
    assert!(beside(incomplete(own_way())).is_ok(), "half a copy is nobody's data");
}

#[test]
fn an_operator_names_whose_data_counts_but_not_against_a_holder() {
    let own = recorded(9, None, 7, &[A, B, C]);
    // Each says that it alone has everything.
    let (of_a, of_b) = (|| knows(9, 7, &[A]), || knows(9, 7, &[B]));
    let held = |epoch, report| ReplicaReport { held: Some(Epoch(epoch)), ..report };
    let between = |a, b, source| outcome(&own, &[(A, a), (B, b)], source);
    assert_eq!(between(of_a(), of_b(), None), Err(set(&[])), "a person has to say");
    let source = Some(B);
    assert_eq!(between(of_a(), of_b(), source), Ok((None, set(&[B]))));
    assert_eq!(between(of_a(), held(9, of_b()), source), Ok((Some(B), set(&[B]))), "B holds it itself");
    assert_eq!(between(held(9, of_a()), of_b(), source), Err(set(&[A, B])), "A holds it");
    assert_eq!(between(held(8, of_a()), of_b(), source), Err(set(&[A, B])), "A says so, with an older grant");
    assert_eq!(between(of_a(), incomplete(of_b()), source), Err(set(&[B])), "B lacks something");
    assert_eq!(between(of_a(), of_b(), Some(C)), Err(set(&[C])), "C has nothing");
    let ended = ReplicaReport { held: None, ..overrides(A, 9, 7) };
    assert_eq!(between(ended.clone(), knows(9, 8, &[B]), None), Err(set(&[A])), "B knows a newer set");
    assert_eq!(between(ended, knows(9, 8, &[B]), source), Ok((None, set(&[B]))), "and its data is to count");
    let own = recorded(9, Some(C), 7, &[A, B, C]);
    let reports = [(A, of_a()), (B, of_b())];
    assert_eq!(outcome(&own, &reports, source), Err(set(&[B])), "C holds it by the record, and is silent");
}

#[test]
fn between_two_overrides_that_have_ended_an_operator_names_whose_data_counts() {
    let both = [A, B];
    let late = 9 + EPOCH_JUMP;
    let ended = |node| ReplicaReport { held: None, ..overrides(node, late, 70) };
    let named = |a, b| outcome(&blank(), &[(A, a), (B, b)], Some(B));
    assert_eq!(named(ended(A), ended(B)), Ok((None, set(&[B]))), "the others' data is not in sync any more");
    assert_eq!(named(ended(A), overrides(B, late, 70)), Ok((Some(B), set(&[B]))), "B still runs on its own");
    assert_eq!(named(overrides(A, late, 70), ended(B)), Err(set(&both)), "A does");
    assert_eq!(named(overrides(A, late, 70), overrides(B, late, 70)), Err(set(&both)), "both do");
    let register = verdict(&blank(), &[(A, ended(A)), (B, ended(B))], Some(B)).unwrap();
    assert!(
        register.isr_version > IsrVersion(70) && register.floor > Epoch(late),
        "A's claim is an old one now"
    );
}
