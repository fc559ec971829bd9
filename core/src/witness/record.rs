//! What a witness keeps on its disk: durable before any answer that depends on it.
//!
//! Lengths of time stand here, never instants: after a restart each of them runs in full again, which is the safe
//! side for all of them.

use crate::evidence::{Proof, SelfFence};
use crate::ids::{
    AttemptId, BootId, CommitIndex, Epoch, GenerationId, IsrVersion, NodeId, NodeSet, PermitId, StoreId,
    VolumeId,
};
use crate::message::{FenceReason, Holder, RegisterView};
use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The newest schema of the record.
pub const SCHEMA: u16 = 1;

/// Stores in [`Record::absorbed`], at most: several times what all members can have seen at one time. A member that
/// names ever new stores would otherwise make the record grow without end, for the witness of every cluster.
pub const ABSORBED_MAX: usize = 64;

/// Former boots that are remembered of one node, at most: more than a boot a day for ten years. Sixteen nodes with as
/// many fit well into what a store takes for one record.
pub const SUPERSEDED_MAX: usize = 4096;

/// Everything that a witness knows durably of one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`] of the writer.
    pub schema: u16,
    /// The store.
    pub store: StoreId,
    /// How many durable changes it has taken.
    pub commit: CommitIndex,
    /// History may be missing: nothing is granted until every member has reported or an operator adopts.
    pub recovery: bool,
    /// Another witness took this store's place: it serves nobody any more.
    pub retired: bool,
    /// Stores whose history a recovery took in, each up to which change; [`ABSORBED_MAX`] of them. One that is
    /// forgotten counts as never heard of: who has seen it causes another recovery, and nothing else.
    pub absorbed: BTreeMap<StoreId, CommitIndex>,
    /// The longest L+G that a lease given from this store may still be counted with.
    pub lease_and_guard: Duration,
    /// The number of the newest permit.
    pub permits: PermitId,
    /// By volume.
    pub volumes: BTreeMap<VolumeId, Register>,
    /// By node.
    pub nodes: BTreeMap<NodeId, NodeRecord>,
}

/// A volume's register. It changes by compare-and-swap only.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Register {
    /// The newest grant's epoch.
    pub epoch: Epoch,
    /// The next grant gets an epoch above this one too: epochs up to it may have been burnt elsewhere.
    pub floor: Epoch,
    /// Who holds it, and with which boot.
    pub holder: Option<Holder>,
    /// A permit was issued against the holder: its epoch is dead for ever, though nothing proves it inactive yet.
    pub revoked: bool,
    /// The holder was activated without a witness, for as long as a person said, and has not renewed since: it counts
    /// no lease yet, so that the end of one proves nothing.
    #[serde(default)]
    pub overridden: bool,
    /// Replicas that have every acknowledged write. Empty: not known yet.
    pub isr: NodeSet,
    /// The version of that set.
    pub isr_version: IsrVersion,
    /// The data that a replica must have or descend from.
    pub generation: GenerationId,
    /// Which attempt of the holder got the newest grant.
    pub attempt: Option<AttemptId>,
    /// What that grant stood on.
    pub proof: Option<Proof>,
    /// For a handover under way: who is expected to take it.
    pub successor: Option<NodeId>,
}

/// What is known of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeRecord {
    /// The current boot; proven newer than every other by a nonce.
    pub boot: Option<BootId>,
    /// Former boots, refused for ever; none is forgotten. With [`SUPERSEDED_MAX`] of them the node gets no other boot.
    pub superseded: BTreeSet<BootId>,
    /// What the current boot's watchdog and clocks promise.
    pub self_fence: SelfFence,
    /// Volumes whose barrier suffices for a lease proof although the current boot can be paused unseen.
    pub barrier_suffices: BTreeSet<VolumeId>,
    /// The clock of the node was seen to run outside the bound.
    pub drifts: bool,
    /// The live permit against the node.
    pub permit: Option<PermitRecord>,
    /// The newest boot that was confirmed off.
    pub fenced: Option<FencedBoot>,
    /// The boot that declared itself failed.
    pub failed: Option<BootId>,
    /// A maintenance was declared, for so long.
    pub maintenance: Option<Duration>,
    /// How many fences of the node lie within the window of the loop limit.
    pub fences: u32,
    /// Fenced too often: kept off until an operator clears it.
    pub held_off: bool,
}

/// A boot that is proven inactive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FencedBoot {
    /// The boot.
    pub boot: BootId,
    /// The permit under which it was confirmed off.
    pub permit: PermitId,
    /// A person attested it, no device.
    pub attested: bool,
}

/// The right to fence one boot of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PermitRecord {
    /// Its number.
    pub id: PermitId,
    /// The boot that it is for.
    pub target_boot: BootId,
    /// Who fences.
    pub fencer: NodeId,
    /// The fencer's attempt.
    pub attempt: AttemptId,
    /// Why.
    pub reason: FenceReason,
    /// Start, all levels, and the guard: how long an agent may still act under it.
    pub lives: Duration,
    /// The node is to be kept off afterwards.
    pub keep_off: bool,
    /// The fence came to the level where an operator must confirm; no timer ends the permit any more.
    pub asked: Option<Asked>,
}

/// An operator's confirmation that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Asked {
    /// What the operator must type: six digits.
    pub challenge: u32,
    /// It was typed; it counts when its wait is over.
    pub confirmed: bool,
}

impl Record {
    /// Takes note of the history of another store, up to `commit`. Forgets another one if there are too many.
    pub(super) fn absorb(&mut self, store: StoreId, commit: CommitIndex) {
        let known = self.absorbed.entry(store).or_default();
        *known = commit.max(*known);
        while self.absorbed.len() > ABSORBED_MAX {
            let Some(other) = self.absorbed.keys().copied().find(|other| *other != store) else { return };
            self.absorbed.remove(&other);
        }
    }
}

impl Register {
    /// The register as others see it.
    #[must_use]
    pub const fn view(&self, volume: VolumeId) -> RegisterView {
        RegisterView {
            volume,
            epoch: self.epoch,
            holder: self.holder,
            isr: self.isr,
            isr_version: self.isr_version,
            generation: self.generation,
            successor: self.successor,
        }
    }

    /// Whether nothing was ever recorded for the volume.
    #[must_use]
    pub const fn is_blank(&self) -> bool {
        self.epoch.0 == 0 && self.floor.0 == 0 && self.isr_version.0 == 0 && self.isr.is_empty()
    }

    /// Takes a new in-sync set, with the next version. Each change of the set goes through here.
    pub(super) const fn set_isr(&mut self, isr: NodeSet) {
        self.isr = isr;
        self.isr_version.0 += 1;
    }
}

impl NodeRecord {
    /// Whether the boot was confirmed off.
    #[must_use]
    pub fn is_fenced(&self, boot: BootId) -> bool {
        self.fenced.is_some_and(|fenced| fenced.boot == boot)
    }
}

impl FencedBoot {
    /// The proof of inactivity that it is.
    #[must_use]
    pub const fn proof(self) -> Proof {
        if self.attested {
            Proof::Attested { permit: self.permit }
        } else {
            Proof::Fenced { permit: self.permit }
        }
    }
}
