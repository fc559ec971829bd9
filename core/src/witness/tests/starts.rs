//! What a start of the witness makes of its record: every time counts as fresh, for its full length.

use super::bench::{A, B, Bench, C, STORE, V, config, ms, params, permit, report, set};
use crate::ids::{Epoch, IsrVersion, StoreId};
use crate::message::Override;
use crate::params::FENCE_LOOP_WINDOW;
use crate::time::{Instant, Instants};
use crate::witness::clock::Clock;
use crate::witness::record::{Asked, PermitRecord};
use crate::witness::{Register, SCHEMA, Witness, recovery, session};
use alloc::vec;

#[test]
fn a_new_store_has_no_history() {
    let witness = Witness::new(config(&[A, B], &[V]), None, STORE, Instant::BOOT);
    let record = witness.record();
    assert_eq!((record.schema, record.store, record.recovery), (SCHEMA, STORE, true));
    assert!(witness.unsaved, "it is not on the disk yet");
}

#[test]
fn a_record_that_is_whole_need_not_be_written_again() {
    let bench = Bench::held(&[A, B], &[V]);
    let now = bench.now;
    let stored = bench.disk.clone();
    assert!(!Witness::new(bench.config.clone(), stored.clone(), STORE, now).unsaved);
    let other = Witness::new(bench.config.clone(), stored.clone(), StoreId(0x99), now);
    assert!(other.unsaved && other.record().recovery, "the history of another store");
    assert_eq!(other.record().absorbed.get(&STORE), stored.map(|record| record.commit).as_ref());
}

#[test]
fn every_time_begins_anew() {
    let mut bench = Bench::held(&[A, B, C], &[V]);
    let mut record = bench.disk.clone().unwrap();
    let long = params().lease_and_guard() + ms(1000);
    record.lease_and_guard = long;
    record.volumes.get_mut(&V).unwrap().successor = Some(B);
    record.nodes.get_mut(&A).unwrap().permit = Some(permit());
    record.nodes.get_mut(&A).unwrap().maintenance = Some(ms(9000));
    record.nodes.get_mut(&A).unwrap().fences = 2;
    record.nodes.get_mut(&B).unwrap().permit =
        Some(PermitRecord { asked: Some(Asked { challenge: 1, confirmed: false }), ..permit() });
    record.nodes.get_mut(&C).unwrap().permit =
        Some(PermitRecord { asked: Some(Asked { challenge: 1, confirmed: true }), ..permit() });
    bench.disk = Some(record.clone());
    bench.restart();
    let (now, timers) = (bench.now, &bench.witness.timers);
    assert_eq!(timers.leases, [(V, now + long)].into());
    assert_eq!(timers.longer_leases_until, Some(now + long));
    assert_eq!(timers.successors, [(V, now + params().suspect_after())].into());
    assert_eq!(timers.permits, [(A, now + ms(7000))].into(), "one that waits for a person ends by no timer");
    assert_eq!(timers.confirmations, [(C, now + bench.config.attestation_wait() + ms(1000))].into());
    assert_eq!(timers.maintenance, [(A, now + ms(9000))].into());
    assert_eq!(timers.fences, [(A, vec![now + FENCE_LOOP_WINDOW; 2])].into());
    assert!(timers.blind_until.is_some_and(|until| until > now + long), "nobody can have been missed before");
    // As many as decide, however many there were.
    record.nodes.get_mut(&A).unwrap().fences = 40;
    record.lease_and_guard = params().lease_and_guard();
    bench.disk = Some(record);
    bench.restart();
    let timers = &bench.witness.timers;
    assert_eq!(timers.fences[&A].len(), crate::params::FENCE_LOOP_LIMIT + 1);
    assert_eq!(timers.longer_leases_until, None);
}

#[test]
fn a_register_is_blank_until_anything_is_recorded() {
    assert!(Register::default().is_blank());
    for register in [
        Register { epoch: Epoch(1), ..Register::default() },
        Register { floor: Epoch(1), ..Register::default() },
        Register { isr_version: IsrVersion(1), ..Register::default() },
        Register { isr: set(&[A]), ..Register::default() },
    ] {
        assert!(!register.is_blank(), "{register:?}");
    }
}

#[test]
fn a_report_of_something_newer_is_seen() {
    let bench = Bench::held(&[A, B], &[V]);
    let (epoch, version) = (bench.epoch(V), bench.witness.record().volumes[&V].isr_version);
    let same = crate::message::ReplicaReport {
        max_epoch: epoch,
        held: Some(epoch),
        isr_version: version,
        ..report(V)
    };
    let claim = |epoch| Override { volume: V, epoch, isr: set(&[A]), isr_version: version };
    let next = Epoch(epoch.0 + 1);
    let known = crate::message::ReplicaReport { overridden: Some(claim(epoch)), ..same.clone() };
    assert!(!recovery::knows_more(&bench.witness, &[same.clone(), known]));
    for newer in [
        crate::message::ReplicaReport { max_epoch: next, ..same.clone() },
        crate::message::ReplicaReport { held: Some(next), ..same.clone() },
        crate::message::ReplicaReport { isr_version: IsrVersion(version.0 + 1), ..same.clone() },
        crate::message::ReplicaReport { overridden: Some(claim(next)), ..same.clone() },
    ] {
        assert!(recovery::knows_more(&bench.witness, &[same.clone(), newer.clone()]), "{newer:?}");
    }
}

#[test]
fn a_session_ends_with_its_connection_alone() {
    let mut bench = Bench::up(&[A, B], &[V]);
    let ended = bench.nodes[&A].session;
    session::disconnected(&mut bench.witness, ended);
    assert!(!bench.witness.sessions.contains_key(&A) && bench.witness.sessions.contains_key(&B));
}

/// Everything in a state that is an instant is shown to a checker: otherwise it takes states for the same that are not.
#[test]
fn all_instants_of_a_state_are_shown() {
    fn shown(what: &mut impl Instants) -> usize {
        let mut count = 0;
        what.instants(&mut |_| count += 1);
        count
    }
    let mut bench = Bench::held(&[A, B], &[V]);
    let session = bench.witness.sessions.get_mut(&A).unwrap();
    assert!(shown(session) >= 1, "its beat");
    assert_eq!(shown(&mut bench.witness.timers), 3, "a lease, and two nodes that are heard");
    assert_eq!(bench.witness.deadline(), bench.witness.timers.next());
    let mut clock = None;
    Clock::read(&mut clock, bench.now, bench.now.elapsed(), ms(100));
    assert_eq!(shown(&mut clock), 2, "its window and its best reading");
}
