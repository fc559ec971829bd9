//! The status message, from what the core and the rooms know.

use super::words::{self, ms};
use super::{Desk, WatchdogStatus};
use crate::config::{Volume, VolumeDriver};
use crate::driver::Snapshot;
use crate::witness_client::Link;
use core::sync::atomic::Ordering;
use picket_core::ids::{NodeId, NodeSet, VolumeId};
use picket_core::node::{Barrier, PeerStatus, VolumeStatus};
use picket_core::quorum::QuorumMode;
use picket_core::topology::DeviceKind;
use picket_host::clock;
use picket_proto::{PROTOCOL, SCHEMA, v1};

/// Events in one status at most.
const EVENTS_MAX: usize = 1000;

/// The software's versions, as this node knows them.
pub(super) fn versions(witness: &Link) -> v1::Versions {
    v1::Versions {
        node: crate::VERSION.to_owned(),
        witness: witness.status().version,
        protocol: PROTOCOL,
        schema: SCHEMA,
    }
}

impl Desk {
    /// The whole status.
    pub(super) fn status(&self, snapshot: &Snapshot, events_max: u32) -> v1::Status {
        let config = &self.config;
        let status = &snapshot.status;
        let events_max = usize::try_from(events_max).unwrap_or(EVENTS_MAX).min(EVENTS_MAX);
        v1::Status {
            schema: SCHEMA,
            lab: config.lab.is_some(),
            at: clock::rfc3339(clock::wall()),
            cluster: config.cluster.clone(),
            node: config.name.clone(),
            node_id: u32::from(config.me.0),
            boot: status.boot.to_string(),
            profile: config.profile.name().to_owned(),
            versions: Some(versions(&self.witness)),
            unprotected: self.unprotected(snapshot),
            volumes: status.volumes.iter().filter_map(|volume| self.volume_line(snapshot, volume)).collect(),
            paths: status.peers.iter().flat_map(|peer| self.paths(snapshot, peer)).collect(),
            members: self.member_lines(snapshot),
            quorum: Some(self.quorum(snapshot)),
            witness: Some(self.witness_line(snapshot)),
            permits: status.witness.permits.iter().map(|permit| self.permit(permit)).collect(),
            pending: status.witness.pending.iter().map(|pending| self.pending(pending)).collect(),
            fences: self.fence_lines(),
            watchdog: Some(watchdog(&self.watchdog)),
            events: self.events.newest(events_max).into_iter().map(event).collect(),
            uptime_ms: ms(snapshot.now.since(self.started)),
            resources: self.resource_lines(snapshot),
        }
    }

    fn volume_line(&self, snapshot: &Snapshot, volume: &VolumeStatus) -> Option<v1::StatusVolume> {
        let config = &self.config;
        let configured = config.volumes.get(&volume.volume)?;
        let names = |set: NodeSet| config.node_names(set);
        let register = volume.register.as_ref();
        let report = volume.report.as_ref();
        let holder =
            register.and_then(|register| register.holder).map(|holder| config.node_name(holder.node));
        let active = volume.phase.held().is_some();
        let (why_word, why) = words::why(config, snapshot.now, volume);
        Some(v1::StatusVolume {
            local: config.name.clone(),
            tag: configured.name.clone(),
            id: u32::from(volume.volume.0),
            driver: driver(configured).to_owned(),
            state: words::state(&volume.phase).to_owned(),
            prio: prio(configured, config.me),
            primary: if active { config.name.clone() } else { self.primary(snapshot, volume) },
            role: report.map_or("UNKNOWN", |report| words::role(report.role)).to_owned(),
            phase: words::phase(volume).to_owned(),
            epoch: volume.phase.held().map_or(volume.max_epoch.0, |held| held.epoch.0),
            holder: holder.unwrap_or_default(),
            isr: register.map(|register| names(register.isr)).unwrap_or_default(),
            isr_version: register.map_or(0, |register| register.isr_version.0),
            solo: volume.solo,
            lease_left_ms: volume.lease_left.filter(|_| !volume.solo).map(ms),
            generation: report.map(|report| report.generation.current.to_string()).unwrap_or_default(),
            complete: report.is_some_and(|report| report.complete),
            connected: report.map(|report| names(report.connected)).unwrap_or_default(),
            frozen: report.is_some_and(|report| report.frozen),
            exclusive_only: configured.barrier == Barrier::None,
            overridden: words::is_overridden(volume),
            children: Vec::new(),
            parent: String::new(),
            members: configured.members.iter().map(|id| config.node_name(*id)).collect(),
            why,
            why_word: why_word.to_owned(),
            failover: true,
            sync_percent: self.gaps.resync(volume.volume),
            replicas: self.replicas(configured, volume),
        })
    }

