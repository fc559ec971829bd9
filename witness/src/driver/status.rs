//! One cluster as the witness sees it, as a message for people and for machine-readable output.

use super::machine::Machine;
use super::words;
use core::time::Duration;
use picket_core::ids::{NodeId, NodeSet};
use picket_core::message::{PendingConfirmation, PermitView, View};
use picket_core::time::Instant;
use picket_proto::v1::{
    StatusPending, StatusPermit, StatusWaiting, WitnessNode, WitnessStatus, WitnessVolume,
};

/// Everything about a cluster, now.
pub(super) fn of(machine: &Machine, now: Instant, started: Instant) -> WitnessStatus {
    let (cluster, witness) = (&machine.cluster, &machine.witness);
    let record = witness.record();
    let view = witness.view(now);
    let recovering = witness.recovering();
    WitnessStatus {
        schema: picket_proto::SCHEMA,
        lab: machine.lab,
        version: crate::VERSION.to_owned(),
        protocol: picket_proto::PROTOCOL,
        cluster: cluster.name.clone(),
        store: record.store.to_string(),
        commit: record.commit.0,
        profile: cluster.profile.name().to_owned(),
        config: format!("{:016x}", cluster.digest().0),
        uptime_ms: millis(now.since(started)),
        unprotected: unprotected(machine, &view),
        recovering: recovering.is_some(),
        missing: cluster.node_names(recovering.unwrap_or(NodeSet::EMPTY)),
        nodes: cluster.nodes.iter().map(|node| node_line(machine, now, node.id, &view)).collect(),
        volumes: volumes(machine, now),
        permits: view.permits.iter().map(|permit| permit_line(machine, permit)).collect(),
        pending: view.pending.iter().map(|pending| pending_line(machine, pending)).collect(),
        events: machine.journal.events(),
        turned_away: machine.turned_away,
        waiting: waiting(machine),
        retired: record.retired,
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// What is not protected now, the worst first.
fn unprotected(machine: &Machine, view: &View) -> Vec<String> {
    let (cluster, witness) = (&machine.cluster, &machine.witness);
    let mut lines = Vec::new();
    if machine.lab {
        lines.push("LAB: nothing real is protected".to_owned());
    }
    if witness.record().retired {
        lines.push("the store is retired: nobody is served".to_owned());
    }
    if witness.recovering().is_some() {
        lines.push("RECOVERY: nothing is granted".to_owned());
    }
    for (set, what) in [
        (cluster.members().minus(view.hears), "is not heard"),
        (view.held_off, "was fenced too often and is held off"),
        (view.failed, "declared itself failed"),
        (view.maintenance, "is under maintenance: no failover from it"),
    ] {
        lines.extend(cluster.node_names(set).into_iter().map(|name| format!("{name} {what}")));
    }
    lines
}

fn node_line(machine: &Machine, now: Instant, id: NodeId, view: &View) -> WitnessNode {
    let witness = &machine.witness;
    let record = witness.record().nodes.get(&id);
    let session = witness.sessions().get(&id);
    let link = machine.links.of(id);
    WitnessNode {
        id: id.0.into(),
        name: machine.cluster.node_name(id),
        state: if view.hears.contains(id) { "ALIVE" } else { "SILENT" }.to_owned(),
        connected: link.is_some(),
        registered: session.is_some_and(|session| session.boot.is_some()),
        boot: record.and_then(|record| record.boot).map_or_else(String::new, |boot| boot.to_string()),
        session: session.map_or(0, |session| session.id.0),
        address: link.map_or_else(String::new, |link| link.connection.address.to_string()),
        version: link.map_or_else(String::new, |link| link.connection.version.clone()),
        heard_ms: link.and_then(|link| link.heard_at).map(|at| millis(now.since(at))),
        hears: machine.cluster.node_names(witness.hears_of(id, now)),
        maintenance: view.maintenance.contains(id),
        held_off: view.held_off.contains(id),
        failed: view.failed.contains(id),
    }
}

fn volumes(machine: &Machine, now: Instant) -> Vec<WitnessVolume> {
    let (cluster, witness) = (&machine.cluster, &machine.witness);
    let line = |volume: &crate::config::Volume| {
        let register = witness.record().volumes.get(&volume.id).cloned().unwrap_or_default();
        let name = |id: Option<NodeId>| id.map_or_else(String::new, |id| cluster.node_name(id));
        WitnessVolume {
            id: volume.id.0.into(),
            name: volume.name.clone(),
            epoch: register.epoch.0,
            holder: name(register.holder.map(|holder| holder.node)),
            holder_boot: register.holder.map_or_else(String::new, |holder| holder.boot.to_string()),
            isr: cluster.node_names(register.isr),
            isr_version: register.isr_version.0,
            generation: register.generation.to_string(),
            successor: name(register.successor),
            members: cluster.node_names(volume.members),
            lease_left_ms: witness.lease_left(volume.id, now).map(millis),
            revoked: register.revoked,
        }
    };
    cluster.volumes.iter().map(line).collect()
}

fn permit_line(machine: &Machine, permit: &PermitView) -> StatusPermit {
    let cluster = &machine.cluster;
    StatusPermit {
        permit: permit.permit.0,
        target: cluster.node_name(permit.target),
        fencer: cluster.node_name(permit.fencer),
    }
}

fn pending_line(machine: &Machine, pending: &PendingConfirmation) -> StatusPending {
    let cluster = &machine.cluster;
    let target = cluster.node_name(pending.target);
    let text = if pending.effective_in.is_some() {
        format!("{target} is confirmed off; it counts when the wait is over")
    } else {
        format!(
            "OPERATOR INTERVENTION REQUIRED to reset {target}: switch the machine off by hand, see that it is \
             off, then type: picket confirm {target}"
        )
    };
    StatusPending {
        target,
        permit: pending.permit.0,
        challenge: format!("{:06}", pending.challenge),
        heard_by: cluster.node_names(pending.heard_by),
        effective_in_ms: pending.effective_in.map(millis),
        text,
    }
}

fn waiting(machine: &Machine) -> Vec<StatusWaiting> {
    let cluster = &machine.cluster;
    let line = |(node, subject, refusal): (NodeId, _, Option<picket_core::error::Refusal>)| StatusWaiting {
        node: cluster.node_name(node),
        subject: words::subject(cluster, &subject),
        word: refusal.as_ref().map_or_else(String::new, |refusal| refusal.word().to_owned()),
        text: refusal.map_or_else(String::new, |refusal| refusal.to_string()),
    };
    machine.witness.pending().into_iter().map(line).collect()
}
