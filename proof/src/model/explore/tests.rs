use super::super::host::Agent;
use super::super::setup::Setup;
use super::*;
use picket_core::topology::{DeviceVerdict, OrderId, PowerAction};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A device that was given up switches the node off so long after the healing.
fn off_after_the_healing(world: &mut World, target: NodeId, after: Duration) {
    let acts_at = world.now + GOES_ON + after;
    let agent = Agent {
        order: OrderId(7),
        target,
        action: PowerAction::Off,
        acts_at: Some(acts_at),
        ends_at: acts_at,
        verdict: DeviceVerdict::Unknown,
        reported: true,
        permit: None,
    };
    world.hosts.get_mut(&N2).expect("a node").agents.push(agent);
}

/// What is violated when a device acts late, and how long after the healing all was well.
fn ended(end: End, targets: &[NodeId]) -> (World, Option<Duration>) {
    let mut world = settled(&Family::new("a device that acts late", Setup::new(2)));
    targets.iter().for_each(|target| off_after_the_healing(&mut world, *target, ms(40)));
    let took = bring_to_end(end, &mut world, &mut |_, _| false);
    (world, took)
}

#[test]
fn all_must_stay_well_after_the_healing() {
    let (world, took) = ended(End::Survivors, &[N2]);
    assert_eq!(world.violations, Vec::<String>::new());
    assert_eq!(took, Some(Duration::ZERO), "the holder went on all the time");
    let (world, took) = ended(End::Survivors, &[N1]);
    assert_eq!(world.violations, Vec::<String>::new());
    assert!(took.is_some_and(|took| took > ms(40)), "a takeover came after the healing: {took:?}");
}

#[test]
fn what_is_lost_for_ever_after_the_healing_is_noticed() {
    let (world, _) = ended(End::Survivors, &[N1, N2]);
    assert!(world.violations.iter().any(|text| text.contains("is active nowhere")), "{:?}", world.violations);
}

#[test]
fn what_is_given_away_and_who_is_reset_after_the_healing_is_noticed() {
    let (world, _) = ended(End::Kept, &[N1]);
    assert!(world.violations.iter().any(|text| text.contains("was given away")), "{:?}", world.violations);
    let (world, _) = ended(End::Standing, &[N1]);
    assert!(world.violations.iter().any(|text| text.contains("was reset")), "{:?}", world.violations);
}
