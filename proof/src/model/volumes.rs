//! Volumes: replication, the writes of clients, and what drivers see and do.

use super::host::{Host, VolumeAction2};
use super::net::Kind;
use super::replica::Replica;
use super::world::World;
use picket_core::ids::{NodeId, NodeSet, VolumeId};
use picket_core::node::{CommandOutcome, Input, Role, VolumeReport};
use picket_core::time::Instant;

impl World {
    /// Whether two replicas reach each other.
    #[must_use]
    pub fn replicates(&self, volume: VolumeId, a: NodeId, b: NodeId) -> bool {
        let up =
            |id: NodeId| self.hosts.get(&id).is_some_and(|host| host.runs() && host.paused_until.is_none());
        up(a) && up(b) && self.net.replicates(volume, a, b)
    }

    pub(super) fn replica(&self, id: NodeId, volume: VolumeId) -> Option<&Replica> {
        self.hosts.get(&id)?.volumes.get(&volume)
    }

    pub(super) fn replica_mut(&mut self, id: NodeId, volume: VolumeId) -> Option<&mut Replica> {
        self.hosts.get_mut(&id)?.volumes.get_mut(&volume)
    }

    /// Whether a peer takes a primary's writes: it has promised no newer one.
    #[must_use]
    pub fn takes(&self, volume: VolumeId, primary: NodeId, peer: NodeId) -> bool {
        let (Some(from), Some(to)) = (self.replica(primary, volume), self.replica(peer, volume)) else {
            return false;
        };
        self.replicates(volume, primary, peer) && to.role == Role::Secondary && to.max_epoch <= from.epoch
    }

    /// Whether nothing arrives, and neither end has noticed that.
    fn stalls(&self, a: NodeId, b: NodeId) -> bool {
        !self.net.cut.is_empty() && !self.net.connects(a, b, Kind::Unnoticed)
    }

    /// A connected secondary gets all that the primary has.
    pub(super) fn catch_up(&mut self, volume: VolumeId, primary: NodeId, peer: NodeId) {
        let Some(from) = self.replica(primary, volume).filter(|from| from.role == Role::Primary).cloned()
        else {
            return;
        };
        if !self.takes(volume, primary, peer) || self.stalls(primary, peer) {
            return;
        }
        if let Some(to) = self.replica_mut(peer, volume) {
            to.max_epoch = from.epoch;
            to.log = from.log;
            to.generation = from.generation;
            to.complete = true;
        }
    }

    /// Every client writes to whatever takes writes, and replicas that are behind catch up.
    pub(super) fn write_everywhere(&mut self) {
        let volumes: Vec<VolumeId> = self.acknowledged.keys().copied().collect();
        let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
        for volume in volumes {
            for id in &ids {
                let writes = self.replica(*id, volume).is_some_and(Replica::takes_writes);
                let runs = self.hosts.get(id).is_some_and(|host| host.runs() && host.paused_until.is_none());
                if writes && runs {
                    self.write(volume, *id);
                    for peer in &ids {
                        if peer != id {
                            self.catch_up(volume, *id, *peer);
                        }
                    }
                }
            }
        }
    }

    pub(super) fn write(&mut self, volume: VolumeId, id: NodeId) {
        self.next_write += 1;
        let number = self.next_write;
        let Some(replica) = self.replica_mut(id, volume) else { return };
        replica.log.push(number);
        let required = replica.required;
        let lost: NodeSet = required.iter().filter(|peer| !self.takes(volume, id, *peer)).collect();
        let hangs = required.minus(lost).iter().any(|peer| self.stalls(id, peer));
        for peer in required.minus(lost).iter() {
            self.catch_up(volume, id, peer);
        }
        if let Some(replica) = self.replica_mut(id, volume) {
            replica.lost = lost;
        }
        if lost.is_empty() && !hangs {
            super::properties::check_acknowledged(self, volume, id);
            if let Some(acknowledged) = self.acknowledged.get_mut(&volume) {
                acknowledged.push(number);
            }
        }
    }

