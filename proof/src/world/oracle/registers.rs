//! Every change of the witness's record, and what nodes keep on their disks.

use super::super::World;
use crate::grants;
use picket_core::ids::{NodeId, NodeSet, VolumeId};
use picket_core::message::{Request, UpdateInSync};
use picket_core::witness::{Input, Record, Register};

/// Who spoke to the witness in a step, and what of it matters here.
#[derive(Clone, Debug)]
pub(in super::super) struct Spoken {
    node: Option<NodeId>,
    update: Option<UpdateInSync>,
    relays: bool,
}

impl Spoken {
    /// Of an input. What a person asks through a node is not the node's word.
    pub(in super::super) fn of(input: &Input) -> Self {
        match input {
            Input::Message { node, message } => match &message.body {
                Request::Operator { .. } => Self { node: None, update: None, relays: false },
                Request::RelayRelease { .. } => Self { node: Some(*node), update: None, relays: true },
                Request::UpdateInSync(update) => {
                    Self { node: Some(*node), update: Some(update.clone()), relays: false }
                }
                _ => Self { node: Some(*node), update: None, relays: false },
            },
            Input::Tick | Input::Connected { .. } | Input::Disconnected { .. } | Input::Operator { .. } => {
                Self { node: None, update: None, relays: false }
            }
        }
    }
}

impl World {
    /// The witness starts with what is on its disk.
    pub(in super::super) fn witness_begins(&mut self) {
        self.oracle.record = self.witness.machine().map(|machine| machine.record().clone());
        self.oracle.witness_started = self.witness.clock.read(self.now);
    }

    /// The witness took a step: compares its record with the one before.
    pub(in super::super) fn check_step(&mut self, spoken: &Spoken) {
        let Some(machine) = self.witness.machine() else { return };
        let changed = self.oracle.record.as_ref().is_none_or(|known| known.commit != machine.record().commit);
        if !changed {
            return;
        }
        let after = machine.record().clone();
        let Some(before) = self.oracle.record.replace(after.clone()) else { return };
        if spoken.relays {
            self.rules.hit(super::super::rules::RELAY);
        }
        if let Some(volume) = before.volumes.keys().find(|volume| !after.volumes.contains_key(volume)) {
            self.violated("epochs-grow", format!("the witness has no record of volume {volume} any more"));
        }
        for (volume, now) in &after.volumes {
            let Some(was) = before.volumes.get(volume).filter(|was| *was != now) else { continue };
            self.rules_of_register(was, now);
            self.check_growth(*volume, was, now);
            if !before.recovery && !after.recovery {
                self.check_grant(*volume, was, now, [&before, &after]);
                self.check_update(*volume, was, now, spoken);
            }
        }
        self.check_target(&before, &after, spoken);
        self.check_nodes(&before, &after);
    }

    /// Epochs and versions only grow.
    fn check_growth(&mut self, volume: VolumeId, was: &Register, now: &Register) {
        if now.epoch < was.epoch || now.isr_version < was.isr_version {
            self.violated("epochs-grow", format!("the witness's epoch or version of volume {volume} fell"));
        }
    }

    /// A new epoch: one for an attempt, and only who is gone is left out of the in-sync set.
    pub(super) fn check_grant(
        &mut self,
        volume: VolumeId,
        was: &Register,
        now: &Register,
        [before, after]: [&Record; 2],
    ) {
        let Some(holder) = now.holder.filter(|_| now.epoch > was.epoch) else { return };
        let node = holder.node;
        self.check_authority(volume, node);
        if was.attempt.is_some() && (was.attempt, was.holder) == (now.attempt, now.holder) {
            let text = format!(
                "one attempt of node {node} at volume {volume} got epochs {} and {}",
                was.epoch, now.epoch
            );
            self.violated("one-epoch", text);
        }
        if let Some(what) = grants::wrong_set(node, [was, now], [before, after]) {
            self.violated("takeover-set", format!("the grant of volume {volume} to node {node} {what}"));
        }
        self.check_barred(volume, node, now, after);
    }

    /// Whoever is to be fenced, has declared itself failed or is held off is granted nothing.
    pub(super) fn check_barred(&mut self, volume: VolumeId, node: NodeId, now: &Register, after: &Record) {
        if let Some(why) = after.nodes.get(&node).and_then(|known| grants::barred(known, now)) {
            self.violated("grant-barred", format!("volume {volume} is granted to node {node}, which {why}"));
        }
    }

