//! `[[condition]]`: what a node must have for volumes to be placed on it.
//!
//! ```toml
//! [[condition]]
//! tag = "gateway"
//! volumes = ["v1"]       # absent: all
//! command = ["/usr/bin/ping", "-n", "-c", "1", "-W", "1", "192.0.2.1"]
//! interval = "5s"
//! timeout = "3s"
//! threshold = 3          # so often in a row it is not met
//! ```

use super::Volume;
use super::resources::argv;
use super::timing::length;
use core::time::Duration;
use picket_core::ids::VolumeId;
use picket_host::config::{Table, Unique, integer, list_of, name};
use std::collections::BTreeMap;

/// Between two looks, unless the file says else.
const INTERVAL: Duration = Duration::from_secs(10);

/// How long a look may take, unless the file says else.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How often in a row a look must fail, unless the file says else: one lost packet is no lost network.
const THRESHOLD: u32 = 3;

/// What this node looks at to know whether volumes should be here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Its name.
    pub tag: String,
    /// The volumes that it is about.
    pub volumes: Vec<VolumeId>,
    /// Exits with 0 when it is met.
    pub command: Vec<String>,
    /// Between two looks.
    pub interval: Duration,
    /// How long a look may take; then it was not met.
    pub timeout: Duration,
    /// So often in a row it must not be met.
    pub threshold: u32,
}

pub(super) fn read(root: &Table<'_, '_>, volumes: &BTreeMap<VolumeId, Volume>) -> Vec<Condition> {
    let mut tags = Unique::new();
    let mut conditions = Vec::new();
    for table in root.tables("condition") {
        let tag = table.required("tag", name());
        tags.add(&table, "tag", tag.as_ref());
        let named = table.optional("volumes", list_of(name()));
        let find =
            |wanted: &String| volumes.iter().find(|(_, volume)| volume.name == *wanted).map(|(id, _)| *id);
        if let Some(unknown) = named.iter().flatten().find(|wanted| find(wanted).is_none())
            && !volumes.is_empty()
        {
            table.wrong("volumes", format!("{unknown:?} is no volume"), "names of [[volume]]s");
        }
        let about = named.map_or_else(
            || volumes.keys().copied().collect(),
            |named| named.iter().filter_map(find).collect(),
        );
        let command = table.required("command", argv());
        let interval = table.or("interval", length(), INTERVAL);
        let timeout = table.or("timeout", length(), TIMEOUT);
        let threshold = table.or("threshold", integer(1..=1_000_u32), THRESHOLD);
        if let (Some(tag), Some(command)) = (tag, command) {
            conditions.push(Condition { tag, volumes: about, command, interval, timeout, threshold });
        }
    }
    conditions
}
