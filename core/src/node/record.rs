//! What a node machine keeps: on its disk, and for this boot.

use crate::ids::{BootId, Epoch, GenerationId, IsrVersion, NodeId, NodeSet, VolumeId};
use crate::message::{Override, Seen};
use crate::time::{Duration, Instant, Instants};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The newest schema of both records.
pub const SCHEMA: u16 = 1;

/// What changed in one step. Both parts are whole records, and must be in place before any effect of the step.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeRecord {
    /// To be synced to the disk.
    pub disk: Option<Disk>,
    /// To be written below `/run`, which a boot empties; it needs no sync.
    pub run: Option<Run>,
}

/// What survives a crash of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Disk {
    /// [`SCHEMA`] of the writer.
    pub schema: u16,
    /// The newest position in a witness's store that this node was told.
    pub seen: Seen,
    /// By volume.
    pub volumes: BTreeMap<VolumeId, DiskVolume>,
    /// An operator put this node on standby: it takes no volume until an operator puts it online again.
    #[serde(default)]
    pub standby: bool,
    /// No promise to a holder that may still be good was given for longer. Timings can have been longer before a
    /// boot, or be longer at a peer.
    #[serde(default)]
    pub longest_promise: Duration,
}

/// What survives of a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DiskVolume {
    /// The highest epoch that was ever seen.
    pub max_epoch: Epoch,
    /// The newest in-sync set that the witness told.
    pub isr: NodeSet,
    /// Its version.
    pub isr_version: IsrVersion,
    /// The generation recorded with it.
    pub recorded: GenerationId,
    /// Grows that were asked for and whose end is not known.
    pub intents: Vec<GrowIntent>,
    /// An activation without a witness that no witness has recorded yet.
    pub overridden: Option<Override>,
}

/// A peer was asked to be taken into the in-sync set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GrowIntent {
    /// The peer.
    pub peer: NodeId,
    /// The version of the set that the request was made on.
    pub version: IsrVersion,
}

/// What a restart of the daemon finds again, and a boot of the machine does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Run {
    /// [`SCHEMA`] of the writer.
    pub schema: u16,
    /// The boot that it belongs to; another boot's is not read.
    pub boot: BootId,
    /// What is held.
    pub held: BTreeMap<VolumeId, RunHeld>,
    /// Promises made to holders.
    pub promises: Vec<Promise>,
    /// The daemon was stopped under a maintenance that the witness recorded: what is held was left running.
    pub keeps_running: bool,
    /// A stop failed in this boot.
    pub failed: bool,
}

/// A volume that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunHeld {
    /// With which epoch.
    pub epoch: Epoch,
    /// Until when the lease lasts.
    pub lease_until: Instant,
    /// Its renewal was refused, and not granted since: no peer may extend the lease.
    pub refused: bool,
    /// What was driven ([`VolumeConfig::driver`](super::VolumeConfig)); absent: unknown.
    #[serde(default)]
    pub driver: Option<u64>,
}

/// Not to ask for a volume for a while, because its holder cannot reach the witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Promise {
    /// The volume.
    pub volume: VolumeId,
    /// To whom.
    pub to: NodeId,
    /// The epoch that the holder had.
    pub epoch: Epoch,
    /// Until when.
    pub until: Instant,
}

impl Disk {
    /// Whether the volume was activated without a witness, and none is known to have recorded it.
    #[must_use]
    pub fn is_by_hand(&self, id: VolumeId) -> bool {
        self.volumes.get(&id).is_some_and(|disk| disk.overridden.is_some())
    }
}

impl DiskVolume {
    /// The maximal view: every node that may have to have a write before it is acknowledged.
    #[must_use]
    pub fn maximal_isr(&self) -> NodeSet {
        self.intents.iter().fold(self.isr, |set, intent| set.with(intent.peer))
    }

    /// Whether every grow that was ever asked for has come to a known end.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.intents.is_empty()
    }
}

impl Instants for Run {
    fn instants(&mut self, visit: &mut dyn FnMut(&mut Instant)) {
        for held in self.held.values_mut() {
            visit(&mut held.lease_until);
        }
        for promise in &mut self.promises {
            visit(&mut promise.until);
        }
    }
}
