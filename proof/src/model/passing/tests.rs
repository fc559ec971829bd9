//! Time passes in steps that something is due for.

use super::super::faults::Fault;
use super::super::setup::{GUEST, Setup};
use super::World;
use picket_core::ids::NodeId;
use picket_core::time::Duration;

const N1: NodeId = NodeId(1);

/// Many times what a settled cluster takes.
const STEPS_ENOUGH: u32 = 10_000;

fn paused_while_due(first: Fault) -> World {
    let mut world = World::new(Setup { self_fence: GUEST, ..Setup::new(2) });
    world.run_until(world.now + Duration::from_millis(300));
    first.inject(&mut world);
    Fault::Pause(N1).inject(&mut world);
    world
}

#[test]
fn what_is_due_on_a_paused_machine_waits_for_the_end_of_the_pause() {
    for first in [Fault::RestartDaemon(N1), Fault::StallShort(N1), Fault::LeaveRunning(N1)] {
        let mut world = paused_while_due(first);
        let until = world.now + Duration::from_millis(120);
        let mut steps = 0;
        while world.now < until && steps < STEPS_ENOUGH {
            world.step();
            steps += 1;
        }
        assert!(world.now >= until, "{first}: {steps} steps did not get there");
    }
}
