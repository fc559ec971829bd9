//! What the reports about one volume come to: its register, or the nodes whose claims contradict each other.
//!
//! The newest in-sync set wins, as it was recorded: nobody reports the replica of a grow that it does not know the end
//! of, since writes may have been acknowledged without that one. Claims of the same version are cut with each other. An
//! in-sync set that is too small only keeps a node from being promoted. Epochs and versions go beyond all that a lost
//! history can have used, so that a grow of that history ends with it.

use super::super::Register;
use crate::ids::{BootId, Epoch, IsrVersion, NodeId, NodeSet};
use crate::message::{Holder, ReplicaReport};
use crate::params::EPOCH_JUMP;
use alloc::collections::{BTreeMap, BTreeSet};

/// What each reporting member said, in which boot.
pub(super) type Reports = BTreeMap<NodeId, (BootId, ReplicaReport)>;

/// The register that the reports and the own record come to. `source` is whose data an operator said to take.
///
/// # Errors
/// The nodes whose claims contradict each other; for a volume of which nothing was ever recorded, the nodes among
/// which an operator has to choose.
pub(super) fn resolve(
    own: &Register,
    members: NodeSet,
    reports: &Reports,
    source: Option<NodeId>,
) -> Result<Register, NodeSet> {
    let never_recorded = own.is_blank() && reports.values().all(|(_, report)| is_blank(report));
    if never_recorded {
        return first(members, reports, source);
    }
    let epoch = reports.values().map(|(_, report)| newest_epoch(report)).fold(own.epoch, Epoch::max);
    let version =
        reports.values().map(|(_, report)| newest_version(report)).fold(own.isr_version, IsrVersion::max);
    let holder = holder(own, reports, epoch)?;
    let (isr, generation) = match source {
        Some(source) => named(reports, source, holder)?,
        None => match overridden(reports)? {
            Some(claimant) => claimed(reports, claimant, holder, version)?,
            None => newest(own, reports, version)?,
        },
    };
    let isr = isr.intersection(members);
    let outside = holder.map_or(NodeSet::EMPTY, |holder| NodeSet::only(holder.node)).minus(isr);
    if isr.is_empty() || !outside.is_empty() {
        return Err(claimants(reports).union(outside));
    }
    let by_hand = |holder: Holder| match reports.get(&holder.node) {
        Some((_, report)) => report.overridden.is_some(),
        None => own.overridden,
    };
    let keeps = holder.is_some() && holder == own.holder && epoch == own.epoch;
    Ok(Register {
        // Free with the epoch of a grant is what a release looks like, and ends the promises to its holder.
        epoch: if holder.is_none() { Epoch(epoch.0.saturating_add(1)) } else { epoch },
        floor: Epoch(epoch.max(own.floor).0.saturating_add(EPOCH_JUMP)),
        holder,
        revoked: keeps && own.revoked,
        overridden: holder.is_some_and(by_hand),
        isr,
        isr_version: IsrVersion(version.0.saturating_add(EPOCH_JUMP)),
        generation,
        attempt: own.attempt.filter(|_| keeps),
        proof: own.proof.filter(|_| keeps),
        successor: None,
    })
}

/// The first set of a volume: every replica that has everything, if all of those have the same data. A member that has
/// not reported may know of an older one, which this one is to be beyond.
fn first(members: NodeSet, reports: &Reports, source: Option<NodeId>) -> Result<Register, NodeSet> {
    let complete = || reports.iter().filter(|(_, (_, report))| report.complete);
    let mut generations: BTreeSet<_> = complete().map(|(_, (_, report))| report.generation.current).collect();
    if let Some(source) = source {
        let named = complete().find(|(node, _)| **node == source).map(|(_, (_, report))| report);
        generations = named.into_iter().map(|report| report.generation.current).collect();
    }
    let generation = match generations.first() {
        Some(generation) if generations.len() == 1 => *generation,
        Some(_) | None => return Err(members),
    };
    let isr = complete().filter(|(_, (_, r))| r.generation.current == generation).map(|(n, _)| *n).collect();
    let silent = members.iter().any(|member| !reports.contains_key(&member));
    let jump = if silent { EPOCH_JUMP } else { 0 };
    let (floor, isr_version) = (Epoch(jump), IsrVersion(1 + jump));
    Ok(Register { isr, isr_version, floor, generation, ..Register::default() })
}

fn is_blank(report: &ReplicaReport) -> bool {
    report.max_epoch == Epoch(0)
        && report.isr_version == IsrVersion(0)
        && report.held.is_none()
        && report.overridden.is_none()
}

fn newest_epoch(report: &ReplicaReport) -> Epoch {
    let claim = report.overridden.map_or(Epoch(0), |claim| claim.epoch);
    report.max_epoch.max(report.held.unwrap_or_default()).max(claim)
}