    /// Where it is in service, as far as this node knows: who says so in its heartbeats, else the record.
    pub(super) fn primary(&self, snapshot: &Snapshot, volume: &VolumeStatus) -> String {
        let says = |peer: &&PeerStatus| {
            let said = peer.said.as_ref().filter(|_| peer.heard);
            said.is_some_and(|said| said.holds.iter().any(|(id, _)| *id == volume.volume))
        };
        let heard = snapshot.status.peers.iter().find(says).map(|peer| peer.node);
        heard.map(|node| self.config.node_name(node)).unwrap_or_default()
    }

    fn replicas(&self, configured: &Volume, volume: &VolumeStatus) -> Vec<v1::StatusReplica> {
        let (register, report) = (volume.register.as_ref(), volume.report.as_ref());
        let line = |(id, prio): (&picket_core::ids::NodeId, u32)| {
            let local = *id == self.config.me;
            let complete = report
                .map(|report| if local { report.complete } else { report.complete_peers.contains(*id) });
            let connected = report.is_some_and(|report| report.connected.contains(*id));
            v1::StatusReplica {
                node: self.config.node_name(*id),
                in_sync: register.is_some_and(|register| register.isr.contains(*id)),
                connected: local || connected,
                complete: complete.filter(|_| local || connected),
                prio,
            }
        };
        configured.members.iter().zip(1..).map(line).collect()
    }

    fn paths(&self, snapshot: &Snapshot, peer: &PeerStatus) -> Vec<v1::StatusPath> {
        let Some(member) = self.config.members.get(&peer.node) else { return Vec::new() };
        let line = |(path, watch): (&crate::config::HeartbeatPath, &picket_core::detector::PathWatch)| {
            v1::StatusPath {
                machine: member.name.clone(),
                network: "UDP".to_owned(),
                addresses: format!("{}/{}", path.local, path.remote),
                state: if watch.alive { "ALIVE" } else { "DEAD" }.to_owned(),
                prio: path.prio,
                heard_ms: watch.heard_at.map(|at| ms(snapshot.now.since(at))),
                missed: watch.missed,
                rtt_us: None,
            }
        };
        member.paths.iter().zip(&peer.paths).map(line).collect()
    }

    fn member_lines(&self, snapshot: &Snapshot) -> Vec<v1::StatusMember> {
        let (config, status) = (&self.config, &snapshot.status);
        let tags = |holds: &[(VolumeId, picket_core::ids::Epoch)]| -> Vec<String> {
            holds.iter().map(|(id, _)| config.volume_name(*id)).collect()
        };
        let line = |id: &picket_core::ids::NodeId| {
            let local = *id == config.me;
            let peer = status.peers.iter().find(|peer| peer.node == *id);
            let said = peer.and_then(|peer| peer.said.as_ref());
            let state = match peer {
                None => "ALIVE",
                Some(peer) if peer.heard => "ALIVE",
                Some(peer) if peer.said.is_some() => "SUSPECT",
                Some(_) => "UNKNOWN",
            };
            let held = status.volumes.iter().filter(|volume| volume.phase.held().is_some());
            let own: Vec<String> = held.map(|volume| config.volume_name(volume.volume)).collect();
            let boot = if local { Some(status.boot) } else { said.map(|said| said.boot) };
            let (standby, held_for) = self.standing(*id, status.standby);
            v1::StatusMember {
                node: config.node_name(*id),
                id: u32::from(id.0),
                state: state.to_owned(),
                witness_hears: status.witness.registered.then(|| status.witness.hears.contains(*id)),
                boot: boot.map(|boot| boot.to_string()).unwrap_or_default(),
                version: if local { crate::VERSION.to_owned() } else { String::new() },
                local,
                maintenance: status.witness.maintenance.contains(*id),
                held_off: status.witness.held_off.contains(*id),
                failed: status.witness.failed.contains(*id) || local && status.failed,
                standby,
                held_for,
                site: config.members.get(id).map(|member| member.site.clone()).unwrap_or_default(),
                holds: if local {
                    own
                } else {
                    said.map_or_else(|| self.recorded(snapshot, *id), |said| tags(&said.holds))
                },
            }
        };
        config.members.keys().map(line).collect()
    }