    /// What the driver sees. What cannot be seen any more is told of as the daemon's drivers do: what was last said may
    /// be over, and the data is what it was; of what was never seen nothing is told.
    pub(super) fn report(&self, id: NodeId, volume: VolumeId) -> Option<VolumeReport> {
        let replica = self.replica(id, volume)?;
        if self.hosts.get(&id)?.blind_until.is_some() {
            let last = replica.told.clone()?;
            let (connected, complete_peers) = (NodeSet::EMPTY, NodeSet::EMPTY);
            return Some(VolumeReport {
                role: Role::Unknown,
                frozen: false,
                connected,
                complete_peers,
                ..last
            });
        }
        let others = || self.hosts.keys().copied().filter(|peer| *peer != id);
        let connected = others().filter(|peer| self.replicates(volume, id, *peer)).collect();
        // A peer that was away and is connected again is not complete before it has what it missed meanwhile.
        let same = |peer: &NodeId| {
            self.replica(*peer, volume).is_some_and(|p| {
                let has_all = p.generation.current == replica.generation.current && p.log == replica.log;
                p.complete && (has_all || replica.required.contains(*peer) && self.stalls(id, *peer))
            })
        };
        let complete_peers = others().filter(|peer| self.takes(volume, id, *peer)).filter(same).collect();
        Some(VolumeReport {
            role: replica.role,
            frozen: replica.frozen,
            complete: replica.complete,
            generation: replica.generation.clone(),
            connected,
            complete_peers,
            required: replica.required,
            lost: replica.lost,
        })
    }

    pub(super) fn report_one(&mut self, id: NodeId, volume: VolumeId) {
        let Some(report) = self.report(id, volume) else { return };
        // A driver that hangs has no first look at its volume either.
        let reads = |host: &Host| {
            let looked = host.volumes.get(&volume).is_some_and(|replica| replica.told.is_some());
            host.daemon.is_some() && (looked || host.driver_until.is_none())
        };
        let listens = self.hosts.get(&id).is_some_and(reads);
        let Some(replica) = self.replica_mut(id, volume) else { return };
        if listens && replica.told.as_ref() != Some(&report) {
            replica.told = Some(report.clone());
            self.inbox.push_back((id, Input::Volume { volume, report }));
        }
    }

    pub(super) fn report_changes(&mut self) {
        let all: Vec<(NodeId, VolumeId)> =
            self.hosts.keys().flat_map(|id| self.acknowledged.keys().map(|volume| (*id, *volume))).collect();
        for (id, volume) in all {
            self.report_one(id, volume);
        }
    }
}

/// Carries out a command on a replica.
pub(super) fn act(host: &mut Host, volume: VolumeId, action: VolumeAction2, now: Instant) -> CommandOutcome {
    let clock = host.clock(now);
    let id = host.id;
    let Some(replica) = host.volumes.get_mut(&volume) else {
        return CommandOutcome::Failed("no such volume".into());
    };
    let refuse = |text: &str| CommandOutcome::Failed(text.into());
    match action {
        VolumeAction2::Promote { epoch, required, valid_until } => {
            if clock >= valid_until {
                return refuse("too late");
            }
            if epoch <= replica.max_epoch || !replica.complete {
                return refuse("an older epoch, or incomplete");
            }
            replica.role = Role::Primary;
            replica.epoch = epoch;
            replica.max_epoch = epoch;
            replica.required = required;
            replica.lost = NodeSet::EMPTY;
        }
        VolumeAction2::Demote => {
            replica.role = Role::Secondary;
            replica.frozen = false;
            replica.required = NodeSet::EMPTY;
            replica.lost = NodeSet::EMPTY;
        }
        VolumeAction2::Freeze => replica.frozen = true,
        VolumeAction2::Thaw { valid_until } => {
            if clock >= valid_until {
                return refuse("too late");
            }
            replica.frozen = false;
        }
        VolumeAction2::Drop(peer) => {
            replica.required = replica.required.without(peer);
            replica.lost = replica.lost.without(peer);
            replica.new_generation(id);
        }
        VolumeAction2::Require(peer) => replica.required = replica.required.with(peer),
    }
    CommandOutcome::Done
}
