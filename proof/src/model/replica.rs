//! A replicated volume as the model has it: synchronous replication with a barrier, nothing else.

use picket_core::evidence::Generation;
use picket_core::ids::{Epoch, GenerationId, NodeId, NodeSet};
use picket_core::node::{Role, VolumeReport};

/// One node's replica.
#[derive(Clone, Debug)]
pub struct Replica {
    /// Its role.
    pub role: Role,
    /// With which epoch it was promoted.
    pub epoch: Epoch,
    /// The highest epoch it ever had or took writes under; durable.
    pub max_epoch: Epoch,
    /// I/O is suspended by a freeze.
    pub frozen: bool,
    /// Peers that each write waits for.
    pub required: NodeSet,
    /// Required peers that the last write could not reach.
    pub lost: NodeSet,
    /// The writes, in order; durable.
    pub log: Vec<u16>,
    /// What identifies the data; durable.
    pub generation: Generation,
    /// It has all of its data; durable.
    pub complete: bool,
    /// What the daemon was told last.
    pub told: Option<VolumeReport>,
}

impl Replica {
    /// A replica that is in sync with the others and has nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            role: Role::Secondary,
            epoch: Epoch(0),
            max_epoch: Epoch(0),
            frozen: false,
            required: NodeSet::EMPTY,
            lost: NodeSet::EMPTY,
            log: Vec::new(),
            generation: Generation::first(GenerationId(1)),
            complete: true,
            told: None,
        }
    }

    /// The machine lost its power: a replica always comes back Secondary.
    pub fn power_lost(&mut self) {
        self.role = Role::Secondary;
        self.frozen = false;
        self.required = NodeSet::EMPTY;
        self.lost = NodeSet::EMPTY;
        self.told = None;
    }

    /// A write would be acknowledged now if every required peer took it.
    #[must_use]
    pub fn takes_writes(&self) -> bool {
        self.role == Role::Primary && !self.frozen
    }

    /// The data goes its own way from now on.
    pub fn new_generation(&mut self, node: NodeId) {
        let next =
            (self.generation.current.0 << 8) ^ u128::from(self.epoch.0 * 16 + u64::from(node.0)) ^ 0x51;
        self.generation.history.insert(0, self.generation.current);
        self.generation.history.truncate(Generation::HISTORY_MAX);
        self.generation.current = GenerationId(next);
    }
}

impl Default for Replica {
    fn default() -> Self {
        Self::new()
    }
}