    /// Whether a node is on standby, if that is known, and for whom it is held.
    fn standing(&self, id: NodeId, own: bool) -> (Option<bool>, Vec<String>) {
        let named = |nodes: Vec<NodeId>| nodes.into_iter().map(|node| self.config.node_name(node)).collect();
        if id == self.config.me {
            return (Some(own), named(self.stay.held_for()));
        }
        let Some(said) = self.peers.standing(id) else { return (None, Vec::new()) };
        let nodes = said.held_for.iter().filter_map(|node| u8::try_from(*node).ok()).map(NodeId);
        (said.standby, named(nodes.collect()))
    }

    /// What a node that is not heard holds by the record.
    fn recorded(&self, snapshot: &Snapshot, node: NodeId) -> Vec<String> {
        let holds = |volume: &&VolumeStatus| {
            let holder = volume.register.as_ref().and_then(|register| register.holder);
            holder.is_some_and(|holder| holder.node == node)
        };
        let held = snapshot.status.volumes.iter().filter(holds);
        held.map(|volume| self.config.volume_name(volume.volume)).collect()
    }

    fn quorum(&self, snapshot: &Snapshot) -> v1::StatusQuorum {
        let status = &snapshot.status;
        let heard = status.peers.iter().filter(|peer| peer.heard).count() + 1;
        // A recovering witness answers no renewal, and counts.
        let answers = !status.witness.lost || status.witness.recovering.is_some();
        let witness = usize::from(status.witness.registered && answers);
        let members = self.config.members.len();
        let (total, asked) = (members + 1, self.config.quorum.asked.len());
        // The witness breaks a tie among members, so half is enough with it.
        let (votes, needed, others) = match self.config.quorum.mode {
            QuorumMode::Majority => (
                heard + witness,
                total / 2 + usize::from(witness == 0 || !total.is_multiple_of(2)),
                String::new(),
            ),
            QuorumMode::TcpRemote | QuorumMode::Storage => {
                let answer = self.answers.newest();
                (answer, asked / 2 + 1, format!(", {answer} of {asked} listed answer"))
            }
            QuorumMode::None => (0, 0, String::new()),
        };
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        v1::StatusQuorum {
            mode: words::mode(self.config.quorum.mode).to_owned(),
            verdict: words::quorum(status.witness.quorum, status.quorum).to_owned(),
            votes: count(votes),
            needed: count(needed),
            reason: format!(
                "{heard} of {members} members heard, witness {}{others}",
                if witness == 1 { "answers" } else { "does not answer" }
            ),
        }
    }

    fn witness_line(&self, snapshot: &Snapshot) -> v1::StatusWitness {
        let witness = &snapshot.status.witness;
        let link = self.witness.status();
        v1::StatusWitness {
            address: link.address,
            connected: link.connected,
            registered: witness.registered,
            answered_ms: witness.answered_ago.map(ms),
            rtt_us: None,
            recovering: witness.recovering.is_some(),
            missing: witness.recovering.map(|missing| self.config.node_names(missing)).unwrap_or_default(),
            store: witness.seen.store.to_string(),
            commit: witness.seen.commit.0,
            error: link.error,
        }
    }

    fn permit(&self, permit: &picket_core::message::PermitView) -> v1::StatusPermit {
        v1::StatusPermit {
            permit: permit.permit.0,
            target: self.config.node_name(permit.target),
            fencer: self.config.node_name(permit.fencer),
        }
    }

