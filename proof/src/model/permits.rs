//! What must hold of permits and of those who act under them. One function each.

use super::host::{Agent, Host};
use super::properties::{is_writable, solo_volume};
use super::world::World;
use picket_core::ids::{NodeId, PermitId};
use picket_core::message::{FenceReason, Holder};
use picket_core::node::{FenceStageWord, Run};
use picket_core::topology::PowerAction;
use picket_core::witness::{PermitRecord, Record};
use std::collections::BTreeSet;

/// A fence agent is about to start.
pub(super) fn check_fence_start(world: &mut World, fencer: NodeId, target: NodeId) {
    let found = [
        started_without_a_permit(world, fencer, target),
        two_agents(world, fencer, target),
        against_a_promise(world, fencer, target),
        two_live_permits(world),
    ];
    world.violations.extend(found.into_iter().flatten());
}

/// A machine is about to be switched off by an agent. One that nobody knew the outcome of may act late; that it does is
/// no fault of the protocol.
pub(super) fn check_fence(world: &mut World, fencer: NodeId, agent: &Agent) {
    if agent.reported {
        return;
    }
    let found = [
        against_a_promise(world, fencer, agent.target),
        after_its_permit(world, agent),
        a_later_boot_is_hit(world, agent),
        the_only_replica_is_hit(world, agent.target),
    ];
    world.violations.extend(found.into_iter().flatten());
}

/// The record has changed: what is new in it was due.
pub(super) fn changed(world: &World, before: &Record, after: &Record) -> Option<String> {
    let known = after.permits == world.watch.permits;
    let live = after.nodes.iter().filter_map(|(target, known)| Some((*target, known.permit?)));
    let mut new = live.filter(|(_, permit)| !known && permit.id > world.watch.permits);
    two_live_permits(world).or_else(|| {
        new.find_map(|(target, permit)| {
            a_drill_of_a_holder(before, target, permit)
                .or_else(|| a_fence_for_nothing(before, after, target, permit))
                .or_else(|| a_target_may_fence(after, target, permit))
                .or_else(|| permitted_too_soon(world, after, target, permit))
        })
    })
}

/// At most one permit lives for a target: of the one in the record, those under which agents are at work, and those
/// under which their nodes have them at work, all are the same. A node that waits for a person, or whose report is on
/// its way, may not know yet that its permit is over, and does nothing under it. Agents of a history that was taken
/// back with the witness's store have no permit that could be compared.
fn two_live_permits(world: &World) -> Option<String> {
    let targets = world.hosts.keys().copied();
    targets.map(|target| (target, live_permits(world, target))).find_map(|(target, live)| {
        let names: Vec<String> = live.iter().map(ToString::to_string).collect();
        (live.len() > 1).then(|| format!("permits {} for node {target} live at once", names.join(" and ")))
    })
}

fn live_permits(world: &World, target: NodeId) -> BTreeSet<PermitId> {
    let recorded = world.record.as_ref().and_then(|record| record.nodes.get(&target)?.permit);
    let mut live: BTreeSet<PermitId> = recorded.into_iter().map(|permit| permit.id).collect();
    for host in world.hosts.values() {
        let at_work = host.agents.iter().filter(|agent| agent.target == target && is_under_way(agent));
        let under: Vec<PermitId> = at_work.filter_map(|agent| Some(agent.permit?.0)).collect();
        if !under.is_empty() {
            live.extend(under);
            live.extend(held_at_work(world, host, target));
        }
    }
    live
}

/// The permit under which a daemon has a device at work.
fn held_at_work(world: &World, host: &Host, target: NodeId) -> Option<PermitId> {
    let status = host.daemon.as_ref()?.status(host.clock(world.now));
    let mut at_work = status.fences.iter().filter(|fence| fence.stage == FenceStageWord::Running);
    at_work.find(|fence| fence.target == target)?.permit
}

fn is_under_way(agent: &Agent) -> bool {
    !agent.reported && agent.action == PowerAction::Off
}

/// A node switches another off only under a live permit.
fn started_without_a_permit(world: &World, fencer: NodeId, target: NodeId) -> Option<String> {
    let none = world.permit_for(fencer, target).is_none();
    none.then(|| format!("node {fencer} starts to fence node {target} without a permit"))
}

/// It does so never while another node's agent is at work on the same target.
fn two_agents(world: &World, fencer: NodeId, target: NodeId) -> Option<String> {
    let at_work = |agent: &Agent| agent.target == target && is_under_way(agent);
    let other = world.hosts.values().find(|host| host.id != fencer && host.agents.iter().any(at_work))?;
    Some(format!("node {fencer} starts to fence node {target} while node {} is at it", other.id))
}