fn newest_version(report: &ReplicaReport) -> IsrVersion {
    let claim = report.overridden.map_or(IsrVersion(0), |claim| claim.isr_version);
    report.isr_version.max(claim)
}

/// Nodes that claim to hold the volume, or to have overridden the witness.
fn claimants(reports: &Reports) -> NodeSet {
    let claims = |report: &ReplicaReport| report.held.is_some() || report.overridden.is_some();
    reports.iter().filter(|(_, (_, report))| claims(report)).map(|(node, _)| *node).collect()
}

/// Who holds the volume: whoever says so with the newest epoch that anybody has seen, so that its service goes on.
/// A holder by the own record that has not reported stays until something proves it inactive.
fn holder(own: &Register, reports: &Reports, newest: Epoch) -> Result<Option<Holder>, NodeSet> {
    let holds = |report: &ReplicaReport| report.held == Some(newest);
    let holders: BTreeMap<NodeId, BootId> =
        reports.iter().filter(|(_, (_, r))| holds(r)).map(|(node, (boot, _))| (*node, *boot)).collect();
    if holders.len() > 1 {
        return Err(holders.keys().copied().collect());
    }
    let reported = holders.into_iter().map(|(node, boot)| Holder { node, boot }).next();
    let silent = own.holder.filter(|holder| own.epoch == newest && !reports.contains_key(&holder.node));
    match (reported, silent) {
        (Some(reported), Some(silent)) => Err(NodeSet::only(reported.node).with(silent.node)),
        (reported, silent) => Ok(reported.or(silent)),
    }
}

/// Who was activated without a witness, if that is one.
fn overridden(reports: &Reports) -> Result<Option<NodeId>, NodeSet> {
    let nodes: NodeSet = reports
        .iter()
        .filter(|(_, (_, report))| report.overridden.is_some())
        .map(|(node, _)| *node)
        .collect();
    if nodes.len() > 1 { Err(nodes) } else { Ok(nodes.iter().next()) }
}

/// An operator said whose data counts. Nobody else may hold the volume then.
fn named(
    reports: &Reports,
    source: NodeId,
    holder: Option<Holder>,
) -> Result<(NodeSet, crate::ids::GenerationId), NodeSet> {
    let others = claimants_holding(reports).without(source);
    let held_elsewhere = holder.is_some_and(|holder| holder.node != source);
    match reports.get(&source) {
        Some((_, report)) if report.complete && others.is_empty() && !held_elsewhere => {
            Ok((NodeSet::only(source), report.generation.current))
        }
        Some(_) | None => Err(others.with(source)),
    }
}

fn claimants_holding(reports: &Reports) -> NodeSet {
    reports.iter().filter(|(_, (_, report))| report.held.is_some()).map(|(node, _)| *node).collect()
}

/// One node was activated without a witness. That stands if nobody else holds the volume, nobody has a newer set,
/// and the data of nobody else has gone its own way.
fn claimed(
    reports: &Reports,
    claimant: NodeId,
    holder: Option<Holder>,
    newest: IsrVersion,
) -> Result<(NodeSet, crate::ids::GenerationId), NodeSet> {
    let Some((_, report)) = reports.get(&claimant) else { return Err(NodeSet::only(claimant)) };
    let mut against = claimants_holding(reports).without(claimant);
    if let Some(holder) = holder.filter(|holder| holder.node != claimant) {
        against = against.with(holder.node);
    }
    for (node, (_, other)) in reports.iter().filter(|(node, _)| **node != claimant) {
        let precedes = report.generation.descends_from(other.generation.current);
        let follows = other.generation.descends_from(report.generation.current);
        if other.complete && !precedes && !follows {
            against = against.with(*node);
        }
    }
    let claim = report.overridden.filter(|claim| claim.isr_version.max(report.isr_version) == newest);
    match claim {
        Some(claim) if against.is_empty() => Ok((claim.isr, report.recorded)),
        Some(_) | None => Err(against.with(claimant)),
    }
}

/// The newest set that anybody knows, with the generation that was recorded with it.
fn newest(
    own: &Register,
    reports: &Reports,
    newest: IsrVersion,
) -> Result<(NodeSet, crate::ids::GenerationId), NodeSet> {
    let own_claim = (own.isr_version == newest).then_some((own.isr, own.generation));
    let newest_reports = || reports.iter().filter(|(_, (_, report))| report.isr_version == newest);
    let reported = newest_reports().map(|(_, (_, report))| (report.isr, report.recorded));
    let claims: BTreeSet<_> = own_claim.into_iter().chain(reported).collect();
    let cut = claims.iter().map(|(isr, _)| *isr).reduce(NodeSet::intersection);
    let recorded: BTreeSet<_> = claims.iter().map(|(_, generation)| *generation).collect();
    match (cut, recorded.first()) {
        (Some(isr), Some(generation)) if recorded.len() == 1 => Ok((isr, *generation)),
        _ => Err(newest_reports().map(|(node, _)| *node).collect()),
    }
}
