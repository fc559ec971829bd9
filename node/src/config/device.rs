//! A fence device as it is configured: which agent, how it is called, what it may take.

use core::time::Duration;
use picket_core::topology::{self, DeviceKind, FencePlan};
use picket_fence::registry;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A fence device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceDevice {
    /// The program; absent for meatware.
    pub agent: Option<PathBuf>,
    /// Its arguments; never options, which go to its standard input.
    pub args: Vec<String>,
    /// What it can do.
    pub kind: DeviceKind,
    /// How long one try may take.
    pub timeout: Duration,
    /// How many tries follow the first.
    pub retries: u8,
    /// How long to wait before the first try.
    pub delay: Duration,
    /// Options, by name.
    pub options: BTreeMap<String, String>,
    /// Options whose values stand in files that only their owner can read.
    pub secrets: BTreeMap<String, PathBuf>,
    /// How far it is tested by the clock.
    pub test: TestDepth,
    /// The agent's words for what it is to do.
    pub actions: ActionMap,
}

/// How far a device is tested without harm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TestDepth {
    /// `monitor`, `status`, and whether it is the right machine.
    #[default]
    Full,
    /// `monitor` only, for agents that cannot read the power state.
    Monitor,
    /// Not at all.
    None,
}

/// The agent's words for what it is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionMap {
    /// Off, seen off by the agent.
    pub off: String,
    /// On; absent: it is not to power on.
    pub on: Option<String>,
}

impl Default for ActionMap {
    fn default() -> Self {
        Self { off: "off".to_owned(), on: Some("on".to_owned()) }
    }
}

impl FenceDevice {
    /// Whether its agent can read the power state without having been asked to change it. Known of our own agents;
    /// of others it is believed, and `test = "monitor"` says that it is not so.
    #[must_use]
    pub fn reads_state(&self) -> bool {
        self.agent.as_deref().and_then(registry::of_program).is_none_or(|kind| kind.reads_state)
    }

    /// The name for people: the agent's file name and its first argument.
    #[must_use]
    pub fn title(&self) -> String {
        let Some(agent) = &self.agent else { return "meatware".to_owned() };
        let name = agent.file_name().unwrap_or(agent.as_os_str()).to_string_lossy();
        match self.args.last() {
            Some(last) => format!("{name} {last}"),
            None => name.into_owned(),
        }
    }
}

/// What the core knows of a node's levels.
pub(super) fn plan(levels: &[Vec<FenceDevice>]) -> FencePlan {
    let device = |device: &FenceDevice| topology::Device {
        kind: device.kind,
        timeout: device.timeout,
        retries: device.retries,
        delay: device.delay,
    };
    let level =
        |devices: &Vec<FenceDevice>| topology::Level { devices: devices.iter().map(device).collect() };
    FencePlan { levels: levels.iter().map(level).collect() }
}
