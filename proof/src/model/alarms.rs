//! No state machine sees one of its own invariants broken.

use super::world::World;
use picket_core::ids::NodeId;
use picket_core::node::Event;
use picket_core::witness::Alarm;

/// A node's alarm is of a volume that is active without a grant, which an operator may have brought about.
pub(super) fn of_node(world: &mut World, id: NodeId, event: &Event) {
    if let Event::Alarm(text) = event
        && !world.watch.overridden
    {
        world.violations.push(format!("node {id} raises an alarm: {text}"));
    }
}

/// That somebody speaks who was confirmed off, or that claims contradict each other, the world may have brought about;
/// what a step did to the record it may not.
pub(super) fn of_witness(world: &mut World, alarm: &Alarm) {
    if let Alarm::Broken { invariant, volume } = alarm {
        world.violations.push(format!("the witness, for volume {volume}, breaks its own rule: {invariant}"));
    }
}

#[cfg(test)]
mod tests;
