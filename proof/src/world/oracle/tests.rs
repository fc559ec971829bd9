//! Each property is seen to be violated by a world in which somebody did by hand what it forbids.

use super::super::event::Order;
use super::super::fault::Fault;
use super::super::net::{Lane, Link};
use super::*;
use picket_core::error::Refusal;
use picket_core::evidence::Proof;
use picket_core::ids::{AttemptId, Epoch, NodeSet, PermitId, RequestId, SessionId};
use picket_core::message::{FenceReason, FromWitness, Reply, Request};
use picket_core::node::LossAction;
use picket_core::time::Duration;
use picket_core::witness::{Input, PermitRecord, Register};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const V1: VolumeId = VolumeId(1);
const WELL_AT: Time = Time(20 * SECOND);

/// Two nodes that freeze at the end of a lease, in service.
fn well() -> World {
    let mut setup = super::super::Setup::simple(2);
    setup.volumes[0].loss_action = LossAction::Freeze;
    let mut world = World::new(setup, 1, false);
    world.run_until(WELL_AT);
    assert!(world.is_well() && world.oracle.violation.is_none());
    world
}

fn holder(world: &World) -> NodeId {
    let serves = |node: &NodeId| world.can_acknowledge(*node, V1);
    [N1, N2].into_iter().find(serves).unwrap()
}

fn other(node: NodeId) -> NodeId {
    if node == N1 { N2 } else { N1 }
}

fn record(world: &World) -> Record {
    world.witness.durable().unwrap().clone()
}

fn violated(world: &World) -> &'static str {
    world.oracle.violation.as_ref().map_or("nothing", |violation| violation.invariant)
}

fn permit(id: u64, fencer: NodeId, boot: BootId) -> PermitRecord {
    PermitRecord {
        id: PermitId(id),
        target_boot: boot,
        fencer,
        attempt: AttemptId(1),
        reason: FenceReason::Operator,
        lives: Duration::from_secs(10),
        keep_off: false,
        asked: None,
    }
}

fn put_permit(record: &mut Record, target: NodeId, permit: PermitRecord) {
    record.nodes.get_mut(&target).unwrap().permit = Some(permit);
}

#[test]
fn who_is_to_be_fenced_gets_no_permit() {
    let mut world = well();
    let target = holder(&world);
    let mut record = record(&world);
    let new = permit(1, other(target), world.machine(target).boot);
    put_permit(&mut record, target, new);
    world.check_permit(&record, target, new);
    assert_eq!(violated(&world), "nothing");
    put_permit(&mut record, other(target), permit(2, target, BootId(1)));
    world.check_permit(&record, target, new);
    assert_eq!(violated(&world), "permit-target");
}

#[test]
fn a_lease_after_anybody_let_it_a_holder_is_in_service_no_more() {
    let mut world = well();
    let node = holder(&world);
    let links = |lane| [Link { lane, from: 1, to: 2 }, Link { lane, from: 2, to: 1 }];
    let cut = [Lane::Peer, Lane::Repl].into_iter().flat_map(links).collect();
    world.begin(&Fault::Cut("cut", cut));
    world.kill_witness("for good");
    let until = world.now + 6 * SECOND;
    world.run_until(until);
    world.check_time();
    assert_eq!(violated(&world), "nothing", "it is frozen by then");
    let replica = world.machine_mut(node).replicas.get_mut(&V1).unwrap();
    assert!(replica.primary().is_some() && replica.is_frozen());
    replica.set_frozen(false);
    world.check_time();
    assert_eq!(violated(&world), "lease-over");
}

#[test]
fn who_counts_as_in_sync_has_every_acknowledged_write() {
    let mut world = well();
    let node = other(holder(&world));
    world.check_in_sync(V1);
    assert_eq!(violated(&world), "nothing");
    world.machine_mut(node).replicas.get_mut(&V1).unwrap().log.clear();
    let mut swapped = world.clone();
    swapped.disk_swapped(node, V1);
    swapped.check_in_sync(V1);
    assert_eq!(violated(&swapped), "nothing");
    world.check_in_sync(V1);
    assert_eq!(violated(&world), "in-sync");
}

/// Of a grant after a lease has ended, with this in-sync set.
fn granted(isr: NodeSet) -> &'static str {
    let mut world = well();
    world.oracle.overridden = true; // the holder serves still, which is not what is looked at
    let (known, was) = (record(&world), record(&world).volumes[&V1].clone());
    let mut now = was.clone();
    now.epoch = Epoch(was.epoch.0 + 1);
    now.attempt = None;
    now.holder.as_mut().unwrap().node = other(was.holder.unwrap().node);
    now.proof = Some(Proof::LeaseExpired);
    now.isr = if isr.is_empty() { NodeSet::only(now.holder.unwrap().node) } else { isr };
    world.check_grant(V1, &was, &now, [&known, &known]);
    violated(&world)
}