    fn pending(&self, pending: &picket_core::message::PendingConfirmation) -> v1::StatusPending {
        let target = self.config.node_name(pending.target);
        v1::StatusPending {
            permit: pending.permit.0,
            challenge: pending.challenge.to_string(),
            heard_by: self.config.node_names(pending.heard_by),
            effective_in_ms: pending.effective_in.map(ms),
            text: format!("see that {target} is off"),
            target,
        }
    }

    fn fence_lines(&self) -> Vec<v1::StatusFence> {
        let newest = self.fencer.history().newest("", super::super::fencer::history::ENTRIES_MAX);
        let mut lines = Vec::new();
        for (target, levels) in &self.config.fencing {
            let name = self.config.node_name(*target);
            for ((at, devices), level) in levels.iter().enumerate().zip(1_u32..) {
                for ((beside, device), place) in devices.iter().enumerate().zip(1_u32..) {
                    let tested = self.tests.of((*target, at, beside));
                    let last = newest.iter().find(|entry| {
                        entry.target == name
                            && entry.level == level
                            && entry.device == place
                            && entry.action == "off"
                    });
                    lines.push(v1::StatusFence {
                        target: name.clone(),
                        level,
                        device: place.to_string(),
                        agent: device.title(),
                        test: tested.word.to_owned(),
                        tested_at: tested.at,
                        last_outcome: last.map(|entry| entry.outcome.clone()).unwrap_or_default(),
                        last_at: last.map(|entry| entry.started_at.clone()).unwrap_or_default(),
                        text: last.map(|entry| entry.text.clone()).unwrap_or_default(),
                        test_text: tested.text,
                        test_state: tested.state.to_owned(),
                        failing_since: tested.failing_since,
                        kind: words::device_kind(device.kind).to_owned(),
                    });
                }
            }
        }
        lines
    }

    /// What is not protected now, the worst first.
    fn unprotected(&self, snapshot: &Snapshot) -> Vec<v1::Unprotected> {
        let (config, status) = (&self.config, &snapshot.status);
        let mut lines = Vec::new();
        let mut add = |word: &str, subject: String, text: String| {
            lines.push(v1::Unprotected { word: word.to_owned(), subject, text, since: String::new() });
        };
        self.failing_fences().into_iter().for_each(|(word, node, text)| add(word, node, text));
        for volume in status.volumes.iter().filter(|volume| words::is_overridden(volume)) {
            let tag = config.volume_name(volume.volume);
            add(
                "OVERRIDDEN",
                tag.clone(),
                format!("{tag} was activated by an operator outside the guarantee"),
            );
        }
        self.displaced().into_iter().for_each(|(word, subject, text)| add(word, subject, text));
        if !status.witness.registered || status.witness.lost {
            add("NO_WITNESS", String::new(), "the witness does not answer: there is no fail-over".to_owned());
        }
        self.takes_none(status).into_iter().for_each(|(word, subject, text)| add(word, subject, text));
        for node in status.witness.maintenance.iter() {
            let name = config.node_name(node);
            let text =
                format!("{name} is in maintenance: until that ends nobody fences it or takes over from it");
            add("MAINTENANCE", name, text);
        }
        for volume in &status.volumes {
            let Some(register) = volume.register.as_ref().filter(|register| register.isr.len() == 1) else {
                continue;
            };
            let replicas = config.volumes.get(&volume.volume).map_or(0, |volume| volume.members.len());
            if let Some(only) = register.isr.iter().next().filter(|_| replicas > 1) {
                let text = format!("only {} is in sync: there is no fail-over", config.node_name(only));
                add("NO_STANDBY", config.volume_name(volume.volume), text);
            }
        }
        for peer in &status.peers {
            let name = config.node_name(peer.node);
            let alive = peer.paths.iter().filter(|path| path.alive).count();
            if !peer.can_fence {
                add(
                    "CANNOT_FENCE",
                    name.clone(),
                    format!("cannot fence {name}: no device could prove it off"),
                );
            } else if self.only_meatware(peer.node) {
                add("CANNOT_FENCE", name.clone(), format!("only a person can confirm that {name} is off"));
            }
            if peer.heard && alive < 2 {
                add("SINGLE_PATH", name.clone(), format!("only {alive} heartbeat path to {name} is alive"));
            }
        }
        if !self.watchdog.counts || !config.pause_visible || config.params.watchdog.is_none() {
            let text = "a lease of this node that runs out proves nothing: no watchdog counts, or a pause would not be seen";
            add("NO_LEASE_PROOF", config.name.clone(), text.to_owned());
        }
        for (_, volume) in config.own_volumes().filter(|(_, volume)| volume.barrier == Barrier::None) {
            let text = format!("{} is exclusive only: acknowledged writes are not protected", volume.name);
            add("EXCLUSIVE_ONLY", volume.name.clone(), text);
        }
        for (volume, text) in self.gaps.all() {
            add("GAP", config.volume_name(volume), text);
        }
        if config.lab.is_some() {
            add("LAB", config.name.clone(), "LAB: nothing real is protected here".to_owned());
        }
        lines
    }