/// It does so never against its own promise.
fn against_a_promise(world: &World, fencer: NodeId, target: NodeId) -> Option<String> {
    let host = world.hosts.get(&fencer)?;
    let clock = host.clock(world.now);
    let live = |run: &Run| run.promises.iter().any(|p| p.to == target && clock < p.until);
    let promised = host.run.as_ref().is_some_and(live);
    promised.then(|| format!("node {fencer} fences node {target}, to which it gave a promise"))
}

fn live_permit(world: &World, target: NodeId) -> Option<PermitRecord> {
    world.record.as_ref()?.nodes.get(&target)?.permit
}

/// An agent acts while its permit lives.
fn after_its_permit(world: &World, agent: &Agent) -> Option<String> {
    let target = agent.target;
    let live = live_permit(world, target).map(|live| (live.id, live.target_boot));
    let over = agent.permit.is_some() && live != agent.permit;
    over.then(|| format!("node {target} is fenced after the permit for it has ended"))
}

/// No later boot that holds something is hit.
fn a_later_boot_is_hit(world: &World, agent: &Agent) -> Option<String> {
    let target = agent.target;
    let host = world.hosts.get(&target)?;
    let later = agent.permit.is_some_and(|(_, boot)| boot != host.boot());
    let holds = world.acknowledged.keys().any(|volume| is_writable(host, *volume));
    (later && holds).then(|| format!("node {target} is fenced in a later boot than the permit's"))
}

/// No volume goes down that is nowhere else, unless an operator asked or the target declared itself failed.
fn the_only_replica_is_hit(world: &World, target: NodeId) -> Option<String> {
    let asked = live_permit(world, target).is_some_and(|live| live.reason == FenceReason::Operator);
    let daemon = world.hosts.get(&target)?.daemon.as_ref();
    let failed = daemon.is_some_and(|daemon| daemon.records().1.failed);
    let volume = solo_volume(world, target).filter(|_| !asked && !failed)?;
    Some(format!("node {target} is fenced, although volume {volume} is nowhere else"))
}

/// A drill is of a node that holds nothing.
fn a_drill_of_a_holder(before: &Record, target: NodeId, permit: PermitRecord) -> Option<String> {
    let holds = |holder: Holder| holder.node == target;
    let mut registers = before.volumes.values();
    let holds = registers.any(|register| register.holder.is_some_and(holds));
    let fencer = permit.fencer;
    (permit.reason == FenceReason::Drill && holds)
        .then(|| format!("node {fencer} may drill node {target}, which holds something"))
}

/// But for drills, a permit goes to a node that has something of what the target holds.
fn a_fence_for_nothing(
    before: &Record,
    after: &Record,
    target: NodeId,
    permit: PermitRecord,
) -> Option<String> {
    let fencer = permit.fencer;
    let holds = |holder: Holder| (holder.node, holder.boot) == (target, permit.target_boot);
    let shares = |record: &Record| {
        let mut registers = record.volumes.values();
        registers.any(|it| it.isr.contains(fencer) && it.holder.is_some_and(holds))
    };
    let has_something = fencer != target && (shares(before) || shares(after));
    (permit.reason != FenceReason::Drill && !has_something)
        .then(|| format!("node {fencer} may fence node {target}, which holds nothing that it has itself"))
}

/// Who is to be fenced itself gets no permit: two nodes never may fence each other.
fn a_target_may_fence(after: &Record, target: NodeId, permit: PermitRecord) -> Option<String> {
    let fencer = permit.fencer;
    let earlier = after.nodes.get(&fencer)?.permit.filter(|live| live.id < permit.id)?;
    let text =
        format!("node {fencer} may fence node {target}, and is to be fenced itself under {}", earlier.id);
    Some(text)
}

/// For silence a permit is given only when the witness has run for long enough to have missed anybody.
fn permitted_too_soon(world: &World, after: &Record, target: NodeId, permit: PermitRecord) -> Option<String> {
    let started = world.watch.started?;
    let soon = world.now.since(started) < world.setup.params.lease_and_guard();
    let failed = after.nodes.get(&target).is_some_and(|known| known.failed.is_some());
    let silent = permit.reason == FenceReason::Silent && !failed;
    (soon && silent).then(|| format!("node {target} may be fenced right after a start of the witness"))
}

#[cfg(test)]
mod tests;
