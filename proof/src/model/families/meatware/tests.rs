use super::super::super::explore::{bring_to_end, settled};
use super::super::super::setup::WATCHED;
use super::super::super::world::World;
use super::*;
use picket_core::params::Watchdog;
use picket_core::time::Duration;

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// What is told of a run in which a person confirms the first node off as soon as one is asked.
fn confirmed(mut world: World, family: &Family, first: Fault) -> World {
    world.told = Some(Vec::new());
    first.inject(&mut world);
    let until = world.now + ms(160);
    let attest = Fault::Attest(N1);
    while world.now < until && !attest.can(&world) {
        world.step();
    }
    attest.inject(&mut world);
    bring_to_end(family.end, &mut world, &mut |world, _| !world.violations.is_empty());
    world
}

fn tells(world: &World, text: &str) -> bool {
    world.told.iter().flatten().any(|line| line.contains(text))
}

#[test]
fn a_confirmation_is_taken_and_a_takeover_follows_from_it() {
    for family in families().iter().filter(|family| family.setup.self_fence != WATCHED).take(6) {
        for first in [Fault::Crash(N1), Fault::Isolate(N1)] {
            let world = confirmed(settled(family), family, first);
            assert_eq!(world.violations, Vec::<String>::new(), "{}: {first}", family.name);
            assert!(tells(&world, "a person confirms node 1 off"), "{}: {first}", family.name);
            assert!(tells(&world, "on OPERATOR"), "{}: {first}: {:#?}", family.name, world.told);
        }
    }
}

/// A witness that waits for less than the nodes' leases last takes a wrong confirmation for a proof too soon.
#[test]
fn a_wrong_confirmation_that_counts_too_soon_is_noticed() {
    let family = &families()[0];
    for first in [Fault::Isolate(N1), Fault::StallTorn(N1)] {
        let mut world = settled(family);
        let right = world.setup.params;
        let watchdog = Some(Watchdog { effective: ms(1), pet: ms(1) });
        world.setup.params.watchdog = watchdog;
        world.setup.params.lease = ms(1);
        Fault::RestartWitness.inject(&mut world);
        let until = world.now + ms(200);
        world.run_until(until);
        world.setup.params = right;
        assert_eq!(world.violations, Vec::<String>::new());
        let world = confirmed(world, family, first);
        assert!(world.violations.iter().any(|text| text.contains("at once")), "{first}: {:#?}", world.told);
    }
}