    /// Nodes some of whose fence devices fail their tests: what is left says how bad that is.
    fn failing_fences(&self) -> Vec<(&'static str, String, String)> {
        let mut lines = Vec::new();
        for (target, levels) in &self.config.fencing {
            let name = self.config.node_name(*target);
            let (mut works, mut person, mut failing) = (false, false, Vec::new());
            for (at, devices) in levels.iter().enumerate() {
                let failed = failing.len();
                for (beside, device) in devices.iter().enumerate() {
                    let tested = self.tests.of((*target, at, beside));
                    if tested.fails() {
                        let since = &tested.failing_since;
                        failing.push(format!("{}: {} (since {since})", device.title(), tested.text));
                    }
                }
                let whole = failing.len() == failed;
                works |= whole && devices.iter().any(|device| device.kind == DeviceKind::Power);
                person |= whole && devices.iter().any(|device| device.kind == DeviceKind::Meatware);
            }
            if failing.is_empty() {
                continue;
            }
            let why = failing.join("; ");
            lines.push(match (works, person) {
                (true, _) => ("FENCE_DEGRADED", name.clone(), format!("one way less to fence {name}: {why}")),
                (false, true) => {
                    ("CANNOT_FENCE", name.clone(), format!("only a person can confirm {name} off: {why}"))
                }
                (false, false) => ("CANNOT_FENCE", name.clone(), format!("cannot fence {name}: {why}")),
            });
        }
        lines
    }

    fn only_meatware(&self, node: picket_core::ids::NodeId) -> bool {
        let levels = self.config.fencing.get(&node);
        levels.is_some_and(|levels| levels.iter().flatten().all(|device| device.kind != DeviceKind::Power))
    }
}

const fn driver(volume: &Volume) -> &'static str {
    match volume.driver {
        VolumeDriver::Ledger { .. } => "ledger",
        VolumeDriver::Command(_) => "command",
        VolumeDriver::Drbd(_) => "drbd",
        VolumeDriver::PostgreSql(_) => "postgresql",
    }
}

pub(super) fn prio(volume: &Volume, me: picket_core::ids::NodeId) -> u32 {
    volume.members.iter().zip(1_u32..).find(|(id, _)| **id == me).map_or(0, |(_, prio)| prio)
}

fn watchdog(watchdog: &WatchdogStatus) -> v1::StatusWatchdog {
    v1::StatusWatchdog {
        device: watchdog.title.clone(),
        armed: watchdog.armed,
        counts: watchdog.counts,
        timeout_ms: ms(watchdog.effective),
        petted: watchdog.petted.load(Ordering::Relaxed),
        text: watchdog.text.clone(),
    }
}

fn event(told: crate::event::Told) -> v1::StatusEvent {
    v1::StatusEvent {
        at: told.at,
        number: u32::from(told.code.number),
        name: told.code.name.to_owned(),
        level: told.code.level.word().to_owned(),
        text: told.text,
    }
}
