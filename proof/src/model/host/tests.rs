use super::super::setup::Setup;
use super::super::world::World;
use super::*;

/// When a clock shows a time, and not before, whichever way it is off.
#[test]
fn a_clock_shows_a_time_when_it_is_due() {
    for drift in [-4_900, 0, 4_900] {
        let world = World::new(Setup { drift: [drift, 0, 0, 0], ..Setup::new(2) });
        let host = world.hosts.get(&NodeId(1)).expect("node 1");
        for nanos in (0..3_000).chain((0..200).map(|step| step * 7_654_321)) {
            let at = start() + Duration::from_nanos(nanos);
            let due = host.world(at);
            assert!(host.clock(due) >= at, "{drift}: {nanos} ns");
            assert!(host.world(host.clock(due)) <= due, "{drift}: {nanos} ns");
        }
    }
}

#[test]
fn a_fast_clock_gains_and_a_slow_one_loses() {
    let world = World::new(Setup { drift: [-4_900, 4_900, 0, 0], ..Setup::new(2) });
    let shown = |node| {
        let host = world.hosts.get(&NodeId(node)).expect("a node");
        host.clock(start() + Duration::from_secs(1)).since(start())
    };
    assert_eq!((shown(1).as_micros(), shown(2).as_micros()), (995_100, 1_004_900));
}
