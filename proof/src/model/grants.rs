//! What must hold of the witness's registers when they change: who gets a volume, who stays in sync with it, and that
//! whoever counts as in sync has the data.

use super::properties::{isr, missing};
use super::world::World;
use picket_core::evidence::Proof;
use picket_core::ids::{NodeId, NodeSet, VolumeId};
use picket_core::message::Holder;
use picket_core::witness::{NodeRecord, Record, Register};

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
        let known = after.nodes.get(&self.holder.node)?;
        self.wrong_holder(known).or_else(|| self.wrong_set(before, after))
    }

    /// Who is to be fenced, has declared itself failed, or is held off gets nothing. A permit that was given after the
    /// grant, in the same change, has revoked it.
    fn wrong_holder(&self, known: &NodeRecord) -> Option<String> {
        let why = if known.permit.is_some() && !self.now.revoked {
            "is to be fenced"
        } else if known.failed == Some(self.holder.boot) {
            "has declared itself failed"
        } else if known.held_off {
            "is held off"
        } else {
            return None;
        };
        Some(format!("node {} is granted volume {} and {why}", self.holder.node, self.volume))
    }

    /// A takeover takes the old holder and fenced nodes out of the set, any other grant nobody, and none puts anybody in.
    /// What was proven off in the same change may have been taken out before.
    fn wrong_set(&self, before: &Record, after: &Record) -> Option<String> {
        let Self { volume, holder, was, now } = self;
        let old = was.holder.map_or(NodeSet::EMPTY, |holder| NodeSet::only(holder.node));
        let off = fenced(after).without(holder.node);
        let gone = match now.proof {
            Some(Proof::Released | Proof::SameHolder) | None => NodeSet::EMPTY,
            Some(_) => off.union(old).without(holder.node),
        };
        let may_go = gone.union(off.minus(fenced(before)));
        let (added, stripped) = (now.isr.minus(was.isr), was.isr.minus(may_go).minus(now.isr));
        let kept = now.isr.intersection(gone);
        let wrong = [(added, "puts in"), (stripped, "strips"), (kept, "keeps")];
        let (nodes, what) = wrong.into_iter().find(|(nodes, _)| !nodes.is_empty())?;
        let to = holder.node;
        Some(format!("the grant of volume {volume} to node {to} {what} nodes {nodes} of its in-sync set"))
    }
}

/// Nodes whose present boot was confirmed off.
fn fenced(record: &Record) -> NodeSet {
    let off = |known: &NodeRecord| known.boot.is_some_and(|boot| known.is_fenced(boot));
    record.nodes.iter().filter(|(_, known)| off(known)).map(|(id, _)| *id).collect()
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