#[test]
fn a_takeover_leaves_nobody_in_sync_whom_its_proof_takes_out_and_adds_nobody() {
    assert_eq!(granted(NodeSet::EMPTY), "nothing");
    assert_eq!(granted([N1, N2].into_iter().collect()), "takeover-set");
    assert_eq!(granted([N1, N2, NodeId(3)].into_iter().collect()), "takeover-set");
}

#[test]
fn who_is_to_be_fenced_or_has_failed_or_is_held_off_is_granted_nothing() {
    let world = well();
    let node = other(holder(&world));
    let granted = |revoked: bool, change: fn(&mut picket_core::witness::NodeRecord)| {
        let (mut world, mut record) = (world.clone(), record(&world));
        change(record.nodes.get_mut(&node).unwrap());
        let now = Register { revoked, ..record.volumes[&V1].clone() };
        world.check_barred(V1, node, &now, &record);
        violated(&world)
    };
    let after_all = |change| granted(false, change);
    assert_eq!(after_all(|_| ()), "nothing");
    assert_eq!(after_all(|known| known.permit = Some(permit(1, N1, BootId(1)))), "grant-barred");
    let later = granted(true, |known| known.permit = Some(permit(1, N1, BootId(1))));
    assert_eq!(later, "nothing", "the permit came after the grant and has revoked it");
    assert_eq!(after_all(|known| known.failed = known.boot), "grant-barred");
    assert_eq!(after_all(|known| known.held_off = true), "grant-barred");
}

#[test]
fn a_pause_excuses_the_permits_that_it_met_and_no_later_one() {
    let mut world = well();
    let (target, fencer) = (holder(&world), other(holder(&world)));
    let mut record = record(&world);
    put_permit(&mut record, target, permit(1, fencer, BootId(1)));
    world.witness.disk.replace(Some(record));
    world.fencer_pauses(fencer);
    world.fencer_wakes(fencer);
    assert!(world.is_orphan(target, fencer, Some(PermitId(1))));
    assert!(!world.is_orphan(target, fencer, Some(PermitId(2))));
}

#[test]
fn a_volume_that_nobody_can_be_granted_is_unserved_unless_a_disk_was_swapped() {
    let mut world = well();
    let (node, left) = (holder(&world), other(holder(&world)));
    world.machine_mut(node).replicas.get_mut(&V1).unwrap().demote();
    world.machine_mut(left).replicas.get_mut(&V1).unwrap().complete = false;
    let mut record = record(&world);
    record.volumes.get_mut(&V1).unwrap().isr = NodeSet::only(left);
    world.witness.disk.replace(Some(record));
    assert_eq!(world.unserved(), [V1]);
    world.disk_swapped(left, V1);
    assert_eq!(world.unserved(), []);
}

#[test]
fn data_that_diverged_waits_for_a_person_if_nothing_of_it_was_acknowledged() {
    let mut world = well();
    let node = other(holder(&world));
    let mut record = record(&world);
    record.volumes.get_mut(&V1).unwrap().isr = NodeSet::only(other(node));
    world.witness.disk.replace(Some(record));
    let replica = world.machine_mut(node).replicas.get_mut(&V1).unwrap();
    replica.diverged = true;
    replica.log.push(u64::MAX);
    replica.acknowledged = 0;
    assert!(world.not_redundant().is_empty());
    let replica = world.machine_mut(node).replicas.get_mut(&V1).unwrap();
    replica.acknowledged = replica.log.len();
    assert_eq!(world.not_redundant(), [(V1, NodeSet::only(node))]);
}

/// A device switches off a later boot of the holder, which cannot acknowledge while it waits for the other replica.
#[test]
fn a_later_boot_whose_writes_wait_is_in_service() {
    let mut world = well();
    let (target, fencer) = (holder(&world), other(holder(&world)));
    let mut record = record(&world);
    put_permit(&mut record, target, permit(1, fencer, BootId(1)));
    world.witness.disk.replace(Some(record));
    world.machine_mut(target).replicas.get_mut(&V1).unwrap().link_down(fencer);
    assert!(!world.can_acknowledge(target, V1));
    let order = order(target);
    let at_work = AtWork { order: order.id, permit: Some(PermitId(1)), boot: Some(BootId(1)) };
    world.oracle.agents.insert((target, fencer), at_work);
    world.check_fence_hits(fencer, target, order);
    assert_eq!(violated(&world), "later-boot");
}

