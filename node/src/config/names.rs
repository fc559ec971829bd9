//! What nodes and volumes are called, for the core's words.

use super::Config;
use picket_core::error::Names;
use picket_core::ids::{NodeId, VolumeId};

impl Names for Config {
    fn node(&self, id: NodeId) -> String {
        self.node_name(id)
    }

    fn volume(&self, id: VolumeId) -> String {
        self.volume_name(id)
    }
}
