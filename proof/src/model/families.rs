//! Families of runs: a kind of cluster and the faults that it may have.

use super::faults::Fault;
use super::world::Setup;
use picket_core::evidence::SelfFence;
use picket_core::node::LossAction;

/// A family.
#[derive(Clone, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// The cluster.
    pub setup: Setup,
    /// The faults that it may have.
    pub faults: Vec<Fault>,
    /// How many of them in one run.
    pub depth: u32,
    /// How many steps lie between two places where a fault may come in.
    pub stride: u32,
}

const WATCHED: SelfFence = SelfFence { watchdog_counts: true, pause_visible: true };
const GUEST: SelfFence = SelfFence { watchdog_counts: true, pause_visible: false };
const BARE: SelfFence = SelfFence { watchdog_counts: false, pause_visible: true };

fn setup(nodes: u8, volumes: u16, self_fence: SelfFence, loss_action: LossAction, devices: bool) -> Setup {
    Setup { nodes, volumes, self_fence, loss_action, devices }
}

/// Every family of the standard run.
#[must_use]
pub fn standard() -> Vec<Family> {
    let two = Fault::all(2);
    let mut guests = two.clone();
    guests.extend([Fault::Pause(picket_core::ids::NodeId(1)), Fault::Pause(picket_core::ids::NodeId(2))]);
    let family = |name, setup, faults: &[Fault], depth, stride| Family {
        name,
        setup,
        faults: faults.to_vec(),
        depth,
        stride,
    };
    vec![
        family("two nodes, one fault anywhere", setup(2, 1, WATCHED, LossAction::Osu, true), &two, 1, 1),
        family("two nodes, fastboot", setup(2, 1, WATCHED, LossAction::Fastboot, true), &two, 1, 1),
        family("two nodes, freeze", setup(2, 1, WATCHED, LossAction::Freeze, true), &two, 1, 1),
        family("two nodes, lease alone", setup(2, 1, WATCHED, LossAction::Osu, false), &two, 1, 1),
        family("two nodes, no watchdog", setup(2, 1, BARE, LossAction::Osu, true), &two, 1, 1),
        family("guests that may be paused", setup(2, 1, GUEST, LossAction::Osu, true), &guests, 1, 1),
        family("two volumes, two holders", setup(2, 2, WATCHED, LossAction::Fastboot, true), &two, 1, 1),
        family("three nodes", setup(3, 1, WATCHED, LossAction::Osu, true), &Fault::all(3), 1, 2),
        family("two nodes, two faults", setup(2, 1, WATCHED, LossAction::Osu, true), &two, 2, 3),
        family(
            "two nodes, lease alone, two faults",
            setup(2, 1, WATCHED, LossAction::Fastboot, false),
            &two,
            2,
            5,
        ),
        family("guests, two faults", setup(2, 1, GUEST, LossAction::Osu, true), &guests, 2, 7),
        family("two volumes, two faults", setup(2, 2, WATCHED, LossAction::Fastboot, true), &two, 2, 9),
        family("two nodes, three faults", setup(2, 1, WATCHED, LossAction::Osu, true), &two, 3, 23),
    ]
}
