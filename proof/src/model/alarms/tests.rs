use super::super::setup::Setup;
use super::*;
use picket_core::ids::{NodeSet, VolumeId};
use picket_core::node::Effect;

const N1: NodeId = NodeId(1);
const V1: VolumeId = VolumeId(1);

#[test]
fn a_node_that_raises_an_alarm_is_noticed_unless_an_operator_overrode() {
    let alarm = || Effect::Event(Event::Alarm("volume 1 became active without a grant".into()));
    let mut world = World::new(Setup::new(2));
    world.effect(N1, alarm());
    assert_eq!(world.violations.len(), 1, "{:?}", world.violations);
    let mut world = World::new(Setup::new(2));
    world.watch.overridden = true;
    world.effect(N1, alarm());
    assert_eq!(world.violations, Vec::<String>::new());
}

#[test]
fn a_witness_that_sees_its_own_rules_broken_is_noticed() {
    let mut world = World::new(Setup::new(2));
    of_witness(&mut world, &Alarm::Contradiction { volume: V1, claims: NodeSet::only(N1) });
    assert_eq!(world.violations, Vec::<String>::new(), "a person may have brought that about");
    of_witness(&mut world, &Alarm::Broken { invariant: "an epoch has one holder", volume: V1 });
    assert!(world.violations[0].contains("an epoch has one holder"), "{:?}", world.violations);
}
