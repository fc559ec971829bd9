//! Which devices there are. Adding one is one line here.

use crate::action::Action;
use crate::device::Device;
use crate::devices::{ipmi, libvirt, meatware, process, redfish, stonith_helper, xen};
use crate::gate::OpenGate;
use crate::input::{InputError, Options};
use crate::options::{FIRST, LAST, OptionSpec};
use std::path::Path;

/// What stands before the name of every agent: `fence_picket_<device>`.
pub const AGENT_PREFIX: &str = "fence_picket_";

/// Every device, in the order in which `list` shows them.
pub const DEVICES: &[&DeviceKind] = &[
    &ipmi::KIND,
    &libvirt::KIND,
    &meatware::KIND,
    &process::KIND,
    &redfish::KIND,
    &stonith_helper::KIND,
    &xen::KIND,
];

/// A kind of device: all that is known about it before it is opened.
///
/// Written as `DeviceKind { …, ..DeviceKind::BASE }`, so that a field that only some devices need is
/// no work for the others.
#[derive(Debug)]
pub struct DeviceKind {
    /// Its name, as in `fence_picket_<name>`.
    pub name: &'static str,
    /// What it is, in one line.
    pub shortdesc: &'static str,
    /// What its users must know. Paragraphs are separated by an empty line.
    pub longdesc: &'static str,
    /// Its own options.
    pub options: &'static [OptionSpec],
    /// Common options whose default is another one here: `(name, default)`.
    pub defaults: &'static [(&'static str, &'static str)],
    /// Whether it can power a machine on. If not, `reboot` ends with the verified off.
    pub powers_on: bool,
    /// Whether it can read a power state without having been asked to change it.
    pub reads_state: bool,
    /// Whether it announces that it can name its machines. A device with one machine that it knows by no
    /// name does not: a cluster manager would look for its node's name in the list and not find it.
    pub lists: bool,
    /// Whether it can send a diagnostic interrupt.
    pub diagnoses: bool,
    /// The option that names the machine as well, where no plug is given.
    pub plug_option: Option<&'static str>,
    /// Checks the options and makes the device. Sends nothing yet.
    pub open: fn(&Options) -> Result<Box<dyn Device>, InputError>,
    /// Makes a gate instead of a device; see [`crate::gate`].
    pub gate: Option<OpenGate>,
    /// Names that it also answers to in the older `external/` interface, where its users come from.
    pub external_names: &'static [&'static str],
    /// Parameters of the older `external/` interface: `(their name, our option)`.
    pub external_options: &'static [(&'static str, &'static str)],
}

impl DeviceKind {
    /// What most devices are: a power switch with the common options only.
    pub const BASE: Self = Self {
        name: "",
        shortdesc: "",
        longdesc: "",
        options: &[],
        defaults: &[],
        powers_on: true,
        reads_state: true,
        lists: true,
        diagnoses: false,
        plug_option: None,
        open: |_| Err(InputError::Unusable("this is no power device".to_owned())),
        gate: None,
        external_names: &[],
        external_options: &[],
    };

    /// The name of the agent: `fence_picket_<name>`.
    #[must_use]
    pub fn agent_name(&self) -> String {
        format!("{AGENT_PREFIX}{}", self.name)
    }

    /// All options with their defaults for this device.
    pub fn all_options(&self) -> impl Iterator<Item = OptionSpec> {
        // What list writes needs no separator where there is no list, and its letter is free.
        let common = LAST.iter().filter(|spec| self.lists || spec.name != "separator");
        FIRST.iter().chain(self.options).chain(common).map(|spec| {
            let own = self.defaults.iter().find(|(name, _)| *name == spec.name);
            let spec = own.map_or(*spec, |(_, default)| spec.default(default));
            let required = spec.required && !(spec.name == "plug" && self.plug_option.is_some());
            OptionSpec { required, ..spec }
        })
    }

    /// The actions that it announces, in the order of the metadata.
    pub fn actions(&self) -> impl Iterator<Item = Action> {
        Action::ALL.into_iter().filter(|action| match action {
            Action::On => self.powers_on,
            Action::Status => self.reads_state,
            Action::List | Action::ListStatus => self.lists,
            Action::Diag => self.diagnoses,
            Action::Off
            | Action::Reboot
            | Action::Monitor
            | Action::Metadata
            | Action::Manpage
            | Action::ValidateAll => true,
        })
    }
}

/// The device of this name: `process`, `fence_picket_process`, and with `-` for `_`.
#[must_use]
pub fn find(name: &str) -> Option<&'static DeviceKind> {
    let name = name.replace('-', "_");
    let name = name.strip_prefix(AGENT_PREFIX).unwrap_or(&name);
    DEVICES.iter().copied().find(|kind| kind.name == name)
}

/// The device of the agent in this file, by its name; none if it is an agent of others.
#[must_use]
pub fn of_program(agent: &Path) -> Option<&'static DeviceKind> {
    agent.file_name().and_then(|name| find(&name.to_string_lossy()))
}
