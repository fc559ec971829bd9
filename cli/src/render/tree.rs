//! The order of the resource tree: what stands above first, what it needs below it, indented.

use picket_proto::v1::StatusVolume;
use std::collections::BTreeSet;

/// The volumes in the tree's order, each with its depth. Every volume is there once, also when parents and
/// children contradict each other or go in a circle.
#[must_use]
pub fn order(volumes: &[StatusVolume]) -> Vec<(usize, &StatusVolume)> {
    let mut done = BTreeSet::new();
    let mut ordered = Vec::new();
    let known = |tag: &str| volumes.iter().any(|volume| volume.tag == tag);
    for volume in volumes.iter().filter(|volume| !known(&volume.parent)) {
        place(volumes, volume, 0, &mut done, &mut ordered);
    }
    // What only a circle leads to.
    for volume in volumes {
        place(volumes, volume, 0, &mut done, &mut ordered);
    }
    ordered
}

/// Goes no deeper than there are volumes, because each is placed once.
fn place<'v>(
    volumes: &'v [StatusVolume],
    volume: &'v StatusVolume,
    depth: usize,
    done: &mut BTreeSet<&'v str>,
    ordered: &mut Vec<(usize, &'v StatusVolume)>,
) {
    if !done.insert(&volume.tag) {
        return;
    }
    ordered.push((depth, volume));
    for child in &volume.children {
        if let Some(child) = volumes.iter().find(|volume| volume.tag == *child) {
            place(volumes, child, depth + 1, done, ordered);
        }
    }
}
