//! Who is who: members and volumes by number and by name.

use super::{Config, Member, Volume};
use picket_core::ids::{NodeId, NodeSet, VolumeId};

impl Config {
    /// The other members.
    pub fn peers(&self) -> impl Iterator<Item = (NodeId, &Member)> {
        self.members.iter().filter(|(id, _)| **id != self.me).map(|(id, member)| (*id, member))
    }

    /// The volumes that have a replica here.
    pub fn own_volumes(&self) -> impl Iterator<Item = (VolumeId, &Volume)> {
        let me = self.me;
        self.volumes
            .iter()
            .filter(move |(_, volume)| volume.members.contains(&me))
            .map(|(id, volume)| (*id, volume))
    }

    /// The name of a member; its number if it is none.
    #[must_use]
    pub fn node_name(&self, id: NodeId) -> String {
        self.members.get(&id).map_or_else(|| id.to_string(), |member| member.name.clone())
    }

    /// The names of a set of members.
    #[must_use]
    pub fn node_names(&self, set: NodeSet) -> Vec<String> {
        set.iter().map(|id| self.node_name(id)).collect()
    }

    /// The member of that name.
    #[must_use]
    pub fn node_named(&self, name: &str) -> Option<NodeId> {
        self.members.iter().find(|(_, member)| member.name == name).map(|(id, _)| *id)
    }

    /// The name of a volume; its number if there is none.
    #[must_use]
    pub fn volume_name(&self, id: VolumeId) -> String {
        self.volumes.get(&id).map_or_else(|| id.to_string(), |volume| volume.name.clone())
    }

    /// The volume of that name.
    #[must_use]
    pub fn volume_named(&self, name: &str) -> Option<VolumeId> {
        self.volumes.iter().find(|(_, volume)| volume.name == name).map(|(id, _)| *id)
    }
}
