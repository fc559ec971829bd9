use super::super::explore::settled;
use super::super::families::Family;
use super::super::setup::BARE;
use super::*;
use picket_core::ids::NodeSet;
use picket_core::message::Holder;

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const V1: VolumeId = VolumeId(1);

#[test]
fn only_a_volume_that_waits_for_the_person_is_left_to_his_answer() {
    let asked = Setup { devices: Devices::Meatware, self_fence: BARE, ..Setup::new(2) };
    let mut world = settled(&Family::new("a person is asked", asked));
    Fault::Crash(N1).inject(&mut world);
    let until = world.now + Duration::from_millis(120);
    world.run_until(until);
    assert!(world.challenge(N1).is_some(), "a person is asked about node 1");
    assert_eq!(inactive(&world), Some(V1));
    assert!(waits_for_a_person(&world));
    let boot = world.hosts.get(&N2).expect("node 2").boot();
    let register = world.record.as_mut().and_then(|record| record.volumes.get_mut(&V1)).expect("a register");
    register.holder = Some(Holder { node: N2, boot });
    register.isr = NodeSet::only(N2);
    assert!(!waits_for_a_person(&world), "nothing about node 1 keeps the volume from node 2");
}
