//! What must hold of the witness's registers when they change: who gets a volume, who stays in sync with it, and that
//! whoever counts as in sync has the data.

use super::properties::{isr, missing};
use super::world::World;
use picket_core::ids::{NodeId, VolumeId};
use picket_core::message::Holder;
use picket_core::witness::{Record, Register};

/// The record has changed. A recovery gives volumes to nobody and takes the sets from what members say.
pub(super) fn changed(world: &World, before: &Record, after: &Record) -> Option<String> {
    if world.watch.overridden || after.recovery {
        return None;
    }
    let grant =
        (!before.recovery).then(|| grants(before, after).find_map(|grant| grant.wrong(before, after)));
    grant.flatten().or_else(|| in_sync_without_data(world, after))
}

/// A volume that was granted in one change of the record.
struct Grant<'a> {
    volume: VolumeId,
    holder: Holder,
    was: &'a Register,
    now: &'a Register,
}

fn grants<'a>(before: &'a Record, after: &'a Record) -> impl Iterator<Item = Grant<'a>> {
    after.volumes.iter().filter_map(|(volume, now)| {
        let (was, holder) = (before.volumes.get(volume)?, now.holder?);
        (now.epoch > was.epoch).then_some(Grant { volume: *volume, holder, was, now })
    })
}

impl Grant<'_> {
    fn wrong(&self, before: &Record, after: &Record) -> Option<String> {
        let Self { volume, holder, was, now } = self;
        let (node, known) = (holder.node, after.nodes.get(&holder.node)?);
        let barred = crate::grants::barred(known, now);
        barred.map(|why| format!("node {node} is granted volume {volume} and {why}")).or_else(|| {
            let what = crate::grants::wrong_set(node, [was, now], [before, after])?;
            Some(format!("the grant of volume {volume} to node {node} {what}"))
        })
    }
}

/// Every member of a recorded in-sync set has every acknowledged write. What is in a store that was put back is old
/// until a recovery has begun.
fn in_sync_without_data(world: &World, after: &Record) -> Option<String> {
    if world.watch.put_back {
        return None;
    }
    world.acknowledged.iter().find_map(|(volume, acknowledged)| {
        let lacks = |id: &NodeId| Some((*id, missing(world.replica(*id, *volume)?, acknowledged)?));
        let mut members = isr(Some(after), *volume).iter();
        let (id, write) = members.find_map(|id| lacks(&id))?;
        Some(format!(
            "node {id} counts as in sync with volume {volume} without the acknowledged write {write}"
        ))
    })
}

#[cfg(test)]
mod tests;
