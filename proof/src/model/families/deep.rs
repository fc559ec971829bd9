//! Families of deep runs: the standard ones without strides in windows twice as long, each rule's family with one more
//! fault of any kind, and every fault followed by every other one and by a third.

use super::super::ending::End;
use super::super::faults::Fault;
use super::super::setup::{BARE, Devices, GUEST, Setup, long_leases};
use super::{Family, Stage, standard};
use picket_core::node::LossAction;
use picket_core::time::Duration;

/// Where one more fault comes after the faults of a rule's family.
const AFTERWARDS: Duration = Duration::from_millis(160);

/// Every so many steps there is a place for it. A prime, so that it meets other phases of the heartbeats each time.
const AFTERWARDS_STRIDE: u64 = 31;

/// Every family of a deep run.
#[must_use]
pub fn deep() -> Vec<Family> {
    let mut all = Vec::new();
    for family in standard() {
        if !rolls_back(&family) && !wakes_in_time(&family) {
            all.push(one_more(&family));
        }
        all.push(widened(family));
    }
    all.extend(broad());
    all
}

/// A witness that is rolled back unseen is found only if somebody who saw more reports, which one more fault prevents.
fn rolls_back(family: &Family) -> bool {
    family.stages.iter().any(|stage| stage.faults.contains(&Fault::RollBackWitness))
}

/// A paused machine that is confirmed off is heard before that counts, unless one more fault prevents it.
fn wakes_in_time(family: &Family) -> bool {
    let any = |of: fn(&Fault) -> bool| family.stages.iter().any(|stage| stage.faults.iter().any(of));
    any(|fault| matches!(fault, Fault::Pause(_))) && any(|fault| matches!(fault, Fault::Attest(_)))
}

/// The same without strides, in windows twice as long.
fn widened(mut family: Family) -> Family {
    family.name = format!("{}, at every step", family.name);
    family.finds = &[];
    for stage in &mut family.stages {
        stage.stride = 1;
        stage.within += stage.within;
    }
    if family.end == End::Active {
        family.end = End::Eventually;
    }
    family
}

/// The same, with any other fault afterwards.
fn one_more(family: &Family) -> Family {
    let mut family = family.clone();
    family.name = format!("{}, and one more fault", family.name);
    family.finds = &[];
    family.stages.push(Stage {
        faults: any_fault(&family.setup),
        after: Duration::ZERO,
        within: AFTERWARDS,
        stride: AFTERWARDS_STRIDE,
    });
    // One more fault takes out the survivor, too; and whether all are in sync again is looked at with fewer faults.
    if family.end != End::Open {
        family.end = End::Eventually;
    }
    family
}

/// Every fault that such a cluster may have: a person may end a recovery. He may confirm a node off where one is asked,
/// and a machine may be paused unseen where it says so, but not both: against a pause a confirmation must be right.
fn any_fault(setup: &Setup) -> Vec<Fault> {
    let asks = setup.devices == Devices::Meatware;
    let pauses = !setup.self_fence.pause_visible && !asks;
    let mut all = Fault::all(setup.nodes);
    if setup.loss_action == LossAction::Freeze {
        all.extend(Fault::thaws(setup.nodes));
    }
    all.push(Fault::Adopt(None));
    all.extend(setup.members().iter().filter(|_| asks).map(Fault::Attest));
    all.extend(setup.members().iter().filter(|_| pauses).map(Fault::Pause));
    all
}

/// Any faults, two and three in a run.
fn broad() -> Vec<Family> {
    let base = Setup::new(2);
    let three = Setup::new(3);
    let fastboot = Setup { loss_action: LossAction::Fastboot, ..base };
    let freeze = Setup { loss_action: LossAction::Freeze, ..base };
    let alone = Setup { devices: Devices::None, ..base };
    let spread = Setup { volumes: 2, spread: true, loss_action: LossAction::Fastboot, ..base };
    let spread_alone = Setup { devices: Devices::None, ..spread };
    let spread_three = Setup { nodes: 3, ..spread };
    let asked = Setup { devices: Devices::Meatware, ..base };
    let guests_asked = Setup { self_fence: GUEST, params: long_leases(), ..asked };
    let apart = Setup { drift: [-4_900, 4_900, 0, 0], ..base };
    let mut all = Vec::new();
    let mut any = |name: &str, setup: Setup, strides: &[u64]| {
        let faults = any_fault(&setup);
        let name = format!("{name}, {} faults of any kind", strides.len());
        let family = Family::new(&name, setup).end(End::Eventually);
        let windows = [20, 160, 160];
        all.push(
            strides
                .iter()
                .zip(windows)
                .fold(family, |family, (stride, window)| family.within(&faults, 0, window, *stride)),
        );
    };
    any("two nodes", base, &[2, 2]);
    any("two nodes, fastboot", fastboot, &[3, 3]);
    any("two nodes, freeze", freeze, &[3, 3]);
    any("two nodes, lease alone", alone, &[2, 2]);
    any("two nodes, no watchdog", Setup { self_fence: BARE, ..base }, &[3, 3]);
    any("guests", Setup { self_fence: GUEST, ..base }, &[3, 3]);
    any("two nodes, meatware", asked, &[3, 3]);
    any("guests, meatware", guests_asked, &[3, 3]);
    any("a slow clock and a fast one", apart, &[3, 3]);
    any("two volumes, two holders", spread, &[5, 5]);
    any("two volumes, lease alone", spread_alone, &[5, 5]);
    any("three nodes", three, &[7, 7]);
    any("three nodes, lease alone", Setup { devices: Devices::None, ..three }, &[7, 7]);
    any("three nodes, two volumes", spread_three, &[11, 11]);
    any("two nodes", base, &[17, 37, 37]);
    any("two nodes, lease alone", alone, &[17, 37, 37]);
    any("two volumes, two holders", spread, &[23, 41, 41]);
    any("three nodes", three, &[29, 61, 61]);
    any("guests, meatware", guests_asked, &[23, 31, 31]);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_every_family_of_the_standard_run_is_there() {
        let all = deep();
        let names: BTreeSet<&str> = all.iter().map(|family| family.name.as_str()).collect();
        assert_eq!(names.len(), all.len(), "what was done is written down by name");
        for family in standard() {
            assert!(names.contains(format!("{}, at every step", family.name).as_str()), "{}", family.name);
        }
        assert!(all.iter().all(|family| !family.stages.is_empty()));
    }
}
