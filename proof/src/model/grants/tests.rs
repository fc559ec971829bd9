use super::super::explore::settled;
use super::super::families::Family;
use super::super::faults::Fault;
use super::super::setup::Setup;
use super::*;
use picket_core::evidence::Proof;
use picket_core::ids::{AttemptId, NodeSet, PermitId};
use picket_core::message::FenceReason;
use picket_core::time::Duration;
use picket_core::witness::{NodeRecord, PermitRecord};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);
const V1: VolumeId = VolumeId(1);

/// A cluster at rest, its record, and that record after a takeover by node 2 that is as it has to be.
fn taken_over() -> (World, Record, Record) {
    let world = settled(&Family::new("a takeover", Setup::new(3)));
    let before = world.record.clone().expect("a record");
    let mut after = before.clone();
    let boot = after.nodes[&N2].boot.expect("node 2 has registered");
    let register = after.volumes.get_mut(&V1).expect("a register");
    register.epoch.0 += 1;
    register.holder = Some(Holder { node: N2, boot });
    register.proof = Some(Proof::LeaseExpired);
    register.isr = register.isr.without(N1);
    assert_eq!(changed(&world, &before, &after), None);
    (world, before, after)
}

fn register(record: &mut Record) -> &mut Register {
    record.volumes.get_mut(&V1).expect("a register")
}

fn node(record: &mut Record, id: NodeId) -> &mut NodeRecord {
    record.nodes.get_mut(&id).expect("a member")
}

fn permit(id: u64, record: &Record, target: NodeId, fencer: NodeId) -> PermitRecord {
    PermitRecord {
        id: PermitId(id),
        target_boot: record.nodes[&target].boot.expect("it has registered"),
        fencer,
        attempt: AttemptId::default(),
        reason: FenceReason::Operator,
        lives: Duration::from_millis(50),
        keep_off: false,
        asked: None,
    }
}

#[test]
fn a_takeover_takes_out_the_old_holder_and_nobody_else() {
    let (world, before, after) = taken_over();
    for (set, what) in
        [([N1, N2, N3].into_iter().collect(), "keeps nodes"), (NodeSet::only(N2), "strips nodes")]
    {
        let mut after = after.clone();
        register(&mut after).isr = set;
        let text = changed(&world, &before, &after).expect("a wrong set");
        assert!(text.contains(what), "{text}");
    }
    let mut before = before;
    register(&mut before).isr = [N1, N2].into_iter().collect();
    let text = changed(&world, &before, &after).expect("a set with one more");
    assert!(text.contains("puts in nodes"), "{text}");
}

#[test]
fn a_release_takes_nobody_out() {
    let (world, before, mut after) = taken_over();
    register(&mut after).proof = Some(Proof::Released);
    assert!(changed(&world, &before, &after).is_some_and(|text| text.contains("strips nodes")));
}

#[test]
fn who_is_to_be_fenced_or_has_failed_or_is_held_off_gets_nothing() {
    let (world, before, after) = taken_over();
    let wrong = |change: &dyn Fn(&mut Record), why: &str| {
        let mut after = after.clone();
        change(&mut after);
        let text = changed(&world, &before, &after).expect("a wrong holder");
        assert!(text.contains(why), "{text}");
    };
    wrong(&|it| node(it, N2).permit = Some(permit(1, it, N2, N3)), "is to be fenced");
    wrong(&|it| node(it, N2).failed = it.nodes[&N2].boot, "has declared itself failed");
    wrong(&|it| node(it, N2).held_off = true, "is held off");
    let mut revoked = after;
    node(&mut revoked, N2).permit = Some(permit(1, &before, N2, N3));
    register(&mut revoked).revoked = true;
    assert_eq!(changed(&world, &before, &revoked), None, "the permit came after the grant");
}

#[test]
fn whoever_counts_as_in_sync_has_the_data() {
    let (mut world, before, after) = taken_over();
    world.replica_mut(N3, V1).expect("a replica").log.pop();
    let text = changed(&world, &before, &after).expect("node 3 has less");
    assert!(text.contains("node 3 counts as in sync"), "{text}");
    let mut smaller = after.clone();
    register(&mut smaller).isr = NodeSet::only(N2);
    register(&mut smaller).epoch = before.volumes[&V1].epoch;
    assert_eq!(changed(&world, &before, &smaller), None, "it is not in the set");
    Fault::BackUpWitness.inject(&mut world);
    Fault::RollBackWitness.inject(&mut world);
    assert_eq!(changed(&world, &before, &after), None, "what was put back is old");
}