    /// A holder's change: who joins was an intent on the holder's disk before the request was sent.
    fn check_update(&mut self, volume: VolumeId, was: &Register, now: &Register, spoken: &Spoken) {
        let (Some(node), Some(update)) = (spoken.node, &spoken.update) else { return };
        if update.volume != volume || now.isr_version <= was.isr_version || now.epoch != was.epoch {
            return;
        }
        let disk = self.machine(node).store.disk.read().and_then(|disk| disk.volumes.get(&volume));
        let intended: NodeSet =
            disk.map(|disk| disk.intents.iter().map(|intent| intent.peer).collect()).unwrap_or_default();
        let surprise = now.isr.minus(was.isr).minus(intended);
        if !surprise.is_empty() {
            let text = format!(
                "nodes {surprise} come into sync on volume {volume} by node {node}, which has no record of that"
            );
            self.violated("intent-first", text);
        }
    }

    /// From its permit on, a target changes no in-sync set.
    fn check_target(&mut self, before: &Record, after: &Record, spoken: &Spoken) {
        let Some(node) = spoken.node else { return };
        let is_target = before.nodes.get(&node).is_some_and(|known| known.permit.is_some());
        if !is_target || before.recovery || after.recovery {
            return;
        }
        let changed = before.volumes.iter().find(|(volume, was)| {
            after.volumes.get(volume).is_some_and(|now| now.isr != was.isr && now.epoch == was.epoch)
        });
        if let Some((volume, _)) = changed {
            let text = format!("node {node} is to be fenced, and changes who is in sync on volume {volume}");
            self.violated("target-silent", text);
        }
    }

    /// New permits, and boots that a device has just proved off.
    fn check_nodes(&mut self, before: &Record, after: &Record) {
        for (id, known) in &after.nodes {
            let was = before.nodes.get(id);
            if let Some(permit) = known.permit.filter(|permit| permit.id > before.permits) {
                self.check_permit(after, *id, permit);
            }
            let back = known.boot.filter(|boot| was.is_some_and(|was| was.superseded.contains(boot)));
            if back.is_some() {
                self.violated("boot-order", format!("an earlier boot of node {id} is its current one again"));
            }
            let Some(fenced) = known.fenced.filter(|fenced| !fenced.attested) else { continue };
            let new = was.is_none_or(|was| was.fenced != known.fenced);
            let machine = self.machine(*id);
            let runs = machine.boot == fenced.boot && machine.power == super::super::machine::Power::On;
            if new && runs {
                self.violated(
                    "fenced-off",
                    format!("node {id} counts as fenced, and runs in that very boot"),
                );
            }
        }
    }

    /// A node's durable epochs only grow.
    pub(in super::super) fn check_durable(&mut self, node: NodeId) {
        let Some(disk) = self.machines[usize::from(node.0) - 1].store.disk.read() else { return };
        let epochs: Vec<_> = disk.volumes.iter().map(|(id, volume)| (*id, volume.max_epoch)).collect();
        let lost = self
            .oracle
            .durable_epochs
            .keys()
            .find(|(of, volume)| *of == node && epochs.iter().all(|(known, _)| known != volume));
        if let Some((_, volume)) = lost.copied() {
            self.violated("epochs-grow", format!("node {node} has no record of volume {volume} any more"));
        }
        for (volume, epoch) in epochs {
            let before = self.oracle.durable_epochs.insert((node, volume), epoch).unwrap_or_default();
            if epoch < before {
                self.violated("epochs-grow", format!("node {node}, volume {volume}: {before}, then {epoch}"));
            }
        }
        self.rules_of_disk(node);
    }

    /// What is durable at the witness: each epoch belongs to one holder.
    pub(in super::super) fn check_witness_record(&mut self) {
        self.note_by_hand();
        let Some(record) = self.witness.disk.read() else { return };
        // Only what is on the disk tells the next start too.
        self.oracle.rolled_back &= !record.recovery;
        let registers: Vec<_> = record.volumes.iter().map(|(id, r)| (*id, r.epoch, r.holder)).collect();
        for (volume, epoch, holder) in registers {
            if let Some(holder) = holder {
                self.one_holder(volume, epoch, holder.node, holder.boot);
            }
            self.check_in_sync(volume);
        }
    }
}