/// The store is gone with the permit, which the fencer cannot know. That it promised the target, it knows.
#[test]
fn a_promise_is_kept_also_while_a_store_is_replaced() {
    let mut world = well();
    let (target, fencer) = (holder(&world), other(holder(&world)));
    let mut record = record(&world);
    let its = PermitRecord { lives: Duration::from_secs(60), ..permit(1, fencer, BootId(1)) };
    put_permit(&mut record, target, its);
    world.witness.disk.replace(Some(record));
    world.orphan_permits();
    let order = order(target);
    let at_work = AtWork { order: order.id, permit: Some(PermitId(1)), boot: Some(BootId(1)) };
    world.oracle.agents.insert((target, fencer), at_work);
    world.check_fence_hits(fencer, target, order);
    assert_eq!(violated(&world), "nothing", "it promised nothing yet");
    world.kill_witness("for good");
    let until = world.now + 6 * SECOND;
    world.run_until(until);
    assert!(world.is_orphan(target, fencer, Some(PermitId(1))));
    assert_eq!(violated(&world), "nothing");
    world.check_fence_hits(fencer, target, order);
    assert_eq!(violated(&world), "promise-kept");
}

fn order(target: NodeId) -> Order {
    Order {
        id: OrderId(1),
        target,
        level: 1,
        device: 0,
        action: picket_core::topology::PowerAction::Off,
        delay: Duration::ZERO,
        timeout: Duration::from_secs(1),
        start_before: picket_core::time::Instant::NEVER,
    }
}

/// The daemon holds the grant, and its replica is no Primary yet.
#[test]
fn a_refusal_that_is_heard_during_a_promotion_is_remembered() {
    let mut world = well();
    let node = holder(&world);
    let epoch = world.machine_mut(node).replicas.get_mut(&V1).unwrap().primary.take();
    let body = Reply::Renewed {
        volumes: Vec::new(),
        refused: vec![(V1, Refusal::NotMember)],
        hears: NodeSet::EMPTY,
    };
    let seen = picket_core::message::Seen { store: record(&world).store, commit: record(&world).commit };
    let message = FromWitness { session: SessionId(1), processed: RequestId(1), seen, body };
    world.note_refusal(node, &message);
    assert_eq!(world.oracle.refused.get(&(node, V1)).map(|refused| refused.0), epoch);
    world.machine_mut(node).replicas.get_mut(&V1).unwrap().primary = epoch;
    world.now = world.now + 10 * SECOND;
    // Without a watchdog nothing ends it while the daemon waits for its disk.
    let (now, mut waits) = (world.now, world.clone());
    let machine = waits.machine_mut(node);
    (machine.watchdog, machine.daemon_hindered_at) = (None, now);
    waits.check_refused();
    assert_eq!(violated(&waits), "nothing");
    world.check_refused();
    assert_eq!(violated(&world), "refused-final");
}

#[test]
fn no_request_is_repeated_without_a_rest() {
    let mut world = well();
    for _ in 0..1000 {
        world.check_pace(
            N1,
            &Request::Operator {
                ticket: 1,
                request: picket_core::message::OperatorRequest::Adopt { source: None },
            },
        );
    }
    let (boot, signature) = (picket_core::ids::BootId(1), Vec::new());
    let release = picket_core::message::SignedRelease {
        volume: V1,
        epoch: picket_core::ids::Epoch(1),
        boot,
        signature,
    };
    let relayed = Request::RelayRelease { holder: N1, release };
    (0..1000).for_each(|_| world.check_pace(N1, &relayed));
    assert_eq!(violated(&world), "nothing");
    for _ in 0..100 {
        world.check_pace(N1, &Request::Withdraw { attempt: AttemptId(1) });
    }
    assert_eq!(violated(&world), "pace");
}

#[test]
fn no_volume_vanishes_from_a_record() {
    let mut world = well();
    let mut witness = world.clone();
    let before = witness.oracle.record.as_mut().unwrap();
    let register = before.volumes[&V1].clone();
    before.volumes.insert(VolumeId(9), register);
    before.commit.0 -= 1;
    witness.check_step(&Spoken::of(&Input::Tick));
    assert_eq!(violated(&witness), "epochs-grow");
    world.oracle.durable_epochs.insert((N1, VolumeId(9)), Epoch(1));
    world.check_durable(N1);
    assert_eq!(violated(&world), "epochs-grow");
}
