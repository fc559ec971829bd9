use super::super::explore::settled;
use super::super::families::Family;
use super::super::faults::Fault;
use super::super::setup::Setup;
use super::*;
use picket_core::time::Duration;

const N1: NodeId = NodeId(1);

/// A cluster of which one node has an agent at work on the first.
fn with_an_agent_at_work() -> World {
    let slow = Setup { agent: Duration::from_millis(60), slow_agents: true, ..Setup::new(3) };
    let mut world = settled(&Family::new("two permits", slow));
    Fault::Crash(N1).inject(&mut world);
    let until = world.now + Duration::from_millis(60);
    world.run_until(until);
    assert_eq!(world.violations, Vec::<String>::new());
    assert!(world.hosts.values().any(|host| host.agents.iter().any(is_under_way)), "an agent is at work");
    world
}

#[test]
fn a_permit_beside_the_one_that_an_agent_acts_under_is_noticed() {
    let mut world = with_an_agent_at_work();
    assert_eq!(two_live_permits(&world), None);
    let known = world.record.as_mut().and_then(|record| record.nodes.get_mut(&N1)).expect("node 1 is known");
    let permit = known.permit.as_mut().expect("a permit lives");
    permit.id = PermitId(permit.id.0 + 1);
    let text = two_live_permits(&world).expect("a second permit lives");
    assert!(text.contains("for node 1 live at once"), "{text}");
}

/// Whoever got a permit first may become a target himself; a target gets none.
#[test]
fn a_permit_for_a_node_that_is_to_be_fenced_is_noticed() {
    let world = with_an_agent_at_work();
    let mut record = world.record.clone().expect("a record");
    let live = live_permit(&world, N1).expect("a permit lives");
    let other = NodeId(if live.fencer == NodeId(2) { 3 } else { 2 });
    let over = |id: u64, fencer| PermitRecord { id: PermitId(id), fencer, ..live };
    record.nodes.get_mut(&other).expect("a member").permit = Some(over(live.id.0 + 1, N1));
    let text = a_target_may_fence(&record, other, over(live.id.0 + 1, N1)).expect("node 1 is a target");
    assert!(text.contains("node 1 may fence"), "{text}");
    let back = over(live.id.0 + 1, other);
    assert!(a_target_may_fence(&record, live.fencer, back).is_none(), "nobody is to fence it yet");
}

#[test]
fn a_permit_that_its_node_and_its_agent_know_by_other_names_is_noticed() {
    let mut world = with_an_agent_at_work();
    world.record.as_mut().and_then(|record| record.nodes.get_mut(&N1)).expect("node 1 is known").permit =
        None;
    assert_eq!(two_live_permits(&world), None, "one permit, over at the witness");
    let agents = world.hosts.values_mut().flat_map(|host| &mut host.agents);
    agents.for_each(|agent| agent.permit = agent.permit.map(|(id, boot)| (PermitId(id.0 + 7), boot)));
    assert!(two_live_permits(&world).is_some());
}
